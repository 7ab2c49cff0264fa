//! Covariances of features, over all positions or of each, and the matrices that whiten them.

use super::learner::{FLOOR, PRIOR_PARTS};
use crate::graph::Gaussian;

/// Sums of features and of their products, over all positions.
#[derive(Clone, Debug)]
pub(super) struct Covariance {
    count: f64,
    sum: Vec<f64>,
    products: Vec<f64>,
}

impl Covariance {
    /// Of nothing yet, for rows of `depth` features.
    pub fn new(depth: usize) -> Covariance {
        Covariance { count: 0.0, sum: vec![0.0; depth], products: vec![0.0; depth * depth] }
    }

    /// Adds an image's features, rows of `depth`.
    pub fn add(&mut self, rows: &[f32], depth: usize) {
        for row in rows.chunks_exact(depth) {
            self.count += 1.0;
            for (i, &a) in row.iter().enumerate() {
                self.sum[i] += f64::from(a);
                for (product, &b) in self.products[i * depth..][..depth].iter_mut().zip(row) {
                    *product += f64::from(a) * f64::from(b);
                }
            }
        }
    }

    /// Adds what another has seen.
    pub fn merge(&mut self, other: &Covariance) {
        self.count += other.count;
        add_to(&mut self.sum, &other.sum);
        add_to(&mut self.products, &other.products);
    }

    /// Mean and the inverse of the Cholesky factor of the covariance.
    pub fn gaussian(&self, depth: usize) -> Gaussian {
        let n = self.count.max(1.0);
        let mean: Vec<f64> = self.sum.iter().map(|s| s / n).collect();
        let mut covariance: Vec<f64> =
            (0..depth * depth).map(|k| self.products[k] / n - mean[k / depth] * mean[k % depth]).collect();
        let trace: f64 = (0..depth).map(|i| covariance[i * depth + i]).sum();
        let floor = (FLOOR * trace / depth as f64).max(1e-12);
        (0..depth).for_each(|i| covariance[i * depth + i] += floor);
        let whiten = whitening(&mut covariance, depth);
        Gaussian { mean: mean.iter().map(|&m| m as f32).collect(), whiten: whiten.iter().map(|&w| w as f32).collect() }
    }
}

/// Sums of features and of their products, of each position by itself. Features have no great mean (the embedding takes it out),
/// so that f32 holds the sums of any number of parts well enough.
#[derive(Clone, Debug)]
pub(super) struct Covariances {
    count: f64,
    depth: usize,
    /// `[cells, D]`.
    sum: Vec<f32>,
    /// `[cells, D (D + 1) / 2]`: of each row of the matrix what is not below the diagonal.
    products: Vec<f32>,
}

impl Covariances {
    /// Of `cells` positions with `depth` features: 8.3 MB at 256x256 with 64 features.
    pub fn new(cells: usize, depth: usize) -> Covariances {
        let half = depth * (depth + 1) / 2;
        Covariances { count: 0.0, depth, sum: vec![0.0; cells * depth], products: vec![0.0; cells * half] }
    }

    /// Adds an image's features `[cells, D]`.
    pub fn add(&mut self, rows: &[f32]) {
        self.count += 1.0;
        let depth = self.depth;
        add_to(&mut self.sum, rows);
        for (row, products) in rows.chunks_exact(depth).zip(self.products.chunks_exact_mut(depth * (depth + 1) / 2)) {
            let mut rest = products;
            for (i, &a) in row.iter().enumerate() {
                let (line, below) = rest.split_at_mut(depth - i);
                line.iter_mut().zip(&row[i..]).for_each(|(product, &b)| *product += a * b);
                rest = below;
            }
        }
    }

    /// Means `[D,cells]` and whitening matrices `[cells,D,D]` of all these together. As a position has seen few parts, its covariance
    /// is mixed with the mean one of all positions, which counts as [`PRIOR_PARTS`] parts.
    pub fn gaussian(folds: &[&Covariances]) -> Gaussian {
        let Some(first) = folds.first() else { return Gaussian { mean: Vec::new(), whiten: Vec::new() } };
        let depth = first.depth;
        let cells = first.sum.len() / depth.max(1);
        let n = folds.iter().map(|f| f.count).sum::<f64>().max(1.0);
        let mut pooled = vec![0.0; depth * depth];
        for cell in 0..cells {
            add_to(&mut pooled, &covariance(folds, cell, n).1);
        }
        pooled.iter_mut().for_each(|p| *p /= cells as f64);
        let trace: f64 = (0..depth).map(|i| pooled[i * depth + i]).sum();
        let floor = (FLOOR * trace / depth as f64).max(1e-12);
        let mut mean = vec![0.0; depth * cells];
        let mut whiten = Vec::with_capacity(cells * depth * depth);
        for cell in 0..cells {
            let (centre, mut matrix) = covariance(folds, cell, n);
            centre.iter().enumerate().for_each(|(d, &m)| mean[d * cells + cell] = m as f32);
            for (value, pooled) in matrix.iter_mut().zip(&pooled) {
                *value = (n * *value + PRIOR_PARTS * pooled) / (n + PRIOR_PARTS);
            }
            (0..depth).for_each(|i| matrix[i * depth + i] += floor);
            whiten.extend(whitening(&mut matrix, depth).iter().map(|&w| w as f32));
        }
        Gaussian { mean, whiten }
    }
}

