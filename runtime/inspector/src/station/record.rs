//! What the loop and the actuator tell the rest of the process: fixed-size records through bounded queues.
//!
//! Architecture invariant: a full queue loses the record and counts it; it never holds up whoever writes.

use std::time::Duration;

use jidoka_capture::Truth;
use jidoka_line::{Judgement, Note, Part, Why};

use super::views::Said;

/// Time spent on one frame, by stage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Laps {
    /// Frame to engine input.
    pub prepare: Duration,
    /// The network.
    pub infer: Duration,
    /// Score against threshold, and the verdict's way to the actuator's queue.
    pub judge: Duration,
    /// From the driver's timestamp to the verdict in the actuator's queue.
    pub total: Duration,
}

/// One frame as the loop saw it.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// The part that the frame shows.
    pub part: Part,
    /// The driver's number of the frame.
    pub sequence: u32,
    /// What the part really is, where the source knows.
    pub truth: Option<Truth>,
    /// The score; not a number where there is none.
    pub score: f32,
    /// What was decided.
    pub judgement: Judgement,
    /// Why.
    pub why: Why,
    /// What each view said; the worst of them is the above.
    pub said: Said,
    /// How long it took.
    pub laps: Laps,
}

/// Frames on their way from the loop to the scribe.
pub type SeenQueue = heapless::spsc::Queue<Seen, 256>;
/// Notes on their way from the actuator to the scribe.
pub type NoteQueue = heapless::spsc::Queue<Note, 1024>;

/// Who takes the records. Runs on an ordinary thread: may allocate, write files, be slow.
pub trait Sink {
    /// A frame was judged.
    fn seen(&mut self, seen: &Seen);

    /// The line did something. Comes after the [`Sink::seen`] of the same part.
    fn note(&mut self, note: &Note);

    /// Everything that had come has been handed over; now is the time to flush.
    fn rest(&mut self) {}
}

/// Several takers of the same records, one after the other.
pub struct Fanout<'a>(pub Vec<&'a mut dyn Sink>);

impl Sink for Fanout<'_> {
    fn seen(&mut self, seen: &Seen) {
        self.0.iter_mut().for_each(|sink| sink.seen(seen));
    }

    fn note(&mut self, note: &Note) {
        self.0.iter_mut().for_each(|sink| sink.note(note));
    }

    fn rest(&mut self) {
        self.0.iter_mut().for_each(|sink| sink.rest());
    }
}
