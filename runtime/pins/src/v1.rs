//! The v1 character-device ABI, through `linux-embedded-hal`'s `CdevPin` and the `gpio-cdev` it re-exports.
//!
//! Only for kernels before 5.10. It cannot set a bias or debounce, and `CdevPin` reads `set_high` as "wire high" even
//! on a line requested active-low, so lines are always requested active-high and the inversion is done by the caller.

use std::time::Duration;

use linux_embedded_hal::CdevPin;
use linux_embedded_hal::gpio_cdev::{self, Chip, EventRequestFlags, LineEventHandle, LineRequestFlags};
use rustix::time::{ClockId, clock_gettime};

use crate::edges::Edges;
use crate::inventory::{ChipInfo, LineInfo};
use crate::probe::Probe;

/// Open every chip and read its lines.
pub(crate) fn probe() -> Probe {
    let paths = gpiocdev::chip::chips().unwrap_or_default();
    if paths.is_empty() {
        return Probe::Missing("no /dev/gpiochipN".into());
    }
    let (mut chips, mut denied, mut why) = (Vec::new(), None, String::new());
    for path in paths {
        match Chip::new(&path).and_then(|chip| read_chip(&chip)) {
            Ok(info) => chips.push(info),
            Err(error) if is_denied(&error) => denied = Some(path),
            Err(error) => {
                let hint = "kernels built without CONFIG_GPIO_CDEV_V1 refuse it";
                why = format!("{}: {error} ({hint})", path.display());
            }
        }
    }
    match (chips.is_empty(), denied) {
        (false, _) => Probe::Ready(chips),
        (true, Some(path)) => Probe::Denied(path),
        (true, None) => Probe::Missing(why),
    }
}

fn read_chip(chip: &Chip) -> Result<ChipInfo, gpio_cdev::Error> {
    let lines = chip.lines().map(|line| line.info().map(|info| line_info(&info))).collect::<Result<_, _>>()?;
    Ok(ChipInfo {
        name: chip.name().into(),
        label: chip.label().into(),
        path: chip.path().into(),
        lines,
        sysfs_base: None,
    })
}

fn line_info(info: &gpio_cdev::LineInfo) -> LineInfo {
    let consumer = match info.consumer() {
        Some(consumer) => Some(consumer.into()),
        None if info.is_kernel() => Some("the kernel".into()),
        None => None,
    };
    LineInfo { name: info.name().unwrap_or_default().into(), consumer }
}

fn is_denied(error: &gpio_cdev::Error) -> bool {
    use std::error::Error as _;
    let io = error.source().and_then(|source| source.downcast_ref::<std::io::Error>());
    io.is_some_and(|io| io.kind() == std::io::ErrorKind::PermissionDenied)
}

/// The kernel's error number of the v1 call that failed just now on this thread.
///
/// gpio-cdev wraps a private version of `nix`, so the number cannot be had from its error; nothing has run since.
pub(crate) fn last_errno(_: &gpio_cdev::Error) -> i32 {
    std::io::Error::last_os_error().raw_os_error().unwrap_or(rustix::io::Errno::IO.raw_os_error())
}

/// Request one line as an output that starts at `level` (on the wire).
pub(crate) fn output(chip: &ChipInfo, offset: u32, consumer: &str, level: bool) -> Result<CdevPin, gpio_cdev::Error> {
    let line = Chip::new(&chip.path)?.get_line(offset)?;
    CdevPin::new(line.request(LineRequestFlags::OUTPUT, u8::from(level), consumer)?)
}

/// Request one line as an input.
pub(crate) fn input(chip: &ChipInfo, offset: u32, consumer: &str) -> Result<CdevPin, gpio_cdev::Error> {
    let line = Chip::new(&chip.path)?.get_line(offset)?;
    CdevPin::new(line.request(LineRequestFlags::INPUT, 0, consumer)?)
}

/// Request one line as an input whose edges (on the wire) are queued by the kernel.
pub(crate) fn events(
    chip: &ChipInfo,
    offset: u32,
    consumer: &str,
    edges: Edges,
) -> Result<LineEventHandle, gpio_cdev::Error> {
    let line = Chip::new(&chip.path)?.get_line(offset)?;
    let which = match edges {
        Edges::Rising => EventRequestFlags::RISING_EDGE,
        Edges::Falling => EventRequestFlags::FALLING_EDGE,
        Edges::Both => EventRequestFlags::BOTH_EDGES,
    };
    line.events(LineRequestFlags::INPUT, which, consumer)
}

/// A v1 event's timestamp on `CLOCK_MONOTONIC`.
///
/// Kernels before 5.7 stamp v1 events with `CLOCK_REALTIME`. The two cannot be mistaken for each other: real time is
/// decades ahead of the time since boot.
pub(crate) fn monotonic(timestamp_ns: u64) -> Duration {
    let stamp = Duration::from_nanos(timestamp_ns);
    let (monotonic, real) = (now(ClockId::Monotonic), now(ClockId::Realtime));
    to_monotonic(stamp, monotonic, real)
}

fn to_monotonic(stamp: Duration, monotonic: Duration, real: Duration) -> Duration {
    const SLACK: Duration = Duration::from_secs(3600);
    if stamp <= monotonic + SLACK { stamp } else { stamp.saturating_sub(real.saturating_sub(monotonic)) }
}

fn now(clock: ClockId) -> Duration {
    crate::edges::duration(clock_gettime(clock))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn real_time_stamps_become_monotonic() {
        let (monotonic, real) = (Duration::from_secs(500), Duration::from_secs(1_700_000_000));
        let at = |stamp| to_monotonic(stamp, monotonic, real);
        assert_eq!(at(Duration::from_secs(499)), Duration::from_secs(499), "already monotonic");
        assert_eq!(at(real - Duration::from_secs(2)), Duration::from_secs(498), "real time");
        assert_eq!(at(real - Duration::from_secs(900)), Duration::ZERO, "before boot: not below zero");
    }
}
