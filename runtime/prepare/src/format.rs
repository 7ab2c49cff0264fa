//! What a pixel is: memory formats, and what the numbers of a YUV format mean.

use std::fmt;

use crate::layout::plane_extent;

/// How pixels lie in memory. Names follow V4L2; samples of more than 8 bits are little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PixelFormat {
    /// One byte a pixel, luminance.
    Grey,
    /// Luminance, 10 bits in 16.
    Y10,
    /// Luminance, 12 bits in 16.
    Y12,
    /// Luminance, 16 bits.
    Y16,
    /// Luminance, four 10-bit pixels in five bytes (MIPI CSI-2).
    Y10P,
    /// Luminance, two 12-bit pixels in three bytes (MIPI CSI-2).
    Y12P,
    /// Bytes R, G, B.
    Rgb24,
    /// Bytes B, G, R.
    Bgr24,
    /// Bytes R, G, B, unused.
    Rgbx32,
    /// Bytes B, G, R, unused.
    Bgrx32,
    /// Bytes unused, R, G, B.
    Xrgb32,
    /// 4:2:2, bytes Y0 U Y1 V for each two pixels.
    Yuyv,
    /// 4:2:2, bytes U Y0 V Y1 for each two pixels.
    Uyvy,
    /// 4:2:0, a plane of Y, then one of U and V in turn.
    Nv12,
    /// 4:2:0, a plane of Y, then one of V and U in turn.
    Nv21,
    /// 4:2:0, planes of Y, U and V (also called I420).
    Yu12,
    /// A colour mosaic straight from the sensor.
    Bayer(BayerOrder, BayerDepth),
}

/// The colours of a mosaic's first two pixels in its first line, then in its second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BayerOrder {
    /// R G over G B.
    Rggb,
    /// G R over B G.
    Grbg,
    /// G B over R G.
    Gbrg,
    /// B G over G R.
    Bggr,
}

/// How a mosaic's samples are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BayerDepth {
    /// 8 bits in a byte.
    Bits8,
    /// 10 bits in 16.
    Bits10,
    /// 12 bits in 16.
    Bits12,
    /// 16 bits.
    Bits16,
    /// Four 10-bit samples in five bytes (MIPI CSI-2).
    Packed10,
    /// Two 12-bit samples in three bytes (MIPI CSI-2).
    Packed12,
}

use BayerDepth::{Bits8, Bits10, Bits12, Bits16, Packed10, Packed12};
use BayerOrder::{Bggr, Gbrg, Grbg, Rggb};

/// Every format with the name used in configuration files and messages.
const NAMES: &[(PixelFormat, &str)] = &[
    (PixelFormat::Grey, "GREY"),
    (PixelFormat::Y10, "Y10"),
    (PixelFormat::Y12, "Y12"),
    (PixelFormat::Y16, "Y16"),
    (PixelFormat::Y10P, "Y10P"),
    (PixelFormat::Y12P, "Y12P"),
    (PixelFormat::Rgb24, "RGB24"),
    (PixelFormat::Bgr24, "BGR24"),
    (PixelFormat::Rgbx32, "RGBX32"),
    (PixelFormat::Bgrx32, "BGRX32"),
    (PixelFormat::Xrgb32, "XRGB32"),
    (PixelFormat::Yuyv, "YUYV"),
    (PixelFormat::Uyvy, "UYVY"),
    (PixelFormat::Nv12, "NV12"),
    (PixelFormat::Nv21, "NV21"),
    (PixelFormat::Yu12, "YU12"),
    (PixelFormat::Bayer(Rggb, Bits8), "SRGGB8"),
    (PixelFormat::Bayer(Grbg, Bits8), "SGRBG8"),
    (PixelFormat::Bayer(Gbrg, Bits8), "SGBRG8"),
    (PixelFormat::Bayer(Bggr, Bits8), "SBGGR8"),
    (PixelFormat::Bayer(Rggb, Bits10), "SRGGB10"),
    (PixelFormat::Bayer(Grbg, Bits10), "SGRBG10"),
    (PixelFormat::Bayer(Gbrg, Bits10), "SGBRG10"),
    (PixelFormat::Bayer(Bggr, Bits10), "SBGGR10"),
    (PixelFormat::Bayer(Rggb, Bits12), "SRGGB12"),
    (PixelFormat::Bayer(Grbg, Bits12), "SGRBG12"),
    (PixelFormat::Bayer(Gbrg, Bits12), "SGBRG12"),
    (PixelFormat::Bayer(Bggr, Bits12), "SBGGR12"),
    (PixelFormat::Bayer(Rggb, Bits16), "SRGGB16"),
    (PixelFormat::Bayer(Grbg, Bits16), "SGRBG16"),
    (PixelFormat::Bayer(Gbrg, Bits16), "SGBRG16"),
    (PixelFormat::Bayer(Bggr, Bits16), "SBGGR16"),
    (PixelFormat::Bayer(Rggb, Packed10), "SRGGB10P"),
    (PixelFormat::Bayer(Grbg, Packed10), "SGRBG10P"),
    (PixelFormat::Bayer(Gbrg, Packed10), "SGBRG10P"),
    (PixelFormat::Bayer(Bggr, Packed10), "SBGGR10P"),
    (PixelFormat::Bayer(Rggb, Packed12), "SRGGB12P"),
    (PixelFormat::Bayer(Grbg, Packed12), "SGRBG12P"),
    (PixelFormat::Bayer(Gbrg, Packed12), "SGBRG12P"),
    (PixelFormat::Bayer(Bggr, Packed12), "SBGGR12P"),
];

