//! Everything that can go wrong with a model, its teaching and its evaluation: one enum, text made here.

use std::path::PathBuf;

use jidoka_capture::CaptureError;
use jidoka_prepare::{CorrectionError, FrameError, SpecError};

/// Why a model could not be loaded, taught or evaluated. The message names what, where, what was expected, what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read or written.
    #[error("{}: cannot {action}: {error}{}", path.display(), advice(path, error))]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was tried: "read", "write", ...
        action: &'static str,
        /// What the system said.
        error: std::io::Error,
    },
    /// The engine cannot read or run the model.
    #[error(transparent)]
    Engine(#[from] jidoka_engine::Error),
    /// An inference failed.
    #[error("{name}: {error}")]
    Run {
        /// The model's file or name.
        name: String,
        /// What the engine said.
        error: jidoka_engine::RunError,
    },
    /// The model has no output that this runtime understands.
    #[error(
        "{name}: no known output: it has {}\n  expected: `anomaly_map` [1,1,H,W] and/or `pred_score` [1] (what anomalib \
         exports), f32\n  try: export with these names, or rename the outputs in the ONNX file",
        list(found)
    )]
    NoKnownOutput {
        /// The model's file or name.
        name: String,
        /// The outputs that it has.
        found: Vec<String>,
    },
    /// An output is there but is not of the shape or type that the contract asks for.
    #[error("{name}: output `{output}` is {found}; expected {expected}")]
    WrongOutput {
        /// The model's file or name.
        name: String,
        /// The output's name.
        output: String,
        /// What it is.
        found: String,
        /// What it has to be.
        expected: &'static str,
    },
    /// The model's input is not one image of a fixed size.
    #[error(
        "{name}: input `{input}` is {found}; expected one image: f32 [1,3,H,W] (RGB, 0..1) or u8 [1,H,W,3], every size \
         fixed\n  try: export with a fixed input size (anomalib: `input_size=(256, 256)`)"
    )]
    WrongInput {
        /// The model's file or name.
        name: String,
        /// The input's name.
        input: String,
        /// What it is.
        found: String,
    },
    /// A metadata key does not hold what it should.
    #[error("{name}: metadata `{key}` = {value}: {reason}\n  try: teach or import the model again")]
    Metadata {
        /// The model's file or name.
        name: String,
        /// The key.
        key: String,
        /// Its value, shortened.
        value: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The model was written by a newer version of this software.
    #[error(
        "{name}: metadata version {found}, and this program understands up to {understood}\n  try: update jidoka on this \
         machine, or teach the model again here"
    )]
    NewerModel {
        /// The model's file or name.
        name: String,
        /// The version that the file states.
        found: u32,
        /// The newest version that this program understands.
        understood: u32,
    },
    /// The model scores its test image differently here than where it was made.
    #[error(
        "{name}: the golden check failed: {what} is {found:.6} here and was {expected:.6} when the model was made \
         (allowed difference {tolerance:.6})\n  the file, this machine's engine or its arithmetic is not what it was; \
         verdicts cannot be trusted\n  try: copy the model again and compare its sha256, or teach it on this machine"
    )]
    GoldenCheck {
        /// The model's file or name.
        name: String,
        /// Which figure differs.
        what: String,
        /// Its value here.
        found: f64,
        /// Its value when the model was made.
        expected: f64,
        /// Allowed absolute difference.
        tolerance: f64,
    },
    /// The model holds no golden check and the caller insists on one.
    #[error("{name}: holds no golden check\n  try: `jidoka model import` adds one, or allow models without")]
    NoGoldenCheck {
        /// The model's file or name.
        name: String,
    },
    /// A backbone is not what teaching needs.
    #[error(
        "{name}: not a backbone: {reason}\n  expected: input `image` f32 [1,3,H,W], outputs `tap8` [1,C,H/8,W/8] and \
         `tap16` [1,C,H/16,W/16]"
    )]
    NotABackbone {
        /// The file.
        name: String,
        /// What is missing or different.
        reason: String,
    },
    /// The file of kept parts beside a model cannot be used.
    #[error("{name}: not the good parts of a model: {reason}\n  try: teach from all good parts again")]
    Kept {
        /// The file.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A tensor of a model that has its tensors in other files cannot be had.
    #[error(
        "{name}: tensor `{tensor}`: {reason}\n  expected: the files that the exporter wrote beside it, with what it says is in them\n  \
         try: copy all of them, or export again"
    )]
    NotWhole {
        /// The model's file.
        name: String,
        /// The tensor.
        tensor: String,
        /// What is wrong with its file.
        reason: String,
    },
    /// A model is not signed as it has to be.
    #[error(
        "{name}: {reason}\n  expected: a signature in {name}.minisig that the key {key} verifies\n  try: `jidoka model sign` \
         with the secret key that belongs to it, or take this file off the station"
    )]
    Signature {
        /// The model's file.
        name: String,
        /// What is wrong with it.
        reason: String,
        /// The public key.
        key: String,
    },
    /// The program that trains students cannot be started.
    #[error(
        "{}: cannot start: {error}\n  expected: the program that trains students, beside this one or on the PATH\n  try: cargo \
         build --release -p jidoka-trainer, and copy it beside jidoka; or another --method, which needs no training",
        program.display()
    )]
    NoTrainer {
        /// The program.
        program: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// A student could not be trained. No model was written.
    #[error("{}: {reason}", program.display())]
    Training {
        /// The program that trains.
        program: PathBuf,
        /// What it said, or what became of it.
        reason: String,
    },
    /// A setting makes no sense.
    #[error("{key} = {value}: expected {expected}")]
    Setting {
        /// The setting.
        key: &'static str,
        /// Its value.
        value: String,
        /// What it may be.
        expected: String,
    },
    /// Too few usable images to teach from.
    #[error(
        "{usable} usable images of {found}; teaching needs at least {needed} good parts, 20 to 50 give a threshold to \
         trust{}",
        first_reason(skipped)
    )]
    TooFewImages {
        /// Images that could be used.
        usable: usize,
        /// Images that were found.
        found: usize,
        /// The least number.
        needed: usize,
        /// What was skipped, and why.
        skipped: Vec<String>,
    },
    /// The images do not tell anything apart: every one is the same, or blank.
    #[error(
        "the good images are all the same ({what}); expected photographs of at least {needed} different parts\n  try: \
         check the lens cap, the light and the region of interest"
    )]
    NoVariation {
        /// What has no variation.
        what: &'static str,
        /// The least number of images.
        needed: usize,
    },
    /// Image capture or decoding failed.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// The preparation of images was set up wrongly.
    #[error(transparent)]
    Prepare(#[from] CorrectionError),
    /// An image does not fit the preparation.
    #[error("{name}: {error}")]
    Frame {
        /// The image.
        name: String,
        /// What is wrong.
        error: FrameError,
    },
    /// A dataset is not laid out as expected.
    #[error("{}: {reason}", path.display())]
    Dataset {
        /// The folder or file.
        path: PathBuf,
        /// What is wrong, what was expected.
        reason: String,
    },
    /// A metric cannot be computed from what is there.
    #[error("{metric} needs {needs}, and there are {found}")]
    Metric {
        /// The metric.
        metric: &'static str,
        /// What it needs.
        needs: &'static str,
        /// What there is.
        found: String,
    },
}

impl From<SpecError> for Error {
    fn from(error: SpecError) -> Error {
        Error::Prepare(error.into())
    }
}

impl Error {
    /// An [`Error::Io`] for `path`.
    pub(crate) fn io(path: &std::path::Path, action: &'static str, error: std::io::Error) -> Error {
        Error::Io { path: path.to_owned(), action, error }
    }
}

/// What to do about a file that is not there.
fn advice(path: &std::path::Path, error: &std::io::Error) -> String {
    if error.kind() != std::io::ErrorKind::NotFound || path.extension().is_none_or(|extension| extension != "onnx") {
        return String::new();
    }
    "\n  expected: an .onnx file, as `jidoka teach --out` writes it\n  try: look at the path (one in a configuration is taken from \
     the folder that the configuration is in), or teach it first"
        .into()
}

fn list(names: &[String]) -> String {
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ")
    }
}

fn first_reason(skipped: &[String]) -> String {
    match skipped {
        [] => String::new(),
        [first] => format!("\n  skipped: {first}"),
        [first, rest @ ..] => format!("\n  skipped: {first}, and {} more", rest.len()),
    }
}
