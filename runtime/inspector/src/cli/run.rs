//! `jidoka run`: a station, until it is told to stop.

use std::io::BufWriter;
use std::path::PathBuf;
use std::time::Duration;

use jidoka_line::{Axis, Wiring};
use jidoka_pins::{PinState, SimChip};
use serde_json::json;

use super::summary;
use crate::config::{Config, WireChoice};
use crate::error::Error;
use crate::os::clock;
use crate::station::open::{self, Opened};
use crate::station::recipes::{KnownView, Registry};
use crate::station::record::{Fanout, Sink};
use crate::station::stop::Reason;
use crate::station::telemetry::{About, Telemetry};
use crate::station::verdict_log::VerdictLog;

/// Run a station: camera in, verdicts and pulses out, until SIGINT or SIGTERM.
///
/// Outputs are safe before the first frame, after the last, and whatever ends the program. Verdicts are JSON lines on
/// standard output, or in the file that `[station] verdict_log` names. What is opened and every alarm go to standard error, and
/// at the end the counts: on standard output where the verdicts are in a file.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  jidoka run capper.toml
  jidoka run capper.toml --frames 100           stop after 100 parts, when the last has left
  jidoka run try.toml --frames 100 --json | jq .rejects
  jidoka run capper.toml --keys                 every key that a configuration may hold, with range and default")]
pub struct Args {
    /// The station's configuration
    #[arg(value_name = "CONFIG", required_unless_present = "keys")]
    config: Option<PathBuf>,
    /// Stop after this many frames
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    frames: Option<u64>,
    /// Stop after this many seconds
    #[arg(long, value_name = "S")]
    seconds: Option<f64>,
    /// At the end, the counts as one JSON object on standard output instead of a table
    #[arg(long)]
    json: bool,
    /// List the keys of a configuration, and do nothing else
    #[arg(long)]
    keys: bool,
}

/// Opens the station and runs it.
pub fn run(args: &Args) -> Result<(), Error> {
    let Some(file) = args.config.as_ref().filter(|_| !args.keys) else {
        super::check::say_keys(false);
        return Ok(());
    };
    let config = Config::read(file)?;
    let Opened { mut station, chip, registry } = open::station(&config)?;
    station.limit_frames = args.frames;
    station.limit = args.seconds.filter(|seconds| (0.0..1e9).contains(seconds)).map(Duration::from_secs_f64);
    let views = registry.get(station.line.recipe.id).map(|known| known.views).unwrap_or_default();
    let first = views.first().cloned().unwrap_or_default();
    let sight = std::sync::Arc::clone(&station.sight);
    let about = About {
        station: config.station.telemetry.as_deref().unwrap_or_default(),
        registry: &registry,
        sight: &sight,
        um_per_us: (config.reject.slot.axis() == Axis::Distance)
            .then(|| config.encoder.map_or(1.0, |encoder| encoder.fastest_um_per_s as f64 / 1e6)),
    };
    let mut telemetry = config.station.telemetry.as_ref().map(|_| Telemetry::open(&about)).transpose()?;
    let mut log = open_log(&config, &registry)?;
    log.line(&json!({
        "event": "start",
        "station": config.station.name,
        "model": first.sha256,
        "recipe": config.station.recipe,
        "threshold": first.threshold,
        "views": views.iter().map(views_line).collect::<Vec<_>>(),
        "at_us": clock::micros(clock::now()),
        "delay_us": config.reject.delay_us,
        "pulse_us": config.reject.pulse_us,
    }));
    // The ring first: it takes microseconds, and a log on a slow disk must not make the gateway wait.
    let mut sinks = Fanout(telemetry.as_mut().map(|telemetry| telemetry as &mut dyn Sink).into_iter().collect());
    sinks.0.push(&mut log);
    let ended = station.run(&mut sinks)?;
    log.end(&ended);
    if let Some(telemetry) = &mut telemetry {
        telemetry.end(&ended);
    }
    if let Some(chip) = chip {
        log.line(&levels(&chip, &config.outputs.wires));
    }
    // What the log still holds comes before the counts, where both go to standard output.
    drop(log);
    summary::say(&config, &ended, args.json);
    if let Some(broken) = ended.acted.as_ref().and_then(|acted| acted.broken.as_ref()) {
        log::error!("the inputs: {broken}");
    }
    if let Some(where_from) = ended.allocations.describe() {
        log::warn!("the sealed loop allocated: {where_from}");
    }
    match ended.reason {
        Reason::Done | Reason::Signal => {
            log::info!("stopped, outputs safe: {}", ended.reason.describe());
            Ok(())
        }
        reason => Err(Error::FailSafe(reason.describe().into())),
    }
}

/// A view in the log's first line.
fn views_line(view: &KnownView) -> serde_json::Value {
    json!({ "name": view.name, "model": view.sha256, "file": view.model, "threshold": view.threshold })
}

fn open_log(config: &Config, registry: &Registry) -> Result<VerdictLog, Error> {
    let registry = registry.clone();
    let log = match &config.station.verdict_log {
        None => VerdictLog::new(Box::new(BufWriter::new(std::io::stdout())), "standard output".into(), registry),
        Some(path) => {
            VerdictLog::to_file(path, registry).map_err(|error| Error::file(path, "open the verdict log", error))?
        }
    };
    Ok(log.with_gate(config.outputs.wiring == Wiring::EnergiseToPass))
}

/// What the simulated chip's lines show when all is over: the proof, on a machine without wires, that they are safe.
fn levels(chip: &SimChip, wires: &[WireChoice]) -> serde_json::Value {
    let level = |wire: &WireChoice| {
        let name = open::line_name(&wire.address);
        (
            wire.signal.to_owned(),
            json!(chip.level(name).is_some_and(|level| (level == PinState::High) != wire.active_low)),
        )
    };
    json!({ "event": "outputs", "active": wires.iter().map(level).collect::<serde_json::Map<_, _>>() })
}
