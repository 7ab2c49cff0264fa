//! Moving parts on: which window opens, which closes, who leaves, and when to look again.

use embedded_hal::digital::OutputPin;

use super::Line;
use crate::alarm::Alarm;
use crate::event::What;
use crate::mutants::planted;
use crate::outputs::{Signal, Wiring};
use crate::part::{Axis, Travel};
use crate::table::{Record, State};
use crate::time::{Micros, Span};
use crate::verdict::{EjectorId, Outcome, PulseId, Why};
use crate::window::RejectWindow;

/// What is to happen to a record at this moment.
enum Next {
    /// Nothing.
    Stay,
    /// It has no verdict and its window opens.
    Reject,
    /// Its window is open: fire.
    Fire(EjectorId),
    /// The ejector has been on for too long on a belt that stands: off until it moves again.
    Rest(EjectorId),
    /// Its window has closed with the ejector having acted.
    Fired(EjectorId, PulseId),
    /// It leaves.
    Leave(Outcome),
    /// It leaves as missed.
    Miss(Why),
}

impl<P: OutputPin> Line<P> {
    pub(super) fn advance(&mut self) {
        if self.belt.behind && !planted!(self, ReversalIgnored) {
            self.pause();
            return;
        }
        self.light();
        self.distrust_touched();
        let mut index = 0;
        while let Some(record) = self.table.get(index).copied() {
            // Each record moves through several states at most, and every move is towards leaving.
            match self.next(&record) {
                Next::Stay => index += 1,
                Next::Reject => {
                    if let Some(record) = self.table.get_mut(index) {
                        let why = record.why;
                        record.reject(why);
                    }
                }
                Next::Fire(ejector) => self.fire(index, ejector),
                Next::Rest(ejector) => {
                    let here = self.here();
                    if let Some(record) = self.table.get_mut(index) {
                        record.rested_at = Some(here);
                        record.state = State::Ejecting { ejector };
                    }
                }
                Next::Fired(ejector, pulse) => self.fired(index, ejector, pulse),
                Next::Leave(outcome) => {
                    if let Some(record) = self.table.remove(index) {
                        self.leave(record, outcome);
                        if planted!(self, LeavesTwice) && record.part.id.0 % 1_000 == 999 {
                            self.leave(record, outcome);
                        }
                    }
                }
                Next::Miss(why) => {
                    if let Some(record) = self.table.remove(index) {
                        self.leave_missed(record, why);
                    }
                }
            }
        }
        self.end_pulses();
        self.open_gate();
    }

    fn next(&self, record: &Record) -> Next {
        let here = self.here();
        match record.state {
            State::Waiting if here < record.due() => Next::Stay,
            State::Waiting if planted!(self, AbsentPasses) && here >= record.clear() => Next::Leave(Outcome::Pass),
            State::Waiting if planted!(self, AbsentPasses) => Next::Stay,
            State::Waiting => Next::Reject,
            State::Passing if here >= record.clear() && self.has_gate() && !record.let_through => {
                Next::Miss(Why::WindowGone)
            }
            State::Passing if here >= record.clear() => Next::Leave(Outcome::Pass),
            State::Passing => Next::Stay,
            State::Ejecting { ejector } => self.next_ejecting(record, ejector, here),
            State::Firing { ejector, pulse, since } => {
                let window = record.window(ejector);
                let overlong = planted!(self, PulseTooLong);
                let closed = window.is_none_or(|window| {
                    here >= window.closes.plus(if overlong { window.closes.past(window.opens) } else { 0 })
                });
                let too_long = self.config.longest_on.is_some_and(|most| self.now.since(since) >= most);
                let unfinished =
                    self.recipe.axis() == Axis::Distance && window.is_some_and(|window| here < window.fire_by);
                match (closed, too_long) {
                    (false, false) => Next::Stay,
                    (false, true) if unfinished => Next::Rest(ejector),
                    _ => Next::Fired(ejector, pulse),
                }
            }
            State::Confirming { ejector, pulse, until } => {
                // One of two parts that leave together may hide the other.
                let seen = record.seen > 0 || self.last_confirmed == Some(pulse) || planted!(self, ConfirmationIgnored);
                let all = record.seen >= record.expects();
                match seen {
                    true if all || self.now >= until => Next::Leave(Outcome::Reject { ejector, pulse }),
                    false if self.now >= until => Next::Miss(Why::Unconfirmed),
                    _ => Next::Stay,
                }
            }
        }
    }

