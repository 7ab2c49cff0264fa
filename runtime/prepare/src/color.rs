//! From components to grey or RGB: one affine map, 13 fraction bits.
//!
//! out = clamp((sum of coefficient x component + bias + 1/2) >> 13) in 0..=32640, where 32640 (255 with 7 fraction
//! bits) is white. The map follows the resize, because both are linear and the target is smaller; only the clamping of
//! colours outside the gamut differs from the other order, where they meet colours inside it.

use crate::format::{Encoding, Matrix, Range};
use crate::layout::{Layout, Meaning};
use crate::spec::{Channels, RawTuning};

/// White: 255 with 7 fraction bits.
pub(crate) const WHITE: i32 = 255 << 7;

/// Fraction bits of a coefficient.
pub(crate) const COLOR_BITS: u32 = 13;

/// Most components of a format.
pub(crate) const MAX_COMPONENTS: usize = 4;

/// One output channel: a coefficient for each component, and the sum of bias and rounding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Channel {
    pub coefficients: [i16; MAX_COMPONENTS],
    pub bias: i32,
}

/// The map from components to channels.
pub(crate) struct ColorMap {
    /// One for grey, three for RGB.
    pub channels: Vec<Channel>,
}

/// Red, green and blue weights of luma.
fn luma(matrix: Matrix) -> [f64; 3] {
    match matrix {
        Matrix::Bt601 => [0.299, 0.587, 0.114],
        Matrix::Bt709 => [0.2126, 0.7152, 0.0722],
    }
}

impl ColorMap {
    /// The map for a format, or none where a gain is too large for it.
    pub fn new(layout: &Layout, encoding: Encoding, raw: RawTuning, channels: Channels) -> Option<ColorMap> {
        let rgb = match layout.meaning {
            Meaning::Grey => grey_rows(),
            Meaning::Rgb => [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]].map(|row| (row, 0.0)),
            Meaning::Yuv => yuv_rows(encoding),
            Meaning::Mosaic => mosaic_rows(raw),
        };
        let rows = match channels {
            Channels::Rgb => rgb.to_vec(),
            Channels::Grey => vec![grey_row(layout.meaning, encoding, &rgb)],
        };
        let sample = layout.streams[0].sample;
        let black = f64::from(raw.black_level) / f64::from((1u32 << sample.bits()) - 1);
        let scale = f64::from(WHITE) / f64::from(sample.white());
        rows.iter()
            .map(|row| channel(row, black, scale))
            .collect::<Option<Vec<_>>>()
            .map(|channels| ColorMap { channels })
    }
}

impl ColorMap {
    /// The same map for these components alone; the others must not count.
    pub fn keep(self, used: &[usize]) -> ColorMap {
        let narrow = |channel: &Channel| {
            let mut coefficients = [0; MAX_COMPONENTS];
            for (kept, &c) in coefficients.iter_mut().zip(used) {
                *kept = channel.coefficients[c];
            }
            Channel { coefficients, bias: channel.bias }
        };
        ColorMap { channels: self.channels.iter().map(narrow).collect() }
    }
}

/// Coefficients on components in 0..=1, and an offset in the same unit.
type Row = ([f64; MAX_COMPONENTS], f64);

fn grey_rows() -> [Row; 3] {
    [([1.0, 0.0, 0.0, 0.0], 0.0); 3]
}

/// ITU-R BT.601 and BT.709, section 3, solved for RGB.
fn yuv_rows(encoding: Encoding) -> [Row; 3] {
    let [red, green, blue] = luma(encoding.matrix);
    let (y_gain, y_black, c_gain) = match encoding.range {
        Range::Limited => (255.0 / 219.0, 16.0 / 255.0, 255.0 / 224.0),
        Range::Full => (1.0, 0.0, 1.0),
    };
    let grey = 128.0 / 255.0;
    let row = |u: f64, v: f64| {
        let (u, v) = (u * c_gain, v * c_gain);
        ([y_gain, u, v, 0.0], -(y_gain * y_black + (u + v) * grey))
    };
    let from_u = 2.0 * (1.0 - blue);
    let from_v = 2.0 * (1.0 - red);
    [row(0.0, from_v), row(-from_u * blue / green, -from_v * red / green), row(from_u, 0.0)]
}

fn mosaic_rows(raw: RawTuning) -> [Row; 3] {
    let [red, green, blue] = raw.gains.map(f64::from);
    [([red, 0.0, 0.0, 0.0], 0.0), ([0.0, green / 2.0, green / 2.0, 0.0], 0.0), ([0.0, 0.0, 0.0, blue], 0.0)]
}

