//! The file beside a model that keeps its good parts and how it was taught, for `teach --add`.

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use jidoka_capture::Roi;
use jidoka_models::teach::{Kept, Options, Size};
use jidoka_models::{Check, InspectionModel, LoadOptions};
use jidoka_prepare::Corrections;
use serde::{Deserialize, Serialize};

use super::teach::method;
use super::values::{FilterWord, FitWord};
use crate::error::Error;

/// How a model was taught, in the words of the command line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    method: String,
    bank: usize,
    false_reject: f64,
    seed: u64,
    int8: bool,
    // Files that were written before there were students do not say it.
    #[serde(default = "usual_steps")]
    steps: usize,
    roi: Option<[u32; 4]>,
    fit: String,
    filter: String,
    backbone: Option<PathBuf>,
}

fn usual_steps() -> usize {
    Options::default().steps
}

impl Settings {
    /// What is worth knowing of these options; `method` is the word for the method, which may be `auto`.
    pub fn of(method: &str, fit: &FitWord, filter: &FilterWord, options: &Options) -> Settings {
        let word =
            |value: Option<clap::builder::PossibleValue>| value.map_or_else(String::new, |v| v.get_name().to_owned());
        Settings {
            method: method.to_owned(),
            bank: options.bank,
            false_reject: options.false_reject,
            seed: options.seed,
            int8: options.int8,
            steps: options.steps,
            roi: options.roi.map(|r| [r.x, r.y, r.width, r.height]),
            fit: word(fit.to_possible_value()),
            filter: word(filter.to_possible_value()),
            backbone: options.backbone.clone(),
        }
    }

    /// As text for the file.
    pub fn note(&self) -> String {
        // A struct of numbers and strings cannot fail to serialise.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// The file of kept parts that belongs to a model.
pub fn beside(model: &Path) -> PathBuf {
    let mut name = model.as_os_str().to_owned();
    name.push(".parts");
    PathBuf::from(name)
}

/// Takes away the parts of the model that was there before: `--add` would bring that one back.
pub fn forget(model: &Path) -> Result<(), Error> {
    let path = beside(model);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::file(&path, "remove", error)),
        _ => Ok(()),
    }
}

/// The parts kept beside a model, and the options that it was taught with.
pub fn read(model: &Path, threads: usize) -> Result<(Kept, Options), Error> {
    let path = beside(model);
    if !path.exists() {
        return Err(Error::Usage(format!(
            "{}: there is no such file, so nothing can be added\n  expected: the good parts that `jidoka teach` kept beside \
             {}\n  try: teach from all good parts together, without --add",
            path.display(),
            model.display()
        )));
    }
    let bytes = std::fs::read(&path).map_err(|error| Error::file(&path, "read", error))?;
    let name = path.display().to_string();
    let kept = Kept::decode(&name, &bytes)?;
    let wrong = |reason: String| jidoka_models::Error::Kept { name: name.clone(), reason };
    let settings: Settings = serde_json::from_str(kept.note()).map_err(|e| wrong(format!("its settings: {e}")))?;
    let fit = FitWord::from_str(&settings.fit, false).map_err(wrong)?;
    let filter = FilterWord::from_str(&settings.filter, false).map_err(wrong)?;
    let options = Options {
        method: method(&settings.method),
        auto: settings.method == "auto",
        size: Size::Fixed(kept.size().0, kept.size().1),
        bank: settings.bank,
        false_reject: settings.false_reject,
        seed: settings.seed,
        backbone: settings.backbone,
        roi: settings.roi.map(|[x, y, width, height]| Roi { x, y, width, height }),
        fit: fit.0,
        filter: filter.0,
        // Those that the model carries.
        corrections: carried(model)?,
        prepared: false,
        steps: settings.steps,
        trainer: None,
        threads,
        int8: settings.int8,
    };
    Ok((kept, options))
}

/// The corrections that a model was taught with; none where it says none, or is not there any more.
fn carried(model: &Path) -> Result<Corrections, Error> {
    if !model.exists() {
        return Ok(Corrections::default());
    }
    let model = InspectionModel::load(model, &LoadOptions { golden: Check::Skip, ..LoadOptions::default() })?;
    Ok(model.contract().corrections(model.name())?.unwrap_or_default())
}
