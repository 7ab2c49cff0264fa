//! `jidoka bench`: how fast is this model on this machine?

mod profile;
mod subject;

use std::path::PathBuf;

use jidoka_capture::{Geometry, PixelFormat};
use serde::Serialize;

use self::profile::Profile;
use self::subject::Subject;
use super::bench_pins;
use super::ui::{self, Table, ms};
use crate::alloc::{self, Counts, Stage};
use crate::error::Error;
use crate::os::{clock, faults};
use crate::stats::{Summary, Times};

/// Measure a model on this machine: the loop's own stages on frames of a given size, without a camera.
///
/// Any ONNX network with one image input will do; one that is no inspection model is run by itself, on noise.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  jidoka bench capper.onnx
  jidoka bench capper.onnx --threads 4 --frames 1000
  jidoka bench capper.onnx --profile        which step takes how long, and how near it is to what the core can do
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
    /// With --pins: how long the ejector acts; an edge that would come later than this is not made
    #[arg(long, value_name = "MS", default_value_t = 25, requires = "pins", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pulse_ms: u32,
    /// How many frames to measure, after a warm-up
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    frames: u32,
    /// Threads of the engine
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Time each step of the engine's plan as well, in further runs
    #[arg(long, conflicts_with = "pins")]
    profile: bool,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    profile: Option<Profile>,
}

#[derive(Serialize)]
struct Stages {
    /// Absent for a network that inspects nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    prepare: Option<Summary>,
    infer: Summary,
}

/// Frames before the measurement.
const WARM_UP: u32 = 5;

/// Measures and prints.
pub fn run(args: &Args) -> Result<(), Error> {
    if args.pins {
        let plan = bench_pins::Plan {
            lines: &args.line,
            parts: args.frames,
            pulse: std::time::Duration::from_millis(u64::from(args.pulse_ms)),
            priority: args.priority,
            json: args.json,
        };
        return bench_pins::run(&plan);
    }
    let path = args.model.clone().unwrap_or_default();
    let format = PixelFormat::from_name(&args.format).ok_or_else(|| {
        let known = PixelFormat::all().map(PixelFormat::name).collect::<Vec<_>>().join(", ");
        Error::Usage(format!("--format {}: not a known pixel format\n  expected: one of {known}", args.format))
    })?;
    let geometry = Geometry::new(args.frame.0, args.frame.1, format);
    let mut subject = Subject::load(&path, args.threads, geometry)?;
    let measured = measure(&mut subject, geometry, args.frames)?;
    let profile = args.profile.then(|| profile::measure(&mut subject, args.frames, args.threads)).transpose()?;

    let frames = f64::from(args.frames);
    let summary = measured.total.summary();
    let answer = Answer {
        model: path.display().to_string(),
        frames: args.frames,
        p50_us: summary.p50_us,
        p90_us: summary.p90_us,
        p99_us: summary.p99_us,
        p999_us: summary.p999_us,
        max_us: summary.max_us,
        fps: (1e7 / measured.total.mean_us()).round() / 10.0,
        allocs_per_frame: measured.allocations as f64 / frames,
        page_faults_per_frame: measured.page_faults as f64 / frames,
        arena_bytes: subject.session().arena_bytes(),
        rss_bytes: faults::resident_bytes(),
        threads: args.threads,
        isa: subject.session().isa().name(),
        stages: Stages {
            prepare: subject.inspects().then(|| measured.prepare.summary()),
            infer: measured.infer.summary(),
        },
        profile,
    };
    if args.json {
        ui::say_json(&answer)
    } else {
        say(&answer, &summary)
    }
    Ok(())
}

/// Times and counts of the measured frames.
struct Measured {
    prepare: Times,
    infer: Times,
    total: Times,
    allocations: u64,
    page_faults: u64,
}

/// Frame after frame through the loop's own stages, sealed like the loop.
fn measure(subject: &mut Subject, geometry: Geometry, frames: u32) -> Result<Measured, Error> {
    let pixels = noise(geometry.format.line_bytes(geometry.width) * geometry.height as usize * 2);
    let view = jidoka_capture::FrameView::packed(&pixels, geometry.width, geometry.height, geometry.format);
    let (mut prepare, mut infer, mut total) = (Times::new(), Times::new(), Times::new());
    let bar = ui::progress(u64::from(frames), "measuring");
    let (mut counts, mut page_faults) = (Counts::now(), 0);
    for frame in 0..WARM_UP + frames {
        if frame == WARM_UP {
            (counts, page_faults) = (Counts::now(), 0);
        }
        alloc::seal(Stage::Prepare);
        let faults_before = faults::of_this_thread();
        let began = clock::now();
        let fits = subject.prepare(&view);
        let prepared = clock::now();
        alloc::enter(Stage::Infer);
        let ran = subject.run();
        let inferred = clock::now();
        page_faults += faults::of_this_thread() - faults_before;
        alloc::unseal();
        fits.map_err(|error| Error::Usage(format!("--frame, --format: {error}")))?;
        ran.map_err(|error| subject.failed(error))?;
        if frame >= WARM_UP {
            prepare.add(prepared - began);
            infer.add(inferred - prepared);
            total.add(inferred - began);
        }
        // The bar draws at most a few times a second, outside what is measured.
        if frame % 16 == 0 {
            bar.set_position(u64::from(frame.saturating_sub(WARM_UP)));
        }
    }
    bar.finish_and_clear();
    Ok(Measured { prepare, infer, total, allocations: Counts::now().since(&counts).total(), page_faults })
}

fn say(answer: &Answer, total: &Summary) {
    let mut table = Table::new(["ms", "p50", "p90", "p99", "p99.9", "max"]);
    let prepare = answer.stages.prepare.iter().map(|times| ("prepare", times));
    for (name, times) in prepare.chain([("infer", &answer.stages.infer), ("frame", total)]) {
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
    if let Some(profile) = &answer.profile {
        ui::say("");
        profile::say(profile);
    }
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
