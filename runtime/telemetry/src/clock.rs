//! The two clocks that records carry, so that writer and reader mean the same by "now".

use rustix::time::{ClockId, clock_gettime};

/// `CLOCK_MONOTONIC` in microseconds: for durations and for matching with frames and edges.
pub fn monotonic_us() -> u64 {
    micros(ClockId::Monotonic)
}

/// The wall clock in microseconds since 1970 (UTC): for people.
pub fn unix_us() -> u64 {
    micros(ClockId::Realtime)
}

fn micros(clock: ClockId) -> u64 {
    let now = clock_gettime(clock);
    now.tv_sec.max(0) as u64 * 1_000_000 + now.tv_nsec as u64 / 1000
}
