//! Writes rendered parts as PNG files, to look at: `cargo run --example parts -- FOLDER [COUNT] [SEED]`. A folder of
//! `-` writes nothing and only measures.

use std::time::{Duration, Instant};

use jidoka_capture::{FrameSource, PixelFormat, Synthetic, SyntheticConfig, images};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let folder = arguments.first().ok_or("expected a folder to write to")?;
    let count = arguments.get(1).map_or(Ok(24), |text| text.parse())?;
    let seed = arguments.get(2).map_or(Ok(1), |text| text.parse())?;
    let write = folder != "-";
    if write {
        std::fs::create_dir_all(folder)?;
    }
    let config = SyntheticConfig { seed, defect_rate: 0.6, format: PixelFormat::Rgb24, ..SyntheticConfig::default() };
    let mut source = Synthetic::open(&config)?;
    let mut rendering = Duration::ZERO;
    for _ in 0..count {
        let start = Instant::now();
        let lease = source.next(Duration::ZERO)?;
        rendering += start.elapsed();
        if !write {
            continue;
        }
        let name = lease.meta().truth.map_or("unknown", |truth| truth.name());
        let path = format!("{folder}/{:03}-{name}.png", lease.meta().sequence);
        std::fs::write(&path, images::encode_png(&lease.view())?)?;
    }
    println!("{count} parts, {:.2} ms each", rendering.as_secs_f64() * 1e3 / f64::from(count));
    Ok(())
}
