//! Pixels by their textbook description: what a prepared camera frame is compared with on the board.
//!
//! In floating point, one pixel at a time, from the frame's own bytes. It shares nothing with `jidoka-prepare` but the
//! description of a frame.

use jidoka_capture::{FrameView, PixelFormat};
use jidoka_prepare::{BayerDepth, BayerOrder, Encoding, Matrix, Range};

/// The frame in boxes of `side` x `side` pixels, the mean of each as R, G, B in 0..=255. Both sides are multiples of `side`.
#[must_use]
pub fn boxes(view: &FrameView<'_>, encoding: Encoding, side: usize) -> Vec<[f64; 3]> {
    let (across, down) = (view.width as usize / side, view.height as usize / side);
    let mean = |bx: usize, by: usize| {
        let mut sum = [0.0; 3];
        for y in by * side..(by + 1) * side {
            for x in bx * side..(bx + 1) * side {
                let pixel = rgb(view, encoding, x, y);
                (0..3).for_each(|c| sum[c] += pixel[c]);
            }
        }
        sum.map(|sum| (sum / (side * side) as f64).clamp(0.0, 255.0))
    };
    (0..down).flat_map(|by| (0..across).map(move |bx| mean(bx, by))).collect()
}

fn rgb(view: &FrameView<'_>, encoding: Encoding, x: usize, y: usize) -> [f64; 3] {
    use PixelFormat as P;
    let line = &view.data[y * view.stride..];
    let byte = |at: usize| f64::from(line[at]);
    let grey = |value: f64| [value; 3];
    match view.format {
        P::Grey => grey(byte(x)),
        P::Y10 => grey(word(line, x, 10)),
        P::Y12 => grey(word(line, x, 12)),
        P::Y16 => grey(word(line, x, 16)),
        P::Y10P => grey(packed(line, x, BayerDepth::Packed10)),
        P::Y12P => grey(packed(line, x, BayerDepth::Packed12)),
        P::Rgb24 => [byte(3 * x), byte(3 * x + 1), byte(3 * x + 2)],
        P::Bgr24 => [byte(3 * x + 2), byte(3 * x + 1), byte(3 * x)],
        P::Rgbx32 => [byte(4 * x), byte(4 * x + 1), byte(4 * x + 2)],
        P::Bgrx32 => [byte(4 * x + 2), byte(4 * x + 1), byte(4 * x)],
        P::Xrgb32 => [byte(4 * x + 1), byte(4 * x + 2), byte(4 * x + 3)],
        P::Yuyv => yuv(encoding, byte(2 * x), byte(x / 2 * 4 + 1), byte(x / 2 * 4 + 3)),
        P::Uyvy => yuv(encoding, byte(2 * x + 1), byte(x / 2 * 4), byte(x / 2 * 4 + 2)),
        P::Nv12 | P::Nv21 | P::Yu12 => {
            let [u, v] = chroma(view, x / 2, y / 2);
            yuv(encoding, byte(x), u, v)
        }
        P::Bayer(order, depth) => mosaic(view, order, depth, x, y),
        _ => [f64::NAN; 3],
    }
}

/// U and V of planar 4:2:0 at half resolution, wherever the planes are.
fn chroma(view: &FrameView<'_>, x: usize, y: usize) -> [f64; 2] {
    let height = view.height as usize;
    let (first, second) = match view.chroma {
        Some([first, second]) => ((first.data, first.stride), (second.data, second.stride)),
        None if view.format == PixelFormat::Yu12 => {
            let (start, stride) = (view.stride * height, view.stride / 2);
            ((&view.data[start..], stride), (&view.data[start + stride * height.div_ceil(2)..], stride))
        }
        None => ((&view.data[view.stride * height..], view.stride), (&[][..], 0)),
    };
    match view.format {
        PixelFormat::Yu12 => [f64::from(first.0[y * first.1 + x]), f64::from(second.0[y * second.1 + x])],
        format => {
            let pair = [0, 1].map(|k| f64::from(first.0[y * first.1 + 2 * x + k]));
            if format == PixelFormat::Nv12 { pair } else { [pair[1], pair[0]] }
        }
    }
}

