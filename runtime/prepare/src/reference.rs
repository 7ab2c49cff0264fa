//! The slow, obvious version of a preparation, and the property that the fast ones equal it to the bit.
//!
//! For each target pixel it looks at every sample of the frame, one at a time, through one function that knows the
//! formats by their textbook description. It shares nothing with the plan but the colour map, which has its own tests.

use proptest::prelude::*;

use crate::color::{ColorMap, WHITE};
use crate::format::{BayerDepth, BayerOrder, Encoding, Matrix, PixelFormat, Range};
use crate::frame::{FrameView, Geometry, Roi};
use crate::kernels::Kernels;
use crate::layout::Layout;
use crate::preparer::Preparer;
use crate::spec::{Channels, Filter, Fit, RawTuning, Spec};

/// Pixels that one sample of component `c` covers, across and down.
fn covers(format: PixelFormat, c: usize) -> (u32, u32) {
    match format {
        PixelFormat::Yuyv | PixelFormat::Uyvy if c > 0 => (2, 1),
        PixelFormat::Nv12 | PixelFormat::Nv21 | PixelFormat::Yu12 if c > 0 => (2, 2),
        PixelFormat::Bayer(..) => (2, 2),
        _ => (1, 1),
    }
}

/// Samples of component `c`, across and down.
fn samples(view: &FrameView<'_>, c: usize) -> (u32, u32) {
    let (across, down) = covers(view.format, c);
    match view.format {
        PixelFormat::Bayer(..) => (view.width / across, view.height / down),
        _ => (view.width.div_ceil(across), view.height.div_ceil(down)),
    }
}

/// The code of sample (x, y) of component `c`.
fn code(view: &FrameView<'_>, c: usize, x: u32, y: u32) -> u16 {
    let (x, y) = (x as usize, y as usize);
    let (stride, lines) = (view.stride, view.height as usize);
    let byte = |at: usize| u16::from(view.data[at]);
    let line = y * stride;
    let chroma_lines = lines.div_ceil(2);
    match view.format {
        PixelFormat::Grey => byte(line + x),
        PixelFormat::Rgb24 => byte(line + 3 * x + c),
        PixelFormat::Bgr24 => byte(line + 3 * x + 2 - c),
        PixelFormat::Rgbx32 => byte(line + 4 * x + c),
        PixelFormat::Bgrx32 => byte(line + 4 * x + 2 - c),
        PixelFormat::Xrgb32 => byte(line + 4 * x + 1 + c),
        PixelFormat::Yuyv => byte(line + [2 * x, 4 * x + 1, 4 * x + 3][c]),
        PixelFormat::Uyvy => byte(line + [2 * x + 1, 4 * x, 4 * x + 2][c]),
        PixelFormat::Nv12 if c > 0 => byte((lines + y) * stride + 2 * x + c - 1),
        PixelFormat::Nv21 if c > 0 => byte((lines + y) * stride + 2 * x + 2 - c),
        PixelFormat::Yu12 if c > 0 => byte(lines * stride + ((c - 1) * chroma_lines + y) * (stride / 2) + x),
        PixelFormat::Nv12 | PixelFormat::Nv21 | PixelFormat::Yu12 => byte(line + x),
        PixelFormat::Y10 | PixelFormat::Y12 | PixelFormat::Y16 => word(view, x, y),
        PixelFormat::Y10P => packed(view, BayerDepth::Packed10, x, y),
        PixelFormat::Y12P => packed(view, BayerDepth::Packed12, x, y),
        PixelFormat::Bayer(order, depth) => {
            let colours = match order {
                BayerOrder::Rggb => [[0, 1], [2, 3]],
                BayerOrder::Grbg => [[1, 0], [3, 2]],
                BayerOrder::Gbrg => [[2, 3], [0, 1]],
                BayerOrder::Bggr => [[3, 2], [1, 0]],
            };
            let here = |(dy, dx): &(usize, usize)| colours[*dy][*dx] == c;
            let (dy, dx) = [(0, 0), (0, 1), (1, 0), (1, 1)].into_iter().find(here).expect("each once");
            let (x, y) = (2 * x + dx, 2 * y + dy);
            match depth {
                BayerDepth::Bits8 => byte(y * stride + x),
                BayerDepth::Bits10 | BayerDepth::Bits12 | BayerDepth::Bits16 => word(view, x, y),
                BayerDepth::Packed10 | BayerDepth::Packed12 => packed(view, depth, x, y),
            }
        }
    }
}

