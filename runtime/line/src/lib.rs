//! The line: which part gets which verdict, and when the ejector fires.
//!
//! Pure. Time comes in as [`Micros`](time::Micros), pins as `embedded_hal::digital::OutputPin`, parts and verdicts as
//! values; nothing here sleeps, allocates, logs or knows what a camera is. It runs unchanged on a microcontroller, in the
//! inspector, and in the simulator that tries to make it reject the wrong part.
//!
//! How it works: every part is one [`Record`](table) in a bounded table with an explicit state, and the outputs are a pure
//! function of (table, status, now). [`Line`](line::Line) is owned by one thread, the actuator thread, which sleeps until the
//! deadline that [`Line::poll`](line::Line::poll) returned; the loop thread talks to it through an
//! [`EventQueue`](event::EventQueue) and never waits for it.
//!
//! What must not live here: files, threads, models, device names, text for people beyond the arithmetic of a refused timing.
//!
//! Relies on: `heapless` for bounded collections, `embedded-hal` for the pin trait; the caller's clock being monotonic.
//!
//! Architecture invariant: a triggered part leaves through exactly one of pass, reject, missed, and a part without a fresh
//! valid verdict never leaves as pass. Held by the property tests of [`line`] and by the simulated line in `tests/`.
//!
//! Architecture invariant: dropping the [`Line`](line::Line), an unwinding panic included, leaves every output safe.
#![no_std]
#![forbid(unsafe_code)]
// The errors of a refused timing are large because they carry the terms of the sums, and there is no heap to box them on.
#![allow(clippy::result_large_err)]
#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::unreachable,)
)]

#[cfg(test)]
extern crate std;

pub mod alarm;
pub mod blackbox;
pub mod encoder;
pub mod event;
pub mod golden;
pub mod line;
pub mod mutants;
pub mod outputs;
pub mod part;
pub mod policy;
pub mod recipe;
pub mod sensor;
mod supervisor;
pub mod table;
pub mod time;
pub mod timing;
pub mod verdict;
pub mod window;

pub use alarm::{Alarm, Alarms, Deadlines, RejectLimits, RejectRate};
pub use event::{CameraLoss, Departure, EventQueue, Evidence, LineEvent, Note, Outbox, What};
pub use golden::{Golden, GoldenPlan};
pub use line::{Counters, FrameDue, Line, LineConfig, Matching, Mode, Quorum};
pub use outputs::{Levels, NoPin, Outputs, Polarity, Signal, Wire, Wiring};
pub use part::{Axis, Micrometres, Part, PartId, Travel};
pub use recipe::{Recipe, RecipeError, Strobe};
pub use time::{Micros, Span};
pub use timing::{Amount, RejectPlacing, RejectTiming, TimingError, TimingErrors};
pub use verdict::{EjectorId, Judgement, ModelDigest, Outcome, PulseId, RecipeId, Score, Subject, Verdict, Why};
pub use window::{RejectWindow, Slot};

/// Most parts that may be between the trigger and the last ejector at once. [`RejectTiming::check`] refuses a configuration
/// that needs more.
pub const MAX_PARTS: usize = 64;
/// Most ejectors on one line (for example reject, rework, sample).
pub const MAX_EJECTORS: usize = 3;
/// Events that may wait between the loop thread and the actuator thread.
pub const EVENT_CAPACITY: usize = 256;
/// Notes that may wait for the caller between two calls into the line.
pub const NOTE_CAPACITY: usize = 192;
