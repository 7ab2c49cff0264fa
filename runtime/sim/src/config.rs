//! What is simulated: the line, its timing, how it is triggered, and which faults happen how often.

use jidoka_line::part::Axis;
use jidoka_line::sensor::SensorLimits;
use jidoka_line::{
    Deadlines, LineConfig, Matching, Quorum, Recipe, RecipeId, RejectLimits, RejectPlacing, RejectTiming, Slot, Span,
    TimingErrors, Wiring,
};

use crate::fault::Fault;
use crate::station::{Placed, Station};

/// How parts become known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trigger {
    /// Every frame of a free-running camera is a part.
    FreeRun,
    /// A sensor at the camera.
    Sensor,
    /// The belt's encoder, at a fixed distance; parts are tracked by it too.
    Encoder,
    /// Every frame of a camera that the machine triggers: when a lost one was taken nobody knows.
    Camera,
    /// A command of the machine's.
    Software,
}

impl Trigger {
    /// Whether every frame is a part.
    pub(crate) const fn is_frame(self) -> bool {
        matches!(self, Trigger::FreeRun | Trigger::Camera)
    }

    /// Whether a part is known by an edge at the camera, that of a sensor or of a command.
    pub(crate) const fn is_edge(self) -> bool {
        matches!(self, Trigger::Sensor | Trigger::Software)
    }
}

/// How fast the simulated belt runs at most, where the station does not say; distances are those of the timing at this speed.
const FASTEST_UM_PER_S: u64 = 500_000;

/// A line to simulate.
#[derive(Clone, Debug)]
pub struct SimConfig {
    /// The ejector's timing, as the product checks it.
    pub timing: RejectTiming,
    /// How parts become known.
    pub trigger: Trigger,
    /// How the ejector is wired.
    pub wiring: Wiring,
    /// Frames that decide about a part.
    pub quorum: Quorum,
    /// When counts of rejects raise an alarm.
    pub limits: RejectLimits,
    /// The usual time from a frame to its verdict.
    pub inference: Span,
    /// How many thousandths of the parts are bad.
    pub bad_permille: u32,
    /// How many parts in a thousand meet a fault.
    pub fault_permille: u32,
    /// Which faults happen; one that the line cannot meet (an ejector that sticks, without a confirmation input) is left out.
    pub faults: Vec<Fault>,
    /// For how long a verdict is believed; `None`: for three quarters of the way to the ejector, so that stale ones come in time
    /// to do harm.
    pub stale_after: Option<Span>,
    /// Deadlines of the stages; `None`: such as suit the timing.
    pub deadlines: Option<Deadlines>,
    /// How many parts a shift has at most; each shift begins with an empty belt and ends by a stop, a crash or by running out.
    pub shift_parts: u32,
    /// A station's own line; `None`: one that suits the timing.
    pub station: Option<Box<Station>>,
}

impl SimConfig {
    /// Ten parts a second past a sensor, half a second to the ejector, every fault that such a line can meet.
    pub fn example() -> SimConfig {
        let ms = Span::from_millis;
        SimConfig {
            timing: RejectTiming {
                lag: ms(8),
                tolerance: ms(4),
                least_pulse: ms(12),
                speed_tolerance_permille: 10,
                length: ms(30),
                verdict_within: ms(80),
                confirm_within: Some(ms(35)),
                ..RejectTiming::new(ms(500), ms(40), ms(80))
            },
            trigger: Trigger::Sensor,
            wiring: Wiring::EnergiseToReject,
            quorum: Quorum::default(),
            limits: RejectLimits { consecutive: 8, rate: None },
            inference: ms(20),
            bad_permille: 50,
            fault_permille: 20,
            faults: Fault::ALL.to_vec(),
            stale_after: None,
            deadlines: None,
            shift_parts: 6_000,
            station: None,
        }
    }

    /// The example without faults: nothing may go wrong then, not even a false reject.
    pub fn faultless() -> SimConfig {
        SimConfig { fault_permille: 0, ..SimConfig::example() }
    }

    /// Does the product's arithmetic.
    ///
    /// # Errors
    /// Everything that is wrong with the timing.
    pub fn check(&self) -> Result<Slot, Box<TimingErrors>> {
        match self.by_distance() {
            true => self.placing().check(),
            false => RejectTiming { confirm_within: self.confirm_within(), ..self.timing }.check(),
        }
        .map_err(Box::new)
    }

    /// The confirmation input is simulated for an ejector, not for a gate.
    pub(crate) fn confirm_within(&self) -> Option<Span> {
        self.timing.confirm_within.filter(|_| self.wiring == Wiring::EnergiseToReject)
    }

    pub(crate) fn fastest_um_per_s(&self) -> u64 {
        let encoder = self.station.as_ref().and_then(|station| station.encoder);
        encoder.map_or(FASTEST_UM_PER_S, |encoder| encoder.fastest_um_per_s.max(1))
    }

