//! One shift of a simulated line: a heap of things to come, the loop thread and the actuator thread as two actors on it, and
//! the product's own line core, sensor, frame numbering and policy between them.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::rc::Rc;

use jidoka_line::golden::Golden;
use jidoka_line::sensor::{Edge, FreeRun, Sensor};
use jidoka_line::{EventQueue, Line, MAX_EJECTORS, Matching, Micrometres, Micros, Outbox, PartId, Signal, Slot, Span};

use crate::audit::Audit;
use crate::belt::Belt;
use crate::camera::{Camera, Frame, Inferred};
use crate::config::{SimConfig, Trigger};
use crate::fault::Fault;
use crate::judging::{Judging, Nature};
use crate::pins::{Board, Pin, wire};
use crate::reader::Reader;
use crate::rng::Rng;
use crate::trace::{Happening, Trace};

/// A deliberate bug, where they are compiled in.
#[cfg(feature = "mutants")]
pub type Bug = jidoka_line::mutants::Bug;
/// Without the feature there is none to plant.
#[cfg(not(feature = "mutants"))]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Bug {}

/// How many notes the product's queue to the scribe holds.
const NOTES_KEPT: usize = 1024;

/// Something to come.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Event {
    /// A part reaches the camera.
    Arrival,
    /// The sensor's level changes.
    Edge(Edge),
    /// A frame reaches the loop thread.
    Frame(Frame),
    /// An inference is done.
    Inferred(Inferred),
    /// A part that was ejected falls past the confirmation sensor.
    Confirm,
    /// The actuator thread does not run for a while.
    Starve,
    /// The encoder is read.
    Tick,
    /// A person acknowledges the alarms.
    Acknowledge,
    /// The loop thread looks into its outbox.
    Flush,
    /// The loop thread finds that the camera is away.
    CameraGone,
    /// The loop thread has opened the camera again.
    CameraBack,
    /// Look which parts can be audited.
    Audit,
}

struct Entry {
    at: u64,
    order: u64,
    event: Event,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Entry) -> bool {
        self.cmp(other).is_eq()
    }
}
impl Eq for Entry {}
impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Entry) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Entry {
    fn cmp(&self, other: &Entry) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

/// What one shift is.
#[derive(Clone, Copy)]
pub(crate) struct ShiftPlan<'a> {
    pub(crate) config: &'a SimConfig,
    pub(crate) slot: Slot,
    pub(crate) seed: u64,
    /// No more than this many parts.
    pub(crate) parts: u64,
    pub(crate) bug: Option<Bug>,
}

/// How a shift ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    NotYet,
    Stop,
    /// The process unwinds.
    Crash,
    /// Nothing of the process runs any more; the kernel, or the lack of power, lets its lines fall.
    Gone,
}

pub(crate) struct World<'a> {
    pub(crate) config: &'a SimConfig,
    pub(crate) slot: Slot,
    pub(crate) rng: Rng,
    heap: BinaryHeap<Reverse<Entry>>,
    order: u64,
    pub(crate) now: u64,
    pub(crate) line: Line<Pin>,
    pub(crate) board: Rc<Board>,
    pub(crate) queue: Box<EventQueue>,
    /// Of each verdict in the queue, whose frame it was.
    pub(crate) queued: VecDeque<Inferred>,
    pub(crate) sensor: Sensor,
    pub(crate) edges: VecDeque<Edge>,
    pub(crate) confirms: u32,
    pub(crate) free_run: FreeRun,
    /// One a recipe.
    pub(crate) judges: Vec<Judging>,
    pub(crate) camera: Camera,
    pub(crate) matching: Matching,
    /// When the actuator thread wakes next.
    pub(crate) wake: Option<u64>,
    pub(crate) starved_until: u64,
    pub(crate) outbox: Outbox,
    pub(crate) queue_full_until: u64,
    pub(crate) stuck_until: u64,
    pub(crate) tell_twice: bool,
    /// Golden samples since the line was Ready last.
    samples_laid: usize,
    /// How much later than usual the next part comes.
    extra_gap: u64,
    pub(crate) pulse_since: [Option<u64>; MAX_EJECTORS],
    pub(crate) recipe: u16,
    pub(crate) audit: Audit,
    pub(crate) trace: Trace,
    pub(crate) parts_left: u64,
    pub(crate) belt: Option<Belt>,
    /// Who writes the log and who serves the network: both only read.
    pub(crate) scribe: Reader,
    pub(crate) gateway: Reader,
    end: End,
    faults: Vec<Fault>,
}