    fn next_ejecting(&self, record: &Record, ejector: EjectorId, here: Travel) -> Next {
        let Some(window) = record.window(ejector) else { return Next::Miss(Why::WindowGone) };
        if let (Some(pulse), true) = (record.pulse, record.seen >= record.expects()) {
            // Interrupted by a belt that stopped or ran back, and gone all the same.
            return Next::Leave(Outcome::Reject { ejector, pulse });
        }
        if here < window.opens || record.rested_at == Some(here) {
            return Next::Stay;
        }
        if ejector == EjectorId::REJECT && self.gate_was_open_too_long(window) {
            return Next::Miss(Why::WindowGone);
        }
        if window.can_fire(here) {
            return Next::Fire(ejector);
        }
        if ejector != EjectorId::REJECT && record.window(EjectorId::REJECT).is_some_and(|window| window.can_fire(here))
        {
            // Too late for where it was sent, not too late to be rejected.
            return if here >= record.due() { Next::Fire(EjectorId::REJECT) } else { Next::Stay };
        }
        if planted!(self, GoneWindowCountsAsReject) {
            return Next::Leave(Outcome::Reject { ejector, pulse: self.last_pulse });
        }
        Next::Miss(Why::WindowGone)
    }

    fn has_gate(&self) -> bool {
        self.config.wiring == Wiring::EnergiseToPass
    }

    /// Whether the gate, open for the part before, is still open when a part to be rejected is there already.
    fn gate_was_open_too_long(&self, window: &RejectWindow) -> bool {
        self.has_gate() && self.outputs.levels().has(Signal::Reject) && self.here() > window.gate_by
    }

    /// Notes which good parts the gate is opened for in time; the others were rejected by it, whatever their verdict.
    fn open_gate(&mut self) {
        if !self.has_gate() {
            return;
        }
        let here = self.here();
        for index in 0..self.table.len() {
            if let Some(record) = self.table.get_mut(index)
                && record.state == State::Passing
                && let Some(window) = record.windows.first().and_then(Option::as_ref)
            {
                record.let_through |= window.is_open(here) && here <= window.gate_by;
            }
        }
    }

    /// Where the actuator thread overslept with an ejector on, the parts that it may have touched cannot be good any more: they
    /// are rejected while there is time. Lateness up to half the clear space is what the tolerance is for.
    fn distrust_touched(&mut self) {
        let here = self.here();
        for index in 0..self.table.len() {
            let Some(Record { state: State::Firing { ejector, .. }, windows, .. }) = self.table.get(index) else {
                continue;
            };
            let ejector = *ejector;
            let Some(Some(fired)) = windows.get(usize::from(ejector.0)).copied() else { continue };
            if here <= fired.closes {
                continue;
            }
            let touched = |window: &RejectWindow| {
                window.opens.past(here) < window.gap / 2 && window.opens >= fired.opens && window.closes > fired.closes
            };
            for other in 0..self.table.len() {
                if let Some(record) = self.table.get_mut(other)
                    && record.window(ejector).is_some_and(touched)
                {
                    record.reject(Why::Touched);
                }
            }
        }
    }

    /// Puts the ejector to work for the part, or lets the part join the pulse that runs already: overlapping windows merge.
    fn fire(&mut self, index: usize, ejector: EjectorId) {
        let (now, here) = (self.now, self.here());
        let Some(place) = self.running.get_mut(usize::from(ejector.0)) else { return };
        let running = *place;
        let pulse = running.unwrap_or(PulseId(self.last_pulse.0.wrapping_add(1)));
        *place = Some(pulse);
        let Some(record) = self.table.get_mut(index) else { return };
        record.state = State::Firing { ejector, pulse, since: now };
        record.pulse = Some(pulse);
        if running.is_none() {
            let planned = record.window(ejector).map_or(here, |window| window.opens);
            let part = record.part.id;
            self.last_pulse = pulse;
            self.counters.pulses += 1;
            self.note(What::PulseOn { pulse, ejector, part, planned, late: here.past(planned) });
        }
    }

    /// The part's window has closed: it leaves, or waits to be seen by the confirmation input.
    fn fired(&mut self, index: usize, ejector: EjectorId, pulse: PulseId) {
        let confirm_within = self.recipe.slot(ejector).and_then(|slot| slot.confirm_within);
        let Some(record) = self.table.get_mut(index) else { return };
        if let (Some(place), Some(window)) = (self.closed.get_mut(usize::from(ejector.0)), record.window(ejector)) {
            // Of windows that merged, the last one ends the pulse.
            *place = (*place).max(Some(window.closes));
        }
        match confirm_within {
            Some(within) => {
                let until = self.now + within;
                record.state = State::Confirming { ejector, pulse, until };
                self.confirm_until = self.confirm_until.max(until);
            }
            None => {
                let record = *record;
                let _ = self.table.remove(index);
                self.leave(record, Outcome::Reject { ejector, pulse });
            }
        }
    }

