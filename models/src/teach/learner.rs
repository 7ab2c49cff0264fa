//! What each method keeps of the features that it sees, and the head that it makes of them.

use super::coreset::Pool;
use crate::contract::Method;
use crate::graph::{Gaussian, Grid, Head};

/// How many parts' worth of the pooled variance a position's own variance is mixed with: with 20 parts a variance by itself
/// is off by a third.
const PRIOR_PARTS: f64 = 10.0;
/// Share of the mean variance that is added to each, so that a constant feature cannot divide by zero.
const FLOOR: f64 = 0.01;

/// Learns features fold by fold; gives the head for all folds or for all but one.
#[derive(Clone, Debug)]
pub(super) enum Learner {
    Bank { pool: Pool, rows: usize },
    Positions { grid: Grid, folds: Vec<Moments> },
    Global { grid: Grid, folds: Vec<Covariance> },
}

/// Sums of features and of their squares, for each feature of each position.
#[derive(Clone, Debug, Default)]
pub(super) struct Moments {
    count: f64,
    sum: Vec<f64>,
    squares: Vec<f64>,
}

/// Sums of features and of their products, over all positions.
#[derive(Clone, Debug, Default)]
pub(super) struct Covariance {
    count: f64,
    sum: Vec<f64>,
    products: Vec<f64>,
}

/// A head with what it needs.
#[derive(Clone, Debug)]
pub(super) enum Learned {
    Bank(Vec<f32>),
    Positions(Gaussian),
    Global(Gaussian),
}

impl Learned {
    /// The head, for a graph.
    pub fn head(&self) -> Head<'_> {
        match self {
            Learned::Bank(bank) => Head::Nearest(bank),
            Learned::Positions(gaussian) => Head::PerPosition(gaussian),
            Learned::Global(gaussian) => Head::Global(gaussian),
        }
    }

    /// Rows of the memory bank, 0 where there is none.
    pub fn bank_rows(&self, depth: usize) -> usize {
        match self {
            Learned::Bank(bank) => bank.len() / depth,
            _ => 0,
        }
    }
}

impl Learner {
    /// A learner for `images` images in `folds` folds, of features whose principal axes are the columns of `axes` `[D,D]`.
    pub fn new(method: Method, grid: Grid, axes: &[f32], folds: usize, images: usize, bank: usize) -> Learner {
        let Grid { width, height, depth, .. } = grid;
        match method {
            // The last two have courses of their own, which ask for no learner.
            Method::PatchcoreLite | Method::TeacherStudent | Method::Imported => {
                Learner::Bank { pool: Pool::new(axes, folds, images, bank), rows: bank }
            }
            Method::Padim => {
                let cells = depth * width * height;
                let empty = Moments { count: 0.0, sum: vec![0.0; cells], squares: vec![0.0; cells] };
                Learner::Positions { grid, folds: vec![empty; folds] }
            }
            Method::Mahalanobis => {
                let empty = Covariance { count: 0.0, sum: vec![0.0; depth], products: vec![0.0; depth * depth] };
                Learner::Global { grid, folds: vec![empty; folds] }
            }
        }
    }

    /// Learns one image's features, `[D,h,w]`, and the same as `rows` `[h*w,D]`.
    pub fn add(&mut self, fold: usize, planes: &[f32], rows: &[f32]) {
        match self {
            Learner::Bank { pool, .. } => pool.add(fold, rows),
            Learner::Positions { folds, .. } => folds[fold].add(planes),
            Learner::Global { grid, folds } => folds[fold].add(rows, grid.depth),
        }
    }

    /// Does what all folds share, once every image was added.
    pub fn settle(&mut self) {
        if let Learner::Bank { pool, rows } = self {
            pool.settle(*rows);
        }
    }

    /// The head of everything that was learned, or of all folds but one. The learner must have been settled.
    pub fn learned(&self, without: Option<usize>) -> Learned {
        match self {
            Learner::Bank { pool, rows } => Learned::Bank(pool.bank(without, *rows)),
            Learner::Positions { grid, folds } => {
                let mut all = folds[0].zero();
                kept(folds, without).for_each(|fold| all.merge(fold));
                Learned::Positions(all.gaussian(*grid))
            }
            Learner::Global { grid, folds } => {
                let mut all = folds[0].zero();
                kept(folds, without).for_each(|fold| all.merge(fold));
                Learned::Global(all.gaussian(grid.depth))
            }
        }
    }
}

fn kept<T>(folds: &[T], without: Option<usize>) -> impl Iterator<Item = &T> {
    folds.iter().enumerate().filter(move |(i, _)| Some(*i) != without).map(|(_, fold)| fold)
}

impl Moments {
    fn zero(&self) -> Moments {
        Moments { count: 0.0, sum: vec![0.0; self.sum.len()], squares: vec![0.0; self.sum.len()] }
    }

    fn add(&mut self, planes: &[f32]) {
        self.count += 1.0;
        for ((sum, square), &value) in self.sum.iter_mut().zip(&mut self.squares).zip(planes) {
            let value = f64::from(value);
            *sum += value;
            *square += value * value;
        }
    }

    fn merge(&mut self, other: &Moments) {
        self.count += other.count;
        for (a, b) in self.sum.iter_mut().zip(&other.sum) {
            *a += b;
        }
        for (a, b) in self.squares.iter_mut().zip(&other.squares) {
            *a += b;
        }
    }

