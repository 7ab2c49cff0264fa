//! Thresholds from defect samples, where there are some: which one tells them best from good parts, and which one costs least.
//!
//! The model itself learns nothing from defects; only the threshold may move. Good parts enter with the scores that they had when
//! they were held out.

use jidoka_engine::onnx::{self, StringStringEntryProto};
use serde::Serialize;

use super::threshold::upper_bound;
use super::{Options, Parts, Taught};
use crate::preparation::Preparation;
use crate::{Check, Error, InspectionModel, LoadOptions};

/// What decides where the threshold lies.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Rule {
    /// The false-reject rate that was asked for; defects are only counted.
    #[default]
    FalseReject,
    /// The greatest F1 over good and defective parts.
    F1,
    /// The least cost, where an escape costs so many false rejects.
    Cost(f64),
}

/// A threshold and what it does.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Cut {
    /// The threshold.
    pub threshold: f64,
    /// Share of held-out good parts above it.
    pub false_reject: f64,
    /// Share of the defect samples that are not above it.
    pub escape: f64,
    /// F1 of rejects against defects.
    pub f1: f64,
}

/// What defect samples say.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Defects {
    /// Samples that were scored.
    pub count: usize,
    /// At the threshold of the false-reject rate.
    pub stated: Cut,
    /// At the threshold of the greatest F1.
    pub f1_max: Cut,
    /// At the threshold of the least cost.
    pub least_cost: Cut,
    /// False rejects that an escape costs.
    pub escape_cost: f64,
}

/// False rejects that an escape costs where nothing else is said.
const ESCAPE_COST: f64 = 10.0;

/// Scores `defects` with a taught model, reports what they say, and moves the threshold by `rule`.
///
/// # Errors
/// A sample that cannot be read or scored, none at all, a cost that is not positive.
pub fn weigh(taught: &mut Taught, defects: &mut dyn Parts, options: &Options, rule: Rule) -> Result<Defects, Error> {
    let escape_cost = if let Rule::Cost(cost) = rule { cost } else { ESCAPE_COST };
    if !(escape_cost > 0.0 && escape_cost.is_finite()) {
        let expected = "how many false rejects an escape costs, above 0".to_owned();
        return Err(Error::Setting { key: "escape-cost", value: escape_cost.to_string(), expected });
    }
    let bad = scores(taught, defects, options)?;
    let good: Vec<f64> = taught.report.held_out.iter().map(|h| h.1).collect();
    let cuts: Vec<Cut> = candidates(&good, &bad).into_iter().map(|t| cut(t, &good, &bad)).collect();
    let cost = |c: &Cut| c.false_reject + escape_cost * c.escape;
    let report = Defects {
        count: bad.len(),
        stated: cut(taught.report.threshold.score, &good, &bad),
        f1_max: best(&cuts, |c| -c.f1),
        least_cost: best(&cuts, cost),
        escape_cost,
    };
    let (chosen, basis) = match rule {
        Rule::FalseReject => return Ok(report),
        Rule::F1 => (report.f1_max, format!("greatest F1 over {} defect samples", bad.len())),
        Rule::Cost(_) => {
            (report.least_cost, format!("least cost over {} defect samples, an escape at {escape_cost}", bad.len()))
        }
    };
    let threshold = &mut taught.report.threshold;
    threshold.score = chosen.threshold;
    threshold.basis = basis;
    threshold.above = good.iter().filter(|&&s| s > chosen.threshold).count();
    threshold.bound_95 = upper_bound(threshold.above, good.len(), 0.95);
    taught.contract.threshold = Some(threshold.clone());
    restate(taught)?;
    Ok(report)
}

