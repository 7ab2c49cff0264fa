//! A threshold from the scores of held-out good parts, at a stated false-reject rate, and what is known about that rate.
//!
//! Scores of good parts are close to log-normal. The threshold is the upper prediction limit for one more part: with mean
//! `m` and standard deviation `s` of the `n` logarithms, `exp(m + t(1 - rate; n - 1) * s * sqrt(1 + 1/n))`, `t` a quantile of
//! Student's distribution (Hahn 1969). Averaged over samples of this size, a log-normal part lies above it with exactly the
//! stated probability; few parts widen it. Where the upper half of the scores spreads more than the whole, its spread is taken for
//! `s`. Real tails may be longer still, so the threshold is raised to the order statistic that
//! leaves at most `floor(n * rate)` held-out parts above. A part that is far out of the others' range (more than 6 robust
//! standard deviations) is named and does not set the threshold, but is counted above it.
//!
//! The counts alone, without any shape, bound the rate from above by Clopper and Pearson (1934): 0 of 20 is compatible with
//! 13.9 % at 95 % confidence, which the report says.

use statrs::distribution::{Beta, ContinuousCDF, StudentsT};

use crate::contract::{Calibration, Threshold};

/// Bins of the histogram that travels in the model.
const BINS: usize = 32;
const LOG_NORMAL: &str = "log-normal prediction limit of held-out good parts";
const NORMAL: &str = "normal prediction limit of held-out good parts";
/// Least standard deviation of the logarithm that makes a part far out: two per cent of the score.
const LEAST_SD: f64 = 0.02;
/// Robust standard deviations from the median beyond which a part does not set the threshold.
const FAR_OUT: f64 = 6.0;

/// The threshold, the distribution, and the places of the parts that are far out.
#[derive(Clone, Debug)]
pub(super) struct Calibrated {
    pub threshold: Threshold,
    pub calibration: Calibration,
    pub far_out: Vec<usize>,
}

/// What goes into a threshold.
#[derive(Clone, Copy, Debug)]
pub(super) struct Evidence<'a> {
    /// Score of each held-out good part.
    pub scores: &'a [f64],
    /// The pixel threshold.
    pub pixel: f64,
    /// Share of good parts that may be rejected.
    pub false_reject: f64,
    /// What good parts score with a little sensor noise on them, where that was measured: the threshold is never below.
    pub floor: Option<f64>,
}

/// Puts the threshold. `scores` must hold at least two finite numbers.
pub(super) fn calibrate(evidence: &Evidence<'_>) -> Calibrated {
    let scores = evidence.scores;
    let mut sorted = scores.to_vec();
    sorted.sort_by(f64::total_cmp);
    let median = quantile(&sorted, 0.5);
    // Distances are positive. Scores of a model made elsewhere may not be (a likelihood): those are taken as they are.
    let positive = median > 0.0;
    // A score of zero (a part that is in the bank to the bit) has no logarithm.
    let smallest = (median * 1e-3).max(1e-9);
    let logs: Vec<f64> = scores.iter().map(|s| if positive { s.max(smallest).ln() } else { *s }).collect();
    let least_sd = if positive { LEAST_SD } else { LEAST_SD * median.abs() };
    let far_out = far_out(&logs, least_sd);
    let kept: Vec<usize> = (0..scores.len()).filter(|i| !far_out.contains(i)).collect();
    let n = kept.len() as f64;
    let log_mean = kept.iter().map(|&i| logs[i]).sum::<f64>() / n;
    let log_sd = (kept.iter().map(|&i| (logs[i] - log_mean).powi(2)).sum::<f64>() / (n - 1.0).max(1.0)).sqrt();

    let spread = log_sd.max(upper_sd(kept.iter().map(|&i| logs[i])));
    let limit = log_mean + student(1.0 - evidence.false_reject, n - 1.0) * spread * (1.0 + 1.0 / n).sqrt();
    let fitted = if positive { limit.exp() } else { limit };
    let mut usual: Vec<f64> = kept.iter().map(|&i| scores[i]).collect();
    usual.sort_by(|a, b| b.total_cmp(a));
    let allowed = (n * evidence.false_reject).floor() as usize;
    let ordered = usual[allowed.min(usual.len() - 1)];

    let (score, basis) = [
        (fitted, if positive { LOG_NORMAL } else { NORMAL }),
        (ordered, "order statistic of held-out good parts"),
        (evidence.floor.unwrap_or(f64::NEG_INFINITY), "good parts with sensor noise"),
    ]
    .into_iter()
    .fold((f64::NEG_INFINITY, ""), |best, next| if next.0 > best.0 { next } else { best });
    let above = scores.iter().filter(|&&s| s > score).count();
    let threshold = Threshold {
        score,
        pixel: evidence.pixel,
        false_reject: evidence.false_reject,
        basis: basis.to_owned(),
        held_out: scores.len(),
        above,
        bound_95: upper_bound(above, scores.len(), 0.95),
    };
    let calibration = describe(&sorted, log_mean, log_sd, score);
    Calibrated { threshold, calibration, far_out }
}

