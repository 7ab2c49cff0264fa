//! Prepares a frame from a file as often as it is asked to, and says how long that took: one side of scripts/bench-prepare.
//!
//! `prepare_peer FORMAT WIDTH HEIGHT TARGET_WIDTH TARGET_HEIGHT FILE`. Each line of standard input is a number of frames; the answer
//! is the thread's CPU time in milliseconds a frame.

use std::io::{BufRead, Write};

use jidoka_prepare::{FrameView, Geometry, PixelFormat, Preparer, Spec};
use rustix::time::{ClockId, clock_gettime};

fn cpu_ms() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e3 + time.tv_nsec as f64 / 1e6
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [format, width, height, target_width, target_height, file] = arguments.as_slice() else {
        return Err("expected FORMAT WIDTH HEIGHT TARGET_WIDTH TARGET_HEIGHT FILE".into());
    };
    let format = PixelFormat::from_name(format).ok_or("not a format")?;
    let (width, height) = (width.parse()?, height.parse()?);
    let spec = Spec::new(Geometry::new(width, height, format), target_width.parse()?, target_height.parse()?);
    let mut preparer = Preparer::new(&spec)?;
    let data = std::fs::read(file)?;
    let view = FrameView::packed(&data, width, height, format);
    let mut out = vec![0; spec.target_len()];
    let mut answers = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let count: u32 = line?.trim().parse()?;
        let start = cpu_ms();
        for _ in 0..count {
            preparer.write_u8(&view, &mut out)?;
        }
        writeln!(answers, "{}", (cpu_ms() - start) / f64::from(count.max(1)))?;
        answers.flush()?;
    }
    Ok(())
}
