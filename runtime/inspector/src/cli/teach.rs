//! `jidoka teach`: good parts in, one model out.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use jidoka_capture::images::Image;
use jidoka_capture::{FrameFault, FrameSource, Geometry, PixelFormat, Roi, SourceConfig};
use jidoka_models::Method;
use jidoka_models::teach::{self, Defects, Folder, Frames, Kept, Options, Parts, Progress, Report, Rule, Size, Stage};
use jidoka_prepare::{Channels, Preparer, RawTuning, Spec};
use serde::Serialize;

use super::kept::{self, Settings};
use super::output;
use super::ui::{self, Table};
use super::values::{self, FilterWord, FitWord};
use crate::config::Config;
use crate::error::Error;
use crate::station::open;

/// Teach a model from good parts alone.
///
/// Nothing has to be labelled and no defect has to be shown. 20 to 50 good parts, photographed as the line will see them
/// (the same light, distance and background, every natural variation), give a threshold to trust.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  jidoka teach --good photos/good --out capper.onnx
  jidoka teach --good photos/good --out capper.onnx --false-reject 0.1% --roi 120,80,400,400
  jidoka teach --good photos/more --out capper.onnx --add            a few more good parts, in seconds
  jidoka teach --good photos/good --out capper.onnx --method teacher-student   the cheapest a frame; takes a minute
  jidoka teach --good photos/good --out capper.onnx --defects photos/bad --threshold-by f1
  jidoka teach --camera /dev/video0 --parts 30 --out capper.onnx     from a camera, a frame each half second
  jidoka teach --camera monday.frames --parts 30 --out capper.onnx   from a recording, or a folder
  jidoka teach --config capper.toml --parts 30 --out capper.onnx     from a station's own camera and region
  jidoka teach --config capper.toml --view print --out print.onnx    one of several views of the part")]
pub struct Args {
    /// A folder of images (PNG, JPEG, BMP) of good parts
    #[arg(long, value_name = "DIR")]
    good: Option<PathBuf>,
    /// Take frames from here instead: a device node, a folder, a recording, or `synthetic`
    #[arg(long, value_name = "SOURCE", conflicts_with_all = ["good", "config"])]
    camera: Option<String>,
    /// Take frames as this station's configuration says, region included
    #[arg(long, value_name = "FILE", conflicts_with = "good")]
    config: Option<PathBuf>,
    /// Teach the model of this view of the configuration ([[view]] name): its region instead of [roi]
    #[arg(long, value_name = "NAME", requires = "config")]
    view: Option<String>,
    /// How many frames to take from a camera
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    parts: u32,
    /// Pause between frames; those that come meanwhile are thrown away [default: 500 for a live camera, 0 for anything else]
    #[arg(long, value_name = "MS")]
    pause_ms: Option<u64>,
    /// The model to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// How the model judges; `auto` tries all but teacher-student on held-out parts and takes the best
    #[arg(long, default_value = "patchcore-lite", value_parser = METHODS)]
    method: String,
    /// Most steps that a student is trained for, 8 parts each (teacher-student)
    #[arg(long, value_name = "N", default_value_t = Options::default().steps)]
    steps: usize,
    /// Share of good parts that may be rejected
    #[arg(long, value_parser = values::rate, default_value = "0.5%")]
    false_reject: f64,
    /// Most features in the memory bank
    #[arg(long, value_name = "N", default_value_t = Options::default().bank)]
    bank: usize,
    /// Size of the model's input: pixels, multiples of 16, as 256 or 320x256, or `own` for every pixel of the parts [default: the
    /// parts' shape, 65536 pixels]
    #[arg(long, value_parser = values::input_size, value_name = "SIZE")]
    size: Option<Size>,
    /// The part of each image that matters, in pixels [default: all of it]
    #[arg(long, value_parser = values::roi, value_name = "X,Y,W,H", conflicts_with = "config")]
    roi: Option<Roi>,
    /// How an image of another shape is made to fit
    #[arg(long, value_enum, default_value = "stretch")]
    fit: FitWord,
    /// How pixels are weighted when resizing
    #[arg(long, value_enum, default_value = "area")]
    filter: FilterWord,
    /// Backbone and memory bank in int8: smaller and faster on ARM
    #[arg(long)]
    int8: bool,
    /// The network that sees: edge-s, edge-m (five times the work, finer), or a file [default: edge-s]
    #[arg(long, value_name = "NAME|ONNX")]
    backbone: Option<PathBuf>,
    /// Seed of every random choice
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Threads of the engine
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Add these good parts to those that the model at --out was taught from, and teach it again as it was taught
    #[arg(long, conflicts_with_all = ["method", "false_reject", "bank", "size", "roi", "fit", "filter", "backbone", "seed", "int8", "steps", "no_keep"])]
    add: bool,
    /// Do not keep the good parts in a file beside the model (OUT.parts), which --add needs
    #[arg(long)]
    no_keep: bool,
    /// A folder of defective parts: they are not learned, but say what the threshold does
    #[arg(long, value_name = "DIR")]
    defects: Option<PathBuf>,
    /// What decides the threshold where there are --defects
    #[arg(long, requires = "defects", default_value = "false-reject", value_parser = ["false-reject", "f1", "cost"])]
    threshold_by: String,
    /// How many false rejects an escape costs, for `--threshold-by cost`
    #[arg(long, requires = "defects", value_name = "N", default_value_t = 10.0)]
    escape_cost: f64,
    /// One JSON object instead of a table
    #[arg(long)]
    json: bool,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Answer<'a> {
    model: &'a Path,
    method: &'a str,
    images: usize,
    skipped: usize,
    bank: usize,
    threshold: f64,
    seconds: f64,
    report: &'a Report,
    #[serde(skip_serializing_if = "Option::is_none")]
    defects: Option<Defects>,
}

