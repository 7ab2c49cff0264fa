//! What inference says of a part, and the product's own policy on it.

use jidoka_line::policy::{AreaLimit, Limits, MapView, Policy, RegionLimit};
use jidoka_line::{Judgement, Score, Why};

use crate::config::SimConfig;
use crate::rng::Rng;

/// What a part truly is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Nature {
    /// Nothing is wrong with it.
    Good,
    /// Neither surely good nor surely bad: it belongs to the rework ejector.
    Doubtful,
    /// It has a defect.
    Bad,
}

/// How many thousandths of the parts that are not bad are doubtful, where there is an ejector for them.
const DOUBTFUL_PERMILLE: u32 = 20;
/// Most pixels of the simulated anomaly map over a level; a real map has more, and the rule counts them the same way.
const MOST_PIXELS: u32 = 64;

/// The policy of one recipe, and the scores and maps that it is shown.
pub(crate) struct Judging {
    policy: Policy,
    good: f32,
    doubtful: Option<f32>,
    bad: f32,
    good_map: Vec<f32>,
    bad_map: Vec<f32>,
}

impl Judging {
    /// One a recipe.
    pub(crate) fn of_all(config: &SimConfig) -> Vec<Judging> {
        match &config.station {
            Some(station) => station.products.iter().map(|product| Judging::of(&product.limits)).collect(),
            None => (0..config.recipes()).map(|_| Judging::of(&Limits::threshold(0.5))).collect(),
        }
    }

    fn of(limits: &Limits) -> Judging {
        let mut limits = limits.clone();
        // The map is as small as the rules allow: so many pixels for the area rule, and one for each region.
        limits.area = limits.area.map(|area| AreaLimit { pixels: area.pixels.min(MOST_PIXELS), ..area });
        let (area_level, over) = limits.area.map_or((0.0, 0), |area| (area.level, area.pixels as usize + 1));
        let levels = limits.regions.iter().map(|region| region.level);
        let quiet = levels.chain(limits.area.map(|area| area.level)).fold(0.0, f32::min) - 1.0;
        for (index, region) in limits.regions.iter_mut().enumerate() {
            *region = RegionLimit { x: (over + index) as u32, y: 0, width: 1, height: 1, level: region.level };
        }
        let pixels = over + limits.regions.len();
        let good_map = vec![quiet; pixels];
        let mut bad_map = good_map.clone();
        bad_map[..over].fill(area_level + 1.0);
        for (pixel, region) in bad_map[over..].iter_mut().zip(&limits.regions) {
            *pixel = region.level + 1.0;
        }
        let (threshold, rework) = (limits.threshold, limits.rework.map(|rework| rework.from));
        let step = threshold.abs().max(0.5) * 0.8;
        Judging {
            good: rework.unwrap_or(threshold).min(threshold - limits.hysteresis) - step,
            doubtful: rework.map(|from| (from + threshold) / 2.0),
            bad: threshold + step,
            good_map,
            bad_map,
            policy: Policy::new(limits).unwrap_or_else(|error| panic!("limits that no station can have: {error}")),
        }
    }

    /// What a part is that is not bad.
    pub(crate) fn nature_of_good(&self, rng: &mut Rng) -> Nature {
        let doubtful = self.doubtful.is_some() && rng.chance(DOUBTFUL_PERMILLE);
        if doubtful { Nature::Doubtful } else { Nature::Good }
    }

    /// What the policy says of a frame in which this is seen. Where it has rules on the map, every other bad part shows there
    /// alone.
    pub(crate) fn judge(&mut self, seen: Nature, ordinal: u64) -> (Judgement, Why, Score) {
        let on_map = !self.good_map.is_empty();
        let hidden = on_map && ordinal % 2 == 1 && seen == Nature::Bad;
        let score = match seen {
            Nature::Bad if !hidden => self.bad,
            Nature::Doubtful => self.doubtful.unwrap_or(self.good),
            _ => self.good,
        };
        let values = if seen == Nature::Bad { &self.bad_map } else { &self.good_map };
        let map = on_map.then_some(MapView { values, width: values.len() as u32 });
        let (judgement, why) = self.policy.judge(Score(score), map);
        (judgement, why, Score(score))
    }
}
