//! The records, as they lie in memory. Any change of a layout here needs a new [`crate::VERSION`].

use std::fmt;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// A short text of at most 32 bytes, cut at a character boundary and padded with zeros.
#[derive(Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Name([u8; 32]);

impl Name {
    /// No text.
    pub const EMPTY: Name = Name([0; 32]);

    /// The text, cut to what fits. Allocates nothing.
    pub fn new(text: &str) -> Self {
        let mut length = text.len().min(32);
        while !text.is_char_boundary(length) {
            length -= 1;
        }
        let mut bytes = [0; 32];
        bytes[..length].copy_from_slice(&text.as_bytes()[..length]);
        Name(bytes)
    }

    /// The text; what is not UTF-8 (a damaged file) reads as the part before it.
    pub fn as_str(&self) -> &str {
        let length = self.0.iter().position(|byte| *byte == 0).unwrap_or(32);
        match std::str::from_utf8(&self.0[..length]) {
            Ok(text) => text,
            Err(error) => std::str::from_utf8(&self.0[..error.valid_up_to()]).unwrap_or_default(),
        }
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Default for Name {
    fn default() -> Self {
        Name::EMPTY
    }
}

/// How a part left. Stored as a number, so that a newer inspector's value does not break an older reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Good.
    Pass,
    /// Bad, ejected.
    Reject,
    /// No verdict in time.
    Missed,
}

impl Verdict {
    /// The number that stands for it in a record.
    pub const fn code(self) -> u32 {
        match self {
            Verdict::Pass => 1,
            Verdict::Reject => 2,
            Verdict::Missed => 3,
        }
    }

    /// The verdict of a number; `None` for one that this version does not know.
    pub const fn from_code(code: u32) -> Option<Self> {
        match code {
            1 => Some(Verdict::Pass),
            2 => Some(Verdict::Reject),
            3 => Some(Verdict::Missed),
            _ => None,
        }
    }

    /// `pass`, `reject`, `missed`.
    pub const fn name(self) -> &'static str {
        match self {
            Verdict::Pass => "pass",
            Verdict::Reject => "reject",
            Verdict::Missed => "missed",
        }
    }
}

/// Time spent on one part, by stage, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct StageTimes {
    /// From exposure (the driver's timestamp) until the loop had the frame.
    pub capture_us: u32,
    /// ROI, colour, resize, normalise.
    pub prepare_us: u32,
    /// The model.
    pub infer_us: u32,
    /// Score and map against the limits.
    pub judge_us: u32,
    /// From the verdict until the line core had taken it.
    pub hand_over_us: u32,
    /// From exposure to the end of the above.
    pub total_us: u32,
}

/// The stages' names, in the order of [`StageTimes::each`].
pub const STAGES: [&str; 6] = ["capture", "prepare", "infer", "judge", "hand_over", "total"];

impl StageTimes {
    /// The times in the order of [`STAGES`].
    pub fn each(&self) -> [u32; 6] {
        [self.capture_us, self.prepare_us, self.infer_us, self.judge_us, self.hand_over_us, self.total_us]
    }
}

/// One part's verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct VerdictRecord {
    /// Running number of the verdict since the inspector started.
    pub sequence: u64,
    /// The part.
    pub part: u64,
    /// Exposure of its frame, `CLOCK_MONOTONIC`, microseconds.
    pub captured_at_us: u64,
    /// When the verdict was there, `CLOCK_MONOTONIC`, microseconds.
    pub decided_at_us: u64,
    /// The same by the wall clock, microseconds since 1970 (UTC).
    pub decided_unix_us: u64,
    /// [`Verdict::code`].
    pub verdict: u32,
    /// Image-level score; NaN when there is none (missed).
    pub score: f32,
    /// The threshold it was held against.
    pub threshold: f32,
    /// The driver's frame number.
    pub frame: u32,
    /// Time by stage.
    pub stages: StageTimes,
    /// Heap allocations by the loop's threads since the previous verdict. 0 in the steady state.
    pub allocations: u32,
    /// Page faults by the loop's threads since the previous verdict. 0 in the steady state.
    pub faults: u32,
    /// Frames that the driver dropped since the previous verdict.
    pub dropped_frames: u32,
    /// Views of the part that were judged: 1, or more where the recipe has several.
    pub views: u32,
    /// SHA-256 of the model file of the worst view, whose score and threshold these are.
    pub model_digest: [u8; 32],
    /// The recipe in use.
    pub recipe: Name,
    /// The worst view's name.
    pub view: Name,
    /// The score of each view, the first one first; NaN where there is none.
    pub view_scores: [f32; MAX_VIEWS],
}

