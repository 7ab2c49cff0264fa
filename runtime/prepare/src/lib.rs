//! Prepare: from a camera's frame to the engine's input in one pass.
//!
//! What lives here: pixel formats, borrowed frames, regions, and the plan that turns one into f32 NCHW 0..=1 or u8
//! NHWC: region, colour, resize, scale; and, where asked for, flat field and alignment. What must not: anything that
//! opens, waits, logs or knows a camera or a model. It relies on `rustfft` for the alignment's transforms, and otherwise
//! on nothing but the standard library.
//!
//! One rounding rule, in integers, so that x86_64 and aarch64 agree to the bit (see `weights` and `plan`).

mod align;
mod color;
mod corrections;
mod flat;
mod format;
mod frame;
mod kernels;
mod layout;
mod plan;
mod preparer;
#[cfg(test)]
mod reference;
mod spec;
mod unpack;
mod weights;

pub use corrections::{Align, CorrectionError, Corrections, Picture, Pose};
pub use format::{BayerDepth, BayerOrder, Encoding, Matrix, PixelFormat, Range};
pub use frame::{FrameError, FrameView, Geometry, Plane, Roi};
pub use preparer::Preparer;
pub use spec::{Channels, Filter, Fit, MAX_SIDE, RawTuning, Spec, SpecError};
