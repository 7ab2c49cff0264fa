//! What goes into the line from other threads, and what comes out of it for the log.
//!
//! In: [`LineEvent`]s through an [`EventQueue`] (single producer, single consumer, wait-free). The loop thread never waits: what
//! finds no room stays in its [`Outbox`] and is offered again. Where that is full too, an event is lost, and that is safe: a
//! lost verdict leaves its part absent, hence rejected; a lost trigger shows as a gap in the part numbers, hence counted as
//! missed with an alarm.
//!
//! Out: [`Note`]s, taken one by one with [`Line::take_note`](crate::line::Line::take_note). Every part gives exactly one
//! [`What::Left`], every pulse exactly one [`What::PulseOn`] and one [`What::PulseOff`], so that a log of notes matches the
//! pins one to one.

use crate::alarm::Alarm;
use crate::line::Mode;
use crate::outputs::Signal;
use crate::part::{Part, PartId, Travel};
use crate::recipe::Recipe;
use crate::time::Micros;
use crate::verdict::{EjectorId, ModelDigest, Outcome, PulseId, RecipeId, Score, Verdict, Why};

/// The queue between the loop thread and the actuator thread. Make one, `split()` it, give each thread its end.
pub type EventQueue = heapless::spsc::Queue<LineEvent, { crate::EVENT_CAPACITY }>;

/// How many events an [`Outbox`] keeps.
pub const OUTBOX_CAPACITY: usize = 16;

/// The loop thread's end of the queue: keeps what finds no room, in order, and offers it again first. The loop calls
/// [`Outbox::flush`] at every turn, time-outs of the camera included, so that the last trigger before a pause is not lost.
#[derive(Default)]
pub struct Outbox {
    waiting: heapless::Deque<LineEvent, OUTBOX_CAPACITY>,
    /// Every part numbered less was triggered, and the last of them found no room.
    untold: Option<PartId>,
    /// The camera's state, where the last event about it found no room: a line that never hears of it would be held for ever.
    camera: Option<LineEvent>,
    /// Events that found no room here either.
    pub lost: u64,
}

impl Outbox {
    /// An empty outbox.
    pub const fn new() -> Outbox {
        Outbox { waiting: heapless::Deque::new(), untold: None, camera: None, lost: 0 }
    }

    /// Sends `event` after all that waits; `enqueue` puts one into the queue and says whether it fitted.
    pub fn send(&mut self, event: LineEvent, mut enqueue: impl FnMut(LineEvent) -> bool) {
        if self.flush(&mut enqueue) && enqueue(event) {
            return;
        }
        if self.waiting.push_back(event).is_err() {
            self.lost = self.lost.saturating_add(1);
            match event {
                LineEvent::Triggered(part) => self.untold = Some(part.id.next()),
                LineEvent::CameraLost(_) | LineEvent::CameraBack => self.camera = Some(event),
                _ => {}
            }
        }
    }

    /// Sends what waits; true where nothing waits any more.
    pub fn flush(&mut self, mut enqueue: impl FnMut(LineEvent) -> bool) -> bool {
        while let Some(event) = self.waiting.front().copied() {
            if !enqueue(event) {
                return false;
            }
            let _ = self.waiting.pop_front();
        }
        if let Some(before) = self.untold {
            if !enqueue(LineEvent::TriggersLost { before }) {
                return false;
            }
            self.untold = None;
        }
        if let Some(event) = self.camera {
            if !enqueue(event) {
                return false;
            }
            self.camera = None;
        }
        true
    }
}

/// Something that happened outside the actuator thread.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum LineEvent {
    /// A part was triggered (a free-running camera's frame, a software trigger).
    Triggered(Part),
    /// All parts numbered less than this were triggered; those that the line was not told of are missed.
    TriggersLost {
        /// The number after the last of them.
        before: PartId,
    },
    /// A frame came from the camera and its inspection begins.
    FrameArrived {
        /// The driver's timestamp.
        captured_at: Micros,
    },
    /// A frame came that cannot be inspected: the camera is not late, and no inspection begins.
    FrameUnfit,
    /// An inspection was completed.
    Judged(Verdict),
    /// From now on, triggers belong to this recipe; parts in flight keep theirs.
    Recipe(Recipe),
    /// A recipe was asked for that does not exist: the old one stays, with an alarm.
    UnknownRecipe,
    /// The camera gives nothing that shows a part: the line is held until it is back. Said again, it changes nothing.
    CameraLost(CameraLoss),
    /// The camera is back.
    CameraBack,
    /// Take out the next good part at this ejector.
    Sample(EjectorId),
    /// The operator has seen the alarms.
    Acknowledge,
    /// Go to the safe state and stay there.
    Stop,
}

