//! The supervisor: notices when a stage misses its deadline, and how long the line is then held.

use crate::alarm::{Alarm, Deadlines};
use crate::time::{Micros, Span};

/// Deadlines that run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Supervisor {
    limits: Deadlines,
    frame_due: Option<Micros>,
    inference_due: Option<Micros>,
    poll_due: Option<Micros>,
    misses: u32,
    recovered_at: Micros,
    /// A stage missed its deadline and nothing has been inspected since.
    overdue: bool,
    /// The camera is known to be away: it owes no frame.
    camera_lost: bool,
}

impl Supervisor {
    pub(crate) const fn new(mut limits: Deadlines, free_running: bool) -> Supervisor {
        if free_running {
            limits.silence = limits.frame;
        }
        Supervisor {
            limits,
            frame_due: None,
            inference_due: None,
            poll_due: None,
            misses: 0,
            recovered_at: Micros::ZERO,
            overdue: false,
            camera_lost: false,
        }
    }

    pub(crate) fn triggered(&mut self, now: Micros) {
        if !self.camera_lost {
            self.frame_due = self.frame_due.or(due(now, self.limits.frame));
        }
    }

    pub(crate) fn frame_arrived(&mut self, now: Micros) {
        self.frame_unfit(now);
        self.inference_due = self.inference_due.or(due(now, self.limits.inference));
    }

    pub(crate) fn no_more_frames(&mut self) {
        self.frame_due = None;
        (self.limits.frame, self.limits.silence) = (Span::MAX, Span::MAX);
    }

    /// A frame of which nothing follows.
    pub(crate) fn frame_unfit(&mut self, now: Micros) {
        self.frame_due = if self.camera_lost { None } else { due(now, self.limits.silence) };
    }

    pub(crate) fn camera_lost(&mut self) {
        self.camera_lost = true;
        self.frame_due = None;
    }

    /// Whether the camera was away until now.
    pub(crate) fn camera_back(&mut self, now: Micros) -> bool {
        let was_lost = core::mem::take(&mut self.camera_lost);
        if was_lost {
            self.frame_due = due(now, self.limits.silence);
        }
        was_lost
    }

    pub(crate) const fn is_camera_lost(&self) -> bool {
        self.camera_lost
    }

    /// Whether a missed deadline holds the line.
    pub(crate) const fn is_overdue(&self) -> bool {
        self.overdue
    }

    pub(crate) fn judged(&mut self) {
        self.inference_due = None;
    }

    pub(crate) fn promise(&mut self, deadline: Option<Micros>) {
        self.poll_due = deadline.and_then(|at| due(at, self.limits.actuation));
    }

    /// The stage that has missed its deadline, if any; each miss is reported once.
    pub(crate) fn check(&mut self, now: Micros) -> Option<Alarm> {
        let stages = [
            (&mut self.poll_due, Alarm::ActuationDeadline),
            (&mut self.inference_due, Alarm::InferenceDeadline),
            (&mut self.frame_due, Alarm::FrameDeadline),
        ];
        for (place, alarm) in stages {
            if place.take_if(|at| now >= *at).is_some() {
                return Some(alarm);
            }
        }
        None
    }

    /// How long to hold after a miss at `now`: the first back-off after a long healthy run, twice the last one otherwise.
    pub(crate) fn hold(&mut self, now: Micros) -> Span {
        if now.since(self.recovered_at) > self.limits.backoff_most {
            self.misses = 0;
        }
        let times = 1u64.checked_shl(self.misses).unwrap_or(u64::MAX);
        self.misses = self.misses.saturating_add(1).min(63);
        self.overdue = true;
        (self.limits.backoff * times).min(self.limits.backoff_most)
    }

    pub(crate) fn recovered(&mut self, now: Micros) {
        self.recovered_at = now;
        self.overdue = false;
    }

    /// When to look again; the actuation deadline is not among them, since it is about looking at all.
    pub(crate) fn next(&self) -> Option<Micros> {
        [self.frame_due, self.inference_due].into_iter().flatten().min()
    }

    /// Whether no frame and no verdict is owed.
    pub(crate) const fn is_idle(&self) -> bool {
        self.frame_due.is_none() && self.inference_due.is_none()
    }
}

fn due(from: Micros, limit: Span) -> Option<Micros> {
    (limit < Span::MAX).then(|| from + limit)
}
