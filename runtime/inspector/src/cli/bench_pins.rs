//! `jidoka bench --pins`: from a verdict to the pin, and from a planned edge to the pin, through the product's actuator.
//!
//! One thread plays the loop: it hands over a verdict, as after an inspection, and looks when the pin was set. The pins stamp
//! the clock when the driver's call has returned, so that what is measured is all that software adds: queue, wake-up, line core,
//! system call. What the wire and the ejector add has to be measured on the wire.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use embedded_hal::digital::{ErrorType, OutputPin};
use jidoka_line::{
    EventQueue, Judgement, Line, LineConfig, LineEvent, Micros, ModelDigest, Outputs, Part, PartId, Polarity, Recipe,
    RecipeId, RejectTiming, Score, Signal, Span, Subject, Verdict, Why, Wire,
};
use jidoka_pins::{Gpio, Output, OutputSpec, PinError, PinState};
use serde_json::json;

use super::ui::{self, Table};
use crate::alloc::{self, Counts};
use crate::error::Error;
use crate::os::clock;
use crate::os::realtime::{self, Wish};
use crate::os::wake::Bell;
use crate::station::actuator::{Actuator, CommandQueue};
use crate::station::field::Field;
use crate::station::open;
use crate::station::record::NoteQueue;
use crate::station::stop::{Reason, Stop};
use crate::stats::Times;

/// From the trigger to the window, short so that a thousand parts take seconds.
const DELAY: Span = Span::from_millis(4);
/// From the end of a window to the next part.
const REST: Duration = Duration::from_millis(7);
/// The pin's wait for its edge beyond the window's end, at most.
const PATIENCE: Duration = Duration::from_millis(500);

/// Which pins, how often, how urgent.
pub struct Plan<'a> {
    /// The lines to drive, verdict first, edge second; a chip in memory where none is named.
    pub lines: &'a [String],
    /// How many parts.
    pub parts: u32,
    /// How long the ejector acts: an edge that is later than this never comes.
    pub pulse: Duration,
    /// `SCHED_FIFO` priority of the actuator.
    pub priority: Option<u8>,
    /// JSON instead of a table.
    pub json: bool,
}

/// When a pin was last switched on and off, in nanoseconds.
#[derive(Default)]
struct Stamps {
    on_at_ns: AtomicU64,
    off_at_ns: AtomicU64,
}

/// A pin that remembers when it was last switched.
struct Stamped {
    pin: Output,
    stamps: Arc<Stamps>,
    is_on: bool,
}

impl ErrorType for Stamped {
    type Error = PinError;
}

impl OutputPin for Stamped {
    fn set_low(&mut self) -> Result<(), PinError> {
        self.pin.set(PinState::Low)?;
        if std::mem::take(&mut self.is_on) {
            self.stamps.off_at_ns.store(clock::now().as_nanos() as u64, Ordering::Release);
        }
        Ok(())
    }

    fn set_high(&mut self) -> Result<(), PinError> {
        self.pin.set(PinState::High)?;
        if !std::mem::replace(&mut self.is_on, true) {
            self.stamps.on_at_ns.store(clock::now().as_nanos() as u64, Ordering::Release);
        }
        Ok(())
    }
}

/// Measures and prints.
pub fn run(plan: &Plan<'_>) -> Result<(), Error> {
    let names = ["verdict", "edge"];
    let (gpio, where_to) = if plan.lines.is_empty() {
        (Gpio::simulated(std::slice::from_ref(&open::sim_chip(&names))), "a chip in memory".to_owned())
    } else {
        let gpio = Gpio::open(&jidoka_pins::Options::default())?;
        let text = format!("{} ({})", plan.lines.join(", "), gpio.backend());
        (gpio, text)
    };
    let addresses: Vec<&str> =
        if plan.lines.is_empty() { names.to_vec() } else { plan.lines.iter().map(String::as_str).take(2).collect() };
    let specs: Vec<OutputSpec> = addresses.iter().map(|address| OutputSpec::new(address)).collect();
    let stamps = [Arc::<Stamps>::default(), Arc::default()];
    let mut outputs = Outputs::new();
    for ((signal, pin), stamp) in [Signal::Fail, Signal::Reject].into_iter().zip(gpio.outputs(&specs)?).zip(&stamps) {
        let pin = Stamped { pin, stamps: Arc::clone(stamp), is_on: false };
        outputs = outputs.wire(signal, Wire::new(pin, Polarity::ActiveHigh));
    }
    let measured = measure(plan, outputs, &stamps, addresses.len() > 1)?;
    say(plan, &where_to, &measured);
    Ok(())
}

/// What was found.
struct Measured {
    verdict: Times,
    on: Times,
    off: Times,
    allocations: u64,
    priority: String,
    /// Answers to verdicts that did not come.
    unanswered: u32,
    /// Edges that would have been later than the window was long, so that the line did not make them. They count in `on` as the
    /// window's length, which they were late by at least.
    censored: u32,
}

impl Measured {
    /// Waits for a pulse whose window opens at `planned`, and adds by how much its edges were late.
    fn add_pulse(&mut self, stamps: &Stamps, planned: Duration, pulse: Duration) {
        let ends = planned + pulse;
        let Some(on_at) = wait(&stamps.on_at_ns, planned, ends + PATIENCE) else {
            self.censored += 1;
            self.on.add(pulse);
            return;
        };
        self.on.add(on_at - planned);
        if let Some(off_at) = wait(&stamps.off_at_ns, ends, ends + PATIENCE) {
            self.off.add(off_at - ends);
        }
    }
}

