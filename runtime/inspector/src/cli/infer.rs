//! `jidoka infer`: a model, some images, a score each.

use std::path::{Path, PathBuf};

use jidoka_capture::images;
use serde::Serialize;

use super::ui::{self, Table};
use super::values;
use crate::config::{Limit, ModelChoice};
use crate::error::Error;
use crate::report::picture;
use crate::scorer::Scorer;
use crate::station::open;

/// Score images with a model: the same preparation, engine and threshold as `jidoka run`.
///
/// A score above the threshold is a reject. Images that cannot be read are skipped, named, and make the exit code 4.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  jidoka infer capper.onnx photos/new/*.png
  jidoka infer capper.onnx photos/new --heatmap maps       where does it see something odd?
  jidoka infer capper.onnx photos/new --json | jq 'select(.verdict == \"reject\")'")]
pub struct Args {
    /// The model
    model: PathBuf,
    /// Images, or folders of images
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<PathBuf>,
    /// Write a picture of each image with its anomaly map over it
    #[arg(long, value_name = "DIR")]
    heatmap: Option<PathBuf>,
    /// Instead of the model's own threshold
    #[arg(long, value_name = "SCORE", allow_negative_numbers = true, value_parser = values::score)]
    threshold: Option<f32>,
    /// Between 0 and 1: 0.5 is the model's own threshold, towards 1 more parts are rejected
    #[arg(long, value_parser = values::sensitivity, conflicts_with = "threshold")]
    sensitivity: Option<f64>,
    #[command(flatten)]
    preparation: values::Preparation,
    /// Threads of the engine
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// One JSON object an image instead of a table
    #[arg(long)]
    json: bool,
}

/// One line of `--json`.
#[derive(Serialize)]
struct Line<'a> {
    image: &'a Path,
    score: f32,
    /// From 0 to 1, 0.5 at the threshold as taught.
    #[serde(skip_serializing_if = "Option::is_none")]
    normalised: Option<f64>,
    threshold: f64,
    verdict: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    heatmap: Option<PathBuf>,
}

/// Scores every image.
pub fn run(args: &Args) -> Result<(), Error> {
    let limit = Limit::of(args.threshold, args.sensitivity);
    let (view, path) = (String::new(), args.model.clone());
    let choice =
        ModelChoice { view, path, limit, threads: args.threads, strict: false, any_roi: false, public_key: None };
    let mut scorer = Scorer::new(open::model(&choice)?, limit, args.preparation.roi)?;
    let files = files(&args.images)?;
    if let Some(folder) = &args.heatmap {
        std::fs::create_dir_all(folder).map_err(|error| Error::file(folder, "make the folder", error))?;
    }
    let mut table = Table::new(["image", "score", "verdict"]);
    let bar = ui::progress(files.len() as u64, "scoring");
    let (mut rejects, mut skipped) = (0, 0);
    for file in &files {
        bar.inc(1);
        let image = match images::decode(file) {
            Ok(image) => image,
            Err(error) => {
                skipped += 1;
                bar.suspend(|| log::warn!("skipped: {error}"));
                continue;
            }
        };
        let scored = scorer.score(&file.display().to_string(), &image)?;
        rejects += usize::from(!scored.passes);
        let heatmap = match &args.heatmap {
            Some(folder) => Some(write_heatmap(&mut scorer, folder, file, &image)?),
            None => None,
        };
        let verdict = if scored.passes { "pass" } else { "reject" };
        if args.json {
            ui::say_json(&Line {
                image: file,
                score: scored.score,
                normalised: scored.normalised,
                threshold: scorer.threshold,
                verdict,
                heatmap,
            });
        } else {
            table.row([file.display().to_string(), format!("{:.4}", scored.score), verdict.into()]);
        }
    }
    bar.finish_and_clear();
    let inspected = files.len() - skipped;
    if !args.json && inspected > 0 {
        ui::say(table.render().trim_end());
        ui::say(format!("\n  {inspected} images, {rejects} rejects, threshold {:.4}", scorer.threshold));
    }
    if skipped > 0 {
        return Err(Error::Images { skipped, of: files.len() });
    }
    Ok(())
}

/// The files themselves, and those in the folders.
pub fn files(named: &[PathBuf]) -> Result<Vec<PathBuf>, Error> {
    let mut files = Vec::new();
    for path in named {
        if path.is_dir() {
            files.extend(images::list(path)?);
        } else {
            files.push(path.clone());
        }
    }
    Ok(files)
}

fn write_heatmap(scorer: &mut Scorer, folder: &Path, file: &Path, image: &images::Image) -> Result<PathBuf, Error> {
    let Some((_, laid)) = scorer.overlay(image)? else {
        return Err(Error::Usage(format!(
            "{}: the model has no `anomaly_map` output, so there is nothing to draw\n  try: without --heatmap",
            scorer.model_name()
        )));
    };
    let target = folder.join(heatmap_name(file));
    let bytes = picture::png(&laid).map_err(|error| Error::Report(error.to_string()))?;
    jidoka_models::write_atomic(&target, &bytes)?;
    Ok(target)
}

/// The picture's name tells the image's folder too: `bad/007.png` and `good/007.png` do not overwrite each other.
fn heatmap_name(file: &Path) -> String {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    match file.parent().and_then(Path::file_name) {
        Some(folder) => format!("{}-{stem}.png", folder.to_string_lossy()),
        None => format!("{stem}.png"),
    }
}
