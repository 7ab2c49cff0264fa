//! The faults that the simulated world has.

use serde::Serialize;

/// One kind of fault.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Fault {
    /// The driver counted the frame but did not deliver it.
    DroppedFrame,
    /// The camera missed the trigger; the driver did not count a frame.
    SilentDrop,
    /// The frame comes twice.
    DuplicateFrame,
    /// The frame comes twice, and only the second look shows the defect.
    SecondLook,
    /// The frame is corrupt, and the driver says so.
    CorruptFrame,
    /// The frame has fewer bytes than the format needs.
    ShortFrame,
    /// The frame comes long after it was taken.
    LateFrame,
    /// The frame comes after the next one.
    ReorderedFrame,
    /// The driver's timestamp is off by the pitch.
    TimestampStep,
    /// The clock that stamps frames steps by seconds or hours, and is set right after a while.
    ClockStep,
    /// The camera is gone for a while, and counts its frames from zero again.
    Unplug,
    /// Inference takes many times as long.
    SlowInference,
    /// Inference takes so long that the verdict is stale, but not too late for the window.
    StaleVerdict,
    /// The actuator thread does not run for a while.
    ActuatorStarved,
    /// The queue between the threads is full.
    QueueFull,
    /// The same trigger is told twice.
    DuplicateTrigger,
    /// The sensor's edges bounce.
    SensorBounce,
    /// A part comes nearer to the last one than the pitch.
    DoublePart,
    /// Two parts touch: the sensor sees one.
    TouchingParts,
    /// The sensor sees a hole in the part.
    SplitPart,
    /// The encoder slips against the belt, within what is allowed.
    EncoderSlip,
    /// The belt runs backwards for a while.
    EncoderReversal,
    /// The ejector does not move though it is energised.
    EjectorStuck,
    /// The recipe changes with parts in flight.
    RecipeChange,
    /// The operator acknowledges.
    Acknowledge,
    /// The disk is full or does not answer: the verdict log is not written for a while.
    DiskFull,
    /// The gateway does not read its ring for a while.
    GatewayDead,
    /// The process panics: it unwinds, and the line is dropped. Ends the shift.
    Crash,
    /// The process is killed: nothing of it runs any more, and the kernel releases its lines. Ends the shift.
    Kill,
    /// The power goes: every pin is low at once. Ends the shift.
    PowerCut,
    /// The line is stopped in order. Ends the shift.
    Stop,
}

impl Fault {
    /// How many kinds there are.
    pub const COUNT: usize = 31;

    /// Whether nothing comes after it in a shift.
    pub const fn ends_the_shift(self) -> bool {
        matches!(self, Fault::Crash | Fault::Kill | Fault::PowerCut | Fault::Stop)
    }

    /// Each kind.
    pub const ALL: [Fault; Fault::COUNT] = [
        Fault::DroppedFrame,
        Fault::SilentDrop,
        Fault::DuplicateFrame,
        Fault::SecondLook,
        Fault::CorruptFrame,
        Fault::ShortFrame,
        Fault::LateFrame,
        Fault::ReorderedFrame,
        Fault::TimestampStep,
        Fault::ClockStep,
        Fault::Unplug,
        Fault::SlowInference,
        Fault::StaleVerdict,
        Fault::ActuatorStarved,
        Fault::QueueFull,
        Fault::DuplicateTrigger,
        Fault::SensorBounce,
        Fault::DoublePart,
        Fault::TouchingParts,
        Fault::SplitPart,
        Fault::EncoderSlip,
        Fault::EncoderReversal,
        Fault::EjectorStuck,
        Fault::RecipeChange,
        Fault::Acknowledge,
        Fault::DiskFull,
        Fault::GatewayDead,
        Fault::Crash,
        Fault::Kill,
        Fault::PowerCut,
        Fault::Stop,
    ];
}
