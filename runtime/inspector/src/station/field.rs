//! The machine's side of the wires: part sensor, belt encoder, confirmation, acknowledge and recipe select lines.
//!
//! Owned by the actuator thread, which sleeps on these lines beside its own deadlines. Times are the kernel's, of the edge; the
//! rules (debounce, merged parts, slip) are the line core's. Nothing here allocates after start.

mod belt;
mod select;

use embedded_hal::digital::OutputPin;
use jidoka_line::alarm::Alarm;
use jidoka_line::encoder::DistanceTrigger;
use jidoka_line::sensor::{self, Sensed, Sensor, SensorLimits};
use jidoka_line::{Axis, Line, Micrometres, Micros, Part, PartId, Span};
use jidoka_pins::{Edge, EdgeEvent, EdgeInput, Edges, Gpio, InputSpec};

use crate::config::{Config, Source};
use crate::error::Error;
pub use belt::Belt;
pub use select::Select;

/// Most edges taken in one turn, so that a line that oscillates does not keep the actuator from its deadlines.
const EDGES_A_TURN: usize = 256;

/// What a line means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Sensor,
    EncoderA,
    EncoderB,
    Confirm,
    Acknowledge,
    /// This bit of the recipe's number.
    Select(u8),
}

/// What was seen on the inputs, for the account at the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FieldCounts {
    /// Edges in all.
    pub edges: u64,
    /// Edges that the kernel had no room for.
    pub lost: u64,
    /// Sensor levels too short to count.
    pub bounces: u64,
    /// Sensor edges that belonged to the part before.
    pub held_off: u64,
    /// Encoder steps that no belt can make.
    pub illegal: u64,
}

/// All inputs of a station, and what makes parts of them.
pub struct Field {
    edges: Option<EdgeInput>,
    roles: Vec<Role>,
    sensor: Option<Sensor>,
    belt: Option<Belt>,
    every: Option<DistanceTrigger>,
    confirm: Option<Sensor>,
    acknowledge: Option<Sensor>,
    select: Option<Select>,
    /// The number of the next part that a command triggers.
    next: PartId,
    /// An orderly end: parts in flight are still confirmed, no new ones are triggered.
    closed: bool,
    counts: FieldCounts,
}

/// The inputs cannot be read any more.
#[derive(Debug)]
pub struct Broken(pub jidoka_pins::PinError);

impl Field {
    /// A station without inputs.
    pub fn none() -> Field {
        Field {
            edges: None,
            roles: vec![],
            sensor: None,
            belt: None,
            every: None,
            confirm: None,
            acknowledge: None,
            select: None,
            next: PartId(1),
            closed: false,
            counts: FieldCounts::default(),
        }
    }

    /// Requests every input that `config` names.
    pub fn open(config: &Config, gpio: &Gpio) -> Result<Field, Error> {
        let inputs = &config.inputs;
        let mut roles = vec![];
        for wire in &inputs.wires {
            roles.push(match wire.name {
                "sensor" => Role::Sensor,
                "encoder_a" => Role::EncoderA,
                "encoder_b" => Role::EncoderB,
                "confirm" => Role::Confirm,
                _ => Role::Acknowledge,
            });
        }
        roles.extend((0..inputs.select.len()).map(|bit| Role::Select(bit as u8)));
        let specs = inputs.lines().map(|wire| InputSpec {
            active_low: wire.active_low,
            bias: inputs.bias,
            ..InputSpec::new(&wire.address)
        });
        let specs: Vec<InputSpec> = specs.collect();
        let edges = if specs.is_empty() { None } else { Some(gpio.edges(&specs, Edges::Both)?) };
        let active = |role| {
            let index = roles.iter().position(|known| *known == role)?;
            edges.as_ref()?.is_active(index).ok()
        };
        let trigger = &config.trigger;
        let button = |name| inputs.has(name).then(|| Sensor::new(button(inputs.debounce), PartId(1)));
        let belt = config.encoder.map(|limits| Belt::new(limits, active(Role::EncoderA), active(Role::EncoderB)));
        let levels = (0..inputs.select.len()).map(|bit| active(Role::Select(bit as u8)).unwrap_or(false));
        let select = (!inputs.select.is_empty()).then(|| Select::new(&config.recipes, inputs.debounce, levels));
        Ok(Field {
            sensor: (trigger.source == Source::Sensor).then(|| Sensor::new(sensing(config), PartId(1))),
            every: (trigger.source == Source::Encoder)
                .then(|| DistanceTrigger::new(trigger.every_um, Micrometres(trigger.every_um as i64), PartId(1))),
            confirm: button("confirm"),
            acknowledge: button("acknowledge"),
            select,
            belt,
            edges,
            roles,
            ..Field::none()
        })
    }

