//! The audit: knows what truly happened to every part, and holds the line to its promises.

mod checks;
mod mirror;
mod tally;

use std::collections::VecDeque;
use std::fmt;

use jidoka_line::part::Part;
use jidoka_line::{Alarm, Counters, MAX_EJECTORS, Note, Outcome, Signal, What, Why, Wiring};

pub(crate) use tally::Tally;

use crate::camera::Inferred;
use crate::config::{SimConfig, Trigger};
use crate::fault::Fault;
use crate::judging::Nature;
use crate::pins::Board;
use crate::station::Reach;
use crate::trace::{Happening, Trace};
use mirror::Mirror;

/// A promise that was not kept.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Violation {
    /// I2: a bad part went by and was not counted as missed.
    Escape,
    /// I3: a part that passed was hit.
    WrongPart,
    /// I2: a part passed without a fresh valid verdict of its own.
    UnprovenPass,
    /// A part counted as rejected was not hit.
    RejectedByNothing,
    /// A part never left the table.
    NeverLeft,
    /// A part left more than once.
    LeftTwice,
    /// The line speaks of a part that there is not.
    UnknownPart,
    /// Triggered is not the sum of pass, reject and missed, or not what was triggered.
    Conservation,
    /// Pulses and notes of pulses do not match, or a part was fired at twice.
    Pulses,
    /// I5: an output was on in the safe state.
    Unsafe,
    /// The heartbeat moved without a completed inspection, or did not with one.
    Heartbeat,
    /// A result was shown between a recipe change and the next trigger.
    StaleResult,
    /// A counting alarm was raised at the wrong count, or not raised.
    AlarmCount,
    /// A part was missed and no alarm stood.
    SilentMiss,
    /// A record was lost between the line and its readers without being counted.
    RecordLost,
    /// The line was Ready although a stage had missed its deadline, or the camera was away.
    ReadyWhileHeld,
}

/// A part as it truly is.
#[derive(Clone, Copy, Debug)]
struct Truth {
    at: u64,
    /// Where it is within each ejector's reach.
    presence: [Option<(u64, u64)>; MAX_EJECTORS],
    /// By how much it comes late to the reject ejector.
    drift: i64,
    /// It has a defect, or is doubtful.
    defect: bool,
    nature: Nature,
    /// The line could know of it.
    bad: bool,
    /// Its number on the line.
    id: Option<u64>,
    /// When it got it.
    numbered_at: u64,
    /// It touches the part before it and shares its number.
    joined: bool,
    recipe: Option<u16>,
    /// It was triggered while the line had to be held.
    held: bool,
    /// Fresh valid pass verdicts of its own frames that were delivered before it left.
    passes: u8,
    /// Whether each ejector acted on it (the first wired energise-to-pass: the gate was open for it).
    hit: [bool; MAX_EJECTORS],
    fired: bool,
    left: Option<(Outcome, Why)>,
}

impl Truth {
    /// Where it is past every ejector.
    fn past(&self) -> u64 {
        self.presence.iter().flatten().map(|presence| presence.1).max().unwrap_or(self.at)
    }
}

/// The first promise that was not kept.
#[derive(Clone, Debug)]
pub(crate) struct Broken {
    pub(crate) violation: Violation,
    pub(crate) what: String,
    pub(crate) at: u64,
}

pub(crate) struct Audit {
    trigger: Trigger,
    by_distance: bool,
    wiring: Wiring,
    /// Where the ejectors are, by recipe from 1.
    reaches: Vec<[Option<Reach>; MAX_EJECTORS]>,
    passes_needed: u8,
    interval: u64,
    truths: VecDeque<Truth>,
    /// The ordinal of the first of `truths`.
    base: u64,
    /// Parts that the line counted as lost and that were never numbered.
    lost_credit: u64,
    mirror: Mirror,
    pub(crate) tally: Tally,
    pub(crate) broken: Option<Broken>,
    /// Scratch of the actuator's turn.
    pub(crate) edges: Vec<(Signal, bool)>,
    next_pulse: Option<u32>,
    pulse_notes: (u32, u32),
    alarm_due: bool,
}

