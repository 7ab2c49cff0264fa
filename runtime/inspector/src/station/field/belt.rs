//! The belt: edges of the encoder's channels to a position, with the doubt that lost edges leave.

use jidoka_line::alarm::Alarm;
use jidoka_line::encoder::{Encoder, EncoderLimits, Quadrature};
use jidoka_line::{Micrometres, Micros};

/// A belt with one or two encoder channels.
pub struct Belt {
    encoder: Encoder,
    limits: EncoderLimits,
    /// Two channels; `None`: channel A alone, whose rising edges count forward.
    quadrature: Option<Quadrature>,
    a: bool,
    b: bool,
    /// Counts that may be missing since the last alarm: two for each edge that was lost or illegal.
    doubt: u64,
    /// What the line was told last: position and speed.
    told: Option<(Micrometres, u64)>,
    moved_at: Option<Micros>,
}

impl Belt {
    /// A standing belt whose channels have these levels (`None`: no such channel).
    pub fn new(limits: EncoderLimits, a: Option<bool>, b: Option<bool>) -> Belt {
        let level = a.unwrap_or(false);
        Belt {
            encoder: Encoder::new(limits),
            limits,
            quadrature: b.map(|b| Quadrature::new(level, b)),
            a: level,
            b: b.unwrap_or(false),
            doubt: 0,
            told: None,
            moved_at: None,
        }
    }

    /// Takes a channel's edge, before which the kernel lost `lost`; an alarm where the belt does what it cannot.
    pub fn on_edge(&mut self, is_a: bool, active: bool, lost: u32, at: Micros) -> Option<Alarm> {
        *if is_a { &mut self.a } else { &mut self.b } = active;
        let steps = match &mut self.quadrature {
            None => i32::from(is_a && active),
            Some(quadrature) => {
                let illegal = quadrature.illegal;
                let steps = quadrature.step(self.a, self.b);
                self.doubt += 2 * (quadrature.illegal - illegal);
                steps
            }
        };
        self.doubt += 2 * u64::from(lost);
        self.moved_at = Some(at);
        let alarm = self.encoder.count(steps, at);
        // As much doubt as the belt may vibrate is taken for vibration; more means that nobody knows where the parts are.
        let doubt_um = self.doubt.saturating_mul(u64::from(self.limits.um)) / u64::from(self.limits.per_counts.max(1));
        if self.doubt > 0 && doubt_um > self.limits.reversal_um {
            self.doubt = 0;
            return Some(Alarm::EncoderSlip);
        }
        alarm
    }

    /// See [`Encoder::on_part`].
    pub fn on_part(&mut self, at: Micros) -> Option<Alarm> {
        self.encoder.on_part(at)
    }

    /// Where the belt is.
    pub fn position(&self) -> Micrometres {
        self.encoder.position()
    }

    /// How fast the belt runs forward.
    pub fn speed_um_per_s(&self) -> u64 {
        self.encoder.speed_um_per_s()
    }

    /// Steps that no belt can make.
    pub fn illegal(&self) -> u64 {
        self.quadrature.map_or(0, |quadrature| quadrature.illegal)
    }

    /// Position and speed, where either has changed since the last time.
    pub fn news(&mut self, now: Micros) -> Option<(Micrometres, u64)> {
        self.encoder.poll(now);
        if self.encoder.speed_um_per_s() == 0 && self.deadline().is_some_and(|at| now >= at) {
            self.moved_at = None;
        }
        let state = (self.encoder.position(), self.encoder.speed_um_per_s());
        (self.told.replace(state) != Some(state)).then_some(state)
    }

    /// When a belt that does not move any more counts as standing.
    pub fn deadline(&self) -> Option<Micros> {
        self.moved_at.map(|at| at + self.limits.stall)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jidoka_line::Span;

    const LIMITS: EncoderLimits = EncoderLimits {
        um: 1_000_000,
        per_counts: 1_000,
        fastest_um_per_s: 1_000_000,
        reversal_um: 5_000,
        least_pitch_um: 0,
        stall: Span::from_millis(200),
    };

    /// Turns a quadrature encoder by these quarter cycles, 2 ms apart.
    fn turn(belt: &mut Belt, steps: &[i32], from: &mut (i64, u64)) -> Vec<Alarm> {
        let levels = |phase: i64| match phase.rem_euclid(4) {
            0 => (false, false),
            1 => (true, false),
            2 => (true, true),
            _ => (false, true),
        };
        let mut alarms = vec![];
        for step in steps {
            let before = levels(from.0);
            from.0 += i64::from(*step);
            from.1 += 2_000;
            let after = levels(from.0);
            let is_a = before.0 != after.0;
            alarms.extend(belt.on_edge(is_a, if is_a { after.0 } else { after.1 }, 0, Micros::new(from.1)));
        }
        alarms
    }

    #[test]
    fn quadrature_counts_both_ways_and_a_single_channel_forward() {
        let (mut belt, mut at) = (Belt::new(LIMITS, Some(false), Some(false)), (0, 0));
        assert_eq!(turn(&mut belt, &[1, 1, 1, 1, 1, -1], &mut at), []);
        assert_eq!(belt.position(), Micrometres(4_000));
        let mut single = Belt::new(LIMITS, Some(false), None);
        for (index, active) in [true, false, true, false].into_iter().enumerate() {
            assert_eq!(single.on_edge(true, active, 0, Micros::new(index as u64 * 2_000)), None);
        }
        assert_eq!(single.position(), Micrometres(2_000));
    }

    #[test]
    fn reversal_and_lost_edges_beyond_the_vibration_are_alarms() {
        let (mut belt, mut at) = (Belt::new(LIMITS, Some(false), Some(false)), (0, 0));
        turn(&mut belt, &[1; 12], &mut at);
        assert_eq!(turn(&mut belt, &[-1; 6], &mut at), [Alarm::EncoderReversal]);
        let mut belt = Belt::new(LIMITS, Some(false), None);
        assert_eq!(belt.on_edge(true, true, 2, Micros::new(1)), None);
        assert_eq!(belt.on_edge(true, false, 1, Micros::new(2)), Some(Alarm::EncoderSlip));
    }

    #[test]
    fn a_belt_that_stands_is_told_once() {
        let (mut belt, mut at) = (Belt::new(LIMITS, Some(false), Some(false)), (0, 0));
        turn(&mut belt, &[1; 30], &mut at);
        assert!(belt.news(Micros::new(at.1)).is_some_and(|(_, speed)| speed > 0));
        assert_eq!(belt.news(Micros::new(at.1 + 1_000)), None);
        let stands_at = belt.deadline().expect("it moved");
        assert_eq!(belt.news(stands_at), Some((Micrometres(30_000), 0)));
        assert_eq!((belt.news(stands_at), belt.deadline()), (None, None));
    }
}
