//! What each method keeps of the features that it sees, and the head that it makes of them.

use super::coreset::Pool;
use super::covariance::{Covariance, Covariances};
use crate::contract::Method;
use crate::graph::{Gaussian, Grid, Head};

/// How many parts' worth of the pooled variance a position's own variance is mixed with: with 20 parts a variance by itself
/// is off by a third.
pub(super) const PRIOR_PARTS: f64 = 10.0;
/// Share of the mean variance that is added to each, so that a constant feature cannot divide by zero.
pub(super) const FLOOR: f64 = 0.01;

/// Learns features fold by fold; gives the head for all folds or for all but one.
#[derive(Clone, Debug)]
pub(super) enum Learner {
    Bank { pool: Pool, rows: usize },
    Positions { grid: Grid, folds: Vec<Moments> },
    Whole { folds: Vec<Covariances> },
    Global { grid: Grid, folds: Vec<Covariance> },
}

/// Sums of features and of their squares, for each feature of each position.
#[derive(Clone, Debug, Default)]
pub(super) struct Moments {
    count: f64,
    sum: Vec<f64>,
    squares: Vec<f64>,
}

/// A head with what it needs.
#[derive(Clone, Debug)]
pub(super) enum Learned {
    Bank(Vec<f32>),
    Positions(Gaussian),
    Whole(Gaussian),
    Global(Gaussian),
}

impl Learned {
    /// The head, for a graph.
    pub fn head(&self) -> Head<'_> {
        match self {
            Learned::Bank(bank) => Head::Nearest(bank),
            Learned::Positions(gaussian) => Head::PerPosition(gaussian),
            Learned::Whole(gaussian) => Head::PerPositionWhole(gaussian),
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
            Method::PadimFull => {
                Learner::Whole { folds: (0..folds).map(|_| Covariances::new(width * height, depth)).collect() }
            }
            Method::Mahalanobis => Learner::Global { grid, folds: vec![Covariance::new(depth); folds] },
        }
    }

    /// Learns one image's features, `[D,h,w]`, and the same as `rows` `[h*w,D]`.
    pub fn add(&mut self, fold: usize, planes: &[f32], rows: &[f32]) {
        match self {
            Learner::Bank { pool, .. } => pool.add(fold, rows),
            Learner::Positions { folds, .. } => folds[fold].add(planes),
            Learner::Whole { folds } => folds[fold].add(rows),
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
            Learner::Whole { folds } => {
                Learned::Whole(Covariances::gaussian(&kept(folds, without).collect::<Vec<_>>()))
            }
            Learner::Global { grid, folds } => {
                let mut all = Covariance::new(grid.depth);
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

#[cfg(test)]
mod tests {
    use super::*;

    const GRID: Grid = Grid { width: 2, height: 1, depth: 3, map: (16, 8), step: None };

    #[test]
    fn a_fold_left_out_is_not_in_the_gaussian() {
        check(Method::Padim);
        check(Method::PadimFull);
    }

    fn check(method: Method) {
        let mut learner = Learner::new(method, GRID, &[], 2, 8, 0);
        for i in 0..8 {
            let value = if i % 2 == 0 { 1.0 } else { 100.0 } + 0.01 * i as f32;
            learner.add(i % 2, &[value; 6], &[value; 6]);
        }
        for (without, low, high) in [(Some(1), 0.9, 1.2), (Some(0), 99.0, 101.0), (None, 50.0, 51.0)] {
            let (Learned::Positions(gaussian) | Learned::Whole(gaussian)) = learner.learned(without) else {
                panic!("{method}: no Gaussian a position")
            };
            assert!(
                gaussian.mean.iter().all(|m| (low..high).contains(m)),
                "{method}, {without:?}: {:?}",
                gaussian.mean
            );
            assert!(gaussian.whiten.iter().all(|w| w.is_finite()) && gaussian.whiten[0] > 0.0, "{method}");
        }
    }
}
