//! Verdicts: which part they are about, whether they are to be believed, and what they do to it.

use embedded_hal::digital::OutputPin;

use super::{FrameDue, Line, Mode, Shown};
use crate::alarm::Alarm;
use crate::event::Evidence;
use crate::golden::Step;
use crate::mutants::planted;
use crate::part::PartId;
use crate::table::{Record, State};
use crate::time::Micros;
use crate::verdict::{EjectorId, Judgement, Subject, Verdict, Why};

impl<P: OutputPin> Line<P> {
    /// An inspection was completed (or given up, [`Judgement::Missed`]).
    pub fn on_verdict(&mut self, verdict: Verdict, now: Micros) {
        self.tick(now);
        if self.mode == Mode::Stopped {
            return;
        }
        if verdict.is_complete() {
            self.completed(&verdict);
        }
        let Some(index) = self.subject(&verdict) else { return };
        let judgement = self.believe(&verdict, index);
        self.judge(index, &verdict, judgement);
    }

    /// A model looked at a frame: the heartbeat moves, the supervisor is content, a hold may end, a golden sample is compared.
    fn completed(&mut self, verdict: &Verdict) {
        self.counters.completed += 1;
        self.heartbeat = !self.heartbeat;
        self.supervisor.judged();
        if self.back_off_is_over() {
            self.supervisor.recovered(self.now);
            if !self.supervisor.is_camera_lost() {
                self.set_mode(Mode::Running);
            }
        }
        if self.gate.judged(verdict.judgement, self.now) == Step::Wrong {
            self.raise(Alarm::GoldenSample);
        }
    }

    /// Where the part that the verdict is about is in the table.
    fn subject(&mut self, verdict: &Verdict) -> Option<usize> {
        match verdict.subject {
            Subject::Part(part) => {
                if self.expected.is_none_or(|expected| part.id >= expected) {
                    // Its trigger was lost between the threads, its verdict was not: the part is known all the same.
                    self.on_trigger(part, self.now);
                }
                let found = self.table.find(part.id);
                if found.is_none() {
                    self.counters.late += 1;
                }
                found
            }
            Subject::Frame => {
                let found = self.in_view(verdict.captured_at);
                if found.is_none() {
                    self.counters.orphaned += 1;
                }
                found
            }
        }
    }

    /// The part whose expected frame time is nearest to `captured_at`, within the tolerance.
    fn in_view(&self, captured_at: Micros) -> Option<usize> {
        let off_by = |record: &Record| self.frame_due(record).map(|due| captured_at.distance(due));
        let candidates = self.table.iter().enumerate();
        let (off, index) = candidates.filter_map(|(index, record)| Some((off_by(record)?, index))).min()?;
        (off <= self.config.matching.tolerance).then_some(index)
    }

    /// The time that the part's frame must bear; `None` while the part has not been exposed yet.
    fn frame_due(&self, record: &Record) -> Option<Micros> {
        let exposed_at = match self.recipe.strobe {
            Some(strobe) => record.lit_at? + strobe.lead,
            None => record.part.captured_at,
        };
        Some(exposed_at + self.config.matching.offset)
    }

    /// The parts whose frame may come, each with the time that it must bear.
    pub fn frames_due(&self) -> impl Iterator<Item = FrameDue> {
        self.table.iter().filter_map(|record| {
            let at = self.frame_due(record)?;
            Some(FrameDue { part: record.part.id, recipe: record.recipe, at })
        })
    }

    /// What the verdict may count as, whatever it says.
    fn believe(&mut self, verdict: &Verdict, index: usize) -> Result<Judgement, Why> {
        let Some(record) = self.table.get(index) else { return Err(Why::Absent) };
        let (id, recipe) = (record.part.id, record.recipe);
        if verdict.subject == Subject::Frame
            && self.config.matching.check_sequence
            && !self.in_step(id, verdict.sequence)
        {
            self.counters.mismatched += 1;
            return Err(Why::Mismatch);
        }
        let aged =
            self.now.since(verdict.captured_at) > self.config.stale_after && !planted!(self, StaleVerdictAccepted);
        let other = verdict.recipe != recipe && !planted!(self, WrongRecipeAccepted);
        if aged || other {
            self.counters.stale += 1;
            return Err(Why::Stale);
        }
        if verdict.judgement == Judgement::Pass && verdict.score.0.is_nan() {
            return Err(Why::NoScore);
        }
        Ok(verdict.judgement)
    }