/// Teaches and writes the model.
pub fn run(args: &Args) -> Result<(), Error> {
    let began = Instant::now();
    output::writable_model("--out", &args.out)?;
    let mut parts = parts(args)?;
    // Kept parts are prepared already; `settled` is how a picture from outside still has to be.
    let (mut options, mut kept) = (options(args)?, None);
    region_fits(args, parts.as_mut(), options.roi)?;
    let settled;
    if args.add {
        let (mut all, mut stated) = kept::read(&args.out, args.threads)?;
        if args.config.is_some() {
            stated.corrections = options.corrections.clone();
        }
        let more = Kept::of(parts.as_mut(), &stated, all.size(), all.note())?;
        more.skipped().iter().for_each(|s| log::warn!("skipped {}: {}", s.name, s.reason));
        let added = all.add(more)?;
        log::info!("{added} good parts added to {}", all.count() - added);
        options = Options { prepared: true, ..stated.clone() };
        settled = stated;
        parts = Box::new(all.clone());
        kept = Some(all);
    } else {
        settled = options.clone();
    }
    let mut bars = Bars::default();
    let mut taught = teach::teach(parts.as_mut(), &options, &mut |progress| bars.show(progress))?;
    bars.end();
    let defects = match &args.defects {
        Some(folder) => Some(teach::weigh(&mut taught, &mut Folder::open(folder)?, &settled, rule(args))?),
        None => None,
    };
    // The parts first: a model without them can still judge, parts of another model would be added to the wrong one.
    if let Some(kept) = kept {
        jidoka_models::write_atomic(&kept::beside(&args.out), &kept.encode())?;
    } else if !args.no_keep {
        let note = Settings::of(&args.method, &args.fit, &args.filter, &options).note();
        let kept = Kept::of(parts.as_mut(), &options, taught.report.size, &note)?;
        jidoka_models::write_atomic(&kept::beside(&args.out), &kept.encode())?;
    } else {
        kept::forget(&args.out)?;
    }
    jidoka_models::write_atomic(&args.out, &taught.onnx)?;
    let report = &taught.report;
    let seconds = began.elapsed().as_secs_f64();
    if args.json {
        ui::say_json(&Answer {
            model: &args.out,
            method: report.method.name(),
            images: report.images,
            skipped: report.skipped.len(),
            bank: report.bank,
            threshold: report.threshold.score,
            seconds: (seconds * 1000.0).round() / 1000.0,
            report,
            defects,
        });
    } else {
        say_report(args, report, taught.onnx.len(), seconds);
        defects.iter().for_each(say_defects);
        ui::say(format!("\nTry it: jidoka infer {} IMAGE...", args.out.display()));
    }
    Ok(())
}

