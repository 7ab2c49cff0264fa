//! What can be wrong with a timing, with the terms of each sum.

use core::fmt;

use heapless::Vec;

use crate::part::Axis;
use crate::time::write_thousandths;

/// A number of axis units that prints as milliseconds or millimetres.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Amount {
    /// What it counts.
    pub axis: Axis,
    /// How many microseconds or micrometres.
    pub value: u64,
}

/// One thing wrong with a timing. The values are the terms of the sum, so that a caller can print it in its own words;
/// `Display` prints it in ours.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TimingError {
    /// A value is outside what the line can do.
    OutOfRange {
        /// The config's name for it, without the unit (`pulse`, `pitch`, ...).
        field: &'static str,
        /// What was given.
        value: Amount,
        /// The least that is allowed.
        least: Amount,
        /// The most that is allowed.
        most: Amount,
    },
    /// The window of one part, widened by the tolerances, is still open when the next part is in front of the ejector.
    ReachesNeighbour {
        /// The window.
        pulse: Amount,
        /// The smallest pitch.
        pitch: Amount,
        /// Actuator tolerance (counted on each side).
        tolerance: Amount,
        /// Belt speed tolerance over the delay, or encoder slip (counted on each side).
        drift: Amount,
        /// The part's length.
        length: Amount,
        /// The longest pulse that would be safe; zero where none is.
        most: Amount,
    },
    /// The window is so short that, with the tolerances, it may not cover its own part.
    MissesItsPart {
        /// The window.
        pulse: Amount,
        /// Actuator tolerance (counted on each side).
        tolerance: Amount,
        /// Belt speed tolerance over the delay, or encoder slip (counted on each side).
        drift: Amount,
        /// The shortest pulse that would do.
        least: Amount,
    },
    /// The command has to go out before a verdict can be there.
    OpensTooSoon {
        /// From the trigger to the ejector acting.
        delay: Amount,
        /// From the pin's edge to the ejector acting.
        lag: Amount,
        /// From the trigger to the verdict.
        verdict_within: Amount,
        /// The shortest delay that would do.
        least: Amount,
    },
    /// The confirmation of one part could be taken for that of the next.
    ConfirmsNeighbour {
        /// How long after the window a part may be seen to leave.
        confirm_within: Amount,
        /// The window.
        pulse: Amount,
        /// The smallest pitch.
        pitch: Amount,
        /// The longest that would be safe.
        most: Amount,
    },
    /// More parts would be between trigger and ejector than the line can hold.
    TooManyInFlight {
        /// From the trigger to the end of the window (and of the confirmation).
        reach: Amount,
        /// The smallest pitch.
        pitch: Amount,
        /// How many parts that makes.
        parts: u64,
        /// How many fit: [`MAX_PARTS`](crate::MAX_PARTS).
        most: u64,
    },
}

/// Everything wrong with a timing, all at once.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct TimingErrors {
    errors: Vec<TimingError, 8>,
}

impl TimingErrors {
    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.errors.is_empty()
    }

    /// Each error.
    pub fn iter(&self) -> impl Iterator<Item = &TimingError> {
        self.errors.iter()
    }

    pub(super) fn add(&mut self, error: TimingError) {
        // Eight at once are enough to mend; the rest show when those are.
        let _ = self.errors.push(error);
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_thousandths(f, self.value)?;
        f.write_str(match self.axis {
            Axis::Time => " ms",
            Axis::Distance => " mm",
        })
    }
}

impl fmt::Display for TimingError {
    /// What is wrong, the sum, and what was expected; one to three lines.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TimingError::OutOfRange { field, value, least, most } => {
                write!(f, "{field} = {value} is out of range\n  expected: {least} to {most}")
            }
            TimingError::ReachesNeighbour { pulse, pitch, tolerance, drift, length, most } => {
                write!(f, "pulse = {pulse} reaches the next part\n  parts are {pitch} apart; ")?;
                write!(f, "a window of {pulse}, widened on each side by {tolerance} actuator tolerance ")?;
                write!(f, "and {drift} belt tolerance, is still open when the next part")?;
                if length.value > pulse.value {
                    write!(f, ", {length} long,")?;
                }
                write!(
                    f,
                    " arrives\n  expected: pulse <= {most} (pitch {pitch}, minus 2 x {tolerance}, minus 2 x {drift}"
                )?;
                if length.value > most.value {
                    write!(f, ", and room for parts {length} long")?;
                }
                f.write_str(")")
            }
            TimingError::MissesItsPart { pulse, tolerance, drift, least } => {
                write!(f, "pulse = {pulse} may miss its own part\n  the part may come {drift} early or late, ")?;
                write!(f, "and the ejector act {tolerance} early or late\n  expected: pulse >= {least} ")?;
                write!(f, "(2 x {tolerance} + 2 x {drift})")
            }
            TimingError::OpensTooSoon { delay, lag, verdict_within, least } => {
                write!(
                    f,
                    "delay = {delay} is over before the verdict is there\n  the ejector is commanded {lag} early, "
                )?;
                write!(
                    f,
                    "and a verdict takes up to {verdict_within} from the trigger\n  expected: delay >= {least} "
                )?;
                write!(f, "({lag} + {verdict_within})")
            }
            TimingError::ConfirmsNeighbour { confirm_within, pulse, pitch, most } => {
                write!(
                    f,
                    "confirm_within = {confirm_within} reaches into the next window\n  an ejected part may be seen "
                )?;
                write!(f, "until {confirm_within} after its window; the next window opens {pitch} after it opened")?;
                write!(f, "\n  expected: confirm_within <= {most} (pitch {pitch}, minus pulse {pulse})")
            }
            TimingError::TooManyInFlight { reach, pitch, parts, most } => {
                write!(f, "{parts} parts would be in flight\n  from trigger to the end of the window is {reach}, ")?;
                write!(f, "and parts are {pitch} apart\n  expected: at most {most} parts")
            }
        }
    }
}

impl fmt::Display for TimingErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}

impl core::error::Error for TimingError {}
impl core::error::Error for TimingErrors {}
