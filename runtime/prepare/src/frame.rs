//! A frame as it lies in somebody else's memory, and the part of it that matters.

use crate::format::{Encoding, PixelFormat};
use crate::layout::plane_extent;

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
        Geometry { width, height, format, encoding: Encoding::default() }
    }

    /// The whole frame as a region.
    pub fn full(&self) -> Roi {
        Roi { x: 0, y: 0, width: self.width, height: self.height }
    }

    /// Bytes that a frame takes with lines of `stride` bytes, all planes together.
    pub fn frame_bytes(&self, stride: usize) -> usize {
        let (offset, stride, _, lines) =
            plane_extent(self.format, self.format.planes() - 1, self.width, self.height, stride);
        offset + stride * lines
    }
}

/// A borrowed frame: the driver's buffer, a decoded image, a rendered part.
///
/// Nothing is checked on construction; [`Preparer`](crate::Preparer) checks each frame against its plan.
#[derive(Clone, Copy, Debug)]
pub struct FrameView<'a> {
    /// The bytes, first line first. Chroma planes follow the luma plane, unless [`chroma`](FrameView::chroma) says where
    /// they are.
    pub data: &'a [u8],
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Bytes from one line to the next (V4L2's `bytesperline`), padding included.
    pub stride: usize,
    /// Memory format.
    pub format: PixelFormat,
    /// Second and third plane, where a multi-planar device keeps them in buffers of their own.
    pub chroma: Option<[Plane<'a>; 2]>,
}

/// A plane in a buffer of its own.
#[derive(Clone, Copy, Debug)]
pub struct Plane<'a> {
    /// The bytes, first line first. Empty where the format has no such plane.
    pub data: &'a [u8],
    /// Bytes from one line to the next.
    pub stride: usize,
}

/// One plane as the kernels read it.
#[derive(Clone, Copy)]
pub(crate) struct PlaneView<'a> {
    pub data: &'a [u8],
    pub stride: usize,
}

impl<'a> FrameView<'a> {
    /// A frame of `height` lines, `stride` bytes apart.
    pub fn new(data: &'a [u8], width: u32, height: u32, stride: usize, format: PixelFormat) -> FrameView<'a> {
        FrameView { data, width, height, stride, format, chroma: None }
    }

    /// A frame whose lines follow each other without padding.
    pub fn packed(data: &'a [u8], width: u32, height: u32, format: PixelFormat) -> FrameView<'a> {
        FrameView::new(data, width, height, format.packed_stride(width), format)
    }

    /// The lines of a plane, without padding. Plane 0 is luma, or all there is.
    pub fn lines(&self, plane: usize) -> Result<impl Iterator<Item = &'a [u8]> + use<'a>, FrameError> {
        let (_, _, line, lines) = plane_extent(self.format, plane, self.width, self.height, self.stride);
        let PlaneView { data, stride } = self.plane(plane)?;
        Ok((0..lines).map(move |y| &data[y * stride..y * stride + line]))
    }

    /// Bytes from the first pixel to the last, all planes together: what `data` must at least hold.
    pub fn needed_bytes(&self) -> usize {
        let extent = |plane| plane_extent(self.format, plane, self.width, self.height, self.stride);
        let end = |(offset, stride, line, lines): (usize, usize, usize, usize)| {
            offset + stride * lines.saturating_sub(1) + line
        };
        (0..self.format.planes()).map(|plane| end(extent(plane))).max().unwrap_or(0)
    }

    /// One plane, once it is known to hold all its lines.
    pub(crate) fn plane(&self, plane: usize) -> Result<PlaneView<'a>, FrameError> {
        let (offset, stride, line, lines) = plane_extent(self.format, plane, self.width, self.height, self.stride);
        let (data, offset, stride) = match self.chroma {
            Some(chroma) if plane > 0 => (chroma[plane - 1].data, 0, chroma[plane - 1].stride),
            _ => (self.data, offset, stride),
        };
        if stride < line {
            return Err(FrameError::Stride { stride, expected: line });
        }
        // The last line needs no padding after it.
        let end = offset + stride * (lines - 1) + line;
        match data.get(offset..end) {
            Some(data) => Ok(PlaneView { data, stride }),
            None => Err(FrameError::Short { got: data.len(), expected: end }),
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
    /// No part lies where one could be aligned. Only where parts are aligned.
    #[error("no part was found to align: the best match is {match_percent} %, expected at least {least} %")]
    NoPart {
        /// The best match, in percent of the template itself.
        match_percent: u8,
        /// What was expected at least.
        least: u8,
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
