//! What a pixel is: memory formats, and what the numbers of a YUV format mean.

use std::fmt;

/// How pixels lie in memory. Names follow V4L2; multi-byte samples are little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PixelFormat {
    /// One byte a pixel, luminance.
    Grey,
    /// Bytes R, G, B.
    Rgb24,
    /// Bytes B, G, R.
    Bgr24,
    /// 4:2:2, bytes Y0 U Y1 V for each two pixels.
    Yuyv,
}

impl PixelFormat {
    /// Every format that can be prepared, in the order in which messages list them.
    pub const ALL: &'static [PixelFormat] = &[
        PixelFormat::Grey,
        PixelFormat::Rgb24,
        PixelFormat::Bgr24,
        PixelFormat::Yuyv,
    ];

    /// The name used in configuration files and messages.
    pub fn name(self) -> &'static str {
        match self {
            PixelFormat::Grey => "GREY",
            PixelFormat::Rgb24 => "RGB24",
            PixelFormat::Bgr24 => "BGR24",
            PixelFormat::Yuyv => "YUYV",
        }
    }

    /// The format with this name, whatever its case.
    pub fn from_name(name: &str) -> Option<PixelFormat> {
        Self::ALL
            .iter()
            .copied()
            .find(|format| format.name().eq_ignore_ascii_case(name))
    }

    /// Bytes that one line of `width` pixels takes, without padding.
    pub fn line_bytes(self, width: u32) -> usize {
        let width = width as usize;
        match self {
            PixelFormat::Grey => width,
            PixelFormat::Rgb24 | PixelFormat::Bgr24 => 3 * width,
            PixelFormat::Yuyv => 4 * width.div_ceil(2),
        }
    }

    /// Whether the format carries colour.
    pub fn is_color(self) -> bool {
        !matches!(self, PixelFormat::Grey)
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

/// What the numbers of a YUV format mean. Without effect on grey and RGB formats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Encoding {
    /// Luma and chroma weights.
    pub matrix: Matrix,
    /// Codes of black and white.
    pub range: Range,
}
