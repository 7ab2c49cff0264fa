//! `jidoka record`: raw frames with their times into a file that plays back bit for bit.

use std::path::PathBuf;
use std::time::Duration;

use jidoka_capture::{FrameFault, Recorder};
use serde_json::json;

use super::camera::{Which, goes_on, interrupt};
use super::ui;
use crate::error::Error;
use crate::os::clock;

/// Record raw frames with their times, so that what happened on the line happens again on a desk.
///
/// The file holds every byte that the camera gave, and a check sum a frame. `source = "replay"` with its path plays it:
/// the same frames give the same verdicts, to the bit.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  jidoka record --config capper.toml --out monday.frames --frames 500
  jidoka record /dev/video0 --out test.frames --seconds 10
  jidoka camera check monday.frames                          is what was recorded sharp and well exposed?
In the configuration: source = \"replay\", path = \"monday.frames\", and as_recorded = true for the recorded rhythm")]
pub struct Args {
    #[command(flatten)]
    which: Which,
    /// The file to write; it must not exist yet
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// End after so many frames [default: at Ctrl-C]
    #[arg(long, value_name = "N")]
    frames: Option<u64>,
    /// End after so many seconds
    #[arg(long, value_name = "S")]
    seconds: Option<f64>,
    /// JSON instead of text
    #[arg(long)]
    json: bool,
}

/// How long a camera may be silent before recording is given up: a trigger may be a long way off.
const PATIENCE: Duration = Duration::from_secs(300);

/// Records until it is told to stop.
pub fn run(args: &Args) -> Result<(), Error> {
    let (mut source, _) = args.which.open()?;
    let name = source.describe();
    let mut recorder = Recorder::create(&args.out, source.geometry())?;
    let interrupted = interrupt()?;
    let until = args.seconds.map(|seconds| clock::now() + Duration::from_secs_f64(seconds.clamp(0.0, 1e9)));
    let bar = ui::progress(args.frames.unwrap_or(0), "recording");
    let (mut frames, mut last_at, mut ended) = (0, clock::now(), None);
    while goes_on(&interrupted, until) && args.frames.is_none_or(|most| frames < most) {
        match source.next(Duration::from_millis(200)) {
            Ok(lease) => {
                recorder.write(&lease.view(), lease.meta())?;
                frames += 1;
                last_at = clock::now();
                bar.inc(1);
            }
            Err(FrameFault::EndOfStream) => break,
            Err(fault) if fault.is_passing() && clock::now() < last_at + PATIENCE => {}
            Err(fault) => {
                // What has been recorded is kept, whatever ended it.
                ended = Some(fault);
                break;
            }
        }
    }
    bar.finish_and_clear();
    let written = recorder.finish()?;
    let stats = source.stats();
    if args.json {
        ui::say_json(&json!({
            "camera": name, "recording": args.out, "frames": written, "lost": stats.lost, "starved": stats.starved,
            "damaged": stats.damaged,
        }));
    } else {
        ui::say(format!("  {name}\n  wrote {written} frames to {}", args.out.display()));
        if stats.lost + stats.damaged > 0 {
            ui::say(format!(
                "  note: {} frames were lost ({} because the disk was too slow) and {} were damaged; they are not in it",
                stats.lost, stats.starved, stats.damaged
            ));
        }
    }
    ended.map_or(Ok(()), |fault| Err(Error::Camera { name, fault }))
}
