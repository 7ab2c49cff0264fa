//! The outputs as a pure function of the table, the status and the moment.

use embedded_hal::digital::OutputPin;

use super::{Line, Mode};
use crate::alarm::Alarm;
use crate::event::What;
use crate::mutants::planted;
use crate::outputs::{Levels, Signal, Wiring};
use crate::table::{Record, State};
use crate::verdict::EjectorId;

impl<P: OutputPin> Line<P> {
    /// Sets the pins.
    pub(super) fn apply(&mut self) {
        if planted!(self, HeartbeatAlways) {
            self.heartbeat = !self.heartbeat;
        }
        let levels = self.desired();
        if let Err(signal) = self.outputs.apply(levels) {
            let new = !self.alarms.has(Alarm::PinFailed);
            self.raise(Alarm::PinFailed);
            if new {
                self.note(What::PinFailed(signal));
            }
        }
    }

    fn desired(&self) -> Levels {
        let stopped = self.alarms.intersects(self.config.stop_on);
        let runs = self.mode == Mode::Running || self.asks_for_a_part();
        let ready = runs && !stopped && !self.table.is_full() && self.gate.is_open(self.now);
        let waiting = self.table.iter().any(|record| record.state == State::Waiting);
        let shown = self.shown.filter(|shown| self.now < shown.since + self.config.result_hold);
        let missed = self.missed_at.is_some_and(|since| self.now < since + self.config.result_hold);
        let (light, exposure) = self.lights();
        Levels::NONE
            .with(Signal::Ready, ready)
            .with(Signal::Busy, waiting)
            .with(Signal::ResultValid, shown.is_some())
            .with(Signal::Pass, shown.is_some_and(|shown| shown.pass))
            .with(Signal::Fail, shown.is_some_and(|shown| !shown.pass))
            .with(Signal::Reject, self.reject_level())
            .with(Signal::Eject1, self.is_firing(1))
            .with(Signal::Eject2, self.is_firing(2))
            .with(Signal::Missed, missed)
            .with(Signal::Alarm, !self.alarms.is_empty())
            .with(Signal::Heartbeat, self.heartbeat)
            .with(Signal::LineStop, stopped)
            .with(Signal::Strobe, light)
            .with(Signal::CameraTrigger, exposure)
    }

    fn is_firing(&self, ejector: u8) -> bool {
        self.running.get(usize::from(ejector)).is_some_and(Option::is_some)
    }

    fn reject_level(&self) -> bool {
        let firing = self.is_firing(EjectorId::REJECT.0);
        match self.config.wiring {
            Wiring::EnergiseToReject => firing,
            Wiring::EnergiseToPass => {
                let here = self.here();
                let lets_through = |record: &Record| {
                    record.let_through
                        && record.state == State::Passing
                        && record.window(EjectorId::REJECT).is_some_and(|window| window.is_open(here))
                };
                !firing && !self.belt.behind && self.table.iter().any(lets_through)
            }
        }
    }

    /// Whether the light is on, and whether the camera's trigger is.
    fn lights(&self) -> (bool, bool) {
        let Some(strobe) = self.recipe.strobe else { return (false, false) };
        let on = |lead| {
            let lit =
                |record: &Record| record.lit_at.is_some_and(|at| self.now >= at + lead && self.now < at + strobe.width);
            self.table.iter().any(lit)
        };
        (on(crate::time::Span::ZERO), on(strobe.lead))
    }
}
