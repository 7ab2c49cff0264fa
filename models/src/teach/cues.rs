//! How far low-level cues go in good parts, and from where on they count.

use statrs::distribution::{ContinuousCDF, StudentsT};

use crate::graph::{CUES, Cues};

/// Share of good parts in which a cue may go beyond its limit, a little.
const BEYOND: f64 = 0.025;
/// What one standard deviation beyond the limit adds, as a share of the score that good parts have: about a standard deviation
/// of that score.
const WEIGHT: f64 = 0.1;
/// Least standard deviation of a cue from part to part, on the scale from 0 to 1: two grey levels.
const LEAST_SD: f64 = 2.0 / 255.0;

/// The greatest statistics of each part.
#[derive(Clone, Debug, Default)]
pub(super) struct Peaks {
    parts: Vec<(usize, [f32; CUES])>,
}

impl Peaks {
    /// Adds a part's statistics, `[CUES,h,w]`.
    pub fn add(&mut self, fold: usize, statistics: &[f32]) {
        let mut peaks = [f32::NEG_INFINITY; CUES];
        let cells = (statistics.len() / CUES).max(1);
        for (peak, plane) in peaks.iter_mut().zip(statistics.chunks_exact(cells)) {
            *peak = plane.iter().fold(*peak, |m, &v| m.max(v));
        }
        self.parts.push((fold, peaks));
    }

    /// The cues for a head in which good parts score about `level`, from all folds or all but one.
    pub fn cues(&self, without: Option<usize>, level: f64) -> Cues {
        let parts: Vec<&[f32; CUES]> = self.parts.iter().filter(|p| Some(p.0) != without).map(|p| &p.1).collect();
        let n = parts.len().max(2) as f64;
        // The prediction limit for one more part, as for the threshold.
        let student = StudentsT::new(0.0, 1.0, n - 1.0).map_or(f64::INFINITY, |t| t.inverse_cdf(1.0 - BEYOND));
        let reach = student * (1.0 + 1.0 / n).sqrt();
        let mut cues = Cues { limit: [0.0; CUES], gain: [0.0; CUES] };
        for i in 0..CUES {
            let mean = parts.iter().map(|p| f64::from(p[i])).sum::<f64>() / n;
            let variance = parts.iter().map(|p| (f64::from(p[i]) - mean).powi(2)).sum::<f64>() / (n - 1.0);
            let sd = variance.sqrt().max(LEAST_SD);
            cues.limit[i] = (mean + reach * sd) as f32;
            cues.gain[i] = (WEIGHT * level / sd) as f32;
        }
        cues
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    #[test]
    fn few_good_parts_go_beyond_the_limits() {
        let mut random = Random::new(11);
        let mut part = |mean: f64| -> Vec<f32> { (0..CUES).map(|_| (mean + 0.05 * random.normal()) as f32).collect() };
        let mut peaks = Peaks::default();
        (0..30).for_each(|i| peaks.add(i % 5, &part(0.5)));
        // A fold of other parts, which must not count where it is left out.
        (0..10).for_each(|_| peaks.add(9, &part(0.9)));
        let cues = peaks.cues(Some(9), 2.0);
        let beyond = (0..200).filter(|_| part(0.5).iter().zip(&cues.limit).any(|(v, l)| v > l)).count();
        assert!(beyond < 80, "{beyond} of 200 parts, eight cues each");
        assert!((0..50).all(|_| part(0.9).iter().zip(&cues.limit).all(|(v, l)| v > l)));
        assert!(cues.gain.iter().all(|g| (2.0..8.0).contains(g)), "{:?}", cues.gain);
    }
}
