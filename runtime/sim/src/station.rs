//! A station's own line, as its configuration has it: the simulation then runs exactly that, instead of one of its own.

use jidoka_line::encoder::EncoderLimits;
use jidoka_line::policy::Limits;
use jidoka_line::sensor::SensorLimits;
use jidoka_line::{LineConfig, MAX_EJECTORS, Recipe, RejectPlacing, RejectTiming, Span};

use crate::config::{SimConfig, Trigger};
use crate::fault::Fault;

/// How one ejector is placed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Placed {
    /// On a line that tracks by time.
    Time(RejectTiming),
    /// On a line that tracks by encoder.
    Distance(RejectPlacing),
}

/// One product of the station.
#[derive(Clone, Debug)]
pub struct Product {
    /// What the line knows of it.
    pub recipe: Recipe,
    /// Where its ejectors are; the first is the reject ejector.
    pub ejectors: [Option<Placed>; MAX_EJECTORS],
    /// Its verdict policy; threshold, hysteresis and the rework band as they are, of the area rule and the regions the levels.
    pub limits: Limits,
}

/// A station's own line.
#[derive(Clone, Debug)]
pub struct Station {
    /// As the product starts it; its recipe is that of the first product.
    pub line: LineConfig,
    /// At least one; its recipes are numbered from 1.
    pub products: Vec<Product>,
    /// How the part sensor's edges become parts.
    pub sensor: SensorLimits,
    /// The belt's encoder, where one tracks the parts.
    pub encoder: Option<EncoderLimits>,
    /// Triggered by encoder: a part every so many micrometres.
    pub every_um: u64,
    /// From the trigger to the exposure, in axis units.
    pub exposed_after: u64,
    /// From there to the driver's timestamp of the frame.
    pub stamped_after: Span,
}

/// Where a part is in front of an ejector and how that acts, in axis units but for the last two, which are microseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reach {
    pub(crate) delay: u64,
    pub(crate) pulse: u64,
    pub(crate) length: u64,
    pub(crate) drift: u64,
    pub(crate) lag_us: u64,
    pub(crate) tolerance_us: u64,
}

impl From<&RejectTiming> for Reach {
    fn from(timing: &RejectTiming) -> Reach {
        Reach {
            delay: timing.delay.as_micros(),
            pulse: timing.pulse.as_micros(),
            length: timing.length.as_micros(),
            drift: timing.drift().as_micros(),
            lag_us: timing.lag.as_micros(),
            tolerance_us: timing.tolerance.as_micros(),
        }
    }
}

impl From<&RejectPlacing> for Reach {
    fn from(placing: &RejectPlacing) -> Reach {
        Reach {
            delay: placing.delay_um,
            pulse: placing.pulse_um,
            length: placing.length_um,
            // The encoder's slip is the belt's.
            drift: 0,
            lag_us: placing.lag.as_micros(),
            tolerance_us: placing.tolerance.as_micros(),
        }
    }
}

impl Placed {
    fn reach(&self) -> Reach {
        match self {
            Placed::Time(timing) => timing.into(),
            Placed::Distance(placing) => placing.into(),
        }
    }

    /// As times; distances as the belt covers them at its fastest.
    fn timing(&self) -> RejectTiming {
        let placing = match self {
            Placed::Time(timing) => return *timing,
            Placed::Distance(placing) => placing,
        };
        let span = |um: u64| {
            let us = u128::from(um) * 1_000_000 / u128::from(placing.fastest_um_per_s.max(1));
            Span::from_micros(u64::try_from(us).unwrap_or(u64::MAX))
        };
        RejectTiming {
            least_pulse: span(placing.least_pulse_um),
            lag: placing.lag,
            tolerance: placing.tolerance,
            length: span(placing.length_um),
            verdict_within: placing.verdict_within,
            confirm_within: placing.confirm_within,
            ..RejectTiming::new(span(placing.delay_um), span(placing.pulse_um), span(placing.pitch_um))
        }
    }
}

impl SimConfig {
    /// A station's own line, with every fault that it can meet. Inference takes half of the time that there is for it.
    pub fn of_station(trigger: Trigger, station: Station) -> SimConfig {
        let first = station.products.first().and_then(|product| product.ejectors[0]);
        let timing = first.map_or(SimConfig::example().timing, |placed| placed.timing());
        let frames = u64::from(station.line.quorum.frames.max(1));
        let within = Some(timing.verdict_within).filter(|within| *within > Span::ZERO).unwrap_or(timing.delay);
        let room_us = (timing.pitch.as_micros() / frames).min(within.as_micros() / frames);
        SimConfig {
            timing,
            trigger,
            wiring: station.line.wiring,
            quorum: station.line.quorum,
            limits: station.line.limits,
            inference: Span::from_micros(room_us / 2),
            station: Some(Box::new(station)),
            ..SimConfig::example()
        }
    }

