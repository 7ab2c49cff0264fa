//! How a line runs, and what it has counted.

use crate::alarm::{Alarms, Deadlines, RejectLimits};
use crate::golden::GoldenPlan;
use crate::outputs::Wiring;
use crate::part::PartId;
use crate::recipe::Recipe;
use crate::time::{Micros, Span};
use crate::verdict::RecipeId;

/// How the line runs.
#[derive(Clone, Debug)]
pub struct LineConfig {
    /// The recipe to start with.
    pub recipe: Recipe,
    /// How the reject ejector is wired.
    pub wiring: Wiring,
    /// How many of a part's frames decide.
    pub quorum: Quorum,
    /// A verdict about a frame older than this is stale.
    pub stale_after: Span,
    /// How long Result-valid, Pass, Fail and Missed stay on for one part.
    pub result_hold: Span,
    /// How a frame is matched to a part that a sensor triggered.
    pub matching: Matching,
    /// Two parts triggered in less than this are both rejected; zero to leave it unchecked.
    pub least_interval: Span,
    /// When counts of rejects raise an alarm.
    pub limits: RejectLimits,
    /// Alarms that assert Line-stop (and take Ready away) until acknowledged.
    pub stop_on: Alarms,
    /// The longest that an ejector stays on, whatever the axis says (a belt that stops with a window open).
    pub longest_on: Option<Span>,
    /// Deadlines of the stages.
    pub deadlines: Deadlines,
    /// Frames come by themselves, without a trigger.
    pub free_running: bool,
    /// Golden samples that must be seen before the line is Ready.
    pub golden: Option<GoldenPlan>,
}

impl LineConfig {
    /// A line that rejects on the first bad frame, believes verdicts for a second, and supervises nothing.
    pub fn new(recipe: Recipe) -> LineConfig {
        LineConfig {
            recipe,
            wiring: Wiring::default(),
            quorum: Quorum::default(),
            stale_after: Span::from_millis(1_000),
            result_hold: Span::from_millis(20),
            matching: Matching::default(),
            least_interval: Span::ZERO,
            limits: RejectLimits::default(),
            stop_on: Alarms::NONE,
            longest_on: None,
            deadlines: Deadlines::default(),
            free_running: true,
            golden: None,
        }
    }
}

/// A part is good when so many of its frames are that `rejects` bad ones among `frames` are impossible.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Quorum {
    /// How many frames are taken of each part.
    pub frames: u8,
    /// How many bad ones among them make the part bad.
    pub rejects: u8,
}

impl Default for Quorum {
    fn default() -> Self {
        Quorum { frames: 1, rejects: 1 }
    }
}

/// How a frame is matched to the part that was in view.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Matching {
    /// From the trigger (where the line lights or exposes the part itself: from the exposure) to the frame's timestamp.
    pub offset: Span,
    /// By how much that may be off.
    pub tolerance: Span,
    /// Every trigger exposes one frame and the driver numbers them all, so the numbers of parts and frames must advance
    /// together; a frame that fits one part by time and another by number is believed for neither.
    pub check_sequence: bool,
    /// The longest time from exposure to the loop having the frame. A frame whose timestamp says otherwise, or lies in the
    /// future, has a wrong timestamp and must not be used (see [`Matching::is_plausible`]); less than the pitch, so that no
    /// timestamp can point to another part.
    pub arrives_within: Span,
}

impl Default for Matching {
    fn default() -> Self {
        Matching { offset: Span::ZERO, tolerance: Span::ZERO, check_sequence: false, arrives_within: Span::MAX }
    }
}

impl Matching {
    /// Whether a frame that the loop has at `arrived_at` can have been taken at `captured_at`. The loop drops one that cannot:
    /// its part stays without a verdict and is rejected.
    pub fn is_plausible(&self, captured_at: Micros, arrived_at: Micros) -> bool {
        captured_at <= arrived_at && arrived_at.since(captured_at) <= self.arrives_within
    }
}

/// A part whose frame may come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FrameDue {
    /// The part.
    pub part: PartId,
    /// The recipe that it was triggered under, and has to be judged by.
    pub recipe: RecipeId,
    /// The timestamp that its frame must bear, give or take the tolerance.
    pub at: Micros,
}

/// What happened so far. `triggered == passed + rejected + missed + in flight`, always.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Counters {
    /// Parts that were triggered, those lost between the threads included.
    pub triggered: u64,
    /// Parts that left as pass.
    pub passed: u64,
    /// Parts that left as reject.
    pub rejected: u64,
    /// Parts that left as missed.
    pub missed: u64,
    /// Completed inspections.
    pub completed: u64,
    /// Verdicts that came after their part's window had opened or their part had left.
    pub late: u64,
    /// Verdicts that were too old or of another recipe.
    pub stale: u64,
    /// Verdicts that fitted no part.
    pub orphaned: u64,
    /// Frames whose time and number pointed to different parts.
    pub mismatched: u64,
    /// Triggers of a part that had been triggered before.
    pub duplicated: u64,
    /// Parts too close to tell apart.
    pub too_close: u64,
    /// Notes that nobody took in time.
    pub notes_lost: u64,
    /// Pulses begun.
    pub pulses: u64,
}
