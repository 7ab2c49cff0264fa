//! The one clock: `CLOCK_MONOTONIC`, which drivers stamp frames with.

use std::time::Duration;

/// Time on `CLOCK_MONOTONIC`: since boot, never set back.
pub fn monotonic_now() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid timespec for the whole call, and the clock exists on every Linux.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    debug_assert_eq!(result, 0);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// When the next frame is due, for sources that make their own rhythm.
pub(crate) struct Pace {
    /// None for as fast as frames are asked for.
    interval: Option<Duration>,
    due: Option<Duration>,
}

impl Pace {
    /// `fps` frames a second, the first at once; without a rate, as fast as they are asked for.
    pub fn new(fps: Option<f64>) -> Pace {
        Pace { interval: fps.map(|fps| Duration::from_secs_f64(1.0 / fps)), due: None }
    }

    /// Makes the next frame due at `due`, whatever the interval.
    pub fn at(&mut self, due: Duration) {
        self.due = Some(due);
        self.interval = self.interval.or(Some(Duration::ZERO));
    }

    /// Waits until the next frame is due, or says false after `timeout`. A frame that was asked for late, or for which
    /// this thread woke up late, does not make the ones after it hurry: no two are nearer than the interval.
    pub fn wait(&mut self, timeout: Duration) -> bool {
        let Some(interval) = self.interval else { return true };
        let now = monotonic_now();
        let due = self.due.unwrap_or(now);
        if due > now + timeout {
            std::thread::sleep(timeout);
            return false;
        }
        std::thread::sleep(due.saturating_sub(now));
        self.due = Some(monotonic_now() + interval);
        true
    }
}
