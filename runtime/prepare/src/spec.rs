//! What to make of a frame: region, fit, filter, target.

use crate::format::PixelFormat;
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

/// Corrections of a raw sensor image, applied on the way. Neutral by default; only Bayer formats use the gains.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RawTuning {
    /// The code that the sensor gives in the dark, in the format's own bits; mapped to 0.
    pub black_level: u16,
    /// White balance: gains of red, green and blue.
    pub gains: [f32; 3],
}

impl Default for RawTuning {
    fn default() -> RawTuning {
        RawTuning { black_level: 0, gains: [1.0; 3] }
    }
}

/// A plan's input: what comes in, what of it, and what goes out.
#[derive(Clone, Copy, Debug, PartialEq)]
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
    /// Corrections of a raw sensor image.
    pub raw: RawTuning,
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
            raw: RawTuning::default(),
        }
    }

    /// Values in the target: channels x width x height.
    pub fn target_len(&self) -> usize {
        self.channels.count() * self.width as usize * self.height as usize
    }
}

/// A plan's geometry, worked out: what is read, and where it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Placement {
    /// The region that is read.
    pub source: Roi,
    /// The part of the target that is written; the rest is padding.
    pub target: Roi,
}

impl Spec {
    /// Checks everything and works out what is read and where it goes.
    pub(crate) fn placement(&self) -> Result<Placement, SpecError> {
        let Geometry { width, height, format, .. } = self.source;
        let side = 1..=MAX_SIDE;
        if !side.contains(&width) || !side.contains(&height) {
            return Err(SpecError::Source { width, height });
        }
        if !side.contains(&self.width) || !side.contains(&self.height) {
            return Err(SpecError::Target { width: self.width, height: self.height });
        }
        if matches!(format, PixelFormat::Bayer(..)) && (width < 2 || height < 2) {
            return Err(SpecError::Mosaic { format, width, height });
        }
        self.check_raw()?;
        let roi = self.roi.unwrap_or(self.source.full());
        let inside =
            |start: u32, len: u32, limit: u32| len > 0 && start.checked_add(len).is_some_and(|end| end <= limit);
        if !inside(roi.x, roi.width, width) || !inside(roi.y, roi.height, height) {
            return Err(SpecError::Roi { roi, width, height });
        }
        Ok(place(roi, self.width, self.height, self.fit))
    }

    fn check_raw(&self) -> Result<(), SpecError> {
        let RawTuning { black_level, gains } = self.raw;
        let format = self.source.format;
        let limit = 1 << (format.bits() - 1);
        let fits = u32::from(black_level) < limit && gains.iter().all(|gain| (0.01..=3.9).contains(gain));
        if fits { Ok(()) } else { Err(SpecError::Raw { black_level, gains, format, limit }) }
    }
}

/// Cuts the region or shrinks the target until both have the same aspect ratio, to the nearest pixel, centred.
fn place(roi: Roi, width: u32, height: u32, fit: Fit) -> Placement {
    let full = Roi { x: 0, y: 0, width, height };
    let scaled = |side: u32, by: u32, over: u32, limit: u32| {
        let exact = (2 * u64::from(side) * u64::from(by) + u64::from(over)) / (2 * u64::from(over));
        exact.clamp(1, u64::from(limit)) as u32
    };
    let wider = u64::from(roi.width) * u64::from(height) > u64::from(roi.height) * u64::from(width);
    let centred = |outer: Roi, width: u32, height: u32| Roi {
        x: outer.x + (outer.width - width) / 2,
        y: outer.y + (outer.height - height) / 2,
        width,
        height,
    };
    match fit {
        Fit::Stretch => Placement { source: roi, target: full },
        Fit::Crop if wider => {
            let cut = scaled(roi.height, width, height, roi.width);
            Placement { source: centred(roi, cut, roi.height), target: full }
        }
        Fit::Crop => {
            let cut = scaled(roi.width, height, width, roi.height);
            Placement { source: centred(roi, roi.width, cut), target: full }
        }
        Fit::Pad(_) if wider => {
            let shrunk = scaled(roi.height, width, roi.width, height);
            Placement { source: roi, target: centred(full, width, shrunk) }
        }
        Fit::Pad(_) => {
            let shrunk = scaled(roi.width, height, roi.height, width);
            Placement { source: roi, target: centred(full, shrunk, height) }
        }
    }
}

