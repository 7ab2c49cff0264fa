//! A belt that starts, stops, changes speed, slips against its encoder and runs backwards, for lines that are triggered and
//! tracked by encoder. Distances are micrometres of true belt travel unless said otherwise.

use std::collections::VecDeque;

use jidoka_line::encoder::{DistanceTrigger, Encoder, EncoderLimits};
use jidoka_line::part::Part;
use jidoka_line::sensor::Edge;
use jidoka_line::{Alarm, Micrometres, Micros, PartId, Signal, Span};

use crate::config::{SimConfig, Trigger};
use crate::fault::Fault;
use crate::trace::Happening;
use crate::world::{Event, World};

/// Where the belt is when a shift begins; far enough from zero to run back.
const START_UM: i64 = 10_000_000;
const UM_PER_COUNT: u32 = 500;
/// How many positions are remembered; a pulse and its lag are over by then.
const MEMORY: usize = 2_048;
/// On a station that reads each edge of its encoder, the reading comes oftener.
const FINE_TICK_US: u64 = 1_000;
const TICK_US: u64 = 4_000;
/// Most counts of a tick that are told one by one, each at its time.
const MOST_COUNTS: i64 = 256;

pub(crate) struct Belt {
    encoder: Encoder,
    trigger: DistanceTrigger,
    position_um: i64,
    speed_um_per_s: i64,
    /// When the speed changes next.
    until: u64,
    ticked_at: u64,
    counts: i64,
    /// By how much the encoder is ahead of the belt.
    slip_um: i64,
    past: VecDeque<(u64, i64)>,
    /// What an ejector did, to be reckoned when the belt's way in that time is known.
    effects: Vec<(usize, u64, u64)>,
    limits: EncoderLimits,
    fastest_um_per_s: u64,
    tick_us: u64,
    memory: usize,
    /// It is read as a station reads it: each count at its time, and parts checked against the counts between them.
    fine: bool,
    /// Where the next part reaches the sensor.
    next_part_um: i64,
    /// The sensor's edges to come, by place.
    edges: VecDeque<(i64, bool)>,
    /// Parts to be exposed, by place.
    exposures: VecDeque<(i64, u64, Option<Fault>)>,
    /// Triggers and alarms that the actuator thread has not seen yet.
    pub(crate) triggers: VecDeque<Part>,
    pub(crate) alarms: VecDeque<Alarm>,
    last_part_um: i64,
    last_part_at: u64,
    /// Until when it stands because the station asked for it.
    stopped_until: u64,
    /// Run back when the ejector acts next: at this speed, for so long.
    reverse_at_pulse: Option<(u64, u64)>,
}

impl Belt {
    pub(crate) fn new(config: &SimConfig, now: u64) -> Belt {
        let own = config.station.as_deref();
        let spacing = match own {
            Some(station) if config.trigger == Trigger::Encoder => station.every_um,
            _ => config.placing().pitch_um * 5 / 4,
        };
        let limits = own.and_then(|station| station.encoder).unwrap_or(EncoderLimits {
            um: UM_PER_COUNT,
            per_counts: 1,
            fastest_um_per_s: config.fastest_um_per_s(),
            reversal_um: 2_000,
            least_pitch_um: config.placing().pitch_um,
            stall: Span::from_millis(100),
        });
        Belt {
            encoder: Encoder::new(limits),
            trigger: DistanceTrigger::new(spacing, Micrometres(START_UM + spacing as i64), PartId(0)),
            position_um: START_UM,
            limits,
            fastest_um_per_s: config.fastest_um_per_s(),
            tick_us: if own.is_some() { FINE_TICK_US } else { TICK_US },
            memory: if own.is_some() { 8 * MEMORY } else { MEMORY },
            fine: own.is_some(),
            next_part_um: START_UM + spacing as i64,
            edges: VecDeque::new(),
            exposures: VecDeque::new(),
            speed_um_per_s: config.fastest_um_per_s() as i64,
            until: now + 1_000_000,
            ticked_at: now,
            counts: 0,
            slip_um: 0,
            past: VecDeque::with_capacity(MEMORY),
            effects: Vec::new(),
            triggers: VecDeque::new(),
            alarms: VecDeque::new(),
            last_part_um: START_UM,
            last_part_at: now,
            stopped_until: now,
            reverse_at_pulse: None,
        }
    }

