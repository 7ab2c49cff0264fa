//! A GPIO chip in this process: named lines, a bounded record of every edge, and a hand that drives the inputs.
//!
//! The record is made once, with its full size; setting a line writes one slot with atomics and cannot block. When the
//! record is full, later edges still change the level but are only counted, so a test sees that its record is short.

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use embedded_hal::digital::PinState;
use rustix::event::{EventfdFlags, eventfd};

use crate::edges::{Edge, Edges};
use crate::inventory::{ChipInfo, LineInfo};

/// A simulated chip. Clones are the same chip.
#[derive(Clone)]
pub struct SimChip {
    state: Arc<State>,
}

/// One recorded change of a line's level on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SimEdge {
    /// When, on the clock that the chip was made with.
    pub at: Duration,
    /// The line's offset.
    pub line: usize,
    /// The level after the change.
    pub level: PinState,
}

struct State {
    label: String,
    lines: Box<[Line]>,
    record: Box<[Slot]>,
    /// Edges so far, recorded or not.
    edges: AtomicUsize,
    clock: Box<dyn Fn() -> Duration + Send + Sync>,
    /// Held for an instant by `drive` and by a waiting input; never by `set`.
    waiting: Mutex<()>,
    driven: Condvar,
    /// One for each set of edges that is watched, for whoever polls.
    bells: Mutex<Vec<Weak<OwnedFd>>>,
}

struct Line {
    name: String,
    high: AtomicBool,
    taken: AtomicBool,
}

/// A record slot: `what` is 0 until `at_ns` is in place, then `line << 2 | level << 1 | 1`.
#[derive(Default)]
struct Slot {
    at_ns: AtomicU64,
    what: AtomicU32,
}

impl SimChip {
    /// A chip called `label` whose lines have these names (an empty name is a nameless line), all low.
    ///
    /// `capacity` is how many edges are recorded, those of inputs included; `clock` stamps them. A test hands in a clock
    /// that it moves by hand; the demo hands in `CLOCK_MONOTONIC`.
    pub fn new(
        label: &str,
        lines: &[&str],
        capacity: usize,
        clock: impl Fn() -> Duration + Send + Sync + 'static,
    ) -> Self {
        let line =
            |name: &&str| Line { name: name.to_string(), high: AtomicBool::new(false), taken: AtomicBool::new(false) };
        SimChip {
            state: Arc::new(State {
                label: label.into(),
                lines: lines.iter().map(line).collect(),
                record: (0..capacity).map(|_| Slot::default()).collect(),
                edges: AtomicUsize::new(0),
                clock: Box::new(clock),
                waiting: Mutex::new(()),
                driven: Condvar::new(),
                bells: Mutex::new(Vec::new()),
            }),
        }
    }

    /// The chip's label.
    pub fn label(&self) -> &str {
        &self.state.label
    }

    /// The offset of the line with that name.
    pub fn offset_of(&self, line: &str) -> Option<usize> {
        self.state.lines.iter().position(|l| l.name == line)
    }

    /// The level of the named line on the wire; `None` when there is no such line.
    pub fn level(&self, line: &str) -> Option<PinState> {
        self.offset_of(line).map(|offset| PinState::from(self.is_high(offset)))
    }

    /// Drive the named line from outside, as a sensor would. Returns false when there is no such line.
    pub fn drive(&self, line: &str, level: PinState) -> bool {
        let Some(offset) = self.offset_of(line) else { return false };
        self.set(offset, level == PinState::High);
        for bell in self.state.bells.lock().unwrap_or_else(PoisonError::into_inner).iter().filter_map(Weak::upgrade) {
            // A full counter is rung already.
            let _ = rustix::io::write(&*bell, &1_u64.to_ne_bytes());
        }
        let _held = self.state.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        self.state.driven.notify_all();
        true
    }

    /// Every recorded edge, oldest first.
    pub fn edges(&self) -> Vec<SimEdge> {
        (0..self.recorded()).map_while(|index| self.slot(index)).collect()
    }

    /// The recorded edges of the named line, oldest first.
    pub fn edges_of(&self, line: &str) -> Vec<SimEdge> {
        let offset = self.offset_of(line);
        self.edges().into_iter().filter(|edge| Some(edge.line) == offset).collect()
    }

    /// How many edges came after the record was full.
    pub fn lost(&self) -> usize {
        self.state.edges.load(Ordering::Acquire).saturating_sub(self.state.record.len())
    }

    pub(crate) fn info(&self) -> ChipInfo {
        let line = |line: &Line| LineInfo {
            name: line.name.clone(),
            consumer: line.taken.load(Ordering::Acquire).then(|| "this process".into()),
        };
        ChipInfo {
            name: self.state.label.clone(),
            label: self.state.label.clone(),
            path: Default::default(),
            lines: self.state.lines.iter().map(line).collect(),
            sysfs_base: None,
        }
    }

