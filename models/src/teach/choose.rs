//! Which method suits these parts: the one that tells corrupted held-out parts from clean ones best.

use serde::Serialize;

use crate::contract::Method;
use crate::metrics::{Ranked, auroc};

/// AUROCs that lie this close together are a draw, as where every method finds every corruption.
const EQUAL: f64 = 0.001;

/// How well a method told corrupted held-out parts from clean ones.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Candidate {
    /// The method.
    pub method: Method,
    /// Area under the ROC curve, image level, clean against corrupted.
    pub auroc: f64,
    /// Distance of the means of the logarithms of the scores, in standard deviations of the clean ones.
    pub separation: f64,
}

impl Candidate {
    /// From the scores of clean and of corrupted held-out parts.
    pub(super) fn judge(method: Method, clean: &[f64], corrupted: &[f64]) -> Candidate {
        let rank = |scores: &[f64], defect| -> Vec<Ranked> {
            scores.iter().map(|&s| Ranked { score: s as f32, defect }).collect()
        };
        let ranked = [rank(clean, false), rank(corrupted, true)].concat();
        let (clean_mean, clean_sd) = moments(clean);
        let (corrupted_mean, _) = moments(corrupted);
        Candidate {
            method,
            auroc: auroc(&ranked).unwrap_or(0.0),
            separation: (corrupted_mean - clean_mean) / clean_sd.max(1e-3),
        }
    }
}

/// The place of the best candidate: highest AUROC, and among equals the widest separation.
pub(super) fn best(candidates: &[Candidate]) -> usize {
    let highest = candidates.iter().fold(0.0, |m: f64, c| m.max(c.auroc));
    (0..candidates.len())
        .filter(|&i| candidates[i].auroc >= highest - EQUAL)
        .max_by(|&a, &b| candidates[a].separation.total_cmp(&candidates[b].separation))
        .unwrap_or(0)
}

fn moments(scores: &[f64]) -> (f64, f64) {
    let logs: Vec<f64> = scores.iter().map(|s| s.max(1e-9).ln()).collect();
    let n = logs.len().max(1) as f64;
    let mean = logs.iter().sum::<f64>() / n;
    (mean, (logs.iter().map(|l| (l - mean).powi(2)).sum::<f64>() / n).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_better_method_is_chosen_and_separation_settles_a_draw() {
        let clean = [1.0, 1.1, 0.9, 1.0];
        let judge = |method, corrupted: &[f64]| Candidate::judge(method, &clean, corrupted);
        let weak = judge(Method::PatchcoreLite, &[1.0, 0.9, 1.2, 1.05]);
        let strong = judge(Method::Padim, &[1.5, 1.6, 1.7, 1.4]);
        let stronger = judge(Method::Mahalanobis, &[3.0, 3.5, 4.0, 2.5]);
        assert!(weak.auroc < 0.9 && strong.auroc == 1.0 && stronger.auroc == 1.0);
        assert_eq!(best(&[weak.clone(), strong.clone()]), 1);
        assert_eq!(best(&[weak, strong, stronger]), 2);
    }
}
