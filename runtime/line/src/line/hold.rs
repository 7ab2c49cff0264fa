//! Holding the line: a stage that missed its deadline, a camera that is away.

use embedded_hal::digital::OutputPin;

use super::{Line, Mode};
use crate::alarm::Alarm;
use crate::event::CameraLoss;
use crate::mutants::planted;
use crate::time::{Micros, Span};

impl<P: OutputPin> Line<P> {
    /// The camera gives nothing that shows a part. Ready goes off and every new part is rejected until
    /// [`Line::on_camera_back`]; parts in flight keep what was decided about them. Said again, it changes nothing, but that an
    /// alarm that was acknowledged meanwhile stands again.
    pub fn on_camera_lost(&mut self, loss: CameraLoss, now: Micros) {
        self.tick(now);
        if self.mode == Mode::Stopped {
            return;
        }
        self.raise(loss.alarm());
        if planted!(self, CameraLossIgnored) {
            return;
        }
        self.supervisor.camera_lost();
        self.hold_for_camera();
    }

    /// The camera is back. The line runs on, unless a missed deadline holds it as well.
    pub fn on_camera_back(&mut self, now: Micros) {
        self.tick(now);
        let was_lost = self.supervisor.camera_back(self.now);
        if was_lost && !self.supervisor.is_overdue() && self.held_until().is_some() {
            self.set_mode(Mode::Running);
        }
    }

    pub(super) fn hold_for_camera(&mut self) {
        if self.supervisor.is_camera_lost() && self.mode == Mode::Running {
            self.set_mode(Mode::Holding { until: self.now });
        }
    }

    pub(super) const fn is_held_for_camera_alone(&self) -> bool {
        self.supervisor.is_camera_lost() && !self.supervisor.is_overdue()
    }

    /// Whether a held line asks for one part: the back-off is over, nothing is in flight, and no frame comes of itself. That part
    /// is rejected, and its inspection ends the hold. A PLC that feeds only while Ready is on would wait for ever otherwise.
    pub(super) fn asks_for_a_part(&self) -> bool {
        let over = self.asks_from().is_some_and(|from| self.now >= from);
        over && !self.supervisor.is_camera_lost() && self.owes_nothing()
    }

    /// When a held line whose parts are triggered may ask for one. Frames that come of themselves need not be asked for.
    pub(super) fn asks_from(&self) -> Option<Micros> {
        self.held_until().filter(|_| !self.config.free_running)
    }

    /// The end of the back-off, while the line is held.
    pub(super) const fn held_until(&self) -> Option<Micros> {
        if let Mode::Holding { until } = self.mode { Some(until) } else { None }
    }

    /// Whether the line is held, and an inspection would end that.
    pub(super) fn back_off_is_over(&self) -> bool {
        self.held_until().is_some_and(|until| self.now >= until)
    }

    /// Nothing is in flight, and no frame or verdict is owed.
    pub(super) fn owes_nothing(&self) -> bool {
        self.table.is_empty() && self.supervisor.is_idle()
    }

    /// A stage that missed its deadline holds the line.
    pub(super) fn supervise(&mut self) {
        if self.gate.lapse(self.now) {
            self.raise(Alarm::GoldenSample);
        }
        while let Some(alarm) = self.supervisor.check(self.now) {
            self.raise(alarm);
            if planted!(self, HoldIgnored) {
                continue;
            }
            let back_off: Span = self.supervisor.hold(self.now);
            if self.mode != Mode::Starting {
                self.set_mode(Mode::Holding { until: self.now + back_off });
            }
        }
    }
}