    /// The timing as distances: the station's own, or what the belt covers at its fastest.
    pub(crate) fn placing(&self) -> RejectPlacing {
        let own = self.station.as_ref().and_then(|station| station.products.first()?.ejectors[0]);
        if let Some(Placed::Distance(placing)) = own {
            return placing;
        }
        let timing = &self.timing;
        let um = |span: Span| span.as_micros() * FASTEST_UM_PER_S / 1_000_000;
        RejectPlacing {
            delay_um: um(timing.delay),
            pulse_um: um(timing.pulse),
            least_pulse_um: um(timing.least_pulse),
            lag: timing.lag,
            tolerance: timing.tolerance,
            fastest_um_per_s: FASTEST_UM_PER_S,
            slip_um: um(timing.drift()),
            pitch_um: um(timing.pitch),
            length_um: um(timing.length),
            verdict_within: timing.verdict_within,
            confirm_within: self.confirm_within(),
        }
    }

    /// Every frame of a free-running camera is a part of its own.
    pub(crate) fn quorum(&self) -> Quorum {
        if self.trigger.is_frame() { Quorum::default() } else { self.quorum }
    }

    pub(crate) fn pitch_us(&self) -> u64 {
        self.timing.pitch.as_micros()
    }

    pub(crate) fn stale_after(&self) -> Span {
        let own = self.station.as_ref().map(|station| station.line.stale_after);
        self.stale_after.or(own).unwrap_or(Span::from_micros(self.timing.delay.as_micros() * 3 / 4))
    }

    /// From the trigger to the timestamp of frame `index` of a part; on a station that is tracked by encoder, from the moment at
    /// which the part is before the camera.
    pub(crate) fn exposure_us(&self, index: u8) -> u64 {
        if self.trigger.is_frame() {
            return 0;
        }
        let Some(station) = &self.station else { return 5_000 + 4_000 * u64::from(index) };
        let exposed_us = if self.by_distance() { 0 } else { station.exposed_after };
        // All frames of a part within what is believed of their times.
        let room_us = station.line.matching.tolerance.as_micros() / 2;
        let step_us = room_us / u64::from(self.quorum().frames.max(2) - 1);
        exposed_us + station.stamped_after.as_micros() + step_us * u64::from(index)
    }

    /// By how much the moment of an exposure varies.
    pub(crate) fn exposure_jitter_us(&self) -> u64 {
        let own = self.station.as_ref().map(|station| station.line.matching.tolerance.as_micros() / 4);
        own.unwrap_or(300).min(300)
    }

    pub(crate) fn recipe(&self, number: u16, slot: Slot) -> Recipe {
        let own = self.station.as_ref().and_then(|station| station.products.get(usize::from(number.max(1)) - 1));
        own.map_or(Recipe::new(RecipeId(number), slot), |product| product.recipe)
    }

    pub(crate) fn line(&self, slot: Slot) -> LineConfig {
        if let Some(station) = &self.station {
            return station.line.clone();
        }
        let free_running = self.trigger == Trigger::FreeRun;
        let last = self.quorum().frames.max(1) - 1;
        let middle = (self.exposure_us(0) + self.exposure_us(last)) / 2;
        let spread = self.exposure_us(last) - self.exposure_us(0);
        LineConfig {
            wiring: self.wiring,
            quorum: self.quorum(),
            stale_after: self.stale_after(),
            matching: Matching {
                offset: Span::from_micros(middle),
                tolerance: Span::from_micros(spread / 2 + 2_000),
                check_sequence: self.quorum().frames == 1,
                arrives_within: Span::from_millis(30).min(Span::from_micros(self.pitch_us() / 2)),
            },
            limits: self.limits,
            deadlines: self.deadlines(),
            free_running,
            longest_on: (self.trigger == Trigger::Encoder).then(|| Span::from_millis(300)),
            ..LineConfig::new(self.recipe(1, slot))
        }
    }

    pub(crate) fn deadlines(&self) -> Deadlines {
        let own = self.station.as_ref().map(|station| station.line.deadlines);
        self.deadlines.or(own).unwrap_or(Deadlines {
            frame: Span::from_micros(6 * self.pitch_us()),
            silence: Span::MAX,
            inference: self.inference * 12,
            actuation: Span::from_millis(30),
            backoff: Span::from_millis(200),
            backoff_most: Span::from_millis(5_000),
        })
    }

    pub(crate) fn sensor(&self) -> SensorLimits {
        if let Some(station) = &self.station {
            let debounce = if self.trigger == Trigger::Software { Span::ZERO } else { station.sensor.debounce };
            return SensorLimits { debounce, ..station.sensor };
        }
        let length = self.part_length_us();
        SensorLimits {
            debounce: Span::from_micros(500),
            hold_off: Span::from_micros(length / 2),
            longest: Some((length + length / 4) as i64),
            axis: Axis::Time,
        }
    }

    /// How long a part keeps the sensor active: its length where given, otherwise a third of the pitch; in any case long enough
    /// for the sensor's debounce.
    pub(crate) fn part_length_us(&self) -> u64 {
        let own = self.station.as_ref().map_or(0, |station| 3 * station.sensor.debounce.as_micros());
        match self.timing.length.as_micros() {
            0 => (self.pitch_us() / 3).min(self.timing.pulse.as_micros()).max(own),
            length => length.max(own),
        }
    }

    /// The least from the beginning of a part to that of another that the sensor tells from it.
    pub(crate) fn nearest_us(&self) -> u64 {
        let sensor = self.sensor();
        let debounce = sensor.debounce.as_micros();
        (self.part_length_us() + 3 * debounce).max(sensor.hold_off.as_micros() + 2 * debounce)
    }
}