impl Audit {
    pub(crate) fn new(config: &SimConfig) -> Audit {
        let quorum = config.quorum();
        Audit {
            trigger: config.trigger,
            by_distance: config.by_distance(),
            wiring: config.wiring,
            reaches: (1..=config.recipes())
                .map(|recipe| std::array::from_fn(|ejector| config.reach(recipe, ejector)))
                .collect(),
            passes_needed: quorum.frames.saturating_sub(quorum.rejects) + 1,
            interval: if config.by_distance() { config.placing().pitch_um } else { config.pitch_us() },
            truths: VecDeque::with_capacity(64),
            base: 0,
            lost_credit: 0,
            mirror: Mirror::new(config),
            tally: Tally::default(),
            broken: None,
            edges: Vec::new(),
            next_pulse: None,
            pulse_notes: (0, 0),
            alarm_due: false,
        }
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.broken.is_some()
    }

    pub(crate) fn parts(&self) -> u64 {
        self.tally.parts
    }

    pub(crate) fn fault(&mut self, fault: Fault) {
        self.tally.faults[fault as usize] += 1;
    }

    pub(crate) fn broke(&mut self, violation: Violation, at: u64, what: fmt::Arguments<'_>) {
        if self.broken.is_none() {
            self.broken = Some(Broken { violation, what: what.to_string(), at });
        }
    }

    /// A part that reaches the camera at `at`, and the reject ejector `drift` later than planned.
    pub(crate) fn part(&mut self, at: u64, drift: i64, recipe: u16, nature: Nature, hidden: bool) -> u64 {
        let defect = nature != Nature::Good;
        self.tally.parts += 1;
        self.tally.bad += u64::from(defect);
        self.truths.push_back(Truth {
            at,
            presence: self.presence(at, drift, recipe),
            drift,
            defect,
            nature,
            bad: defect && !hidden,
            id: None,
            numbered_at: 0,
            joined: false,
            recipe: None,
            held: false,
            passes: 0,
            hit: [false; MAX_EJECTORS],
            fired: false,
            left: None,
        });
        self.base + self.truths.len() as u64 - 1
    }

    /// Where a part of a recipe is before each ejector; a belt that is slow for one is for all.
    fn presence(&self, at: u64, drift: i64, recipe: u16) -> [Option<(u64, u64)>; MAX_EJECTORS] {
        let reaches = self.reaches.get(usize::from(recipe.max(1)) - 1).copied().unwrap_or_default();
        let first_us = reaches[0].map_or(1, |reach| reach.delay.max(1));
        std::array::from_fn(|ejector| {
            let reach = reaches[ejector]?;
            let drift = i128::from(drift) * i128::from(reach.delay) / i128::from(first_us);
            let centre = (at + reach.delay + reach.pulse / 2).saturating_add_signed(drift as i64);
            // The gate has to be open when the part's middle is there.
            let is_gate = ejector == 0 && self.wiring == Wiring::EnergiseToPass;
            let half = if is_gate { 0 } else { reach.pulse.max(reach.length) / 2 };
            Some((centre - half, centre + half))
        })
    }

    /// The second part touches the first: one part to the sensor.
    pub(crate) fn join(&mut self, second: u64) {
        if let Some(truth) = self.truth(second) {
            truth.joined = true;
        }
    }

    pub(crate) fn nature(&mut self, ordinal: u64) -> Nature {
        self.truth(ordinal).map_or(Nature::Good, |truth| truth.nature)
    }

    /// The recipe that the part was triggered under.
    pub(crate) fn recipe_of(&mut self, ordinal: u64) -> Option<u16> {
        self.truth(ordinal).and_then(|truth| truth.recipe)
    }

    fn truth(&mut self, ordinal: u64) -> Option<&mut Truth> {
        self.truths.get_mut(usize::try_from(ordinal.checked_sub(self.base)?).ok()?)
    }

    fn position(&self, id: u64) -> Option<usize> {
        self.truths.iter().position(|truth| truth.id == Some(id))
    }

    /// A part got its number; which one it truly is, its time says.
    pub(crate) fn numbered(&mut self, part: &Part, now: u64) {
        let at = if self.by_distance { part.position.0.max(0) as u64 } else { part.captured_at.as_u64() };
        let reach = if self.trigger.is_edge() && !self.by_distance { 1_000 } else { self.interval / 2 };
        let fits = |truth: &&mut Truth| !truth.joined && truth.id.is_none() && truth.at.abs_diff(at) <= reach;
        if let Some(truth) = self.truths.iter_mut().rev().find(fits) {
            (truth.id, truth.numbered_at) = (Some(part.id.0), now);
        }
    }

