//! What callers hold: a plan, straight or with an alignment before it.

use crate::align::Alignment;
use crate::corrections::{CorrectionError, Corrections, Pose};
use crate::flat;
use crate::frame::{FrameError, FrameView};
use crate::kernels::Kernels;
use crate::plan::Plan;
use crate::spec::{Spec, SpecError};

/// Prepares frames of one geometry. All memory is taken when it is made.
pub struct Preparer {
    spec: Spec,
    way: Way,
}

enum Way {
    /// One pass over the source, no intermediate image.
    Straight(Box<Plan>),
    /// Through a picture of the surroundings at the target's scale, in which the part is found.
    Aligned(Box<Alignment>),
}

impl Preparer {
    /// Checks the spec and makes the plan, with the fastest kernels that this processor has.
    pub fn new(spec: &Spec) -> Result<Preparer, SpecError> {
        Preparer::with_kernels(spec, Kernels::best())
    }

    pub(crate) fn with_kernels(spec: &Spec, kernels: Kernels) -> Result<Preparer, SpecError> {
        Ok(Preparer { spec: *spec, way: Way::Straight(Box::new(Plan::new(spec, kernels)?)) })
    }

    /// As [`Preparer::new`], with corrections.
    pub fn corrected(spec: &Spec, corrections: &Corrections) -> Result<Preparer, CorrectionError> {
        let kernels = Kernels::best();
        if let Some(align) = &corrections.align {
            let alignment = Alignment::new(spec, align, corrections.white.as_ref(), kernels)?;
            return Ok(Preparer { spec: *spec, way: Way::Aligned(Box::new(alignment)) });
        }
        let mut plan = Plan::new(spec, kernels)?;
        if let Some(white) = &corrections.white {
            plan.set_gains(flat::gains(&plan, white, kernels)?);
        }
        Ok(Preparer { spec: *spec, way: Way::Straight(Box::new(plan)) })
    }

    /// What the plan was made from.
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// Which inner loops run: `portable`, `avx2`, `neon` and the like. They give the same values.
    pub fn kernels(&self) -> &'static str {
        match &self.way {
            Way::Straight(plan) => plan.kernels().name,
            Way::Aligned(alignment) => alignment.kernels().name,
        }
    }

    /// Where the part lay in the frame that was prepared last; none where parts are not aligned.
    pub fn pose(&self) -> Option<Pose> {
        match &self.way {
            Way::Straight(_) => None,
            Way::Aligned(alignment) => Some(alignment.pose()),
        }
    }

    /// Writes the frame as f32 NCHW in 0..=1 into `out`, which holds [`Spec::target_len`] values.
    ///
    /// Allocates nothing and does not panic.
    pub fn write_f32(&mut self, frame: &FrameView<'_>, out: &mut [f32]) -> Result<(), FrameError> {
        match &mut self.way {
            Way::Straight(plan) => plan.write_f32(frame, out),
            Way::Aligned(alignment) => alignment.write_f32(frame, out),
        }
    }

    /// Writes the frame as u8 NHWC in 0..=255 into `out`, which holds [`Spec::target_len`] values.
    ///
    /// Allocates nothing and does not panic.
    pub fn write_u8(&mut self, frame: &FrameView<'_>, out: &mut [u8]) -> Result<(), FrameError> {
        match &mut self.way {
            Way::Straight(plan) => plan.write_u8(frame, out),
            Way::Aligned(alignment) => alignment.write_u8(frame, out),
        }
    }

    #[cfg(test)]
    pub(crate) fn plan_for_tests(&self) -> &Plan {
        match &self.way {
            Way::Straight(plan) => plan,
            Way::Aligned(alignment) => alignment.plan(),
        }
    }
}
