//! From a station's configuration to the line that is simulated: what `run` would start, without its devices.

use jidoka_line::policy::{AreaLimit, Limits, Policy, RegionLimit, Rework};
use jidoka_line::{RecipeId, Wiring};
use jidoka_sim::{Placed, Product, SimConfig, Station, Trigger};

use crate::config::{Config, Limit, RecipeChoice, Source, Sums};
use crate::error::Error;
use crate::station::{field, open};

/// The line of this configuration.
pub fn of(config: &Config) -> Result<SimConfig, Error> {
    if config.outputs.wiring == Wiring::EnergiseToPass && config.recipes.iter().any(|recipe| recipe.reject.confirm) {
        let what = "a gate whose parts are confirmed is not simulated";
        let way = "no [reject] confirm_within_ms, or wiring = \"energise-to-reject\"";
        return Err(Error::Usage(format!("{}: {what}\n  expected: {way}", config.file)));
    }
    let products = (1..).zip(&config.recipes).map(|(number, choice)| product(config, choice, RecipeId(number)));
    let products = products.collect::<Result<Vec<Product>, Error>>()?;
    let trigger = &config.trigger;
    let lead = trigger.strobe.map_or(jidoka_line::Span::ZERO, |strobe| strobe.lead);
    let by_time = config.reject.slot.axis() == jidoka_line::Axis::Time;
    let station = Station {
        line: open::line_of(config, products[0].recipe),
        sensor: field::sensing(config),
        encoder: config.encoder,
        every_um: trigger.every_um,
        // The light comes first, and with it the delay ends; a belt's delay ends at a place.
        exposed_after: trigger.delay.unsigned_abs() + if by_time { lead.as_micros() } else { 0 },
        stamped_after: trigger.frame_offset + if by_time { jidoka_line::Span::ZERO } else { lead },
        products,
    };
    let trigger = match trigger.source {
        Source::Frames => Trigger::FreeRun,
        Source::Camera => Trigger::Camera,
        Source::Sensor => Trigger::Sensor,
        Source::Encoder => Trigger::Encoder,
        Source::Software => Trigger::Software,
    };
    Ok(SimConfig::of_station(trigger, station))
}

fn product(config: &Config, choice: &RecipeChoice, id: RecipeId) -> Result<Product, Error> {
    let placed = |sums: &Sums| match sums {
        Sums::Time(timing) => Placed::Time(*timing),
        Sums::Distance(placing) => Placed::Distance(*placing),
    };
    let [first, second] = choice.others.each_ref().map(|other| other.as_ref().map(|other| placed(&other.sums)));
    let limits = limits(choice);
    Policy::new(limits.clone())
        .map_err(|error| Error::Usage(format!("{}: recipe {}: {error}", config.file, choice.name)))?;
    Ok(Product {
        recipe: open::line_recipe(config, choice, id)?,
        ejectors: [Some(placed(&choice.reject.sums)), first, second],
        limits,
    })
}

/// The recipe's rules. A threshold that only the model knows is taken to lie where there is room for the others.
fn limits(choice: &RecipeChoice) -> Limits {
    let rules = &choice.policy;
    let threshold = match choice.model.limit {
        Limit::Score(score) => score,
        Limit::Own | Limit::Sensitivity(_) => rules.rework_from.map_or(0.5, |from| from + from.abs().max(0.5) * 0.2),
    };
    let mut limits = Limits::threshold(threshold);
    limits.hysteresis = rules.hysteresis;
    limits.rework = rules.rework_from.map(|from| Rework { from, ejector: rules.rework_to });
    limits.area = rules.area_pixels.zip(rules.area_level).map(|(pixels, level)| AreaLimit { pixels, level });
    for row in &rules.regions {
        // Where a region lies on the map is the model's business; it has one level here as there.
        let region = RegionLimit { x: 0, y: 0, width: 1, height: 1, level: row[4] as f32 };
        // The configuration has refused more than fit.
        let _ = limits.regions.push(region);
    }
    limits
}