/// The words for a method.
pub const METHODS: [&str; 6] = ["patchcore-lite", "padim", "padim-full", "mahalanobis", "teacher-student", "auto"];

/// The method that a word stands for; the usual one for `auto`, which then is not looked at.
pub fn method(word: &str) -> Method {
    Method::TAUGHT.into_iter().find(|method| method.name() == word).unwrap_or(Method::PatchcoreLite)
}

fn rule(args: &Args) -> Rule {
    match args.threshold_by.as_str() {
        "f1" => Rule::F1,
        "cost" => Rule::Cost(args.escape_cost),
        _ => Rule::FalseReject,
    }
}

fn options(args: &Args) -> Result<Options, Error> {
    let config = args.config.as_ref().map(|file| Config::read(file)).transpose()?;
    let roi = match (&config, &args.view) {
        (Some(config), Some(view)) => region_of(config, view)?,
        (Some(config), None) => config.camera.roi,
        (None, _) => args.roi,
    };
    let corrections = config.map(|config| open::corrections(&config.seeing)).transpose()?.unwrap_or_default();
    Ok(Options {
        method: method(&args.method),
        auto: args.method == "auto",
        size: args.size.unwrap_or_default(),
        bank: args.bank,
        false_reject: args.false_reject,
        seed: args.seed,
        backbone: args.backbone.clone(),
        roi,
        fit: args.fit.0,
        filter: args.filter.0,
        corrections,
        prepared: false,
        steps: args.steps,
        trainer: None,
        threads: args.threads,
        int8: args.int8,
    })
}

/// The region of a view of the configuration.
fn region_of(config: &Config, name: &str) -> Result<Option<jidoka_capture::Roi>, Error> {
    let base = &config.recipes[0];
    let views = base.views.iter().map(|view| (&view.model.view, view.roi));
    let mut views = std::iter::once((&base.model.view, base.roi)).chain(views);
    let known = || views.clone().map(|(known, _)| known.as_str()).collect::<Vec<_>>().join(", ");
    let unknown = format!("{}: no view \"{name}\"\n  expected: one of {}", config.file, known());
    views.find(|(known, _)| *known == name).map(|(_, roi)| roi).ok_or(Error::Usage(unknown))
}

fn parts(args: &Args) -> Result<Box<dyn Parts>, Error> {
    if let Some(folder) = &args.good {
        return Ok(Box::new(Folder::open(folder)?));
    }
    let mut raw = RawTuning::default();
    let (config, mut source) = match (&args.camera, &args.config) {
        (Some(name), _) => (open::source_by_name(name), open::open_by_name(name)?),
        (None, Some(file)) => {
            let config = Config::read(file)?;
            raw = config.seeing.raw;
            let source = open::camera(&config)?;
            (config.camera.source, source)
        }
        (None, None) => {
            return Err(Error::Usage(
                "nothing to teach from\n  expected: --good DIR (photographs), --camera SOURCE, or --config FILE (a station's \
                 own camera)\n  try: jidoka teach --good photos/good --out capper.onnx"
                    .into(),
            ));
        }
    };
    // Only a live camera shows the same part again and again; of what is recorded every frame counts.
    let usual_ms = if matches!(config, SourceConfig::V4l2(_)) { 500 } else { 0 };
    let pause = Duration::from_millis(args.pause_ms.unwrap_or(usual_ms));
    let bar = ui::progress(u64::from(args.parts), "taking frames");
    let frames = take(source.as_mut(), raw, args.parts, pause, &bar)?;
    bar.finish_and_clear();
    Ok(Box::new(Frames::new(frames)))
}

