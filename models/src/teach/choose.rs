//! Which method suits these parts: the one that tells corrupted held-out parts from clean ones best, and shows best where.

use serde::Serialize;

use crate::contract::Method;
use crate::metrics::{Ranked, auroc};

/// Errors that lie this close together, a tenth, are a draw: then what runs faster is better.
const EQUAL: f64 = 0.1;
/// Less than this is not counted: there are too few parts to tell.
const LEAST_ERROR: f64 = 0.001;

/// How well a method told corrupted held-out parts from clean ones.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Candidate {
    /// The method.
    pub method: Method,
    /// Area under the ROC curve, image level, clean against corrupted.
    pub auroc: f64,
    /// Area under the ROC curve, cells of 8x8 pixels within each corrupted part, those that were corrupted against the others; the
    /// mean over parts.
    pub map_auroc: f64,
}

impl Candidate {
    /// From the scores of clean and of corrupted held-out parts, and from how well each of the latter shows where.
    pub(super) fn judge(method: Method, clean: &[f64], corrupted: &[f64], shown: &[f64]) -> Candidate {
        let rank = |scores: &[f64], defect| -> Vec<Ranked> {
            scores.iter().map(|&s| Ranked { score: s as f32, defect }).collect()
        };
        let ranked = [rank(clean, false), rank(corrupted, true)].concat();
        Candidate {
            method,
            auroc: auroc(&ranked).unwrap_or(0.0),
            map_auroc: shown.iter().sum::<f64>() / shown.len().max(1) as f64,
        }
    }

    /// What decides, less is better: the logarithm of how often the method errs. Halving an error counts the same wherever it began, and
    /// showing where counts twice: it rests on many cells a part, finding on one score.
    fn error(&self) -> f64 {
        (1.0 - self.auroc).max(LEAST_ERROR).ln() + 2.0 * (1.0 - self.map_auroc).max(LEAST_ERROR).ln()
    }
}

/// How well a map, one value a cell, tells the cells that were `touched` from the others of the same part; nothing where all
/// or none were.
pub(super) fn shown(map: &[f64], touched: &[bool]) -> Option<f64> {
    let cells = map.iter().zip(touched).map(|(&v, &defect)| Ranked { score: v as f32, defect });
    auroc(&cells.collect::<Vec<_>>()).ok()
}

/// The place of the best candidate: of those that err least, within [`EQUAL`], the first.
pub(super) fn best(candidates: &[Candidate]) -> usize {
    let least = candidates.iter().fold(f64::INFINITY, |m, c| m.min(c.error()));
    candidates.iter().position(|c| c.error() <= least + EQUAL).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLEAN: [f64; 4] = [1.0, 1.1, 0.9, 1.0];

    #[test]
    fn the_method_that_errs_least_is_chosen_and_the_first_of_equals() {
        let judge = |method, corrupted: &[f64], shown| Candidate::judge(method, &CLEAN, corrupted, &[shown]);
        let weak = judge(Method::Padim, &[1.0, 0.9, 1.2, 1.05], 0.99);
        let strong = judge(Method::Mahalanobis, &[1.5, 1.6, 1.7, 1.4], 0.99);
        let equal = judge(Method::PatchcoreLite, &[3.0, 3.5, 4.0, 2.5], 0.9904);
        let finer = judge(Method::PadimFull, &[1.5, 1.6, 1.7, 1.4], 0.995);
        assert!(weak.auroc < 0.9 && strong.auroc == 1.0 && equal.auroc == 1.0);
        assert_eq!(best(&[weak.clone(), strong.clone()]), 1);
        assert_eq!(best(&[strong.clone(), equal.clone()]), 0);
        assert_eq!(best(&[equal, strong.clone()]), 0);
        assert_eq!(best(&[weak, strong, finer]), 2);
    }

    #[test]
    fn a_map_is_judged_by_the_cells_that_were_touched() {
        let touched = [false, true, true, false];
        assert_eq!(shown(&[0.1, 0.9, 0.8, 0.2], &touched), Some(1.0));
        assert_eq!(shown(&[0.9, 0.1, 0.8, 0.2], &touched), Some(0.25));
        assert_eq!(shown(&[0.1, 0.2, 0.3, 0.4], &[false; 4]), None);
    }
}
