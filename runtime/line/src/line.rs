//! The line itself: takes triggers and verdicts, moves parts through the table, sets the outputs.
//!
//! Every `on_...` method only changes the table and the status; pins change in [`Line::poll`] and [`Line::safe`] alone. The
//! owner calls `poll` after every event and at the deadline that the last `poll` returned.

mod advance;
mod config;
mod conflicts;
mod hold;
mod levels;
mod verdicts;

pub use config::{Counters, FrameDue, LineConfig, Matching, Quorum};

use embedded_hal::digital::OutputPin;
use heapless::Deque;

use crate::NOTE_CAPACITY;
use crate::alarm::{Alarm, Alarms, RejectCounter};
use crate::event::{Departure, Evidence, LineEvent, Note, What};
use crate::golden::Gate;
use crate::mutants::planted;
use crate::outputs::{Levels, Outputs};
use crate::part::{Axis, Micrometres, Part, PartId, Travel};
use crate::recipe::Recipe;
use crate::supervisor::Supervisor;
use crate::table::{Record, State, Table};
use crate::time::Micros;
use crate::verdict::{EjectorId, Outcome, PulseId, Why};

/// What the line as a whole is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// Not started: parts are tracked and rejected, Ready is off.
    Starting,
    /// Inspecting.
    Running,
    /// Parts are rejected, Ready is off. After a missed deadline: until an inspection is completed after `until`; a triggered
    /// line is Ready for one part then, which is rejected. For a camera that is away: until it is back.
    Holding {
        /// The end of the back-off; where the camera alone is the reason, the moment at which it went.
        until: Micros,
    },
    /// Safe for good.
    Stopped,
}

/// The last result, as the handshake outputs show it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Shown {
    pass: bool,
    since: Micros,
}

/// Where the belt is, by the encoder.
#[derive(Clone, Copy, Debug, Default)]
struct Belt {
    /// The furthest that it has been.
    furthest: Travel,
    /// It is going, or has gone, backwards and has not caught up yet.
    behind: bool,
    /// Micrometres a second, for the estimate of when to look again.
    speed_um_per_s: u64,
    /// When it was last read.
    read_at: Micros,
}

/// One station's line.
pub struct Line<P: OutputPin> {
    config: LineConfig,
    recipe: Recipe,
    table: Table,
    outputs: Outputs<P>,
    mode: Mode,
    alarms: Alarms,
    counters: Counters,
    rejects: RejectCounter,
    supervisor: Supervisor,
    gate: Gate,
    belt: Belt,
    notes: Deque<Note, NOTE_CAPACITY>,
    expected: Option<PartId>,
    matched: Option<(PartId, u32)>,
    running: [Option<PulseId>; crate::MAX_EJECTORS],
    /// Where the windows closed that have ended each ejector's pulse so far.
    closed: [Option<Travel>; crate::MAX_EJECTORS],
    /// Where each ejector last went off.
    last_off: [Travel; crate::MAX_EJECTORS],
    last_pulse: PulseId,
    last_confirmed: Option<PulseId>,
    confirm_until: Micros,
    heartbeat: bool,
    shown: Option<Shown>,
    missed_at: Option<Micros>,
    results_blocked: bool,
    sample: Option<EjectorId>,
    now: Micros,
    #[cfg(feature = "mutants")]
    bug: Option<crate::mutants::Bug>,
}

impl<P: OutputPin> Line<P> {
    /// A line that is not started yet. Every output is set to its safe state.
    pub fn new(config: LineConfig, outputs: Outputs<P>) -> Line<P> {
        let mut line = Line {
            recipe: config.recipe,
            table: Table::new(),
            outputs,
            mode: Mode::Starting,
            alarms: Alarms::NONE,
            counters: Counters::default(),
            rejects: RejectCounter::default(),
            supervisor: Supervisor::new(config.deadlines, config.free_running),
            gate: Gate::new(config.golden.clone()),
            belt: Belt::default(),
            notes: Deque::new(),
            expected: None,
            matched: None,
            running: [None; crate::MAX_EJECTORS],
            closed: [None; crate::MAX_EJECTORS],
            last_off: [Travel(i64::MIN); crate::MAX_EJECTORS],
            last_pulse: PulseId::default(),
            last_confirmed: None,
            confirm_until: Micros::ZERO,
            heartbeat: false,
            shown: None,
            missed_at: None,
            results_blocked: false,
            sample: None,
            now: Micros::ZERO,
            #[cfg(feature = "mutants")]
            bug: None,
            config,
        };
        line.make_outputs_safe();
        line
    }