fn word(view: &FrameView<'_>, x: usize, y: usize) -> u16 {
    let at = y * view.stride + 2 * x;
    let code = u16::from_le_bytes([view.data[at], view.data[at + 1]]);
    code.min(((1u32 << view.format.bits()) - 1) as u16)
}

fn packed(view: &FrameView<'_>, depth: BayerDepth, x: usize, y: usize) -> u16 {
    let line = &view.data[y * view.stride..];
    if depth == BayerDepth::Packed10 {
        let group = &line[x / 4 * 5..];
        u16::from(group[x % 4]) * 4 + u16::from(group[4] >> (2 * (x % 4))) % 4
    } else {
        let group = &line[x / 2 * 3..];
        u16::from(group[x % 2]) * 16 + u16::from(group[2] >> (4 * (x % 2))) % 16
    }
}

/// Weights of all `count` samples in target pixel `i`, by looking at each.
fn weights(filter: Filter, start: u32, len: u32, target: u32, i: u32, sub: u32, count: u32) -> Vec<i64> {
    let [start, len, target, i, sub, count] = [start, len, target, i, sub, count].map(i64::from);
    let shrinks = len >= target * sub;
    // Positions in units of 1/(2 x target) pixel.
    let (low, high) = (2 * (start * target + i * len), 2 * (start * target + (i + 1) * len));
    let centre = (low + high) / 2;
    let mut shares: Vec<i64> = (0..count)
        .map(|j| {
            let (from, to) = (2 * j * sub * target, 2 * (j + 1) * sub * target);
            let inside = to > 2 * start * target && from < 2 * (start + len) * target;
            if filter == Filter::Area && shrinks {
                (to.min(high) - from.max(low)).max(0)
            } else if inside {
                ((2 * sub * target).max(2 * len) - ((from + to) / 2 - centre).abs()).max(0)
            } else {
                0
            }
        })
        .collect();
    if shares.iter().all(|&share| share == 0) {
        shares[count as usize - 1] = 1;
    }
    let total: i64 = shares.iter().sum();
    let mut weights: Vec<i64> = shares.iter().map(|share| share * 16384 / total).collect();
    let mut remainders: Vec<i64> = shares.iter().map(|share| share * 16384 % total).collect();
    while weights.iter().sum::<i64>() < 16384 {
        let most = *remainders.iter().max().expect("not empty");
        let k = remainders.iter().position(|&r| r == most).expect("there");
        weights[k] += 1;
        remainders[k] = -1;
    }
    weights
}

