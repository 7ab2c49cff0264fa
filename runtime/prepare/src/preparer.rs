//! The plan and its run: a frame in, an engine input out.

use crate::frame::{FrameError, FrameView};
use crate::spec::{Spec, SpecError};

/// A plan for frames of one geometry. All memory is taken in [`Preparer::new`].
pub struct Preparer {
    spec: Spec,
}

impl Preparer {
    /// Checks the spec and makes the plan.
    pub fn new(spec: &Spec) -> Result<Preparer, SpecError> {
        Ok(Preparer { spec: *spec })
    }

    /// What the plan was made from.
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// Writes the frame as f32 NCHW in 0..=1 into `out`, which holds [`Spec::target_len`] values.
    ///
    /// Allocates nothing and does not panic.
    pub fn write_f32(&mut self, frame: &FrameView<'_>, out: &mut [f32]) -> Result<(), FrameError> {
        let _ = (frame, out);
        unimplemented!("published ahead of its body")
    }

    /// Writes the frame as u8 NHWC in 0..=255 into `out`, which holds [`Spec::target_len`] values.
    ///
    /// Allocates nothing and does not panic.
    pub fn write_u8(&mut self, frame: &FrameView<'_>, out: &mut [u8]) -> Result<(), FrameError> {
        let _ = (frame, out);
        unimplemented!("published ahead of its body")
    }
}