    /// Begins to inspect: model loaded, camera streaming, golden image checked.
    pub fn start(&mut self, now: Micros) {
        self.tick(now);
        if self.mode == Mode::Starting {
            self.set_mode(Mode::Running);
            self.hold_for_camera();
        }
    }

    /// Takes an event from another thread.
    pub fn on_event(&mut self, event: LineEvent, now: Micros) {
        match event {
            LineEvent::Triggered(part) => self.on_trigger(part, now),
            LineEvent::TriggersLost { before } => {
                self.tick(now);
                self.count_lost(before);
            }
            LineEvent::FrameArrived { .. } => self.on_frame(now),
            LineEvent::FrameUnfit => {
                self.tick(now);
                self.supervisor.frame_unfit(now);
            }
            LineEvent::Judged(verdict) => self.on_verdict(verdict, now),
            LineEvent::Recipe(recipe) => self.change_recipe(recipe, now),
            LineEvent::UnknownRecipe => {
                self.tick(now);
                self.raise(Alarm::UnknownRecipe);
            }
            LineEvent::CameraLost(loss) => self.on_camera_lost(loss, now),
            LineEvent::CameraBack => self.on_camera_back(now),
            LineEvent::Sample(ejector) => self.sample = Some(ejector),
            LineEvent::Acknowledge => self.acknowledge(now),
            LineEvent::Stop => self.safe(),
        }
    }

    /// A part was triggered. Parts are numbered consecutively: a number seen before is a repeated trigger and ignored, a gap
    /// is parts whose trigger was lost, each counted as missed.
    pub fn on_trigger(&mut self, part: Part, now: Micros) {
        self.tick(now);
        if !self.expect(part.id) {
            self.counters.duplicated += 1;
            return;
        }
        self.counters.triggered += 1;
        self.results_blocked = false;
        self.supervisor.triggered(now);
        let mut record = Record::new(part, &self.recipe);
        if self.mode == Mode::Stopped {
            self.leave_missed(record, Why::Stopped);
            return;
        }
        if self.mode != Mode::Running || !self.gate.is_open(now) {
            record.reject(Why::Held);
        }
        if planted!(self, WindowOffByOne) {
            record.put_off();
        }
        if self.was_touched(&record) {
            record.reject(Why::Touched);
        }
        match self.table.insert(record, self.recipe.axis()) {
            Some(index) => {
                self.settle_conflicts(index);
                self.settle_interval(index);
            }
            None => {
                self.raise(Alarm::TableFull);
                self.leave_missed(record, Why::NoRoom);
            }
        }
    }

    /// The sensor saw the part for longer than any single part takes, by `extra` axis units: two parts that touch. They are
    /// rejected whole, by a window that is longer by as much.
    pub fn on_merged(&mut self, id: PartId, extra: i64, now: Micros) {
        self.tick(now);
        let Some(index) = self.table.find(id) else { return };
        if let Some(record) = self.table.get_mut(index) {
            record.reject(Why::Merged);
            for window in record.windows.iter_mut().flatten() {
                window.closes = window.closes.plus(extra.max(0));
            }
        }
        self.settle_conflicts(index);
    }

    /// A frame came from the camera.
    pub fn on_frame(&mut self, now: Micros) {
        self.tick(now);
        self.supervisor.frame_arrived(now);
    }

    /// No frame will come any more, by intention: the work is done and the parts in flight still leave. From here on silence is
    /// no alarm.
    pub fn no_more_frames(&mut self) {
        self.supervisor.no_more_frames();
    }

    /// The belt is at `position` by the encoder (see [`Encoder`](crate::encoder::Encoder)), running at `speed_um_per_s`.
    pub fn on_encoder(&mut self, position: Micrometres, speed_um_per_s: u64, now: Micros) {
        self.tick(now);
        let at = Travel::of_position(position);
        self.belt.behind = at < self.belt.furthest;
        self.belt.furthest = self.belt.furthest.max(at);
        self.belt.speed_um_per_s = speed_um_per_s;
        self.belt.read_at = now;
    }

