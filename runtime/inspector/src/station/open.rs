//! Start-up: from a configuration to a station, everything opened and checked, nothing energised.

use std::path::Path;
use std::sync::Arc;

use jidoka_capture::images::Image;
use jidoka_capture::{FrameSource, Geometry, Keep, Reopen, Roi, SourceConfig, SyntheticConfig};
use jidoka_line::policy::Limits;
use jidoka_line::{
    Deadlines, EjectorId, LineConfig, Matching, ModelDigest, Outputs, Polarity, Recipe, RecipeId, RejectLimits, Signal,
    Span, Strobe, Wire,
};
use jidoka_models::{InspectionModel, LoadOptions};
use jidoka_pins::{Gpio, Output, OutputSpec, PinState, SimChip, Trip};
use jidoka_prepare::{Align, Channels, Corrections, Filter, Fit, Picture, Spec};

use super::Station;
use super::change::Changer;
use super::control::Socket;
use super::dress;
use super::expected::Expected;
use super::field::Field;
use super::inspect::Framing;
use super::recipes::{Active, Known, Registry};
use super::views::Judge;
use crate::config::{Backend, Config, Limit, ModelChoice, RecipeChoice, Reject, Seeing, Source, WireChoice};
use crate::error::Error;
use crate::os::clock;
use crate::os::mapped::MappedFile;

/// How many edges a simulated chip remembers.
const SIM_EDGES: usize = 1 << 16;
/// How late a frame may be, where the file does not say.
const USUAL_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(1);

/// A station, and what its commands need of it besides.
pub struct Opened {
    /// The station.
    pub station: Station,
    /// Its outputs, where they are on a chip in memory.
    pub chip: Option<SimChip>,
    /// What is known of its recipes.
    pub registry: Registry,
}

/// Opens all that `config` names, in the order in which a fault is cheapest to find: model, camera, pins.
pub fn station(config: &Config) -> Result<Opened, Error> {
    let model = model(&config.model).map_err(|error| error.named(&config.file, "[model] path"))?;
    let source = camera(config)?;
    log::info!("camera: {}", source.describe());
    if !source.is_loop_clean() {
        if config.station.stop_on_allocation {
            let what = "its frames are decoded, which takes memory in the loop, and on_allocation = \"stop\"";
            let way = "an uncompressed [camera] format (`jidoka camera show` lists them), or on_allocation = \"count\"";
            return Err(Error::Usage(format!("{}: {what}\n  expected: {way}", source.describe())));
        }
        log::warn!("the camera's frames are decoded, which takes memory in the loop; every allocation is counted");
    }
    let geometry = source.geometry();
    let (active, known) = dress::active(config, 0, model, geometry)?;
    let registry = Registry::default();
    registry.set(active.recipe.id, known);
    let (gpio, chip) = gpio(config)?;
    lines(config, &gpio)?;
    // Inputs before outputs: a sensor that cannot be read is found before anything is driven.
    let field = Field::open(config, &gpio)?;
    let blackbox = blackbox(config)?;
    let socket = config.station.control.as_deref().map(|name| Socket::open(name, config.trigger.source)).transpose()?;
    let changes = socket.is_some() || !config.inputs.select.is_empty();
    let changer = changes.then(|| Changer::new(config, geometry, registry.clone(), socket)).transpose()?;
    let (outputs, trip) = outputs(&gpio, &config.outputs.wires)?;
    // Last: from here on it bites.
    let watchdog = jidoka_watchdog::Watchdog::start(&jidoka_watchdog::Options { device: config.watchdog.clone() })?;
    let Active { first, more, recipe } = active;
    let station = Station {
        framing: framing(config),
        source,
        reopen: matches!(config.camera.source, SourceConfig::V4l2(_)).then(|| Reopen::of(&config.camera.source)),
        sight: Arc::default(),
        view: first,
        more_views: more,
        line: line_of(config, recipe),
        outputs,
        trip,
        field,
        changer,
        watchdog: Some(watchdog),
        blackbox,
        realtime: config.station.realtime.clone(),
        stop_on_allocation: config.station.stop_on_allocation,
        limit_frames: None,
        limit: None,
    };
    Ok(Opened { station, chip, registry })
}

/// Loads and checks all that the recipe at `place` needs in the loop.
pub fn active(config: &Config, place: usize, geometry: Geometry) -> Result<(Active, Known), Error> {
    let choice = &config.recipes[place];
    let key = if place == 0 { "[model] path".into() } else { format!("[recipe.{}.model] path", choice.name) };
    dress::active(config, place, model(&choice.model).map_err(|error| error.named(&config.file, key))?, geometry)
}

