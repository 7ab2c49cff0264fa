//! Takes frames from a camera and says what came: `cargo run --example grab -- /dev/video0 [key=value]...`
//!
//! Keys: `size=640x480`, `format=YUYV`, `fps=30`, `buffers=4`, `frames=30`, `latest=1`, `list=1`, `png=FILE` for the
//! last frame as 256x256 RGB; any other key is a control of the camera.

use std::time::Duration;

use jidoka_capture::{
    Camera, FrameSource, FrameView, Keep, PixelFormat, V4l2Config, V4l2Source, images, monotonic_now,
};
use jidoka_prepare::{Preparer, Spec};

type Failure = Box<dyn std::error::Error>;

struct Options {
    config: V4l2Config,
    frames: u32,
    list: bool,
    png: Option<String>,
}

fn options() -> Result<Options, Failure> {
    let mut arguments = std::env::args().skip(1);
    let device = arguments.next().ok_or("expected a device, such as /dev/video0")?;
    let mut options = Options { config: V4l2Config::new(device), frames: 30, list: false, png: None };
    let config = &mut options.config;
    for argument in arguments {
        let (key, value) = argument.split_once('=').ok_or_else(|| format!("{argument}: expected key=value"))?;
        match key {
            "size" => {
                let (width, height) = value.split_once('x').ok_or("size: expected WIDTHxHEIGHT")?;
                config.size = Some((width.parse()?, height.parse()?));
            }
            "format" => config.format = Some(PixelFormat::from_name(value).ok_or("format: not known")?),
            "fps" => config.fps = Some(value.parse()?),
            "buffers" => config.buffers = value.parse()?,
            "frames" => options.frames = value.parse()?,
            "latest" => config.keep = if value == "1" { Keep::Latest } else { Keep::Every },
            "list" => options.list = value == "1",
            "png" => options.png = Some(value.into()),
            control => config.controls.push((control.into(), value.parse()?)),
        }
    }
    Ok(options)
}

fn list(device: &std::path::Path) -> Result<(), Failure> {
    for info in Camera::list() {
        println!("{} {} ({}, {})", info.device.display(), info.card, info.driver, info.bus);
    }
    let camera = Camera::open(device)?;
    for format in camera.formats() {
        let name = format.format.map_or("not supported".into(), |format| format.to_string());
        println!("  {} = {name}: {} [{}]", format.code, format.description, format.sizes.join(", "));
    }
    for control in camera.controls() {
        let value = control.value.map_or("?".into(), |value| value.to_string());
        let locked = control.locked.map_or(String::new(), |why| format!(" ({why})"));
        println!("  {} = {value}: {}{locked}", control.name, control.range());
    }
    Ok(())
}

fn mean(view: &FrameView<'_>) -> f64 {
    let lines = (0..view.height as usize).map(|y| &view.data[y * view.stride..][..view.format.line_bytes(view.width)]);
    let (sum, count) = lines.flatten().fold((0u64, 0u64), |(sum, count), &byte| (sum + u64::from(byte), count + 1));
    sum as f64 / count as f64
}

fn main() -> Result<(), Failure> {
    let options = options()?;
    if options.list {
        list(&options.config.device)?;
    }
    let mut source = V4l2Source::open(&options.config)?;
    println!("{}", source.describe());
    let mut preparer = Preparer::new(&Spec::new(source.geometry(), 256, 256))?;
    let mut pixels = vec![0; preparer.spec().target_len()];
    let mut faults = 0;
    for _ in 0..options.frames {
        match source.next(Duration::from_secs(5)) {
            Ok(lease) => {
                let age = monotonic_now().saturating_sub(lease.meta().captured_at);
                preparer.write_u8(&lease.view(), &mut pixels)?;
                let rgb = pixels.iter().map(|&byte| u64::from(byte)).sum::<u64>() as f64 / pixels.len() as f64;
                let mean = mean(&lease.view());
                println!("frame {} age {} us mean {mean:.2} rgb {rgb:.2}", lease.meta().sequence, age.as_micros());
            }
            Err(fault) => {
                faults += 1;
                println!("{fault}");
                if !fault.is_passing() {
                    break;
                }
            }
        }
    }
    println!("{:?}, {faults} faults", source.stats());
    if let Some(path) = options.png {
        std::fs::write(path, images::encode_png(&FrameView::packed(&pixels, 256, 256, PixelFormat::Rgb24))?)?;
    }
    Ok(())
}