    /// The reject-confirmation input saw a part leave.
    pub fn on_confirm(&mut self, now: Micros) {
        self.tick(now);
        self.confirm();
    }

    /// An alarm from outside the line: stands, and stops the line, as its own do. After [`Alarm::EncoderSlip`] nobody knows
    /// where the parts in flight are, so that they are missed.
    pub fn on_alarm(&mut self, alarm: Alarm, now: Micros) {
        self.tick(now);
        self.raise(alarm);
        if alarm == Alarm::EncoderSlip {
            while let Some(record) = self.table.remove(0) {
                self.leave_missed(record, Why::TrackLost);
            }
        }
    }

    /// The operator has seen the alarms: they no longer stand.
    pub fn acknowledge(&mut self, now: Micros) {
        self.tick(now);
        if !self.alarms.is_empty() {
            self.alarms = Alarms::NONE;
            if !planted!(self, CounterNotReset) {
                self.rejects.reset();
            }
            self.note(What::Acknowledged);
        }
    }

    /// A shift begins: golden samples must be seen again before the line is Ready.
    pub fn begin_shift(&mut self, now: Micros) {
        self.tick(now);
        self.gate.close();
    }

    /// From now on triggers belong to `recipe`; parts in flight keep theirs. No result is valid until the next trigger, and
    /// golden samples must be seen again. A recipe that cannot mix with the parts in flight (another axis, other ejectors) is
    /// refused with an alarm.
    pub fn change_recipe(&mut self, recipe: Recipe, now: Micros) {
        self.tick(now);
        if !self.recipe.can_mix(&recipe) {
            self.raise(Alarm::UnknownRecipe);
            return;
        }
        self.recipe = recipe;
        self.shown = None;
        self.results_blocked = !planted!(self, ResultsValidAfterRecipe);
        self.gate.close();
        self.note(What::Recipe(recipe.id));
    }

    /// Moves every part on, sets the outputs, and says when to come again at the latest (`None`: at the next event). On a
    /// distance axis the deadline is an estimate from the belt's speed; come at every encoder reading as well.
    pub fn poll(&mut self, now: Micros) -> Option<Micros> {
        self.tick(now);
        if self.mode == Mode::Stopped {
            return None;
        }
        self.supervise();
        self.advance();
        self.apply();
        let deadline = self.next_deadline();
        self.supervisor.promise(deadline);
        deadline
    }

    /// Puts every output into its safe state, for good. Parts in flight that were not ejected yet are missed.
    pub fn safe(&mut self) {
        if !planted!(self, SafeKeepsEjector) {
            self.make_outputs_safe();
        }
        if self.mode == Mode::Stopped {
            return;
        }
        self.set_mode(Mode::Stopped);
        for ejector in 0..crate::MAX_EJECTORS as u8 {
            self.end_pulse(EjectorId(ejector));
        }
        while let Some(record) = self.table.remove(0) {
            match record.state {
                State::Confirming { ejector, pulse, .. } if record.seen > 0 => {
                    self.leave(record, Outcome::Reject { ejector, pulse });
                }
                // Not ejected, or not to the end, or not seen to have been: nobody will watch it any more.
                _ => self.leave_missed(record, Why::Stopped),
            }
        }
    }

    /// The next note, first happened first. Take all after every call; a note that finds no room is counted and alarmed.
    pub fn take_note(&mut self) -> Option<Note> {
        self.notes.pop_front()
    }

    /// The parts in flight.
    pub const fn table(&self) -> &Table {
        &self.table
    }

    /// What happened so far.
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The alarms that stand.
    pub const fn alarms(&self) -> Alarms {
        self.alarms
    }

    /// What the line is doing.
    pub const fn mode(&self) -> Mode {
        self.mode
    }

    /// The recipe that triggers belong to.
    pub const fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// What the output pins show.
    pub const fn levels(&self) -> Levels {
        self.outputs.levels()
    }

