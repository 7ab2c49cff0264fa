//! The engine: an ONNX file in, a [`Session`] out that turns one image into the graph's outputs.
//!
//! What lives here: reading ONNX ([`Model`]), compiling it to a static plan and running that plan ([`Session`]), and the
//! ONNX messages themselves ([`onnx`]) for those who assemble graphs. tract reads, types and declutters the graph; no tract
//! type is visible outside.
//!
//! What must not: files other than the model, clocks, logging while running, and any idea of what the graph means. The
//! engine knows nothing of defects, cameras or thresholds.
//!
//! What it relies on: tract for ONNX semantics, tract-linalg for its matrix micro-kernels.
//!
//! Architecture invariant: bytes from outside never panic the caller. [`Model::read`] returns an [`Error`] that names the
//! file and the node. Held by `tests/hostile.rs`.

mod error;
mod fuse;
mod gemm;
mod graph;
pub mod kernels;
pub mod layout;
mod load;
mod lower;
mod memory;
mod model;
pub mod onnx;
mod options;
mod plan;
mod report;
mod session;
mod steps;
mod view;

pub use error::{Error, RunError};
pub use model::{DType, Model, ReadOptions, TensorInfo};
pub use options::{Isa, Options};
pub use report::{Report, StepReport};
pub use session::Session;
pub use view::{Data, View};