fn describe(sorted: &[f64], log_mean: f64, log_sd: f64, threshold: f64) -> Calibration {
    let low = sorted[0].min(threshold);
    let high = sorted[sorted.len() - 1].max(threshold);
    let width = ((high - low) / BINS as f64).max(f64::MIN_POSITIVE);
    let mut counts = vec![0; BINS];
    for score in sorted {
        counts[(((score - low) / width) as usize).min(BINS - 1)] += 1;
    }
    let quantiles = Calibration::PROBABILITIES.iter().map(|&p| quantile(sorted, p)).collect();
    Calibration { held_out: sorted.len(), log_mean, log_sd, quantiles, low, high, counts }
}

/// The standard deviation as the upper half alone shows it: the scores of some parts have a longer tail above than below, and
/// that is the side which counts.
fn upper_sd(logs: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = logs.collect();
    sorted.sort_by(f64::total_cmp);
    let median = quantile(&sorted, 0.5);
    let upper = &sorted[sorted.len() / 2..];
    (upper.iter().map(|l| (l - median).powi(2)).sum::<f64>() / upper.len() as f64).sqrt()
}

/// Parts whose logarithm is far above the median, by the median absolute deviation.
fn far_out(logs: &[f64], least_sd: f64) -> Vec<usize> {
    let mut sorted = logs.to_vec();
    sorted.sort_by(f64::total_cmp);
    let median = quantile(&sorted, 0.5);
    let mut off: Vec<f64> = logs.iter().map(|l| (l - median).abs()).collect();
    off.sort_by(f64::total_cmp);
    // 1.4826 makes the median absolute deviation the standard deviation of a normal distribution; parts that are nearly
    // all alike (a still picture) must not make the next one an outlier.
    let sd = (quantile(&off, 0.5) * 1.4826).max(least_sd).max(1e-9);
    (0..logs.len()).filter(|&i| (logs[i] - median) / sd > FAR_OUT).collect()
}

/// The `p` quantile of sorted values, linear between neighbours (the definition that numpy uses).
pub(super) fn quantile(sorted: &[f64], p: f64) -> f64 {
    let at = p * (sorted.len() - 1) as f64;
    let (low, high) = (at.floor() as usize, at.ceil() as usize);
    sorted[low] + (sorted[high] - sorted[low]) * (at - low as f64)
}

fn student(p: f64, freedom: f64) -> f64 {
    StudentsT::new(0.0, 1.0, freedom.max(1.0)).map_or(f64::INFINITY, |t| t.inverse_cdf(p))
}

/// Upper end of the one-sided confidence interval for a rate of which `hits` of `trials` were seen.
pub(super) fn upper_bound(hits: usize, trials: usize, confidence: f64) -> f64 {
    if hits >= trials {
        return 1.0;
    }
    Beta::new(hits as f64 + 1.0, (trials - hits) as f64).map_or(1.0, |b| b.inverse_cdf(confidence))
}