/// Views of a part whose scores a record holds.
pub const MAX_VIEWS: usize = 8;

impl VerdictRecord {
    /// The verdict; `None` for a number that this version does not know.
    pub fn verdict(&self) -> Option<Verdict> {
        Verdict::from_code(self.verdict)
    }
}

/// What an [`EventRecord`] tells. Stored as a number, like [`Verdict`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// The inspector started.
    Started,
    /// It stopped in good order.
    Stopped,
    /// An alarm was raised.
    Alarm,
    /// An alarm was cleared.
    AlarmCleared,
    /// The camera went away.
    CameraLost,
    /// It came back.
    CameraBack,
    /// A model was loaded.
    ModelLoaded,
    /// The recipe changed.
    RecipeChanged,
    /// An output or input line failed.
    LineFault,
    /// A stage missed its deadline.
    Overrun,
}

/// Every kind with its number and name, in one place.
const EVENT_KINDS: [(EventKind, u32, &str); 10] = [
    (EventKind::Started, 1, "started"),
    (EventKind::Stopped, 2, "stopped"),
    (EventKind::Alarm, 3, "alarm"),
    (EventKind::AlarmCleared, 4, "alarm_cleared"),
    (EventKind::CameraLost, 5, "camera_lost"),
    (EventKind::CameraBack, 6, "camera_back"),
    (EventKind::ModelLoaded, 7, "model_loaded"),
    (EventKind::RecipeChanged, 8, "recipe_changed"),
    (EventKind::LineFault, 9, "line_fault"),
    (EventKind::Overrun, 10, "overrun"),
];

impl EventKind {
    /// The number that stands for it in a record.
    pub fn code(self) -> u32 {
        EVENT_KINDS.iter().find(|(kind, ..)| *kind == self).map_or(0, |(_, code, _)| *code)
    }

    /// The kind of a number; `None` for one that this version does not know.
    pub fn from_code(code: u32) -> Option<Self> {
        EVENT_KINDS.iter().find(|(_, known, _)| *known == code).map(|(kind, ..)| *kind)
    }

    /// The name, e.g. `camera_lost`.
    pub fn name(self) -> &'static str {
        EVENT_KINDS.iter().find(|(kind, ..)| *kind == self).map_or("", |(.., name)| *name)
    }
}

/// Something that happened, other than a verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct EventRecord {
    /// When, `CLOCK_MONOTONIC`, microseconds.
    pub at_us: u64,
    /// When by the wall clock, microseconds since 1970 (UTC).
    pub at_unix_us: u64,
    /// [`EventKind::code`].
    pub kind: u32,
    /// Always 0.
    pub reserved: u32,
    /// A number that belongs to it: the part, the count, the error number. 0 when there is none.
    pub value: i64,
    /// What it is about, e.g. the recipe's or the line's name.
    pub subject: Name,
    /// A few more words.
    pub detail: Name,
}

impl EventRecord {
    /// The kind; `None` for a number that this version does not know.
    pub fn kind(&self) -> Option<EventKind> {
        EventKind::from_code(self.kind)
    }
}

/// What the inspector is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Loading, checking, warming up. Outputs safe.
    Starting,
    /// Inspecting.
    Running,
    /// Something is wrong; outputs safe, trying to recover.
    Fault,
    /// Ended in good order. Outputs safe.
    Stopped,
}

impl State {
    /// The number that stands for it in a record.
    pub const fn code(self) -> u32 {
        match self {
            State::Starting => 1,
            State::Running => 2,
            State::Fault => 3,
            State::Stopped => 4,
        }
    }