/// What the line needs to know of a recipe.
pub fn line_recipe(config: &Config, choice: &RecipeChoice, id: RecipeId) -> Result<Recipe, Error> {
    let mut recipe = Recipe::new(id, choice.reject.slot);
    for (number, other) in (1..).zip(&choice.others) {
        if let Some(other) = other {
            recipe = recipe
                .with_ejector(EjectorId(number), other.slot)
                .map_err(|error| Error::Usage(format!("{}: recipe {}: {error}", config.file, choice.name)))?;
        }
    }
    let delay = config.trigger.delay;
    recipe.strobe = config.trigger.strobe.map(|strobe| Strobe { delay, lead: strobe.lead, width: strobe.width });
    Ok(recipe)
}

/// The memory of the black box, where one is wanted.
fn blackbox(config: &Config) -> Result<Option<MappedFile>, Error> {
    let Some(path) = &config.station.blackbox else { return Ok(None) };
    let bytes = jidoka_line::blackbox::bytes_for(config.station.blackbox_records as usize);
    let map = MappedFile::open(path, bytes).map_err(|error| Error::file(path, "map the black box", error))?;
    Ok(Some(map))
}

/// Which frames show a part.
fn framing(config: &Config) -> Framing {
    let trigger = &config.trigger;
    match trigger.source {
        Source::Frames if every_frame_is_a_part(&config.camera.source) => Framing::Every,
        Source::Frames => Framing::Latest,
        Source::Camera => Framing::Triggered,
        Source::Sensor | Source::Encoder | Source::Software => {
            Framing::Outside(Arc::new(Expected::new(trigger.frame_tolerance, trigger.debounce)))
        }
    }
}

/// How the line runs, from the whole of a configuration.
pub fn line_of(config: &Config, recipe: Recipe) -> LineConfig {
    let (trigger, reject, policy) = (&config.trigger, &config.reject, &config.line_policy);
    let base = line(reject, config.camera.timeout.unwrap_or(USUAL_TIMEOUT));
    let triggered = trigger.source == Source::Camera;
    let way = Span::from_micros(reject.delay_us);
    // Where the station exposes the part itself, the line knows when; otherwise the delay leads from the trigger to it.
    let delay = if trigger.strobe.is_some() { 0 } else { trigger.delay.unsigned_abs() };
    let deadlines = config.deadlines;
    LineConfig {
        recipe,
        wiring: config.outputs.wiring,
        quorum: policy.quorum,
        stale_after: policy.stale.unwrap_or(way),
        result_hold: config.outputs.result_hold,
        matching: Matching {
            offset: Span::from_micros(delay) + trigger.frame_offset,
            tolerance: trigger.frame_tolerance,
            check_sequence: trigger.check_sequence,
            arrives_within: trigger.arrives_within,
        },
        least_interval: trigger.least_interval,
        limits: RejectLimits { rate: config.alarms.rate, ..base.limits },
        stop_on: config.alarms.stop_on,
        longest_on: reject.longest_on_us.map(Span::from_micros),
        deadlines: Deadlines {
            // A camera that waits for its trigger owes no frame, unless the user says how often the machine triggers it.
            frame: if triggered { Span::MAX } else { base.deadlines.frame },
            silence: config.camera.timeout.filter(|_| triggered).map_or(Span::MAX, Span::from_duration),
            inference: deadlines.inference.unwrap_or(way),
            actuation: deadlines.actuation.unwrap_or(way),
            backoff: deadlines.backoff,
            backoff_most: deadlines.backoff_most,
        },
        free_running: trigger.source == Source::Frames,
        golden: policy.golden.clone(),
    }
}

/// Opens the station's camera.
pub fn camera(config: &Config) -> Result<Box<dyn FrameSource>, Error> {
    let key = match config.camera.source {
        SourceConfig::V4l2(_) => "[camera] device",
        SourceConfig::Replay(_) => "[camera] path",
        SourceConfig::Synthetic(_) => "[camera]",
    };
    jidoka_capture::open(&config.camera.source).map_err(|error| Error::from(error).named(&config.file, key))
}

