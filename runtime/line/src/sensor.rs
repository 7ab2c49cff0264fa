//! From the edges of a part sensor to parts: debounce, hold-off, and the rule for parts that merge or split.
//!
//! The rule: what the sensor sees for less than `debounce` is a bounce; a part that comes after bounces has the time of the
//! first of them. A gap shorter than `debounce`, or an edge less than
//! `hold_off` after the last trigger, belongs to the same part (a hole, a split part). What the sensor sees for longer than
//! `longest` is two parts that touch: one part, [`Sensed::Merged`], to be rejected whole.

use crate::part::{Axis, Micrometres, Part, PartId, Travel};
use crate::time::{Micros, Span};

/// How edges become parts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SensorLimits {
    /// A level must last this long to count.
    pub debounce: Span,
    /// After a trigger, further edges belong to the same part for this long.
    pub hold_off: Span,
    /// The longest that one part keeps the sensor active, in axis units; `None` to leave it unchecked.
    pub longest: Option<i64>,
    /// What `longest` is in.
    pub axis: Axis,
}

/// What the sensor saw.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sensed {
    /// A new part; its time and place are those of the edge, not of the end of the debounce.
    Part(Part),
    /// This part was seen for longer than any single part takes, by `extra` axis units.
    Merged {
        /// The part.
        id: PartId,
        /// How much longer.
        extra: i64,
    },
}

/// One edge, with the kernel's timestamp and the belt's position.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Edge {
    /// Whether the sensor sees something from now on.
    pub active: bool,
    /// When.
    pub at: Micros,
    /// Where the belt was; zero on a line that tracks by time.
    pub position: Micrometres,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Beam {
    /// Sees nothing.
    Clear,
    /// Has seen something first at this edge, and without a break since then; not long enough yet to count.
    Rising(Edge, Micros),
    /// Had seen something first at this edge, and lost it again then: a bounce, unless it comes back soon.
    Bouncing(Edge, Micros),
    /// Sees this part.
    Active(PartId, Edge),
    /// Saw this part until the second edge; not long enough ago yet to be sure.
    Falling(PartId, Edge, Edge),
    /// Sees something that belongs to the last part.
    Ignoring,
}

/// Turns edges into parts and numbers them.
#[derive(Clone, Copy, Debug)]
pub struct Sensor {
    limits: SensorLimits,
    beam: Beam,
    next: PartId,
    last: Option<Micros>,
    /// Levels too short to count.
    pub bounces: u64,
    /// Edges that belonged to the part before.
    pub held_off: u64,
}

impl Sensor {
    /// A sensor that sees nothing; its first part gets the number `first`.
    pub const fn new(limits: SensorLimits, first: PartId) -> Sensor {
        Sensor { limits, beam: Beam::Clear, next: first, last: None, bounces: 0, held_off: 0 }
    }

    /// Takes an edge. First call [`Sensor::poll`] with the edge's time until it gives nothing more.
    pub fn on_edge(&mut self, edge: Edge) {
        self.beam = match (self.beam, edge.active) {
            (Beam::Clear, true) if self.last.is_some_and(|last| edge.at < last + self.limits.hold_off) => {
                self.held_off += 1;
                Beam::Ignoring
            }
            (Beam::Clear, true) => Beam::Rising(edge, edge.at),
            (Beam::Rising(first, _), false) => {
                self.bounces += 1;
                Beam::Bouncing(first, edge.at)
            }
            // The part is where it was at the first edge, however long the contact bounces.
            (Beam::Bouncing(first, _), true) => Beam::Rising(first, edge.at),
            (Beam::Active(id, since), false) => Beam::Falling(id, since, edge),
            (Beam::Falling(id, since, _), true) => {
                self.bounces += 1;
                Beam::Active(id, since)
            }
            (Beam::Ignoring, false) => Beam::Clear,
            (beam, _) => beam,
        };
    }

    /// What has become certain by `now`; call until it gives nothing more.
    pub fn poll(&mut self, now: Micros) -> Option<Sensed> {
        match self.beam {
            Beam::Rising(edge, since) if now >= since + self.limits.debounce => {
                let part = Part { id: self.next, captured_at: edge.at, position: edge.position };
                self.next = self.next.next();
                self.last = Some(edge.at);
                self.beam = Beam::Active(part.id, edge);
                Some(Sensed::Part(part))
            }
            Beam::Falling(id, from, to) if now >= to.at + self.limits.debounce => {
                self.beam = Beam::Clear;
                let length = self.travel(to).past(self.travel(from));
                let extra = length.saturating_sub(self.limits.longest.unwrap_or(i64::MAX));
                (extra > 0).then_some(Sensed::Merged { id, extra })
            }
            Beam::Bouncing(_, lost) if now >= lost + self.limits.debounce => {
                self.beam = Beam::Clear;
                None
            }
            _ => None,
        }
    }

