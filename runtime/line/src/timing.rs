//! The arithmetic that says at start whether a reject window could hit a neighbour.
//!
//! Each part owns the stretch of the axis (time or belt distance) in which it is in front of the ejector; actuator tolerance
//! and belt speed tolerance widen what a window may touch on both sides. [`RejectTiming::check`] (or
//! [`RejectPlacing::check`] for a line tracked by encoder) shows that no widened window reaches a neighbour at the smallest
//! pitch, that every window surely covers its own part, that a verdict can be there before the window opens, and that the
//! parts in flight fit; it returns a [`Slot`], the only thing that a [`Line`](crate::line::Line) can be built from.

mod errors;

pub use errors::{Amount, TimingError, TimingErrors};

use crate::MAX_PARTS;
use crate::part::Axis;
use crate::time::Span;
use crate::window::Slot;

/// How one ejector is placed and timed on a line that tracks by time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RejectTiming {
    /// From the trigger to the moment the ejector must begin to act.
    pub delay: Span,
    /// How long it acts.
    pub pulse: Span,
    /// The shortest action that still removes a part; a window with less left is missed, not fired.
    pub least_pulse: Span,
    /// From the pin's edge to the ejector acting; the command goes out this much earlier.
    pub lag: Span,
    /// By how much the ejector may act earlier or later than planned.
    pub tolerance: Span,
    /// By how many thousandths the belt may be faster or slower than its nominal speed.
    pub speed_tolerance_permille: u32,
    /// The smallest time between two parts.
    pub pitch: Span,
    /// How long a part takes to pass a point; zero where unknown (then it is taken as no longer than the pulse).
    pub length: Span,
    /// The longest time from trigger to verdict; zero to leave it unchecked.
    pub verdict_within: Span,
    /// How long after the window a reject-confirmation input may take to see the part; `None` where there is no such input.
    pub confirm_within: Option<Span>,
}

/// How one ejector is placed and timed on a line that tracks by encoder. Distances in micrometres.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RejectPlacing {
    /// From the trigger's place to where the ejector must begin to act.
    pub delay_um: u64,
    /// Over what distance it acts.
    pub pulse_um: u64,
    /// The shortest distance that still removes a part.
    pub least_pulse_um: u64,
    /// From the pin's edge to the ejector acting.
    pub lag: Span,
    /// By how much the ejector may act earlier or later than planned, as a time.
    pub tolerance: Span,
    /// The fastest that the belt runs, in micrometres a second; turns lag and tolerance into distances.
    pub fastest_um_per_s: u64,
    /// By how much a part may have slipped against the encoder when it reaches the ejector.
    pub slip_um: u64,
    /// The smallest distance between two parts.
    pub pitch_um: u64,
    /// The length of a part; zero where unknown.
    pub length_um: u64,
    /// The longest time from trigger to verdict; zero to leave it unchecked.
    pub verdict_within: Span,
    /// See [`RejectTiming::confirm_within`].
    pub confirm_within: Option<Span>,
}

/// The terms of the sums, in axis units.
struct Terms {
    axis: Axis,
    delay: u64,
    pulse: u64,
    least_pulse: u64,
    lag: u64,
    tolerance: u64,
    drift: u64,
    pitch: u64,
    length: u64,
    verdict_within: u64,
    confirm_reach: u64,
}

/// A day in microseconds, a kilometre and more in micrometres: beyond it a value is a typing error.
const MOST: u64 = 86_400_000_000;
/// 100 us or 100 um: nothing mechanical is shorter, and a zero pitch would divide by nothing.
const LEAST: u64 = 100;

impl RejectTiming {
    /// A timing with no lag, no tolerance and no confirmation input.
    pub const fn new(delay: Span, pulse: Span, pitch: Span) -> RejectTiming {
        RejectTiming {
            delay,
            pulse,
            least_pulse: Span::ZERO,
            lag: Span::ZERO,
            tolerance: Span::ZERO,
            speed_tolerance_permille: 0,
            pitch,
            length: Span::ZERO,
            verdict_within: Span::ZERO,
            confirm_within: None,
        }
    }

    /// By how much a part may arrive early or late because of the belt's speed.
    pub const fn drift(&self) -> Span {
        self.delay.permille(self.speed_tolerance_permille)
    }

    /// Does the arithmetic.
    ///
    /// # Errors
    /// Everything that is wrong, together, each with the terms of its sum.
    pub fn check(&self) -> Result<Slot, TimingErrors> {
        Terms {
            axis: Axis::Time,
            delay: self.delay.as_micros(),
            pulse: self.pulse.as_micros(),
            least_pulse: self.least_pulse.as_micros(),
            lag: self.lag.as_micros(),
            tolerance: self.tolerance.as_micros(),
            drift: self.drift().as_micros(),
            pitch: self.pitch.as_micros(),
            length: self.length.as_micros(),
            verdict_within: self.verdict_within.as_micros(),
            confirm_reach: self.confirm_within.unwrap_or_default().as_micros(),
        }
        .check(self.confirm_within)
    }
}

