//! The actuator thread: it alone owns the line and its pins, and sleeps until the next edge.

use std::sync::Arc;
use std::time::Duration;

use heapless::spsc::{Consumer, Producer};
use jidoka_line::line::Counters;
use jidoka_line::{Line, LineEvent, Micros, Note, What};
use jidoka_pins::Output;

use super::stop::{Reason, Stop};
use crate::alloc::{self, Stage};
use crate::os::clock;
use crate::os::wake::{Bell, Sleeper};
use crate::stats::Times;

/// Everything the thread needs; dropped (an unwinding panic included) it leaves every output safe.
pub struct Actuator<'q> {
    /// The line, not started.
    pub line: Line<Output>,
    /// From the loop.
    pub events: Consumer<'q, LineEvent>,
    /// To the scribe.
    pub notes: Producer<'q, Note>,
    /// Rung when there is an event or a request to stop.
    pub bell: Arc<Bell>,
    /// When to end.
    pub stop: Arc<Stop>,
}

/// What the thread leaves behind.
pub struct Acted {
    /// The line's own account.
    pub counters: Counters,
    /// By how much edges came later than planned.
    pub lateness: Times,
    /// Notes that found the scribe's queue full.
    pub notes_lost: u64,
}

impl Actuator<'_> {
    /// Starts the line and drives it until the stop.
    pub fn run(mut self) -> Acted {
        let mut acted = Acted { counters: Counters::default(), lateness: Times::new(), notes_lost: 0 };
        // The only thing here that may fail, before anything is energised; then the line is not started at all.
        let Ok(sleeper) = Sleeper::new() else {
            self.stop.request(Reason::System);
            return acted;
        };
        alloc::seal(Stage::Actuate);
        self.line.start(now());
        loop {
            // Read before the turn: whoever asks for an orderly end has sent the last event before asking.
            let ending = self.stop.reason().is_some();
            let deadline = self.turn(&mut acted);
            if self.stop.is_urgent() || (ending && self.line.table().is_empty()) {
                break;
            }
            if sleeper.sleep(deadline, &self.bell).is_err() {
                self.stop.request(Reason::System);
            }
        }
        self.line.safe();
        self.pass_on_notes(&mut acted);
        alloc::unseal();
        acted.counters = *self.line.counters();
        acted
    }

    /// Takes what has come, moves the line to the present, and says until when it may sleep.
    fn turn(&mut self, acted: &mut Acted) -> Option<Duration> {
        while let Some(event) = self.events.dequeue() {
            self.line.on_event(event, now());
        }
        let deadline = self.line.poll(now());
        self.pass_on_notes(acted);
        deadline.map(|deadline| Duration::from_micros(deadline.as_u64()))
    }

    fn pass_on_notes(&mut self, acted: &mut Acted) {
        while let Some(note) = self.line.take_note() {
            if let What::PulseOn { late, .. } = note.what {
                acted.lateness.add(Duration::from_micros(late.max(0) as u64));
            }
            acted.notes_lost += u64::from(self.notes.enqueue(note).is_err());
        }
    }
}

fn now() -> Micros {
    Micros::from_duration(clock::now())
}