    /// Take a line for use; `None` when it is in use.
    pub(crate) fn take(&self, offset: usize) -> Option<SimLine> {
        let was_taken = self.state.lines[offset].taken.swap(true, Ordering::AcqRel);
        (!was_taken).then(|| SimLine { chip: self.clone(), offset })
    }

    pub(crate) fn is_high(&self, offset: usize) -> bool {
        self.state.lines[offset].high.load(Ordering::SeqCst)
    }

    /// Put a level on the wire and record the edge if it is one.
    pub(crate) fn set(&self, offset: usize, high: bool) {
        let state = &*self.state;
        if state.lines[offset].high.swap(high, Ordering::SeqCst) == high {
            return;
        }
        let index = state.edges.fetch_add(1, Ordering::AcqRel);
        if let Some(slot) = state.record.get(index) {
            slot.at_ns.store((state.clock)().as_nanos() as u64, Ordering::Relaxed);
            slot.what.store((offset as u32) << 2 | u32::from(high) << 1 | 1, Ordering::Release);
        }
    }

    /// How many edges there are to read.
    pub(crate) fn recorded(&self) -> usize {
        self.state.edges.load(Ordering::Acquire).min(self.state.record.len())
    }

    fn slot(&self, index: usize) -> Option<SimEdge> {
        let slot = self.state.record.get(index)?;
        let what = slot.what.load(Ordering::Acquire);
        (what != 0).then(|| SimEdge {
            at: Duration::from_nanos(slot.at_ns.load(Ordering::Relaxed)),
            line: (what >> 2) as usize,
            level: PinState::from(what & 2 != 0),
        })
    }

    /// The next recorded edge from `cursor` on that is wanted, and move the cursor past it.
    fn next_edge(&self, cursor: &mut usize, wanted: &dyn Fn(&SimEdge) -> bool) -> Option<SimEdge> {
        while *cursor < self.recorded() {
            let edge = self.slot(*cursor)?;
            *cursor += 1;
            if wanted(&edge) {
                return Some(edge);
            }
        }
        None
    }
}

impl fmt::Debug for SimChip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimChip").field("label", &self.state.label).field("edges", &self.recorded()).finish()
    }
}

/// A simulated line in use; dropping it frees the line.
pub(crate) struct SimLine {
    pub chip: SimChip,
    pub offset: usize,
}

impl Drop for SimLine {
    fn drop(&mut self) {
        self.chip.state.lines[self.offset].taken.store(false, Ordering::Release);
    }
}

/// The edges of some lines of a simulated chip, from the moment this was made.
pub(crate) struct SimEdges {
    chip: SimChip,
    /// Each line and whether it is active-low, in the order they were asked for.
    lines: Vec<(SimLine, bool)>,
    edges: Edges,
    cursor: usize,
    bell: Arc<OwnedFd>,
}