/// Why a plan cannot be made.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SpecError {
    /// A side of the source is zero or too large.
    #[error("a source of {width}x{height} pixels cannot be prepared; expected 1x1 to {MAX_SIDE}x{MAX_SIDE}")]
    Source {
        /// Width given.
        width: u32,
        /// Height given.
        height: u32,
    },
    /// A side of the target is zero or too large.
    #[error("a target of {width}x{height} pixels cannot be made; expected 1x1 to {MAX_SIDE}x{MAX_SIDE}")]
    Target {
        /// Width given.
        width: u32,
        /// Height given.
        height: u32,
    },
    /// A mosaic needs two lines of two pixels.
    #[error("a {format} source of {width}x{height} pixels has no whole cell; expected at least 2x2")]
    Mosaic {
        /// The format.
        format: PixelFormat,
        /// Width given.
        width: u32,
        /// Height given.
        height: u32,
    },
    /// Black level or gains are out of range.
    #[error(
        "black level {black_level} with gains {gains:?} cannot be applied to {format}; expected a black level below \
         {limit} and gains of 0.01 to 3.9 (black level included)"
    )]
    Raw {
        /// The black level given.
        black_level: u16,
        /// The gains given.
        gains: [f32; 3],
        /// The format.
        format: PixelFormat,
        /// Half of the highest code.
        limit: u32,
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

#[cfg(test)]
mod tests {
    use super::*;

    fn check(roi: (u32, u32), target: (u32, u32), fit: Fit, source: [u32; 4], written: [u32; 4]) {
        let roi = Roi { x: 10, y: 20, width: roi.0, height: roi.1 };
        let region = |[x, y, width, height]: [u32; 4]| Roi { x, y, width, height };
        let expected = Placement { source: region(source), target: region(written) };
        assert_eq!(place(roi, target.0, target.1, fit), expected, "{roi:?} to {target:?} by {fit:?}");
    }

    #[test]
    fn regions_are_fitted_as_asked() {
        check((640, 480), (256, 256), Fit::Stretch, [10, 20, 640, 480], [0, 0, 256, 256]);
        check((640, 480), (256, 256), Fit::Crop, [90, 20, 480, 480], [0, 0, 256, 256]);
        check((480, 640), (256, 256), Fit::Crop, [10, 100, 480, 480], [0, 0, 256, 256]);
        check((640, 480), (256, 256), Fit::Pad(0), [10, 20, 640, 480], [0, 32, 256, 192]);
        check((480, 640), (256, 256), Fit::Pad(0), [10, 20, 480, 640], [32, 0, 192, 256]);
        check((1000, 1), (16, 16), Fit::Pad(0), [10, 20, 1000, 1], [0, 7, 16, 1]);
        check((3, 1000), (16, 16), Fit::Crop, [10, 518, 3, 3], [0, 0, 16, 16]);
    }

    #[test]
    fn nonsense_is_refused_with_the_numbers() {
        let spec = Spec::new(Geometry::new(64, 48, PixelFormat::Grey), 16, 16);
        let roi = |x, y, width, height| Spec { roi: Some(Roi { x, y, width, height }), ..spec };
        let mosaic = PixelFormat::from_name("SRGGB8").expect("known");
        let cases = [
            (Spec { width: 0, ..spec }, "target of 0x16"),
            (Spec { height: MAX_SIDE + 1, ..spec }, "16x16385"),
            (Spec { source: Geometry::new(0, 48, PixelFormat::Grey), ..spec }, "source of 0x48"),
            (Spec { source: Geometry::new(1, 48, mosaic), ..spec }, "SRGGB8 source of 1x48"),
            (roi(60, 0, 5, 5), "x + width <= 64"),
            (roi(0, 0, 0, 5), "width = 0"),
            (roi(u32::MAX, 0, 2, 5), "4294967295"),
            (Spec { raw: RawTuning { black_level: 128, ..RawTuning::default() }, ..spec }, "below 128"),
            (Spec { raw: RawTuning { gains: [1.0, f32::NAN, 1.0], ..RawTuning::default() }, ..spec }, "NaN"),
        ];
        for (spec, part) in cases {
            let error = spec.placement().expect_err(part).to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
