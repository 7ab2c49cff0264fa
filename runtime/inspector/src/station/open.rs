//! Start-up: from a configuration to a station, everything opened and checked, nothing energised.

use std::path::Path;

use jidoka_capture::{FrameSource, Geometry, Keep, Roi, SourceConfig, SyntheticConfig};
use jidoka_line::policy::{Limits, Policy};
use jidoka_line::{
    Deadlines, LineConfig, ModelDigest, Outputs, Polarity, Recipe, RecipeId, RejectLimits, Signal, Span, Wire,
};
use jidoka_models::{InspectionModel, LoadOptions};
use jidoka_pins::{Gpio, Output, OutputSpec, PinState, SimChip, Trip};
use jidoka_prepare::{Channels, Filter, Fit, Preparer, Spec};

use super::Station;
use super::inspect::Judge;
use crate::config::{Backend, Config, Limit, ModelChoice, Reject, WireChoice};
use crate::error::Error;
use crate::os::clock;

/// How many edges a simulated chip remembers.
const SIM_EDGES: usize = 1 << 16;

/// Opens all that `config` names, in the order in which a fault is cheapest to find: model, camera, pins.
pub fn station(config: &Config) -> Result<(Station, Option<SimChip>), Error> {
    let model = model(&config.model)?;
    let source = jidoka_capture::open(&config.camera.source)?;
    log::info!("camera: {}", source.describe());
    let preparer = Preparer::new(&spec(&model, source.geometry(), config.camera.roi))?;
    let judge = judge(&model, config.model.limit)?;
    let (gpio, chip) = gpio(config)?;
    let (outputs, trip) = outputs(&gpio, &config.outputs.wires)?;
    let station = Station {
        every_frame_is_a_part: every_frame_is_a_part(&config.camera.source),
        source,
        reopen: matches!(config.camera.source, SourceConfig::V4l2(_)).then(|| config.camera.source.clone()),
        preparer,
        model,
        judge,
        line: line(&config.reject, config.camera.timeout),
        outputs,
        trip,
        realtime: config.station.realtime.clone(),
        stop_on_allocation: config.station.stop_on_allocation,
        limit_frames: None,
        limit: None,
    };
    Ok((station, chip))
}

/// Loads a model and verifies its golden check.
pub fn model(choice: &ModelChoice) -> Result<InspectionModel, Error> {
    let engine =
        jidoka_engine::Options { threads: choice.threads, strict: choice.strict, ..jidoka_engine::Options::default() };
    let model = InspectionModel::load(&choice.path, &LoadOptions { engine, ..LoadOptions::default() })?;
    log::info!("model: {}, sha256 {}, kernels {}", model.name(), &model.sha256()[..16], model.session().isa().name());
    Ok(model)
}

/// What to make of frames of `geometry` for `model`: as it was taught, where it says so; else as anomalib trains.
pub fn spec(model: &InspectionModel, geometry: Geometry, roi: Option<Roi>) -> Spec {
    let input = model.input();
    let stated = model.contract().input.as_ref();
    Spec {
        roi,
        channels: if input.channels == 1 { Channels::Grey } else { Channels::Rgb },
        fit: match stated.map(|input| input.fit.as_str()) {
            Some("crop") => Fit::Crop,
            Some("pad") => Fit::Pad(0),
            _ => Fit::Stretch,
        },
        filter: if stated.is_none_or(|input| input.filter == "triangle") { Filter::Triangle } else { Filter::Area },
        ..Spec::new(geometry, input.width, input.height)
    }
}

/// Who judges with `model` and this limit.
pub fn judge(model: &InspectionModel, limit: Limit) -> Result<Judge, Error> {
    let limits = Limits::threshold(just_above(threshold_of(model, limit)?));
    let policy = Policy::new(limits)
        .map_err(|error| Error::Usage(format!("{}: {error}\n  try: [model] threshold = 0.5", model.name())))?;
    Ok(Judge { policy, model: digest(model.sha256()), recipe: RecipeId(1) })
}

/// The score above which a part is rejected.
pub fn threshold_of(model: &InspectionModel, limit: Limit) -> Result<f64, Error> {
    match limit {
        Limit::Score(score) => Ok(f64::from(score)),
        Limit::Own => model.threshold().ok_or_else(|| {
            Error::Usage(format!(
                "{}: the model states no threshold\n  expected: a model taught by `jidoka teach`, or a threshold beside \
                 it\n  try: [model] threshold = 0.5 in the configuration, or --threshold 0.5",
                model.name()
            ))
        }),
        Limit::Sensitivity(sensitivity) => model.contract().score_for(sensitivity).ok_or_else(|| {
            Error::Usage(format!(
                "{}: sensitivity {sensitivity} means nothing to this model\n  expected: a number between 0 and 1, and a model \
                 that holds the scores of good parts\n  try: `jidoka teach`, or `jidoka model import --good` for a model made \
                 elsewhere; or set a threshold instead",
                model.name()
            ))
        }),
    }
}

/// A model rejects scores greater than its threshold, the line those at or over its limit: the limit is the next number.
fn just_above(threshold: f64) -> f32 {
    let nearest = threshold as f32;
    if f64::from(nearest) > threshold { nearest } else { nearest.next_up() }
}