impl PixelFormat {
    /// Every format that can be prepared, in the order in which messages list them.
    pub fn all() -> impl Iterator<Item = PixelFormat> {
        NAMES.iter().map(|(format, _)| *format)
    }

    /// The name used in configuration files and messages.
    pub fn name(self) -> &'static str {
        NAMES.iter().find(|(format, _)| *format == self).map_or("unnamed", |(_, name)| name)
    }

    /// The format with this name, whatever its case.
    pub fn from_name(name: &str) -> Option<PixelFormat> {
        NAMES.iter().find(|(_, known)| known.eq_ignore_ascii_case(name)).map(|(format, _)| *format)
    }

    /// Bytes that one line of `width` pixels takes in the first plane, without padding.
    pub fn line_bytes(self, width: u32) -> usize {
        let width = width as usize;
        match self {
            PixelFormat::Grey | PixelFormat::Nv12 | PixelFormat::Nv21 | PixelFormat::Yu12 => width,
            PixelFormat::Bayer(_, Bits8) => width,
            PixelFormat::Y10 | PixelFormat::Y12 | PixelFormat::Y16 => 2 * width,
            PixelFormat::Bayer(_, Bits10 | Bits12 | Bits16) => 2 * width,
            PixelFormat::Y10P | PixelFormat::Bayer(_, Packed10) => 5 * width.div_ceil(4),
            PixelFormat::Y12P | PixelFormat::Bayer(_, Packed12) => 3 * width.div_ceil(2),
            PixelFormat::Rgb24 | PixelFormat::Bgr24 => 3 * width,
            PixelFormat::Rgbx32 | PixelFormat::Bgrx32 | PixelFormat::Xrgb32 => 4 * width,
            PixelFormat::Yuyv | PixelFormat::Uyvy => 4 * width.div_ceil(2),
        }
    }

    /// How many planes a frame has: 1, or 2 and 3 where chroma lies apart.
    pub fn planes(self) -> usize {
        match self {
            PixelFormat::Nv12 | PixelFormat::Nv21 => 2,
            PixelFormat::Yu12 => 3,
            _ => 1,
        }
    }

    /// The shortest distance between lines that every plane can do with.
    pub fn packed_stride(self, width: u32) -> usize {
        // The chroma lines of planar 4:2:0 are half as far apart as the luma lines.
        if self.planes() > 1 { self.line_bytes(width).next_multiple_of(2) } else { self.line_bytes(width) }
    }

    /// Bytes from the first pixel to the last of a plane that has a buffer of its own, with lines of `stride` bytes.
    pub fn plane_bytes(self, plane: usize, width: u32, height: u32, stride: usize) -> usize {
        let (_, _, line, lines) = plane_extent(self, plane, width, height, 0);
        stride * lines.saturating_sub(1) + line
    }

    /// Whether the format carries colour.
    pub fn is_color(self) -> bool {
        use PixelFormat::{Grey, Y10, Y10P, Y12, Y12P, Y16};
        !matches!(self, Grey | Y10 | Y12 | Y16 | Y10P | Y12P)
    }

    /// Bits of a sample.
    pub fn bits(self) -> u32 {
        match self {
            PixelFormat::Y10 | PixelFormat::Y10P | PixelFormat::Bayer(_, Bits10 | Packed10) => 10,
            PixelFormat::Y12 | PixelFormat::Y12P | PixelFormat::Bayer(_, Bits12 | Packed12) => 12,
            PixelFormat::Y16 | PixelFormat::Bayer(_, Bits16) => 16,
            _ => 8,
        }
    }
}

impl fmt::Display for PixelFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Which weights turn RGB into luma and chroma.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Matrix {
    /// ITU-R BT.601: webcams, JPEG, standard definition.
    #[default]
    Bt601,
    /// ITU-R BT.709: high definition.
    Bt709,
}

/// Which codes stand for black and white.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Range {
    /// Luma 16..=235, chroma 16..=240: video, and most cameras in YUV.
    #[default]
    Limited,
    /// 0..=255: JPEG, and RGB.
    Full,
}

/// What the numbers of a YUV format mean. Without effect on grey, RGB and Bayer formats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Encoding {
    /// Luma and chroma weights.
    pub matrix: Matrix,
    /// Codes of black and white.
    pub range: Range,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_has_one_name_and_is_found_by_it() {
        for format in PixelFormat::all() {
            assert_eq!(PixelFormat::from_name(&format.name().to_lowercase()), Some(format));
            assert_eq!(PixelFormat::all().filter(|other| other.name() == format.name()).count(), 1);
            assert!(format.line_bytes(5) * 8 >= 5 * format.bits() as usize, "{format}");
        }
        assert_eq!(PixelFormat::from_name("H264"), None);
    }
}
