//! Puts the kernel's test camera (vivid) through its paces: `cargo run --example trial -- /dev/video0 [UNPLUGS]`
//!
//! Every format that the camera offers and that can be prepared must show the picture that RGB24 shows; a frame that
//! the driver marks as damaged must be told as such; and a camera that is unplugged and opened again must cost neither
//! descriptors nor mappings. Ends with 1 if anything is not so.

use std::path::Path;
use std::time::Duration;

use jidoka_capture::{Camera, FrameFault, FrameSource, PixelFormat, V4l2Config, V4l2Source};
use jidoka_prepare::{Channels, Preparer, Spec};

type Failure = Box<dyn std::error::Error>;

const PATIENCE: Duration = Duration::from_secs(10);

/// 75 % colour bars without text over them; bars are 80 pixels wide, so that no chroma sample crosses an edge.
fn config(device: &Path, format: PixelFormat, quantization: i64) -> V4l2Config {
    let controls = [("test_pattern", 0), ("osd_text_mode", 2), ("quantization", quantization)];
    let controls = controls.map(|(name, value)| (name.to_string(), value)).to_vec();
    V4l2Config { size: Some((640, 360)), format: Some(format), controls, ..V4l2Config::new(device) }
}

/// One frame as 64x36.
fn picture(device: &Path, format: PixelFormat, quantization: i64) -> Result<Vec<u8>, Failure> {
    let mut source = V4l2Source::open(&config(device, format, quantization))?;
    let channels = channels(format);
    let spec = Spec { channels, ..Spec::new(source.geometry(), 64, 36) };
    let mut preparer = Preparer::new(&spec)?;
    let mut pixels = vec![0; spec.target_len()];
    preparer.write_u8(&source.next(PATIENCE)?.view(), &mut pixels)?;
    Ok(pixels)
}

/// The largest and the mean difference.
fn difference(a: &[u8], b: &[u8]) -> (u8, f64) {
    let differences = a.iter().zip(b).map(|(a, b)| a.abs_diff(*b));
    let sum: f64 = differences.clone().map(f64::from).sum();
    (differences.max().unwrap_or(0), sum / a.len() as f64)
}

fn formats(device: &Path) -> Result<bool, Failure> {
    let mut all_good = true;
    let offered = Camera::open(device)?.formats();
    println!("{:10} {:8} {:>4} {:>6}", "format", "range", "max", "mean");
    for format in PixelFormat::all().filter(|format| offered.iter().any(|info| info.format == Some(*format))) {
        // Grey codes are taken as they are, so that only the full range shows what RGB shows.
        let channels = channels(format);
        let ranges: &[(i64, &str)] = if is_yuv(format) { &[(1, "full"), (2, "limited")] } else { &[(1, "full")] };
        for &(quantization, range) in ranges {
            let mut truth = picture(device, PixelFormat::Rgb24, 1)?;
            if channels == Channels::Grey {
                truth = truth.chunks_exact(3).map(luma).collect();
            }
            let got = picture(device, format, quantization)?;
            let (max, mean) = difference(&truth, &got);
            let good = max <= 4;
            all_good &= good;
            println!("{:10} {range:8} {max:4} {mean:6.2} {}", format.name(), if good { "pass" } else { "FAIL" });
        }
    }
    Ok(all_good)
}

fn is_yuv(format: PixelFormat) -> bool {
    use PixelFormat as P;
    matches!(format, P::Yuyv | P::Uyvy | P::Nv12 | P::Nv21 | P::Yu12)
}

fn channels(format: PixelFormat) -> Channels {
    if format.is_color() { Channels::Rgb } else { Channels::Grey }
}

/// Luminance as vivid makes it for grey formats: BT.709, whatever the colour space.
fn luma(rgb: &[u8]) -> u8 {
    let [red, green, blue] = [rgb[0], rgb[1], rgb[2]].map(u32::from);
    ((13879 * red + 46688 * green + 4713 * blue) >> 16) as u8
}

fn damaged(device: &Path) -> Result<bool, Failure> {
    let mut source = V4l2Source::open(&config(device, PixelFormat::Yuyv, 0))?;
    source.next(PATIENCE)?;
    source.camera().set_control("inject_v4l2_buf_flag_error", 1)?;
    let told = (0..30).any(|_| matches!(source.next(PATIENCE), Err(FrameFault::Damaged { .. })));
    let goes_on = (0..30).any(|_| source.next(PATIENCE).is_ok());
    println!("damaged frame told: {told}, then frames again: {goes_on}, {:?}", source.stats());
    Ok(told && goes_on)
}

/// Open descriptors and mappings of this process.
fn holdings() -> Result<(usize, usize), Failure> {
    let descriptors = std::fs::read_dir("/proc/self/fd")?.count();
    Ok((descriptors, std::fs::read_to_string("/proc/self/maps")?.lines().count()))
}

fn unplugs(device: &Path, count: u32) -> Result<bool, Failure> {
    let config = config(device, PixelFormat::Yuyv, 0);
    let mut at_start = None;
    for round in 0..count {
        let mut source = V4l2Source::open(&config)?;
        source.next(PATIENCE)?;
        source.camera().set_control("disconnect", 1)?;
        let gone = (0..10).any(|_| matches!(source.next(Duration::from_secs(1)), Err(FrameFault::Gone)));
        drop(source);
        if !gone {
            println!("unplug {round} went unnoticed");
            return Ok(false);
        }
        at_start.get_or_insert(holdings()?);
    }
    let (start, end) = (at_start.unwrap_or_default(), holdings()?);
    // The allocator may map memory once more; a leak would be four mappings and a descriptor a round.
    let good = end.0 == start.0 && end.1 <= start.1 + 4;
    println!("{count} unplugs noticed; descriptors {} -> {}, mappings {} -> {}", start.0, end.0, start.1, end.1);
    Ok(good)
}

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let device = arguments.next().unwrap_or("/dev/video0".into());
    let count = arguments.next().map_or(Ok(50), |text| text.parse())?;
    let device = Path::new(&device);
    let good = formats(device)? & damaged(device)? & unplugs(device, count)?;
    println!("{}", if good { "all good" } else { "NOT good" });
    std::process::exit(if good { 0 } else { 1 });
}
