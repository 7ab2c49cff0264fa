//! The belt encoder: from pin levels to a position, a speed, and the alarms that a belt can raise.

use crate::alarm::Alarm;
use crate::part::{Micrometres, Part, PartId};
use crate::time::{Micros, Span};

/// Reads the two channels of a quadrature encoder.
#[derive(Clone, Copy, Default, Debug)]
pub struct Quadrature {
    state: u8,
    /// Changes of both channels at once: an edge was missed, or there is noise on the line.
    pub illegal: u64,
}

impl Quadrature {
    /// A decoder that starts at these levels.
    pub const fn new(a: bool, b: bool) -> Quadrature {
        Quadrature { state: phase(a, b), illegal: 0 }
    }

    /// The step from the last levels to these: one forward, one backward, or none.
    pub fn step(&mut self, a: bool, b: bool) -> i32 {
        let now = phase(a, b);
        let turn = now.wrapping_sub(self.state) & 3;
        self.state = now;
        match turn {
            1 => 1,
            3 => -1,
            0 => 0,
            _ => {
                self.illegal = self.illegal.saturating_add(1);
                0
            }
        }
    }
}

/// The Gray code 00, 10, 11, 01 as 0, 1, 2, 3.
const fn phase(a: bool, b: bool) -> u8 {
    match (a, b) {
        (false, false) => 0,
        (true, false) => 1,
        (true, true) => 2,
        (false, true) => 3,
    }
}

/// How counts become distance, and what the belt can do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EncoderLimits {
    /// Micrometres that `per_counts` counts stand for.
    pub um: u32,
    /// See `um`; at least 1.
    pub per_counts: u32,
    /// The fastest that the belt can run; faster counting is noise.
    pub fastest_um_per_s: u64,
    /// How far the belt may run back (vibration at standstill) without an alarm.
    pub reversal_um: u64,
    /// Two parts cannot be nearer than this; triggers nearer by the encoder mean that it slips.
    pub least_pitch_um: u64,
    /// Without a count for this long, the belt stands.
    pub stall: Span,
}

/// The belt's position by its encoder.
#[derive(Clone, Copy, Debug)]
pub struct Encoder {
    limits: EncoderLimits,
    counts: i64,
    furthest: i64,
    speed_um_per_s: u64,
    /// Where and when the speed was last reckoned from.
    since: Option<(i64, Micros)>,
    last_part: Option<(i64, Micros)>,
    counted_at: Micros,
    reversed: bool,
}

impl Encoder {
    /// An encoder at position zero on a standing belt.
    pub const fn new(limits: EncoderLimits) -> Encoder {
        Encoder {
            limits,
            counts: 0,
            furthest: 0,
            speed_um_per_s: 0,
            since: None,
            last_part: None,
            counted_at: Micros::ZERO,
            reversed: false,
        }
    }

    /// Adds `steps` counts (a single-channel encoder only ever adds) that were complete at `at`.
    pub fn count(&mut self, steps: i32, at: Micros) -> Option<Alarm> {
        self.counts = self.counts.saturating_add(i64::from(steps));
        self.counted_at = at;
        let here = self.position().0;
        let fast = self.reckon_speed(here, at);
        self.furthest = self.furthest.max(here);
        let back = u64::try_from(self.furthest.saturating_sub(here)).unwrap_or(0);
        let reversed = back > self.limits.reversal_um;
        let newly = reversed && !self.reversed;
        self.reversed = reversed;
        match (newly, fast) {
            (true, _) => Some(Alarm::EncoderReversal),
            (false, true) => Some(Alarm::EncoderSlip),
            (false, false) => None,
        }
    }

    /// Takes note of a part at the present position; an alarm where the belt cannot have brought it, because it is nearer to
    /// the last one than two parts can be although time for a whole pitch has gone by.
    pub fn on_part(&mut self, at: Micros) -> Option<Alarm> {
        let here = self.position().0;
        let (before, then) = self.last_part.replace((here, at))?;
        let apart = u64::try_from(here.saturating_sub(before)).unwrap_or(0);
        let pitch_time =
            self.limits.least_pitch_um.saturating_mul(1_000_000).checked_div(self.limits.fastest_um_per_s)?;
        let slipped = apart < self.limits.least_pitch_um && at.since(then) >= Span::from_micros(pitch_time);
        slipped.then_some(Alarm::EncoderSlip)
    }

    /// A standing belt has no speed.
    pub fn poll(&mut self, now: Micros) {
        if now.since(self.counted_at) >= self.limits.stall {
            self.speed_um_per_s = 0;
            self.since = None;
        }
    }

    /// Where the belt is.
    pub fn position(&self) -> Micrometres {
        let um = i128::from(self.counts) * i128::from(self.limits.um);
        let um = um.checked_div(i128::from(self.limits.per_counts)).unwrap_or(0);
        Micrometres(um.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64)
    }

    /// How fast it runs forward, micrometres a second.
    pub const fn speed_um_per_s(&self) -> u64 {
        self.speed_um_per_s
    }

    /// Reckons the speed about every twenty milliseconds; true where it is more than the belt can do.
    fn reckon_speed(&mut self, here: i64, at: Micros) -> bool {
        let Some((from, since)) = self.since else {
            self.since = Some((here, at));
            return false;
        };
        let took = at.since(since).as_micros();
        if took < 20_000 {
            return false;
        }
        self.since = Some((here, at));
        let ran = u64::try_from(here.saturating_sub(from)).unwrap_or(0);
        self.speed_um_per_s = ran.saturating_mul(1_000_000).checked_div(took).unwrap_or(0);
        self.speed_um_per_s > self.limits.fastest_um_per_s.saturating_add(self.limits.fastest_um_per_s / 10)
    }
}

/// Triggers a part each time the belt has advanced by a fixed distance beyond where it has ever been; running back and forth
/// triggers nothing twice.
#[derive(Clone, Copy, Debug)]
pub struct DistanceTrigger {
    every_um: i64,
    due: i64,
    next: PartId,
}

impl DistanceTrigger {
    /// Triggers every `every_um` micrometres (at least one), first at `start`.
    pub fn new(every_um: u64, start: Micrometres, first: PartId) -> DistanceTrigger {
        DistanceTrigger { every_um: i64::try_from(every_um.max(1)).unwrap_or(i64::MAX), due: start.0, next: first }
    }

    /// The next part that the belt has brought at `position`; call until it gives nothing more.
    pub fn poll(&mut self, position: Micrometres, at: Micros) -> Option<Part> {
        if position.0 < self.due {
            return None;
        }
        let part = Part { id: self.next, captured_at: at, position: Micrometres(self.due) };
        self.due = self.due.saturating_add(self.every_um);
        self.next = self.next.next();
        Some(part)
    }
}

#[cfg(test)]
mod tests;
