//! How long a preparation takes: `cargo run --release -p jidoka-prepare --example speed [WIDTHxHEIGHT]`.
//!
//! Prints the best and the median of many runs for each format, in ms for a frame and for a megapixel of source.

use std::time::{Duration, Instant};

use jidoka_prepare::{Filter, FrameView, Geometry, PixelFormat, Preparer, Spec};

/// The best and the median of many runs.
fn timed(mut run: impl FnMut()) -> [Duration; 2] {
    let time = |_| {
        let start = Instant::now();
        run();
        start.elapsed()
    };
    let mut times: Vec<Duration> = (0..201).map(time).collect();
    times.sort_unstable();
    [times[0], times[times.len() / 2]]
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let size = std::env::args().nth(1).unwrap_or("1280x960".into());
    let (width, height) = size.split_once('x').ok_or("expected WIDTHxHEIGHT")?;
    let (width, height) = (width.parse()?, height.parse()?);
    let megapixels = f64::from(width) * f64::from(height) / 1e6;
    println!("{width}x{height} to 256x256, RGB");
    println!("{:10} {:9} {:>9} {:>9} {:>9} {:>9}", "format", "filter", "u8 ms", "f32 ms", "u8 ms/MP", "median");
    for name in ["GREY", "YUYV", "NV12", "RGB24", "BGRX32", "SRGGB8", "SRGGB10P", "Y16"] {
        let format = PixelFormat::from_name(name).ok_or("not a format")?;
        for filter in [Filter::Area, Filter::Triangle] {
            let spec = Spec { filter, ..Spec::new(Geometry::new(width, height, format), 256, 256) };
            let mut preparer = Preparer::new(&spec)?;
            let data: Vec<u8> =
                (0..spec.source.frame_bytes(format.line_bytes(width))).map(|i| (i * 7 / 8) as u8).collect();
            let view = FrameView::packed(&data, width, height, format);
            let (mut bytes, mut floats) = (vec![0; spec.target_len()], vec![0.0; spec.target_len()]);
            preparer.write_u8(&view, &mut bytes)?;
            let u8_ms =
                timed(|| preparer.write_u8(&view, &mut bytes).unwrap_or(())).map(|time| time.as_secs_f64() * 1e3);
            let f32_ms = timed(|| preparer.write_f32(&view, &mut floats).unwrap_or(()))[0].as_secs_f64() * 1e3;
            let filter = format!("{filter:?}");
            let [best, median] = u8_ms.map(|ms| ms / megapixels);
            println!("{name:10} {filter:9} {:9.3} {f32_ms:9.3} {best:9.3} {median:9.3}", u8_ms[0]);
        }
    }
    Ok(())
}
