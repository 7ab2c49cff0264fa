//! Alarms: what may raise one, which stand, and the counts over parts that raise two of them.

use crate::time::Span;

/// A condition that a person must see. Stands until acknowledged.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum Alarm {
    /// A part was missed.
    MissedPart = 0,
    /// Too many rejects in a row.
    ConsecutiveRejects = 1,
    /// Too many rejects among the last parts.
    RejectRate = 2,
    /// The ejector fired and the part was not seen to leave.
    Unconfirmed = 3,
    /// A part was seen to leave that was not ejected.
    UnexpectedConfirm = 4,
    /// More parts in flight than fit.
    TableFull = 5,
    /// A trigger was lost between the threads.
    LostTrigger = 6,
    /// An output pin could not be set.
    PinFailed = 7,
    /// No frame came in time.
    FrameDeadline = 8,
    /// A frame came, no verdict did in time.
    InferenceDeadline = 9,
    /// The actuator thread came too late.
    ActuationDeadline = 10,
    /// The encoder does not count while parts come, or counts what the belt cannot do.
    EncoderSlip = 11,
    /// The belt ran backwards.
    EncoderReversal = 12,
    /// A recipe was asked for that does not exist.
    UnknownRecipe = 13,
    /// A golden sample got the wrong verdict, or the golden check is overdue.
    GoldenSample = 14,
    /// Notes were lost because nobody took them.
    NotesLost = 15,
    /// The camera is away: unplugged, or it cannot be opened.
    CameraLost = 16,
    /// The camera gives the same picture again and again.
    CameraFrozen = 17,
}

impl Alarm {
    /// Each of them.
    pub const ALL: [Alarm; 18] = [
        Alarm::MissedPart,
        Alarm::ConsecutiveRejects,
        Alarm::RejectRate,
        Alarm::Unconfirmed,
        Alarm::UnexpectedConfirm,
        Alarm::TableFull,
        Alarm::LostTrigger,
        Alarm::PinFailed,
        Alarm::FrameDeadline,
        Alarm::InferenceDeadline,
        Alarm::ActuationDeadline,
        Alarm::EncoderSlip,
        Alarm::EncoderReversal,
        Alarm::UnknownRecipe,
        Alarm::GoldenSample,
        Alarm::NotesLost,
        Alarm::CameraLost,
        Alarm::CameraFrozen,
    ];

    /// The name used in logs.
    pub const fn name(self) -> &'static str {
        match self {
            Alarm::MissedPart => "missed_part",
            Alarm::ConsecutiveRejects => "consecutive_rejects",
            Alarm::RejectRate => "reject_rate",
            Alarm::Unconfirmed => "unconfirmed",
            Alarm::UnexpectedConfirm => "unexpected_confirm",
            Alarm::TableFull => "table_full",
            Alarm::LostTrigger => "lost_trigger",
            Alarm::PinFailed => "pin_failed",
            Alarm::FrameDeadline => "frame_deadline",
            Alarm::InferenceDeadline => "inference_deadline",
            Alarm::ActuationDeadline => "actuation_deadline",
            Alarm::EncoderSlip => "encoder_slip",
            Alarm::EncoderReversal => "encoder_reversal",
            Alarm::UnknownRecipe => "unknown_recipe",
            Alarm::GoldenSample => "golden_sample",
            Alarm::NotesLost => "notes_lost",
            Alarm::CameraLost => "camera_lost",
            Alarm::CameraFrozen => "camera_frozen",
        }
    }

    const fn bit(self) -> u32 {
        1 << self as u32
    }
}

/// A set of alarms.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Alarms(u32);

impl Alarms {
    /// None.
    pub const NONE: Alarms = Alarms(0);

    /// These and `alarm`.
    #[must_use]
    pub const fn with(self, alarm: Alarm) -> Alarms {
        Alarms(self.0 | alarm.bit())
    }

    /// Whether `alarm` is among them.
    pub const fn has(self, alarm: Alarm) -> bool {
        self.0 & alarm.bit() != 0
    }

    /// Whether there are none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether the two sets share any.
    pub const fn intersects(self, other: Alarms) -> bool {
        self.0 & other.0 != 0
    }
}

/// When counts over parts raise an alarm.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct RejectLimits {
    /// This many rejects in a row raise [`Alarm::ConsecutiveRejects`]; zero for never.
    pub consecutive: u16,
    /// More than `most` rejects among the last `of` parts raise [`Alarm::RejectRate`]; `None` for never.
    pub rate: Option<RejectRate>,
}

/// More than `most` of the last `of` parts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RejectRate {
    /// How many rejects are still in order.
    pub most: u8,
    /// Among how many parts; at most 128.
    pub of: u8,
}

/// Counts rejects as parts leave.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct RejectCounter {
    in_a_row: u16,
    /// The last 128 parts, newest in bit 0, a one for a reject.
    recent: u128,
}

impl RejectCounter {
    /// Takes one part that left and returns the alarms that this raises.
    pub(crate) fn count(&mut self, rejected: bool, limits: &RejectLimits) -> Alarms {
        self.in_a_row = if rejected { self.in_a_row.saturating_add(1) } else { 0 };
        self.recent = (self.recent << 1) | u128::from(rejected);
        let mut alarms = Alarms::NONE;
        if limits.consecutive > 0 && self.in_a_row >= limits.consecutive {
            alarms = alarms.with(Alarm::ConsecutiveRejects);
        }
        if let Some(rate) = limits.rate {
            let among = if rate.of >= 128 { u128::MAX } else { (1 << rate.of) - 1 };
            if (self.recent & among).count_ones() > u32::from(rate.most) {
                alarms = alarms.with(Alarm::RejectRate);
            }
        }
        alarms
    }

    /// Forgets what it counted; after an acknowledged alarm the count begins anew.
    pub(crate) fn reset(&mut self) {
        *self = RejectCounter::default();
    }
}

/// Deadlines of the stages; [`Span::MAX`] for a stage that is not supervised.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Deadlines {
    /// From a trigger (or, free-running, from the last frame) to the next frame of any part.
    pub frame: Span,
    /// From one frame to the next of a camera that something else triggers: how long the machine may give no part. Free-running,
    /// `frame` is that.
    pub silence: Span,
    /// From a frame to the next completed inspection.
    pub inference: Span,
    /// From the deadline that `poll` returned to the next `poll`.
    pub actuation: Span,
    /// How long the line stays held after the first miss; doubles with each further one.
    pub backoff: Span,
    /// The longest that it stays held.
    pub backoff_most: Span,
}

impl Default for Deadlines {
    fn default() -> Self {
        Deadlines {
            frame: Span::MAX,
            silence: Span::MAX,
            inference: Span::MAX,
            actuation: Span::MAX,
            backoff: Span::from_millis(100),
            backoff_most: Span::from_millis(10_000),
        }
    }
}

#[cfg(test)]
mod tests;
