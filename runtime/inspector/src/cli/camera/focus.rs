//! The picture's sharpness while somebody turns the lens.

use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use jidoka_capture::health::{Gauge, Reading};
use jidoka_capture::{FrameFault, Roi};
use serde_json::json;

use super::super::{ui, values};
use super::{Which, goes_on, interrupt, region};
use crate::error::Error;
use crate::os::clock;

/// How sharp the picture is, live
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    which: Which,
    /// Look at this part alone, in pixels: where the part's surface is [default: the station's region, or all]
    #[arg(long, value_parser = values::roi, value_name = "X,Y,W,H")]
    roi: Option<Roi>,
    /// End after so many frames [default: at Ctrl-C]
    #[arg(long, value_name = "N")]
    frames: Option<u64>,
}

/// Between two lines on the screen: more than anybody can read.
const PERIOD: Duration = Duration::from_millis(150);
/// Width of the bar.
const BAR: usize = 32;
/// How long a camera may be silent.
const PATIENCE: Duration = Duration::from_secs(30);

/// Shows the sharpness until it is told to stop.
pub fn run(args: &Args, as_json: bool) -> Result<(), Error> {
    let (mut source, config) = args.which.open()?;
    let roi = region(args.roi, config.as_ref());
    let mut gauge = Gauge::new(source.geometry(), roi)?;
    let interrupted = interrupt()?;
    let name = source.describe();
    if !as_json {
        ui::say(format!("  {name}\n  turn the lens until the figure no longer rises; Ctrl-C ends"));
    }
    let live = std::io::stdout().is_terminal() && !as_json;
    let (mut best, mut frames, mut shown_at, mut last_at) = (0.0f32, 0, Duration::ZERO, clock::now());
    while goes_on(&interrupted, None) && args.frames.is_none_or(|most| frames < most) {
        let reading = match source.next(Duration::from_millis(500)) {
            Ok(lease) => gauge.read(&lease.view()).map_err(|error| Error::Usage(format!("{name}: {error}")))?,
            Err(FrameFault::EndOfStream) => break,
            Err(fault) if fault.is_passing() && clock::now() < last_at + PATIENCE => continue,
            Err(fault) => return Err(Error::Camera { name, fault }),
        };
        frames += 1;
        last_at = clock::now();
        best = best.max(reading.sharpness);
        if as_json {
            ui::say_json(&json!({
                "frame": frames, "sharpness": reading.sharpness, "best": best, "mean": reading.mean,
                "dark": reading.dark, "saturated": reading.saturated,
            }));
        } else if live && last_at >= shown_at + PERIOD {
            shown_at = last_at;
            let mut out = std::io::stdout().lock();
            let _ = write!(out, "\r{}", line(&reading, best));
            let _ = out.flush();
        }
        if !live && !as_json {
            ui::say(line(&reading, best));
        }
    }
    if live {
        ui::say("");
    }
    if !as_json {
        ui::say(format!("  best {best:.1} in {frames} frames"));
    }
    Ok(())
}

/// One line: a bar that is full at the best so far.
fn line(reading: &Reading, best: f32) -> String {
    let share = if best > 0.0 { reading.sharpness / best } else { 0.0 };
    let full = ((share * BAR as f32) as usize).min(BAR);
    let light = match reading {
        Reading { saturated, .. } if *saturated > 0.02 => "  too bright: lower exposure or gain first",
        Reading { mean, .. } if *mean < 30.0 => "  too dark: raise exposure or light first",
        _ => "",
    };
    format!(
        "  {:>8.1}  {}{}  {:>3.0} % of the best, mean {:>3.0}{light:<42}",
        reading.sharpness,
        "#".repeat(full),
        ".".repeat(BAR - full),
        share * 100.0,
        reading.mean,
    )
    .trim_end()
    .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_is_full_at_the_best_and_light_comes_first() {
        let reading = Reading { mean: 120.0, dark: 0.0, saturated: 0.0, sharpness: 8.0, digest: 0 };
        assert!(line(&reading, 8.0).contains(&"#".repeat(BAR)));
        assert!(line(&reading, 16.0).contains(" 50 % of the best"));
        assert!(line(&reading, 0.0).contains(&".".repeat(BAR)));
        assert!(line(&Reading { saturated: 0.3, ..reading }, 8.0).contains("too bright"));
        assert!(line(&Reading { mean: 9.0, ..reading }, 8.0).contains("too dark"));
    }
}
