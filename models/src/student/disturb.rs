//! What a line does to good parts: each picture gets its own light, a shift and a turn of a few pixels, sensor noise.
//!
//! The student is trained on such copies and must not mistake them for defects; the same is done to held-out parts when its
//! errors are measured. The figures are those of `scripts/train/teacher_student/data.py`.

use crate::random::Random;

/// Standard deviation of the turn in radians: a degree.
const TURN: f64 = 0.015;
/// Standard deviation of the relative change of size.
const ZOOM: f64 = 0.008;
/// Standard deviation of the shift, as a share of half the picture's width or height.
const SHIFT: f64 = 0.012;
/// Standard deviation of the gain that all channels share.
const GAIN: f64 = 0.06;
/// Standard deviation of the gain of each channel by itself.
const TINT: f64 = 0.01;
/// Standard deviation of what is added to all channels; the range is 0 to 1.
const OFFSET: f64 = 0.015;
/// The noise of a picture has a standard deviation from 0 up to this.
const NOISE: f64 = 0.012;

/// Writes a disturbed copy of `picture` to `out`: both f32 `[3,H,W]` in 0..=1.
pub fn disturb(picture: &[f32], (width, height): (usize, usize), random: &mut Random, out: &mut [f32]) {
    let zoom = 1.0 + ZOOM * random.normal();
    let angle = TURN * random.normal();
    let (cos, sin) = (zoom * cosine(angle), zoom * sine(angle));
    let (shift_x, shift_y) = (SHIFT * random.normal(), SHIFT * random.normal());
    let (half_w, half_h) = (width as f64 / 2.0, height as f64 / 2.0);
    let gain = 1.0 + GAIN * random.normal();
    let gains: [f32; 3] = std::array::from_fn(|_| (gain * (1.0 + TINT * random.normal())) as f32);
    let offset = (OFFSET * random.normal()) as f32;
    let plane = width * height;
    for y in 0..height {
        for x in 0..width {
            // Turned in pixels, so that parts keep their shape in a picture that is not square.
            let (dx, dy) = (x as f64 + 0.5 - half_w, y as f64 + 0.5 - half_h);
            let from_x = (cos * dx - sin * dy + half_w * (1.0 + shift_x) - 0.5) as f32;
            let from_y = (sin * dx + cos * dy + half_h * (1.0 + shift_y) - 0.5) as f32;
            let sample = Sample::at(from_x, from_y, width, height);
            for (c, gain) in gains.iter().enumerate() {
                out[c * plane + y * width + x] = sample.of(&picture[c * plane..][..plane]) * gain + offset;
            }
        }
    }
    let noise = (NOISE * random.unit()) as f32;
    out.iter_mut().for_each(|value| *value = (*value + noise * grain(random)).clamp(0.0, 1.0));
}

/// Four pixels and how much each counts.
struct Sample {
    at: [usize; 4],
    weight: [f32; 4],
}

impl Sample {
    /// Bilinear at a place in pixels; beyond the border the border goes on.
    fn at(x: f32, y: f32, width: usize, height: usize) -> Sample {
        let x = x.clamp(0.0, (width - 1) as f32);
        let y = y.clamp(0.0, (height - 1) as f32);
        let (left, top) = (x as usize, y as usize);
        let (right, bottom) = ((left + 1).min(width - 1), (top + 1).min(height - 1));
        let (fx, fy) = (x - left as f32, y - top as f32);
        Sample {
            at: [top * width + left, top * width + right, bottom * width + left, bottom * width + right],
            weight: [(1.0 - fx) * (1.0 - fy), fx * (1.0 - fy), (1.0 - fx) * fy, fx * fy],
        }
    }

    fn of(&self, plane: &[f32]) -> f32 {
        self.at.iter().zip(&self.weight).map(|(&at, weight)| plane[at] * weight).sum()
    }
}

/// Close to normal, with mean 0 and variance 1: the sum of the four words of one draw. Three times as fast as
/// [`Random::normal`], and noise has many pixels.
fn grain(random: &mut Random) -> f32 {
    let bits = random.bits();
    let sum = (0..4).map(|k| (bits >> (16 * k)) & 0xffff).sum::<u64>();
    // Each word has a variance of 1/12 of its range squared.
    const SCALE: f32 = 1.732_050_8 / 65_536.0;
    (sum as f32 - 2.0 * 65_535.0) * SCALE
}

/// Sine of a small angle, by the first terms of its series: the library's last bit differs between platforms.
fn sine(angle: f64) -> f64 {
    angle - angle.powi(3) / 6.0 + angle.powi(5) / 120.0
}

/// Cosine of a small angle.
fn cosine(angle: f64) -> f64 {
    1.0 - angle.powi(2) / 2.0 + angle.powi(4) / 24.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disturbed_part_moves_a_little_and_stays_in_range() {
        let (width, height) = (64, 48);
        let mut picture = vec![0.2; 3 * width * height];
        for c in 0..3 {
            (20..28).for_each(|y| picture[c * width * height + y * width + 30..][..8].fill(0.8));
        }
        let mut random = Random::new(4);
        let mut out = vec![0.0; picture.len()];
        for _ in 0..20 {
            disturb(&picture, (width, height), &mut random, &mut out);
            assert!(out.iter().all(|v| (0.0..=1.0).contains(v)));
            // The centre of what is bright, which was at (33.5, 23.5).
            let bright: Vec<usize> = (0..width * height).filter(|&i| out[i] > 0.5).collect();
            assert!((30..110).contains(&bright.len()), "{} bright pixels", bright.len());
            let mean =
                |f: &dyn Fn(usize) -> usize| bright.iter().map(|&i| f(i) as f64).sum::<f64>() / bright.len() as f64;
            let (x, y) = (mean(&|i| i % width), mean(&|i| i / width));
            assert!((x - 33.5).abs() < 3.0 && (y - 23.5).abs() < 3.0, "({x},{y})");
        }
    }

    #[test]
    fn the_grain_has_no_mean_and_a_variance_of_one() {
        let mut random = Random::new(9);
        let values: Vec<f32> = (0..20_000).map(|_| grain(&mut random)).collect();
        let mean = values.iter().sum::<f32>() / 20_000.0;
        let variance = values.iter().map(|v| v * v).sum::<f32>() / 20_000.0;
        assert!(mean.abs() < 0.03 && (variance - 1.0).abs() < 0.03, "{mean} {variance}");
    }
}