/// Why the camera gives nothing that shows a part.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CameraLoss {
    /// It is away: unplugged, or it cannot be opened.
    Gone,
    /// It gives the same picture again and again.
    Frozen,
}

impl CameraLoss {
    /// The alarm that says so.
    pub const fn alarm(self) -> Alarm {
        match self {
            CameraLoss::Gone => Alarm::CameraLost,
            CameraLoss::Frozen => Alarm::CameraFrozen,
        }
    }
}

/// Something that the line did, for the log, telemetry and the black box.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Note {
    /// When.
    pub at: Micros,
    /// What.
    pub what: What,
}

/// What the line did.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum What {
    /// An ejector went on.
    PulseOn {
        /// The pulse's number.
        pulse: PulseId,
        /// Which ejector.
        ejector: EjectorId,
        /// The part that it was fired for; others may join the same pulse.
        part: PartId,
        /// Where on the axis the window opened.
        planned: Travel,
        /// By how many axis units the edge came later than planned.
        late: i64,
    },
    /// An ejector went off.
    PulseOff {
        /// The pulse's number.
        pulse: PulseId,
        /// Which ejector.
        ejector: EjectorId,
        /// By how many axis units the edge came later than the last window of the pulse closed; `None` where no window's close
        /// ended it (a stop, a belt that stands or runs back).
        late: Option<i64>,
    },
    /// A part left.
    Left(Departure),
    /// Triggers were lost between the threads: these parts, counted as missed, were never in the table.
    Lost {
        /// The first of them.
        first: PartId,
        /// How many.
        count: u64,
    },
    /// An alarm was raised that did not stand before.
    Raised(Alarm),
    /// All alarms were acknowledged.
    Acknowledged,
    /// The mode changed.
    Mode(Mode),
    /// Triggers now belong to this recipe.
    Recipe(RecipeId),
    /// A pin could not be set.
    PinFailed(Signal),
}

/// The last word on one part.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Departure {
    /// The part.
    pub part: Part,
    /// How it left.
    pub outcome: Outcome,
    /// Why.
    pub why: Why,
    /// The recipe it was triggered under.
    pub recipe: RecipeId,
    /// What its verdict rested on; `None` where none came.
    pub evidence: Option<Evidence>,
}

/// What a part's verdict rested on.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Evidence {
    /// The image-level score.
    pub score: Score,
    /// The driver's number of the frame.
    pub sequence: u32,
    /// The model.
    pub model: ModelDigest,
    /// When the frame was taken.
    pub captured_at: Micros,
    /// When the decision was made.
    pub decided_at: Micros,
}

impl From<&Verdict> for Evidence {
    fn from(verdict: &Verdict) -> Evidence {
        let Verdict { score, sequence, model, captured_at, decided_at, .. } = *verdict;
        Evidence { score, sequence, model, captured_at, decided_at }
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    #[test]
    fn what_finds_no_room_is_sent_first_and_in_order() {
        let mut outbox = Outbox::new();
        let (mut sent, mut room) = (Vec::new(), 0);
        for id in 0..20u64 {
            if id == 18 {
                room = 100;
            }
            let mut enqueue = |event| {
                if room > 0 {
                    room -= 1;
                    sent.push(event);
                }
                !sent.is_empty()
            };
            if id == 17 {
                // Only the last word on the camera counts.
                outbox.send(LineEvent::CameraLost(CameraLoss::Gone), &mut enqueue);
                outbox.send(LineEvent::CameraBack, &mut enqueue);
            }
            outbox.send(LineEvent::Triggered(Part::new(PartId(id), Micros::ZERO)), &mut enqueue);
        }
        let ids: Vec<u64> = sent
            .iter()
            .map(|event| match event {
                LineEvent::Triggered(part) => part.id.0,
                LineEvent::TriggersLost { before } => 1_000 + before.0,
                LineEvent::CameraBack => 2_000,
                _ => unreachable!("nothing else was sent"),
            })
            .collect();
        assert_eq!(ids, (0..16).chain([1_018, 2_000, 18, 19]).collect::<Vec<u64>>());
        assert_eq!(outbox.lost, 4);
    }
}
