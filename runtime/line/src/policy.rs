//! The verdict policy: from a score and an anomaly map to a judgement.
//!
//! Rules are checked in the order in which they can say no: a missing score, the image threshold (with hysteresis), the
//! pixel-area rule, the limits of regions. The first that says no gives the reason; the part is good only where none does.
//! How many frames of a part must agree is the line's business ([`Quorum`](crate::line::Quorum)).

use heapless::Vec;

use crate::verdict::{EjectorId, Judgement, Score, Why};

/// Most regions with a limit of their own.
pub const MAX_REGIONS: usize = 16;

/// What is compared with what.
#[derive(Clone, PartialEq, Debug)]
pub struct Limits {
    /// An image score at or over this is a reject.
    pub threshold: f32,
    /// After a reject, the next part passes only at or under `threshold - hysteresis`, until one has; zero for none.
    pub hysteresis: f32,
    /// Scores from here up to the threshold are neither surely good nor surely bad and go to this ejector.
    pub rework: Option<Rework>,
    /// The pixel-area rule.
    pub area: Option<AreaLimit>,
    /// Regions with a limit of their own.
    pub regions: Vec<RegionLimit, MAX_REGIONS>,
}

/// Where parts go that are neither surely good nor surely bad.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Rework {
    /// Scores at or over this, and under the threshold.
    pub from: f32,
    /// Their ejector.
    pub ejector: EjectorId,
}

/// Reject when more than `pixels` pixels of the anomaly map are over `level`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct AreaLimit {
    /// How many may be.
    pub pixels: u32,
    /// Over what.
    pub level: f32,
}

/// Reject when any pixel of the region is over `level`. In pixels of the anomaly map; what lies outside of it counts as
/// nothing.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct RegionLimit {
    /// Left edge.
    pub x: u32,
    /// Top edge.
    pub y: u32,
    /// Width.
    pub width: u32,
    /// Height.
    pub height: u32,
    /// The limit.
    pub level: f32,
}

/// An anomaly map: `height` rows of `width` values.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct MapView<'a> {
    /// Row by row.
    pub values: &'a [f32],
    /// Values in a row.
    pub width: u32,
}

/// The policy of one recipe. Keeps only whether the last part was rejected, for the hysteresis.
#[derive(Clone, PartialEq, Debug)]
pub struct Policy {
    limits: Limits,
    after_reject: bool,
}

/// Why limits cannot be used.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum LimitsError {
    /// A limit is not a finite number: the field's name and the value.
    NotFinite(&'static str, f32),
    /// The hysteresis is negative: it would let parts pass over the threshold.
    NegativeHysteresis(f32),
    /// The rework band begins at or over the threshold: it is empty.
    EmptyBand {
        /// Where it begins.
        from: f32,
        /// The threshold.
        threshold: f32,
    },
}

impl core::fmt::Display for LimitsError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            LimitsError::NotFinite(field, value) => write!(f, "{field} = {value} is not a finite number"),
            LimitsError::NegativeHysteresis(value) => {
                write!(f, "hysteresis = {value} is negative\n  expected: zero or more")
            }
            LimitsError::EmptyBand { from, threshold } => {
                write!(
                    f,
                    "rework from {from} is not under the threshold {threshold}\n  expected: less than {threshold}"
                )
            }
        }
    }
}

impl core::error::Error for LimitsError {}

impl Limits {
    /// A threshold and nothing else.
    pub const fn threshold(threshold: f32) -> Limits {
        Limits { threshold, hysteresis: 0.0, rework: None, area: None, regions: Vec::new() }
    }

    fn check(&self) -> Result<(), LimitsError> {
        let fixed = [
            ("threshold", Some(self.threshold)),
            ("hysteresis", Some(self.hysteresis)),
            ("rework", self.rework.map(|rework| rework.from)),
            ("area level", self.area.map(|area| area.level)),
        ];
        let regions = self.regions.iter().map(|region| ("region level", Some(region.level)));
        for (field, value) in fixed.into_iter().chain(regions) {
            if let Some(value) = value
                && !value.is_finite()
            {
                return Err(LimitsError::NotFinite(field, value));
            }
        }
        if self.hysteresis < 0.0 {
            return Err(LimitsError::NegativeHysteresis(self.hysteresis));
        }
        match self.rework {
            Some(Rework { from, .. }) if from >= self.threshold => {
                Err(LimitsError::EmptyBand { from, threshold: self.threshold })
            }
            _ => Ok(()),
        }
    }
}

impl Policy {
    /// A policy of checked limits.
    ///
    /// # Errors
    /// The first limit that cannot be used.
    pub fn new(limits: Limits) -> Result<Policy, LimitsError> {
        limits.check()?;
        Ok(Policy { limits, after_reject: false })
    }

    /// The limits.
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Changes the threshold between two frames.
    ///
    /// # Errors
    /// Where it is not a finite number, or leaves the rework band empty; the old one stays.
    pub fn set_threshold(&mut self, threshold: f32) -> Result<(), LimitsError> {
        let before = core::mem::replace(&mut self.limits.threshold, threshold);
        self.limits.check().inspect_err(|_| self.limits.threshold = before)
    }

    /// Judges one frame. A missing map passes only where no rule asks for one.
    pub fn judge(&mut self, score: Score, map: Option<MapView<'_>>) -> (Judgement, Why) {
        let (judgement, why) = self.decide(score.0, map);
        self.after_reject = judgement == Judgement::Reject;
        (judgement, why)
    }

    fn decide(&self, score: f32, map: Option<MapView<'_>>) -> (Judgement, Why) {
        let limits = &self.limits;
        if score.is_nan() {
            return (Judgement::Reject, Why::NoScore);
        }
        let held = self.after_reject && limits.hysteresis > 0.0 && score > limits.threshold - limits.hysteresis;
        if score >= limits.threshold || held {
            return (Judgement::Reject, Why::Score);
        }
        match (map, limits.area.is_some() || !limits.regions.is_empty()) {
            (None, true) => return (Judgement::Reject, Why::NoScore),
            (Some(map), true) => {
                if let Some(why) = self.check_map(map) {
                    return (Judgement::Reject, why);
                }
            }
            _ => {}
        }
        match limits.rework {
            Some(rework) if score >= rework.from => (Judgement::Divert(rework.ejector), Why::Band),
            _ => (Judgement::Pass, Why::Good),
        }
    }

    fn check_map(&self, map: MapView<'_>) -> Option<Why> {
        if let Some(area) = self.limits.area {
            let over = map.values.iter().filter(|value| is_over(**value, area.level)).count();
            if over > area.pixels as usize {
                return Some(Why::Pixels);
            }
        }
        let over = |region: &RegionLimit| map.any_over(region);
        self.limits.regions.iter().any(over).then_some(Why::Region)
    }
}

impl MapView<'_> {
    fn any_over(&self, region: &RegionLimit) -> bool {
        let width = (self.width as usize).max(1);
        let rows = self.values.chunks(width).skip(region.y as usize).take(region.height as usize);
        rows.flat_map(|row| row.iter().skip(region.x as usize).take(region.width as usize))
            .any(|value| is_over(*value, region.level))
    }
}

/// A value that is not a number counts as over the limit.
fn is_over(value: f32, level: f32) -> bool {
    value > level || value.is_nan()
}

#[cfg(test)]
mod tests;
