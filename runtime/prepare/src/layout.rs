//! Where the samples of each format lie, as data: the preparer knows streams and components, not formats.
//!
//! A *stream* is a set of lines that are added up together; a *component* is every n-th sample of a stream's lines.
//! YUYV is one stream with three components, NV12 two streams, a Bayer mosaic two streams (its even and its odd
//! lines) with two components each: that is the half-resolution demosaic, at no cost of its own.

use crate::format::{BayerDepth, BayerOrder, PixelFormat};

/// How a stream's samples are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sample {
    /// A byte.
    U8,
    /// This many bits in a little-endian 16-bit word.
    U16(u32),
    /// Four 10-bit samples in five bytes.
    Packed10,
    /// Two 12-bit samples in three bytes.
    Packed12,
}

impl Sample {
    /// Bits of a sample.
    pub fn bits(self) -> u32 {
        match self {
            Sample::U8 => 8,
            Sample::U16(bits) => bits,
            Sample::Packed10 => 10,
            Sample::Packed12 => 12,
        }
    }

    /// The value of white after the vertical pass: 8-bit samples get 7 fraction bits, wider ones are moved to 15 bits.
    pub fn white(self) -> i32 {
        match self.bits() {
            8 => 255 << 7,
            bits if bits > 15 => (1 << 15) - 1,
            bits => ((1 << bits) - 1) << (15 - bits),
        }
    }
}

/// A set of lines that are added up together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StreamLayout {
    /// Which plane of the frame.
    pub plane: usize,
    /// How samples are stored.
    pub sample: Sample,
    /// Pixels that one line of the stream covers vertically.
    pub sub: u32,
    /// Every how many lines of the plane belong to the stream, and the first.
    pub line_step: usize,
    /// The first line of the plane that belongs to the stream.
    pub line_phase: usize,
}

/// Every n-th sample of a stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ComponentLayout {
    /// Which stream.
    pub stream: usize,
    /// Samples from one of the component to the next.
    pub step: usize,
    /// The first sample of the component in a line.
    pub phase: usize,
    /// Pixels that one sample covers horizontally.
    pub sub: u32,
}

/// What the components mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// Luminance.
    Grey,
    /// Red, green, blue.
    Rgb,
    /// Luma and two chroma differences.
    Yuv,
    /// Red, green beside red, green beside blue, blue.
    Mosaic,
}

/// Most planes of a format.
pub(crate) const MAX_PLANES: usize = 3;

/// A format taken apart.
pub(crate) struct Layout {
    pub meaning: Meaning,
    pub streams: Vec<StreamLayout>,
    pub components: Vec<ComponentLayout>,
}

impl Layout {
    pub fn of(format: PixelFormat) -> Layout {
        use PixelFormat as P;
        let packed = |sample, step, phases: [usize; 3]| {
            let components = phases.map(|phase| component(0, step, phase, 1)).to_vec();
            Layout { meaning: Meaning::Rgb, streams: vec![stream(0, sample, 1)], components }
        };
        let grey = |sample| Layout {
            meaning: Meaning::Grey,
            streams: vec![stream(0, sample, 1)],
            components: vec![component(0, 1, 0, 1)],
        };
        match format {
            P::Grey => grey(Sample::U8),
            P::Y10 => grey(Sample::U16(10)),
            P::Y12 => grey(Sample::U16(12)),
            P::Y16 => grey(Sample::U16(16)),
            P::Y10P => grey(Sample::Packed10),
            P::Y12P => grey(Sample::Packed12),
            P::Rgb24 => packed(Sample::U8, 3, [0, 1, 2]),
            P::Bgr24 => packed(Sample::U8, 3, [2, 1, 0]),
            P::Rgbx32 => packed(Sample::U8, 4, [0, 1, 2]),
            P::Bgrx32 => packed(Sample::U8, 4, [2, 1, 0]),
            P::Xrgb32 => packed(Sample::U8, 4, [1, 2, 3]),
            P::Yuyv => yuv(vec![stream(0, Sample::U8, 1)], [(0, 2, 0), (0, 4, 1), (0, 4, 3)]),
            P::Uyvy => yuv(vec![stream(0, Sample::U8, 1)], [(0, 2, 1), (0, 4, 0), (0, 4, 2)]),
            P::Nv12 => yuv(two_planes(), [(0, 1, 0), (1, 2, 0), (1, 2, 1)]),
            P::Nv21 => yuv(two_planes(), [(0, 1, 0), (1, 2, 1), (1, 2, 0)]),
            P::Yu12 => yuv(three_planes(), [(0, 1, 0), (1, 1, 0), (2, 1, 0)]),
            P::Bayer(order, depth) => mosaic(order, depth),
        }
    }
}

