//! Inputs: levels, and edges with the time the kernel saw them.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use embedded_hal::digital::{ErrorType, InputPin};
use gpiocdev::line::EdgeKind;
use linux_embedded_hal::gpio_cdev::{EventType, LineEventHandle};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::time::{ClockId, clock_gettime};
use serde::Deserialize;

use crate::output::{Wire, errno};
use crate::sim::SimEdges;
use crate::sysfs::SysfsLine;
use crate::{Cause, PinError, v1, v2};

/// Which way a line changed, logically: `Rising` is inactive to active.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edge {
    /// Inactive to active.
    Rising,
    /// Active to inactive.
    Falling,
}

impl Edge {
    /// The edge that ends at this level.
    pub(crate) fn to(active: bool) -> Self {
        if active { Edge::Rising } else { Edge::Falling }
    }
}

/// Which edges to report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Edges {
    /// Inactive to active.
    Rising,
    /// Active to inactive.
    Falling,
    /// Both.
    Both,
}

impl Edges {
    pub(crate) fn include(self, edge: Edge) -> bool {
        matches!((self, edge), (Edges::Both, _) | (Edges::Rising, Edge::Rising) | (Edges::Falling, Edge::Falling))
    }

    /// The same edges as seen on the wire of an active-low line.
    pub(crate) fn on_wire(self, invert: bool) -> Self {
        match (self, invert) {
            (Edges::Rising, true) => Edges::Falling,
            (Edges::Falling, true) => Edges::Rising,
            (edges, _) => edges,
        }
    }
}

/// An edge that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EdgeEvent {
    /// Which line: the index into the lines that were asked for.
    pub line: usize,
    /// Which way.
    pub edge: Edge,
    /// When, on `CLOCK_MONOTONIC`. By the kernel's interrupt handler (v2, v1), by this process (sysfs), or by the
    /// simulated chip's clock.
    pub at: Duration,
    /// How many edges of this line were lost before this one, as far as the back end can tell (v2 counts exactly, sysfs
    /// only sees that some are missing, v1 cannot tell and says 0).
    pub lost: u32,
}

/// A line that is read.
pub struct Input {
    line: Arc<str>,
    wire: Wire,
}

impl std::fmt::Debug for Input {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Input").field("line", &self.line).finish()
    }
}

impl Input {
    pub(crate) fn new(line: Arc<str>, wire: Wire) -> Self {
        Input { line, wire }
    }

    /// The line's address.
    pub fn line(&self) -> &str {
        &self.line
    }
}

impl ErrorType for Input {
    type Error = PinError;
}

impl InputPin for Input {
    fn is_high(&mut self) -> Result<bool, PinError> {
        self.wire.get().map_err(|errno| PinError { line: self.line.clone(), cause: Cause::Os(errno) })
    }

    fn is_low(&mut self) -> Result<bool, PinError> {
        self.is_high().map(|high| !high)
    }
}

/// The most descriptors one [`EdgeInput`] waits on. With v2 a chip needs one, however many its lines.
pub(crate) const MAX_SOURCES: usize = 8;

/// Lines whose edges are waited for together.
///
/// A line's edges come in the order in which they happened. Edges of different lines are sorted among those at hand, but
/// one that the kernel's interrupt thread was slow to queue may come after a younger one of another line: where that
/// matters, [`EdgeEvent::at`] is the truth.
pub struct EdgeInput {
    lines: Vec<Arc<str>>,
    sources: Vec<Source>,
}

/// How many events are read from a source at once.
const BATCH: usize = 16;

/// One thing to poll, and the events read from it that were not handed out yet.
pub(crate) struct Source {
    pub kind: SourceKind,
    /// Made with room for `BATCH`; never grows.
    pending: Vec<EdgeEvent>,
}

pub(crate) enum SourceKind {
    /// Lines of one chip: for each its offset, its index in the caller's list and the last sequence number seen.
    V2 {
        request: gpiocdev::Request,
        lines: Vec<(u32, usize, u32)>,
    },
    V1 {
        handle: LineEventHandle,
        index: usize,
        invert: bool,
    },
    Sysfs {
        pin: SysfsLine,
        index: usize,
        invert: bool,
        edges: Edges,
        last: bool,
    },
    Sim(SimEdges),
}

impl Source {
    pub(crate) fn new(kind: SourceKind) -> Self {
        Source { kind, pending: Vec::with_capacity(BATCH) }
    }