/// Refuses a region that does not lie in the first picture that can be read: no other would be taught either.
fn region_fits(args: &Args, parts: &mut dyn Parts, roi: Option<Roi>) -> Result<(), Error> {
    let Some(roi) = roi else { return Ok(()) };
    let first = (0..parts.count()).find_map(|index| parts.read(index).ok().map(|image| (parts.name(index), image)));
    let Some((name, image)) = first else { return Ok(()) };
    let inside = |from: u32, length: u32, side: u32| from.checked_add(length).is_some_and(|end| end <= side);
    if inside(roi.x, roi.width, image.width) && inside(roi.y, roi.height, image.height) {
        return Ok(());
    }
    let key = match &args.config {
        Some(file) => format!("{}: [roi]", file.display()),
        None => "--roi".to_owned(),
    };
    let Roi { x, y, width, height } = roi;
    let (across, down) = (image.width, image.height);
    Err(Error::Usage(format!(
        "{key}: {width}x{height} at {x},{y} is not within {name}, which is {across}x{down}\n  expected: x + width <= {across} and \
         y + height <= {down}\n  try: 0,0,{across},{down} is all of it"
    )))
}

/// How long a camera may be silent while frames are taken: longer than any sane exposure or trigger.
const PATIENCE: Duration = Duration::from_secs(30);

/// Takes frames from a source as images, with a pause between them, until there are enough or the source ends.
pub fn take(
    source: &mut dyn FrameSource,
    raw: RawTuning,
    count: u32,
    pause: Duration,
    bar: &ProgressBar,
) -> Result<Vec<Image>, Error> {
    let geometry = source.geometry();
    let mut converter = Converter::new(geometry, raw)?;
    let mut images = Vec::with_capacity(count as usize);
    let name = source.describe();
    let (mut next_at, mut last_at) = (Instant::now(), Instant::now());
    while images.len() < count as usize {
        match source.next(Duration::from_millis(500)) {
            // A camera does not wait: frames in the pause are taken and thrown away, so that its queue stays fresh.
            Ok(_) if Instant::now() < next_at => last_at = Instant::now(),
            Ok(frame) => {
                images.push(converter.image(&frame.view())?);
                bar.inc(1);
                last_at = Instant::now();
                next_at = last_at + pause;
            }
            Err(FrameFault::EndOfStream) => break,
            Err(fault) if fault.is_passing() && last_at.elapsed() < PATIENCE => {}
            Err(fault) => return Err(Error::Camera { name, fault }),
        }
    }
    Ok(images)
}

/// Any frame as an image of its own size: the loop's own preparation with the frame's size as its target, so that what
/// is taught is what will be inspected.
struct Converter {
    preparer: Preparer,
    format: PixelFormat,
}

impl Converter {
    fn new(geometry: Geometry, raw: RawTuning) -> Result<Converter, Error> {
        let colour = geometry.format.is_color();
        let spec = Spec {
            channels: if colour { Channels::Rgb } else { Channels::Grey },
            raw,
            ..Spec::new(geometry, geometry.width, geometry.height)
        };
        let format = if colour { PixelFormat::Rgb24 } else { PixelFormat::Grey };
        Ok(Converter { preparer: Preparer::new(&spec)?, format })
    }

    fn image(&mut self, view: &jidoka_capture::FrameView<'_>) -> Result<Image, Error> {
        let mut data = vec![0; self.preparer.spec().target_len()];
        let bad = |error| Error::Usage(format!("a frame cannot be used: {error}"));
        self.preparer.write_u8(view, &mut data).map_err(bad)?;
        Ok(Image { width: view.width, height: view.height, format: self.format, data })
    }
}

