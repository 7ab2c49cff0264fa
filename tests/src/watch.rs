//! Watches what a program drives on a gpio-sim chip, from outside: the kernel's own record, not the program's.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// One change of one line's level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edge {
    /// Offset of the line on the chip.
    pub line: usize,
    /// The level after the change.
    pub high: bool,
    /// When it was seen, on `CLOCK_MONOTONIC`.
    pub seen_at: Duration,
}

/// Now on `CLOCK_MONOTONIC`, the clock of the inspector's log.
#[must_use]
pub fn monotonic_now() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// A thread that polls the lines' `value` files until it is stopped.
pub struct Watcher {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Edge>>,
}

impl Watcher {
    /// Watches the first `lines` lines of the gpio-sim bank whose sysfs folder is `bank`.
    ///
    /// # Errors
    /// When a line's `value` file cannot be opened.
    pub fn start(bank: &Path, lines: usize) -> io::Result<Watcher> {
        let files: Vec<File> =
            (0..lines).map(|line| File::open(bank.join(format!("sim_gpio{line}/value")))).collect::<io::Result<_>>()?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut levels: Vec<bool> = files.iter().map(is_high).collect();
            let mut edges = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                for (line, file) in files.iter().enumerate() {
                    let high = is_high(file);
                    if high != levels[line] {
                        levels[line] = high;
                        edges.push(Edge { line, high, seen_at: monotonic_now() });
                    }
                }
                // Far shorter than any pulse of the scenarios, long enough to leave the processor to the program.
                std::thread::sleep(Duration::from_millis(2));
            }
            edges
        });
        Ok(Watcher { stop, thread })
    }

    /// Ends the watch and hands over every edge in the order in which it was seen.
    ///
    /// # Panics
    /// When the watching thread has panicked.
    #[must_use]
    pub fn finish(self) -> Vec<Edge> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the watcher does not panic")
    }
}

/// A line's level now. A read that fails counts as low: the scenarios compare with the log, which would disagree.
fn is_high(file: &File) -> bool {
    let mut byte = [0; 1];
    matches!(file.read_at(&mut byte, 0), Ok(1)) && byte[0] == b'1'
}

/// The levels of the first `lines` lines now.
///
/// # Errors
/// When a line's `value` file cannot be read.
pub fn levels(bank: &Path, lines: usize) -> io::Result<Vec<bool>> {
    (0..lines)
        .map(|line| Ok(std::fs::read_to_string(bank.join(format!("sim_gpio{line}/value")))?.starts_with('1')))
        .collect()
}
