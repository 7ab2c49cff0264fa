//! The golden check: a seeded test image, the score and the coarse anomaly map that it had when the model was made.
//!
//! A device runs it at load and refuses a model that scores differently there: a damaged file, an engine with another
//! rounding, a kernel that is wrong on this CPU.

use serde::{Deserialize, Serialize};

use crate::random::Random;

/// Cells along each side of the coarse map.
pub const GRID: usize = 8;

/// Expected results for the test image of a seed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Golden {
    /// Seed of the test image.
    pub seed: u64,
    /// Score of the test image.
    pub score: f64,
    /// Means of the anomaly map over [`GRID`] x [`GRID`] cells, row by row; empty where the model has no map.
    pub map: Vec<f64>,
    /// Allowed difference, relative to the largest expected value.
    pub tolerance: f64,
}

/// A figure of the golden check that is not as expected.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// Which one.
    pub what: String,
    /// Here.
    pub found: f64,
    /// When the model was made.
    pub expected: f64,
    /// Allowed absolute difference.
    pub tolerance: f64,
}

impl Golden {
    /// Relative tolerance that is written: the promise for f32 models (1e-4) with room for a sum of many distances.
    pub const TOLERANCE: f64 = 1e-3;

    pub(crate) fn validate(&self) -> Result<(), &'static str> {
        let finite = self.score.is_finite() && self.map.iter().all(|v| v.is_finite());
        if !finite {
            return Err("expected finite figures");
        }
        if !self.map.is_empty() && self.map.len() != GRID * GRID {
            return Err("expected 64 map cells, or none");
        }
        if !(self.tolerance > 0.0 && self.tolerance <= 0.1) {
            return Err("expected a tolerance above 0 and up to 0.1");
        }
        Ok(())
    }

    /// Compares what the test image scored here with what is expected. `map` is the [`coarse`] map.
    ///
    /// # Errors
    /// The largest [`Difference`] that is not allowed. A figure that is not finite always differs.
    pub fn compare(&self, score: f64, map: &[f64]) -> Result<(), Difference> {
        let scale = self.map.iter().fold(self.score.abs(), |m, v| m.max(v.abs())).max(1e-12);
        let tolerance = self.tolerance * scale;
        let mut worst: Option<Difference> = None;
        let mut largest = 0.0;
        let mut check = |what: &dyn Fn() -> String, found: f64, expected: f64| {
            let off = (found - expected).abs();
            // What is not a number is as far off as can be.
            let off = if off.is_nan() { f64::INFINITY } else { off };
            if off > tolerance && off > largest {
                largest = off;
                worst = Some(Difference { what: what(), found, expected, tolerance });
            }
        };
        check(&|| "the score".to_owned(), score, self.score);
        if map.len() != self.map.len() {
            check(&|| "the number of map cells".to_owned(), f64::INFINITY, self.map.len() as f64);
        }
        for (i, (&found, &expected)) in map.iter().zip(&self.map).enumerate() {
            check(&|| format!("map cell row {} column {}", i / GRID, i % GRID), found, expected);
        }
        worst.map_or(Ok(()), Err)
    }
}

/// Means of a `height` x `width` map over [`GRID`] x [`GRID`] cells. Empty where the map has fewer pixels than cells.
pub fn coarse(map: &[f32], height: usize, width: usize) -> Vec<f64> {
    if height < GRID || width < GRID || map.len() < height * width {
        return Vec::new();
    }
    let mut cells = Vec::with_capacity(GRID * GRID);
    for row in 0..GRID {
        for column in 0..GRID {
            let rows = row * height / GRID..(row + 1) * height / GRID;
            let columns = column * width / GRID..(column + 1) * width / GRID;
            let count = rows.len() * columns.len();
            let sum: f64 =
                rows.map(|y| map[y * width..][columns.clone()].iter().map(|&v| f64::from(v)).sum::<f64>()).sum();
            cells.push(sum / count as f64);
        }
    }
    cells
}

