//! The demo: a whole station without a camera, a wire or a file.
//!
//! Nothing in it is pretended but the world outside: parts are rendered and the GPIO chip is in memory. The model is
//! taught, loaded and planned as any other; loop, line and actuator are those of `jidoka run`. What it claims at the end
//! is counted from the chip's edges against what the renderer knows, not from what the line says of itself.

pub mod page;
pub mod pictures;
pub mod truth;

use std::sync::Arc;
use std::time::Duration;

use jidoka_capture::images::Image;
use jidoka_capture::{FrameSource, Roi, SourceConfig, SyntheticConfig};
use jidoka_line::{Note, RejectTiming, Span};
use jidoka_models::teach::{self, Frames, Options, Progress, Size, Taught};
use jidoka_models::{InspectionModel, LoadOptions};
use jidoka_pins::{Gpio, SimChip};
use jidoka_prepare::Preparer;

use crate::config::{Limit, Reject, SIGNALS, WireChoice};
use crate::error::Error;
use crate::os::clock;
use crate::os::realtime::Wish;
use crate::station::field::Field;
use crate::station::record::{Seen, Sink};
use crate::station::views::View;
use crate::station::{Ended, Station, inspect, open};

/// The part of the frame that is inspected: the part with some room around it, as an engineer would draw it.
const ROI: Roi = Roi { x: 120, y: 40, width: 400, height: 400 };
/// Side of the model's input: about a pixel a camera pixel, so that a hair-line scratch is still there.
const SIDE: u32 = 384;

/// Features in the memory bank: more than usual for more pixels than usual.
const BANK: usize = 2048;

/// What is shown.
#[derive(Clone, Debug)]
pub struct Show {
    /// Seed of the parts, of teaching, of everything random.
    pub seed: u64,
    /// Good parts to teach from.
    pub good: u32,
    /// Parts to inspect.
    pub parts: u32,
    /// Share of them that are defective.
    pub defect_rate: f64,
    /// Share of good parts that may be rejected.
    pub false_reject: f64,
    /// Threads of the engine.
    pub threads: usize,
}

/// The rhythm of the belt, chosen so that this machine keeps up.
#[derive(Clone, Copy, Debug)]
pub struct Rhythm {
    /// Between two parts.
    pub interval: Duration,
    /// From the camera to the ejector.
    pub delay: Duration,
    /// How long the ejector acts.
    pub pulse: Duration,
}

/// All that happened.
pub struct Run {
    /// What was asked for.
    pub show: Show,
    /// The taught model.
    pub taught: Taught,
    /// How long teaching took.
    pub teach_seconds: f64,
    /// The belt's rhythm.
    pub rhythm: Rhythm,
    /// The threshold in use.
    pub threshold: f64,
    /// The engine's kernels.
    pub isa: &'static str,
    /// Every frame.
    pub seen: Vec<Seen>,
    /// Everything that the line did.
    pub notes: Vec<Note>,
    /// The chip with its edges.
    pub chip: SimChip,
    /// The station's account.
    pub ended: Ended,
    /// How long the inspection took.
    pub seconds: f64,
}