/// The preparation of a frame: for each pixel of the target the channels with 7 fraction bits, none for padding.
fn prepare(spec: &Spec, view: &FrameView<'_>) -> Vec<Option<Vec<i32>>> {
    let placement = spec.placement().expect("a valid spec");
    let (from, to) = (placement.source, placement.target);
    let layout = Layout::of(view.format);
    let color = ColorMap::new(&layout, spec.source.encoding, spec.raw, spec.channels).expect("valid gains");
    let bits = view.format.bits();
    let (left, right) = if bits == 8 { (0, 7) } else { (15u32.saturating_sub(bits), 14) };
    let mut pixels = Vec::new();
    for (y, x) in (0..spec.height).flat_map(|y| (0..spec.width).map(move |x| (y, x))) {
        if x < to.x || y < to.y || x >= to.x + to.width || y >= to.y + to.height {
            pixels.push(None);
            continue;
        }
        let mut components = Vec::new();
        for c in 0..layout.components.len() {
            let ((sub_x, sub_y), (across, down)) = (covers(view.format, c), samples(view, c));
            let columns = weights(spec.filter, from.x, from.width, to.width, x - to.x, sub_x, across);
            let lines = weights(spec.filter, from.y, from.height, to.height, y - to.y, sub_y, down);
            let mut sum = 0;
            for (column, &weight) in columns.iter().enumerate().filter(|(_, weight)| **weight != 0) {
                let mut vertical = 0;
                for (line, &weight) in lines.iter().enumerate().filter(|(_, weight)| **weight != 0) {
                    let code = i64::from(code(view, c, column as u32, line as u32));
                    vertical += weight * (code << left >> u32::from(bits == 16));
                }
                sum += weight * ((vertical + (1 << (right - 1))) >> right);
            }
            components.push((sum + 8192) >> 14);
        }
        let channel = |channel: &crate::color::Channel| {
            let sum: i64 = channel.coefficients.iter().zip(&components).map(|(&k, v)| i64::from(k) * v).sum();
            ((sum + i64::from(channel.bias)) >> 13).clamp(0, i64::from(WHITE)) as i32
        };
        pixels.push(Some(color.channels.iter().map(channel).collect()));
    }
    pixels
}

/// Every set of kernels gives the reference's values for this frame.
fn check(spec: &Spec, view: &FrameView<'_>) {
    let expected = prepare(spec, view);
    let count = spec.channels.count();
    let pixels = expected.len();
    let pad = if let Fit::Pad(value) = spec.fit { value } else { 0 };
    for kernels in Kernels::all() {
        let mut preparer = Preparer::with_kernels(spec, kernels).expect("a valid spec");
        let (mut bytes, mut floats) = (vec![77u8; count * pixels], vec![f32::NAN; count * pixels]);
        preparer.write_u8(view, &mut bytes).expect("prepares");
        preparer.write_f32(view, &mut floats).expect("prepares");
        for (i, c) in (0..pixels).flat_map(|i| (0..count).map(move |c| (i, c))) {
            let (byte, float) = match &expected[i] {
                Some(channels) => (((channels[c] + 64) >> 7) as u8, channels[c] as f32 / 32640.0),
                None => (pad, f32::from(pad) / 255.0),
            };
            let at = format!("{} pixel {i} channel {c} of {spec:?}", kernels.name);
            assert_eq!(bytes[i * count + c], byte, "{at}");
            assert_eq!(floats[c * pixels + i].to_bits(), float.to_bits(), "{at}");
        }
    }
}

/// Bytes without pattern, from a seed.
pub(crate) fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    std::iter::repeat_with(next).take(len).collect()
}

