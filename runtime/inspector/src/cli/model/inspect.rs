//! `jidoka model inspect`: what a model file says about itself, and the plan by which it runs.

use std::path::Path;

use jidoka_engine::{Model, Options, Report, Session, TensorInfo};
use jidoka_models::{Check, InspectionModel, LoadOptions};
use serde_json::json;

use crate::cli::ui::{self, Table};
use crate::error::Error;

/// Says what a model is.
pub fn run(path: &Path, json: bool) -> Result<(), Error> {
    let options = LoadOptions { golden: Check::Skip, ..LoadOptions::default() };
    let model = match InspectionModel::load(path, &options) {
        Ok(model) => model,
        // A backbone or another network: it inspects nothing, but it has a plan.
        Err(error) => return inspect_network(path, json).map_err(|_| error.into()),
    };
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
            "plan": plan_json(&session.report()),
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
        // An imported model has no backbone that we know of, and most have no bank.
        let mut origin = format!("{} images", provenance.images);
        if provenance.bank > 0 {
            origin += &format!(", bank {}", provenance.bank);
        }
        if !provenance.backbone.is_empty() {
            origin += &format!(", backbone {}", provenance.backbone);
        }
        fact("made by", format!("{}: {origin}", provenance.program));
    }
    fact("golden check", if contract.golden.is_some() { "there is one" } else { "none" }.into());
    fact("kernels", session.isa().name().into());
    ui::say(table.render_left().trim_end());
    say_plan(&session.report());
    Ok(())
}

/// A network that is no inspection model: its plan alone.
fn inspect_network(path: &Path, json: bool) -> Result<(), jidoka_engine::Error> {
    let session = Session::new(&Model::read(path)?, &Options::default())?;
    let report = session.report();
    if json {
        ui::say_json(&json!({ "model": path, "isa": session.isa().name(), "plan": plan_json(&report) }));
    } else {
        ui::say(format!("  {}: no inspection model; its plan is", path.display()));
        say_plan(&report);
    }
    Ok(())
}

fn plan_json(report: &Report) -> serde_json::Value {
    let step = |s: &jidoka_engine::StepReport| json!({ "name": s.name, "kind": s.kind, "kernel": s.detail, "macs": s.macs, "bytes_moved": s.bytes_moved });
    let region = |r: &jidoka_engine::Region| {
        json!({
            "name": r.name, "shape": r.shape, "offset_bytes": r.offset_bytes, "size_bytes": r.size_bytes,
            "first_step": r.steps[0], "last_step": r.steps[1],
        })
    };
    json!({
        "isa": report.isa,
        "steps": report.steps.iter().map(step).collect::<Vec<_>>(),
        "arena": report.regions.iter().map(region).collect::<Vec<_>>(),
        "arena_bytes": report.arena_bytes,
        "macs": report.macs(),
        "bytes_moved": report.bytes_moved(),
        "fallbacks": report.fallbacks,
        "pool_bytes": report.pool_bytes,
    })
}

fn say_plan(report: &Report) {
    let mut steps = Table::new(["step", "kind", "MMAC", "moves KiB", "kernel", "node"]);
    for (number, step) in report.steps.iter().enumerate() {
        let (macs, kib) = (step.macs as f64 / 1e6, step.bytes_moved as f64 / 1024.0);
        steps.row([
            number.to_string(),
            step.kind.clone(),
            format!("{macs:.2}"),
            format!("{kib:.0}"),
            step.detail.clone(),
            step.name.clone(),
        ]);
    }
    ui::say(format!("\n{}", steps.render_left().trim_end()));
    let mut arena = Table::new(["arena at", "bytes", "steps", "value"]);
    for region in &report.regions {
        let steps = format!("{} to {}", region.steps[0], region.steps[1]);
        let value = format!("{} {:?}", region.name, region.shape);
        arena.row([region.offset_bytes.to_string(), region.size_bytes.to_string(), steps, value]);
    }
    ui::say(format!("\n{}", arena.render_left().trim_end()));
    let (macs, mib) = (report.macs() as f64 / 1e6, report.bytes_moved() as f64 / f64::from(1 << 20));
    let mut total = Table::default();
    let mut fact = |name: &str, value: String| {
        total.row([name.into(), value]);
    };
    fact("in all", format!("{} steps, {macs:.1} MMAC, {mib:.2} MiB moved, {}", report.steps.len(), report.isa));
    fact("arena", format!("{:.2} MB", report.arena_bytes as f64 / 1e6));
    let none = "none: every node has a step";
    let fallbacks = if report.fallbacks.is_empty() { none.into() } else { report.fallbacks.join(", ") };
    fact("fallbacks", fallbacks);
    if report.pool_bytes > 0 {
        fact("their pool", format!("{:.2} MB", report.pool_bytes as f64 / 1e6));
    }
    ui::say(format!("\n{}", total.render_left().trim_end()));
}