/// Who is told how far it is.
pub trait Audience {
    /// Teaching goes on.
    fn teaching(&mut self, progress: Progress<'_>);
    /// Inspection goes on.
    fn inspected(&mut self, parts: u64);
}

/// Renders, teaches, inspects.
pub fn run(show: Show, audience: &mut dyn Audience) -> Result<Run, Error> {
    let began = clock::now();
    let taught = teach(&show, audience)?;
    let teach_seconds = (clock::now() - began).as_secs_f64();
    let mut model = load(&taught, show.threads)?;
    let inspected =
        SyntheticConfig { first_part: show.good, parts: Some(show.parts), ..conveyor(&show, show.defect_rate) };
    let rhythm = choose_rhythm(&mut model, &inspected)?;
    let (threshold, isa) = (open::threshold_of(&model, Limit::Own)?, model.session().isa().name());
    let (station, chip) = station(&inspected, model, &rhythm)?;
    let mut recorder = Recorder { seen: Vec::with_capacity(show.parts as usize), notes: Vec::new(), audience };
    let began = clock::now();
    let ended = station.run(&mut recorder)?;
    let seconds = (clock::now() - began).as_secs_f64();
    let Recorder { seen, notes, .. } = recorder;
    Ok(Run { show, taught, teach_seconds, rhythm, threshold, isa, seen, notes, chip, ended, seconds })
}

/// The conveyor with this share of defects, as fast as it is asked.
fn conveyor(show: &Show, defect_rate: f64) -> SyntheticConfig {
    SyntheticConfig { seed: show.seed, defect_rate, ..SyntheticConfig::default() }
}

fn teach(show: &Show, audience: &mut dyn Audience) -> Result<Taught, Error> {
    let mut source = jidoka_capture::open(&SourceConfig::Synthetic(conveyor(show, 0.0)))?;
    let images = (0..show.good).map(|_| image(source.as_mut())).collect::<Result<Vec<_>, _>>()?;
    let options = Options {
        false_reject: show.false_reject,
        seed: show.seed,
        threads: show.threads,
        roi: Some(ROI),
        size: Size::Fixed(SIDE, SIDE),
        bank: BANK,
        ..Options::default()
    };
    Ok(teach::teach(&mut Frames::new(images), &options, &mut |progress| audience.teaching(progress))?)
}

/// The next frame of a rendered conveyor as an image.
pub fn image(source: &mut dyn FrameSource) -> Result<Image, Error> {
    let name = source.describe();
    let frame = source.next(Duration::ZERO).map_err(|fault| Error::Camera { name, fault })?;
    let view = frame.view();
    Ok(Image { width: view.width, height: view.height, format: view.format, data: view.data.to_vec() })
}

/// Loads the taught model as if from a file, golden check included.
pub fn load(taught: &Taught, threads: usize) -> Result<InspectionModel, Error> {
    let engine = jidoka_engine::Options { threads, ..jidoka_engine::Options::default() };
    let options = LoadOptions { engine, ..LoadOptions::default() };
    Ok(InspectionModel::from_bytes("the demo's model", &taught.onnx, &options)?)
}

/// Times a few parts and lets the belt run so fast that this machine just keeps up, with the ejector so far downstream
/// that even a part that took eight times as long is judged before it gets there.
fn choose_rhythm(model: &mut InspectionModel, config: &SyntheticConfig) -> Result<Rhythm, Error> {
    const TRIALS: usize = 9;
    // As many parts as are timed, however few are to be inspected.
    let endless = SyntheticConfig { parts: None, ..config.clone() };
    let mut source = jidoka_capture::open(&SourceConfig::Synthetic(endless))?;
    let mut preparer = Preparer::new(&open::spec(model, source.geometry(), Some(ROI)))?;
    let mut times = [Duration::ZERO; TRIALS];
    for time in &mut times {
        let began = clock::now();
        let image = image(source.as_mut())?;
        let name = model.name().to_owned();
        inspect::prepare(&mut preparer, &image.view(), model)
            .map_err(|error| jidoka_models::Error::Frame { name: name.clone(), error })?;
        model.score().map_err(|error| jidoka_models::Error::Run { name, error })?;
        *time = clock::now() - began;
    }
    times.sort_unstable();
    let median = times[TRIALS / 2];
    let interval = (median * 5 / 4).max(Duration::from_millis(25));
    Ok(Rhythm { interval, delay: (median * 8).max(Duration::from_millis(400)), pulse: interval * 2 / 5 })
}

fn station(config: &SyntheticConfig, model: InspectionModel, rhythm: &Rhythm) -> Result<(Station, SimChip), Error> {
    let paced = SyntheticConfig { fps: Some(1.0 / rhythm.interval.as_secs_f64()), ..config.clone() };
    let source = jidoka_capture::open(&SourceConfig::Synthetic(paced))?;
    // Parts are never nearer than the interval; the rest of the sum is room for a thread that is woken late.
    let timing = RejectTiming {
        least_pulse: Span::from_duration(rhythm.pulse / 2),
        ..RejectTiming::new(
            Span::from_duration(rhythm.delay),
            Span::from_duration(rhythm.pulse),
            Span::from_duration(rhythm.interval * 9 / 10),
        )
    };
    let slot = timing.check().map_err(|errors| Error::Usage(format!("the demo's timing: {errors}")))?;
    let reject = Reject {
        slot,
        sums: crate::config::Sums::Time(timing),
        delay_us: timing.delay.as_micros(),
        pulse_us: timing.pulse.as_micros(),
        pitch_us: timing.pitch.as_micros(),
        alarm_after: 0,
        confirm: false,
        longest_on_us: None,
    };
    let wires: Vec<WireChoice> = SIGNALS
        .iter()
        .map(|(signal, _)| WireChoice { signal, address: (*signal).to_owned(), ..WireChoice::default() })
        .collect();
    let names: Vec<&str> = SIGNALS.iter().map(|(signal, _)| *signal).collect();
    let chip = open::sim_chip(&names);
    let (outputs, trip) = open::outputs(&Gpio::simulated(std::slice::from_ref(&chip)), &wires)?;
    let judge = open::judge(&model, Limit::Own)?;
    let station = Station {
        view: View::new(Preparer::new(&open::spec(&model, source.geometry(), Some(ROI)))?, model, judge),
        more_views: Vec::new(),
        source,
        reopen: None,
        sight: Arc::default(),
        framing: inspect::Framing::Every,
        field: Field::none(),
        changer: None,
        watchdog: None,
        blackbox: None,
        line: open::line(&reject, rhythm.delay.max(Duration::from_secs(2))),
        outputs,
        trip,
        realtime: Wish { lock_memory: true, ..Wish::default() },
        stop_on_allocation: false,
        limit_frames: None,
        limit: None,
    };
    Ok((station, chip))
}

/// Keeps every record.
struct Recorder<'a> {
    seen: Vec<Seen>,
    notes: Vec<Note>,
    audience: &'a mut dyn Audience,
}

impl Sink for Recorder<'_> {
    fn seen(&mut self, seen: &Seen) {
        self.seen.push(*seen);
        self.audience.inspected(self.seen.len() as u64);
    }

    fn note(&mut self, note: &Note) {
        self.notes.push(*note);
    }
}
