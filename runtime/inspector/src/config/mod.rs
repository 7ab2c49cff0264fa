//! The station's configuration: a TOML file, read whole, refused whole.
//!
//! Here lives what the keys are and what they mean together; how a file is read without ignoring anything is in
//! [`reader`]. Nothing here opens a device: [`Config::parse`] can be called on any text.

mod outputs;
mod policy;
pub mod problem;
pub mod reader;
mod recipes;
mod sections;
mod seeing;
mod timing;
mod together;
mod trigger;
mod views;

use std::path::{Path, PathBuf};

use jidoka_capture::{Roi, SourceConfig};
use jidoka_line::encoder::EncoderLimits;
use jidoka_line::{RejectPlacing, RejectTiming, Slot};
use jidoka_models::PublicKey;

use crate::error::Error;
use crate::os::realtime::Wish;
pub use outputs::{Backend, OutputChoice, WireChoice};
pub use policy::{AlarmChoice, DeadlineChoice, LinePolicy, PolicyChoice};
use problem::Refused;
use reader::{KeyDoc, Reader};
pub use recipes::RecipeChoice;
pub use sections::SIGNALS;
pub use seeing::Seeing;
pub use trigger::{InputChoice, Source, Trigger};
pub use views::ViewChoice;

/// A whole configuration that was accepted.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file it came from, as the user named it.
    pub file: String,
    /// The station.
    pub station: Station,
    /// Where frames come from.
    pub camera: Camera,
    /// What is put right in them.
    pub seeing: Seeing,
    /// What judges them.
    pub model: ModelChoice,
    /// When a part is ejected; the arithmetic has been done.
    pub reject: Reject,
    /// The lines to the machine.
    pub outputs: OutputChoice,
    /// The lines from the machine.
    pub inputs: InputChoice,
    /// The belt encoder, where one is wired.
    pub encoder: Option<EncoderLimits>,
    /// What makes a part.
    pub trigger: Trigger,
    /// What of the verdict policy is not a recipe's.
    pub line_policy: LinePolicy,
    /// When the line calls for help.
    pub alarms: AlarmChoice,
    /// Deadlines of the stages.
    pub deadlines: DeadlineChoice,
    /// The kernel's watchdog and its time-out in seconds.
    pub watchdog: Option<(PathBuf, u32)>,
    /// Every recipe; the first is the file's own (`model`, `reject`, `camera.roi`), which the station starts with.
    pub recipes: Vec<RecipeChoice>,
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
    /// The name of the file's own recipe.
    pub recipe: String,
    /// Its number on the select lines.
    pub select: Option<u32>,
    /// The control socket: a name or a path.
    pub control: Option<String>,
    /// The file of the black box.
    pub blackbox: Option<PathBuf>,
    /// How many events it keeps.
    pub blackbox_records: u32,
}

/// A source of frames.
#[derive(Clone, Debug)]
pub struct Camera {
    /// Which.
    pub source: SourceConfig,
    /// How long a frame may be late before the camera counts as silent; `None` where the file does not say: a second, and for
    /// ever where the machine triggers the camera.
    pub timeout: Option<std::time::Duration>,
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
    /// What the log calls the view that it judges.
    pub view: String,
    /// The `.onnx` file.
    pub path: PathBuf,
    /// Above which score a part is rejected.
    pub limit: Limit,
    /// Threads of the engine.
    pub threads: usize,
    /// Whether an operator that allocates refuses the model.
    pub strict: bool,
    /// Whether it may inspect another region of the frame than it was taught from.
    pub any_roi: bool,
    /// A model that this key did not sign is refused.
    pub public_key: Option<PublicKey>,
}

/// What a window was reckoned from.
#[derive(Clone, Copy, Debug)]
pub enum Sums {
    /// Times, on a belt of a steady speed.
    Time(RejectTiming),
    /// Distances, by encoder.
    Distance(RejectPlacing),
}

/// When a part is ejected and when the line calls for help.
#[derive(Clone, Debug)]
pub struct Reject {
    /// The reject window, checked.
    pub slot: Slot,
    /// What it was reckoned from.
    pub sums: Sums,
    /// From the trigger to the ejector; tracked by encoder, at the belt's fastest.
    pub delay_us: u64,
    /// How long the ejector acts; likewise.
    pub pulse_us: u64,
    /// The smallest time between two parts; likewise.
    pub pitch_us: u64,
    /// Rejects in a row that raise the alarm; 0 for never.
    pub alarm_after: u32,
    /// Whether a confirmation input watches it.
    pub confirm: bool,
    /// The longest that an ejector stays on.
    pub longest_on_us: Option<u64>,
}

/// Another ejector than the reject ejector.
#[derive(Clone, Copy, Debug)]
pub struct Ejector {
    /// Its window, checked.
    pub slot: Slot,
    /// As [`Reject::sums`].
    pub sums: Sums,
    /// As [`Reject::delay_us`].
    pub delay_us: u64,
    /// As [`Reject::pulse_us`].
    pub pulse_us: u64,
    /// As [`Reject::pitch_us`].
    pub pitch_us: u64,
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
        let config = sections::read(file, text, &mut reader);
        reader.finish(file)?;
        Ok(config)
    }

    /// Every key there is, for the reference.
    pub fn keys() -> Vec<KeyDoc> {
        // Reading an empty file asks for every key; what it refuses (the required ones) is of no interest.
        let Ok(mut reader) = Reader::new("", "") else { return vec![] };
        sections::read("", "", &mut reader);
        reader.keys().iter().cloned().chain(recipes::keys()).chain(views::keys()).collect()
    }
}

#[cfg(test)]
mod tests;
