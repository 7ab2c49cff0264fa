//! Deliberate bugs, compiled in only with the feature `mutants`, by which the simulated line shows that it would find them.

/// One deliberate bug.
#[cfg(feature = "mutants")]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Bug {
    /// The window is scheduled for the part after the one that it is meant for.
    WindowOffByOne,
    /// A verdict is believed however old its frame is.
    StaleVerdictAccepted,
    /// A verdict computed under another recipe is believed.
    WrongRecipeAccepted,
    /// Acknowledging does not reset the count of rejects.
    CounterNotReset,
    /// A part without a verdict passes.
    AbsentPasses,
    /// A part that comes too close to another keeps its verdict.
    CloseNeighboursKept,
    /// A trigger that was lost between the threads is not counted.
    LostTriggerIgnored,
    /// A repeated trigger makes a second part.
    DuplicateTriggerAccepted,
    /// The ejector stays on a little longer than the window.
    PulseTooLong,
    /// A window that has gone is counted as a reject although nothing was fired.
    GoneWindowCountsAsReject,
    /// A bad verdict after a good one for the same part is ignored.
    SecondVerdictIgnored,
    /// The line recovers from a hold without a completed inspection, and trusts what was triggered meanwhile.
    HoldIgnored,
    /// An ejected part that was not seen to leave counts as rejected.
    ConfirmationIgnored,
    /// Results stay valid after a recipe change.
    ResultsValidAfterRecipe,
    /// The safe state leaves the ejector as it was.
    SafeKeepsEjector,
    /// The heartbeat moves without a completed inspection.
    HeartbeatAlways,
    /// A part leaves the table twice.
    LeavesTwice,
    /// A part judged on too few of its frames passes.
    QuorumOfOne,
    /// The ejector goes on working while the belt runs backwards.
    ReversalIgnored,
    /// The line stays Ready while the camera is away.
    CameraLossIgnored,
}

#[cfg(feature = "mutants")]
impl Bug {
    /// Each of them.
    pub const ALL: [Bug; 20] = [
        Bug::WindowOffByOne,
        Bug::StaleVerdictAccepted,
        Bug::WrongRecipeAccepted,
        Bug::CounterNotReset,
        Bug::AbsentPasses,
        Bug::CloseNeighboursKept,
        Bug::LostTriggerIgnored,
        Bug::DuplicateTriggerAccepted,
        Bug::PulseTooLong,
        Bug::GoneWindowCountsAsReject,
        Bug::SecondVerdictIgnored,
        Bug::HoldIgnored,
        Bug::ConfirmationIgnored,
        Bug::ResultsValidAfterRecipe,
        Bug::SafeKeepsEjector,
        Bug::HeartbeatAlways,
        Bug::LeavesTwice,
        Bug::QuorumOfOne,
        Bug::ReversalIgnored,
        Bug::CameraLossIgnored,
    ];
}

/// Whether this line has the named bug planted; `false`, and no code at all, without the feature.
macro_rules! planted {
    ($line:expr, $bug:ident) => {{
        #[cfg(feature = "mutants")]
        let planted = $line.bug == Some($crate::mutants::Bug::$bug);
        #[cfg(not(feature = "mutants"))]
        let planted = false;
        planted
    }};
}
pub(crate) use planted;