    /// Mean and 1/sigma of each feature at each position; the variance is mixed with that of the feature over all positions.
    fn gaussian(&self, grid: Grid) -> Gaussian {
        let cells = grid.width * grid.height;
        let n = self.count.max(1.0);
        let mean: Vec<f64> = self.sum.iter().map(|s| s / n).collect();
        let variance: Vec<f64> =
            self.squares.iter().zip(&mean).map(|(s, m)| (s / n - m * m).max(0.0) * n / (n - 1.0).max(1.0)).collect();
        let pooled: Vec<f64> = variance.chunks_exact(cells).map(|v| v.iter().sum::<f64>() / cells as f64).collect();
        let overall = (pooled.iter().sum::<f64>() / pooled.len() as f64).max(1e-12);
        let whiten = variance
            .chunks_exact(cells)
            .zip(&pooled)
            .flat_map(|(plane, pooled)| {
                plane.iter().map(move |v| {
                    let mixed = (n * v + PRIOR_PARTS * pooled) / (n + PRIOR_PARTS) + FLOOR * overall;
                    mixed.sqrt().recip() as f32
                })
            })
            .collect();
        Gaussian { mean: mean.iter().map(|&m| m as f32).collect(), whiten }
    }
}

impl Covariance {
    fn zero(&self) -> Covariance {
        Covariance { count: 0.0, sum: vec![0.0; self.sum.len()], products: vec![0.0; self.products.len()] }
    }

    fn add(&mut self, rows: &[f32], depth: usize) {
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

    fn merge(&mut self, other: &Covariance) {
        self.count += other.count;
        for (a, b) in self.sum.iter_mut().zip(&other.sum) {
            *a += b;
        }
        for (a, b) in self.products.iter_mut().zip(&other.products) {
            *a += b;
        }
    }

    /// Mean and the inverse of the Cholesky factor of the covariance.
    fn gaussian(&self, depth: usize) -> Gaussian {
        let n = self.count.max(1.0);
        let mean: Vec<f64> = self.sum.iter().map(|s| s / n).collect();
        let mut covariance: Vec<f64> =
            (0..depth * depth).map(|k| self.products[k] / n - mean[k / depth] * mean[k % depth]).collect();
        let trace: f64 = (0..depth).map(|i| covariance[i * depth + i]).sum();
        let floor = (FLOOR * trace / depth as f64).max(1e-12);
        (0..depth).for_each(|i| covariance[i * depth + i] += floor);
        let whiten = inverse_of_cholesky(&covariance, depth);
        Gaussian { mean: mean.iter().map(|&m| m as f32).collect(), whiten: whiten.iter().map(|&w| w as f32).collect() }
    }
}

/// `L^-1`, where `matrix = L L^T` is positive definite: `|L^-1 x|` is the Mahalanobis length of `x`.
fn inverse_of_cholesky(matrix: &[f64], n: usize) -> Vec<f64> {
    let mut factor = vec![0.0; n * n];
    for i in 0..n {
        for j in 0..=i {
            let dot: f64 = (0..j).map(|k| factor[i * n + k] * factor[j * n + k]).sum();
            let rest = matrix[i * n + j] - dot;
            factor[i * n + j] = if i == j { rest.max(1e-12).sqrt() } else { rest / factor[j * n + j] };
        }
    }
    let mut inverse = vec![0.0; n * n];
    for column in 0..n {
        inverse[column * n + column] = 1.0 / factor[column * n + column];
        for i in column + 1..n {
            let dot: f64 = (column..i).map(|k| factor[i * n + k] * inverse[k * n + column]).sum();
            inverse[i * n + column] = -dot / factor[i * n + i];
        }
    }
    inverse
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    const GRID: Grid = Grid { width: 2, height: 1, depth: 3, map: (16, 8), step: None };

    #[test]
    fn whitened_features_have_unit_covariance() {
        let mut random = Random::new(5);
        let rows: Vec<f32> = (0..4000)
            .flat_map(|_| {
                let (a, b, c) = (random.normal(), random.normal(), random.normal());
                [(3.0 * a) as f32, (a + 3.0 * b) as f32, (b - 3.0 * c + 7.0) as f32]
            })
            .collect();
        let mut learner = Learner::new(Method::Mahalanobis, GRID, &[], 1, 1, 0);
        learner.add(0, &[], &rows);
        let Learned::Global(gaussian) = learner.learned(None) else { panic!("a global Gaussian") };
        let white: Vec<[f32; 3]> = rows
            .chunks_exact(3)
            .map(|x| {
                std::array::from_fn(|i| (0..3).map(|k| gaussian.whiten[i * 3 + k] * (x[k] - gaussian.mean[k])).sum())
            })
            .collect();
        for i in 0..3 {
            for j in 0..3 {
                let found = white.iter().map(|w| w[i] * w[j]).sum::<f32>() / white.len() as f32;
                let expected = if i == j { 1.0 } else { 0.0 };
                assert!((found - expected).abs() < 0.08, "({i},{j}): {found}");
            }
        }
    }

    #[test]
    fn a_fold_left_out_is_not_in_the_gaussian() {
        let mut learner = Learner::new(Method::Padim, GRID, &[], 2, 8, 0);
        for i in 0..8 {
            let value = if i % 2 == 0 { 1.0 } else { 100.0 } + 0.01 * i as f32;
            learner.add(i % 2, &[value; 6], &[value; 6]);
        }
        for (without, low, high) in [(Some(1), 0.9, 1.2), (Some(0), 99.0, 101.0), (None, 50.0, 51.0)] {
            let Learned::Positions(gaussian) = learner.learned(without) else { panic!("a Gaussian a position") };
            assert!(gaussian.mean.iter().all(|m| (low..high).contains(m)), "{without:?}: {:?}", gaussian.mean);
            assert!(gaussian.whiten.iter().all(|w| w.is_finite() && *w > 0.0));
        }
    }
}