/// Where a plane lies in the frame: offset of its first byte, bytes from line to line, bytes of pixels in a line, lines.
pub(crate) fn plane_extent(
    format: PixelFormat,
    plane: usize,
    width: u32,
    height: u32,
    stride: usize,
) -> (usize, usize, usize, usize) {
    let (lines, half_lines) = (height as usize, (height as usize).div_ceil(2));
    let luma = stride * lines;
    let half_width = (width as usize).div_ceil(2);
    match (format, plane) {
        (PixelFormat::Nv12 | PixelFormat::Nv21, 1) => (luma, stride, 2 * half_width, half_lines),
        (PixelFormat::Yu12, 1) => (luma, stride / 2, half_width, half_lines),
        (PixelFormat::Yu12, 2) => (luma + stride / 2 * half_lines, stride / 2, half_width, half_lines),
        _ => (0, stride, format.line_bytes(width), lines),
    }
}

fn stream(plane: usize, sample: Sample, sub: u32) -> StreamLayout {
    StreamLayout { plane, sample, sub, line_step: 1, line_phase: 0 }
}

fn component(stream: usize, step: usize, phase: usize, sub: u32) -> ComponentLayout {
    ComponentLayout { stream, step, phase, sub }
}

fn two_planes() -> Vec<StreamLayout> {
    vec![stream(0, Sample::U8, 1), stream(1, Sample::U8, 2)]
}

fn three_planes() -> Vec<StreamLayout> {
    vec![stream(0, Sample::U8, 1), stream(1, Sample::U8, 2), stream(2, Sample::U8, 2)]
}

/// Luma at full width, chroma at half, each as (stream, step, phase).
fn yuv(streams: Vec<StreamLayout>, [y, u, v]: [(usize, usize, usize); 3]) -> Layout {
    let components = vec![component(y.0, y.1, y.2, 1), component(u.0, u.1, u.2, 2), component(v.0, v.1, v.2, 2)];
    Layout { meaning: Meaning::Yuv, streams, components }
}

fn mosaic(order: BayerOrder, depth: BayerDepth) -> Layout {
    let sample = match depth {
        BayerDepth::Bits8 => Sample::U8,
        BayerDepth::Bits10 => Sample::U16(10),
        BayerDepth::Bits12 => Sample::U16(12),
        BayerDepth::Bits16 => Sample::U16(16),
        BayerDepth::Packed10 => Sample::Packed10,
        BayerDepth::Packed12 => Sample::Packed12,
    };
    // Line and column of red; blue is diagonally opposite.
    let (line, column) = match order {
        BayerOrder::Rggb => (0, 0),
        BayerOrder::Grbg => (0, 1),
        BayerOrder::Gbrg => (1, 0),
        BayerOrder::Bggr => (1, 1),
    };
    let lines = |phase| StreamLayout { plane: 0, sample, sub: 2, line_step: 2, line_phase: phase };
    Layout {
        meaning: Meaning::Mosaic,
        streams: vec![lines(0), lines(1)],
        components: vec![
            component(line, 2, column, 2),
            component(line, 2, 1 - column, 2),
            component(1 - line, 2, column, 2),
            component(1 - line, 2, 1 - column, 2),
        ],
    }
}
