//! `CLOCK_MONOTONIC`: the clock that V4L2 stamps frames with, and GPIO edges too.

use std::time::Duration;

/// Now, since the machine's start. The same clock as [`jidoka_capture::FrameMeta::captured_at`].
pub fn now() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    // The kernel never gives a negative monotonic time, nor nanoseconds outside 0..1e9.
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// `duration` in whole microseconds, as records hold it.
pub fn micros(duration: Duration) -> u64 {
    duration.as_micros() as u64
}
