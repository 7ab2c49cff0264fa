//! A frame as it lies in somebody else's memory, and the part of it that matters.

use crate::format::{Encoding, PixelFormat};

/// What every frame of a source has in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Memory format.
    pub format: PixelFormat,
    /// What YUV codes mean.
    pub encoding: Encoding,
}

impl Geometry {
    /// A geometry with the default encoding (BT.601, limited range).
    pub fn new(width: u32, height: u32, format: PixelFormat) -> Geometry {
        Geometry {
            width,
            height,
            format,
            encoding: Encoding::default(),
        }
    }

    /// The whole frame as a region.
    pub fn full(&self) -> Roi {
        Roi {
            x: 0,
            y: 0,
            width: self.width,
            height: self.height,
        }
    }

    /// Bytes that a frame takes with lines of `stride` bytes.
    pub fn frame_bytes(&self, stride: usize) -> usize {
        stride * self.height as usize
    }
}

/// A borrowed frame: the driver's buffer, a decoded image, a rendered part.
///
/// Nothing is checked on construction; [`Preparer`](crate::Preparer) checks each frame against its plan.
#[derive(Clone, Copy, Debug)]
pub struct FrameView<'a> {
    /// The bytes, first line first.
    pub data: &'a [u8],
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Bytes from one line to the next (V4L2's `bytesperline`), padding included.
    pub stride: usize,
    /// Memory format.
    pub format: PixelFormat,
}

impl<'a> FrameView<'a> {
    /// A frame whose lines follow each other without padding.
    pub fn packed(data: &'a [u8], width: u32, height: u32, format: PixelFormat) -> FrameView<'a> {
        FrameView {
            data,
            width,
            height,
            stride: format.line_bytes(width),
            format,
        }
    }
}

/// A rectangle of a frame, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Roi {
    /// Left edge.
    pub x: u32,
    /// Top edge.
    pub y: u32,
    /// Width, at least 1.
    pub width: u32,
    /// Height, at least 1.
    pub height: u32,
}

/// Why a frame could not be prepared. Carries no heap memory, so it may be made inside the loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The frame is not what the plan was made for.
    #[error(
        "a {width}x{height} {format} frame came where {expected_width}x{expected_height} {expected_format} was planned"
    )]
    Geometry {
        /// Width of the frame.
        width: u32,
        /// Height of the frame.
        height: u32,
        /// Format of the frame.
        format: PixelFormat,
        /// Planned width.
        expected_width: u32,
        /// Planned height.
        expected_height: u32,
        /// Planned format.
        expected_format: PixelFormat,
    },
    /// The frame has fewer bytes than its geometry needs.
    #[error("the frame has {got} bytes where its lines need {expected}")]
    Short {
        /// Bytes that came.
        got: usize,
        /// Bytes that the geometry needs.
        expected: usize,
    },
    /// The lines are shorter than their pixels.
    #[error("a stride of {stride} bytes cannot hold a line of {expected} bytes")]
    Stride {
        /// Bytes from line to line.
        stride: usize,
        /// Bytes of pixels in a line.
        expected: usize,
    },
    /// The destination has the wrong length.
    #[error("the destination holds {got} values, the target needs {expected}")]
    Destination {
        /// Length of the destination slice.
        got: usize,
        /// Values that the target has.
        expected: usize,
    },
}
