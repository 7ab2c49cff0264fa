//! Cameras that the kernel drives: Video4Linux2, streaming from memory-mapped buffers, single- and multi-planar.

mod controls;
mod device;
mod formats;
mod sequence;
mod stream;
mod sys;

pub use controls::Control;
pub use device::{Camera, CameraInfo, FormatInfo};
pub use stream::V4l2Source;
