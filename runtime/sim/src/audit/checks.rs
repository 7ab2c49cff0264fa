//! The promises, one by one.

use jidoka_line::{EjectorId, MAX_EJECTORS, Outcome, Signal, Why, Wiring};

use super::{Audit, Truth, Violation};
use crate::pins::Board;

/// So long after a part is past the ejector and known to the loop, it must have left.
const PATIENCE_US: u64 = 3_000_000;
/// A pulse that began with the part in reach is over by then.
const AFTERMATH_US: u64 = 1_000_000;

impl Audit {
    /// Audits the parts of which all has been said; those that came first, first.
    pub(crate) fn settle(&mut self, now: u64) {
        while let Some(truth) = self.truths.front().copied() {
            let past = truth.past().saturating_add(AFTERMATH_US) < now;
            match (truth.left, past) {
                (Some(left), true) => self.check(&truth, left),
                (None, true) if self.was_never_numbered(&truth, now) => {}
                // A free-running camera may be gone for as long as it likes; its parts are counted when it is back.
                (None, _) if truth.id.is_none() && self.trigger.is_frame() => return,
                (None, _) if truth.past().max(truth.numbered_at).saturating_add(PATIENCE_US) < now => {
                    let (number, id) = (self.base, truth.id);
                    self.broke(Violation::NeverLeft, now, format_args!("part #{number} (number {id:?}) never left"));
                    return;
                }
                _ => return,
            }
            self.truths.pop_front();
            self.base += 1;
            if self.has_failed() {
                return;
            }
        }
    }

    /// A part of which no frame came from a free-running camera has no number; the line counted it as lost when the next
    /// frame came. After the last frame of a shift nobody could know of it.
    fn was_never_numbered(&mut self, truth: &Truth, now: u64) -> bool {
        if !self.trigger.is_frame() || truth.id.is_some() {
            return false;
        }
        let counted = self.lost_credit > 0;
        self.lost_credit -= u64::from(counted);
        self.tally.stranded += u64::from(!counted && now == u64::MAX);
        counted || now == u64::MAX
    }

    fn check(&mut self, truth: &Truth, (outcome, why): (Outcome, Why)) {
        let (number, at) = (self.base, truth.past());
        let removed = self.is_removed(truth.hit);
        self.tally.false_rejects += u64::from(!truth.defect && outcome != Outcome::Pass);
        if truth.bad && !removed && outcome != Outcome::Missed {
            self.broke(
                Violation::Escape,
                at,
                format_args!("bad part #{number} went by, counted as {outcome:?} ({why:?})"),
            );
        }
        match outcome {
            Outcome::Pass if removed => {
                self.broke(Violation::WrongPart, at, format_args!("part #{number} passed and was hit"));
            }
            Outcome::Pass if truth.passes < self.passes_needed || truth.held => {
                let (passes, held) = (truth.passes, truth.held);
                let what =
                    format_args!("part #{number} passed on {passes} fresh valid verdicts of its own, held: {held}");
                self.broke(Violation::UnprovenPass, at, what);
            }
            Outcome::Reject { ejector, .. } if !self.is_removed_by(ejector, truth.hit) => {
                let what = format_args!("part #{number} counted as rejected ({why:?}) was not hit");
                self.broke(Violation::RejectedByNothing, at, what);
            }
            _ => {}
        }
    }

    /// Whether this ejector took the part out.
    fn is_removed_by(&self, ejector: EjectorId, hit: [bool; MAX_EJECTORS]) -> bool {
        let is_gate = ejector == EjectorId::REJECT && self.wiring == Wiring::EnergiseToPass;
        hit.get(usize::from(ejector.0)).is_some_and(|hit| *hit != is_gate)
    }

    /// What must hold after every turn of the actuator thread.
    pub(crate) fn after_turn(&mut self, now: u64, board: &Board) {
        let (completed, held) = self.mirror.end_turn(now);
        let count = |signal, on| self.edges.iter().filter(|edge| **edge == (signal, on)).count();
        let beats = count(Signal::Heartbeat, true) + count(Signal::Heartbeat, false);
        let ejectors = [Signal::Reject, Signal::Eject1, Signal::Eject2];
        let pulses = |on| ejectors.iter().map(|ejector| count(*ejector, on)).sum::<usize>() as u32;
        let pulses = (pulses(true), pulses(false));
        if beats as u32 != completed % 2 {
            self.broke(Violation::Heartbeat, now, format_args!("{beats} beats for {completed} completed inspections"));
        }
        let notes = std::mem::take(&mut self.pulse_notes);
        if self.wiring == Wiring::EnergiseToReject && pulses != notes {
            self.broke(
                Violation::Pulses,
                now,
                format_args!("the pin went on and off {pulses:?} times, the notes say {notes:?}"),
            );
        }
        if self.mirror.results_are_blocked() && board.has(Signal::ResultValid) {
            self.broke(Violation::StaleResult, now, format_args!("a result is valid after a recipe change"));
        }
        if held && board.has(Signal::Ready) {
            self.broke(
                Violation::ReadyWhileHeld,
                now,
                format_args!("no frame came in time, or the camera is away, and the line is ready"),
            );
        }
        let due = std::mem::take(&mut self.alarm_due);
        if due && !board.has(Signal::Alarm) {
            self.broke(Violation::SilentMiss, now, format_args!("a part was missed and no alarm stands"));
        }
        if self.mirror.must_alarm() && !board.has(Signal::Alarm) {
            self.broke(Violation::AlarmCount, now, format_args!("too many rejects in a row and no alarm"));
        }
    }
}
