//! The station's configuration: a TOML file, read whole, refused whole.
//!
//! Here lives what the keys are and what they mean together; how a file is read without ignoring anything is in
//! [`reader`]. Nothing here opens a device: [`Config::parse`] can be called on any text.

pub mod problem;
pub mod reader;
mod sections;
mod timing;

use std::path::{Path, PathBuf};

use jidoka_capture::{Roi, SourceConfig};
use jidoka_line::Slot;

use crate::error::Error;
use crate::os::realtime::Wish;
use problem::Refused;
use reader::{KeyDoc, Reader};
pub use sections::SIGNALS;

/// A whole configuration that was accepted.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file it came from, as the user named it.
    pub file: String,
    /// The station.
    pub station: Station,
    /// Where frames come from.
    pub camera: Camera,
    /// What judges them.
    pub model: ModelChoice,
    /// When a part is ejected; the arithmetic has been done.
    pub reject: Reject,
    /// The lines to the machine.
    pub outputs: OutputChoice,
}

/// What belongs to no single device.
#[derive(Clone, Debug)]
pub struct Station {
    /// Its name in logs, records and as the consumer of GPIO lines.
    pub name: String,
    /// Where verdicts are written; `None` for standard output.
    pub verdict_log: Option<PathBuf>,
    /// The shared-memory ring for the gateway, where one is wanted.
    pub telemetry: Option<String>,
    /// What the loop asks of the kernel.
    pub realtime: Wish,
    /// Whether an allocation in the sealed loop stops the station.
    pub stop_on_allocation: bool,
}

/// A source of frames.
#[derive(Clone, Debug)]
pub struct Camera {
    /// Which.
    pub source: SourceConfig,
    /// How long a frame may be late before the camera counts as silent.
    pub timeout: std::time::Duration,
    /// The part of the frame that is inspected.
    pub roi: Option<Roi>,
}

/// Above which score a part is rejected.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Limit {
    /// The model's own threshold.
    #[default]
    Own,
    /// This score instead.
    Score(f32),
    /// As sensitive as this, between 0 and 1: 0.5 is the model's own threshold, towards 1 more is rejected.
    Sensitivity(f64),
}

impl Limit {
    /// What two settings that exclude each other say.
    pub fn of(score: Option<f32>, sensitivity: Option<f64>) -> Limit {
        match (score, sensitivity) {
            (Some(score), _) => Limit::Score(score),
            (None, Some(sensitivity)) => Limit::Sensitivity(sensitivity),
            (None, None) => Limit::Own,
        }
    }
}

/// A model and how it is used.
#[derive(Clone, Debug)]
pub struct ModelChoice {
    /// The `.onnx` file.
    pub path: PathBuf,
    /// Above which score a part is rejected.
    pub limit: Limit,
    /// Threads of the engine.
    pub threads: usize,
    /// Whether an operator that allocates refuses the model.
    pub strict: bool,
}

/// When a part is ejected and when the line calls for help.
#[derive(Clone, Debug)]
pub struct Reject {
    /// The reject window, checked.
    pub slot: Slot,
    /// From the trigger to the ejector.
    pub delay_us: u64,
    /// How long the ejector acts.
    pub pulse_us: u64,
    /// The smallest time between two parts.
    pub pitch_us: u64,
    /// Rejects in a row that raise the alarm; 0 for never.
    pub alarm_after: u32,
}

/// The lines to the machine.
#[derive(Clone, Debug)]
pub struct OutputChoice {
    /// Real lines, or a chip in memory.
    pub backend: Backend,
    /// Each signal's line, by the kernel's name for it.
    pub wires: Vec<WireChoice>,
}

/// What the outputs are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// The kernel's GPIO lines.
    Gpio,
    /// A chip in this process's memory.
    Sim,
}

/// One signal and its line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireChoice {
    /// The key under `[outputs]`.
    pub signal: &'static str,
    /// `chip-label/LINE`, `LINE` or `chip-label:offset`.
    pub address: String,
    /// Whether the line is low when the signal is active.
    pub active_low: bool,
}

impl Config {
    /// Reads and checks a file. Opens nothing else.
    pub fn read(path: &Path) -> Result<Config, Error> {
        let text = std::fs::read_to_string(path).map_err(|error| Error::file(path, "read", error))?;
        Ok(Config::parse(&path.display().to_string(), &text)?)
    }

    /// Checks a configuration's text. Relative paths in it are taken from the folder of `file`.
    pub fn parse(file: &str, text: &str) -> Result<Config, Refused> {
        let mut reader = Reader::new(file, text)?;
        let config = sections::read(file, &mut reader);
        reader.finish(file)?;
        Ok(config)
    }

    /// Every key there is, for the reference.
    pub fn keys() -> Vec<KeyDoc> {
        // Reading an empty file asks for every key; what it refuses (the required ones) is of no interest.
        let Ok(mut reader) = Reader::new("", "") else { return vec![] };
        sections::read("", &mut reader);
        reader.keys().to_vec()
    }
}

#[cfg(test)]
mod tests;
