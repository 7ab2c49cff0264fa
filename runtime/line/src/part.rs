//! Parts and where they are.

use crate::time::{Micros, Span};

/// The number of a part on this line, counted from the trigger; consecutive, so that a gap means a lost trigger.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct PartId(pub u64);

impl PartId {
    /// The part after this one.
    pub const fn next(self) -> PartId {
        PartId(self.0.saturating_add(1))
    }
}

/// A distance along the belt in micrometres.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct Micrometres(pub i64);

/// A place on the axis that reject windows are scheduled on: microseconds on a line that tracks by time, micrometres on one
/// that tracks by encoder.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct Travel(pub i64);

impl Travel {
    /// The place of a moment on a time axis.
    pub const fn of_time(at: Micros) -> Travel {
        let micros = at.as_u64();
        Travel(if micros > i64::MAX as u64 { i64::MAX } else { micros as i64 })
    }

    /// The place of a belt position on a distance axis.
    pub const fn of_position(position: Micrometres) -> Travel {
        Travel(position.0)
    }

    /// Further along by `by` axis units; saturates.
    pub const fn plus(self, by: i64) -> Travel {
        Travel(self.0.saturating_add(by))
    }

    /// How far this is past `from`; negative where it is before it.
    pub const fn past(self, from: Travel) -> i64 {
        self.0.saturating_sub(from.0)
    }
}

/// What reject windows are scheduled on.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Axis {
    /// The monotonic clock: the belt runs at a known speed. One unit is a microsecond.
    #[default]
    Time,
    /// The encoder: the belt may stop, start and change speed. One unit is a micrometre.
    Distance,
}

/// One part, as it was when it was triggered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Part {
    /// Its number; consecutive on one line.
    pub id: PartId,
    /// When it was triggered (sensor edge, or the driver's timestamp of its frame on a free-running camera).
    pub captured_at: Micros,
    /// Where the belt was then, by the encoder; zero on a line that tracks by time.
    pub position: Micrometres,
}

impl Part {
    /// A part on a line that tracks by time.
    pub const fn new(id: PartId, captured_at: Micros) -> Part {
        Part { id, captured_at, position: Micrometres(0) }
    }

    /// The part's place on `axis`.
    pub const fn travel(&self, axis: Axis) -> Travel {
        match axis {
            Axis::Time => Travel::of_time(self.captured_at),
            Axis::Distance => Travel::of_position(self.position),
        }
    }

    /// How long ago it was triggered.
    pub const fn age(&self, now: Micros) -> Span {
        now.since(self.captured_at)
    }
}
