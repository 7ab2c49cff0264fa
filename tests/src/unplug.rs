//! A camera that is pulled and comes back, again and again, on the virtual board: what the process holds meanwhile, and how
//! long it takes until frames come again.

use std::error::Error;
use std::fs;
use std::time::{Duration, Instant};

use jidoka_capture::{Attempt, FrameFault, FrameSource, Reopen, SourceConfig, V4l2Config, V4l2Source, monotonic_now};
use serde_json::{Value, json};

mod station;

pub use station::by_unbinding_the_stations;

/// What may go wrong on the board.
pub type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// How long anything may take on an emulated machine.
pub const PATIENCE: Duration = Duration::from_secs(60);
const DRIVER: &str = "/sys/bus/platform/drivers/vivid";
/// Rounds between two lines of the log.
const LOG_EVERY: usize = 100;

/// What a process and the kernel hold.
#[derive(Clone, Copy, Debug, Default)]
struct Holdings {
    descriptors: usize,
    /// Mappings of the camera's buffers.
    buffers: usize,
    mappings: usize,
    resident_kib: u64,
    /// The whole machine's: vivid's buffers are the kernel's virtual memory.
    vmalloc_kib: u64,
}

impl Holdings {
    fn now() -> Result<Holdings> {
        Holdings::of("self")
    }

    /// Those of a process by its number.
    fn of(process: &str) -> Result<Holdings> {
        let maps = fs::read_to_string(format!("/proc/{process}/maps"))?;
        Ok(Holdings {
            // Of our own, that of the folder is among them, every time.
            descriptors: fs::read_dir(format!("/proc/{process}/fd"))?.count(),
            buffers: maps.lines().filter(|line| line.contains("/dev/video")).count(),
            mappings: maps.lines().count(),
            resident_kib: kib(&format!("/proc/{process}/status"), "VmRSS:")?,
            vmalloc_kib: kib("/proc/meminfo", "VmallocUsed:")?,
        })
    }
}

/// A number of KiB from a file of names and values.
fn kib(file: &str, name: &str) -> Result<u64> {
    let text = fs::read_to_string(file)?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)).ok_or(name)?;
    Ok(line.trim().trim_end_matches("kB").trim().parse()?)
}

/// What is held after the first unplug and after the last, how many were noticed, and how long it took to be back.
struct Count {
    noticed: u32,
    start: Option<Holdings>,
    reopened_ms: Vec<u64>,
    total: Instant,
}

impl Count {
    fn new(rounds: u32) -> Count {
        // Taken now, so that growing is not mistaken for a leak.
        let reopened_ms = Vec::with_capacity(rounds as usize);
        Count { noticed: 0, start: None, reopened_ms, total: Instant::now() }
    }

    /// Another round is over.
    fn add(&mut self, what: &str, noticed: bool, reopened: Duration, now: Holdings) -> Result<()> {
        self.noticed += u32::from(noticed);
        self.reopened_ms.push(u64::try_from(reopened.as_millis())?);
        let rounds = self.reopened_ms.len();
        if self.start.is_none() || rounds.is_multiple_of(LOG_EVERY) {
            println!("{what} {rounds:5}: {} noticed, back after {reopened:?}, {now:?}", self.noticed);
        }
        self.start.get_or_insert(now);
        Ok(())
    }

    fn report(mut self, rounds: u32, end: Holdings) -> Result<Value> {
        let start = self.start.unwrap_or_default();
        self.reopened_ms.sort_unstable();
        let at = |share: usize| self.reopened_ms.get(self.reopened_ms.len().saturating_sub(1) * share / 100);
        Ok(json!({
            "rounds": rounds, "noticed": self.noticed, "seconds": self.total.elapsed().as_secs(),
            "reopen_ms": { "median": at(50), "p99": at(99), "slowest": at(100) },
            "descriptors": [start.descriptors, end.descriptors], "buffers": [start.buffers, end.buffers],
            "mappings": [start.mappings, end.mappings], "resident_kib": [start.resident_kib, end.resident_kib],
            "vmalloc_kib": [start.vmalloc_kib, end.vmalloc_kib],
        }))
    }
}

fn is_gone(source: &mut dyn FrameSource) -> bool {
    (0..20).any(|_| matches!(source.next(Duration::from_secs(1)), Err(FrameFault::Gone)))
}

/// The driver's own way of pretending to be pulled. The node stays, so that the time is that of a full opening.
///
/// # Errors
/// When the camera does not come back, or the kernel's records cannot be read.
pub fn by_control(config: &V4l2Config, rounds: u32) -> Result<Value> {
    let mut count = Count::new(rounds);
    for _ in 0..rounds {
        let began = Instant::now();
        let mut source = V4l2Source::open(config)?;
        source.next(PATIENCE)?;
        let opened = began.elapsed();
        source.camera().set_control("disconnect", 1)?;
        let noticed = is_gone(&mut source);
        drop(source);
        count.add("disconnect", noticed, opened, Holdings::now()?)?;
    }
    count.report(rounds, Holdings::now()?)
}

/// The driver is taken from its device while a stream runs, and given back; the product's own opener finds it again. The time is
/// from the driver's return to the first frame.
///
/// # Errors
/// When the camera does not come back, or the kernel's records cannot be read.
pub fn by_unbinding(config: &V4l2Config, rounds: u32) -> Result<Value> {
    let mut reopen = Reopen::of(&SourceConfig::V4l2(config.clone()));
    let geometry = V4l2Source::open(config)?.geometry();
    let mut count = Count::new(rounds);
    for _ in 0..rounds {
        let mut source = back(&mut reopen, geometry)?;
        source.next(PATIENCE)?;
        fs::write(format!("{DRIVER}/unbind"), "vivid.0")?;
        let noticed = is_gone(&mut *source);
        drop(source);
        reopen.begin(monotonic_now());
        fs::write(format!("{DRIVER}/bind"), "vivid.0")?;
        let bound = Instant::now();
        let mut source = back(&mut reopen, geometry)?;
        source.next(PATIENCE)?;
        let reopened = bound.elapsed();
        drop(source);
        count.add("unbind", noticed, reopened, Holdings::now()?)?;
        reopen.begin(monotonic_now());
    }
    count.report(rounds, Holdings::now()?)
}

/// The camera, once it opens.
fn back(reopen: &mut Reopen, geometry: jidoka_capture::Geometry) -> Result<Box<dyn FrameSource>> {
    let until = Instant::now() + PATIENCE;
    loop {
        match reopen.attempt(monotonic_now(), geometry) {
            Attempt::Back(source) => return Ok(source),
            Attempt::Wait(due) => std::thread::sleep(due.saturating_sub(monotonic_now())),
            Attempt::Failed(error) if Instant::now() > until => return Err(error.into()),
            Attempt::Failed(_) => {}
            Attempt::Changed(other) => return Err(format!("another camera: {other:?}").into()),
        }
    }
}