impl<'a> World<'a> {
    pub(crate) fn new(plan: &ShiftPlan<'a>, trace: Trace) -> World<'a> {
        let config = plan.config;
        let board = Rc::new(Board::default());
        let mut audit = Audit::new(config);
        let line = Line::new(config.line(plan.slot), wire(&board));
        audit.before_start(&board);
        let faults = config.faults.iter().copied().filter(|fault| config.unmet(*fault).is_none()).collect();
        // The product goes by the driver's numbers alone.
        let interval = config.station.as_ref().map_or(Span::from_micros(config.pitch_us() * 5 / 4), |_| Span::MAX);
        let mut world = World {
            config,
            slot: plan.slot,
            rng: Rng::new(plan.seed),
            heap: BinaryHeap::with_capacity(256),
            order: 0,
            now: 1_000_000,
            line,
            board,
            queue: Box::new(EventQueue::new()),
            queued: VecDeque::new(),
            sensor: Sensor::new(config.sensor(), PartId(0)),
            edges: VecDeque::new(),
            confirms: 0,
            free_run: FreeRun::new(PartId(0), interval),
            judges: Judging::of_all(config),
            camera: Camera::default(),
            matching: config.line(plan.slot).matching,
            wake: None,
            starved_until: 0,
            outbox: Outbox::new(),
            queue_full_until: 0,
            stuck_until: 0,
            tell_twice: false,
            samples_laid: 0,
            extra_gap: 0,
            pulse_since: [None; MAX_EJECTORS],
            recipe: 1,
            audit,
            trace,
            parts_left: plan.parts,
            belt: (config.trigger == Trigger::Encoder || config.by_distance()).then(|| Belt::new(config, 1_000_000)),
            scribe: Reader::new(NOTES_KEPT),
            gateway: Reader::new(NOTES_KEPT),
            end: End::NotYet,
            faults,
        };
        world.plant(plan.bug);
        world
    }

    #[cfg(feature = "mutants")]
    fn plant(&mut self, bug: Option<Bug>) {
        if let Some(bug) = bug {
            self.line.plant(bug);
        }
    }

    #[cfg(not(feature = "mutants"))]
    fn plant(&mut self, bug: Option<Bug>) {
        debug_assert!(bug.is_none());
    }

    /// Runs the shift to its end, or to the first violation.
    pub(crate) fn run(mut self) -> (Audit, Trace, u64) {
        let began = self.now;
        self.line.start(Micros::new(self.now));
        self.turn();
        let first = if self.belt.is_some() { Event::Tick } else { Event::Arrival };
        self.later(self.config.pitch_us(), first);
        while self.end == End::NotYet && !self.audit.has_failed() {
            let due = self.heap.peek().map(|Reverse(entry)| entry.at);
            match (self.wake, due) {
                (Some(wake), due) if due.is_none_or(|due| wake <= due) => {
                    self.now = self.now.max(wake);
                    self.turn();
                }
                (_, Some(_)) => {
                    let Some(Reverse(entry)) = self.heap.pop() else { break };
                    self.now = self.now.max(entry.at);
                    self.happen(entry.event);
                }
                _ => break,
            }
        }
        self.finish();
        let ran = self.now - began;
        (self.audit, self.trace, ran)
    }

    /// Puts an event `after` microseconds from now onto the heap.
    pub(crate) fn later(&mut self, after: u64, event: Event) {
        self.at(self.now + after, event);
    }

    pub(crate) fn at(&mut self, at: u64, event: Event) {
        self.order += 1;
        self.heap.push(Reverse(Entry { at, order: self.order, event }));
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Arrival => self.arrive(),
            Event::Edge(mut edge) => {
                if let Some(belt) = &self.belt {
                    edge.position = belt.reading().0;
                }
                self.edges.push_back(edge);
                self.ring();
            }
            Event::Frame(frame) => self.frame(frame),
            Event::Inferred(inferred) => self.inferred(inferred),
            Event::Confirm => {
                self.confirms += 1;
                self.ring();
            }
            Event::Starve => {
                self.starved_until = self.now + self.rng.between(2_000, 120_000);
                self.wake = self.wake.map(|wake| wake.max(self.starved_until));
            }
            Event::Tick => self.tick(),
            Event::Acknowledge => self.acknowledge(),
            Event::Flush => self.flush(),
            Event::CameraGone => self.camera_gone(),
            Event::CameraBack => self.camera_back(),
            Event::Audit => self.audit.settle(self.place()),
        }
    }