    pub(crate) fn place(&self) -> u64 {
        self.position_um.max(0) as u64
    }

    /// What the actuator thread reads: the position by the encoder, and its speed.
    pub(crate) fn reading(&self) -> (Micrometres, u64) {
        (self.encoder.position(), self.encoder.speed_um_per_s())
    }

    /// A part is there; an alarm where the belt cannot have brought it.
    pub(crate) fn checked(&mut self, part: &Part) {
        if self.fine {
            self.alarms.extend(self.encoder.on_part(part.captured_at));
        }
    }

    pub(crate) fn reverse(&mut self, speed_um_per_s: u64, until: u64) {
        self.speed_um_per_s = -(speed_um_per_s as i64);
        self.until = until;
    }

    /// The ejector begins to act at `at`.
    pub(crate) fn pulse_begins(&mut self, at: u64) {
        if let Some((speed, lasts)) = self.reverse_at_pulse.take() {
            self.reverse(speed, at + lasts);
        }
    }

    pub(crate) fn acted(&mut self, ejector: usize, since: u64, until: u64) {
        self.effects.push((ejector, since, until));
    }

    fn run(&mut self, now: u64) {
        let (from, took) = (self.ticked_at, now - self.ticked_at);
        self.position_um += self.speed_um_per_s * took as i64 / 1_000_000;
        self.ticked_at = now;
        if self.past.len() == self.memory {
            self.past.pop_front();
        }
        self.past.push_back((now, self.position_um));
        let ahead_um = i128::from(self.position_um + self.slip_um) * i128::from(self.limits.per_counts);
        let counts = ahead_um.div_euclid(i128::from(self.limits.um.max(1))) as i64;
        let steps = counts - std::mem::replace(&mut self.counts, counts);
        if steps.abs() > 1 && self.fine && steps.abs() <= MOST_COUNTS {
            for step in 1..=steps.unsigned_abs() {
                let at = from + took * step / steps.unsigned_abs();
                self.count(steps.signum() as i32, at);
            }
        } else if steps != 0 {
            self.count(steps as i32, now);
        }
        self.encoder.poll(Micros::new(now));
    }

    fn count(&mut self, steps: i32, at: u64) {
        self.alarms.extend(self.encoder.count(steps, Micros::new(at)));
    }

    /// When the belt came to a place that it has just passed, and where it was then by the encoder.
    fn moment_of(&self, place_um: i64, now: u64) -> (Micros, Micrometres) {
        let past_us = (self.position_um - place_um) * 1_000_000 / self.speed_um_per_s.max(1);
        let (um, per) = (i128::from(self.limits.um.max(1)), i128::from(self.limits.per_counts));
        let counts = (i128::from(place_um + self.slip_um) * per).div_euclid(um);
        let at = now.saturating_sub(past_us.clamp(0, self.tick_us as i64) as u64);
        (Micros::new(at), Micrometres((counts * um / per.max(1)) as i64))
    }

    /// The stretch of the belt that was in front of the ejector from `since` until `until`.
    fn way(&self, since: u64, until: u64) -> (i64, i64) {
        let within = self.past.iter().filter(|(at, _)| *at + self.tick_us >= since && *at <= until + self.tick_us);
        let (mut least, mut most) = (i64::MAX, i64::MIN);
        for (at, position) in within {
            // To the microsecond at the ends, by the speed of the tick around them.
            let clamped = (*at).clamp(since, until);
            let speed = self.speed_at(*at);
            let position = position + speed * (clamped as i64 - *at as i64) / 1_000_000;
            (least, most) = (least.min(position), most.max(position));
        }
        (least, most)
    }

    fn speed_at(&self, at: u64) -> i64 {
        let index = self.past.partition_point(|(then, _)| *then <= at);
        let pair = (self.past.get(index.saturating_sub(2)), self.past.get(index.saturating_sub(1)));
        match pair {
            (Some((from, one)), Some((to, two))) if to > from => (two - one) * 1_000_000 / (to - from) as i64,
            _ => 0,
        }
    }
}