impl SimEdges {
    pub(crate) fn new(chip: SimChip, lines: Vec<(SimLine, bool)>, edges: Edges) -> std::io::Result<Self> {
        let cursor = chip.recorded();
        let bell = Arc::new(eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?);
        chip.state.bells.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(&bell));
        Ok(SimEdges { chip, lines, edges, cursor, bell })
    }

    /// Readable when a line may have been driven since the last look.
    pub(crate) fn bell(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }

    pub(crate) fn is_active(&self, index: usize) -> bool {
        let (line, invert) = &self.lines[index];
        self.chip.is_high(line.offset) ^ invert
    }

    /// The next edge: which of the lines, which way, when.
    pub(crate) fn wait(&mut self, timeout: Duration) -> Option<(usize, Edge, Duration)> {
        let mut rings = [0_u8; 8];
        let _ = rustix::io::read(&*self.bell, &mut rings); // before the look, so that no ring is lost
        if let Some(found) = self.take_next() {
            return Some(found);
        }
        if timeout.is_zero() {
            return None;
        }
        let deadline = Instant::now() + timeout;
        let chip = self.chip.clone();
        let mut held = chip.state.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(found) = self.take_next() {
                return Some(found);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            held = chip.state.driven.wait_timeout(held, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn take_next(&mut self) -> Option<(usize, Edge, Duration)> {
        let SimEdges { chip, lines, edges, cursor, .. } = self;
        let logical = |edge: &SimEdge| {
            let index = lines.iter().position(|(line, _)| line.offset == edge.line)?;
            let way = Edge::to((edge.level == PinState::High) ^ lines[index].1);
            edges.include(way).then_some((index, way, edge.at))
        };
        chip.next_edge(cursor, &|edge| logical(edge).is_some()).and_then(|edge| logical(&edge))
    }
}

#[cfg(test)]
mod tests {
    use embedded_hal::digital::{InputPin, OutputPin};

    use super::*;
    use crate::{Error, Gpio, InputSpec, OutputSpec};

    fn chip(capacity: usize) -> (SimChip, Arc<AtomicU64>) {
        let now = Arc::new(AtomicU64::new(0));
        let clock = now.clone();
        let chip = SimChip::new("sim", &["REJECT", "READY", "SENSOR"], capacity, move || {
            Duration::from_millis(clock.load(Ordering::Relaxed))
        });
        (chip, now)
    }

    #[test]
    fn edges_are_recorded_with_the_given_clock() {
        let (chip, now) = chip(8);
        let gpio = Gpio::simulated(std::slice::from_ref(&chip));
        let mut reject = gpio.output(&OutputSpec::new("sim/REJECT")).unwrap();
        for (at, state) in [(10, PinState::High), (12, PinState::High), (35, PinState::Low)] {
            now.store(at, Ordering::Relaxed);
            reject.set(state).unwrap();
        }
        let edge = |ms, level| SimEdge { at: Duration::from_millis(ms), line: 0, level };
        assert_eq!(chip.edges(), [edge(10, PinState::High), edge(35, PinState::Low)]);
    }

    #[test]
    fn a_full_record_counts_what_it_lost() {
        let (chip, _) = chip(3);
        let gpio = Gpio::simulated(std::slice::from_ref(&chip));
        let mut reject = gpio.output(&OutputSpec::new("REJECT")).unwrap();
        for _ in 0..5 {
            reject.set_high().unwrap();
            reject.set_low().unwrap();
        }
        assert_eq!((chip.edges().len(), chip.lost()), (3, 7));
    }

    #[test]
    fn dropped_output_returns_to_its_safe_state() {
        for (safe, active_low, resting) in [
            (PinState::Low, false, PinState::Low),
            (PinState::Low, true, PinState::High),
            (PinState::High, false, PinState::High),
            (PinState::High, true, PinState::Low),
        ] {
            let (chip, _) = chip(8);
            let gpio = Gpio::simulated(std::slice::from_ref(&chip));
            let spec = OutputSpec { safe, active_low, ..OutputSpec::new("REJECT") };
            let mut output = gpio.output(&spec).unwrap();
            assert_eq!(chip.level("REJECT"), Some(resting), "requested: {spec:?}");
            output.set(!safe).unwrap();
            assert_eq!(chip.level("REJECT"), Some(!resting), "set: {spec:?}");
            assert_eq!(output.read_back().unwrap(), !safe, "{spec:?}");
            drop(output);
            assert_eq!(chip.level("REJECT"), Some(resting), "dropped: {spec:?}");
        }
    }

    #[test]
    fn a_line_in_use_is_refused_and_free_again_after_drop() {
        let (chip, _) = chip(8);
        let gpio = Gpio::simulated(&[chip]);
        let first = gpio.output(&OutputSpec::new("REJECT")).unwrap();
        let error = gpio.input(&InputSpec::new("REJECT")).unwrap_err();
        assert!(matches!(&error, Error::Taken { .. }), "{error}");
        drop(first);
        gpio.input(&InputSpec::new("REJECT")).unwrap();
    }

    #[test]
    fn driven_inputs_read_and_report_edges() {
        let (chip, now) = chip(8);
        let gpio = Gpio::simulated(std::slice::from_ref(&chip));
        let mut ready = gpio.input(&InputSpec { active_low: true, ..InputSpec::new("READY") }).unwrap();
        assert!(ready.is_high().unwrap(), "a low wire is active on an active-low line");
        let mut sensor = gpio.edges(&[InputSpec::new("SENSOR")], Edges::Rising).unwrap();
        assert!(sensor.wait(Duration::ZERO).unwrap().is_none());
        for (at, level) in [(5, PinState::High), (9, PinState::Low), (20, PinState::High)] {
            now.store(at, Ordering::Relaxed);
            assert!(chip.drive("SENSOR", level));
        }
        assert!(!chip.drive("NOTHING", PinState::High));
        let mut seen = Vec::new();
        while let Some(event) = sensor.wait(Duration::ZERO).unwrap() {
            assert_eq!((event.line, event.edge, event.lost), (0, Edge::Rising, 0));
            seen.push(event.at.as_millis());
        }
        assert_eq!(seen, [5, 20]);
        assert!(sensor.is_active(0).unwrap());
    }

    #[test]
    fn a_waiting_input_wakes_on_the_edge() {
        let (chip, _) = chip(8);
        let gpio = Gpio::simulated(std::slice::from_ref(&chip));
        let mut sensor = gpio.edges(&[InputSpec::new("SENSOR")], Edges::Both).unwrap();
        std::thread::scope(|scope| {
            let waiter = scope.spawn(move || sensor.wait(Duration::from_secs(60)).unwrap());
            chip.drive("SENSOR", PinState::High);
            assert_eq!(waiter.join().unwrap().map(|event| event.edge), Some(Edge::Rising));
        });
    }
}
