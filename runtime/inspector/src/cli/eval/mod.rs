//! `jidoka eval`: teach and test on a dataset whose truth is known.

mod page;

use std::path::{Path, PathBuf};

use jidoka_models::eval::{self, Category, Details, Figures, Layout, Picture, Pictures};
use jidoka_models::random::Random;
use jidoka_models::teach::{self, Options, Size};
use jidoka_models::{InspectionModel, LoadOptions};

use super::output;
use super::teach::Bars;
use super::ui::{self, Table};
use super::values;
use crate::error::Error;
use page::Page;

/// Teach on a dataset's good parts, test on the rest, and print the numbers that papers print.
///
/// Takes a category in MVTec AD's layout (train/good, test/good, test/DEFECT, ground_truth/DEFECT) or in that of another
/// published dataset, a folder of your own with `good` and `bad` (and `mask`, if there are some), or a folder of such.
/// Image-level and pixel-level figures are kept apart.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  jidoka eval mvtec_ad/bottle
  jidoka eval mvtec_ad --json > figures.jsonl         every category, one object a line
  jidoka eval mvtec_ad --method auto --int8 --seeds 3  the mean of three seeds
  jidoka eval mvtec_ad/bottle --model bottle.onnx     a model that was made before
  jidoka eval photos --report photos.html             your own `good` and `bad` photographs, as a page to look at
  jidoka eval KolektorSDD --layout kolektor-sdd       the layout by its name")]
pub struct Args {
    /// A category, or a folder of categories
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// How the dataset is laid out, where it is not to be recognised by its folders
    #[arg(long, value_parser = Layout::NAMES)]
    layout: Option<String>,
    /// Test this model instead of teaching one
    #[arg(long, value_name = "ONNX")]
    model: Option<PathBuf>,
    /// How the model that is taught judges; `auto` tries all but teacher-student on held-out parts and takes the best
    #[arg(long, default_value = "patchcore-lite", value_parser = super::teach::METHODS)]
    method: String,
    /// Write each test image's score to this file, a JSON object a line, and its map to FILE.maps/ as .npy
    #[arg(long, value_name = "FILE")]
    scores: Option<PathBuf>,
    /// Write a page with curves, histograms, the worst misses and false alarms: one HTML file with everything in it
    #[arg(long, value_name = "HTML")]
    report: Option<PathBuf>,
    /// Size of the model's input: pixels, multiples of 16, as 256 or 320x256, or `own` for every pixel of the parts [default: the
    /// parts' shape, 65536 pixels]
    #[arg(long, value_parser = values::input_size, value_name = "SIZE")]
    size: Option<Size>,
    /// Most features in the memory bank
    #[arg(long, default_value_t = Options::default().bank)]
    bank: usize,
    /// Share of good parts that may be rejected
    #[arg(long, value_parser = values::rate, default_value = "0.5%")]
    false_reject: f64,
    /// Backbone and memory bank in int8
    #[arg(long)]
    int8: bool,
    /// The network that sees: edge-s, edge-m (five times the work, finer), or a file [default: edge-s]
    #[arg(long, value_name = "NAME|ONNX")]
    backbone: Option<PathBuf>,
    /// Most steps that a student is trained for, 8 parts each (teacher-student)
    #[arg(long, value_name = "N", default_value_t = Options::default().steps)]
    steps: usize,
    /// Teach this often, with seeds 0, 1, ..., and give the mean of each figure
    #[arg(long, value_name = "N", default_value_t = 1, conflicts_with_all = ["model", "scores", "report"],
          value_parser = clap::value_parser!(u64).range(1..=100))]
    seeds: u64,
    /// Teach from so many of the good parts, drawn by the seed [default: all]
    #[arg(long, value_name = "N")]
    parts: Option<usize>,
    /// Threads of the engine
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// One JSON object a category instead of a table
    #[arg(long)]
    json: bool,
}

const HEADS: [&str; 9] =
    ["category", "method", "image AUROC", "pixel AUROC", "AU-PRO 0.3", "F1-max", "false rejects", "escapes", "p50 ms"];