fn any_spec() -> impl Strategy<Value = Spec> {
    let formats: Vec<PixelFormat> = PixelFormat::all().collect();
    let roi = (0u32..1000, 0u32..1000, 0u32..1000, 0u32..1000);
    let target = (1u32..40, 1u32..14);
    let choices = (0u8..3, any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
    let raw = (0u16..40, 0.3f32..3.0);
    (proptest::sample::select(formats), 2u32..90, 2u32..24, roi, target, choices, raw).prop_map(
        |(format, width, height, roi, target, choices, raw)| {
            let cut = |start: u32, len: u32, limit: u32| {
                let start = start % limit;
                (start, 1 + len % (limit - start))
            };
            let ((x, w), (y, h)) = (cut(roi.0, roi.2, width), cut(roi.1, roi.3, height));
            let (fit, triangle, grey, full, bt709) = choices;
            Spec {
                source: Geometry {
                    width,
                    height,
                    format,
                    encoding: Encoding {
                        matrix: if bt709 { Matrix::Bt709 } else { Matrix::Bt601 },
                        range: if full { Range::Full } else { Range::Limited },
                    },
                },
                roi: (roi.0 % 3 > 0).then_some(Roi { x, y, width: w, height: h }),
                width: target.0,
                height: target.1,
                channels: if grey { Channels::Grey } else { Channels::Rgb },
                fit: [Fit::Stretch, Fit::Crop, Fit::Pad(114)][usize::from(fit)],
                filter: if triangle { Filter::Triangle } else { Filter::Area },
                raw: RawTuning { black_level: raw.0, gains: [raw.1, 1.0, 3.3 - raw.1] },
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn every_kernel_equals_the_reference(spec in any_spec(), padding in 0usize..9, seed: u64) {
        let Geometry { width, height, format, .. } = spec.source;
        let stride = (format.line_bytes(width) + padding).next_multiple_of(2);
        // Exactly as long as it must be, so that a read past the end is caught.
        let padding_after = match format {
            PixelFormat::Yu12 => stride / 2 - width.div_ceil(2) as usize,
            PixelFormat::Nv12 | PixelFormat::Nv21 => stride - 2 * width.div_ceil(2) as usize,
            _ => stride - format.line_bytes(width),
        };
        let data = noise(spec.source.frame_bytes(stride) - padding_after, seed);
        check(&spec, &FrameView::new(&data, width, height, stride, format));
    }
}

#[test]
fn large_ratios_and_wide_lines_equal_the_reference() {
    for (format, width, height, target) in [
        ("GREY", 1031, 40, (7, 3)),
        // At the edges half of the taps count, and there is room for all of them.
        ("GREY", 2048, 4, (8, 2)),
        ("YUYV", 2048, 4, (8, 2)),
        ("YUYV", 514, 30, (200, 40)),
        ("YUYV", 326, 60, (40, 16)),
        ("UYVY", 326, 61, (90, 40)),
        ("UYVY", 130, 30, (40, 2)),
        ("SBGGR10P", 260, 64, (33, 32)),
    ] {
        let format = PixelFormat::from_name(format).expect("known");
        let spec = Spec::new(Geometry::new(width, height, format), target.0, target.1);
        let data = noise(spec.source.frame_bytes(format.line_bytes(width)), 7);
        check(&spec, &FrameView::packed(&data, width, height, format));
    }
}

#[test]
fn a_frame_of_the_targets_size_passes_through_unchanged() {
    let spec = Spec::new(Geometry::new(61, 17, PixelFormat::Rgb24), 61, 17);
    let data = noise(3 * 61 * 17, 3);
    for filter in [Filter::Area, Filter::Triangle] {
        let mut preparer = Preparer::new(&Spec { filter, ..spec }).expect("valid");
        let mut out = vec![0; data.len()];
        preparer.write_u8(&FrameView::packed(&data, 61, 17, PixelFormat::Rgb24), &mut out).expect("prepares");
        assert_eq!(out, data);
        let mut floats = vec![0.0; data.len()];
        preparer.write_f32(&FrameView::packed(&data, 61, 17, PixelFormat::Rgb24), &mut floats).expect("prepares");
        for (pixel, bytes) in data.chunks(3).enumerate() {
            for c in 0..3 {
                assert_eq!(floats[c * 61 * 17 + pixel], f32::from(bytes[c]) / 255.0);
            }
        }
    }
}

#[test]
fn separate_chroma_buffers_give_the_same_as_one() {
    let (width, height) = (22, 10);
    let spec = Spec::new(Geometry::new(width, height, PixelFormat::Nv12), 9, 9);
    let data = noise(spec.source.frame_bytes(22), 5);
    let one = FrameView::packed(&data, width, height, PixelFormat::Nv12);
    // The chroma buffer has longer lines than the luma buffer.
    let chroma: Vec<u8> = data[220..].chunks(22).flat_map(|line| [line, &[9, 9, 9]].concat()).collect();
    let empty = crate::Plane { data: &[], stride: 0 };
    let planes = [crate::Plane { data: &chroma, stride: 25 }, empty];
    let two = FrameView { data: &data[..220], chroma: Some(planes), ..one };
    let mut preparer = Preparer::new(&spec).expect("valid");
    let (mut a, mut b) = (vec![0; spec.target_len()], vec![1; spec.target_len()]);
    preparer.write_u8(&one, &mut a).expect("prepares");
    preparer.write_u8(&two, &mut b).expect("prepares");
    assert_eq!(a, b);
}

#[test]
fn frames_that_do_not_fit_the_plan_are_refused() {
    use crate::FrameError as E;
    let spec = Spec::new(Geometry::new(10, 4, PixelFormat::Nv12), 5, 5);
    let mut preparer = Preparer::new(&spec).expect("valid");
    let data = noise(60, 5);
    let mut out = vec![0; spec.target_len()];
    let good = FrameView::packed(&data, 10, 4, PixelFormat::Nv12);
    let mut run = |view: FrameView<'_>| preparer.write_u8(&view, &mut out);
    assert_eq!(run(good), Ok(()));
    assert!(matches!(run(FrameView { width: 9, ..good }), Err(E::Geometry { width: 9, expected_width: 10, .. })));
    assert!(matches!(run(FrameView { format: PixelFormat::Nv21, ..good }), Err(E::Geometry { .. })));
    assert_eq!(run(FrameView { data: &data[..59], ..good }), Err(E::Short { got: 59, expected: 60 }));
    assert_eq!(run(FrameView { data: &[], ..good }), Err(E::Short { got: 0, expected: 40 }));
    assert_eq!(run(FrameView { stride: 9, ..good }), Err(E::Stride { stride: 9, expected: 10 }));
    let mut short = vec![0; 3];
    assert_eq!(preparer.write_u8(&good, &mut short), Err(E::Destination { got: 3, expected: 75 }));
}

/// What Pillow 13.0 makes of [`noise`] with `resize(size, Image.BILINEAR)`. Pillow rounds to whole levels between its two
/// passes and this crate to 1/128, so that they may differ by one level.
#[test]
fn the_triangle_filter_is_pillows_bilinear() {
    #[rustfmt::skip]
    let smaller = [
        163, 140, 102, 112, 136, 139, 120, 132, 111, 128, 130, 94, 120, 105, 142, 151, 133, 146, 156, 154, 112, 119, 125,
        150, 142, 137, 161, 144, 124, 136, 102, 118, 162, 142, 103, 127, 137, 164, 135, 100, 129, 179, 161, 118, 94,
    ];
    #[rustfmt::skip]
    let larger = [
        1, 9, 34, 145, 162, 110, 169, 186, 147, 109, 82, 8, 22, 48, 121, 155, 161, 151, 130, 94, 97, 105, 29, 47, 72, 92,
        145, 223, 127, 62, 37, 86, 130, 142, 140, 135, 105, 130, 197, 120, 99, 154, 123, 91, 213, 176, 129, 107, 136, 203,
        109, 85, 155, 123, 88, 242, 155, 56, 100, 163, 240, 94, 20, 40, 86, 121, 109, 132, 152, 106, 108, 145, 106, 66,
        25, 83, 135, 3, 115, 232, 112, 63, 68, 116, 107, 21, 83, 144,
    ];
    let check = |from: (u32, u32), seed, to: (u32, u32), expected: &[u8]| {
        let spec = Spec {
            filter: Filter::Triangle,
            channels: Channels::Grey,
            ..Spec::new(Geometry::new(from.0, from.1, PixelFormat::Grey), to.0, to.1)
        };
        let data = noise((from.0 * from.1) as usize, seed);
        let mut out = vec![0; spec.target_len()];
        let mut preparer = Preparer::new(&spec).expect("valid");
        preparer.write_u8(&FrameView::packed(&data, from.0, from.1, PixelFormat::Grey), &mut out).expect("prepares");
        for (i, (&ours, &theirs)) in out.iter().zip(expected).enumerate() {
            assert!(ours.abs_diff(theirs) <= 1, "{from:?} to {to:?}, pixel {i}: {ours} where Pillow has {theirs}");
        }
    };
    check((23, 17), 42, (9, 5), &smaller);
    check((7, 5), 7, (11, 8), &larger);
}
