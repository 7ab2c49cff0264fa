//! What can go wrong with a line, and what to do about it.

use std::path::PathBuf;
use std::sync::Arc;

use crate::{Backend, LineId};

/// A line could not be found or requested. Start-up only; setting a line gives [`PinError`].
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address is not one of the three forms.
    #[error(
        "gpio line \"{address}\": {problem}\n  \
         expected: \"chip-label/LINE\", \"LINE\" (a name that one chip has), or \"chip-label:offset\""
    )]
    Address {
        /// The address as written.
        address: String,
        /// What is wrong with it.
        problem: &'static str,
    },

    /// No chip has that label or name.
    #[error(
        "gpio line \"{address}\": no chip \"{chip}\"\n  chips here: {chips}{}\n  \
         expected: the label of a chip of this machine\n  \
         try: `jidoka board show` for the header of this board; [outputs] backend = \"sim\" for a dry run without wires",
        did_you_mean(.nearest)
    )]
    NoChip {
        /// The address as written.
        address: String,
        /// The part that should name a chip.
        chip: String,
        /// Every chip that was found, as `name [label]`.
        chips: String,
        /// Labels that look like it.
        nearest: Vec<String>,
    },

    /// No line has that name or offset.
    #[error("gpio line \"{address}\": no line \"{line}\" on {place}{}\n  chips here: {chips}", did_you_mean(.nearest))]
    NoLine {
        /// The address as written.
        address: String,
        /// The part that should name a line.
        line: String,
        /// Where was looked.
        place: String,
        /// Every chip that was found.
        chips: String,
        /// Addresses that look like it.
        nearest: Vec<String>,
    },

    /// Several lines answer to the address.
    #[error(
        "gpio line \"{address}\" is ambiguous: it could be {}\n  expected: one of these, written out",
        .candidates.join(" or ")
    )]
    Ambiguous {
        /// The address as written.
        address: String,
        /// Addresses that each name one of them.
        candidates: Vec<String>,
    },

    /// Line names cannot be read through this back end, so only `chip-label:offset` works.
    #[error(
        "gpio line \"{address}\": line names cannot be read here ({why})\n  \
         expected: \"chip-label:offset\"; chips here: {chips}"
    )]
    NoNames {
        /// The address as written.
        address: String,
        /// Why there are no names.
        why: String,
        /// Every chip that was found.
        chips: String,
    },

    /// Somebody else has the line.
    #[error(
        "gpio line \"{line}\" is in use by \"{consumer}\"\n  \
         try: stop that program, or choose another line (`gpioinfo` lists who has what)"
    )]
    Taken {
        /// The line.
        line: LineId,
        /// Who has it, as the kernel says.
        consumer: String,
    },

    /// The same line is asked for twice.
    #[error(
        "gpio line \"{line}\" is asked for twice, as \"{first}\" and as \"{second}\"\n  expected: a line of its own for each"
    )]
    Twice {
        /// The line.
        line: LineId,
        /// The first address.
        first: String,
        /// The second address.
        second: String,
    },

    /// The user may not open it.
    #[error(
        "gpio: permission denied for {path}\n  \
         try: add the user to the group that owns it, `sudo usermod -aG gpio $USER`, and log in again"
    )]
    Permission {
        /// What could not be opened.
        path: PathBuf,
    },

    /// The asked-for back end is not there.
    #[error("gpio: the {backend} is not available: {why}\n  available: {available}")]
    BackendMissing {
        /// What was asked for.
        backend: Backend,
        /// Why it cannot be used.
        why: String,
        /// What could be used instead.
        available: String,
    },

    /// No back end at all.
    #[error(
        "gpio: this machine offers no GPIO lines\n  v2: {v2}\n  v1: {v1}\n  sysfs: {sysfs}\n  \
         expected: /dev/gpiochipN (kernel option CONFIG_GPIO_CDEV) or /sys/class/gpio\n  \
         try: `jidoka board show` on the board itself; [outputs] backend = \"sim\" for a dry run without wires"
    )]
    NoGpio {
        /// Why v2 cannot be used.
        v2: String,
        /// Why v1 cannot be used.
        v1: String,
        /// Why sysfs cannot be used.
        sysfs: String,
    },

    /// The back end cannot do what was asked.
    #[error("gpio line \"{line}\": the {backend} cannot {what}\n  try: {instead}")]
    Unsupported {
        /// The line.
        line: LineId,
        /// The back end in use.
        backend: Backend,
        /// What it cannot do.
        what: &'static str,
        /// What to do instead.
        instead: &'static str,
    },

    /// The kernel refused.
    #[error("gpio line \"{line}\": could not {doing}: {cause}")]
    Request {
        /// The line.
        line: LineId,
        /// What was being done.
        doing: &'static str,
        /// What the kernel said.
        cause: String,
    },
}

fn did_you_mean(names: &[String]) -> String {
    if names.is_empty() { String::new() } else { format!("\n  did you mean {}?", names.join(" or ")) }
}

/// A line that was requested could not be set, read, or waited for. Making one allocates nothing.
#[derive(Clone, Debug, thiserror::Error)]
#[error("gpio line \"{line}\": {cause}")]
pub struct PinError {
    /// Which line, as it was asked for.
    pub line: Arc<str>,
    /// What happened.
    pub cause: Cause,
}

/// Why a requested line did not do what it was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The kernel's error number.
    Os(i32),
    /// A [`crate::Trip`] fired: the output is held safe until the process ends.
    Tripped,
}

impl std::fmt::Display for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Cause::Os(errno) => write!(f, "{}", std::io::Error::from_raw_os_error(*errno)),
            Cause::Tripped => f.write_str("held in its safe state since the emergency stop"),
        }
    }
}

impl embedded_hal::digital::Error for PinError {
    fn kind(&self) -> embedded_hal::digital::ErrorKind {
        embedded_hal::digital::ErrorKind::Other
    }
}
