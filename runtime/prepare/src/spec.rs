//! What to make of a frame: region, fit, filter, target.

use crate::frame::{Geometry, Roi};

/// Colour channels of the target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Channels {
    /// One: luminance (BT.601 weights where the source is RGB).
    Grey,
    /// Three: red, green, blue. A grey source is repeated.
    #[default]
    Rgb,
}

impl Channels {
    /// How many there are.
    pub fn count(self) -> usize {
        match self {
            Channels::Grey => 1,
            Channels::Rgb => 3,
        }
    }
}

/// How a region whose aspect ratio differs from the target's is made to fit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fit {
    /// Width and height are scaled independently (what anomalib's `Resize` does).
    #[default]
    Stretch,
    /// The largest centred part of the region that has the target's aspect ratio is used.
    Crop,
    /// The whole region is scaled into the centre; the rest is this value (0..=255 in every channel).
    Pad(u8),
}

/// How pixels are weighted. Both are bilinear where the target is larger than the region.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Filter {
    /// Each target pixel is the mean of the area that it covers: the cheapest without aliasing.
    #[default]
    Area,
    /// A triangle twice that wide: what Pillow's `BILINEAR` and torchvision's `Resize(antialias=True)`
    /// do, and so what a model exported from anomalib was trained on.
    Triangle,
}

/// A plan's input: what comes in, what of it, and what goes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spec {
    /// The frames that will come.
    pub source: Geometry,
    /// The region of interest; none for the whole frame.
    pub roi: Option<Roi>,
    /// Width of the target in pixels.
    pub width: u32,
    /// Height of the target in pixels.
    pub height: u32,
    /// Channels of the target.
    pub channels: Channels,
    /// How the region is made to fit.
    pub fit: Fit,
    /// How pixels are weighted.
    pub filter: Filter,
}

impl Spec {
    /// The whole frame stretched to `width` x `height` RGB with the area filter.
    pub fn new(source: Geometry, width: u32, height: u32) -> Spec {
        Spec {
            source,
            roi: None,
            width,
            height,
            channels: Channels::Rgb,
            fit: Fit::Stretch,
            filter: Filter::Area,
        }
    }

    /// Values in the target: channels x width x height.
    pub fn target_len(&self) -> usize {
        self.channels.count() * self.width as usize * self.height as usize
    }
}

/// Why a plan cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// A side of the source is zero or too large.
    #[error(
        "a source of {width}x{height} pixels cannot be prepared; expected 1x1 to {MAX_SIDE}x{MAX_SIDE}"
    )]
    Source {
        /// Width given.
        width: u32,
        /// Height given.
        height: u32,
    },
    /// A side of the target is zero or too large.
    #[error(
        "a target of {width}x{height} pixels cannot be made; expected 1x1 to {MAX_SIDE}x{MAX_SIDE}"
    )]
    Target {
        /// Width given.
        width: u32,
        /// Height given.
        height: u32,
    },
    /// The region is empty or leaves the frame.
    #[error(
        "the region x = {}, y = {}, width = {}, height = {} does not lie inside the {width}x{height} frame; \
         expected width >= 1, height >= 1, x + width <= {width}, y + height <= {height}",
        roi.x, roi.y, roi.width, roi.height
    )]
    Roi {
        /// The region given.
        roi: Roi,
        /// Width of the frame.
        width: u32,
        /// Height of the frame.
        height: u32,
    },
}

/// The longest side of a source or target, in pixels: larger than any sensor, small enough that sums cannot overflow.
pub const MAX_SIDE: u32 = 16384;