fn scores(taught: &Taught, defects: &mut dyn Parts, options: &Options) -> Result<Vec<f64>, Error> {
    let load = LoadOptions { golden: Check::Skip, ..LoadOptions::default() };
    let mut model = InspectionModel::from_bytes("the taught model", &taught.onnx, &load)?;
    let preparation = Preparation::new(model.input(), options.roi, options.fit, options.filter);
    let mut preparation = preparation.corrected(options.corrections.clone());
    let mut scores = Vec::with_capacity(defects.count());
    for index in 0..defects.count() {
        let name = defects.name(index);
        let image = defects.read(index)?;
        preparation.fill(&name, &image, &mut model)?;
        let outcome = model.score().map_err(|error| Error::Run { name: name.clone(), error })?;
        if !outcome.score.is_finite() {
            let found = format!("{name} with {}", outcome.score);
            return Err(Error::Metric { metric: "a threshold", needs: "finite scores of defects", found });
        }
        scores.push(f64::from(outcome.score));
    }
    if scores.is_empty() {
        let found = "none".to_owned();
        return Err(Error::Metric { metric: "a threshold from defects", needs: "at least one sample", found });
    }
    Ok(scores)
}

/// Half way between neighbouring scores, and one below and above all.
fn candidates(good: &[f64], bad: &[f64]) -> Vec<f64> {
    let mut all: Vec<f64> = good.iter().chain(bad).copied().collect();
    all.sort_by(f64::total_cmp);
    all.dedup();
    let (low, high) = (all[0], all[all.len() - 1]);
    let margin = 0.01 * (high - low).max(high.abs()).max(f64::MIN_POSITIVE);
    let between = all.windows(2).map(|pair| (pair[0] + pair[1]) / 2.0);
    [low - margin].into_iter().chain(between).chain([high + margin]).collect()
}

fn cut(threshold: f64, good: &[f64], bad: &[f64]) -> Cut {
    let above = |scores: &[f64]| scores.iter().filter(|&&s| s > threshold).count() as f64;
    let (false_rejects, hits) = (above(good), above(bad));
    Cut {
        threshold,
        false_reject: false_rejects / good.len().max(1) as f64,
        escape: 1.0 - hits / bad.len() as f64,
        f1: 2.0 * hits / (hits + false_rejects + bad.len() as f64),
    }
}

/// The middle one of the cuts with the least loss: away from the scores on both sides.
fn best(cuts: &[Cut], loss: impl Fn(&Cut) -> f64) -> Cut {
    let least = cuts.iter().map(&loss).fold(f64::INFINITY, f64::min);
    let among: Vec<&Cut> = cuts.iter().filter(|c| loss(c) <= least + 1e-12).collect();
    *among[among.len() / 2]
}

/// Writes the contract into the file again.
fn restate(taught: &mut Taught) -> Result<(), Error> {
    let mut message = onnx::decode("the taught model", &taught.onnx)?;
    message.metadata_props.retain(|p| !p.key.starts_with("jidoka."));
    let entries = taught.contract.to_metadata().into_iter().map(|(key, value)| StringStringEntryProto { key, value });
    message.metadata_props.extend(entries);
    taught.onnx = onnx::encode(&message);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cuts(good: &[f64], bad: &[f64]) -> Vec<Cut> {
        candidates(good, bad).into_iter().map(|t| cut(t, good, bad)).collect()
    }

    #[test]
    fn the_cut_lies_between_what_can_be_told_apart() {
        let (good, bad) = ([1.0, 1.2, 1.1], [2.0, 3.0]);
        let found = best(&cuts(&good, &bad), |c| -c.f1);
        assert!((found.threshold - 1.6).abs() < 1e-12 && found.f1 == 1.0, "{found:?}");
    }

    #[test]
    fn a_dear_escape_lowers_the_threshold_and_a_cheap_one_raises_it() {
        let (good, bad) = ([1.0, 1.2, 1.9, 1.1], [1.5, 3.0, 3.2]);
        let cuts = cuts(&good, &bad);
        let at = |cost: f64| best(&cuts, |c| c.false_reject + cost * c.escape);
        let (dear, cheap) = (at(10.0), at(0.1));
        assert!(dear.threshold < 1.5 && dear.escape == 0.0, "{dear:?}");
        assert!(cheap.threshold > 1.9 && cheap.false_reject == 0.0, "{cheap:?}");
    }
}
