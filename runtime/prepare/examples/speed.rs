//! How long a preparation takes: `cargo run --release -p jidoka-prepare --example speed [WIDTHxHEIGHT]`.
//!
//! Prints the best of many runs for each format, in ms for a frame and for a megapixel of source.

use std::time::{Duration, Instant};

use jidoka_prepare::{Filter, FrameView, Geometry, PixelFormat, Preparer, Spec};

fn best(mut run: impl FnMut()) -> Duration {
    (0..200)
        .map(|_| {
            let start = Instant::now();
            run();
            start.elapsed()
        })
        .min()
        .unwrap_or_default()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let size = std::env::args().nth(1).unwrap_or("1280x960".into());
    let (width, height) = size.split_once('x').ok_or("expected WIDTHxHEIGHT")?;
    let (width, height) = (width.parse()?, height.parse()?);
    let megapixels = f64::from(width) * f64::from(height) / 1e6;
    println!("{width}x{height} to 256x256, RGB");
    println!("{:10} {:9} {:>9} {:>9} {:>9}", "format", "filter", "u8 ms", "f32 ms", "u8 ms/MP");
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
            let u8_ms = best(|| preparer.write_u8(&view, &mut bytes).unwrap_or(())).as_secs_f64() * 1e3;
            let f32_ms = best(|| preparer.write_f32(&view, &mut floats).unwrap_or(())).as_secs_f64() * 1e3;
            let filter = format!("{filter:?}");
            println!("{name:10} {filter:9} {u8_ms:9.3} {f32_ms:9.3} {:9.3}", u8_ms / megapixels);
        }
    }
    Ok(())
}
