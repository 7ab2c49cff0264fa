//! `jidoka teach`: good parts in, one model out.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use jidoka_capture::images::Image;
use jidoka_capture::{FrameFault, FrameSource, Geometry, PixelFormat};
use jidoka_models::Method;
use jidoka_models::teach::{self, Folder, Frames, Options, Parts, Progress, Report, Stage};
use jidoka_prepare::{Channels, Preparer, Spec};
use serde::Serialize;

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
  jidoka teach --camera /dev/video0 --parts 30 --out capper.onnx     from a camera, a frame each half second
  jidoka teach --config capper.toml --parts 30 --out capper.onnx     from a station's own camera and region")]
pub struct Args {
    /// A folder of images (PNG, JPEG, BMP) of good parts
    #[arg(long, value_name = "DIR", required_unless_present_any = ["camera", "config"])]
    good: Option<PathBuf>,
    /// Take frames from here instead: a device node, a folder, or `synthetic`
    #[arg(long, value_name = "SOURCE", conflicts_with_all = ["good", "config"])]
    camera: Option<String>,
    /// Take frames as this station's configuration says, region included
    #[arg(long, value_name = "FILE", conflicts_with = "good")]
    config: Option<PathBuf>,
    /// How many frames to take from a camera
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    parts: u32,
    /// Pause between frames from a camera
    #[arg(long, value_name = "MS", default_value_t = 500)]
    pause_ms: u64,
    /// The model to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// How the model judges; `auto` tries each on held-out parts and takes the best
    #[arg(long, default_value = "patchcore-lite", value_parser = METHODS)]
    method: String,
    /// Share of good parts that may be rejected
    #[arg(long, value_parser = values::share, default_value = "0.5%")]
    false_reject: f64,
    /// Most features in the memory bank
    #[arg(long, value_name = "N", default_value_t = Options::default().bank)]
    bank: usize,
    /// Size of the model's input in pixels, multiples of 16: 256 or 320x256
    #[arg(long, value_parser = values::size, default_value = "256")]
    size: (u32, u32),
    /// The part of each image that matters, in pixels [default: all of it]
    #[arg(long, value_parser = values::roi, value_name = "X,Y,W,H", conflicts_with = "config")]
    roi: Option<jidoka_capture::Roi>,
    /// How an image of another shape is made to fit
    #[arg(long, value_enum, default_value = "stretch")]
    fit: FitWord,
    /// How pixels are weighted when resizing
    #[arg(long, value_enum, default_value = "area")]
    filter: FilterWord,
    /// A backbone other than the built-in one
    #[arg(long, value_name = "ONNX")]
    backbone: Option<PathBuf>,
    /// Seed of every random choice
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Threads of the engine
    #[arg(long, default_value_t = 1)]
    threads: usize,
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
}

/// Teaches and writes the model.
pub fn run(args: &Args) -> Result<(), Error> {
    let began = Instant::now();
    let mut parts = parts(args)?;
    let options = options(args)?;
    let mut bars = Bars::default();
    let taught = teach::teach(parts.as_mut(), &options, &mut |progress| bars.show(progress))?;
    bars.end();
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
        });
    } else {
        say_report(args, report, taught.onnx.len(), seconds);
    }
    Ok(())
}

/// The words for a method.
pub const METHODS: [&str; 4] = ["patchcore-lite", "padim", "mahalanobis", "auto"];

/// The method that a word stands for; the usual one for `auto`, which then is not looked at.
pub fn method(word: &str) -> Method {
    Method::TAUGHT.into_iter().find(|method| method.name() == word).unwrap_or(Method::PatchcoreLite)
}

fn options(args: &Args) -> Result<Options, Error> {
    let roi = match &args.config {
        Some(file) => Config::read(file)?.camera.roi,
        None => args.roi,
    };
    Ok(Options {
        method: method(&args.method),
        auto: args.method == "auto",
        size: args.size,
        bank: args.bank,
        false_reject: args.false_reject,
        seed: args.seed,
        backbone: args.backbone.clone(),
        roi,
        fit: args.fit.0,
        filter: args.filter.0,
        threads: args.threads,
    })
}

fn parts(args: &Args) -> Result<Box<dyn Parts>, Error> {
    if let Some(folder) = &args.good {
        return Ok(Box::new(Folder::open(folder)?));
    }
    let mut source = match (&args.camera, &args.config) {
        (Some(name), _) => open::open_by_name(name)?,
        (None, Some(file)) => jidoka_capture::open(&Config::read(file)?.camera.source)?,
        (None, None) => {
            return Err(Error::Usage("nothing to teach from: --good DIR, --camera SOURCE or --config FILE".into()));
        }
    };
    let bar = ui::progress(u64::from(args.parts), "taking frames");
    let frames = take(source.as_mut(), args.parts, Duration::from_millis(args.pause_ms), &bar)?;
    bar.finish_and_clear();
    Ok(Box::new(Frames::new(frames)))
}

/// How long a camera may be silent while frames are taken: longer than any sane exposure or trigger.
const PATIENCE: Duration = Duration::from_secs(30);

/// Takes frames from a source as images, with a pause between them, until there are enough or the source ends.
pub fn take(source: &mut dyn FrameSource, count: u32, pause: Duration, bar: &ProgressBar) -> Result<Vec<Image>, Error> {
    let geometry = source.geometry();
    let mut converter = Converter::new(geometry)?;
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
    fn new(geometry: Geometry) -> Result<Converter, Error> {
        let colour = geometry.format.is_color();
        let spec = Spec {
            channels: if colour { Channels::Rgb } else { Channels::Grey },
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
    fact("memory bank", format!("{} features", report.bank));
    fact("threshold", format!("{:.4}", report.threshold.score));
    fact("false rejects", format!("{:.2} % of good parts asked for", args.false_reject * 100.0));
    fact("time", format!("{seconds:.1} s"));
    ui::say(table.render_left().trim_end());
    for skipped in &report.skipped {
        ui::say(format!("  skipped         {}: {}", skipped.name, skipped.reason));
    }
    for warning in &report.warnings {
        ui::say(format!("  note: {warning}"));
    }
    ui::say(format!("\nTry it: jidoka infer {} IMAGE...", args.out.display()));
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
                if self.current.as_ref().is_none_or(|(current, _)| *current != stage) {
                    self.end();
                    self.current = Some((stage, ui::progress(total as u64, stage.name())));
                }
                if let Some((_, bar)) = &self.current {
                    bar.set_position(done as u64);
                }
            }
            _ => {}
        }
    }

    /// Takes the last bar away.
    pub fn end(&mut self) {
        if let Some((_, bar)) = self.current.take() {
            bar.finish_and_clear();
        }
    }
}
