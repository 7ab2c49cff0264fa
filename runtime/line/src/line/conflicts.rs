//! Parts so near to each other that one ejector, or nobody, can tell them apart.

use embedded_hal::digital::OutputPin;

use super::Line;
use crate::mutants::planted;
use crate::table::{Record, State};
use crate::verdict::Why;

impl<P: OutputPin> Line<P> {
    /// Whether an ejector was on, before this part was known, until so late that it may have touched it.
    pub(super) fn was_touched(&self, record: &Record) -> bool {
        let mut pairs = record.windows.iter().zip(self.last_off);
        pairs.any(|(window, off)| window.is_some_and(|window| off.plus(window.gap / 2) > window.opens))
    }

    /// Applies the rule for parts that the ejector cannot tell apart: both are rejected. Where the first has begun to pass
    /// already it stays good, and the second's window begins only after it is clear.
    pub(super) fn settle_conflicts(&mut self, index: usize) {
        if planted!(self, CloseNeighboursKept) {
            return;
        }
        // All the others, not only the neighbours: windows of two recipes may lie in another order than their triggers.
        for other in (0..self.table.len()).filter(|other| *other != index) {
            self.settle_pair(index, other);
        }
    }

    /// Two triggers nearer than parts can be: one of them is no part, and nobody knows which.
    pub(super) fn settle_interval(&mut self, index: usize) {
        let Some(mine) = self.table.get(index).copied() else { return };
        let near = |other: &Record| {
            other.part.id != mine.part.id
                && other.part.captured_at.distance(mine.part.captured_at) < self.config.least_interval
        };
        if let Some(other) = self.table.iter().position(near) {
            self.reject_both(index, other);
        }
    }

    fn settle_pair(&mut self, index: usize, other: usize) {
        let (Some(mine), Some(theirs)) = (self.table.get(index), self.table.get(other)) else { return };
        if mine.conflicts(theirs) {
            self.reject_both(index, other);
        }
    }

    fn reject_both(&mut self, index: usize, other: usize) {
        let Some(theirs) = self.table.get(other).copied() else { return };
        self.counters.too_close += 1;
        let begun = theirs.state == State::Passing && theirs.has_begun(self.here());
        if !begun && let Some(record) = self.table.get_mut(other) {
            record.reject(Why::TooClose);
        }
        let Some(record) = self.table.get_mut(index) else { return };
        record.reject(Why::TooClose);
        if begun {
            for pair in record.windows.iter_mut().zip(theirs.windows.iter()) {
                if let (Some(mine), Some(theirs)) = pair {
                    mine.keep_clear_of(theirs);
                }
            }
        }
    }
}