    /// A part that was triggered by the belt got its number.
    pub(crate) fn numbered_as(&mut self, ordinal: u64, id: u64, place: u64) {
        if let Some(truth) = self.truth(ordinal) {
            (truth.id, truth.numbered_at) = (Some(id), place);
        }
    }

    /// The line is about to be told of a part.
    pub(crate) fn triggered(&mut self, part: &Part, recipe: u16, now: u64) {
        let held = self.mirror.triggered(part.id.0, now);
        if let Some(index) = self.position(part.id.0) {
            let truth = &mut self.truths[index];
            if truth.recipe.is_none() {
                (truth.recipe, truth.held) = (Some(recipe), held);
                let (at, drift) = (truth.at, truth.drift);
                self.truths[index].presence = self.presence(at, drift, recipe);
            }
        }
    }

    pub(crate) fn triggers_lost(&mut self, before: u64) {
        self.mirror.triggers_lost(before);
    }

    pub(crate) fn frame_arrived(&mut self, now: u64) {
        self.mirror.frame_arrived(now);
    }

    pub(crate) fn camera_lost(&mut self) {
        self.mirror.camera_lost();
    }

    pub(crate) fn camera_back(&mut self, now: u64) {
        self.mirror.camera_back(now);
    }

    pub(crate) fn recipe_changed(&mut self) {
        self.mirror.recipe_changed();
    }

    pub(crate) fn acknowledged(&mut self, standing: bool) {
        self.alarm_due = false;
        self.mirror.acknowledged(standing);
    }

    /// The line is about to be told of a verdict.
    pub(crate) fn delivered(&mut self, inferred: &Inferred, recipe: u16, now: u64, stale_after: u64) {
        let verdict = &inferred.verdict;
        if let jidoka_line::Subject::Part(part) = verdict.subject
            && self.mirror.is_new(part.id.0)
        {
            // Its trigger was lost between the threads; the verdict stands in for it.
            self.triggered(&part, recipe, now);
        }
        self.mirror.delivered(verdict.is_complete(), now);
        let Some(truth) = self.truth(inferred.ordinal) else { return };
        if truth.left.is_some() {
            return;
        }
        let fresh = now.saturating_sub(verdict.captured_at.as_u64()) <= stale_after;
        match verdict.judgement {
            jidoka_line::Judgement::Pass if fresh && truth.recipe == Some(verdict.recipe.0) => truth.passes += 1,
            jidoka_line::Judgement::Pass => {}
            _ => truth.bad |= truth.defect,
        }
    }

    /// A note of the line.
    pub(crate) fn note(&mut self, note: &Note, trace: &mut Trace) {
        let at = note.at.as_u64();
        match note.what {
            What::PulseOn { pulse, part, .. } => {
                self.pulse_notes.0 += 1;
                if self.next_pulse.is_some_and(|next| next != pulse.0) {
                    self.broke(Violation::Pulses, at, format_args!("pulse {} is out of order", pulse.0));
                }
                self.next_pulse = Some(pulse.0 + 1);
                self.tally.pulses += 1;
                // A belt that ran back brings a part in front of the ejector again.
                if !self.by_distance
                    && let Some(index) = self.position(part.0)
                    && std::mem::replace(&mut self.truths[index].fired, true)
                {
                    self.broke(Violation::Pulses, at, format_args!("part {} was fired at twice", part.0));
                }
            }
            What::PulseOff { .. } => self.pulse_notes.1 += 1,
            What::Left(departure) => {
                self.left(departure.part.id.0, departure.outcome, departure.why, at);
                trace.add(at, || Happening::Left { departure });
            }
            What::Lost { first, count } => self.lost(first.0, count),
            What::Raised(Alarm::ConsecutiveRejects) if !self.mirror.may_alarm() => {
                self.broke(Violation::AlarmCount, at, format_args!("too few rejects in a row for the alarm"));
            }
            _ => {}
        }
    }

