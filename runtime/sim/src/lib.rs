//! A simulated line: a belt, parts, a sensor, a camera, inference, an ejector and an operator, with every fault that we could
//! think of, driven by one seed, running the *product's* line core, sensor filter, frame numbering and verdict policy.
//!
//! It checks what the line promises (ARCHITECTURE.md: I2 no escape, I3 no wrong part, I5 safe outputs), and that triggered is
//! pass + reject + missed, that no part is fired at twice, that pins and notes match one to one. Time is virtual: an hour takes
//! a fraction of a second. A violation is reported with its seed and the fewest parts that show it.
//!
//! Parts are simulated in *shifts*: each begins with an empty belt and ends by a stop, a crash or by running out. Shifts are
//! independent, so that they run on every core and the result does not depend on how many there are.
//!
//! What must not live here: anything that the product's loop needs; wall-clock time; files.
//!
//! Relies on: `jidoka-line` alone.

mod actuator;
mod audit;
mod belt;
mod camera;
mod config;
mod fault;
#[cfg(feature = "mutants")]
mod hunt;
mod judging;
mod lines;
mod pins;
mod reader;
mod rng;
mod run;
mod station;
mod svg;
mod trace;
mod world;

pub use audit::Violation;
pub use config::{SimConfig, Trigger};
pub use fault::Fault;
#[cfg(feature = "mutants")]
pub use hunt::{Found, hunt};
pub use lines::lines;
pub use run::{Failure, Stats, picture, run, run_telling, run_with_bug};
pub use station::{Placed, Product, Station};
pub use trace::{Happening, Trace};
pub use world::Bug;