impl RejectPlacing {
    /// Does the arithmetic, in distances; lag, tolerance, verdict and confirmation times count as the distance that the belt
    /// covers in them at its fastest.
    ///
    /// # Errors
    /// Everything that is wrong, together, each with the terms of its sum.
    pub fn check(&self) -> Result<Slot, TimingErrors> {
        let run = |span: Span| {
            let distance = u128::from(span.as_micros()) * u128::from(self.fastest_um_per_s);
            u64::try_from(distance.div_ceil(1_000_000)).unwrap_or(u64::MAX)
        };
        Terms {
            axis: Axis::Distance,
            delay: self.delay_um,
            pulse: self.pulse_um,
            least_pulse: self.least_pulse_um,
            // The command goes out where half the lag is right: a belt that has slowed down by then makes the ejector act up to
            // half of it early, one at full speed half of it late.
            lag: run(self.lag).div_ceil(2),
            tolerance: run(self.tolerance),
            drift: self.slip_um.saturating_add(run(self.lag).div_ceil(2)),
            pitch: self.pitch_um,
            length: self.length_um,
            verdict_within: run(self.verdict_within),
            confirm_reach: self.confirm_within.map_or(0, run),
        }
        .check(self.confirm_within)
    }
}

impl Terms {
    fn amount(&self, value: u64) -> Amount {
        Amount { axis: self.axis, value }
    }

    fn check(&self, confirm_within: Option<Span>) -> Result<Slot, TimingErrors> {
        let mut errors = TimingErrors::default();
        self.check_ranges(&mut errors);
        if errors.is_empty() {
            // The sums below make sense only of values in range.
            self.check_sums(&mut errors);
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        Ok(Slot {
            axis: self.axis,
            opens_after: self.delay.saturating_sub(self.lag) as i64,
            width: self.pulse as i64,
            // Less than the tolerances could miss the part altogether: the ejector may act late and the part come early.
            least: self.least_pulse.max(self.tolerance + self.drift + 1) as i64,
            gap: self.gap() as i64,
            confirm_within,
        })
    }

    /// Clear axis needed between two windows: tolerance and drift on both sides of both, and what a part is longer than its
    /// window.
    fn gap(&self) -> u64 {
        2 * (self.tolerance + self.drift) + self.length.saturating_sub(self.pulse).div_ceil(2)
    }

    fn check_ranges(&self, errors: &mut TimingErrors) {
        let ranges = [
            ("delay", self.delay, 0, MOST),
            ("pulse", self.pulse, LEAST, MOST),
            ("least_pulse", self.least_pulse, 0, self.pulse.min(MOST)),
            ("lag", self.lag, 0, self.delay.min(MOST)),
            ("tolerance", self.tolerance, 0, MOST),
            ("speed_tolerance", self.drift, 0, MOST),
            ("pitch", self.pitch, LEAST, MOST),
            ("length", self.length, 0, MOST),
            ("verdict_within", self.verdict_within, 0, MOST),
            ("confirm_within", self.confirm_reach, 0, MOST),
        ];
        for (field, value, least, most) in ranges {
            if value < least || value > most {
                let (value, least, most) = (self.amount(value), self.amount(least), self.amount(most));
                errors.add(TimingError::OutOfRange { field, value, least, most });
            }
        }
    }

    fn check_sums(&self, errors: &mut TimingErrors) {
        let sides = 2 * (self.tolerance + self.drift);
        if self.pulse + self.gap() > self.pitch {
            let room = self.pitch.saturating_sub(sides);
            // A part longer than the window reaches out of it by half the difference on each side.
            let most = if room >= self.length { room } else { (2 * room).saturating_sub(self.length) };
            errors.add(TimingError::ReachesNeighbour {
                pulse: self.amount(self.pulse),
                pitch: self.amount(self.pitch),
                tolerance: self.amount(self.tolerance),
                drift: self.amount(self.drift),
                length: self.amount(self.length),
                most: self.amount(most),
            });
        }
        if self.pulse < sides {
            errors.add(TimingError::MissesItsPart {
                pulse: self.amount(self.pulse),
                tolerance: self.amount(self.tolerance),
                drift: self.amount(self.drift),
                least: self.amount(sides),
            });
        }
        if self.verdict_within > 0 && self.delay < self.lag + self.verdict_within {
            errors.add(TimingError::OpensTooSoon {
                delay: self.amount(self.delay),
                lag: self.amount(self.lag),
                verdict_within: self.amount(self.verdict_within),
                least: self.amount(self.lag + self.verdict_within),
            });
        }
        let confirm_most = self.pitch.saturating_sub(self.pulse);
        if self.confirm_reach > confirm_most {
            errors.add(TimingError::ConfirmsNeighbour {
                confirm_within: self.amount(self.confirm_reach),
                pulse: self.amount(self.pulse),
                pitch: self.amount(self.pitch),
                most: self.amount(confirm_most),
            });
        }
        let reach = self.delay + self.pulse + self.confirm_reach;
        let parts = reach.checked_div(self.pitch).unwrap_or(u64::MAX).saturating_add(2);
        if parts > MAX_PARTS as u64 {
            let (reach, pitch) = (self.amount(reach), self.amount(self.pitch));
            errors.add(TimingError::TooManyInFlight { reach, pitch, parts, most: MAX_PARTS as u64 });
        }
    }
}

#[cfg(test)]
mod tests;
