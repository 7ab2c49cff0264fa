//! Metrics of a list of scores and truths.

use super::Curve;
use crate::Error;

/// A score and whether it belongs to a defect.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ranked {
    /// Greater is more anomalous.
    pub score: f32,
    /// True for a defect.
    pub defect: bool,
}

/// Area under the ROC curve.
///
/// # Errors
/// [`Error::Metric`] without at least one defect and one good, or with a score that is not a number.
pub fn auroc(ranked: &[Ranked]) -> Result<f64, Error> {
    let (good, defects) = counts(ranked, "AUROC")?;
    let mut below = 0u64;
    // Twice the number of (good, defect) pairs in the right order, a tie counting one: exact in integers.
    let mut doubled: u128 = 0;
    for_each_tie(ranked, |tie_good, tie_defects| {
        doubled += u128::from(tie_defects) * u128::from(2 * below + tie_good);
        below += tie_good;
    });
    Ok(doubled as f64 / 2.0 / (good as f64 * defects as f64))
}

/// The ROC curve: x is the share of good ones that is marked, y that of defects.
///
/// # Errors
/// As [`auroc`].
pub fn roc(ranked: &[Ranked]) -> Result<Curve, Error> {
    let (good, defects) = counts(ranked, "ROC")?;
    let mut ties = Vec::new();
    for_each_tie(ranked, |tie_good, tie_defects| ties.push((tie_good, tie_defects)));
    let mut curve = Curve::default();
    let (mut false_alarms, mut hits) = (0, 0);
    for (tie_good, tie_defects) in ties.into_iter().rev() {
        false_alarms += tie_good;
        hits += tie_defects;
        curve.step(false_alarms as f64 / good as f64, hits as f64 / defects as f64);
    }
    Ok(curve)
}

/// The greatest F1 and the score at which it is reached (`score >= threshold` is a defect).
///
/// # Errors
/// As [`auroc`].
pub fn f1_max(ranked: &[Ranked]) -> Result<(f64, f32), Error> {
    let (_, defects) = counts(ranked, "F1-max")?;
    let sorted = sorted(ranked);
    let mut best = (0.0, f32::INFINITY);
    let (mut hits, mut marked) = (0u64, 0u64);
    let mut end = sorted.len();
    while end > 0 {
        let score = sorted[end - 1].score;
        while end > 0 && sorted[end - 1].score == score {
            end -= 1;
            marked += 1;
            hits += u64::from(sorted[end].defect);
        }
        let f1 = 2.0 * hits as f64 / (marked + defects) as f64;
        if f1 > best.0 {
            best = (f1, score);
        }
    }
    Ok(best)
}

/// F1 where a score above `threshold` is a defect; 0 where nothing is marked and nothing is a defect.
pub fn f1_at(ranked: &[Ranked], threshold: f64) -> f64 {
    let marked = ranked.iter().filter(|r| f64::from(r.score) > threshold).count();
    let hits = ranked.iter().filter(|r| r.defect && f64::from(r.score) > threshold).count();
    let defects = ranked.iter().filter(|r| r.defect).count();
    if marked + defects == 0 { 0.0 } else { 2.0 * hits as f64 / (marked + defects) as f64 }
}

fn sorted(ranked: &[Ranked]) -> Vec<Ranked> {
    let mut sorted = ranked.to_vec();
    sorted.sort_by(|a, b| a.score.total_cmp(&b.score));
    sorted
}

/// Calls `f` with the numbers of good and defect at each distinct score, ascending.
fn for_each_tie(ranked: &[Ranked], mut f: impl FnMut(u64, u64)) {
    for tie in sorted(ranked).chunk_by(|a, b| a.score == b.score) {
        let defects = tie.iter().filter(|r| r.defect).count() as u64;
        f(tie.len() as u64 - defects, defects);
    }
}

fn counts(ranked: &[Ranked], metric: &'static str) -> Result<(u64, u64), Error> {
    let defects = ranked.iter().filter(|r| r.defect).count();
    let good = ranked.len() - defects;
    let broken = ranked.iter().filter(|r| r.score.is_nan()).count();
    if broken > 0 {
        let found = format!("{broken} scores that are not numbers");
        return Err(Error::Metric { metric, needs: "numbers for scores", found });
    }
    if defects == 0 || good == 0 {
        let found = format!("{good} good and {defects} defective");
        return Err(Error::Metric { metric, needs: "at least one good and one defective", found });
    }
    Ok((good as u64, defects as u64))
}
