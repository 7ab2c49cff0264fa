//! Reject windows: where on the axis an ejector acts on one part.

use crate::part::{Axis, Travel};
use crate::time::Span;

/// One ejector's checked arithmetic in axis units: where each part's window lies relative to its trigger.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Slot {
    pub(crate) axis: Axis,
    pub(crate) opens_after: i64,
    pub(crate) width: i64,
    pub(crate) least: i64,
    pub(crate) gap: i64,
    pub(crate) confirm_within: Option<Span>,
}

/// The stretch of the axis in which an ejector's pin is on for one part.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RejectWindow {
    /// Where the pin goes on.
    pub opens: Travel,
    /// Where it goes off.
    pub closes: Travel,
    /// The last place at which the pulse may begin and still remove the part.
    pub fire_by: Travel,
    /// How much clear axis has to lie between this window and a neighbour's.
    pub gap: i64,
    /// On an energise-to-pass line: the last place at which the gate may move and still be there before the part.
    pub(crate) gate_by: Travel,
}

impl Slot {
    /// The window of a part triggered at `from`.
    pub const fn window(&self, from: Travel) -> RejectWindow {
        let opens = from.plus(self.opens_after);
        let closes = opens.plus(self.width);
        let gate_by = opens.plus((self.width - self.gap) / 2);
        RejectWindow { opens, closes, fire_by: closes.plus(-self.least), gap: self.gap, gate_by }
    }

    /// What the slot is scheduled on.
    pub const fn axis(&self) -> Axis {
        self.axis
    }
}

impl RejectWindow {
    /// Whether `here` lies in it.
    pub const fn is_open(&self, here: Travel) -> bool {
        here.0 >= self.opens.0 && here.0 < self.closes.0
    }

    /// Whether a pulse that begins at `here`, or when the window opens, still removes the part.
    pub const fn can_fire(&self, here: Travel) -> bool {
        here.0 <= self.fire_by.0 && self.opens.0 <= self.fire_by.0
    }

    /// Cuts off what would act on the part that owns `other`.
    pub(crate) fn keep_clear_of(&mut self, other: &RejectWindow) {
        let gap = self.gap.max(other.gap);
        if self.opens >= other.opens {
            self.opens = self.opens.max(other.closes.plus(gap));
        } else {
            let cut = self.closes.past(other.opens.plus(gap.saturating_neg())).max(0);
            self.closes = self.closes.plus(-cut);
            self.fire_by = self.fire_by.plus(-cut);
        }
    }

    /// Whether the two lie so near that one ejector could act on both parts.
    pub const fn conflicts(&self, other: &RejectWindow) -> bool {
        let gap = if self.gap > other.gap { self.gap } else { other.gap };
        self.opens.0 < other.closes.plus(gap).0 && other.opens.0 < self.closes.plus(gap).0
    }
}