fn say_report(args: &Args, report: &Report, bytes: usize, seconds: f64) {
    let mut table = Table::default();
    let mut fact = |name: &str, value: String| {
        table.row([format!("{name:<14}"), value]);
    };
    fact("model", format!("{} ({:.1} MB)", args.out.display(), bytes as f64 / 1e6));
    fact("method", report.method.name().into());
    fact("good parts", report.images.to_string());
    match &report.training {
        Some(training) => fact(
            "training",
            format!(
                "{} steps in {:.0} s, step {} kept; it leaves {:.1} % of the variance of held-out parts",
                training.steps,
                training.seconds,
                training.best_step,
                training.held_out_error * 100.0
            ),
        ),
        None => fact("memory bank", format!("{} features", report.bank)),
    }
    fact("threshold", format!("{:.4}", report.threshold.score));
    let threshold = &report.threshold;
    fact(
        "false rejects",
        format!(
            "{:.2} % of good parts asked for; {} of {} held-out parts are above, which is compatible with up to {:.1} % \
             (95 % confidence)",
            threshold.false_reject * 100.0,
            threshold.above,
            threshold.held_out,
            threshold.bound_95 * 100.0
        ),
    );
    for candidate in &report.candidates {
        fact(
            "tried",
            format!(
                "{}: tells {:.1} % of corrupted parts from good ones, and {:.1} % of corrupted places from others",
                candidate.method,
                candidate.auroc * 100.0,
                candidate.map_auroc * 100.0
            ),
        );
    }
    fact("time", format!("{seconds:.1} s"));
    ui::say(table.render_left().trim_end());
    for skipped in &report.skipped {
        ui::say(format!("  skipped         {}: {}", skipped.name, skipped.reason));
    }
    for warning in &report.warnings {
        ui::say(format!("  note: {warning}"));
    }
}

fn say_defects(defects: &Defects) {
    let percent = |share: f64| format!("{:.1} %", share * 100.0);
    let mut table = Table::new(["threshold", "score", "false rejects", "escapes", "F1"]);
    let names = ["at the false-reject rate", "greatest F1", "least cost"];
    for (name, cut) in names.iter().zip([&defects.stated, &defects.f1_max, &defects.least_cost]) {
        let score = format!("{:.4}", cut.threshold);
        table.row([(*name).into(), score, percent(cut.false_reject), percent(cut.escape), format!("{:.3}", cut.f1)]);
    }
    ui::say(format!(
        "\n{} defect samples, held-out good parts; an escape costs {} false rejects",
        defects.count, defects.escape_cost
    ));
    ui::say(table.render().trim_end());
}

/// A bar a stage.
#[derive(Default)]
pub struct Bars {
    current: Option<(Stage, ProgressBar)>,
}

impl Bars {
    /// Shows what teaching says.
    pub fn show(&mut self, progress: Progress<'_>) {
        match progress {
            Progress::Skipped { name, reason } => log::warn!("skipped {name}: {reason}"),
            Progress::Step { stage, done, total } => {
                self.bar(stage, total).set_position(done as u64);
            }
            Progress::Training { step, steps, loss, left_s } => {
                let bar = self.bar(Stage::Train, steps);
                bar.set_position(step as u64);
                bar.set_message(format!("train, {left_s:.0} s left"));
                log::debug!("step {step} of {steps}: loss {loss:.4}");
            }
            _ => {}
        }
    }

    /// The bar of a stage; another stage's is taken away.
    fn bar(&mut self, stage: Stage, total: usize) -> &ProgressBar {
        if self.current.as_ref().is_none_or(|(current, _)| *current != stage) {
            self.end();
        }
        &self.current.get_or_insert_with(|| (stage, ui::progress(total as u64, stage.name()))).1
    }

    /// Takes the last bar away.
    pub fn end(&mut self) {
        if let Some((_, bar)) = self.current.take() {
            bar.finish_and_clear();
        }
    }
}
