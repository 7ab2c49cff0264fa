//! The actuator thread: it alone owns the line, its pins and its inputs, and sleeps until the next edge.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use embedded_hal::digital::OutputPin;
use heapless::spsc::{Consumer, Producer};
use jidoka_line::blackbox::BlackBox;
use jidoka_line::line::Counters;
use jidoka_line::{Axis, EjectorId, Line, LineEvent, Micros, Note, What};
use jidoka_pins::Output;
use jidoka_watchdog::Progress;

use super::expected::Expected;
use super::field::{Broken, Field, FieldCounts};
use super::stop::{Reason, Stop};
use crate::alloc::{self, Stage};
use crate::os::clock;
use crate::os::wake::{Bell, Sleeper};
use crate::stats::Times;

/// What a person or another program asks of the line, through the control socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// A part is there, since this moment.
    Trigger(Micros),
    /// The alarms have been seen.
    Acknowledge,
    /// Take out the next good part, at this ejector.
    Sample(EjectorId),
    /// A shift begins: golden samples must be seen again.
    Shift,
}

/// Commands on their way to the actuator.
pub type CommandQueue = heapless::spsc::Queue<Command, 32>;
/// Recipes that the select lines ask for, by their place.
pub type AskQueue = heapless::spsc::Queue<u16, 8>;

/// The actuator's way to the thread that prepares recipes.
pub struct Asks<'q> {
    /// What is asked for.
    pub queue: Producer<'q, u16>,
    /// Wakes that thread.
    pub bell: Arc<Bell>,
}

/// Everything the thread needs; dropped (an unwinding panic included) it leaves every output safe.
pub struct Actuator<'q, P: OutputPin = Output> {
    /// The line, not started.
    pub line: Line<P>,
    /// The inputs.
    pub field: Field,
    /// From the loop.
    pub events: Consumer<'q, LineEvent>,
    /// From the control socket.
    pub commands: Consumer<'q, Command>,
    /// To the thread that prepares recipes, where there is one.
    pub asks: Option<Asks<'q>>,
    /// To the scribe.
    pub notes: Producer<'q, Note>,
    /// For the loop: the frames that are wanted, where parts are triggered outside the camera.
    pub expected: Option<Arc<Expected>>,
    /// Counts on while the loop lives without a frame to judge.
    pub loop_lives: Arc<AtomicU64>,
    /// Feeds the watchdog.
    pub progress: Option<Progress>,
    /// The last events, in memory that outlives the process.
    pub blackbox: Option<BlackBox<'q>>,
    /// Rung when there is an event or a request to stop.
    pub bell: Arc<Bell>,
    /// When to end.
    pub stop: Arc<Stop>,
}

/// What the thread leaves behind.
pub struct Acted {
    /// The line's own account.
    pub counters: Counters,
    /// What was seen on the inputs.
    pub field: FieldCounts,
    /// By how much ejectors went on later than planned.
    pub lateness: Times,
    /// By how much they went off later than planned.
    pub lateness_off: Times,
    /// Notes that found the scribe's queue full.
    pub notes_lost: u64,
    /// Why the inputs could not be read any more.
    pub broken: Option<jidoka_pins::PinError>,
}

/// What has been reported to the watchdog.
#[derive(Default)]
struct Reported {
    completed: u64,
    loop_lives: u64,
}

