//! The machine around a station: sensor, encoder, buttons, select lines and a watchdog, on a chip in memory; the station is
//! opened from a configuration as `jidoka run` opens it.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::config::Config;
use crate::station::control;

/// What happens next around the station.
#[derive(Clone, Copy)]
pub(super) enum World {
    /// A part covers the sensor and is exposed 2 ms later; it is this bright.
    Part(u8),
    /// A frame in which no part is.
    Empty,
    /// A frame of this brightness, taken now.
    Frame(u8),
    /// A frame of this brightness, taken when the encoder moved last.
    FrameAtEdge(u8),
    /// The driver numbers so many frames that it does not give.
    Lose(u32),
    /// The camera gives nothing so many times.
    Silent(u32),
    /// A line is driven.
    Set(&'static str, bool),
    /// The belt advances by so many quarter cycles of the encoder, one in 2 ms.
    Belt(u32),
    /// The same backwards.
    Back(u32),
    /// The same forwards, as fast as the wire takes it.
    Burst(u32),
    Wait(u64),
    /// Waits until an output has gone to this level.
    Await(&'static str, bool),
    /// Parts of this brightness, 70 ms apart, until an output has moved.
    PartsUntil(&'static str, u8),
    /// Parts of this brightness, 70 ms apart, until so many answers have come.
    PartsUntilAnswered(usize, u8),
    /// Frames of this brightness, 70 ms apart, until so many answers have come.
    FramesUntilAnswered(usize, u8),
    /// The camera gives nothing until the watchdog has been fed.
    SilentUntilFed,
    /// Parts of this brightness until the watchdog has been fed.
    PartsUntilFed(u8),
    /// The loop hangs, for as long as the scribe takes to look for the watchdog many times; with a part that it owes a verdict
    /// where that is asked for.
    Hang {
        owing: bool,
    },
    /// Asks through the control socket, from a program of its own.
    Ask(&'static str),
    /// The same, and waits for the answer.
    Tell(&'static str),
}

use World::{Ask, Await, Belt, Empty, Part, PartsUntil, PartsUntilAnswered, Set, Tell, Wait};

/// Side of the camera's frames: the smallest that the configuration's own source renders.
const FRAME_SIDE: usize = 64;
pub(super) const GOOD_GREY: u8 = 20;
pub(super) const BAD_GREY: u8 = 250;
/// How often the scribe takes a rest while the loop hangs; a fed watchdog would have been fed many times.
const RESTS: u64 = 40;

/// The camera; what happens around it happens while it is asked for a frame.
struct Stage {
    steps: std::collections::VecDeque<World>,
    chip: SimChip,
    socket: PathBuf,
    pixels: Vec<u8>,
    sequence: u32,
    phase: u32,
    answers: Arc<std::sync::Mutex<Vec<String>>>,
    dog: Dog,
}

/// What a watchdog was fed, as the camera sees it.
#[derive(Clone, Default)]
struct Dog {
    /// The file that stands for its device.
    meals: PathBuf,
    /// How often the scribe took a rest; it looks for the watchdog after each.
    rests: Arc<AtomicU64>,
    /// Meals while the loop hung.
    fed_hanging: Arc<AtomicU64>,
    /// Meals when a step began that waits for the next one.
    before: Option<usize>,
}

impl Dog {
    fn meals(&self) -> usize {
        std::fs::read(&self.meals).map_or(0, |meals| meals.len())
    }

    /// Whether it has been fed since this was asked first.
    fn is_fed(&mut self) -> bool {
        let meals = self.meals();
        let fed = meals > *self.before.get_or_insert(meals);
        self.before = self.before.filter(|_| !fed);
        fed
    }

    fn rest(&self, count: u64) {
        let until = self.rests.load(Ordering::Relaxed) + count;
        while self.rests.load(Ordering::Relaxed) < until {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn hang(&self) {
        // What was done before the hang is fed for once more.
        self.rest(RESTS);
        let before = self.meals();
        self.rest(RESTS);
        self.fed_hanging.fetch_add((self.meals() - before) as u64, Ordering::Relaxed);
    }
}

/// Takes the notes, and counts the scribe's rests.
struct Resting {
    notes: Notes,
    rests: Arc<AtomicU64>,
}

impl Sink for Resting {
    fn seen(&mut self, seen: &Seen) {
        self.notes.seen(seen);
    }

    fn note(&mut self, note: &Note) {
        self.notes.note(note);
    }

    fn rest(&mut self) {
        self.rests.fetch_add(1, Ordering::Relaxed);
    }
}

impl Stage {
    fn drive(&self, line: &str, active: bool) {
        assert!(self.chip.drive(line, PinState::from(active)), "no line {line}");
    }

    /// Covers the sensor for 3 ms; the exposure is 2 ms after the edge, however busy the machine is.
    fn part(&self, grey: u8) -> (u8, Duration) {
        self.drive("sensor", true);
        let edge = self.chip.edges_of("sensor").last().expect("just driven").at;
        std::thread::sleep(Duration::from_millis(3));
        self.drive("sensor", false);
        (grey, edge + Duration::from_millis(2))
    }

    /// Another part, and then this step again.
    fn again(&mut self, step: World, grey: u8) -> (u8, Duration) {
        self.steps.push_front(step);
        self.steps.push_front(Wait(70));
        self.part(grey)
    }

    /// Turns the encoder by one quarter cycle.
    fn turn(&mut self, forwards: bool) {
        // Forwards the channel changes that belongs to the new phase, backwards the one that belonged to the old.
        let phase = if forwards { self.phase + 1 } else { self.phase };
        let (line, active) = match phase % 4 {
            1 => ("encoder_a", true),
            2 => ("encoder_b", true),
            3 => ("encoder_a", false),
            _ => ("encoder_b", false),
        };
        self.drive(line, active == forwards);
        self.phase = if forwards { self.phase + 1 } else { self.phase - 1 };
    }

    fn last_turn(&self) -> Duration {
        let edges = ["encoder_a", "encoder_b"].map(|line| self.chip.edges_of(line));
        edges.iter().filter_map(|edges| edges.last()).map(|edge| edge.at).max().expect("the belt has moved")
    }

    /// Does what comes before the next frame; the frame's brightness and time, or nothing when all is done.
    fn act(&mut self) -> Result<(u8, Duration), FrameFault> {
        while let Some(step) = self.steps.pop_front() {
            match step {
                Part(grey) => return Ok(self.part(grey)),
                PartsUntil(line, grey) if self.chip.edges_of(line).is_empty() => return Ok(self.again(step, grey)),
                PartsUntilAnswered(count, grey) if self.answers.lock().expect("no panic").len() < count => {
                    return Ok(self.again(step, grey));
                }
                World::PartsUntilFed(grey) if !self.dog.is_fed() => return Ok(self.again(step, grey)),
                World::FramesUntilAnswered(count, grey) if self.answers.lock().expect("no panic").len() < count => {
                    self.steps.push_front(step);
                    self.steps.push_front(Wait(70));
                    return Ok((grey, clock::now()));
                }
                World::FramesUntilAnswered(..) | PartsUntil(..) | PartsUntilAnswered(..) | World::PartsUntilFed(_) => {}
                Empty => return Ok((BAD_GREY, clock::now())),
                World::Frame(grey) => return Ok((grey, clock::now())),
                World::FrameAtEdge(grey) => return Ok((grey, self.last_turn())),
                World::Lose(frames) => self.sequence += frames,
                World::Silent(turns) if turns > 0 => {
                    self.steps.push_front(World::Silent(turns - 1));
                    return Err(SILENCE);
                }
                World::SilentUntilFed if !self.dog.is_fed() => {
                    self.steps.push_front(step);
                    std::thread::sleep(Duration::from_millis(5));
                    return Err(SILENCE);
                }
                World::Silent(_) | World::SilentUntilFed => {}
                World::Hang { owing } => {
                    if owing {
                        let _ = self.part(GOOD_GREY);
                    }
                    self.dog.hang();
                }
                Set(line, active) => self.drive(line, active),
                Belt(steps) | World::Back(steps) => {
                    for _ in 0..steps {
                        self.turn(matches!(step, Belt(_)));
                        std::thread::sleep(Duration::from_millis(2));
                    }
                }
                World::Burst(steps) => (0..steps).for_each(|_| self.turn(true)),
                Wait(ms) => std::thread::sleep(Duration::from_millis(ms)),
                Await(line, active) => {
                    let began = clock::now();
                    let been = |edge: &jidoka_pins::SimEdge| edge.level == PinState::from(active);
                    while !self.chip.edges_of(line).iter().any(been) {
                        assert!(clock::now() < began + Duration::from_secs(120), "{line} never goes {active}");
                        std::thread::sleep(Duration::from_millis(1));
                    }
                }
                Ask(line) => {
                    let (socket, answers) = (self.socket.clone(), Arc::clone(&self.answers));
                    std::thread::spawn(move || answer(&socket, line, &answers));
                }
                Tell(line) => answer(&self.socket, line, &self.answers),
            }
        }
        Err(FrameFault::EndOfStream)
    }
}

fn answer(socket: &std::path::Path, line: &str, answers: &std::sync::Mutex<Vec<String>>) {
    let answer = control::ask(socket, line).map_or_else(|error| error.to_string(), |answer| answer.to_string());
    answers.lock().expect("no panic").push(answer);
}

const SILENCE: FrameFault = FrameFault::TimedOut { waited: Duration::ZERO };
/// The time-out of the watchdog: fed three times as often.
const WATCHDOG: Duration = Duration::from_millis(90);

impl FrameSource for Stage {
    fn geometry(&self) -> Geometry {
        Geometry::new(FRAME_SIDE as u32, FRAME_SIDE as u32, PixelFormat::Grey)
    }

    fn next(&mut self, _: Duration) -> Result<Lease<'_>, FrameFault> {
        let (grey, captured_at) = self.act()?;
        self.pixels.fill(grey);
        let meta = FrameMeta { sequence: self.sequence, captured_at, part: None, truth: None };
        self.sequence += 1;
        Ok(Lease::new(FrameView::packed(&self.pixels, FRAME_SIDE as u32, FRAME_SIDE as u32, PixelFormat::Grey), meta))
    }

    fn stats(&self) -> SourceStats {
        SourceStats::default()
    }

    fn describe(&self) -> String {
        "a stage".into()
    }
}

const FILE: &str = r#"
[station]
control = "@/control.sock"
blackbox = "@/black.box"
blackbox_records = 64

[camera]
source = "synthetic"
width = 64
height = 64
format = "GREY"
timeout_ms = 60000

[model]
path = "m.onnx"
threshold = 0.5

[inputs]
sensor = "sensor"
debounce_ms = 1

[trigger]
source = "sensor"
debounce_ms = 0.5

[reject]
delay_ms = 700
pulse_ms = 20
pitch_ms = 60

[outputs]
backend = "sim"
"#;

/// How it went.
pub(super) struct Told {
    pub(super) run: Outcomes,
    pub(super) notes: Vec<Note>,
    pub(super) answers: Vec<String>,
    pub(super) blackbox: Vec<u8>,
    /// What the watchdog was fed, byte by byte, and how often while the loop hung.
    pub(super) meals: (Vec<u8>, u64),
}

impl Told {
    /// Whether this alarm was raised.
    pub(super) fn raised(&self, alarm: jidoka_line::Alarm) -> bool {
        self.notes.iter().any(|note| note.what == What::Raised(alarm))
    }
}

/// Runs a station of `FILE` with these replacements through these steps.
pub(super) fn check(changes: &[(&str, &str)], steps: &[World]) -> Told {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("m.onnx"), brightest()).expect("writes");
    let mut text = FILE.to_owned();
    for (from, to) in changes {
        assert!(text.contains(from), "{from}");
        text = text.replacen(from, to, 1);
    }
    let text = text.replace('@', &folder.path().display().to_string());
    let file = folder.path().join("s.toml").display().to_string();
    let config = Config::parse(&file, &text).unwrap_or_else(|refused| panic!("{refused}"));
    let open::Opened { mut station, chip, .. } = open::station(&config).unwrap_or_else(|error| panic!("{error}"));
    let chip = chip.expect("a chip in memory");
    let answers = Arc::default();
    let dog = Dog { meals: folder.path().join("watchdog"), ..Dog::default() };
    station.watchdog = Some(Watchdog::recording(&dog.meals, WATCHDOG).expect("a file"));
    station.source = Box::new(Stage {
        steps: steps.iter().copied().collect(),
        chip: chip.clone(),
        socket: folder.path().join("control.sock"),
        pixels: vec![0; FRAME_SIDE * FRAME_SIDE],
        sequence: 0,
        phase: 0,
        answers: Arc::clone(&answers),
        dog: dog.clone(),
    });
    let bell = Arc::new(Bell::new().expect("eventfd"));
    let stop = Stop::new(Arc::clone(&bell));
    let mut sink = Resting { notes: Notes::default(), rests: Arc::clone(&dog.rests) };
    let ended = station.run_until(&stop, &bell, &mut sink).expect("threads start");
    let notes = sink.notes;
    assert_eq!(ended.reason, Reason::Done);
    // What the stage itself allocates counts as the camera's.
    for stage in [crate::alloc::Stage::Actuate, crate::alloc::Stage::Infer, crate::alloc::Stage::HandOver] {
        assert_eq!(ended.allocations.in_stage(stage), 0, "{:?}", ended.allocations.describe());
    }
    let left = notes.notes.iter().filter_map(|note| match note.what {
        What::Left(left) => Some((left.outcome, left.why)),
        _ => None,
    });
    let run = Outcomes { ended, left: left.collect(), chip, seen: notes.seen.len() };
    let answers = answers.lock().expect("no panic").clone();
    let blackbox = std::fs::read(folder.path().join("black.box")).expect("a black box");
    let meals = (std::fs::read(&dog.meals).expect("a file"), dog.fed_hanging.load(Ordering::Relaxed));
    Told { run, notes: notes.notes, answers, blackbox, meals }
}

/// Parts as the line met them, 70 ms apart.
pub(super) fn belt(greys: &[u8]) -> Vec<World> {
    greys.iter().flat_map(|grey| [Part(*grey), Wait(70)]).collect()
}
