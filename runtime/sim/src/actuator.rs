//! The actuator thread, turn by turn as in the product, and the ejector behind its pins.

use jidoka_line::sensor::Sensed;
use jidoka_line::{LineEvent, Micros, Signal};

use crate::trace::Happening;
use crate::world::{Event, World};

impl World<'_> {
    /// One turn: take what has come, move the line to the present, sleep until the next edge.
    pub(crate) fn turn(&mut self) {
        let now = Micros::new(self.now);
        self.take_edges(now);
        self.take_belt(now);
        while let Some(event) = self.queue.dequeue() {
            self.take_event(event, now);
        }
        for _ in 0..std::mem::take(&mut self.confirms) {
            self.line.on_confirm(now);
        }
        let deadline = self.line.poll(now);
        self.take_notes();
        self.look_at_pins();
        self.audit.after_turn(self.now, &self.board);
        let deadline = [deadline, self.sensor.deadline()].into_iter().flatten().min();
        self.wake = deadline.map(|deadline| {
            let jitter = self.rng.between(5, 150);
            (deadline.as_u64().max(self.now) + jitter).max(self.starved_until)
        });
    }

    fn take_edges(&mut self, now: Micros) {
        if !self.config.trigger.is_edge() {
            return;
        }
        while let Some(edge) = self.edges.pop_front() {
            self.sensed(edge.at, now);
            self.sensor.on_edge(edge);
        }
        self.sensed(now, now);
    }

    fn sensed(&mut self, until: Micros, now: Micros) {
        while let Some(sensed) = self.sensor.poll(until) {
            match sensed {
                Sensed::Part(part) => {
                    if let Some(belt) = &mut self.belt {
                        belt.checked(&part);
                    }
                    self.audit.numbered(&part, self.now);
                    self.audit.triggered(&part, self.recipe, self.now);
                    self.line.on_trigger(part, now);
                }
                Sensed::Merged { id, extra } => self.line.on_merged(id, extra, now),
            }
        }
    }

    /// What the encoder says, and the parts that it triggered.
    fn take_belt(&mut self, now: Micros) {
        let Some(belt) = &mut self.belt else { return };
        let (position, speed) = belt.reading();
        self.line.on_encoder(position, speed, now);
        while let Some(alarm) = belt.alarms.pop_front() {
            self.line.on_alarm(alarm, now);
        }
        while let Some(part) = belt.triggers.pop_front() {
            self.audit.triggered(&part, self.recipe, self.now);
            self.line.on_trigger(part, now);
        }
    }

    fn take_event(&mut self, event: LineEvent, now: Micros) {
        match event {
            LineEvent::Triggered(part) => self.audit.triggered(&part, self.recipe, self.now),
            LineEvent::TriggersLost { before } => self.audit.triggers_lost(before.0),
            LineEvent::FrameArrived { .. } => self.audit.frame_arrived(self.now),
            LineEvent::Judged(verdict) => {
                if let Some(inferred) = self.queued.pop_front() {
                    debug_assert_eq!(inferred.verdict.sequence, verdict.sequence);
                    let stale_after = self.config.stale_after().as_micros();
                    self.audit.delivered(&inferred, self.recipe, self.now, stale_after);
                }
            }
            LineEvent::Recipe(recipe) => {
                self.recipe = recipe.id.0;
                self.audit.recipe_changed();
            }
            LineEvent::CameraLost(_) => self.audit.camera_lost(),
            LineEvent::CameraBack => self.audit.camera_back(self.now),
            LineEvent::Acknowledge => self.audit.acknowledged(!self.line.alarms().is_empty()),
            _ => {}
        }
        self.line.on_event(event, now);
    }

    pub(crate) fn take_notes(&mut self) {
        while let Some(note) = self.line.take_note() {
            self.audit.note(&note, &mut self.trace);
            self.scribe.offer(self.now);
            self.gateway.offer(self.now);
        }
        let told = self.scribe.accounts_for_all() && self.gateway.accounts_for_all();
        self.audit.records_told(told, self.now);
    }

    /// What the pins did, and what the ejector makes of it: it follows the pin with its lag, give or take its tolerance.
    fn look_at_pins(&mut self) {
        let mut edges = std::mem::take(&mut self.audit.edges);
        edges.clear();
        self.board.take(&mut edges);
        for (signal, on) in &edges {
            match signal {
                Signal::Reject => self.ejector(0, *on),
                Signal::Eject1 => self.ejector(1, *on),
                Signal::Eject2 => self.ejector(2, *on),
                _ => {}
            }
        }
        self.audit.edges = edges;
    }

    fn ejector(&mut self, ejector: usize, on: bool) {
        let Some(reach) = self.config.reach(self.recipe, ejector) else { return };
        let error = self.rng.around(reach.tolerance_us);
        let acts = (self.now + reach.lag_us).saturating_add_signed(error);
        if on {
            let stuck = ejector == 0 && self.now < self.stuck_until;
            self.pulse_since[ejector] = (!stuck).then_some(acts);
            if let Some(belt) = &mut self.belt {
                belt.pulse_begins(acts);
            }
            self.trace.add(self.now, || Happening::Pulse { ejector, on: true });
            return;
        }
        self.trace.add(self.now, || Happening::Pulse { ejector, on: false });
        let Some(since) = self.pulse_since[ejector].take() else { return };
        let until = acts.max(since);
        match &mut self.belt {
            // How far the belt comes in that time, only time will tell.
            Some(belt) if self.config.by_distance() => belt.acted(ejector, since, until),
            _ => {
                let hit = self.audit.effect(ejector, since, until, &mut self.trace);
                self.confirm_hits(ejector, hit);
            }
        }
    }

    /// Parts that were hit fall past the confirmation sensor.
    pub(crate) fn confirm_hits(&mut self, ejector: usize, hits: usize) {
        let Some(within) = self.config.confirm_within().filter(|_| ejector == 0) else { return };
        for _ in 0..hits {
            let after = self.rng.between(1_000, within.as_micros() / 2);
            self.later(after, Event::Confirm);
        }
    }
}