impl<P: OutputPin> Actuator<'_, P> {
    /// Starts the line and drives it until the stop.
    pub fn run(mut self) -> Acted {
        let (counters, field) = (Counters::default(), FieldCounts::default());
        let (lateness, lateness_off) = (Times::new(), Times::new());
        let mut acted = Acted { counters, field, lateness, lateness_off, notes_lost: 0, broken: None };
        let mut reported = Reported::default();
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
            if ending {
                self.field.close();
                self.line.no_more_frames();
            }
            let deadline = self.turn(&mut acted);
            self.report(&mut reported);
            if self.stop.is_urgent() || (ending && (self.line.table().is_empty() || self.is_stranded())) {
                break;
            }
            if sleeper.sleep(deadline, &self.bell, self.field.descriptors()).is_err() {
                self.stop.request(Reason::System);
            }
        }
        self.line.safe();
        self.pass_on_notes(&mut acted);
        alloc::unseal();
        acted.counters = *self.line.counters();
        acted.field = self.field.counts();
        acted
    }

    /// Takes what has come, moves the line to the present, and says until when it may sleep.
    fn turn(&mut self, acted: &mut Acted) -> Option<Duration> {
        while let Some(command) = self.commands.dequeue() {
            self.obey(command);
        }
        match self.field.turn(&mut self.line, now()) {
            Ok(Some(recipe)) => self.ask(recipe),
            Ok(None) => {}
            Err(Broken(error)) => {
                // Nobody sees the parts any more: nothing that is done now would be right.
                self.field.give_up();
                acted.broken = Some(error);
                self.stop.request(Reason::Inputs);
            }
        }
        // Before the verdicts: a frame is looked up among the parts that are known.
        self.publish();
        while let Some(event) = self.events.dequeue() {
            self.line.on_event(event, now());
        }
        let deadline = self.line.poll(now());
        // After the turn: where the line lights the part, its frame's time is known only now.
        self.publish();
        self.pass_on_notes(acted);
        let deadline = [deadline, self.field.deadline()].into_iter().flatten().min();
        deadline.map(|deadline| Duration::from_micros(deadline.as_u64()))
    }

    /// Whether the parts in flight lie on a belt that stands: they may do so for ever.
    fn is_stranded(&self) -> bool {
        self.line.recipe().axis() == Axis::Distance && self.field.belt_stands()
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Trigger(at) => self.field.trigger(&mut self.line, at, now()),
            Command::Acknowledge => self.line.acknowledge(now()),
            Command::Sample(ejector) => self.line.on_event(LineEvent::Sample(ejector), now()),
            Command::Shift => self.line.begin_shift(now()),
        }
    }

    fn ask(&mut self, recipe: u16) {
        if let Some(asks) = &mut self.asks {
            // Full: it is busy with eight requests, and the lines may be set again.
            let _ = asks.queue.enqueue(recipe);
            asks.bell.ring();
        }
    }

    fn publish(&self) {
        if let Some(expected) = &self.expected {
            self.line.frames_due().for_each(|due| expected.publish(&due));
        }
    }

    /// The watchdog is fed by completed inspections, and by a loop that lives beside a line that owes nothing.
    fn report(&mut self, reported: &mut Reported) {
        let Some(progress) = &self.progress else { return };
        let completed = self.line.counters().completed;
        let loop_lives = self.loop_lives.load(Ordering::Relaxed);
        if completed != reported.completed {
            progress.completed();
        } else if loop_lives != reported.loop_lives && self.line.is_idle() {
            progress.idle();
        }
        *reported = Reported { completed, loop_lives };
    }

    /// How long the axis takes for so many units at its present speed.
    fn time_of(&self, late: i64) -> Duration {
        let late = late.max(0) as u64;
        Duration::from_micros(match self.line.recipe().axis() {
            Axis::Time => late,
            Axis::Distance => self.field.micros_for(late),
        })
    }

    fn pass_on_notes(&mut self, acted: &mut Acted) {
        while let Some(note) = self.line.take_note() {
            match note.what {
                What::PulseOn { late, .. } => acted.lateness.add(self.time_of(late)),
                What::PulseOff { late: Some(late), .. } => acted.lateness_off.add(self.time_of(late)),
                _ => {}
            }
            if let Some(blackbox) = &mut self.blackbox {
                blackbox.record(&note);
            }
            acted.notes_lost += u64::from(self.notes.enqueue(note).is_err());
        }
    }
}

fn now() -> Micros {
    Micros::from_duration(clock::now())
}