/// The test image of a seed: `height` x `width` pixels of three bytes (RGB), smooth blobs with hard-edged rectangles and
/// a little noise, so that every part of a network has something to respond to. Integers only: the same everywhere.
pub fn test_image(seed: u64, height: usize, width: usize) -> Vec<u8> {
    let mut random = Random::new(seed);
    let knots = 9;
    let grid: Vec<i64> = (0..knots * knots * 3).map(|_| random.below(256) as i64).collect();
    let mut image = Vec::with_capacity(height * width * 3);
    for y in 0..height {
        for x in 0..width {
            for c in 0..3 {
                image.push(blend(&grid, knots, c, (y, height), (x, width)));
            }
        }
    }
    for _ in 0..6 {
        let (h, w) = (1 + random.below(height / 4 + 1), 1 + random.below(width / 4 + 1));
        let (top, left) = (random.below(height), random.below(width));
        let colour = [random.below(256) as u8, random.below(256) as u8, random.below(256) as u8];
        for y in top..(top + h).min(height) {
            for x in left..(left + w).min(width) {
                image[(y * width + x) * 3..][..3].copy_from_slice(&colour);
            }
        }
    }
    for value in &mut image {
        *value = value.saturating_add(random.below(9) as u8);
    }
    image
}

/// Bilinear interpolation of channel `c` of a knot grid, in 1/1024 steps.
fn blend(grid: &[i64], knots: usize, c: usize, (y, height): (usize, usize), (x, width): (usize, usize)) -> u8 {
    let place = |at: usize, size: usize| {
        let fixed = at * (knots - 1) * 1024 / size;
        (fixed / 1024, (fixed % 1024) as i64)
    };
    let ((row, down), (column, right)) = (place(y, height), place(x, width));
    let at = |r: usize, k: usize| grid[(r * knots + k) * 3 + c];
    let top = at(row, column) * (1024 - right) + at(row, column + 1) * right;
    let bottom = at(row + 1, column) * (1024 - right) + at(row + 1, column + 1) * right;
    ((top * (1024 - down) + bottom * down) >> 20) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Golden {
        Golden { seed: 1, score: 2.0, map: (0..64).map(|i| f64::from(i) / 32.0).collect(), tolerance: 1e-3 }
    }

    #[test]
    fn a_difference_within_tolerance_passes_and_one_beyond_is_named() {
        let golden = example();
        let map = golden.map.clone();
        assert_eq!(golden.compare(2.0019, &map), Ok(()));
        assert_eq!(golden.compare(2.01, &map).unwrap_err().what, "the score");
        let mut moved = map.clone();
        moved[8 + 3] += 0.01;
        assert_eq!(golden.compare(2.0, &moved).unwrap_err().what, "map cell row 1 column 3");
        moved[63] += 0.5;
        assert_eq!(golden.compare(2.0, &moved).unwrap_err().what, "map cell row 7 column 7", "the worst is named");
        assert!(golden.compare(2.0, &[]).unwrap_err().what.contains("number of map cells"));
    }

    #[test]
    fn what_is_not_a_number_never_passes() {
        let golden = example();
        let mut map = golden.map.clone();
        assert!(golden.compare(f64::NAN, &map).is_err());
        map[0] = f64::NAN;
        assert!(golden.compare(2.0, &map).is_err());
    }

    #[test]
    fn the_coarse_map_holds_the_means_of_the_cells() {
        let map: Vec<f32> = (0..16 * 24).map(|i| ((i / 24 / 2) * 8 + (i % 24) / 3) as f32).collect();
        assert_eq!(coarse(&map, 16, 24), (0..64).map(f64::from).collect::<Vec<_>>());
        assert!(coarse(&[0.0; 9], 3, 3).is_empty());
    }

    #[test]
    fn the_test_image_depends_on_nothing_but_its_seed() {
        let image = test_image(1, 32, 48);
        assert_eq!(image.len(), 32 * 48 * 3);
        assert_eq!(image, test_image(1, 32, 48));
        assert_ne!(image, test_image(2, 32, 48));
        let spread = image.iter().max().unwrap() - image.iter().min().unwrap();
        assert!(spread > 100, "a flat image tests nothing: {spread}");
    }
}