    /// A part was seen to leave: the first of those ejected that has not been seen.
    pub(super) fn confirm(&mut self) {
        for index in 0..self.table.len() {
            if let Some(record) = self.table.get_mut(index)
                && let Some(pulse) = record.pulse
                && record.seen < record.expects()
            {
                record.seen += 1;
                self.last_confirmed = Some(pulse);
                return;
            }
        }
        if self.now >= self.confirm_until {
            // No pulse explains it: something left that was to stay.
            self.raise(Alarm::UnexpectedConfirm);
        }
    }

    /// The belt runs backwards: parts that were good may be in front of an ejector again, so none may act. A part whose window
    /// was open is fired at again when the belt has caught up.
    fn pause(&mut self) {
        for index in 0..self.table.len() {
            if let Some(record) = self.table.get_mut(index)
                && let State::Firing { ejector, .. } = record.state
            {
                record.state = State::Ejecting { ejector };
            }
        }
        self.end_pulses();
    }

    /// Ends the pulses that no part needs any more.
    fn end_pulses(&mut self) {
        for number in 0..crate::MAX_EJECTORS as u8 {
            let ejector = EjectorId(number);
            let needed =
                |record: &Record| matches!(record.state, State::Firing { ejector: firing, .. } if firing == ejector);
            if !self.table.iter().any(needed) {
                self.end_pulse(ejector);
            }
        }
    }

    pub(super) fn end_pulse(&mut self, ejector: EjectorId) {
        let (number, here) = (usize::from(ejector.0), self.here());
        if let Some(pulse) = self.running.get_mut(number).and_then(Option::take) {
            let closed = self.closed.get_mut(number).and_then(Option::take);
            let late = closed.map(|closed| here.past(closed)).filter(|late| *late >= 0);
            if let Some(place) = self.last_off.get_mut(number) {
                *place = here;
            }
            self.note(What::PulseOff { pulse, ejector, late });
        }
    }

    /// Notes when the light goes on for a part, so that the camera's trigger and the light's end can follow by time.
    fn light(&mut self) {
        if self.recipe.strobe.is_none() {
            return;
        }
        let (here, now) = (self.here(), self.now);
        for index in 0..self.table.len() {
            if let Some(record) = self.table.get_mut(index)
                && record.strobe_at.take_if(|at| here >= *at).is_some()
            {
                record.lit_at = Some(now);
            }
        }
    }

    /// The next moment at which anything changes by itself.
    pub(super) fn next_deadline(&self) -> Option<Micros> {
        let parts = self.table.iter().filter_map(|record| self.next_edge(record));
        let shown = self.shown.map(|shown| shown.since + self.config.result_hold);
        let missed = self.missed_at.map(|since| since + self.config.result_hold);
        let timers = [shown, missed, self.asks_from(), self.supervisor.next(), self.gate.closes()];
        parts.chain(timers.into_iter().flatten().filter(|at| *at > self.now)).min()
    }

    fn next_edge(&self, record: &Record) -> Option<Micros> {
        let edge = match record.state {
            State::Waiting => self.when(record.due()),
            State::Passing => self.when(record.clear()),
            State::Ejecting { ejector } => record.window(ejector).and_then(|window| self.when(window.opens)),
            State::Firing { ejector, since, .. } => {
                let closes = record.window(ejector).and_then(|window| self.when(window.closes));
                [closes, self.config.longest_on.map(|most| since + most)].into_iter().flatten().min()
            }
            State::Confirming { until, .. } => Some(until),
        };
        // A good part's gate opens (energise-to-pass) before it is clear.
        let gate = match (record.state, record.window(EjectorId::REJECT)) {
            (State::Passing, Some(window)) => [window.opens, window.closes].into_iter().find(|at| *at > self.here()),
            _ => None,
        };
        let light = record.strobe_at.and_then(|at| self.when(at));
        let lit = record
            .lit_at
            .zip(self.recipe.strobe)
            .and_then(|(at, strobe)| [at + strobe.lead, at + strobe.width].into_iter().find(|edge| *edge > self.now));
        [edge, gate.and_then(|at| self.when(at)), light, lit].into_iter().flatten().min()
    }

    /// When the axis will be at `place`, by the belt's present speed; `None` while it stands.
    fn when(&self, place: Travel) -> Option<Micros> {
        match self.recipe.axis() {
            Axis::Time => Some(Micros::new(u64::try_from(place.0).unwrap_or(0))),
            Axis::Distance if self.belt.behind => None,
            Axis::Distance => {
                let left = u64::try_from(place.past(self.belt.furthest)).unwrap_or(0);
                let micros = left.saturating_mul(1_000_000).checked_div(self.belt.speed_um_per_s)?;
                // Where the encoder is late with a count that the estimate expected, look again soon, not at once for ever.
                Some((self.belt.read_at + Span::from_micros(micros)).max(self.now + Span::from_millis(1)))
            }
        }
    }
}
