//! A belt that starts, stops, changes speed, slips against its encoder and runs backwards, for lines that are triggered and
//! tracked by encoder. Distances are micrometres of true belt travel unless said otherwise.

use std::collections::VecDeque;

use jidoka_line::encoder::{DistanceTrigger, Encoder, EncoderLimits};
use jidoka_line::part::Part;
use jidoka_line::{Alarm, Micrometres, Micros, PartId, Span};

use crate::config::{FASTEST_UM_PER_S, SimConfig};
use crate::fault::Fault;
use crate::trace::Happening;
use crate::world::{Event, World};

/// Where the belt is when a shift begins; far enough from zero to run back.
const START_UM: i64 = 10_000_000;
const UM_PER_COUNT: u32 = 500;
const TICK_US: u64 = 4_000;
/// How long positions are remembered; a pulse and its lag are over by then.
const MEMORY: usize = 2_048;

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
    /// What the ejector did, to be reckoned when the belt's way in that time is known.
    effects: Vec<(u64, u64)>,
    /// Triggers and alarms that the actuator thread has not seen yet.
    pub(crate) triggers: VecDeque<Part>,
    pub(crate) alarms: VecDeque<Alarm>,
    last_part_um: i64,
    /// Run back when the ejector acts next: at this speed, for so long.
    reverse_at_pulse: Option<(u64, u64)>,
}

impl Belt {
    pub(crate) fn new(config: &SimConfig, now: u64) -> Belt {
        let spacing = config.placing().pitch_um * 5 / 4;
        let limits = EncoderLimits {
            um: UM_PER_COUNT,
            per_counts: 1,
            fastest_um_per_s: FASTEST_UM_PER_S,
            reversal_um: 2_000,
            least_pitch_um: config.placing().pitch_um,
            stall: Span::from_millis(100),
        };
        Belt {
            encoder: Encoder::new(limits),
            trigger: DistanceTrigger::new(spacing, Micrometres(START_UM + spacing as i64), PartId(0)),
            position_um: START_UM,
            speed_um_per_s: FASTEST_UM_PER_S as i64,
            until: now + 1_000_000,
            ticked_at: now,
            counts: 0,
            slip_um: 0,
            past: VecDeque::with_capacity(MEMORY),
            effects: Vec::new(),
            triggers: VecDeque::new(),
            alarms: VecDeque::new(),
            last_part_um: START_UM,
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

    pub(crate) fn acted(&mut self, since: u64, until: u64) {
        self.effects.push((since, until));
    }

    fn run(&mut self, now: u64) {
        let took = (now - self.ticked_at) as i64;
        self.position_um += self.speed_um_per_s * took / 1_000_000;
        self.ticked_at = now;
        if self.past.len() == MEMORY {
            self.past.pop_front();
        }
        self.past.push_back((now, self.position_um));
        let counts = (self.position_um + self.slip_um).div_euclid(i64::from(UM_PER_COUNT));
        let steps = (counts - std::mem::replace(&mut self.counts, counts)) as i32;
        if steps != 0
            && let Some(alarm) = self.encoder.count(steps, Micros::new(now))
        {
            self.alarms.push_back(alarm);
        }
        self.encoder.poll(Micros::new(now));
    }

    /// The stretch of the belt that was in front of the ejector from `since` until `until`.
    fn way(&self, since: u64, until: u64) -> (i64, i64) {
        let within = self.past.iter().filter(|(at, _)| *at + TICK_US >= since && *at <= until + TICK_US);
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
        let Some(belt) = &mut self.belt else { return };
        belt.run(now);
        if now >= belt.until {
            let stop = change && kind && belt.speed_um_per_s >= 0;
            let fastest = FASTEST_UM_PER_S as i64;
            belt.speed_um_per_s = if stop { 0 } else { fastest * 3 / 5 + (hold % (FASTEST_UM_PER_S * 2 / 5)) as i64 };
            belt.until = now + 200_000 + hold % if stop { 1_800_000 } else { 4_800_000 };
        }
        let done: Vec<(u64, u64)> = belt.effects.extract_if(.., |(_, until)| *until <= now).collect();
        let ways: Vec<(i64, i64)> = done.iter().map(|(since, until)| belt.way(*since, *until)).collect();
        for (least, most) in ways {
            let hit = self.audit.effect(least.max(0) as u64, most.max(0) as u64 + 1, &mut self.trace);
            self.confirm_hits(hit);
        }
        self.take_parts();
        let reach = self.config.placing().delay_um as i64 + 2_000_000;
        let over = self.belt.as_ref().is_none_or(|belt| belt.position_um > belt.last_part_um + reach);
        if self.parts_left > 0 || !over {
            self.later(TICK_US, Event::Tick);
        }
        self.ring();
    }

    fn take_parts(&mut self) {
        let now = Micros::new(self.now);
        while self.parts_left > 0 {
            let Some(belt) = &mut self.belt else { return };
            let Some(part) = belt.trigger.poll(belt.encoder.position(), now) else { return };
            belt.triggers.push_back(part);
            let truly = (part.position.0 - belt.slip_um).max(0) as u64;
            belt.last_part_um = truly as i64;
            self.parts_left -= 1;
            self.audit.settle(truly);
            let fault = self.choose_fault();
            let ordinal = self.known(truly, fault);
            self.audit.numbered_as(ordinal, part.id.0, truly);
            self.expose(ordinal, fault);
            if let Some(fault) = fault {
                self.audit.fault(fault);
                self.trace.add(self.now, || Happening::Fault(fault));
                self.fault(fault);
            }
        }
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