impl World<'_> {
    /// The belt runs on; the encoder counts; parts come.
    pub(crate) fn tick(&mut self) {
        let now = self.now;
        let (change, kind, hold) = (self.rng.chance(150), self.rng.chance(500), self.rng.next());
        let stopped = self.board.has(Signal::LineStop);
        let Some(belt) = &mut self.belt else { return };
        belt.run(now);
        if stopped && now >= belt.stopped_until {
            // The PLC stops the belt with all that lies on it; a person comes, looks, and acknowledges.
            (belt.speed_um_per_s, belt.until, belt.stopped_until) = (0, now + 5_500_000, now + 6_000_000);
            self.later(5_000_000, Event::Acknowledge);
        }
        let Some(belt) = &mut self.belt else { return };
        if now >= belt.until {
            let stop = change && kind && belt.speed_um_per_s >= 0;
            let fastest = belt.fastest_um_per_s;
            let running = fastest * 3 / 5 + hold % (fastest * 2 / 5).max(1);
            belt.speed_um_per_s = if stop { 0 } else { running as i64 };
            belt.until = now + 200_000 + hold % if stop { 1_800_000 } else { 4_800_000 };
        }
        let done: Vec<(usize, u64, u64)> = belt.effects.extract_if(.., |(_, _, until)| *until <= now).collect();
        let ways: Vec<_> = done.iter().map(|(ejector, since, until)| (*ejector, belt.way(*since, *until))).collect();
        for (ejector, (least, most)) in ways {
            let hit = self.audit.effect(ejector, least.max(0) as u64, most.max(0) as u64 + 1, &mut self.trace);
            self.confirm_hits(ejector, hit);
        }
        if self.config.trigger == Trigger::Encoder {
            self.take_parts();
        } else {
            self.bring_parts();
        }
        self.pass_places();
        let reach = self.config.placing().delay_um as i64 + 2_000_000;
        let Some(belt) = &self.belt else { return };
        let over = match self.config.by_distance() {
            true => belt.position_um > belt.last_part_um + reach,
            false => self.now > belt.last_part_at + self.config.timing.delay.as_micros() + 4_000_000,
        };
        if self.parts_left > 0 || !over {
            let tick_us = belt.tick_us;
            self.later(tick_us, Event::Tick);
        }
        self.ring();
    }

    fn take_parts(&mut self) {
        let now = Micros::new(self.now);
        while self.parts_left > 0 {
            let Some(belt) = &mut self.belt else { return };
            let Some(part) = belt.trigger.poll(belt.encoder.position(), now) else { return };
            belt.checked(&part);
            belt.triggers.push_back(part);
            let truly = (part.position.0 - belt.slip_um).max(0) as u64;
            (belt.last_part_um, belt.last_part_at) = (truly as i64, self.now);
            let place = if self.config.by_distance() { truly } else { self.now };
            self.parts_left -= 1;
            self.audit.settle(place);
            let fault = self.choose_fault();
            let ordinal = self.known(place, fault);
            self.audit.numbered_as(ordinal, part.id.0, place);
            self.expose_at(ordinal, fault, truly as i64);
            self.befall(fault);
        }
    }

    /// Parts that lie on the belt reach the sensor.
    fn bring_parts(&mut self) {
        let pitch_um = self.config.placing().pitch_um;
        let apart_um = (pitch_um + self.rng.up_to(pitch_um / 2)) as i64;
        let Some(belt) = &mut self.belt else { return };
        let place_um = belt.next_part_um;
        if self.parts_left == 0 || belt.position_um < place_um {
            return;
        }
        belt.next_part_um = place_um + apart_um;
        (belt.last_part_um, belt.last_part_at) = (place_um, self.now);
        self.parts_left -= 1;
        self.audit.settle(place_um as u64);
        let fault = self.choose_fault();
        let ordinal = self.known(place_um as u64, fault);
        let length_us = self.config.part_length_us();
        self.sense(length_us, fault);
        if fault == Some(Fault::TouchingParts) {
            let length_um = self.um_of(length_us);
            let second = self.known((place_um + length_um) as u64, fault);
            self.audit.join(second);
            if let Some(belt) = &mut self.belt {
                belt.next_part_um += length_um;
            }
        }
        self.expose_at(ordinal, fault, place_um);
        self.befall(fault);
    }

    /// What goes wrong beside the part and its frames.
    fn befall(&mut self, fault: Option<Fault>) {
        let Some(fault) = fault else { return };
        self.audit.fault(fault);
        self.trace.add(self.now, || Happening::Fault(fault));
        self.fault(fault);
    }

    /// Exposes a part when the belt has brought it before the camera; what is not a station's is exposed after a time.
    fn expose_at(&mut self, ordinal: u64, fault: Option<Fault>, place_um: i64) {
        let after_um = self.config.station.as_ref().map(|station| station.exposed_after as i64);
        match (&mut self.belt, after_um) {
            (Some(belt), Some(after_um)) if self.config.by_distance() => {
                belt.exposures.push_back((place_um + after_um, ordinal, fault));
            }
            _ => self.expose(ordinal, fault),
        }
    }

    /// The sensor's edges of the part that has just reached it, by place: how long they take depends on the belt. `edges_us`
    /// begins with the part's own edge, and is what they would be at the belt's fastest.
    pub(crate) fn sense_by_place(&mut self, edges_us: &[u64], fault: Option<Fault>) {
        let offsets_um: Vec<i64> = edges_us.iter().map(|after_us| self.um_of(*after_us)).collect();
        let bounces = fault == Some(Fault::SensorBounce);
        let Some(place_um) = self.belt.as_ref().map(|belt| belt.last_part_um) else { return };
        let last = edges_us.len() - 1;
        for (index, (after_us, after_um)) in edges_us.iter().zip(offsets_um).enumerate() {
            // A contact bounces for so long, however fast the belt runs.
            if bounces && index < last {
                let at = Micros::new(self.now + after_us);
                let edge = Edge { active: index % 2 == 0, at, position: Micrometres(0) };
                self.order_edge(edge);
            } else if let Some(belt) = &mut self.belt {
                belt.edges.push_back((place_um + after_um, index % 2 == 0));
            }
        }
    }

    fn order_edge(&mut self, edge: Edge) {
        self.at(edge.at.as_u64(), Event::Edge(edge));
    }

    fn um_of(&self, us: u64) -> i64 {
        (u128::from(us) * u128::from(self.config.fastest_um_per_s()) / 1_000_000) as i64
    }

    /// What the belt has brought to the sensor and to the camera.
    fn pass_places(&mut self) {
        let Some(belt) = &mut self.belt else { return };
        while belt.edges.front().is_some_and(|(place_um, _)| *place_um <= belt.position_um)
            && let Some((place_um, active)) = belt.edges.pop_front()
        {
            let (at, position) = belt.moment_of(place_um, self.now);
            self.edges.push_back(Edge { active, at, position });
        }
        let mut due = vec![];
        while belt.exposures.front().is_some_and(|(place_um, ..)| *place_um <= belt.position_um) {
            due.extend(belt.exposures.pop_front());
        }
        due.into_iter().for_each(|(_, ordinal, fault)| self.expose(ordinal, fault));
    }

    /// Faults of the belt.
    pub(crate) fn belt_fault(&mut self, fault: Fault) {
        let speed = self.rng.between(100_000, 300_000);
        let lasts = self.rng.between(30_000, 300_000);
        let until = self.now + lasts;
        let at_pulse = self.rng.chance(500);
        let slip = self.rng.around(self.config.placing().slip_um / 2);
        let Some(belt) = &mut self.belt else { return };
        match fault {
            // A jam that the ejector makes, and an operator who sees it, turn the belt back in the worst moment.
            Fault::EncoderReversal if at_pulse => belt.reverse_at_pulse = Some((speed, lasts)),
            Fault::EncoderReversal => belt.reverse(speed, until),
            Fault::EncoderSlip => belt.slip_um = slip,
            _ => {}
        }
    }
}