    /// Whether the numbers of parts and frames advanced together since the last frame that was matched.
    fn in_step(&mut self, id: PartId, sequence: u32) -> bool {
        let before = self.matched.replace((id, sequence));
        let Some((last_id, last_sequence)) = before else { return true };
        // Truncated on purpose: both count on modulo 2^32, and the driver's number wraps there.
        let parts = (id.0 as u32).wrapping_sub(last_id.0 as u32);
        parts == sequence.wrapping_sub(last_sequence)
    }

    fn judge(&mut self, index: usize, verdict: &Verdict, judgement: Result<Judgement, Why>) {
        let quorum = self.config.quorum;
        let passes_needed = match quorum.frames.saturating_sub(quorum.rejects).saturating_add(1) {
            _ if planted!(self, QuorumOfOne) => 1,
            needed => needed,
        };
        let second_ignored = planted!(self, SecondVerdictIgnored);
        let Some(record) = self.table.get_mut(index) else { return };
        record.evidence = Some(Evidence::from(verdict));
        match record.state {
            State::Waiting => {}
            State::Passing if second_ignored => return,
            State::Passing => {}
            _ => {
                // It is on its way out already; the verdict only explains it.
                if record.why == Why::Absent {
                    record.why = Why::Late;
                    self.counters.late += 1;
                }
                return;
            }
        }
        match judgement {
            Ok(Judgement::Pass) => {
                record.votes.passes = record.votes.passes.saturating_add(1);
                if record.votes.passes >= passes_needed && record.state == State::Waiting {
                    record.state = State::Passing;
                    record.why = Why::Good;
                } else if record.state == State::Waiting {
                    record.why = Why::TooFewFrames;
                }
            }
            Ok(Judgement::Reject) => {
                record.votes.rejects = record.votes.rejects.saturating_add(1);
                if record.votes.rejects >= quorum.rejects {
                    record.reject(verdict.why);
                } else if record.state == State::Waiting {
                    record.why = Why::TooFewFrames;
                }
            }
            Ok(Judgement::Divert(ejector)) => self.divert(index, ejector, verdict.why),
            Ok(Judgement::Missed) => record.reject(verdict.why),
            Err(why) => record.reject(why),
        }
        self.decided(index);
    }

    /// Sends a part to another ejector, or to the reject ejector where that one is absent or its window has gone.
    fn divert(&mut self, index: usize, ejector: EjectorId, why: Why) {
        let here = self.here();
        let Some(record) = self.table.get_mut(index) else { return };
        let reachable = record.window(ejector).is_some_and(|window| window.can_fire(here));
        record.reject(why);
        if reachable && let State::Ejecting { ejector: chosen } = &mut record.state {
            *chosen = ejector;
        }
    }

    /// A part has just been decided: take the sample that was asked for, and show the result.
    fn decided(&mut self, index: usize) {
        if let Some(ejector) = self.sample
            && self.table.get(index).is_some_and(|record| record.state == State::Passing)
        {
            self.sample = None;
            self.divert(index, ejector, Why::Sample);
        }
        let (now, blocked) = (self.now, self.results_blocked);
        let Some(record) = self.table.get_mut(index) else { return };
        if record.state == State::Waiting || record.shown_at.is_some() {
            return;
        }
        record.shown_at = Some(now);
        let pass = record.state == State::Passing || record.why == Why::Sample;
        if !blocked {
            self.shown = Some(Shown { pass, since: now });
        }
    }
}
