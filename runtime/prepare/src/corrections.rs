//! What is put right between the camera and the model: uneven light, and a part that does not lie where it was taught.

use std::fmt;

use crate::format::{Encoding, PixelFormat, Range};
use crate::frame::{FrameView, Geometry};
use crate::spec::SpecError;

/// A whole frame kept as a picture: a white target, a part to align by. Eight bits a channel, no padding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Width in pixels; that of the camera's frames.
    pub width: u32,
    /// Height in pixels; that of the camera's frames.
    pub height: u32,
    /// [`PixelFormat::Grey`] or [`PixelFormat::Rgb24`].
    pub format: PixelFormat,
    /// The pixels.
    pub data: Vec<u8>,
}

impl Picture {
    pub(crate) fn view(&self) -> FrameView<'_> {
        FrameView::packed(&self.data, self.width, self.height, self.format)
    }

    pub(crate) fn geometry(&self) -> Geometry {
        let encoding = Encoding { range: Range::Full, ..Encoding::default() };
        Geometry { width: self.width, height: self.height, format: self.format, encoding }
    }
}

/// Corrections on top of a [`Spec`](crate::Spec). Neutral by default. Teaching and inspecting must use the same ones.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Corrections {
    /// What the camera sees of an evenly white target: every value is divided by it, so that the lamp's falling off
    /// towards the corners and the lens's shading are gone.
    pub white: Option<Picture>,
    /// Turns and moves the part to where it lay in the template.
    pub align: Option<Align>,
}

impl Corrections {
    /// Whether nothing is corrected.
    pub fn is_none(&self) -> bool {
        self.white.is_none() && self.align.is_none()
    }
}

/// How a part is brought to where it was taught.
#[derive(Clone, Debug, PartialEq)]
pub struct Align {
    /// A frame with the part where it should lie.
    pub template: Picture,
    /// How far a part may lie off, in pixels of the camera, in each direction.
    pub max_shift_px: u32,
    /// How far a part may be turned, in degrees, either way; 0 for parts that cannot turn.
    pub max_degrees: f32,
    /// How well a frame must match, 0..=1 where 1 is the template itself; a lesser match is a part that was not found.
    pub least_match: f32,
}

/// Where the part lay in the frame that was prepared last.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Pose {
    /// To the right of where it was taught, in pixels of the camera.
    pub dx_px: f32,
    /// Below where it was taught, in pixels of the camera.
    pub dy_px: f32,
    /// Turned, clockwise as seen, in degrees.
    pub degrees: f32,
    /// How well it matches, 0..=1.
    pub matches: f32,
}

impl fmt::Display for Pose {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Pose { dx_px, dy_px, degrees, matches } = self;
        write!(out, "{dx_px:+.1}, {dy_px:+.1} pixels, {degrees:+.1} degrees, match {matches:.2}")
    }
}

/// Why a plan with corrections cannot be made.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CorrectionError {
    /// The plan itself cannot be made.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// A picture is not of the camera's size.
    #[error(
        "the {what} is a {}x{} picture, the camera gives {}x{}; take it again with the camera as it is set now",
        got.0, got.1, expected.0, expected.1
    )]
    Size {
        /// Which picture.
        what: &'static str,
        /// Its width and height.
        got: (u32, u32),
        /// The camera's.
        expected: (u32, u32),
    },
    /// A picture has too few bytes, or is neither grey nor RGB.
    #[error("the {what} is not a whole grey or RGB picture")]
    Picture {
        /// Which picture.
        what: &'static str,
    },
    /// The white frame cannot be divided by.
    #[error("the white frame cannot be used: {reason}")]
    White {
        /// Why not, and what to do.
        reason: &'static str,
    },
    /// The template shows nothing that a part could be aligned by.
    #[error("the template has no edges to align by in the region; show a part that fills a good share of it")]
    Flat,
    /// A setting is out of range.
    #[error("{key} = {value}: expected {expected}")]
    Setting {
        /// Which.
        key: &'static str,
        /// Its value.
        value: f64,
        /// What it may be.
        expected: &'static str,
    },
}

/// Checks that a picture is whole and of the camera's size.
pub(crate) fn check(picture: &Picture, what: &'static str, source: Geometry) -> Result<(), CorrectionError> {
    let (got, expected) = ((picture.width, picture.height), (source.width, source.height));
    if got != expected {
        return Err(CorrectionError::Size { what, got, expected });
    }
    let known = matches!(picture.format, PixelFormat::Grey | PixelFormat::Rgb24);
    if !known || picture.data.len() < picture.view().needed_bytes() {
        return Err(CorrectionError::Picture { what });
    }
    Ok(())
}
