//! Cameras that the kernel drives: Video4Linux2, streaming from buffers that are mapped or shared, single- and multi-planar.

mod controls;
mod crop;
mod device;
mod formats;
mod heap;
mod jpeg;
mod queue;
mod sequence;
mod sizes;
mod stream;
mod sys;

pub use controls::Control;
pub(crate) use device::stable_link;
pub use device::{Camera, CameraInfo, FormatInfo};
pub use sizes::SizeInfo;
pub use stream::V4l2Source;