/// Mean and covariance (what is not below the diagonal; zeros there) of one position, over `n` parts in all.
fn covariance(folds: &[&Covariances], cell: usize, n: f64) -> (Vec<f64>, Vec<f64>) {
    let depth = folds[0].depth;
    let half = depth * (depth + 1) / 2;
    let mut mean = vec![0.0; depth];
    let mut matrix = vec![0.0; depth * depth];
    for fold in folds {
        let sum = &fold.sum[cell * depth..][..depth];
        mean.iter_mut().zip(sum).for_each(|(m, &s)| *m += f64::from(s) / n);
        let mut rest = &fold.products[cell * half..][..half];
        for i in 0..depth {
            let (line, below) = rest.split_at(depth - i);
            let row = &mut matrix[i * depth + i..][..depth - i];
            row.iter_mut().zip(line).for_each(|(to, &p)| *to += f64::from(p));
            rest = below;
        }
    }
    let unbiased = (n - 1.0).max(1.0);
    for i in 0..depth {
        for j in i..depth {
            let value = &mut matrix[i * depth + j];
            *value = (*value - n * mean[i] * mean[j]) / unbiased;
        }
        // Sums of squares in f32 may leave a tiny negative number where a feature never moves.
        matrix[i * depth + i] = matrix[i * depth + i].max(0.0);
    }
    (mean, matrix)
}

/// `L^-1`, where `matrix = L L^T` is positive definite: `|L^-1 x|` is the Mahalanobis length of `x`. Only what is not below the
/// diagonal of `matrix` is read; it is overwritten with `L^T`.
fn whitening(matrix: &mut [f64], n: usize) -> Vec<f64> {
    for k in 0..n {
        let (above, below) = matrix.split_at_mut((k + 1) * n);
        let row = &mut above[k * n..];
        let pivot = row[k].max(1e-12).sqrt();
        row[k] = pivot;
        row[k + 1..].iter_mut().for_each(|v| *v /= pivot);
        for i in k + 1..n {
            subtract(&mut below[(i - k - 1) * n + i..][..n - i], &row[i..], row[i]);
        }
    }
    let mut inverse = vec![0.0; n * n];
    for i in 0..n {
        let (above, below) = inverse.split_at_mut(i * n);
        let row = &mut below[..n];
        for k in 0..i {
            subtract(&mut row[..=k], &above[k * n..][..=k], matrix[k * n + i]);
        }
        let pivot = matrix[i * n + i];
        row[..i].iter_mut().for_each(|v| *v /= pivot);
        row[i] = 1.0 / pivot;
    }
    inverse
}

/// `to -= by * of`.
fn subtract(to: &mut [f64], of: &[f64], by: f64) {
    to.iter_mut().zip(of).for_each(|(to, &of)| *to -= by * of);
}

fn add_to<T: Copy + std::ops::AddAssign>(to: &mut [T], of: &[T]) {
    to.iter_mut().zip(of).for_each(|(to, &of)| *to += of);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    /// `count` vectors of three features that vary together, around `centre`.
    fn vectors(count: usize, centre: f64, seed: u64) -> Vec<[f32; 3]> {
        let mut random = Random::new(seed);
        let mut one = || {
            let (a, b, c) = (random.normal(), random.normal(), random.normal());
            [(3.0 * a + centre) as f32, (a + 3.0 * b) as f32, (b - 3.0 * c + 7.0) as f32]
        };
        (0..count).map(|_| one()).collect()
    }

    /// The covariance of `vectors` whitened by `matrix` around `mean`.
    fn whitened(vectors: &[[f32; 3]], mean: [f32; 3], matrix: &[f32]) -> [f32; 9] {
        let mut sums = [0.0; 9];
        for x in vectors {
            let white: [f32; 3] = std::array::from_fn(|i| (0..3).map(|k| matrix[i * 3 + k] * (x[k] - mean[k])).sum());
            (0..9).for_each(|k| sums[k] += white[k / 3] * white[k % 3] / vectors.len() as f32);
        }
        sums
    }

    fn assert_unit(found: [f32; 9]) {
        for (k, &value) in found.iter().enumerate() {
            let expected = if k / 3 == k % 3 { 1.0 } else { 0.0 };
            assert!((value - expected).abs() < 0.08, "({}, {}): {value}", k / 3, k % 3);
        }
    }

    #[test]
    fn whitened_features_have_unit_covariance() {
        let sample = vectors(4000, 0.0, 5);
        let mut global = Covariance::new(3);
        global.add(&sample.concat(), 3);
        let gaussian = global.gaussian(3);
        let mean = [gaussian.mean[0], gaussian.mean[1], gaussian.mean[2]];
        assert_unit(whitened(&sample, mean, &gaussian.whiten));
    }

    #[test]
    fn each_position_has_its_own_gaussian_and_folds_add_up() {
        let [left, right] = [vectors(2000, -5.0, 1), vectors(2000, 9.0, 2)];
        let mut folds = [Covariances::new(2, 3), Covariances::new(2, 3)];
        for (i, (a, b)) in left.iter().zip(&right).enumerate() {
            folds[i % 2].add(&[*a, *b].concat());
        }
        let gaussian = Covariances::gaussian(&[&folds[0], &folds[1]]);
        for (cell, sample) in [left, right].iter().enumerate() {
            let mean = std::array::from_fn(|d| gaussian.mean[d * 2 + cell]);
            assert_unit(whitened(sample, mean, &gaussian.whiten[cell * 9..][..9]));
        }
    }

    #[test]
    fn a_position_that_never_moves_and_a_single_part_have_finite_matrices() {
        let mut one = Covariances::new(2, 3);
        one.add(&[1.0, 2.0, 3.0, 0.1, 0.2, 0.3]);
        let gaussian = Covariances::gaussian(&[&one]);
        assert!(gaussian.whiten.iter().chain(&gaussian.mean).all(|v| v.is_finite()));
    }
}
