//! Why a command ended without doing what it was asked, and which exit code that is.

use std::path::{Path, PathBuf};

use jidoka_prepare::CorrectionError;

use crate::config::problem::Refused;
use crate::exit::Exit;

/// A command's failure. Its text is complete: what, where, what was expected, what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration was refused.
    #[error(transparent)]
    Config(#[from] Refused),
    /// An argument makes no sense.
    #[error("{0}")]
    Usage(String),
    /// A file could not be read or written.
    #[error("{}: cannot {action}: {error}{}", path.display(), advice(path, error))]
    File {
        /// The file.
        path: PathBuf,
        /// `read`, `write`, ...
        action: &'static str,
        /// What the system said.
        error: std::io::Error,
    },
    /// A file that is to be written cannot be.
    #[error("{flag} {}: cannot write: {reason}\n  expected: a file in a folder that exists\n  {hint}", path.display())]
    Output {
        /// The argument that names it.
        flag: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
        /// What to do.
        hint: String,
    },
    /// What a configuration names could not be had.
    #[error("{file}: {key}: {error}")]
    Named {
        /// The configuration.
        file: String,
        /// The table and the key, or the alternatives.
        key: String,
        /// What is wrong with it.
        error: Box<Error>,
    },
    /// A model was refused.
    #[error(transparent)]
    Model(#[from] jidoka_models::Error),
    /// The engine refused a model.
    #[error(transparent)]
    Engine(#[from] jidoka_engine::Error),
    /// A camera or image was refused.
    #[error(transparent)]
    Capture(#[from] jidoka_capture::CaptureError),
    /// A camera that was open gave no frames.
    #[error(
        "{name}: {fault}\n  expected: frames\n  try: is it triggered, lit, plugged in? `-v` tells how it was opened"
    )]
    Camera {
        /// Which.
        name: String,
        /// What it said.
        fault: jidoka_capture::FrameFault,
    },
    /// Telemetry was refused.
    #[error(transparent)]
    Telemetry(#[from] jidoka_telemetry::Error),
    /// A board was refused.
    #[error(transparent)]
    Board(#[from] jidoka_boards::Error),
    /// A frame or region does not fit.
    #[error(transparent)]
    Prepare(#[from] jidoka_prepare::CorrectionError),
    /// A GPIO line was refused.
    #[error(transparent)]
    Pins(#[from] jidoka_pins::Error),
    /// The system refused something a station needs.
    #[error("cannot {action}: {error}")]
    System {
        /// What was tried.
        action: &'static str,
        /// What the system said.
        error: std::io::Error,
    },
    /// A station that runs was asked for something and did not do it.
    #[error("{0}")]
    Control(String),
    /// A watchdog was refused.
    #[error(transparent)]
    Watchdog(#[from] jidoka_watchdog::Error),
    /// The station stopped by itself; outputs are safe.
    #[error("stopped, outputs safe: {0}")]
    FailSafe(String),
    /// Some images could not be read; the others were scored.
    #[error("{skipped} of {of} images could not be read; they are named above")]
    Images {
        /// How many.
        skipped: usize,
        /// Of how many.
        of: usize,
    },
    /// Defective parts were not ejected in the demo.
    #[error("{escapes} of {defective} defective parts escaped; the report shows which")]
    Escapes {
        /// How many.
        escapes: usize,
        /// Of how many.
        defective: usize,
    },
    /// This machine lacks something that an inspection needs.
    #[error("this machine lacks {problems} thing(s) that an inspection needs; they are named above")]
    Unfit {
        /// How many.
        problems: usize,
    },
    /// Good parts were ejected more often than was asked for.
    #[error(
        "{found} of {good} good parts were rejected: {asked} were asked for, and chance explains at most {plausible}; the \
         report shows which"
    )]
    FalseRejects {
        /// How many.
        found: usize,
        /// Of how many.
        good: usize,
        /// The share asked for, in words.
        asked: String,
        /// Most that so few parts explain.
        plausible: usize,
    },
    /// The simulated line broke a promise.
    #[error("{0}")]
    Broken(String),
    /// A report could not be made.
    #[error("cannot make the report: {0}")]
    Report(String),
}

/// What to do about a file that is not there.
fn advice(path: &Path, error: &std::io::Error) -> &'static str {
    let is_toml = path.extension().is_some_and(|extension| extension == "toml");
    match error.kind() {
        std::io::ErrorKind::NotFound if is_toml => {
            "\n  expected: a station's configuration\n  try: look at the path, or begin with one of docs/examples"
        }
        std::io::ErrorKind::NotFound => "\n  expected: a file or folder that exists\n  try: look at the path",
        _ => "",
    }
}

impl From<jidoka_prepare::SpecError> for Error {
    fn from(error: jidoka_prepare::SpecError) -> Error {
        Error::Prepare(error.into())
    }
}

impl Error {
    /// An [`Error::File`].
    pub fn file(path: &Path, action: &'static str, error: std::io::Error) -> Error {
        Error::File { path: path.to_owned(), action, error }
    }

    /// The same, said of what `key` of a configuration names.
    pub fn named(self, file: &str, key: impl Into<String>) -> Error {
        Error::Named { file: file.to_owned(), key: key.into(), error: Box::new(self) }
    }

    /// The exit code that stands for it.
    pub fn exit(&self) -> Exit {
        use jidoka_engine::Error as Engine;
        use jidoka_models::Error as Model;
        use std::io::ErrorKind::NotFound;
        match self {
            Error::Named { error, .. } => error.exit(),
            Error::Config(_) | Error::Usage(_) | Error::Board(_) => Exit::Usage,
            Error::Prepare(CorrectionError::Spec(_)) => Exit::Usage,
            Error::Model(
                Model::Capture(_) | Model::TooFewImages { .. } | Model::NoVariation { .. } | Model::Dataset { .. },
            ) => Exit::Device,
            Error::Model(Model::Setting { .. } | Model::Prepare(_)) => Exit::Usage,
            // A file that is not there is no refused model; the disk that is full when a model is written is neither.
            Error::Model(Model::Io { action, error, .. }) if *action != "read" && error.kind() != NotFound => {
                Exit::Failed
            }
            Error::Model(Model::Io { .. } | Model::Engine(Engine::Read { .. }))
            | Error::Engine(Engine::Read { .. }) => Exit::Device,
            Error::Model(_) | Error::Engine(_) => Exit::Model,
            Error::Capture(_)
            | Error::Camera { .. }
            | Error::Telemetry(_)
            | Error::Prepare(_)
            | Error::Pins(_)
            | Error::File { .. }
            | Error::Output { .. }
            | Error::Images { .. }
            | Error::Watchdog(_)
            | Error::Unfit { .. } => Exit::Device,
            Error::FailSafe(_) => Exit::FailSafe,
            Error::System { .. }
            | Error::Control(_)
            | Error::Report(_)
            | Error::Broken(_)
            | Error::Escapes { .. }
            | Error::FalseRejects { .. } => Exit::Failed,
        }
    }
}