    fn fd(&self) -> Option<(BorrowedFd<'_>, PollFlags)> {
        match &self.kind {
            SourceKind::V2 { request, .. } => Some((request.as_fd(), PollFlags::IN)),
            SourceKind::V1 { handle, .. } => Some((handle.as_fd(), PollFlags::IN)),
            SourceKind::Sysfs { pin, .. } => Some((pin.as_fd(), PollFlags::PRI | PollFlags::ERR)),
            SourceKind::Sim(edges) => Some((edges.bell(), PollFlags::IN)),
        }
    }

    /// Read what is there into `pending`; only called when something is, so it does not block.
    fn read(&mut self) -> Result<(), (usize, i32)> {
        match &mut self.kind {
            SourceKind::V2 { request, lines } => {
                let mut buffer = v2::EventBuffer::default();
                let events = buffer.read(request).map_err(|error| (lines[0].1, v2::errno(&error)))?;
                for event in events.flatten().take(BATCH) {
                    let Some((_, index, last)) = lines.iter_mut().find(|(offset, ..)| *offset == event.offset) else {
                        continue;
                    };
                    let lost = event.line_seqno.wrapping_sub(*last).saturating_sub(1);
                    *last = event.line_seqno;
                    let edge = Edge::to(event.kind == EdgeKind::Rising);
                    let at = Duration::from_nanos(event.timestamp_ns);
                    self.pending.push(EdgeEvent { line: *index, edge, at, lost });
                }
            }
            SourceKind::V1 { handle, index, invert } => {
                let event = handle.get_event().map_err(|error| (*index, v1::last_errno(&error)))?;
                let edge = Edge::to((event.event_type() == EventType::RisingEdge) ^ *invert);
                self.pending.push(EdgeEvent { line: *index, edge, at: v1::monotonic(event.timestamp()), lost: 0 });
            }
            SourceKind::Sysfs { pin, index, invert, edges, last } => {
                let at = duration(clock_gettime(ClockId::Monotonic));
                let active = pin.level().map_err(|error| (*index, errno(&error)))? ^ *invert;
                let was = std::mem::replace(last, active);
                let (edge, lost) = sysfs_edge(*edges, was, active);
                self.pending.push(EdgeEvent { line: *index, edge, at, lost });
            }
            SourceKind::Sim(_) => {}
        }
        Ok(())
    }
}

/// sysfs only says that something happened. With one kind of edge that is the edge; with both, the level tells, and an
/// unchanged level means that two edges fell together: the first is lost, the second led back here.
fn sysfs_edge(edges: Edges, was: bool, active: bool) -> (Edge, u32) {
    match edges {
        Edges::Rising => (Edge::Rising, 0),
        Edges::Falling => (Edge::Falling, 0),
        Edges::Both => (Edge::to(active), u32::from(was == active)),
    }
}

impl EdgeInput {
    pub(crate) fn new(lines: Vec<Arc<str>>, sources: Vec<Source>) -> Self {
        EdgeInput { lines, sources }
    }

    /// The address of line `index`.
    pub fn line(&self, index: usize) -> &str {
        &self.lines[index]
    }

    fn error(&self, index: usize, errno: i32) -> PinError {
        PinError { line: self.lines[index].clone(), cause: Cause::Os(errno) }
    }

    /// Is line `index` active now?
    pub fn is_active(&self, index: usize) -> Result<bool, PinError> {
        for source in &self.sources {
            let level = match &source.kind {
                SourceKind::V2 { request, lines } => lines.iter().find(|(_, i, _)| *i == index).map(|(offset, ..)| {
                    let value = request.value(*offset).map_err(|error| v2::errno(&error))?;
                    Ok(value == gpiocdev::line::Value::Active)
                }),
                SourceKind::V1 { handle, index: i, invert } if *i == index => {
                    Some(handle.get_value().map(|v| (v != 0) ^ invert).map_err(|error| v1::last_errno(&error)))
                }
                SourceKind::Sysfs { pin, index: i, invert, .. } if *i == index => {
                    Some(pin.level().map(|level| level ^ invert).map_err(|error| errno(&error)))
                }
                SourceKind::Sim(edges) => Some(Ok(edges.is_active(index))),
                _ => None,
            };
            if let Some(level) = level {
                return level.map_err(|errno| self.error(index, errno));
            }
        }
        Err(self.error(index, rustix::io::Errno::NXIO.raw_os_error()))
    }

