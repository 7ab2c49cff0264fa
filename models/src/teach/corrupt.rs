//! Synthetic corruptions of good parts: what a method has to notice at the least. They choose between methods; they never set a
//! threshold and are never learned.

use crate::random::Random;

/// What is done to a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Corruption {
    /// A small round spot, darker or brighter: dirt, a pit.
    Spot,
    /// A thin line, darker or brighter: a scratch.
    Line,
    /// A patch from elsewhere in the picture (Li et al. 2021, CutPaste): a misplaced or missing feature.
    Patch,
}

impl Corruption {
    /// Each of them once.
    pub const ALL: [Corruption; 3] = [Corruption::Spot, Corruption::Line, Corruption::Patch];

    /// Corrupts `image`, planes of `height` x `width` in 0..=1, somewhere in its middle half, where a part usually is.
    pub fn apply(self, image: &mut [f32], width: usize, height: usize, random: &mut Random) {
        let side = width.min(height);
        let centre_x = width / 4 + random.below(width / 2);
        let centre_y = height / 4 + random.below(height / 2);
        // Faint enough to be missed: 12 to 35 % of the full range.
        let depth = (0.12 + 0.23 * random.unit()) as f32;
        match self {
            Corruption::Spot => {
                let radius = (side as f64 * (0.01 + 0.02 * random.unit())).max(1.0);
                shade(image, (width, height), depth, |x, y| {
                    let (dx, dy) = (x as f64 - centre_x as f64, y as f64 - centre_y as f64);
                    dx * dx + dy * dy <= radius * radius
                });
            }
            Corruption::Line => {
                let (dx, dy) = (random.unit() - 0.5, random.unit() - 0.5);
                let norm = (dx * dx + dy * dy).sqrt().max(1e-6);
                let (dx, dy) = (dx / norm, dy / norm);
                let half = side as f64 * (0.04 + 0.08 * random.unit());
                let thick = (side as f64 * 0.004).max(0.7);
                shade(image, (width, height), depth, |x, y| {
                    let (px, py) = (x as f64 - centre_x as f64, y as f64 - centre_y as f64);
                    (px * dx + py * dy).abs() <= half && (px * dy - py * dx).abs() <= thick
                });
            }
            Corruption::Patch => {
                let size = (side / 16 + random.below(side / 16 + 1)).max(2);
                let at = |centre: usize, full: usize| centre.saturating_sub(size / 2).min(full.saturating_sub(size));
                let to = (at(centre_x, width), at(centre_y, height));
                let from = (random.below(width - size + 1), random.below(height - size + 1));
                paste(image, (width, height), size, from, to);
            }
        }
    }
}

/// Moves every pixel that `inside` holds away from its value by `depth`, towards the farther end of the range.
fn shade(image: &mut [f32], (width, height): (usize, usize), depth: f32, inside: impl Fn(usize, usize) -> bool) {
    for plane in image.chunks_exact_mut(width * height) {
        for y in 0..height {
            for x in 0..width {
                if inside(x, y) {
                    let value = &mut plane[y * width + x];
                    *value += if *value > 0.5 { -depth } else { depth };
                }
            }
        }
    }
}

fn paste(image: &mut [f32], (width, height): (usize, usize), size: usize, from: (usize, usize), to: (usize, usize)) {
    for plane in image.chunks_exact_mut(width * height) {
        let patch: Vec<f32> = (0..size).flat_map(|y| plane[(from.1 + y) * width + from.0..][..size].to_vec()).collect();
        for (y, row) in patch.chunks_exact(size).enumerate() {
            plane[(to.1 + y) * width + to.0..][..size].copy_from_slice(row);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_corruption_changes_a_small_part_and_stays_in_range() {
        let (width, height) = (64, 48);
        let image: Vec<f32> = (0..3 * width * height).map(|i| (i % 101) as f32 / 100.0).collect();
        for corruption in Corruption::ALL {
            for seed in 0..20 {
                let mut corrupted = image.clone();
                corruption.apply(&mut corrupted, width, height, &mut Random::new(seed));
                let changed = image.iter().zip(&corrupted).filter(|(a, b)| a != b).count();
                assert!(changed > 0 && changed < image.len() / 10, "{corruption:?}, seed {seed}: {changed} pixels");
                assert!(corrupted.iter().all(|v| (0.0..=1.0).contains(v)), "{corruption:?}, seed {seed}");
            }
        }
    }
}