fn measure(
    plan: &Plan<'_>,
    outputs: Outputs<Stamped>,
    stamps: &[Arc<Stamps>; 2],
    with_edge: bool,
) -> Result<Measured, Error> {
    let pitch = plan.pulse + REST;
    let timing = RejectTiming::new(DELAY, Span::from_duration(plan.pulse), Span::from_duration(plan.pulse + REST / 2));
    let slot = timing.check().map_err(|errors| Error::Usage(format!("the bench's timing: {errors}")))?;
    let config = LineConfig { result_hold: Span::from_millis(2), ..LineConfig::new(Recipe::new(RecipeId(1), slot)) };
    let bell = Arc::new(Bell::new().map_err(|error| Error::System { action: "make an eventfd", error })?);
    let stop = Stop::new(Arc::clone(&bell));
    let (mut events, mut notes, mut commands) = (EventQueue::new(), NoteQueue::new(), CommandQueue::new());
    let ((mut events_in, events_out), (notes_in, mut notes_out)) = (events.split(), notes.split());
    let (_, commands_out) = commands.split();
    let actuator = Actuator {
        line: Line::new(config, outputs),
        field: Field::none(),
        events: events_out,
        commands: commands_out,
        asks: None,
        notes: notes_in,
        expected: None,
        loop_lives: Arc::default(),
        progress: None,
        blackbox: None,
        bell: Arc::clone(&bell),
        stop: Arc::clone(&stop),
    };
    let wish = Wish { lock_memory: false, priority: plan.priority, cores: vec![] };
    let before = Counts::now();
    std::thread::scope(|scope| {
        let spawned = std::thread::Builder::new().name("actuator".into()).spawn_scoped(scope, || {
            let priority = realtime::apply(&wish).to_string();
            actuator.run();
            priority
        });
        let spawned = spawned.map_err(|error| Error::System { action: "start a thread", error })?;
        let (verdicts, on, off) = (Times::new(), Times::new(), Times::new());
        let priority = String::new();
        let mut measured =
            Measured { verdict: verdicts, on, off, allocations: 0, priority, unanswered: 0, censored: 0 };
        let mut next = clock::now() + pitch;
        for number in 1..=u64::from(plan.parts) {
            sleep_until(next);
            // In the whole microseconds that the line counts in.
            let begun = Duration::from_micros(clock::now().as_micros() as u64);
            next = begun + DELAY.as_duration() + pitch;
            let part = Part::new(PartId(number), Micros::from_duration(begun));
            let handed = clock::now();
            let _ = events_in.enqueue(LineEvent::Judged(verdict(part)));
            bell.ring();
            match wait(&stamps[0].on_at_ns, handed, handed + PATIENCE) {
                Some(on_at) => measured.verdict.add(on_at - handed),
                None => measured.unanswered += 1,
            }
            if with_edge {
                measured.add_pulse(&stamps[1], begun + DELAY.as_duration(), plan.pulse);
            }
            while notes_out.dequeue().is_some() {}
        }
        stop.request(Reason::Done);
        measured.priority = spawned.join().unwrap_or_default();
        measured.allocations = Counts::now().since(&before).in_stage(alloc::Stage::Actuate);
        Ok(measured)
    })
}

fn verdict(part: Part) -> Verdict {
    Verdict {
        subject: Subject::Part(part),
        judgement: Judgement::Reject,
        why: Why::Score,
        score: Score(1.0),
        sequence: part.id.0 as u32,
        model: ModelDigest::default(),
        recipe: RecipeId(1),
        captured_at: part.captured_at,
        decided_at: part.captured_at,
    }
}

/// When the pin changed after `since`; `None` where it has not by `until`.
fn wait(stamp_ns: &AtomicU64, since: Duration, until: Duration) -> Option<Duration> {
    loop {
        let at = Duration::from_nanos(stamp_ns.load(Ordering::Acquire));
        if at >= since {
            return Some(at);
        }
        if clock::now() > until {
            return None;
        }
        // Sleeping, not spinning: on a machine with one core the actuator needs it.
        std::thread::sleep(Duration::from_micros(200));
    }
}

fn sleep_until(at: Duration) {
    let left = at.saturating_sub(clock::now());
    if !left.is_zero() {
        std::thread::sleep(left);
    }
}

fn say(plan: &Plan<'_>, where_to: &str, measured: &Measured) {
    let rows = [
        ("verdict to pin", &measured.verdict),
        ("planned edge to pin on", &measured.on),
        ("planned edge to pin off", &measured.off),
    ];
    let pulse_ms = plan.pulse.as_millis() as u64;
    if plan.json {
        ui::say_json(&json!({
            "pins": where_to, "parts": plan.parts, "real_time": measured.priority,
            "verdict_to_pin": measured.verdict.summary(), "edge_to_pin": measured.on.summary(),
            "edge_to_pin_off": measured.off.summary(), "pulse_ms": pulse_ms, "censored": measured.censored,
            "allocations": measured.allocations, "unanswered": measured.unanswered,
        }));
        return;
    }
    let mut table = Table::new(["us", "p50", "p90", "p99", "p99.9", "max"]);
    for (name, times) in rows.into_iter().filter(|(_, times)| times.count() > 0) {
        let it = times.summary();
        let [p50, p90, p99, p999, max] =
            [it.p50_us, it.p90_us, it.p99_us, it.p999_us, it.max_us].map(|us| us.to_string());
        table.row([name.to_owned(), p50, p90, p99, p999, max]);
    }
    ui::say(table.render().trim_end());
    ui::say(format!(
        "\n  {} parts on {where_to}; real-time: {}; {} allocations in the actuator; {} verdicts without an answer",
        plan.parts, measured.priority, measured.allocations, measured.unanswered
    ));
    if measured.censored > 0 {
        ui::say(format!(
            "  {} edges were over {pulse_ms} ms late and not made; they count as {pulse_ms} ms. Measure again with a longer --pulse-ms",
            measured.censored
        ));
    }
}