/// Luminance: luma itself where there is one, else BT.601's mixture of red, green and blue (Pillow's mode L).
fn grey_row(meaning: Meaning, encoding: Encoding, rgb: &[Row; 3]) -> Row {
    match meaning {
        Meaning::Grey => rgb[0],
        Meaning::Yuv => {
            let [[y, ..], ..] = yuv_rows(encoding).map(|(coefficients, _)| coefficients);
            let black = if encoding.range == Range::Limited { 16.0 / 255.0 } else { 0.0 };
            ([y, 0.0, 0.0, 0.0], -y * black)
        }
        Meaning::Rgb | Meaning::Mosaic => {
            let mut sum = [0.0; MAX_COMPONENTS];
            for (share, (coefficients, _)) in luma(Matrix::Bt601).iter().zip(rgb) {
                for (total, coefficient) in sum.iter_mut().zip(coefficients) {
                    *total += share * coefficient;
                }
            }
            (sum, 0.0)
        }
    }
}

/// Rounds a row to integers. The rounded coefficients of a grey made of several must still add up to the rounded sum,
/// so that white stays white: what is left over goes to the largest.
fn channel(row: &Row, black: f64, scale: f64) -> Option<Channel> {
    let one = f64::from(1u32 << COLOR_BITS);
    let (exact, offset) = row;
    // Black is subtracted and the rest stretched so that white stays white.
    let stretch = 1.0 / (1.0 - black);
    let mut coefficients = [0i32; MAX_COMPONENTS];
    for (rounded, exact) in coefficients.iter_mut().zip(exact) {
        *rounded = (exact * stretch * scale * one).round() as i32;
    }
    let sum: f64 = exact.iter().sum();
    let left_over = (sum * stretch * scale * one).round() as i32 - coefficients.iter().sum::<i32>();
    if let Some(largest) = (0..MAX_COMPONENTS).max_by(|&a, &b| exact[a].total_cmp(&exact[b])) {
        coefficients[largest] += left_over;
    }
    let white = f64::from(WHITE) * one;
    let bias = (offset - sum * black * stretch) * white + one / 2.0;
    let mut channel = Channel { coefficients: [0; MAX_COMPONENTS], bias: bias.round() as i32 };
    for (narrow, wide) in channel.coefficients.iter_mut().zip(coefficients) {
        *narrow = i16::try_from(wide).ok()?;
    }
    Some(channel)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::PixelFormat;

    fn apply(map: &ColorMap, components: [i32; 4]) -> Vec<i32> {
        let value = |channel: &Channel| {
            let sum: i64 = channel.coefficients.iter().zip(components).map(|(&c, v)| i64::from(c) * i64::from(v)).sum();
            (((sum + i64::from(channel.bias)) >> COLOR_BITS).clamp(0, i64::from(WHITE)) as i32 + 64) >> 7
        };
        map.channels.iter().map(value).collect()
    }

    fn check(format: PixelFormat, encoding: (Matrix, Range), codes: [i32; 4], rgb: [i32; 3], grey: i32) {
        let layout = Layout::of(format);
        let encoding = Encoding { matrix: encoding.0, range: encoding.1 };
        let components = codes.map(|code| code << (15 - layout.streams[0].sample.bits()));
        let map = |channels| ColorMap::new(&layout, encoding, RawTuning::default(), channels).expect("fits");
        assert_eq!(apply(&map(Channels::Rgb), components), rgb, "{format} {encoding:?} {codes:?}");
        assert_eq!(apply(&map(Channels::Grey), components), [grey], "{format} {encoding:?} {codes:?}");
    }

    #[test]
    fn known_colours_come_out() {
        use Matrix::{Bt601, Bt709};
        use Range::{Full, Limited};
        check(PixelFormat::Grey, (Bt601, Limited), [200, 0, 0, 0], [200; 3], 200);
        check(PixelFormat::Y10, (Bt601, Limited), [1023, 0, 0, 0], [255; 3], 255);
        check(PixelFormat::Y12, (Bt601, Limited), [4095, 0, 0, 0], [255; 3], 255);
        check(PixelFormat::Rgb24, (Bt601, Limited), [255, 255, 255, 0], [255; 3], 255);
        check(PixelFormat::Rgb24, (Bt601, Limited), [255, 0, 10, 0], [255, 0, 10], 77);
        check(PixelFormat::Yuyv, (Bt601, Limited), [235, 128, 128, 0], [255; 3], 255);
        check(PixelFormat::Yuyv, (Bt601, Limited), [16, 128, 128, 0], [0; 3], 0);
        check(PixelFormat::Yuyv, (Bt601, Full), [77, 128, 128, 0], [77; 3], 77);
        // The colour bars of the two standards: red is (81, 90, 240) in BT.601 and (63, 102, 240) in BT.709.
        check(PixelFormat::Yuyv, (Bt601, Limited), [81, 90, 240, 0], [254, 0, 0], 76);
        check(PixelFormat::Yuyv, (Bt709, Limited), [63, 102, 240, 0], [255, 1, 0], 55);
        check(PixelFormat::Yuyv, (Bt601, Full), [76, 85, 255, 0], [254, 0, 0], 76);
    }
}