fn digest(sha256: &str) -> ModelDigest {
    let mut bytes = [0; 8];
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = sha256.get(2 * index..2 * index + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok()).unwrap_or(0);
    }
    ModelDigest(bytes)
}

/// How the line runs: windows, deadlines and alarms from the configuration.
pub fn line(reject: &Reject, frame_timeout: std::time::Duration) -> LineConfig {
    let delay = Span::from_micros(reject.delay_us);
    LineConfig {
        // A verdict that is older than the way to the ejector comes too late for its part in any case.
        stale_after: delay,
        limits: RejectLimits { consecutive: reject.alarm_after.min(u32::from(u16::MAX)) as u16, rate: None },
        deadlines: Deadlines { frame: Span::from_duration(frame_timeout), inference: delay, ..Deadlines::default() },
        ..LineConfig::new(Recipe::new(RecipeId(1), reject.slot))
    }
}

/// The chips that the outputs are on.
pub fn gpio(config: &Config) -> Result<(Gpio, Option<SimChip>), Error> {
    match config.outputs.backend {
        Backend::Gpio => {
            let consumer = format!("jidoka {}", config.station.name);
            Ok((Gpio::open(&jidoka_pins::Options { consumer, ..jidoka_pins::Options::default() })?, None))
        }
        Backend::Sim => {
            let names: Vec<&str> = config.outputs.wires.iter().map(|wire| line_name(&wire.address)).collect();
            let chip = sim_chip(&names);
            Ok((Gpio::simulated(std::slice::from_ref(&chip)), Some(chip)))
        }
    }
}

/// A chip in memory with these lines, stamped by the monotonic clock.
pub fn sim_chip(names: &[&str]) -> SimChip {
    SimChip::new("sim", names, SIM_EDGES, clock::now)
}

/// The line's name in an address, for the chip in memory.
pub fn line_name(address: &str) -> &str {
    address.rsplit('/').next().unwrap_or(address)
}

/// Requests every wired output: all or none, each in its safe state from the first instant.
pub fn outputs(gpio: &Gpio, wires: &[WireChoice]) -> Result<(Outputs<Output>, Trip), Error> {
    let specs: Vec<OutputSpec> = wires
        .iter()
        .map(|wire| OutputSpec { active_low: wire.active_low, safe: PinState::Low, ..OutputSpec::new(&wire.address) })
        .collect();
    let pins = gpio.outputs(&specs)?;
    let trip = Trip::over(&pins);
    let mut outputs = Outputs::new();
    for (wire, pin) in wires.iter().zip(pins) {
        if let Some(signal) = Signal::ALL.into_iter().find(|signal| signal.name() == wire.signal) {
            // Active-low is undone by the pin, so to the line every signal is active high.
            outputs = outputs.wire(signal, Wire::new(pin, Polarity::ActiveHigh));
        }
    }
    Ok((outputs, trip))
}

/// A camera that gives every frame shows a part in each; one that is asked for the latest is looked at when there is time.
pub fn every_frame_is_a_part(source: &SourceConfig) -> bool {
    match source {
        SourceConfig::V4l2(camera) => camera.keep == Keep::Every,
        SourceConfig::Replay(_) | SourceConfig::Synthetic(_) => true,
    }
}

/// A source by a short name, for commands that take one without a configuration: a device node, a folder or image, or
/// `synthetic` (rendered parts, all good).
pub fn source_by_name(name: &str) -> SourceConfig {
    if name == "synthetic" {
        SourceConfig::Synthetic(SyntheticConfig { defect_rate: 0.0, ..SyntheticConfig::default() })
    } else if name.starts_with("/dev/") {
        SourceConfig::V4l2(jidoka_capture::V4l2Config::new(name))
    } else {
        SourceConfig::Replay(jidoka_capture::ReplayConfig::new(Path::new(name)))
    }
}

/// Opens a source by its short name.
pub fn open_by_name(name: &str) -> Result<Box<dyn FrameSource>, Error> {
    Ok(jidoka_capture::open(&source_by_name(name))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_score_at_the_threshold_passes_and_the_next_number_does_not() {
        for threshold in [0.5_f64, 0.1, 1.0 / 3.0, -2.7, 0.0, 1234.567] {
            let limit = just_above(threshold);
            assert!(f64::from(limit) > threshold, "{threshold}: {limit} would reject a score at the threshold");
            assert!(f64::from(limit.next_down()) <= threshold, "{threshold}: {limit} passes a score above it");
        }
    }

    #[test]
    fn the_digest_is_the_first_eight_bytes() {
        assert_eq!(digest("00ff10a5deadbeef99").0, [0x00, 0xff, 0x10, 0xa5, 0xde, 0xad, 0xbe, 0xef]);
        assert_eq!(digest("").0, [0; 8]);
    }

    #[test]
    fn every_signal_of_the_configuration_is_one_of_the_lines() {
        for (word, _) in crate::config::SIGNALS {
            assert!(Signal::ALL.iter().any(|signal| signal.name() == word), "{word}");
        }
    }
}