    /// What to poll, and for what, to be told that [`EdgeInput::wait`] has something; not until it has given `None` once, since
    /// it may have read ahead.
    pub fn descriptors(&self) -> impl Iterator<Item = (BorrowedFd<'_>, PollFlags)> {
        self.sources.iter().filter_map(Source::fd)
    }

    /// The next edge, waiting for it up to `timeout`; `None` when there was none. Allocates nothing.
    pub fn wait(&mut self, timeout: Duration) -> Result<Option<EdgeEvent>, PinError> {
        if let [Source { kind: SourceKind::Sim(edges), .. }] = self.sources.as_mut_slice() {
            let next = edges.wait(timeout);
            return Ok(next.map(|(line, edge, at)| EdgeEvent { line, edge, at, lost: 0 }));
        }
        // Something at hand is handed out, but only after a look at the other lines: theirs may be older.
        let at_hand = self.sources.iter().any(|source| !source.pending.is_empty());
        self.fill(if at_hand { Duration::ZERO } else { timeout })?;
        let mut oldest: Option<(Duration, usize, usize)> = None;
        for (s, source) in self.sources.iter().enumerate() {
            for (p, event) in source.pending.iter().enumerate() {
                if oldest.is_none_or(|(at, ..)| event.at < at) {
                    oldest = Some((event.at, s, p));
                }
            }
        }
        Ok(oldest.map(|(_, s, p)| self.sources[s].pending.remove(p)))
    }

    /// Wait until a source has something, and read from each that has and has nothing at hand.
    fn fill(&mut self, timeout: Duration) -> Result<(), PinError> {
        let mut ready = [false; MAX_SOURCES];
        {
            let Some((first, _)) = self.sources.first().and_then(Source::fd) else { return Ok(()) };
            let mut fds: [PollFd<'_>; MAX_SOURCES] =
                std::array::from_fn(|_| PollFd::from_borrowed_fd(first, PollFlags::empty()));
            let count = self.sources.len();
            for (slot, source) in fds.iter_mut().zip(&self.sources) {
                if let (Some((fd, flags)), true) = (source.fd(), source.pending.is_empty()) {
                    *slot = PollFd::from_borrowed_fd(fd, flags);
                }
            }
            let timeout = Timespec { tv_sec: timeout.as_secs() as _, tv_nsec: i64::from(timeout.subsec_nanos()) as _ };
            match poll(&mut fds[..count], Some(&timeout)) {
                Ok(_) => {}
                // A signal: the caller decides whether to wait on.
                Err(rustix::io::Errno::INTR) => return Ok(()),
                Err(errno) => return Err(self.error(0, errno.raw_os_error())),
            }
            for (index, slot) in fds[..count].iter().enumerate() {
                let wanted = self.sources[index].fd().map_or(PollFlags::empty(), |(_, flags)| flags);
                ready[index] = self.sources[index].pending.is_empty() && slot.revents().intersects(wanted);
            }
        }
        for (source, _) in self.sources.iter_mut().zip(ready).filter(|(_, ready)| *ready) {
            source
                .read()
                .map_err(|(index, errno)| PinError { line: self.lines[index].clone(), cause: Cause::Os(errno) })?;
        }
        Ok(())
    }
}

/// A kernel time as a duration since its clock's zero.
pub(crate) fn duration(time: rustix::time::Timespec) -> Duration {
    Duration::new(time.tv_sec.max(0) as u64, time.tv_nsec as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sysfs_tells_edges_by_level() {
        for (edges, was, active, expected) in [
            (Edges::Both, false, true, (Edge::Rising, 0)),
            (Edges::Both, true, false, (Edge::Falling, 0)),
            (Edges::Both, true, true, (Edge::Rising, 1)),
            (Edges::Both, false, false, (Edge::Falling, 1)),
            // The level may have moved on before it was read; the kernel reported a rising edge all the same.
            (Edges::Rising, false, false, (Edge::Rising, 0)),
            (Edges::Falling, false, true, (Edge::Falling, 0)),
        ] {
            assert_eq!(sysfs_edge(edges, was, active), expected, "{edges:?} {was} {active}");
        }
    }

    #[test]
    fn active_low_swaps_edges_on_the_wire() {
        assert_eq!(Edges::Rising.on_wire(true), Edges::Falling);
        assert_eq!(Edges::Both.on_wire(true), Edges::Both);
        assert_eq!(Edges::Falling.on_wire(false), Edges::Falling);
        assert!(Edges::Both.include(Edge::Falling) && !Edges::Rising.include(Edge::Falling));
    }
}