    fn left(&mut self, id: u64, outcome: Outcome, why: Why, at: u64) {
        match outcome {
            Outcome::Pass => self.tally.passed += 1,
            Outcome::Reject { .. } => self.tally.rejected += 1,
            Outcome::Missed => {
                self.tally.missed += 1;
                self.alarm_due = true;
            }
        }
        self.mirror.left(outcome != Outcome::Pass);
        let Some(index) = self.position(id) else {
            // A free-running camera that lost frames stands in for them at the times at which they should have been.
            if !self.trigger.is_frame() {
                self.broke(Violation::UnknownPart, at, format_args!("part {id} left and never came"));
            }
            return;
        };
        let before = self.truths[index].left.replace((outcome, why));
        if before.is_some() {
            self.broke(Violation::LeftTwice, at, format_args!("part {id} left twice"));
        }
        if let Some(next) = self.truths.get_mut(index + 1).filter(|next| next.joined) {
            next.left = Some((outcome, why));
        }
    }

    fn lost(&mut self, first: u64, count: u64) {
        self.tally.missed += count;
        self.alarm_due = true;
        let mut known = 0;
        for truth in &mut self.truths {
            if truth.id.is_some_and(|id| id >= first && id - first < count) {
                truth.left = Some((Outcome::Missed, Why::LostTrigger));
                known += 1;
            }
        }
        self.lost_credit += count.saturating_sub(known);
    }

    /// An ejector acts from `since` until `until` (the first wired energise-to-pass: the gate is open). How many parts that
    /// removes.
    pub(crate) fn effect(&mut self, ejector: usize, since: u64, until: u64, trace: &mut Trace) -> usize {
        let mut hits = 0;
        for (index, truth) in self.truths.iter_mut().enumerate() {
            let Some(presence) = truth.presence[ejector] else { continue };
            let within = presence.0 < until && since < presence.1.max(presence.0 + 1);
            if within && !truth.hit[ejector] {
                truth.hit[ejector] = true;
                hits += 1;
                let ordinal = self.base + index as u64;
                trace.add(since, || Happening::Hit { ordinal });
            }
        }
        hits
    }

    /// Whether what the ejectors did to a part takes it out.
    fn is_removed(&self, hit: [bool; MAX_EJECTORS]) -> bool {
        let [first, others @ ..] = hit;
        let first = match self.wiring {
            Wiring::EnergiseToReject => first,
            Wiring::EnergiseToPass => !first,
        };
        first || others.contains(&true)
    }

    /// Whether every note was read or counted as lost.
    pub(crate) fn records_told(&mut self, all: bool, now: u64) {
        if !all {
            self.broke(
                Violation::RecordLost,
                now,
                format_args!("a record is neither read, nor waiting, nor counted as lost"),
            );
        }
    }

    /// Before the line was started.
    pub(crate) fn before_start(&mut self, board: &Board) {
        self.must_be_dark(board, 0, "before the start");
    }

    fn must_be_dark(&mut self, board: &Board, now: u64, when: &str) {
        if !board.is_dark() {
            self.broke(Violation::Unsafe, now, format_args!("an output is on {when}"));
        }
    }

    /// The process ended with parts in flight: nobody can say more of them than that the outputs are safe.
    pub(crate) fn crashed(&mut self, now: u64, board: &Board) {
        self.must_be_dark(board, now, "after a crash");
        self.settle(now);
        let stranded = self.truths.iter().filter(|truth| truth.left.is_none()).count();
        self.tally.stranded += stranded as u64;
    }

    /// The line was stopped, in the middle (`early`) or after the last part.
    pub(crate) fn stopped(&mut self, now: u64, board: &Board, counters: &Counters, early: bool) {
        self.must_be_dark(board, now, "after the stop");
        let sum = counters.passed + counters.rejected + counters.missed;
        if counters.triggered != sum || counters.triggered != self.mirror.triggered_parts() {
            let seen = self.mirror.triggered_parts();
            let what = format_args!("{seen} parts were triggered; the line says {counters:?}");
            self.broke(Violation::Conservation, now, what);
        }
        if early {
            self.settle(now);
            self.tally.stranded += self.truths.iter().filter(|truth| truth.left.is_none()).count() as u64;
        } else {
            self.settle(u64::MAX);
        }
    }
}