    /// When something becomes certain by itself.
    pub fn deadline(&self) -> Option<Micros> {
        match self.beam {
            Beam::Rising(_, since) | Beam::Bouncing(_, since) => Some(since + self.limits.debounce),
            Beam::Falling(_, _, edge) => Some(edge.at + self.limits.debounce),
            _ => None,
        }
    }

    fn travel(&self, edge: Edge) -> Travel {
        Part { id: PartId(0), captured_at: edge.at, position: edge.position }.travel(self.limits.axis)
    }
}

/// Numbers the frames of a free-running camera with a steady interval, each of which is a part. Frames that were not delivered
/// become parts as well, at the times at which they must have been taken, so that the line rejects them.
#[derive(Clone, Copy, Debug)]
pub struct FreeRun {
    next: PartId,
    last: Option<(u32, Micros)>,
    interval: Span,
    /// Frames that were not delivered.
    pub lost: u64,
}

/// The parts that one frame stands for: those lost before it, then its own.
#[derive(Clone, Copy, Debug)]
pub struct FrameParts {
    next: PartId,
    lost_left: u32,
    from: Micros,
    interval: Span,
    own: Option<Part>,
}

impl FreeRun {
    /// A stream of frames about `interval` apart.
    pub const fn new(first: PartId, interval: Span) -> FreeRun {
        FreeRun { next: first, last: None, interval, lost: 0 }
    }

    /// The parts that the frame numbered `sequence`, taken at `captured_at`, stands for.
    ///
    /// None for a frame that is older than the last one: its part has been given up, and rejected, already.
    pub fn on_frame(&mut self, sequence: u32, captured_at: Micros) -> FrameParts {
        if self.last.is_some_and(|(_, at)| captured_at <= at) {
            return FrameParts { next: self.next, lost_left: 0, from: captured_at, interval: Span::ZERO, own: None };
        }
        let (lost, from) = match self.last {
            None => (0, captured_at),
            Some((before, at)) => (self.lost_between(before, at, sequence, captured_at), at),
        };
        self.last = Some((sequence, captured_at));
        self.lost = self.lost.saturating_add(u64::from(lost));
        // More than the line holds could not be tracked anyway: their numbers are left out, and the line counts the gap.
        let tracked = lost.min(crate::MAX_PARTS as u32 / 2);
        let untracked = lost - tracked;
        let first = PartId(self.next.0.saturating_add(u64::from(untracked)));
        let own = PartId(first.0.saturating_add(u64::from(tracked)));
        self.next = own.next();
        let parts = u64::from(tracked) + 1;
        let interval =
            Span::from_micros(captured_at.since(from).as_micros().checked_div(u64::from(lost) + 1).unwrap_or(0));
        let from = captured_at - interval * parts;
        FrameParts { next: first, lost_left: tracked, from, interval, own: Some(Part::new(own, captured_at)) }
    }

    fn lost_between(&self, before: u32, at: Micros, sequence: u32, captured_at: Micros) -> u32 {
        let interval = self.interval.as_micros();
        let by_time = (captured_at.since(at).as_micros() + interval / 2).checked_div(interval).unwrap_or(0);
        let by_time = u32::try_from(by_time).unwrap_or(u32::MAX);
        // A number that went back is a new stream after a replug, and one may also go on from where the old one ended by
        // chance: what the number does not say, the time does.
        let by_number = match sequence.wrapping_sub(before) {
            steps if steps < u32::MAX / 2 => steps,
            _ => 0,
        };
        by_time.max(by_number).saturating_sub(1)
    }
}

impl Iterator for FrameParts {
    type Item = Part;

    fn next(&mut self) -> Option<Part> {
        if self.lost_left == 0 {
            return self.own.take();
        }
        self.lost_left -= 1;
        self.from = self.from + self.interval;
        let part = Part::new(self.next, self.from);
        self.next = self.next.next();
        Some(part)
    }
}

#[cfg(test)]
mod tests;