/// ITU-R BT.601 and BT.709.
fn yuv(encoding: Encoding, y: f64, u: f64, v: f64) -> [f64; 3] {
    let (red, blue) = if encoding.matrix == Matrix::Bt709 { (0.2126, 0.0722) } else { (0.299, 0.114) };
    let green = 1.0 - red - blue;
    let (y, c) = match encoding.range {
        Range::Limited => ((y - 16.0) * 255.0 / 219.0, 255.0 / 224.0),
        Range::Full => (y, 1.0),
    };
    let (u, v) = ((u - 128.0) * c, (v - 128.0) * c);
    let (from_u, from_v) = (2.0 * (1.0 - blue), 2.0 * (1.0 - red));
    [y + from_v * v, y - (from_u * blue * u + from_v * red * v) / green, y + from_u * u]
}

/// The cell of four that a pixel is in: half-resolution demosaic.
fn mosaic(view: &FrameView<'_>, order: BayerOrder, depth: BayerDepth, x: usize, y: usize) -> [f64; 3] {
    let sample = |dx: usize, dy: usize| {
        let (x, line) = (x / 2 * 2 + dx, &view.data[(y / 2 * 2 + dy) * view.stride..]);
        match depth {
            BayerDepth::Bits8 => f64::from(line[x]),
            BayerDepth::Bits10 => word(line, x, 10),
            BayerDepth::Bits12 => word(line, x, 12),
            BayerDepth::Bits16 => word(line, x, 16),
            BayerDepth::Packed10 | BayerDepth::Packed12 => packed(line, x, depth),
        }
    };
    // Where red is; blue is diagonally opposite.
    let (rx, ry) = match order {
        BayerOrder::Rggb => (0, 0),
        BayerOrder::Grbg => (1, 0),
        BayerOrder::Gbrg => (0, 1),
        BayerOrder::Bggr => (1, 1),
    };
    let green = (sample(1 - rx, ry) + sample(rx, 1 - ry)) / 2.0;
    [sample(rx, ry), green, sample(1 - rx, 1 - ry)]
}

fn word(line: &[u8], x: usize, bits: u32) -> f64 {
    let code = u16::from_le_bytes([line[2 * x], line[2 * x + 1]]);
    f64::from(code) * 255.0 / f64::from((1u32 << bits) - 1)
}

fn packed(line: &[u8], x: usize, depth: BayerDepth) -> f64 {
    if depth == BayerDepth::Packed10 {
        let group = &line[x / 4 * 5..];
        let code = u16::from(group[x % 4]) << 2 | u16::from(group[4] >> (2 * (x % 4)) & 3);
        f64::from(code) * 255.0 / 1023.0
    } else {
        let group = &line[x / 2 * 3..];
        let code = u16::from(group[x % 2]) << 4 | u16::from(group[2] >> (4 * (x % 2)) & 15);
        f64::from(code) * 255.0 / 4095.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jidoka_prepare::{Geometry, Preparer, Spec};

    /// The two descriptions of every format agree here already; on the board the frames come from a driver.
    #[test]
    fn preparation_and_reference_agree_in_every_format() {
        for format in PixelFormat::all() {
            for (matrix, range) in [(Matrix::Bt601, Range::Limited), (Matrix::Bt709, Range::Full)] {
                let encoding = Encoding { matrix, range };
                let geometry = Geometry { width: 40, height: 20, format, encoding };
                // Smooth and grey in the middle, so that no colour leaves the gamut, where the order of steps matters.
                let bytes = geometry.frame_bytes(format.packed_stride(40));
                let data: Vec<u8> = (0..bytes).map(|i| 110 + (i % 7) as u8).collect();
                let wide = matches!(format.bits(), 10 | 12) && format.line_bytes(40) == 80;
                let data: Vec<u8> =
                    if wide { (0..bytes).map(|i| if i % 2 == 1 { 1 } else { 90 }).collect() } else { data };
                let view = FrameView::packed(&data, 40, 20, format);
                let mut preparer = Preparer::new(&Spec::new(geometry, 4, 2)).expect("a plan");
                let mut out = vec![0; 24];
                preparer.write_u8(&view, &mut out).expect("prepares");
                for (got, expected) in out.chunks(3).zip(boxes(&view, encoding, 10)) {
                    for c in 0..3 {
                        assert!((f64::from(got[c]) - expected[c]).abs() <= 1.0, "{format}: {got:?} {expected:?}");
                    }
                }
            }
        }
    }
}