    /// Where the axis truly is: the time, or the belt.
    pub(crate) fn place(&self) -> u64 {
        self.belt.as_ref().filter(|_| self.config.by_distance()).map_or(self.now, Belt::place)
    }

    /// Wakes the actuator thread.
    pub(crate) fn ring(&mut self) {
        let jitter = self.rng.between(20, 200);
        let wake = (self.now + jitter).max(self.starved_until);
        self.wake = Some(self.wake.map_or(wake, |before| before.min(wake)));
    }

    /// A part reaches the camera, with whatever goes wrong with it.
    fn arrive(&mut self) {
        if self.parts_left == 0 || self.line_is_stopped() {
            return;
        }
        self.parts_left -= 1;
        self.audit.settle(self.now);
        let fault = self.choose_fault();
        let pitch = self.config.pitch_us();
        self.part(fault);
        if let Some(fault) = fault {
            self.audit.fault(fault);
            self.trace.add(self.now, || Happening::Fault(fault));
            self.fault(fault);
        }
        let gap = match self.config.trigger {
            Trigger::FreeRun | Trigger::Camera => pitch * 5 / 4,
            _ => self.extra_gap + pitch + self.rng.up_to(pitch / 2),
        };
        self.extra_gap = 0;
        self.later(gap, Event::Arrival);
        if self.parts_left == 0 {
            // Long enough for the last part to leave, whatever happens to it.
            let reach = self.config.timing.delay.as_micros() + self.config.timing.pulse.as_micros() + 2_000_000;
            self.later(reach, Event::Audit);
        }
    }

    /// The PLC feeds nothing while the station asks it to stop the line; a person comes, looks, and acknowledges.
    fn line_is_stopped(&mut self) -> bool {
        if !self.board.has(Signal::LineStop) {
            return false;
        }
        self.later(5_000_000, Event::Acknowledge);
        self.later(6_000_000, Event::Arrival);
        true
    }

    pub(crate) fn choose_fault(&mut self) -> Option<Fault> {
        if self.faults.is_empty() || self.audit.parts() < 10 || !self.rng.chance(self.config.fault_permille) {
            return None;
        }
        let index = self.rng.up_to(self.faults.len() as u64 - 1) as usize;
        let fault = self.faults[index];
        let ends = fault.ends_the_shift();
        // A shift should have time to see the others.
        (!ends || self.rng.chance(100)).then_some(fault)
    }

    /// A part as such: where it will be at the ejector, what its frames show, and the sensor's edges.
    fn part(&mut self, fault: Option<Fault>) {
        let ordinal = self.known(self.now, fault);
        let length = self.config.part_length_us();
        if self.config.trigger.is_edge() {
            self.sense(length, fault);
        }
        if fault == Some(Fault::TouchingParts) {
            // The second is seen by the ejector, but not as a part by the sensor nor by the camera.
            let second = self.known(self.now + length, fault);
            self.extra_gap = length;
            self.audit.join(second);
        }
        self.expose(ordinal, fault);
    }

    /// Tells the audit of a part that is at the camera at `at`.
    pub(crate) fn known(&mut self, at: u64, fault: Option<Fault>) -> u64 {
        let drift = match self.config.reach(self.recipe, 0) {
            // The encoder's slip is the belt's.
            Some(reach) if !self.config.by_distance() => self.rng.around(reach.drift),
            _ => 0,
        };
        let hidden = fault == Some(Fault::SecondLook);
        let nature = match self.sample_due() {
            Some(Golden::Good) => Nature::Good,
            Some(Golden::Bad) => Nature::Bad,
            None if hidden || self.rng.chance(self.config.bad_permille) => Nature::Bad,
            None => self.judges[0].nature_of_good(&mut self.rng),
        };
        let ordinal = self.audit.part(at, drift, self.recipe, nature, hidden);
        let seen_at = if self.config.by_distance() { self.now } else { at };
        self.trace.add(seen_at, || Happening::Part { ordinal, bad: nature != Nature::Good });
        ordinal
    }

    /// Until the line is Ready, somebody lays its golden samples on the belt, in their order and again.
    fn sample_due(&mut self) -> Option<Golden> {
        let samples = &self.config.station.as_ref()?.line.golden.as_ref()?.samples;
        if self.board.has(Signal::Ready) {
            self.samples_laid = 0;
            return None;
        }
        self.samples_laid += 1;
        samples.get((self.samples_laid - 1) % samples.len().max(1)).copied()
    }