/// Held-out good parts that are needed, none above the threshold, to prove `rate` at 95 % confidence.
pub(super) fn parts_to_prove(rate: f64) -> usize {
    (0.05f64.ln() / (1.0 - rate).ln()).ceil() as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    fn calibrated(scores: &[f64], false_reject: f64) -> Calibrated {
        calibrate(&Evidence { scores, pixel: 1.0, false_reject, floor: None })
    }

    /// Scores whose logarithm is normal with mean 1 and standard deviation 0.2.
    fn log_normal(random: &mut Random, count: usize) -> Vec<f64> {
        (0..count).map(|_| (1.0 + 0.2 * random.normal()).exp()).collect()
    }

    #[test]
    fn the_stated_rate_is_kept_on_average_whatever_the_sample_size() {
        for (n, rate) in [(8, 0.05), (20, 0.02), (50, 0.01), (400, 0.05)] {
            let mut random = Random::new(n as u64);
            let (mut above, mut all) = (0, 0);
            for _ in 0..300 {
                let threshold = calibrated(&log_normal(&mut random, n), rate).threshold.score;
                above += log_normal(&mut random, 200).iter().filter(|&&s| s > threshold).count();
                all += 200;
            }
            let found = above as f64 / f64::from(all);
            // Not above the stated rate (with the sampling error of this test), and not uselessly below it.
            assert!(found < 1.25 * rate && found > 0.2 * rate, "n = {n}: {found} where {rate} was stated");
        }
    }

    #[test]
    fn a_long_tail_raises_the_threshold_to_the_order_statistic() {
        let mut scores = vec![1.0; 30];
        scores.iter_mut().enumerate().for_each(|(i, s)| *s += 0.2 * (i % 7) as f64);
        scores.extend([3.4, 3.5]);
        let found = calibrated(&scores, 0.05);
        assert_eq!(found.threshold.score, 3.4, "one of 32 may lie above");
        assert_eq!(found.threshold.above, 1);
        assert!(found.threshold.basis.contains("order"), "{}", found.threshold.basis);
    }

    #[test]
    fn a_bad_part_among_the_good_ones_is_named_and_does_not_set_the_threshold() {
        let mut random = Random::new(3);
        let mut scores = log_normal(&mut random, 29);
        let clean = calibrated(&scores, 0.005).threshold.score;
        scores.push(40.0);
        let found = calibrated(&scores, 0.005);
        assert_eq!(found.far_out, [29]);
        assert!((found.threshold.score - clean).abs() < 1e-9 && found.threshold.above == 1);
    }

    #[test]
    fn parts_that_are_all_alike_do_not_make_a_threshold_of_zero() {
        let found = calibrate(&Evidence { scores: &[0.0; 10], pixel: 0.1, false_reject: 0.005, floor: Some(0.3) });
        assert_eq!((found.threshold.score, found.threshold.above), (0.3, 0));
        assert!(found.far_out.is_empty());
    }

    #[test]
    fn scores_that_are_not_positive_get_a_threshold_among_them() {
        let mut random = Random::new(6);
        let scores: Vec<f64> = (0..40).map(|_| -5.0 + random.normal()).collect();
        let found = calibrated(&scores, 0.01).threshold;
        assert!(found.score > -4.0 && found.score < -1.0 && found.basis == NORMAL, "{found:?}");
    }

    #[test]
    fn the_bound_is_that_of_clopper_and_pearson() {
        // 1 - 0.05^(1/n) where nothing was seen; scipy.stats.beta.ppf(0.95, 3, 48) for 2 of 50.
        for (hits, trials, expected) in [(0, 20, 0.139_108), (0, 59, 0.049_507), (2, 50, 0.120_611), (5, 5, 1.0)] {
            let found = upper_bound(hits, trials, 0.95);
            assert!((found - expected).abs() < 1e-4, "{hits} of {trials}: {found}");
        }
        assert_eq!(parts_to_prove(0.005), 598);
    }

    #[test]
    fn every_part_is_in_the_histogram() {
        let scores: Vec<f64> = (1..=40).map(f64::from).collect();
        let calibration = calibrated(&scores, 0.01).calibration;
        assert_eq!(calibration.counts.iter().sum::<u32>(), 40);
        assert_eq!(calibration.median(), Some(20.5));
    }
}
