//! Moments and lengths of time, both in whole microseconds, with arithmetic that saturates instead of panicking.

use core::fmt;
use core::ops::{Add, Mul, Sub};

/// A moment on the station's monotonic clock, in microseconds since some fixed start.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct Micros(u64);

/// A length of time in microseconds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct Span(u64);

impl Micros {
    /// The start of the clock.
    pub const ZERO: Micros = Micros(0);

    /// The moment `micros` microseconds after the start of the clock.
    pub const fn new(micros: u64) -> Self {
        Micros(micros)
    }

    /// Microseconds since the start of the clock.
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// From a `Duration` since the start of the clock (what `clock_gettime(CLOCK_MONOTONIC)` yields); saturates.
    pub const fn from_duration(since_start: core::time::Duration) -> Self {
        let micros = since_start.as_micros();
        Micros(if micros > u64::MAX as u128 { u64::MAX } else { micros as u64 })
    }

    /// How long after `earlier` this is; zero where it is not after it.
    pub const fn since(self, earlier: Micros) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }

    /// How far two moments are apart, whichever comes first.
    pub const fn distance(self, other: Micros) -> Span {
        Span(self.0.abs_diff(other.0))
    }
}

impl Span {
    /// No time at all.
    pub const ZERO: Span = Span(0);
    /// The longest span that can be written; stands for "no limit" where documented.
    pub const MAX: Span = Span(u64::MAX);

    /// A span of so many microseconds.
    pub const fn from_micros(micros: u64) -> Self {
        Span(micros)
    }

    /// A span of so many milliseconds; saturates.
    pub const fn from_millis(millis: u64) -> Self {
        Span(millis.saturating_mul(1_000))
    }

    /// From a `Duration`; saturates.
    pub const fn from_duration(length: core::time::Duration) -> Self {
        Span(Micros::from_duration(length).0)
    }

    /// As a `Duration`.
    pub const fn as_duration(self) -> core::time::Duration {
        core::time::Duration::from_micros(self.0)
    }

    /// Microseconds.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// This span scaled by `permille` thousandths, rounded up; saturates.
    pub const fn permille(self, permille: u32) -> Self {
        Span(self.0.saturating_mul(permille as u64).div_ceil(1_000))
    }
}

impl Add<Span> for Micros {
    type Output = Micros;
    fn add(self, span: Span) -> Micros {
        Micros(self.0.saturating_add(span.0))
    }
}

impl Sub<Span> for Micros {
    type Output = Micros;
    fn sub(self, span: Span) -> Micros {
        Micros(self.0.saturating_sub(span.0))
    }
}

impl Add for Span {
    type Output = Span;
    fn add(self, other: Span) -> Span {
        Span(self.0.saturating_add(other.0))
    }
}

impl Sub for Span {
    type Output = Span;
    fn sub(self, other: Span) -> Span {
        Span(self.0.saturating_sub(other.0))
    }
}

impl Mul<u64> for Span {
    type Output = Span;
    fn mul(self, times: u64) -> Span {
        Span(self.0.saturating_mul(times))
    }
}

impl fmt::Display for Span {
    /// In milliseconds with as many decimals as it needs: `95 ms`, `12.5 ms`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_thousandths(f, self.0)?;
        f.write_str(" ms")
    }
}

impl fmt::Display for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} us", self.0)
    }
}

/// Writes thousandths as a decimal without trailing zeros: 12500 as `12.5`.
pub(crate) fn write_thousandths(f: &mut fmt::Formatter<'_>, value: u64) -> fmt::Result {
    let (whole, part) = (value / 1_000, value % 1_000);
    write!(f, "{whole}")?;
    match part {
        0 => Ok(()),
        _ if part % 100 == 0 => write!(f, ".{}", part / 100),
        _ if part % 10 == 0 => write!(f, ".{:02}", part / 10),
        _ => write!(f, ".{part:03}"),
    }
}
