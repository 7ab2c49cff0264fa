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
//! # The stages
//!
//! `load` checks the ONNX message and has tract type it; `lower` turns tract's graph into the engine's own small one; `fuse`
//! joins nodes (activations and sums into convolutions, arithmetic into chains, quantised patterns into operations on bytes);
//! `plan` decides where padding lies and gives every value an offset in one arena; `steps` run, each on the [`kernels`] of the
//! chosen instruction set and shared by a team of threads.
//!
//! # The memory bank
//!
//! This subgraph is searched without ever holding the distance matrix, in any order of the operands of `Add`:
//!
//! ```text
//! products = MatMul(queries [N, D], W [D, M])     W = -2 * bank, transposed, constant
//! partial  = Add(products, norms [1, M])          norms[m] = |bank[m]|^2, constant
//! least    = ReduceMin(partial, axis 1)           the rest (|query|^2, Relu, Sqrt) is ordinary arithmetic
//! ```
//!
//! `ArgMin(partial, axis 1)` beside the minimum gives the row's number in the same sweep, and so does
//! `TopK(partial, 1, axis 1, largest = 0)` instead of both.
//!
//! Among bytes it is the same subgraph in QDQ form. The features are quantised as an image, before they become rows, with one
//! scale and zero point (u8 or i8); the bank is i8 with zero point 0 and one scale, or one for each row of the bank (axis 1):
//!
//! ```text
//! q        = DequantizeLinear(QuantizeLinear(features [1, D, H, W], sq, zq), sq, zq)
//! queries  = Transpose(Reshape(q, [D, H*W]))      [N, D], N = H*W
//! W        = DequantizeLinear(bytes i8 [D, M], sw, 0)    bytes * sw = -2 * bank, transposed, constant; -128 unused
//! norms[m] = |bank[m]|^2 of the bank that the bytes stand for; everything else as above, on `queries`
//! ```
//!
//! Products are exact 32-bit sums and the rest is two float operations in a fixed order, so distances are bit-identical on
//! every CPU.
//!
//! # Invariants
//!
//! Architecture invariant: bytes from outside never panic the caller. [`Model::read`] returns an [`Error`] that names the
//! file and the node. Held by `tests/hostile.rs`.
//!
//! Architecture invariant: a run allocates nothing where [`Session::fallbacks`] is empty, and nothing outside the session's pool
//! where the process has installed [`Pooled`]. Held by `tests/allocations.rs` and `tests/pool.rs`.
//!
//! Architecture invariant: results do not depend on the number of threads, and those of int8 graphs not on the instruction
//! set. Held by `tests/graphs.rs` and `tests/int8.rs`.

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
mod pool;
mod report;
mod session;
mod steps;
mod team;
mod view;

pub use error::{Error, RunError};
pub use model::{DType, Model, ReadOptions, TensorInfo};
pub use options::{Isa, Options};
pub use pool::Pooled;
pub use report::{Region, Report, StepReport};
pub use session::Session;
pub use view::{Data, View};
