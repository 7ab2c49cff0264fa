//! How long each stage took: histograms whose memory is taken at start.

use std::time::Duration;

use hdrhistogram::Histogram;

/// The longest time that is told apart, in microseconds; whatever is longer counts as this.
const LONGEST_US: u64 = 60_000_000;

/// Times of one stage.
pub struct Times(Histogram<u64>);

impl Default for Times {
    fn default() -> Self {
        Times::new()
    }
}

impl Times {
    /// Three significant figures from 1 us to a minute, in memory that is never extended.
    pub fn new() -> Times {
        // The bounds are constants that the library accepts; it can refuse only bounds that make no sense.
        Times(Histogram::new_with_bounds(1, LONGEST_US, 3).expect("constant bounds"))
    }

    /// Adds one time. Allocates nothing.
    pub fn add(&mut self, time: Duration) {
        self.0.saturating_record(time.as_micros().clamp(1, u128::from(LONGEST_US)) as u64);
    }

    /// Forgets every time; the memory stays.
    pub fn clear(&mut self) {
        self.0.reset();
    }

    /// How many times were added.
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// The mean in microseconds; 0 where none was added.
    pub fn mean_us(&self) -> f64 {
        self.0.mean()
    }

    /// The figures of a table row.
    pub fn summary(&self) -> Summary {
        Summary {
            p50_us: self.0.value_at_quantile(0.5),
            p90_us: self.0.value_at_quantile(0.9),
            p99_us: self.0.value_at_quantile(0.99),
            p999_us: self.0.value_at_quantile(0.999),
            max_us: self.0.max(),
        }
    }
}

/// Quantiles of a stage's times, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Summary {
    /// Half were at most this.
    pub p50_us: u64,
    /// 90 in 100 were at most this.
    pub p90_us: u64,
    /// 99 in 100 were at most this.
    pub p99_us: u64,
    /// 999 in 1000 were at most this.
    pub p999_us: u64,
    /// The longest.
    pub max_us: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_of_a_known_run() {
        let mut times = Times::new();
        for us in 1..=1000 {
            times.add(Duration::from_micros(us));
        }
        let summary = times.summary();
        assert_eq!((summary.p50_us, summary.p99_us, summary.max_us), (500, 990, 1000));
        assert_eq!(times.count(), 1000);
    }

    #[test]
    fn times_off_the_scale_are_kept_at_its_ends_without_growing() {
        let mut times = Times::new();
        times.add(Duration::ZERO);
        times.add(Duration::from_secs(3600));
        assert!(times.summary().max_us >= LONGEST_US);
        assert_eq!(times.count(), 2);
    }
}
