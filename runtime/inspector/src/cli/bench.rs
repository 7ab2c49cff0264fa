//! `jidoka bench`: how fast is this model on this machine?

use std::path::PathBuf;

use jidoka_capture::{Geometry, PixelFormat};
use jidoka_prepare::Preparer;
use serde::Serialize;

use super::bench_pins;
use super::ui::{self, Table, ms};
use crate::alloc::{self, Counts, Stage};
use crate::config::{Limit, ModelChoice};
use crate::error::Error;
use crate::os::{clock, faults};
use crate::station::{inspect, open};
use crate::stats::{Summary, Times};

/// Measure a model on this machine: the loop's own stages on frames of a given size, without a camera.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  jidoka bench capper.onnx
  jidoka bench capper.onnx --threads 4 --frames 1000
  jidoka bench capper.onnx --frame 1920x1080 --format YUYV --json
  jidoka bench --pins --frames 1000         from a verdict to the pin, on a chip in memory
  jidoka bench --pins --line lab/LAB3       the same on a line that nothing is wired to: it is DRIVEN")]
pub struct Args {
    /// The model
    #[arg(required_unless_present = "pins")]
    model: Option<PathBuf>,
    /// Measure from a verdict to the pin instead, on a chip in memory or on the lines that --line names
    #[arg(long, conflicts_with = "model")]
    pins: bool,
    /// With --pins: a GPIO line to DRIVE, the verdict's first, the ejector edge's second
    #[arg(long, value_name = "LINE", requires = "pins")]
    line: Vec<String>,
    /// With --pins: SCHED_FIFO priority of the actuator
    #[arg(long, value_name = "1..98", requires = "pins", value_parser = clap::value_parser!(u8).range(1..=98))]
    priority: Option<u8>,
    /// How many frames to measure, after a warm-up
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    frames: u32,
    /// Threads of the engine
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Size of the camera's frames
    #[arg(long, value_parser = super::values::size, default_value = "640x480", value_name = "WxH")]
    frame: (u32, u32),
    /// Pixel format of the camera's frames
    #[arg(long, default_value = "GREY")]
    format: String,
    /// One JSON object instead of a table
    #[arg(long)]
    json: bool,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Answer {
    model: String,
    frames: u32,
    p50_us: u64,
    p90_us: u64,
    p99_us: u64,
    p999_us: u64,
    max_us: u64,
    fps: f64,
    allocs_per_frame: f64,
    page_faults_per_frame: f64,
    arena_bytes: usize,
    rss_bytes: u64,
    threads: usize,
    isa: &'static str,
    stages: Stages,
}

#[derive(Serialize)]
struct Stages {
    prepare: Summary,
    infer: Summary,
}

/// Frames before the measurement.
const WARM_UP: u32 = 5;

/// Measures and prints.
pub fn run(args: &Args) -> Result<(), Error> {
    if args.pins {
        let plan = bench_pins::Plan { lines: &args.line, parts: args.frames, priority: args.priority, json: args.json };
        return bench_pins::run(&plan);
    }
    let path = args.model.clone().unwrap_or_default();
    let choice = ModelChoice { path: path.clone(), limit: Limit::Own, threads: args.threads, strict: false };
    let mut model = open::model(&choice)?;
    let format = PixelFormat::from_name(&args.format).ok_or_else(|| {
        let known = PixelFormat::all().map(PixelFormat::name).collect::<Vec<_>>().join(", ");
        Error::Usage(format!("--format {}: not a known pixel format\n  expected: one of {known}", args.format))
    })?;
    let geometry = Geometry::new(args.frame.0, args.frame.1, format);
    let mut preparer = Preparer::new(&open::spec(&model, geometry, None))?;
    let pixels = noise(format.line_bytes(geometry.width) * geometry.height as usize * 2);
    let view = jidoka_capture::FrameView::packed(&pixels, geometry.width, geometry.height, format);

    let (mut prepare, mut infer, mut total) = (Times::new(), Times::new(), Times::new());
    let bar = ui::progress(u64::from(args.frames), "measuring");
    let (mut counts, mut page_faults) = (Counts::now(), 0);
    for frame in 0..WARM_UP + args.frames {
        if frame == WARM_UP {
            (counts, page_faults) = (Counts::now(), faults::of_this_thread());
        }
        alloc::seal(Stage::Prepare);
        let began = clock::now();
        let fits = inspect::prepare(&mut preparer, &view, &mut model);
        let prepared = clock::now();
        alloc::enter(Stage::Infer);
        let ran = model.score().map(|outcome| std::hint::black_box(outcome.score));
        let inferred = clock::now();
        alloc::unseal();
        fits.map_err(|error| Error::Usage(format!("--frame, --format: {error}")))?;
        ran.map_err(|error| jidoka_models::Error::Run { name: model.name().to_owned(), error })?;
        if frame >= WARM_UP {
            prepare.add(prepared - began);
            infer.add(inferred - prepared);
            total.add(inferred - began);
        }
        // The bar draws at most a few times a second, outside what is measured; its page faults count against us.
        if frame % 16 == 0 {
            bar.set_position(u64::from(frame.saturating_sub(WARM_UP)));
        }
    }
    let page_faults = faults::of_this_thread() - page_faults;
    bar.finish_and_clear();
    let frames = f64::from(args.frames);
    let summary = total.summary();
    let answer = Answer {
        model: path.display().to_string(),
        frames: args.frames,
        p50_us: summary.p50_us,
        p90_us: summary.p90_us,
        p99_us: summary.p99_us,
        p999_us: summary.p999_us,
        max_us: summary.max_us,
        fps: (1e7 / total.mean_us()).round() / 10.0,
        allocs_per_frame: Counts::now().since(&counts).total() as f64 / frames,
        page_faults_per_frame: page_faults as f64 / frames,
        arena_bytes: model.session().arena_bytes(),
        rss_bytes: faults::resident_bytes(),
        threads: args.threads,
        isa: model.session().isa().name(),
        stages: Stages { prepare: prepare.summary(), infer: infer.summary() },
    };
    if args.json {
        ui::say_json(&answer)
    } else {
        say(&answer, &summary)
    }
    Ok(())
}

fn say(answer: &Answer, total: &Summary) {
    let mut table = Table::new(["ms", "p50", "p90", "p99", "p99.9", "max"]);
    for (name, times) in [("prepare", &answer.stages.prepare), ("infer", &answer.stages.infer), ("frame", total)] {
        let cells = [times.p50_us, times.p90_us, times.p99_us, times.p999_us, times.max_us].map(ms);
        let [p50, p90, p99, p999, max] = cells;
        table.row([name.into(), p50, p90, p99, p999, max]);
    }
    ui::say(table.render());
    ui::say(format!(
        "  {:.1} frames/s, {} thread(s), kernels {}\n  {:.2} allocations and {:.2} page faults a frame; arena {:.2} MB, \
         resident {:.1} MB",
        answer.fps,
        answer.threads,
        answer.isa,
        answer.allocs_per_frame,
        answer.page_faults_per_frame,
        answer.arena_bytes as f64 / 1e6,
        answer.rss_bytes as f64 / 1e6,
    ));
}

/// Bytes that look like nothing in particular; the same every time (xorshift, Marsaglia 2003).
fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 56) as u8
    };
    (0..bytes).map(|_| next()).collect()
}
