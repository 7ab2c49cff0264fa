//! A rig that runs a line from deadline to deadline and keeps what its pins and notes did.

use std::cell::RefCell;
use std::rc::Rc;
use std::vec::Vec;

use embedded_hal::digital::{ErrorType, OutputPin};

use super::*;
use crate::event::Departure;
use crate::outputs::{Polarity, Signal, Wire};
use crate::time::Span;
use crate::timing::RejectTiming;
use crate::verdict::{Judgement, ModelDigest, RecipeId, Score, Subject, Verdict};

mod cases;
mod holding;
mod properties;
mod sensing;

/// Edges of all pins: the moment (set by the rig), the signal, the level.
type Edges = Rc<RefCell<Vec<(u64, Signal, bool)>>>;

struct Pin {
    signal: Signal,
    now: Rc<RefCell<u64>>,
    edges: Edges,
    level: Option<bool>,
}

impl ErrorType for Pin {
    type Error = core::convert::Infallible;
}

impl Pin {
    fn set(&mut self, high: bool) {
        if self.level.replace(high) != Some(high) {
            self.edges.borrow_mut().push((*self.now.borrow(), self.signal, high));
        }
    }
}

impl OutputPin for Pin {
    fn set_low(&mut self) -> Result<(), Self::Error> {
        self.set(false);
        Ok(())
    }
    fn set_high(&mut self) -> Result<(), Self::Error> {
        self.set(true);
        Ok(())
    }
}

struct Rig {
    line: Line<Pin>,
    clock: Rc<RefCell<u64>>,
    edges: Edges,
    deadline: Option<Micros>,
    departures: Vec<Departure>,
    notes: Vec<Note>,
}

/// 100 ms to the ejector, 20 ms pulse, 50 ms pitch, 2 ms tolerance.
fn timing() -> RejectTiming {
    let ms = Span::from_millis;
    RejectTiming { tolerance: ms(2), least_pulse: ms(5), ..RejectTiming::new(ms(100), ms(20), ms(50)) }
}

fn recipe(number: u16) -> Recipe {
    Recipe::new(RecipeId(number), timing().check().unwrap())
}

impl Rig {
    fn new(adjust: impl FnOnce(&mut LineConfig)) -> Rig {
        let mut config = LineConfig::new(recipe(1));
        adjust(&mut config);
        let (clock, edges) = (Rc::new(RefCell::new(0)), Edges::default());
        let outputs = Signal::ALL.into_iter().fold(Outputs::new(), |outputs, signal| {
            let pin = Pin { signal, now: clock.clone(), edges: edges.clone(), level: None };
            outputs.wire(signal, Wire::new(pin, Polarity::ActiveHigh))
        });
        let mut line = Line::new(config, outputs);
        line.start(Micros::ZERO);
        let mut rig = Rig { line, clock, edges, deadline: None, departures: Vec::new(), notes: Vec::new() };
        rig.poll();
        rig
    }

    fn now(&self) -> Micros {
        Micros::new(*self.clock.borrow())
    }

    fn poll(&mut self) {
        self.deadline = self.line.poll(self.now());
        self.take();
    }

    fn take(&mut self) {
        while let Some(note) = self.line.take_note() {
            if let What::Left(departure) = note.what {
                self.departures.push(departure);
            }
            self.notes.push(note);
        }
    }

    /// Sleeps until `until_ms`, waking at each deadline.
    fn run_to(&mut self, until_us: u64) {
        while let Some(at) = self.deadline.filter(|at| at.as_u64() <= until_us) {
            assert!(at > self.now() || self.clock.borrow().eq(&0), "a deadline at {at} that has been");
            let now = self.now().as_u64().max(at.as_u64());
            *self.clock.borrow_mut() = now;
            self.poll();
        }
        let now = self.now().as_u64().max(until_us);
        *self.clock.borrow_mut() = now;
    }

    fn event(&mut self, at_ms: u64, act: impl FnOnce(&mut Line<Pin>, Micros)) {
        self.run_to(at_ms * 1_000);
        let now = self.now();
        act(&mut self.line, now);
        self.poll();
    }

    fn trigger(&mut self, at_ms: u64, id: u64) {
        self.event(at_ms, |line, now| line.on_trigger(Part::new(PartId(id), now), now));
    }

    /// A verdict at `at_ms` about part `id` that was triggered at `from_ms`.
    fn verdict(&mut self, at_ms: u64, id: u64, from_ms: u64, judgement: Judgement) {
        self.event(at_ms, |line, now| line.on_verdict(verdict(id, from_ms, judgement), now));
    }

    /// The stretches in which `signal` was on, in milliseconds.
    fn pulses(&self, signal: Signal) -> Vec<(u64, u64)> {
        let edges = self.edges.borrow();
        let mut edges = edges.iter().filter(|(_, edge, _)| *edge == signal).skip_while(|(.., high)| !high);
        let mut pulses = Vec::new();
        while let Some((on, ..)) = edges.next() {
            pulses.push((on / 1_000, edges.next().map_or(u64::MAX, |(off, ..)| off / 1_000)));
        }
        pulses
    }

    fn outcomes(&self) -> Vec<(u64, char, Why)> {
        let letter = |outcome| match outcome {
            Outcome::Pass => 'p',
            Outcome::Reject { .. } => 'r',
            Outcome::Missed => 'm',
        };
        self.departures.iter().map(|left| (left.part.id.0, letter(left.outcome), left.why)).collect()
    }

    fn raised(&self, alarm: Alarm) -> usize {
        self.notes.iter().filter(|note| note.what == What::Raised(alarm)).count()
    }
}

fn verdict(id: u64, from_ms: u64, judgement: Judgement) -> Verdict {
    let captured_at = Micros::new(from_ms * 1_000);
    let (why, score) = match judgement {
        Judgement::Pass => (Why::Good, 0.1),
        Judgement::Missed => (Why::BadFrame, f32::NAN),
        _ => (Why::Score, 0.9),
    };
    Verdict {
        subject: Subject::Part(Part::new(PartId(id), captured_at)),
        judgement,
        why,
        score: Score(score),
        sequence: id as u32,
        model: ModelDigest::default(),
        recipe: RecipeId(1),
        captured_at,
        decided_at: captured_at,
    }
}