    /// What to sleep on.
    pub fn descriptors(&self) -> impl Iterator<Item = (std::os::fd::BorrowedFd<'_>, jidoka_pins::PollFlags)> {
        self.edges.iter().flat_map(EdgeInput::descriptors)
    }

    /// Takes every edge that has come and all that has become certain by `now` to the line; gives the recipe that the select
    /// lines ask for, when they ask for another one.
    pub fn turn<P: OutputPin>(&mut self, line: &mut Line<P>, now: Micros) -> Result<Option<u16>, Broken> {
        for _ in 0..EDGES_A_TURN {
            let Some(edges) = &mut self.edges else { break };
            let Some(event) = edges.wait(std::time::Duration::ZERO).map_err(Broken)? else { break };
            self.edge(&event, line, now);
        }
        self.settle(line, now, now);
        if let Some(belt) = &mut self.belt
            && let Some((position, speed_um_per_s)) = belt.news(now)
        {
            line.on_encoder(position, speed_um_per_s, now);
        }
        let asked = self.select.as_mut().and_then(|select| select.poll(now));
        Ok(match asked {
            Some(select::Asked::Recipe(recipe)) => Some(recipe),
            Some(select::Asked::Nothing) => {
                line.on_alarm(Alarm::UnknownRecipe, now);
                None
            }
            None => None,
        })
    }

    /// When something becomes certain by itself.
    pub fn deadline(&self) -> Option<Micros> {
        let sensors = [&self.sensor, &self.confirm, &self.acknowledge];
        let sensors = sensors.into_iter().flatten().filter_map(Sensor::deadline);
        let others = [self.belt.as_ref().and_then(Belt::deadline), self.select.as_ref().and_then(Select::deadline)];
        sensors.chain(others.into_iter().flatten()).min()
    }

    /// A part that a command triggers.
    pub fn trigger<P: OutputPin>(&mut self, line: &mut Line<P>, at: Micros, now: Micros) {
        let part = Part { id: self.next, captured_at: at, position: self.position() };
        self.next = self.next.next();
        self.part(part, line, now);
    }

    /// From now on no new part is triggered.
    pub fn close(&mut self) {
        self.closed = true;
    }

    /// The inputs are broken: they are read and slept on no more.
    pub fn give_up(&mut self) {
        self.edges = None;
    }

    /// How long the belt takes for so many micrometres at its present speed; 0 while it stands.
    pub fn micros_for(&self, um: u64) -> u64 {
        let speed_um_per_s = self.belt.as_ref().map_or(0, Belt::speed_um_per_s);
        um.saturating_mul(1_000_000).checked_div(speed_um_per_s).unwrap_or(0)
    }

    /// Whether the belt has not moved for as long as its encoder's stall time says.
    pub fn belt_stands(&self) -> bool {
        self.belt.as_ref().is_some_and(|belt| belt.speed_um_per_s() == 0 && belt.deadline().is_none())
    }

