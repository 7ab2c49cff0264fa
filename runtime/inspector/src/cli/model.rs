//! `jidoka model`: what a model file is, and whether it is what it was.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use jidoka_engine::TensorInfo;
use jidoka_models::{Check, InspectionModel, LoadOptions};
use serde_json::json;

use super::ui::{self, Table};
use crate::error::Error;

/// Models: what a file says about itself, and whether it still gives the score that it gave when it was made.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  jidoka model inspect capper.onnx
  jidoka model verify capper.onnx        its golden check, on this machine: exit code 0 or 3")]
pub struct Args {
    #[command(subcommand)]
    command: Command,
    /// JSON instead of a table
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum Command {
    /// What a model is: input, outputs, threshold, origin
    Inspect {
        /// The model
        model: PathBuf,
    },
    /// Run a model's golden check; refuse one that has none
    Verify {
        /// The model
        model: PathBuf,
    },
}

/// Does what was asked.
pub fn run(args: &Args) -> Result<(), Error> {
    match &args.command {
        Command::Inspect { model } => inspect(model, args.json),
        Command::Verify { model } => verify(model, args.json),
    }
}

fn inspect(path: &Path, json: bool) -> Result<(), Error> {
    let options = LoadOptions { golden: Check::Skip, ..LoadOptions::default() };
    let model = InspectionModel::load(path, &options)?;
    let (contract, session) = (model.contract(), model.session());
    if json {
        let tensor =
            |info: &TensorInfo| json!({ "name": info.name, "shape": info.shape, "type": format!("{:?}", info.dtype) });
        ui::say_json(&json!({
            "model": path,
            "sha256": model.sha256(),
            "method": contract.method,
            "input": tensor(session.input_info()),
            "outputs": session.outputs().iter().map(tensor).collect::<Vec<_>>(),
            "preparation": contract.input,
            "threshold": contract.threshold,
            "calibration": contract.calibration,
            "provenance": contract.provenance,
            "golden": contract.golden.is_some(),
            "isa": session.isa().name(),
            "arena_bytes": session.arena_bytes(),
            "fallbacks": session.fallbacks(),
        }));
        return Ok(());
    }
    let tensor = |info: &TensorInfo| format!("{} {:?} {:?}", info.name, info.dtype, info.shape);
    let mut table = Table::default();
    let mut fact = |name: &str, value: String| {
        table.row([name.into(), value]);
    };
    fact("model", path.display().to_string());
    fact("sha256", model.sha256().into());
    fact("method", contract.method.name().into());
    fact("input", tensor(session.input_info()));
    fact("outputs", session.outputs().iter().map(tensor).collect::<Vec<_>>().join("; "));
    if let Some(input) = &contract.input {
        fact("preparation", format!("{} to {}x{}, {} filter", input.fit, input.width, input.height, input.filter));
    }
    match &contract.threshold {
        Some(threshold) => fact("threshold", format!("{:.4}: {}", threshold.score, threshold.basis)),
        None => {
            fact("threshold", model.threshold().map_or("none".into(), |score| format!("{score} (its own label's)")))
        }
    }
    let provenance = &contract.provenance;
    if !provenance.program.is_empty() {
        let origin =
            format!("{} images, bank {}, backbone {}", provenance.images, provenance.bank, provenance.backbone);
        fact("made by", format!("{}: {origin}", provenance.program));
    }
    fact("golden check", if contract.golden.is_some() { "there is one" } else { "none" }.into());
    fact("kernels", session.isa().name().into());
    fact("arena", format!("{:.2} MB", session.arena_bytes() as f64 / 1e6));
    let fallbacks = session.fallbacks();
    fact("allocates in", if fallbacks.is_empty() { "no operator".into() } else { fallbacks.join(", ") });
    ui::say(table.render_left().trim_end());
    Ok(())
}

fn verify(path: &Path, json: bool) -> Result<(), Error> {
    let model = InspectionModel::load(path, &LoadOptions { golden: Check::Required, ..LoadOptions::default() })?;
    if json {
        ui::say_json(&json!({ "model": path, "sha256": model.sha256(), "golden": true }));
    } else {
        ui::say(format!("  {}: gives the score that it gave when it was made", path.display()));
    }
    Ok(())
}