/// Looks up each line by its address, and says what was found: `reject`, `pinctrl-rp1/GPIO17 (v2, active low)`.
pub fn lines(config: &Config, gpio: &Gpio) -> Result<Vec<(&'static str, String)>, Error> {
    let low = |active_low: bool| if active_low { ", active low" } else { "" };
    let find = |table: &str, key: &str, address: &str| {
        gpio.find(address).map_err(|error| Error::from(error).named(&config.file, format!("[{table}] {key}")))
    };
    let mut found = Vec::new();
    for wire in config.inputs.lines() {
        let line = find("inputs", wire.name, &wire.address)?;
        found.push((wire.name, format!("{line} (input, {}{})", gpio.backend(), low(wire.active_low))));
    }
    for wire in &config.outputs.wires {
        let line = find("outputs", wire.signal, &wire.address)?;
        found.push((wire.signal, format!("{line} ({}{})", gpio.backend(), low(wire.active_low))));
    }
    Ok(found)
}

/// Loads a model and verifies its golden check, and its signature where a key is named.
pub fn model(choice: &ModelChoice) -> Result<InspectionModel, Error> {
    let engine =
        jidoka_engine::Options { threads: choice.threads, strict: choice.strict, ..jidoka_engine::Options::default() };
    let load = LoadOptions { engine, public_key: choice.public_key.clone(), ..LoadOptions::default() };
    let model = InspectionModel::load(&choice.path, &load)?;
    log::info!("model: {}, sha256 {}, kernels {}", model.name(), &model.sha256()[..16], model.session().isa().name());
    Ok(model)
}

/// The pictures that corrections need, from their files.
pub fn corrections(seeing: &Seeing) -> Result<Corrections, Error> {
    let picture = |path: &std::path::PathBuf| -> Result<Picture, Error> {
        let Image { width, height, format, data } = jidoka_capture::images::decode(path)?;
        Ok(Picture { width, height, format, data })
    };
    let align = seeing.align.as_ref().map(|choice| -> Result<Align, Error> {
        Ok(Align {
            template: picture(&choice.template)?,
            max_shift_px: choice.max_shift_px,
            max_degrees: choice.max_degrees as f32,
            least_match: choice.least_match as f32,
        })
    });
    Ok(Corrections { white: seeing.white.as_ref().map(picture).transpose()?, align: align.transpose()? })
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
    dress::judge(model, Limits::threshold(just_above(threshold_of(model, limit)?)))
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

/// What is odd about a threshold that replaces the model's own, judged by the good parts that it was taught from.
pub fn doubt(model: &InspectionModel, limit: Limit) -> Option<String> {
    let Limit::Score(score) = limit else { return None };
    let contract = model.contract();
    let (own, good) = (contract.threshold.as_ref()?.score, contract.calibration.as_ref()?);
    let odd = if f64::from(score) < good.low {
        "rejects every good part that it was taught from"
    } else if f64::from(score) > good.high.max(own) * FAR_ABOVE {
        "may let bad parts pass"
    } else {
        return None;
    };
    let (low, high) = (good.low, good.high);
    Some(format!("threshold {score} {odd}: their scores are {low:.3} to {high:.3}, and its own threshold is {own:.3}"))
}

/// How many times the highest score of a good part a threshold may be without a warning.
const FAR_ABOVE: f64 = 2.0;

/// A model rejects scores greater than its threshold, the line those at or over its limit: the limit is the next number.
pub fn just_above(threshold: f64) -> f32 {
    let nearest = threshold as f32;
    if f64::from(nearest) > threshold { nearest } else { nearest.next_up() }
}

pub fn digest(sha256: &str) -> ModelDigest {
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
            let opened = Gpio::open(&jidoka_pins::Options { consumer, ..jidoka_pins::Options::default() });
            Ok((opened.map_err(|error| Error::from(error).named(&config.file, "[outputs] backend"))?, None))
        }
        Backend::Sim => {
            let outputs = config.outputs.wires.iter().map(|wire| line_name(&wire.address));
            let names: Vec<&str> = outputs.chain(config.inputs.lines().map(|wire| line_name(&wire.address))).collect();
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
        .map(|wire| OutputSpec {
            active_low: wire.active_low,
            safe: if wire.safe_on { PinState::High } else { PinState::Low },
            ..OutputSpec::new(&wire.address)
        })
        .collect();
    let pins = gpio.outputs(&specs)?;
    let trip = Trip::over(&pins);
    let mut outputs = Outputs::new();
    for (wire, pin) in wires.iter().zip(pins) {
        if let Some(signal) = Signal::ALL.into_iter().find(|signal| signal.name() == wire.signal) {
            // Active-low is undone by the pin, so to the line every signal is active high.
            let polarity = Polarity::ActiveHigh;
            outputs = outputs.wire(signal, Wire { pin, polarity, on_when_safe: wire.safe_on });
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
