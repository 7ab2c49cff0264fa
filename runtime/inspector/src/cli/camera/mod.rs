//! `jidoka camera`: what is there, what it can do, is it sharp, is it steady?

mod check;
mod focus;
mod list;
mod picture;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::Subcommand;
use jidoka_capture::{Camera, FrameSource, Roi};

use super::ui;
use crate::config::Config;
use crate::error::Error;
use crate::station::open;

/// Cameras: what is there, what it can do, is it sharp, is it steady?
///
/// For the person who stands at the line: docs/CAMERA.md goes through it step by step.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  jidoka camera list
  jidoka camera show /dev/video0                              formats, sizes, rates, controls with their ranges
  jidoka camera set /dev/video0 exposure_time_absolute=120 gain=0
  jidoka camera focus /dev/video0                             turn the lens until the figure no longer rises
  jidoka camera check --config capper.toml                    rate, jitter, losses, exposure, as the station has it
  jidoka camera snapshot --config capper.toml --out frame.png
  jidoka camera white --config capper.toml --out white.png    an evenly white target, for [flat_field]")]
pub struct Args {
    #[command(subcommand)]
    command: Command,
    /// JSON instead of text
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Every camera of this machine
    List,
    /// What a camera can do: formats, sizes, rates, and controls with their ranges
    Show {
        /// The device node, best a link in /dev/v4l/by-id
        device: PathBuf,
    },
    /// Set controls by name; those of a station belong into its configuration
    Set {
        /// The device node
        device: PathBuf,
        /// Controls with their values, set in this order
        #[arg(required = true, value_name = "NAME=VALUE", value_parser = control)]
        controls: Vec<(String, i64)>,
    },
    /// Take one frame and write it as a PNG
    #[command(alias = "grab")]
    Snapshot(picture::Snapshot),
    /// Average frames of an evenly white target, for `[flat_field] white`
    White(picture::White),
    /// How sharp the picture is, live: turn the lens until the figure no longer rises
    Focus(focus::Args),
    /// Measure rate, jitter, losses and exposure
    Check(check::Args),
}

fn control(text: &str) -> Result<(String, i64), String> {
    let parsed = text.split_once('=').and_then(|(name, value)| Some((name.trim(), value.trim().parse().ok()?)));
    match parsed {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value)),
        _ => Err("expected a name and a whole number, such as gain=10".into()),
    }
}

/// Does what was asked.
pub fn run(args: &Args) -> Result<(), Error> {
    match &args.command {
        Command::List => list::list(args.json),
        Command::Show { device } => list::show(device, args.json),
        Command::Set { device, controls } => set(device, controls),
        Command::Snapshot(snapshot) => picture::snapshot(snapshot, args.json),
        Command::White(white) => picture::white(white, args.json),
        Command::Focus(focus) => focus::run(focus, args.json),
        Command::Check(check) => check::run(check, args.json),
    }
}

fn set(device: &std::path::Path, controls: &[(String, i64)]) -> Result<(), Error> {
    let camera = Camera::open(device)?;
    for (name, value) in controls {
        camera.set_control(name, *value)?;
    }
    for control in camera.controls() {
        if controls.iter().any(|(name, _)| *name == control.name) {
            let value = control.value.map_or("not readable".into(), |value| value.to_string());
            ui::say(format!("  {} = {value}   ({})", control.name, control.range()));
        }
    }
    Ok(())
}

/// Which source of frames.
#[derive(clap::Args)]
pub struct Which {
    /// A device node, a folder, an image, a recording, a video, or `synthetic`
    #[arg(required_unless_present = "config")]
    source: Option<String>,
    /// Use this station's camera as it is set there
    #[arg(long, value_name = "FILE", conflicts_with = "source")]
    config: Option<PathBuf>,
}

impl Which {
    /// Opens it. Where it is a station's, with the station's configuration.
    pub fn open(&self) -> Result<(Box<dyn FrameSource>, Option<Config>), Error> {
        match (&self.source, &self.config) {
            (Some(name), _) => Ok((open::open_by_name(name)?, None)),
            (None, Some(file)) => {
                let config = Config::read(file)?;
                Ok((open::camera(&config)?, Some(config)))
            }
            (None, None) => Err(Error::Usage("no camera: name one, or --config FILE".into())),
        }
    }
}

/// The region to look at: the one given, else the station's.
fn region(given: Option<Roi>, config: Option<&Config>) -> Option<Roi> {
    given.or_else(|| config.and_then(|config| config.camera.roi))
}

/// Set by SIGINT and SIGTERM: what has been measured or recorded by then is kept.
pub fn interrupt() -> Result<Arc<AtomicBool>, Error> {
    let flag = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        let refused = |error| Error::System { action: "watch for signals", error };
        // A second signal ends the program whatever it does.
        signal_hook::flag::register_conditional_default(signal, Arc::clone(&flag)).map_err(refused)?;
        signal_hook::flag::register(signal, Arc::clone(&flag)).map_err(refused)?;
    }
    Ok(flag)
}

/// Whether to go on: not interrupted, and before the deadline if there is one.
pub fn goes_on(interrupted: &AtomicBool, until: Option<Duration>) -> bool {
    !interrupted.load(Ordering::Relaxed) && until.is_none_or(|until| crate::os::clock::now() < until)
}

#[cfg(test)]
mod tests {
    use super::control;

    #[test]
    fn controls_are_a_name_and_a_number() {
        assert_eq!(control("gain=10"), Ok(("gain".into(), 10)));
        assert_eq!(control(" hue = -3"), Ok(("hue".into(), -3)));
        for bad in ["gain", "=3", "gain=", "gain=high", "gain=1.5", ""] {
            assert!(control(bad).is_err(), "{bad}");
        }
    }
}
