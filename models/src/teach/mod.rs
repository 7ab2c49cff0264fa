//! Teaching: good parts in, one ONNX file out.
//!
//! Two passes over the images, whose number is not bounded by memory: the first measures the spread of the backbone's
//! channels, the second computes features and feeds one streaming coreset for the whole set and one for each fold of the
//! cross-validation. Held-out parts are then scored by the very graph that will run, with the fold's bank in it, and the
//! threshold is put where the stated share of good parts lies above.

mod assemble;
mod choose;
mod coreset;
mod corrupt;
mod course;
mod covariance;
mod cues;
mod defects;
mod inputs;
mod kept;
mod learner;
mod measure;
mod parts;
mod quality;
mod shape;
mod spectrum;
mod student;
#[cfg(test)]
mod tests;
mod threshold;

pub use choose::Candidate;
pub use defects::{Cut, Defects, Rule, weigh};
pub use kept::Kept;
pub use parts::{Folder, Frames, Parts};
pub use shape::Size;

use std::path::PathBuf;

use jidoka_prepare::{Corrections, Filter, Fit, Roi};
use serde::Serialize;

use crate::Error;
use crate::contract::{Calibration, Contract, Method, Threshold};
use crate::student::protocol::Training;

/// Fewest usable images that teaching accepts.
pub const MIN_IMAGES: usize = 5;

/// What to teach, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// How the model judges.
    pub method: Method,
    /// Try the methods of [`Method::COMPARED`] on held-out parts and corrupted copies of them, take the best, and say why; `method` is then not
    /// looked at.
    pub auto: bool,
    /// The size of the model's input.
    pub size: Size,
    /// Most features in the memory bank.
    pub bank: usize,
    /// Share of good parts that may be rejected: 0.005 is 0.5 %. Above 0, at most 0.5.
    pub false_reject: f64,
    /// Seed of every random choice; the same images, options and seed give the same file, to the bit.
    pub seed: u64,
    /// A backbone's name ([`crate::zoo::NAMES`]) or file, in place of the first that is built in.
    pub backbone: Option<PathBuf>,
    /// The part of each image that matters; none for all of it.
    pub roi: Option<Roi>,
    /// How a region of another aspect ratio is made to fit.
    pub fit: Fit,
    /// How pixels are weighted when resizing.
    pub filter: Filter,
    /// What is put right in every image: the station must do the same.
    pub corrections: Corrections,
    /// The parts have been prepared before: region and corrections are stated in the model and not applied again.
    pub prepared: bool,
    /// Most steps that a student is trained for; of no meaning to other methods.
    pub steps: usize,
    /// The program that trains students; none for `jidoka-trainer` beside this program or on the PATH.
    pub trainer: Option<PathBuf>,
    /// Threads of the engine.
    pub threads: usize,
    /// Features, search and backbone in int8.
    pub int8: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            method: Method::PatchcoreLite,
            auto: false,
            size: Size::Usual,
            bank: 1024,
            false_reject: 0.005,
            seed: 0,
            backbone: None,
            roi: None,
            fit: Fit::Stretch,
            filter: Filter::Area,
            corrections: Corrections::default(),
            prepared: false,
            steps: 250,
            trainer: None,
            threads: 1,
            int8: false,
        }
    }
}

/// What teaching is doing. Sent often enough for a progress bar.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Progress<'a> {
    /// An image cannot be used; it is counted and named in the report too.
    Skipped {
        /// Its name.
        name: &'a str,
        /// Why.
        reason: &'a str,
    },
    /// A stage has done `done` of `total` steps.
    Step {
        /// What is being done.
        stage: Stage,
        /// Steps done.
        done: usize,
        /// Steps in all.
        total: usize,
    },
    /// A student is being trained ([`Stage::Train`]).
    Training {
        /// Steps done.
        step: usize,
        /// Steps in all, if it does not stop early.
        steps: usize,
        /// The loss of the last step.
        loss: f64,
        /// Seconds left, if all steps are done.
        left_s: f64,
    },
}

/// The stages of teaching, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Training a student.
    Train,
    /// Measuring the backbone's channels.
    Measure,
    /// Computing features and choosing those to keep.
    Learn,
    /// Scoring held-out good parts.
    Calibrate,
    /// Writing the graph and running it once.
    Assemble,
}

impl Stage {
    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Stage::Train => "train",
            Stage::Measure => "measure",
            Stage::Learn => "learn",
            Stage::Calibrate => "calibrate",
            Stage::Assemble => "assemble",
        }
    }
}

