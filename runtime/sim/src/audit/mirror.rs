//! What the line's counts, holds and results ought to be, worked out from what it is told, in the plainest way.

use crate::config::{SimConfig, Trigger};

pub(crate) struct Mirror {
    frame_deadline: u64,
    /// From one frame to the next.
    silence: u64,
    least_hold: u64,
    consecutive: u32,
    next_id: Option<u64>,
    triggered: u64,
    frame_due: Option<u64>,
    held_until: u64,
    camera_lost: bool,
    rejects_in_a_row: u32,
    completed_in_turn: u32,
    results_blocked: bool,
}

impl Mirror {
    pub(crate) fn new(config: &SimConfig) -> Mirror {
        let deadlines = config.deadlines();
        Mirror {
            frame_deadline: deadlines.frame.as_micros(),
            silence: if config.trigger == Trigger::FreeRun { deadlines.frame } else { deadlines.silence }.as_micros(),
            least_hold: deadlines.backoff.as_micros(),
            consecutive: u32::from(config.limits.consecutive),
            next_id: None,
            triggered: 0,
            frame_due: None,
            held_until: 0,
            camera_lost: false,
            rejects_in_a_row: 0,
            completed_in_turn: 0,
            results_blocked: false,
        }
    }

    pub(crate) fn is_new(&self, id: u64) -> bool {
        self.next_id.is_none_or(|next| id >= next)
    }

    /// Whether the line has to be held at this trigger.
    pub(crate) fn triggered(&mut self, id: u64, now: u64) -> bool {
        if self.is_new(id) {
            let next = self.next_id.unwrap_or(id);
            self.triggered += id - next + 1;
            self.next_id = Some(id + 1);
            self.results_blocked = false;
            self.frame_due = self.frame_due.or((!self.camera_lost).then_some(now.saturating_add(self.frame_deadline)));
        }
        self.is_held(now)
    }

    fn is_held(&self, now: u64) -> bool {
        self.camera_lost || now < self.held_until
    }

    pub(crate) fn camera_lost(&mut self) {
        (self.camera_lost, self.frame_due) = (true, None);
    }

    pub(crate) fn camera_back(&mut self, now: u64) {
        if std::mem::take(&mut self.camera_lost) {
            self.frame_due = now.checked_add(self.silence);
        }
    }

    pub(crate) fn triggers_lost(&mut self, before: u64) {
        let next = self.next_id.unwrap_or(before);
        self.triggered += before.saturating_sub(next);
        self.next_id = Some(next.max(before));
    }

    pub(crate) fn triggered_parts(&self) -> u64 {
        self.triggered
    }

    pub(crate) fn frame_arrived(&mut self, now: u64) {
        self.frame_due = if self.camera_lost { None } else { now.checked_add(self.silence) };
    }

    pub(crate) fn delivered(&mut self, complete: bool, _now: u64) {
        self.completed_in_turn += u32::from(complete);
    }

    pub(crate) fn recipe_changed(&mut self) {
        self.results_blocked = true;
    }

    pub(crate) fn results_are_blocked(&self) -> bool {
        self.results_blocked
    }

    pub(crate) fn acknowledged(&mut self, standing: bool) {
        if standing {
            self.rejects_in_a_row = 0;
        }
    }

    pub(crate) fn left(&mut self, rejected: bool) {
        self.rejects_in_a_row = if rejected { self.rejects_in_a_row + 1 } else { 0 };
    }

    /// Whether the next reject may raise the alarm: the line notes the alarm before the part that raised it.
    pub(crate) fn may_alarm(&self) -> bool {
        self.consecutive > 0 && self.rejects_in_a_row + 1 >= self.consecutive
    }

    pub(crate) fn must_alarm(&self) -> bool {
        self.consecutive > 0 && self.rejects_in_a_row >= self.consecutive
    }

    /// Ends a turn: how many inspections were completed in it, and whether the line has to be held now.
    pub(crate) fn end_turn(&mut self, now: u64) -> (u32, bool) {
        if self.frame_due.take_if(|due| now >= *due).is_some() {
            self.held_until = now.saturating_add(self.least_hold);
        }
        (std::mem::take(&mut self.completed_in_turn), self.is_held(now))
    }
}
