//! `jidoka model`: what a model file is, whether it is what it was, and taking over one that was made elsewhere.

mod inspect;
mod keys;

use std::path::{Path, PathBuf};

use clap::Subcommand;
use jidoka_capture::images;
use jidoka_models::teach::{Folder, Parts};
use jidoka_models::{Check, ImportOptions, InspectionModel, LoadOptions, PublicKey, signature};
use serde_json::json;

use super::output;
use super::ui::{self, Table};
use super::values;
use crate::error::Error;

/// Models: what a file says about itself, whether it still gives the score that it gave when it was made, who signed it; and
/// taking over models that were made elsewhere.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  jidoka model inspect capper.onnx
  jidoka model verify capper.onnx        its golden check, on this machine: exit code 0 or 3
  jidoka model import model.onnx --out capper.onnx --good photos/held-out      a model that anomalib exported
  jidoka model diff old.onnx new.onnx photos/*                                 do they agree?
  jidoka model keys --out plant          plant.key to sign with, plant.pub for the stations
  jidoka model sign capper.onnx --key plant.key
  jidoka model verify capper.onnx --public-key plant.pub")]
pub struct Args {
    #[command(subcommand)]
    command: Command,
    /// JSON instead of a table
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum Command {
    /// What a model is: input, outputs, threshold, origin, and the plan by which it runs. Any ONNX file has a plan
    Inspect {
        /// The model
        model: PathBuf,
    },
    /// Run a model's golden check; refuse one that has none. With a public key, check its signature first
    Verify {
        /// The model
        model: PathBuf,
        /// The key that must have signed it: the line RW..., or a .pub file
        #[arg(long, value_name = "KEY")]
        public_key: Option<String>,
    },
    /// Take over a model that anomalib or another tool exported: give it a threshold from good parts, and a golden check
    Import {
        /// The model: an image in, `anomaly_map` and/or `pred_score` out
        model: PathBuf,
        /// The file to write
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// Good parts that the model was not trained on; without them it keeps the threshold of its own label, if it has one
        #[arg(long, value_name = "DIR")]
        good: Option<PathBuf>,
        /// Share of good parts that may be rejected
        #[arg(long, value_parser = values::rate, default_value = "0.5%", requires = "good")]
        false_reject: f64,
        /// The graph expects colours less ImageNet's mean over its deviation: put that into it
        #[arg(long)]
        imagenet: bool,
        /// The input's size in pixels where the file leaves it open: 256 or 320x256 [default: that of its anomaly map]
        #[arg(long, value_parser = values::size)]
        size: Option<(u32, u32)>,
    },
    /// Two models on the same images: how their scores go together, and where their verdicts differ
    Diff {
        /// The first model
        first: PathBuf,
        /// The second
        second: PathBuf,
        /// Images, or folders of images
        #[arg(required = true, value_name = "IMAGE")]
        images: Vec<PathBuf>,
    },
    /// Make a pair of minisign keys: OUT.key to sign with, OUT.pub for the stations
    Keys(keys::Make),
    /// Sign a model: writes MODEL.minisig beside it
    Sign(keys::Sign),
}

/// Does what was asked.
pub fn run(args: &Args) -> Result<(), Error> {
    match &args.command {
        Command::Inspect { model } => inspect::run(model, args.json),
        Command::Verify { model, public_key } => verify(model, public_key.as_deref(), args.json),
        Command::Import { model, out, good, false_reject, imagenet, size } => {
            let options = ImportOptions { false_reject: *false_reject, imagenet: *imagenet, size: *size };
            import(model, out, good.as_deref(), &options, args.json)
        }
        Command::Diff { first, second, images } => diff(first, second, images, args.json),
        Command::Keys(make) => make.run(args.json),
        Command::Sign(sign) => sign.run(args.json),
    }
}

fn verify(path: &Path, key: Option<&str>, json: bool) -> Result<(), Error> {
    let public_key = key.map(PublicKey::parse_or_read).transpose()?;
    let signed = public_key.is_some();
    let model =
        InspectionModel::load(path, &LoadOptions { golden: Check::Required, public_key, ..LoadOptions::default() })?;
    if json {
        ui::say_json(&json!({ "model": path, "sha256": model.sha256(), "golden": true, "signed": signed }));
        return Ok(());
    }
    ui::say(format!("  {}: gives the score that it gave when it was made", path.display()));
    if signed {
        ui::say("  its signature holds");
    } else if signature::signature_of(path).is_file() {
        ui::say("  there is a signature beside it, which was not looked at\n  try: --public-key");
    }
    Ok(())
}

fn import(path: &Path, out: &Path, good: Option<&Path>, options: &ImportOptions, json: bool) -> Result<(), Error> {
    output::writable_model("--out", out)?;
    let mut folder = good.map(Folder::open).transpose()?;
    let parts = folder.as_mut().map(|folder| folder as &mut dyn Parts);
    let imported = jidoka_models::import(path, parts, options)?;
    jidoka_models::write_atomic(out, &imported.onnx)?;
    let threshold = imported.contract.threshold.as_ref();
    if json {
        ui::say_json(&json!({ "model": out, "images": imported.images, "threshold": threshold }));
        return Ok(());
    }
    let mut table = Table::default();
    table.row(["model".into(), out.display().to_string()]);
    if let Some(threshold) = threshold {
        table.row(["good parts".into(), format!("{} scored, held out by nature", imported.images)]);
        table.row(["threshold".into(), format!("{:.4}: {}", threshold.score, threshold.basis)]);
        let (rate, bound) = (threshold.false_reject * 100.0, threshold.bound_95 * 100.0);
        let above = format!("{} of {} above it", threshold.above, threshold.held_out);
        table.row([
            "false rejects".into(),
            format!("{rate:.2} % asked for; {above}, compatible with up to {bound:.1} %"),
        ]);
    } else {
        table.row([
            "threshold".into(),
            "as exported: 0.5 where it has a `pred_label`, else none; --good gives one".into(),
        ]);
    }
    table.row(["golden check".into(), "written".into()]);
    ui::say(table.render_left().trim_end());
    ui::say(format!("\nTry it: jidoka infer {} IMAGE...", out.display()));
    Ok(())
}

fn diff(first: &Path, second: &Path, named: &[PathBuf], json: bool) -> Result<(), Error> {
    let mut models = Vec::new();
    for path in [first, second] {
        models.push(InspectionModel::load(path, &LoadOptions::default())?);
    }
    let [first, second] = models.as_mut_slice() else { return Ok(()) };
    let mut pictures = Vec::new();
    for path in super::infer::files(named)? {
        pictures.push((path.display().to_string(), images::decode(&path)?));
    }
    let found = jidoka_models::compare(first, second, pictures.into_iter())?;
    if json {
        ui::say_json(&found);
        return Ok(());
    }
    ui::say(format!("  {} images, correlation of the scores {:.4}", found.images, found.correlation));
    match &found.flips {
        None => ui::say("  one of them states no threshold, so there are no verdicts to compare"),
        Some(flips) if flips.is_empty() => ui::say("  the same verdict on every image"),
        Some(flips) => {
            let mut table = Table::new(["verdict differs", "first", "second"]);
            for flip in flips {
                table.row([flip.image.clone(), format!("{:.4}", flip.first), format!("{:.4}", flip.second)]);
            }
            ui::say(table.render().trim_end());
        }
    }
    Ok(())
}
