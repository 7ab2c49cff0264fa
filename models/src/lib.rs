//! Models: what a model file promises, how it is taught from good parts, how it is measured.
//!
//! What lives here: the contract (`jidoka.*` metadata, [`contract`]), a model at work ([`InspectionModel`]), the
//! assembly of ONNX graphs, teaching ([`teach`]), datasets, metrics and evaluation ([`eval`], [`metrics`]), the built-in
//! backbone. What must not: cameras, pins, clocks, the loop, and code that judges: heads are graph nodes that the
//! engine runs, so that any other ONNX runtime gives the same verdict.
//!
//! It relies on `jidoka-engine` to run graphs, on `jidoka-prepare` for the engine's input and on the image files of
//! `jidoka-capture`.
//!
//! Architecture invariant: one model is one ONNX file, and what teaching scored is what the device scores: the threshold
//! comes out of the very graph that is written, and the golden check holds the device to it.

mod compare;
pub mod contract;
pub mod corrections;
mod error;
pub mod eval;
mod files;
mod golden;
mod graph;
mod import;
mod inspection;
pub mod metrics;
mod preparation;
pub mod random;
pub mod signature;
pub mod student;
pub mod teach;
mod whole;
pub mod zoo;

pub use compare::{Difference, Flip, compare};
pub use contract::{Contract, Method, Region};
pub use error::Error;
pub use files::write_atomic;
pub use golden::Golden;
pub use import::{ImportOptions, Imported, import};
pub use inspection::{Check, ImageInput, InspectionModel, Layout, LoadOptions, MapView, Outcome};
pub use preparation::Preparation;
pub use signature::PublicKey;