    /// Whether the line is idle for certain: nothing in flight, no frame or verdict owed, and, where it is held, what ends the
    /// hold comes from outside: a camera that is away must be plugged in, a part must be triggered. Resetting the board would
    /// bring neither. A watchdog may be fed then, and after each completed inspection ([`Counters::completed`]), and at no other
    /// time.
    pub fn is_idle(&self) -> bool {
        let settled = match self.mode {
            Mode::Running => true,
            Mode::Holding { .. } => self.is_held_for_camera_alone() || self.asks_from().is_some(),
            Mode::Starting | Mode::Stopped => false,
        };
        self.owes_nothing() && settled
    }

    /// Plants a deliberate bug, to see whether the simulator finds it.
    #[cfg(feature = "mutants")]
    pub fn plant(&mut self, bug: crate::mutants::Bug) {
        self.bug = Some(bug);
    }

    /// The clock never runs backwards here, whatever the caller's does.
    fn tick(&mut self, now: Micros) {
        self.now = self.now.max(now);
    }

    /// Where the axis is now.
    fn here(&self) -> Travel {
        match self.recipe.axis() {
            Axis::Time => Travel::of_time(self.now),
            Axis::Distance => self.belt.furthest,
        }
    }

    /// Advances the expected number past `id`; false where it has been seen before.
    fn expect(&mut self, id: PartId) -> bool {
        let first = *self.expected.get_or_insert(id);
        if id < first {
            return planted!(self, DuplicateTriggerAccepted);
        }
        self.count_lost(id);
        self.expected = Some(id.next());
        true
    }

    /// The parts from the expected number up to `before` were triggered and the line was not told of them.
    fn count_lost(&mut self, before: PartId) {
        let first = *self.expected.get_or_insert(before);
        let count = before.0.saturating_sub(first.0);
        if count == 0 {
            return;
        }
        self.expected = Some(before);
        if !planted!(self, LostTriggerIgnored) {
            self.counters.triggered = self.counters.triggered.saturating_add(count);
            self.counters.missed = self.counters.missed.saturating_add(count);
            self.missed_at = Some(self.now);
            self.raise(Alarm::LostTrigger);
        }
        self.note(What::Lost { first, count });
    }

    fn raise(&mut self, alarm: Alarm) {
        if !self.alarms.has(alarm) {
            self.alarms = self.alarms.with(alarm);
            self.note(What::Raised(alarm));
        }
    }

    fn set_mode(&mut self, mode: Mode) {
        if self.mode != mode {
            self.mode = mode;
            self.note(What::Mode(mode));
        }
    }

    fn note(&mut self, what: What) {
        if self.notes.push_back(Note { at: self.now, what }).is_err() {
            self.counters.notes_lost += 1;
            // Not through `raise`, which would note it.
            self.alarms = self.alarms.with(Alarm::NotesLost);
        }
    }

    fn make_outputs_safe(&mut self) {
        if let Err(signal) = self.outputs.safe() {
            self.raise(Alarm::PinFailed);
            self.note(What::PinFailed(signal));
        }
    }

    fn leave_missed(&mut self, mut record: Record, why: Why) {
        record.why = why;
        self.missed_at = Some(self.now);
        self.raise(Alarm::MissedPart);
        if why == Why::Unconfirmed {
            self.raise(Alarm::Unconfirmed);
        }
        self.leave(record, Outcome::Missed);
    }

    fn leave(&mut self, record: Record, outcome: Outcome) {
        let count = match outcome {
            Outcome::Pass => &mut self.counters.passed,
            Outcome::Reject { .. } => &mut self.counters.rejected,
            Outcome::Missed => &mut self.counters.missed,
        };
        *count = count.saturating_add(1);
        let raised = self.rejects.count(outcome != Outcome::Pass, &self.config.limits);
        for alarm in [Alarm::ConsecutiveRejects, Alarm::RejectRate] {
            if raised.has(alarm) {
                self.raise(alarm);
            }
        }
        let Record { part, why, recipe, evidence, .. } = record;
        let evidence: Option<Evidence> = evidence;
        self.note(What::Left(Departure { part, outcome, why, recipe, evidence }));
    }
}

#[cfg(test)]
mod tests;