    /// The state of a number; `None` for one that this version does not know.
    pub const fn from_code(code: u32) -> Option<Self> {
        match code {
            1 => Some(State::Starting),
            2 => Some(State::Running),
            3 => Some(State::Fault),
            4 => Some(State::Stopped),
            _ => None,
        }
    }

    /// `starting`, `running`, `fault`, `stopped`.
    pub const fn name(self) -> &'static str {
        match self {
            State::Starting => "starting",
            State::Running => "running",
            State::Fault => "fault",
            State::Stopped => "stopped",
        }
    }
}

/// The inspector as a whole: replaced by each [`crate::Writer::status`], never queued. Counters run from its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Status {
    /// [`State::code`].
    pub state: u32,
    /// Alarms that stand now, one bit each, as the line core numbers them.
    pub alarms: u32,
    /// When this was written, `CLOCK_MONOTONIC`, microseconds. Grows at least once a second while the inspector lives.
    pub heartbeat_at_us: u64,
    /// When the inspector started, microseconds since 1970 (UTC).
    pub started_unix_us: u64,
    /// Parts triggered.
    pub parts: u64,
    /// Parts passed.
    pub passed: u64,
    /// Parts rejected.
    pub rejected: u64,
    /// Parts without a verdict in time.
    pub missed: u64,
    /// Frames received.
    pub frames: u64,
    /// Frames that the driver dropped.
    pub dropped_frames: u64,
    /// Frames that could not be used: short, corrupt, late.
    pub bad_frames: u64,
    /// Allocations in the sealed loop. 0, or the promise is broken.
    pub sealed_allocations: u64,
    /// Page faults in the sealed loop.
    pub sealed_faults: u64,
    /// Rejects since the last pass.
    pub consecutive_rejects: u32,
    /// Latency, median over the last window of parts, microseconds.
    pub p50_us: u32,
    /// 99th percentile.
    pub p99_us: u32,
    /// Largest.
    pub max_us: u32,
    /// The threshold in use.
    pub threshold: f32,
    /// By how much ejectors went on later than planned, over the last window of parts: median, microseconds.
    pub edge_late_p50_us: u32,
    /// 99th percentile.
    pub edge_late_p99_us: u32,
    /// Largest.
    pub edge_late_max_us: u32,
    /// By how much ejectors went off later than planned, over the last window of parts: median, microseconds.
    pub off_late_p50_us: u32,
    /// 99th percentile.
    pub off_late_p99_us: u32,
    /// Largest.
    pub off_late_max_us: u32,
    /// Always 0.
    pub reserved: u32,
    /// The station.
    pub station: Name,
    /// The recipe in use.
    pub recipe: Name,
    /// The model's file name.
    pub model: Name,
}

impl Status {
    /// The state; `None` for a number that this version does not know.
    pub fn state(&self) -> Option<State> {
        State::from_code(self.state)
    }
}

/// A record out of the ring.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Record {
    /// A verdict.
    Verdict(VerdictRecord),
    /// An event.
    Event(EventRecord),
    /// Of a kind that this version does not know.
    Unknown(u32),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_cut_at_a_character() {
        for (text, expected) in [
            ("", ""),
            ("capper", "capper"),
            ("01234567890123456789012345678901", "01234567890123456789012345678901"),
            ("012345678901234567890123456789012", "01234567890123456789012345678901"),
            ("0123456789012345678901234567890é", "0123456789012345678901234567890"),
        ] {
            assert_eq!(Name::new(text).as_str(), expected);
        }
        assert_eq!(Name([0xff; 32]).as_str(), "");
    }

    #[test]
    fn codes_round_trip() {
        for code in 0..20 {
            assert!(Verdict::from_code(code).is_none_or(|verdict| verdict.code() == code));
            assert!(State::from_code(code).is_none_or(|state| state.code() == code));
            assert!(EventKind::from_code(code).is_none_or(|kind| kind.code() == code && !kind.name().is_empty()));
        }
        assert_eq!((1..20).filter_map(EventKind::from_code).count(), EVENT_KINDS.len());
    }
}
