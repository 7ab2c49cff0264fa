//! Synthetic corruptions of good parts: what a method has to notice at the least. They choose between methods; they never set a
//! threshold and are never learned.

use crate::random::Random;

/// A patch that differs less than this, on average, from what it covers is no defect: paper on paper, belt on belt.
const VISIBLE: f32 = 0.08;
/// Places that are tried for a patch that differs.
const TRIES: usize = 16;

/// What is done to a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Corruption {
    /// A small round spot, darker or brighter: dirt, a pit.
    Spot,
    /// A thin line, darker or brighter: a scratch.
    Line,
    /// A patch from elsewhere in the picture (Li et al. 2021, CutPaste): a misplaced or missing feature. Where the picture is the
    /// same everywhere, a stain instead; likewise the next but one.
    Patch,
    /// A wide faint ellipse, darker or brighter: a stain, a film of oil.
    Stain,
    /// A piece of a sixth to a quarter of the picture's side from elsewhere: a broken or missing piece.
    Piece,
}

impl Corruption {
    /// Each of them once.
    pub const ALL: [Corruption; 5] =
        [Corruption::Spot, Corruption::Line, Corruption::Patch, Corruption::Stain, Corruption::Piece];

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
            Corruption::Stain => {
                let mut radius = || (side as f64 * (0.04 + 0.08 * random.unit())).max(1.0);
                let (across, down) = (radius(), radius());
                shade(image, (width, height), depth / 2.0, |x, y| {
                    let (dx, dy) = (x as f64 - centre_x as f64, y as f64 - centre_y as f64);
                    (dx / across).powi(2) + (dy / down).powi(2) <= 1.0
                });
            }
            Corruption::Patch | Corruption::Piece => {
                let (least, more) =
                    if self == Corruption::Patch { (side / 16, side / 16) } else { (side / 6, side / 12) };
                let size = (least + random.below(more + 1)).max(2);
                let at = |centre: usize, full: usize| centre.saturating_sub(size / 2).min(full.saturating_sub(size));
                let to = (at(centre_x, width), at(centre_y, height));
                let mut from = || (random.below(width - size + 1), random.below(height - size + 1));
                let unlike = |&from: &(usize, usize)| unlikeness(image, (width, height), size, from, to) >= VISIBLE;
                match (0..TRIES).map(|_| from()).find(unlike) {
                    Some(from) => paste(image, (width, height), size, from, to),
                    None => Corruption::Stain.apply(image, width, height, random),
                }
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

/// Mean difference between a patch and what it would cover.
fn unlikeness(
    image: &[f32],
    (width, height): (usize, usize),
    size: usize,
    from: (usize, usize),
    to: (usize, usize),
) -> f32 {
    let row = |plane: usize, (x, y): (usize, usize), down: usize| {
        &image[plane * width * height + (y + down) * width + x..][..size]
    };
    let planes = image.len() / (width * height);
    let rows = (0..planes).flat_map(|plane| (0..size).map(move |down| (plane, down)));
    let differences = rows.flat_map(|(plane, down)| row(plane, from, down).iter().zip(row(plane, to, down)));
    differences.map(|(a, b)| (a - b).abs()).sum::<f32>() / (planes * size * size) as f32
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

    /// A picture of a gradient in both directions with fine stripes on it: no two places are alike.
    fn picture(width: usize, height: usize) -> Vec<f32> {
        let pixel = |i: usize| {
            let (x, y) = (i % width, i / width % height);
            0.6 * (x as f32 / width as f32 + y as f32 / height as f32) / 2.0 + 0.4 * (i % 3) as f32 / 2.0
        };
        (0..3 * width * height).map(pixel).collect()
    }

    #[test]
    fn each_corruption_changes_a_part_and_stays_in_range() {
        let (width, height) = (64, 48);
        let image = picture(width, height);
        for corruption in Corruption::ALL {
            for seed in 0..20 {
                let mut corrupted = image.clone();
                corruption.apply(&mut corrupted, width, height, &mut Random::new(seed));
                let changed = image.iter().zip(&corrupted).filter(|(a, b)| a != b).count();
                assert!(changed > 0 && changed < image.len() / 8, "{corruption:?}, seed {seed}: {changed} pixels");
                assert!(corrupted.iter().all(|v| (0.0..=1.0).contains(v)), "{corruption:?}, seed {seed}");
            }
        }
    }

    #[test]
    fn where_every_place_is_like_every_other_a_patch_is_replaced_by_a_stain() {
        let (width, height) = (64, 64);
        for corruption in [Corruption::Patch, Corruption::Piece] {
            for seed in 0..20 {
                let mut corrupted = vec![0.5; 3 * width * height];
                corruption.apply(&mut corrupted, width, height, &mut Random::new(seed));
                let deepest = corrupted.iter().fold(0.0f32, |m, v| m.max((v - 0.5).abs()));
                assert!(deepest >= 0.05, "{corruption:?}, seed {seed}: {deepest}");
            }
        }
    }
}