    /// The sensor's edges of a part `length` microseconds long.
    pub(crate) fn sense(&mut self, length: u64, fault: Option<Fault>) {
        let length = if fault == Some(Fault::TouchingParts) { 2 * length } else { length };
        let mut edges = vec![0];
        match fault {
            Some(Fault::SensorBounce) => {
                for _ in 0..self.rng.between(1, 4) {
                    let last = edges.last().copied().unwrap_or(0);
                    edges.push(last + self.rng.between(20, 300));
                    edges.push(last + self.rng.between(320, 480));
                }
                edges.push(length);
                edges.push(length + self.rng.between(20, 100));
                edges.push(length + self.rng.between(120, 400));
            }
            Some(Fault::SplitPart) => {
                let hole = self.rng.between(length / 8, length / 4);
                edges.extend([hole, hole + self.rng.between(100, length / 8), length]);
            }
            _ => edges.push(length),
        }
        if self.belt.is_some() {
            return self.sense_by_place(&edges, fault);
        }
        for (index, after) in edges.into_iter().enumerate() {
            let at = Micros::new(self.now + after);
            self.at(at.as_u64(), Event::Edge(Edge { active: index % 2 == 0, at, position: Micrometres(0) }));
        }
    }

    /// What goes wrong beside the part itself and its frames.
    pub(crate) fn fault(&mut self, fault: Fault) {
        match fault {
            Fault::Unplug => {
                let away = self.rng.between(300_000, 3_000_000);
                self.unplug(self.now + away);
            }
            Fault::ActuatorStarved => {
                // Somewhere on the part's way to the ejector, not necessarily at once.
                let after = self.rng.up_to(self.config.timing.delay.as_micros() + self.config.timing.pulse.as_micros());
                self.later(after, Event::Starve);
            }
            Fault::QueueFull => self.queue_full_until = self.now + self.rng.between(20_000, 1_200_000),
            Fault::DuplicateTrigger => self.tell_twice = true,
            Fault::EjectorStuck => self.stuck_until = self.now + self.rng.between(500_000, 2_000_000),
            Fault::DoublePart => self.too_close(),
            Fault::EncoderSlip | Fault::EncoderReversal => self.belt_fault(fault),
            Fault::RecipeChange => self.change_recipe(),
            Fault::Acknowledge => self.acknowledge(),
            Fault::ClockStep => {
                let far = self.rng.between(1_000_000, 86_400_000_000) as i64;
                let by = if self.rng.chance(500) { far } else { -far };
                self.camera.step_clock(by, self.now + self.rng.between(100_000, 2_000_000));
            }
            Fault::DiskFull => self.scribe.stall(self.now + self.rng.between(1_000_000, 300_000_000)),
            Fault::GatewayDead => self.gateway.stall(self.now + self.rng.between(1_000_000, 300_000_000)),
            Fault::Crash => self.end = End::Crash,
            Fault::Kill | Fault::PowerCut => self.end = End::Gone,
            Fault::Stop => self.end = End::Stop,
            // The others happen to the part itself or to its frames.
            _ => {}
        }
    }

    /// Another part behind the one that just came, so near that the ejector may not be able to tell them apart.
    fn too_close(&mut self) {
        let least = self.config.nearest_us();
        let near = self.rng.between(least, least.max(self.config.pitch_us() * 9 / 10));
        let now = self.now;
        self.now = now + near;
        self.part(None);
        self.now = now;
        self.extra_gap = near;
    }

    fn finish(&mut self) {
        if self.audit.has_failed() {
            return;
        }
        match self.end {
            // A panic unwinds through the line's owner: the line is dropped, the world looks at the pins. Whoever is killed drops
            // nothing; then the kernel releases the lines.
            End::Crash | End::Gone => {
                let spare = Line::new(self.config.line(self.slot), jidoka_line::Outputs::new());
                let line = std::mem::replace(&mut self.line, spare);
                if self.end == End::Gone {
                    self.board.release();
                }
                drop(line);
                let place = self.place();
                self.audit.crashed(place, &self.board);
            }
            End::Stop | End::NotYet => {
                self.line.safe();
                self.take_notes();
                let place = self.place();
                self.audit.stopped(place, &self.board, self.line.counters(), self.end == End::Stop);
            }
        }
    }
}