/// Evaluates every category found.
pub fn run(args: &Args) -> Result<(), Error> {
    if let Some(file) = &args.report {
        output::writable("--report", file)?;
    }
    let mut table = Table::new(HEADS);
    let categories = eval::find(&args.folder, args.layout.as_deref().and_then(Layout::named))?;
    if args.scores.is_some() && categories.len() > 1 {
        let found = categories.len();
        return Err(Error::Usage(format!(
            "--scores is for one category, and {found} were found\n  try: name one of them"
        )));
    }
    let details = args.scores.as_deref().map(details).transpose()?;
    let mut page = Page::default();
    page.row(HEADS);
    let mut all = Vec::new();
    for category in categories {
        let mut runs = Vec::new();
        for seed in 0..args.seeds {
            let mut model = model(args, &category, seed)?;
            let bar = ui::progress(category.test.len() as u64, "testing");
            let mut show = |done, _| bar.set_position(done as u64);
            let found = eval::evaluate(&category, &mut model, details.as_ref(), &mut show)?;
            bar.finish_and_clear();
            if args.report.is_some() {
                page.add(&category, model, &found)?;
            }
            runs.push(found.figures);
        }
        let Some(figures) = Figures::mean(&runs) else { continue };
        if args.json {
            ui::say_json(&figures);
        }
        table.row(row(&figures));
        page.row(row(&figures));
        all.push(figures);
    }
    if let Some(mean) = Figures::mean(&all).filter(|_| all.len() > 1) {
        let cells = row(&Figures { category: format!("mean of {}", all.len()), method: String::new(), ..mean });
        page.row(cells.clone());
        table.row(cells);
    }
    if let Some(file) = &args.report {
        page.write(args, file)?;
    }
    if !args.json {
        ui::say(table.render().trim_end());
        args.report.iter().for_each(|file| ui::say(format!("  report: {}", file.display())));
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

fn model(args: &Args, category: &Category, seed: u64) -> Result<InspectionModel, Error> {
    let engine = jidoka_engine::Options { threads: args.threads, ..jidoka_engine::Options::default() };
    let load = LoadOptions { engine, ..LoadOptions::default() };
    if let Some(path) = &args.model {
        return Ok(InspectionModel::load(path, &load)?);
    }
    let options = Options {
        method: super::teach::method(&args.method),
        auto: args.method == "auto",
        size: args.size.unwrap_or_default(),
        bank: args.bank,
        false_reject: args.false_reject,
        threads: args.threads,
        int8: args.int8,
        backbone: args.backbone.clone(),
        steps: args.steps,
        seed,
        ..Options::default()
    };
    let mut bars = Bars::default();
    let mut parts = Pictures(drawn(&category.train, args.parts, seed));
    let taught = teach::teach(&mut parts, &options, &mut |progress| bars.show(progress))?;
    bars.end();
    Ok(InspectionModel::from_bytes(&category.name, &taught.onnx, &load)?)
}

/// So many of the pictures, or all, in their order.
fn drawn(pictures: &[Picture], count: Option<usize>, seed: u64) -> Vec<Picture> {
    let mut taken = Random::new(seed).order(pictures.len());
    taken.truncate(count.unwrap_or(pictures.len()));
    taken.sort_unstable();
    taken.into_iter().map(|i| pictures[i].clone()).collect()
}

fn row(figures: &Figures) -> [String; 9] {
    let share = |value: Option<f64>| value.map_or("-".into(), |value| format!("{value:.4}"));
    let percent = |value: Option<f64>| value.map_or("-".into(), |value| format!("{:.1} %", value * 100.0));
    [
        figures.category.clone(),
        figures.method.clone(),
        share(Some(figures.image_auroc)),
        share(figures.pixel_auroc),
        share(figures.au_pro_30),
        share(Some(figures.f1_max)),
        percent(figures.false_reject),
        percent(figures.escape),
        ui::ms(figures.p50_us),
    ]
}
