//! Flat field: every value of the target times a gain, so that an evenly white target comes out even.
//!
//! The gains are worked out at the target's size from the white frame prepared like any other: shading is smooth, so that
//! this is the same as correcting each pixel of the camera, at a fraction of the cost. Each channel is brought to its own
//! mean: colours stay as they are. Gains have 12 fraction bits; a product rounds half up.

use crate::color::WHITE;
use crate::corrections::{CorrectionError, Picture, check};
use crate::kernels::Kernels;
use crate::plan::Plan;
use crate::spec::{RawTuning, Spec};

/// Fraction bits of a gain.
const GAIN_BITS: u32 = 12;
/// The largest gain: where the white frame has less than a quarter of its mean, there is more noise than light.
const LARGEST_GAIN: i64 = 4;
/// Where 8-bit values count as clipped, and as too dark on the whole.
const CLIPPED: i16 = 253 << 7;
const DARKEST_MEAN: i64 = 24 << 7;

/// The gains for a plan, in the order in which it writes lines.
pub(crate) fn gains(plan: &Plan, white: &Picture, kernels: Kernels) -> Result<Vec<i16>, CorrectionError> {
    let spec = plan.spec();
    check(white, "white frame", spec.source)?;
    let spec = Spec { source: white.geometry(), raw: RawTuning::default(), ..*spec };
    let mut values = Vec::with_capacity(plan.gain_count());
    let channels = spec.channels.count();
    let width = plan.placement().target.width as usize;
    let whole = Plan::new(&spec, kernels)?.each_line(&white.view(), |line| values.extend_from_slice(line));
    whole.map_err(|_| CorrectionError::Picture { what: "white frame" })?;
    let clipped = values.iter().filter(|value| **value >= CLIPPED).count();
    if clipped * 1000 > values.len() {
        return Err(CorrectionError::White {
            reason: "it is clipped; lower exposure, gain or light and take it again",
        });
    }
    let means: Vec<i64> = (0..channels)
        .map(|channel| {
            let lines = values.chunks_exact(width).skip(channel).step_by(channels);
            let sum: i64 = lines.flatten().map(|&value| i64::from(value)).sum();
            sum / (values.len() / channels).max(1) as i64
        })
        .collect();
    if means.iter().any(|&mean| mean < DARKEST_MEAN) {
        return Err(CorrectionError::White { reason: "it is too dark; its mean should be about 200 of 255" });
    }
    let gain = |(at, &value): (usize, &i16)| {
        let (mean, value) = (means[at / width % channels], i64::from(value));
        if value * LARGEST_GAIN < mean {
            let reason =
                "a part of it has less than a quarter of its mean light; the white target must fill the region";
            return Err(CorrectionError::White { reason });
        }
        Ok((((mean << GAIN_BITS) + value / 2) / value) as i16)
    };
    values.iter().enumerate().map(gain).collect()
}

/// Multiplies values by gains.
pub(crate) fn apply(values: &mut [i16], gains: &[i16]) {
    for (value, &gain) in values.iter_mut().zip(gains) {
        let product = i32::from(*value) * i32::from(gain) + (1 << (GAIN_BITS - 1));
        *value = (product >> GAIN_BITS).min(WHITE) as i16;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Channels, Corrections, Fit, FrameView, Geometry, PixelFormat, Preparer, Roi};

    /// A vignette: `level` in the middle, half of it in the corners.
    fn shaded(width: u32, height: u32, level: f64) -> Vec<u8> {
        let pixel = |x: u32, y: u32| {
            let (dx, dy) = (f64::from(x) / f64::from(width) - 0.5, f64::from(y) / f64::from(height) - 0.5);
            (level * (1.0 - dx * dx - dy * dy)).round() as u8
        };
        (0..height).flat_map(|y| (0..width).map(move |x| pixel(x, y))).collect()
    }

    fn grey(width: u32, height: u32, data: Vec<u8>) -> Picture {
        Picture { width, height, format: PixelFormat::Grey, data }
    }

    #[test]
    fn the_white_frame_itself_comes_out_even_and_a_darker_one_too() {
        let roi = Some(Roi { x: 6, y: 2, width: 80, height: 60 });
        for fit in [Fit::Stretch, Fit::Crop, Fit::Pad(7)] {
            let spec = Spec { roi, fit, ..Spec::new(Geometry::new(96, 64, PixelFormat::Grey), 32, 32) };
            let corrections = Corrections { white: Some(grey(96, 64, shaded(96, 64, 220.0))), align: None };
            let mut preparer = Preparer::corrected(&spec, &corrections).expect("a plan");
            for level in [220.0, 110.0] {
                let data = shaded(96, 64, level);
                let mut out = vec![0; spec.target_len()];
                preparer.write_u8(&FrameView::packed(&data, 96, 64, PixelFormat::Grey), &mut out).expect("prepares");
                let inside = preparer.plan_for_tests().placement().target;
                let rows = out.chunks(32 * 3).skip(inside.y as usize).take(inside.height as usize);
                let seen: Vec<u8> = rows
                    .flat_map(|row| &row[inside.x as usize * 3..(inside.x + inside.width) as usize * 3])
                    .copied()
                    .collect();
                let (low, high) = (seen.iter().min().expect("values"), seen.iter().max().expect("values"));
                assert!(high - low <= 1, "{fit:?} {level}: {low} to {high}");
            }
        }
    }

    #[test]
    fn colours_stay_as_they_are() {
        let data: Vec<u8> = shaded(32, 32, 200.0).iter().flat_map(|&v| [v, v / 2, v / 4 * 3]).collect();
        let white = Picture { width: 32, height: 32, format: PixelFormat::Rgb24, data: data.clone() };
        let spec = Spec::new(Geometry::new(32, 32, PixelFormat::Rgb24), 8, 8);
        let mut preparer =
            Preparer::corrected(&spec, &Corrections { white: Some(white), align: None }).expect("a plan");
        let mut out = vec![0; spec.target_len()];
        preparer.write_u8(&FrameView::packed(&data, 32, 32, PixelFormat::Rgb24), &mut out).expect("prepares");
        assert!(out.chunks(3).all(|pixel| pixel[0].abs_diff(2 * pixel[1]) <= 2 && pixel[2] > pixel[1]), "{out:?}");
    }

    #[test]
    fn a_white_frame_that_cannot_be_divided_by_is_refused() {
        let spec = Spec { channels: Channels::Grey, ..Spec::new(Geometry::new(64, 64, PixelFormat::Grey), 16, 16) };
        let mut hole = shaded(64, 64, 200.0);
        hole[20 * 64..40 * 64].fill(10);
        let cases = [
            (grey(64, 64, vec![255; 4096]), "clipped"),
            (grey(64, 64, vec![9; 4096]), "too dark"),
            (grey(64, 64, hole), "less than a quarter"),
            (grey(32, 128, vec![200; 4096]), "32x128"),
            (grey(64, 64, vec![200; 4095]), "not a whole"),
        ];
        for (white, words) in cases {
            let refused = Preparer::corrected(&spec, &Corrections { white: Some(white), align: None });
            let text = refused.err().map(|error| error.to_string()).unwrap_or_default();
            assert!(text.contains(words), "{text:?} does not say {words:?}");
        }
    }
}
