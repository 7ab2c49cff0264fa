//! What was decided about a part, by what, and why.

use crate::part::{Part, PartId};
use crate::time::Micros;

/// An image-level anomaly score. Not a number means that no score could be computed, which is never a pass.
#[derive(Clone, Copy, PartialEq, PartialOrd, Debug)]
pub struct Score(pub f32);

/// The first eight bytes of the digest of the model file that gave a verdict.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct ModelDigest(pub [u8; 8]);

/// Which recipe a part was triggered under, and a verdict was computed under.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct RecipeId(pub u16);

/// Which ejector on the line; 0 is the reject ejector, where everything unsure goes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct EjectorId(pub u8);

impl EjectorId {
    /// The reject ejector.
    pub const REJECT: EjectorId = EjectorId(0);
}

/// What an inspection said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Judgement {
    /// Good.
    Pass,
    /// Bad, or not surely good: to the reject ejector.
    Reject,
    /// Neither surely good nor surely bad: to the given ejector (rework, sample). Falls back to reject where the line has no
    /// such ejector or its window has gone.
    Divert(EjectorId),
    /// The part was not inspected (bad frame, engine error). Rejected while there is time, otherwise missed.
    Missed,
}

/// Why a part got its outcome.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum Why {
    /// Nothing was wrong with it.
    Good = 0,
    /// The image score was at or over the threshold.
    Score = 1,
    /// Too many pixels of the anomaly map were over the pixel limit.
    Pixels = 2,
    /// A region of interest was over its own limit.
    Region = 3,
    /// The score lay in the band between surely good and surely bad.
    Band = 4,
    /// Taken out on request, for a sample.
    Sample = 5,
    /// The score was not a number.
    NoScore = 6,
    /// The frame was short, corrupt or refused.
    BadFrame = 7,
    /// The engine failed on this frame.
    Engine = 8,
    /// No verdict had come when the reject window opened.
    Absent = 9,
    /// The verdict came after the reject window had opened.
    Late = 10,
    /// The verdict was too old, or of another recipe than the part.
    Stale = 11,
    /// Another part is so near that the ejector cannot tell them apart; both are rejected.
    TooClose = 12,
    /// The sensor saw one part longer than any single part is; rejected whole.
    Merged = 13,
    /// The line was held by its supervisor when the part was triggered.
    Held = 14,
    /// The table of parts in flight was full.
    NoRoom = 15,
    /// The trigger itself was lost between the threads.
    LostTrigger = 16,
    /// The reject window had closed, or had too little left, before the ejector could be fired.
    WindowGone = 17,
    /// The ejector fired but the confirmation input did not see the part.
    Unconfirmed = 18,
    /// The line was stopped with the part in flight.
    Stopped = 19,
    /// Too few of the part's frames were judged before its window opened.
    TooFewFrames = 20,
    /// The ejector's pin could not be set.
    PinFailed = 21,
    /// The frame's time and number point to different parts.
    Mismatch = 22,
    /// The pulse meant for another part ended so late that it may have touched this one.
    Touched = 23,
    /// The encoder slipped: nobody knows where the part is.
    TrackLost = 24,
}

impl Why {
    /// Each of them.
    pub const ALL: [Why; 25] = [
        Why::Good,
        Why::Score,
        Why::Pixels,
        Why::Region,
        Why::Band,
        Why::Sample,
        Why::NoScore,
        Why::BadFrame,
        Why::Engine,
        Why::Absent,
        Why::Late,
        Why::Stale,
        Why::TooClose,
        Why::Merged,
        Why::Held,
        Why::NoRoom,
        Why::LostTrigger,
        Why::WindowGone,
        Why::Unconfirmed,
        Why::Stopped,
        Why::TooFewFrames,
        Why::PinFailed,
        Why::Mismatch,
        Why::Touched,
        Why::TrackLost,
    ];
}

/// What a verdict is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Subject {
    /// This part; for a free-running camera, where every frame is a part and the loop thread numbers them.
    Part(Part),
    /// The part that was in view at the verdict's `captured_at`; for a sensor, encoder or hardware trigger, where parts are
    /// numbered by the actuator thread and the line finds the one that fits.
    Frame,
}

/// One completed inspection of one frame.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Verdict {
    /// What it is about.
    pub subject: Subject,
    /// What was decided.
    pub judgement: Judgement,
    /// Why.
    pub why: Why,
    /// The image-level score; not a number where there is none.
    pub score: Score,
    /// The driver's number of the frame.
    pub sequence: u32,
    /// The model that decided.
    pub model: ModelDigest,
    /// The recipe that it was decided under.
    pub recipe: RecipeId,
    /// The driver's timestamp of the frame.
    pub captured_at: Micros,
    /// When the decision was made.
    pub decided_at: Micros,
}

/// How a part left the line. Exactly one for each triggered part.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// With a fresh valid verdict, past every ejector.
    Pass,
    /// Ejected by this pulse of this ejector.
    Reject {
        /// Which ejector.
        ejector: EjectorId,
        /// Which pulse; parts whose windows merged share one.
        pulse: PulseId,
    },
    /// Neither could be done; an alarm was raised.
    Missed,
}

/// The number of a pulse on the line, over all ejectors.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct PulseId(pub u32);

impl Verdict {
    /// The part's number where the verdict names it.
    pub const fn part_id(&self) -> Option<PartId> {
        match self.subject {
            Subject::Part(part) => Some(part.id),
            Subject::Frame => None,
        }
    }

    /// Whether a model looked at a whole frame to give it; only such a verdict moves the heartbeat.
    pub const fn is_complete(&self) -> bool {
        !matches!(self.judgement, Judgement::Missed)
    }
}
