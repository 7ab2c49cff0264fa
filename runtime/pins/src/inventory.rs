//! Which chips and lines there are. Plain data: the back ends fill it, `address` searches it.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// A GPIO chip and its lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChipInfo {
    /// The kernel's name, e.g. `gpiochip4`. Changes from boot to boot; do not write it into a config.
    pub name: String,
    /// What the driver calls itself, e.g. `pinctrl-rp1`. Stable.
    pub label: String,
    /// The character device, or the sysfs directory where there is none.
    pub path: PathBuf,
    /// The lines, by offset.
    pub lines: Vec<LineInfo>,
    /// The first line's number in the old global numbering; only the sysfs back end knows and needs it.
    pub sysfs_base: Option<u64>,
}

/// One line of a chip.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LineInfo {
    /// The line's name, e.g. `GPIO17`; empty when it has none or it cannot be read.
    pub name: String,
    /// Who has it, as the kernel says; `None` when it is free.
    pub consumer: Option<String>,
}

/// One line, found. Shows as the address that finds it again: `label/NAME`, or `label:offset` for a nameless line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineId {
    /// Index into [`crate::Gpio::chips`].
    pub chip: usize,
    /// Offset on that chip.
    pub offset: u32,
    /// The address as text; shared, so that errors can carry it without copying.
    pub text: Arc<str>,
}

impl fmt::Display for LineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl ChipInfo {
    /// `gpiochip1 [lab]`, as errors list it.
    pub fn describe(&self) -> String {
        format!("{} [{}] ({} lines)", self.name, self.label, self.lines.len())
    }

    /// The address of the line at `offset`.
    pub(crate) fn address_of(&self, offset: u32) -> String {
        match self.lines.get(offset as usize) {
            Some(line) if !line.name.is_empty() => format!("{}/{}", self.label, line.name),
            _ => format!("{}:{}", self.label, offset),
        }
    }

    /// Does `text` name this chip: by label, by kernel name, or by device path?
    pub(crate) fn answers_to(&self, text: &str) -> bool {
        self.label == text || self.name == text || self.path.as_os_str() == text
    }
}

/// The chips in one line, for messages.
pub(crate) fn describe(chips: &[ChipInfo]) -> String {
    if chips.is_empty() {
        return "none".into();
    }
    chips.iter().map(ChipInfo::describe).collect::<Vec<_>>().join(", ")
}