    /// Where a part of a recipe is in front of an ejector.
    pub(crate) fn reach(&self, recipe: u16, ejector: usize) -> Option<Reach> {
        match &self.station {
            Some(station) => {
                let product = station.products.get(usize::from(recipe.max(1)) - 1)?;
                product.ejectors.get(ejector).copied().flatten().map(|placed| placed.reach())
            }
            None if ejector > 0 => None,
            None if self.by_distance() => Some((&self.placing()).into()),
            None => Some((&self.timing).into()),
        }
    }

    /// How many recipes there are.
    pub(crate) fn recipes(&self) -> u16 {
        self.station.as_ref().map_or(2, |station| station.products.len() as u16)
    }

    /// Whether parts are tracked by encoder.
    pub(crate) fn by_distance(&self) -> bool {
        match &self.station {
            Some(station) => station.encoder.is_some() && station.line.recipe.axis() == jidoka_line::Axis::Distance,
            None => self.trigger == Trigger::Encoder,
        }
    }

    /// The faults that are left out, each with the reason why this line cannot meet it.
    pub fn left_out(&self) -> Vec<(Fault, &'static str)> {
        self.faults.iter().filter_map(|fault| Some((*fault, self.unmet(*fault)?))).collect()
    }

    /// Why a fault cannot happen here, or cannot be met; `None` where it can.
    pub(crate) fn unmet(&self, fault: Fault) -> Option<&'static str> {
        let sensor = self.trigger == Trigger::Sensor;
        let reason = match fault {
            Fault::SensorBounce | Fault::DoublePart | Fault::TouchingParts | Fault::SplitPart if !sensor => {
                "no part sensor"
            }
            // There the loop thread numbers the parts and tells the line of them.
            Fault::DuplicateTrigger if !self.trigger.is_frame() => "the trigger is not the camera",
            Fault::EncoderSlip | Fault::EncoderReversal if !self.by_distance() => "no encoder tracks the parts",
            Fault::SecondLook if self.quorum().frames > 1 || self.trigger.is_frame() => "one look a frame",
            Fault::EjectorStuck if self.confirm_within().is_none() => "[inputs] confirm is not wired",
            Fault::RecipeChange if self.recipes() < 2 => "one recipe",
            _ => return self.station.as_ref().and_then(|station| self.unmet_at(station, fault)),
        };
        Some(reason)
    }

    /// The same, for what depends on a station's own keys.
    fn unmet_at(&self, station: &Station, fault: Fault) -> Option<&'static str> {
        let (sensor, length) = (&station.sensor, self.part_length_us());
        let longest = sensor.longest.map(|longest| match sensor.axis {
            jidoka_line::Axis::Time => longest as u64,
            jidoka_line::Axis::Distance => self.micros_of(longest as u64),
        });
        let wrong_stamps_show = station.line.matching.arrives_within.as_micros() <= self.pitch_us() * 3 / 4;
        match fault {
            Fault::TimestampStep | Fault::ClockStep if !wrong_stamps_show => {
                Some("[trigger] arrives_within_ms is not set, or longer than 3/4 of the pitch")
            }
            Fault::SilentDrop | Fault::Unplug if self.trigger.is_frame() => Some(
                "a frame that nobody counts is a part that nobody knows of: let the PLC feed only while ready is on",
            ),
            Fault::SensorBounce if sensor.debounce < Span::from_micros(500) => {
                Some("[trigger] debounce_ms is shorter than the bounces (0.5 ms)")
            }
            Fault::SplitPart if self.by_distance() => Some("how long a hole is seen depends on the belt"),
            Fault::SplitPart if sensor.hold_off.as_micros() < length * 3 / 8 => {
                Some("[trigger] hold_off_ms is shorter than the holes (3/8 of a part)")
            }
            Fault::TouchingParts if longest.is_none_or(|longest| longest < length || longest >= 2 * length) => {
                Some("[trigger] longest_ms (or longest_mm) does not tell one part from two that touch")
            }
            Fault::DoublePart if self.by_distance() => Some("the encoder's least_pitch_mm is checked instead"),
            _ => None,
        }
    }

    /// How long the belt takes for so many micrometres at its fastest.
    pub(crate) fn micros_of(&self, um: u64) -> u64 {
        let us = u128::from(um) * 1_000_000 / u128::from(self.fastest_um_per_s());
        u64::try_from(us).unwrap_or(u64::MAX)
    }
}