    /// What was seen so far.
    pub fn counts(&self) -> FieldCounts {
        FieldCounts {
            bounces: self.sensor.map_or(0, |sensor| sensor.bounces),
            held_off: self.sensor.map_or(0, |sensor| sensor.held_off),
            illegal: self.belt.as_ref().map_or(0, Belt::illegal),
            ..self.counts
        }
    }

    fn position(&self) -> Micrometres {
        self.belt.as_ref().map_or(Micrometres(0), Belt::position)
    }

    fn edge<P: OutputPin>(&mut self, event: &EdgeEvent, line: &mut Line<P>, now: Micros) {
        self.counts.edges += 1;
        self.counts.lost += u64::from(event.lost);
        let at = Micros::from_duration(event.at);
        let active = event.edge == Edge::Rising;
        // What was certain before this edge happened comes first.
        self.settle(line, at, now);
        let edge = sensor::Edge { active, at, position: self.position() };
        match self.roles.get(event.line).copied() {
            Some(Role::Sensor) => on_edge(&mut self.sensor, edge),
            Some(Role::Confirm) => on_edge(&mut self.confirm, edge),
            Some(Role::Acknowledge) => on_edge(&mut self.acknowledge, edge),
            Some(Role::Select(bit)) => {
                if let Some(select) = &mut self.select {
                    select.on_edge(bit, active, at);
                }
            }
            Some(role @ (Role::EncoderA | Role::EncoderB)) => {
                let is_a = role == Role::EncoderA;
                self.count(is_a, active, event.lost, at, line, now);
            }
            None => {}
        }
    }

    fn count<P: OutputPin>(
        &mut self,
        is_a: bool,
        active: bool,
        lost: u32,
        at: Micros,
        line: &mut Line<P>,
        now: Micros,
    ) {
        let Some(belt) = &mut self.belt else { return };
        if let Some(alarm) = belt.on_edge(is_a, active, lost, at) {
            line.on_alarm(alarm, now);
        }
        let position = belt.position();
        while let Some(part) = self.every.as_mut().and_then(|every| every.poll(position, at)) {
            self.part(part, line, now);
        }
    }

    /// Takes to the line what the sensors are sure of by `by`.
    fn settle<P: OutputPin>(&mut self, line: &mut Line<P>, by: Micros, now: Micros) {
        while let Some(sensed) = self.sensor.as_mut().and_then(|sensor| sensor.poll(by)) {
            match sensed {
                Sensed::Part(part) => self.part(part, line, now),
                Sensed::Merged { id, extra } => line.on_merged(id, extra, now),
            }
        }
        while let Some(sensed) = self.confirm.as_mut().and_then(|confirm| confirm.poll(by)) {
            if matches!(sensed, Sensed::Part(_)) {
                line.on_confirm(now);
            }
        }
        while let Some(sensed) = self.acknowledge.as_mut().and_then(|button| button.poll(by)) {
            if matches!(sensed, Sensed::Part(_)) {
                line.acknowledge(now);
            }
        }
    }

    fn part<P: OutputPin>(&mut self, part: Part, line: &mut Line<P>, now: Micros) {
        if self.closed {
            return;
        }
        if let Some(belt) = &mut self.belt
            && let Some(alarm) = belt.on_part(part.captured_at)
        {
            line.on_alarm(alarm, now);
        }
        line.on_trigger(part, now);
    }
}

fn on_edge(sensor: &mut Option<Sensor>, edge: sensor::Edge) {
    if let Some(sensor) = sensor {
        sensor.on_edge(edge);
    }
}

/// How the part sensor's edges become parts.
pub fn sensing(config: &Config) -> SensorLimits {
    let trigger = &config.trigger;
    SensorLimits {
        debounce: trigger.debounce,
        hold_off: trigger.hold_off,
        longest: trigger.longest,
        axis: config.reject.slot.axis(),
    }
}

/// A button or a confirmation sensor: a level that lasts is one press.
fn button(debounce: Span) -> SensorLimits {
    SensorLimits { debounce, hold_off: Span::ZERO, longest: None, axis: Axis::Time }
}
