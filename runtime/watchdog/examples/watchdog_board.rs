//! Feeds a real watchdog by progress, then stops progressing while the supervisor still runs: the board has to reset.
//!
//! ```text
//! watchdog_board DEVICE TIMEOUT_S FEED_S        ends by a reset of the board, TIMEOUT_S after the last progress
//! watchdog_board DEVICE TIMEOUT_S FEED_S stop   disarms after FEED_S and then waits 3 TIMEOUT_S to be still alive
//! ```

use std::process::ExitCode;
use std::time::{Duration, Instant};

use jidoka_watchdog::{Options, Watchdog};

fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info")).init();
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("FAILED: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [device, timeout_s, feed_s, rest @ ..] = args.as_slice() else {
        return Err("usage: watchdog_board DEVICE TIMEOUT_S FEED_S [stop]".into());
    };
    let timeout_s: u32 = timeout_s.parse()?;
    let feed = Duration::from_secs(feed_s.parse()?);
    let mut watchdog = Watchdog::start(&Options { device: Some((device.into(), timeout_s)) })?;
    let second = Watchdog::start(&Options { device: Some((device.into(), timeout_s)) });
    println!("{}", second.err().ok_or("the device was given out twice")?);
    watchdog.ready("inspecting");
    let progress = watchdog.progress();
    let period = watchdog.period().ok_or("no period")?;
    let started = Instant::now();
    while started.elapsed() < feed {
        progress.completed();
        assert!(watchdog.tick());
        std::thread::sleep(period);
    }
    println!("alive after {} s of progress with a time-out of {timeout_s} s", started.elapsed().as_secs());
    if !rest.is_empty() {
        watchdog.stop();
        std::thread::sleep(Duration::from_secs(u64::from(timeout_s) * 3));
        println!("alive, disarmed");
        return Ok(());
    }
    println!("no more progress; the supervisor goes on");
    for _ in 0..30 {
        assert!(!watchdog.tick());
        std::thread::sleep(period);
    }
    Err("the watchdog did not bite".into())
}