/// An image that could not be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SkippedImage {
    /// Its name.
    pub name: String,
    /// Why.
    pub reason: String,
}

impl SkippedImage {
    /// What `error` says of the image, without saying its name a second time.
    pub(crate) fn of(name: String, error: &crate::Error) -> SkippedImage {
        let said = error.to_string();
        let reason = said.strip_prefix(&format!("{name}: ")).map(str::to_owned).unwrap_or(said);
        SkippedImage { name, reason }
    }
}

/// What was taught.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// How the model judges.
    pub method: Method,
    /// Images that were learned.
    pub images: usize,
    /// Images that could not be used.
    pub skipped: Vec<SkippedImage>,
    /// Features in the bank; 0 where the method has none.
    pub bank: usize,
    /// Width and height of the model's input.
    pub size: (u32, u32),
    /// The threshold and why that one.
    pub threshold: Threshold,
    /// The scores of held-out parts.
    pub calibration: Calibration,
    /// Held-out score of each learned image, by name, highest first: look at the first ones, they may be bad parts.
    pub held_out: Vec<(String, f64)>,
    /// How each method did where `auto` chose; empty where the method was given.
    pub candidates: Vec<Candidate>,
    /// How the student was trained; none where the method has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub training: Option<Training>,
    /// What the user should know, in plain sentences.
    pub warnings: Vec<String>,
}

/// A taught model.
#[derive(Clone, Debug)]
pub struct Taught {
    /// The whole model as the bytes of an ONNX file; write them with [`crate::write_atomic`].
    pub onnx: Vec<u8>,
    /// What the file says about itself.
    pub contract: Contract,
    /// What was done.
    pub report: Report,
}

/// Teaches a model from good parts.
///
/// # Errors
/// [`Error`]: too few images, a backbone that is none, a setting out of range, images without any variation.
pub fn teach(
    parts: &mut dyn Parts,
    options: &Options,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<Taught, Error> {
    check(options)?;
    if options.auto {
        return course::run(parts, options, &Method::COMPARED, progress);
    }
    if options.method == Method::TeacherStudent {
        return student::run(parts, options, progress);
    }
    course::run(parts, options, &[options.method], progress)
}

fn check(options: &Options) -> Result<(), Error> {
    let wrong = |key, value: String, expected: &str| Err(Error::Setting { key, value, expected: expected.to_owned() });
    if let Size::Fixed(width, height) = options.size
        && !options.size.is_possible()
    {
        return wrong("size", format!("{width}x{height}"), "multiples of 16 from 32 to 4096");
    }
    check_rate(options.false_reject)?;
    if !(16..=65536).contains(&options.bank) {
        return wrong("bank", options.bank.to_string(), "16 to 65536 features; 1024 suits most parts");
    }
    if !options.auto && options.method == Method::Imported {
        return wrong(
            "method",
            options.method.to_string(),
            "patchcore-lite, padim, padim-full, mahalanobis or teacher-student",
        );
    }
    if !(1..=100_000).contains(&options.steps) {
        return wrong("steps", options.steps.to_string(), "1 to 100000; 250 suit most parts");
    }
    if options.threads == 0 {
        return wrong("threads", "0".to_owned(), "at least 1");
    }
    Ok(())
}

/// The threshold and the distribution of scores of good parts that a model never learned. `pixels` are a sample of their
/// anomaly maps; `scores` must not be empty.
pub(crate) fn calibrate_scores(scores: &[f64], mut pixels: Vec<f64>, false_reject: f64) -> (Threshold, Calibration) {
    pixels.sort_by(f64::total_cmp);
    let pixel = if pixels.is_empty() { 0.0 } else { threshold::quantile(&pixels, 1.0 - course::PIXELS_ABOVE) };
    let found = threshold::calibrate(&threshold::Evidence { scores, pixel, false_reject, floor: None });
    (found.threshold, found.calibration)
}

/// A false-reject rate has to be above 0 and at most a half.
pub(crate) fn check_rate(false_reject: f64) -> Result<(), Error> {
    if false_reject > 0.0 && false_reject <= 0.5 {
        return Ok(());
    }
    Err(Error::Setting {
        key: "false-reject",
        value: format!("{} %", false_reject * 100.0),
        expected: "a rate above 0 % and up to 50 %, such as 0.5 %".to_owned(),
    })
}
