//! `jidoka eval`: teach and test on a dataset whose truth is known.

use std::path::{Path, PathBuf};

use jidoka_models::eval::{self, Category, Details, Figures};
use jidoka_models::teach::{self, Folder, Options};
use jidoka_models::{InspectionModel, LoadOptions};

use super::teach::Bars;
use super::ui::{self, Table};
use super::values;
use crate::error::Error;

/// Teach on a dataset's good parts, test on the rest, and print the numbers that papers print.
///
/// Takes a category in MVTec AD's layout (train/good, test/good, test/DEFECT, ground_truth/DEFECT), or a folder of them.
/// Image-level and pixel-level figures are kept apart.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  jidoka eval mvtec_ad/bottle
  jidoka eval mvtec_ad --json > figures.jsonl         every category, one object a line
  jidoka eval mvtec_ad/bottle --model bottle.onnx     a model that was made before")]
pub struct Args {
    /// A category, or a folder of categories
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Test this model instead of teaching one
    #[arg(long, value_name = "ONNX")]
    model: Option<PathBuf>,
    /// How the model that is taught judges; `auto` tries each on held-out parts and takes the best
    #[arg(long, default_value = "patchcore-lite", value_parser = super::teach::METHODS)]
    method: String,
    /// Write each test image's score to this file, a JSON object a line, and its map to FILE.maps/ as .npy
    #[arg(long, value_name = "FILE")]
    scores: Option<PathBuf>,
    /// Size of the model's input in pixels
    #[arg(long, value_parser = values::size, default_value = "256")]
    size: (u32, u32),
    /// Most features in the memory bank
    #[arg(long, default_value_t = Options::default().bank)]
    bank: usize,
    /// Share of good parts that may be rejected
    #[arg(long, value_parser = values::share, default_value = "0.5%")]
    false_reject: f64,
    /// Threads of the engine
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// One JSON object a category instead of a table
    #[arg(long)]
    json: bool,
}

/// Evaluates every category found.
pub fn run(args: &Args) -> Result<(), Error> {
    let mut table =
        Table::new(["category", "image AUROC", "pixel AUROC", "AU-PRO 0.3", "F1-max", "false rejects", "p50 ms"]);
    let categories = eval::find(&args.folder)?;
    if args.scores.is_some() && categories.len() > 1 {
        let found = categories.len();
        return Err(Error::Usage(format!(
            "--scores is for one category, and {found} were found\n  try: name one of them"
        )));
    }
    let details = args.scores.as_deref().map(details).transpose()?;
    for category in categories {
        let mut model = model(args, &category)?;
        let bar = ui::progress(category.test.len() as u64, "testing");
        let (figures, _) =
            eval::evaluate(&category, &mut model, details.as_ref(), &mut |done, _| bar.set_position(done as u64))?;
        bar.finish_and_clear();
        if args.json {
            ui::say_json(&figures);
        } else {
            table.row(row(&figures));
        }
    }
    if !args.json {
        ui::say(table.render().trim_end());
    }
    Ok(())
}

fn details(scores: &Path) -> Result<Details, Error> {
    let mut maps = scores.as_os_str().to_owned();
    maps.push(".maps");
    let maps = PathBuf::from(maps);
    std::fs::create_dir_all(&maps).map_err(|error| Error::file(&maps, "make the folder", error))?;
    Ok(Details { scores: scores.to_owned(), maps })
}

fn model(args: &Args, category: &Category) -> Result<InspectionModel, Error> {
    let engine = jidoka_engine::Options { threads: args.threads, ..jidoka_engine::Options::default() };
    let load = LoadOptions { engine, ..LoadOptions::default() };
    if let Some(path) = &args.model {
        return Ok(InspectionModel::load(path, &load)?);
    }
    let options = Options {
        method: super::teach::method(&args.method),
        auto: args.method == "auto",
        size: args.size,
        bank: args.bank,
        false_reject: args.false_reject,
        threads: args.threads,
        ..Options::default()
    };
    let mut bars = Bars::default();
    let mut parts = Folder::of(category.train.clone());
    let taught = teach::teach(&mut parts, &options, &mut |progress| bars.show(progress))?;
    bars.end();
    Ok(InspectionModel::from_bytes(&category.name, &taught.onnx, &load)?)
}

fn row(figures: &Figures) -> [String; 7] {
    let share = |value: Option<f64>| value.map_or("-".into(), |value| format!("{value:.4}"));
    [
        figures.category.clone(),
        share(Some(figures.image_auroc)),
        share(figures.pixel_auroc),
        share(figures.au_pro_30),
        share(Some(figures.f1_max)),
        figures.false_reject.map_or("-".into(), |value| format!("{:.1} %", value * 100.0)),
        ui::ms(figures.p50_us),
    ]
}
