//! The loop: frame, prepare, engine, verdict.
//!
//! One thread runs it and nothing else. After the warm-up it is sealed: see [`alloc`](crate::alloc).

use std::sync::Arc;
use std::time::Duration;

use heapless::spsc::Producer;
use jidoka_capture::{FrameFault, FrameMeta, FrameSource, FrameView, Geometry, Lease, SourceConfig, SourceStats};
use jidoka_line::policy::{MapView, Policy};
use jidoka_line::{Judgement, LineEvent, Micros, ModelDigest, Part, PartId, RecipeId, Score, Subject, Verdict, Why};
use jidoka_models::{InspectionModel, Outcome};
use jidoka_prepare::Preparer;

use super::record::{Laps, Seen};
use super::stop::{Reason, Stop};
use crate::alloc::{self, Counts, Stage};
use crate::os::wake::Bell;
use crate::os::{clock, faults};
use crate::stats::Times;

/// Frames before the seal: a driver's first frame and an engine's first run may still take memory.
const WARM_UP_FRAMES: u64 = 3;
/// How long one wait for a frame lasts at most, so that a request to stop is seen.
const PATIENCE: Duration = Duration::from_millis(100);
/// Most lost frames that are made up for as parts of their own; a longer gap is a stream that began anew.
const MOST_LOST: u32 = 32;

/// Everything that the loop needs, taken at start.
pub struct Inspector<'q> {
    /// Where frames come from.
    pub source: Box<dyn FrameSource>,
    /// How to open it again after it has gone.
    pub reopen: Option<SourceConfig>,
    /// Whether every frame shows a part, so that a lost frame is a part without verdict.
    pub every_frame_is_a_part: bool,
    /// Frame to engine input.
    pub preparer: Preparer,
    /// The engine and what its outputs mean.
    pub model: InspectionModel,
    /// Scores to verdicts.
    pub judge: Judge,
    /// To the actuator.
    pub line: LineDesk<'q>,
    /// To the scribe.
    pub seen: Producer<'q, Seen>,
    /// When to end.
    pub stop: Arc<Stop>,
    /// Whether an allocation under the seal is a reason to stop.
    pub stop_on_allocation: bool,
    /// After how many frames to end; `None` for no end.
    pub limit_frames: Option<u64>,
}

/// The loop's end of the queue to the actuator. A full queue loses the event, and the line rejects the part for lack of it.
pub struct LineDesk<'q> {
    /// The queue.
    pub events: Producer<'q, LineEvent>,
    /// Wakes the actuator.
    pub bell: Arc<Bell>,
}

impl LineDesk<'_> {
    fn tell(&mut self, event: LineEvent) {
        // Nothing to do about a full queue here: the line counts the gap, and a part without verdict is rejected.
        let _ = self.events.enqueue(event);
        self.bell.ring();
    }
}

/// Who judges, and in whose name.
pub struct Judge {
    /// Scores and maps to judgements.
    pub policy: Policy,
    /// First bytes of the model's digest.
    pub model: ModelDigest,
    /// The recipe.
    pub recipe: RecipeId,
}

/// What the loop leaves behind.
pub struct Inspected {
    /// Frames that were judged.
    pub frames: u64,
    /// Frames of those that were judged under the seal.
    pub sealed_frames: u64,
    /// Page faults of the thread under the seal.
    pub page_faults: u64,
    /// Waiting for a frame.
    pub wait: Times,
    /// Frame to engine input.
    pub prepare: Times,
    /// The network.
    pub infer: Times,
    /// Judging and handing over.
    pub judge: Times,
    /// From the driver's timestamp to the verdict.
    pub total: Times,
    /// The source's own account.
    pub source: SourceStats,
    /// Times that the source went away and came back.
    pub reopened: u64,
    /// Records that found the scribe's queue full.
    pub records_lost: u64,
}

/// What the loop carries from frame to frame.
struct Progress {
    inspected: Inspected,
    next_part: PartId,
    last: Option<FrameMeta>,
    sealed_at_faults: u64,
    allocations: Counts,
}

impl Inspector<'_> {
    /// Inspects until the source ends, the limit is reached, or a stop is requested.
    pub fn run(mut self) -> Inspected {
        let mut progress = Progress {
            inspected: empty(),
            next_part: PartId(1),
            last: None,
            sealed_at_faults: 0,
            allocations: Counts::now(),
        };
        while self.stop.reason().is_none() {
            match self.step(&mut progress) {
                Ok(()) => self.after_frame(&mut progress),
                Err(FrameFault::TimedOut { .. }) => {} // the line's own deadline raises the alarm
                Err(FrameFault::EndOfStream) => self.stop.request(Reason::Done),
                Err(fault) if fault.is_passing() => self.damaged(&mut progress),
                Err(_) => self.recover(&mut progress),
            }
        }
        if progress.inspected.sealed_frames > 0 {
            progress.inspected.page_faults = faults::of_this_thread() - progress.sealed_at_faults;
        }
        alloc::unseal();
        progress.inspected.source = self.source.stats();
        progress.inspected
    }

    /// One part, from its frame to its verdict.
    fn step(&mut self, progress: &mut Progress) -> Result<(), FrameFault> {
        alloc::enter(Stage::Capture);
        let idle = clock::now();
        let frame = self.source.next(PATIENCE)?;
        let arrived = clock::now();
        let meta = *frame.meta();
        if self.every_frame_is_a_part {
            progress.make_up_for_lost(&meta, &mut self.line);
        }
        let part = progress.part_at(meta.captured_at);
        self.line.tell(LineEvent::FrameArrived { captured_at: part.captured_at });
        self.line.tell(LineEvent::Triggered(part));

        alloc::enter(Stage::Prepare);
        let fits = prepare(&mut self.preparer, &frame.view(), &mut self.model).is_ok();
        drop(frame); // the driver gets its buffer back before the long part
        let prepared = clock::now();

        alloc::enter(Stage::Infer);
        let outcome = if fits { self.model.score().map_err(|_| Why::Engine) } else { Err(Why::BadFrame) };
        let inferred = clock::now();

        alloc::enter(Stage::Judge);
        let (judgement, why, score) = self.judge.judge(outcome);
        self.line.tell(LineEvent::Judged(self.judge.verdict(part, judgement, why, score, &meta)));
        let told = clock::now();

        alloc::enter(Stage::HandOver);
        let laps = Laps {
            prepare: prepared - arrived,
            infer: inferred - prepared,
            judge: told - inferred,
            total: told.saturating_sub(meta.captured_at),
        };
        progress.inspected.add(arrived - idle, &laps);
        let seen = Seen { part, sequence: meta.sequence, truth: meta.truth, score, judgement, why, laps };
        progress.inspected.records_lost += u64::from(self.seen.enqueue(seen).is_err());
        progress.last = Some(meta);
        Ok(())
    }

    /// Seals after the warm-up, watches the seal, counts to the limit.
    fn after_frame(&mut self, progress: &mut Progress) {
        let frames = progress.inspected.frames;
        if frames == WARM_UP_FRAMES {
            progress.sealed_at_faults = faults::of_this_thread();
            progress.allocations = Counts::now();
            alloc::seal(Stage::Capture);
        } else if frames > WARM_UP_FRAMES {
            progress.inspected.sealed_frames += 1;
            if self.stop_on_allocation && Counts::now() != progress.allocations {
                self.stop.request(Reason::Allocation);
            }
        }
        if self.limit_frames.is_some_and(|limit| frames >= limit) {
            self.stop.request(Reason::Done);
        }
    }

    /// A frame that cannot be used still shows a part, which nobody has looked at.
    fn damaged(&mut self, progress: &mut Progress) {
        if self.every_frame_is_a_part {
            let meta = FrameMeta { captured_at: clock::now(), ..progress.last.unwrap_or_default() };
            let part = progress.part_at(meta.captured_at);
            self.line.tell(LineEvent::Triggered(part));
            let verdict = self.judge.verdict(part, Judgement::Missed, Why::BadFrame, f32::NAN, &meta);
            self.line.tell(LineEvent::Judged(verdict));
        }
    }

    /// The source has gone: opens it again, with growing pauses, until it is back or the station ends. Meanwhile the
    /// line's deadline for frames holds the outputs; the seal is lifted, because opening a device takes memory.
    fn recover(&mut self, progress: &mut Progress) {
        let Some(config) = self.reopen.clone() else {
            self.stop.request(Reason::System);
            return;
        };
        let sealed = progress.inspected.frames >= WARM_UP_FRAMES;
        alloc::unseal();
        let geometry = self.source.geometry();
        let before = self.source.stats();
        // The old one is closed first: it may hold the device that is to be opened.
        self.source = Box::new(NoSource { geometry, stats: before });
        let mut pause = Duration::from_millis(100);
        while self.stop.reason().is_none() {
            let until = clock::now() + pause;
            while clock::now() < until && self.stop.reason().is_none() {
                std::thread::sleep(PATIENCE.min(pause));
            }
            pause = (pause * 2).min(Duration::from_secs(5));
            if let Ok(source) = jidoka_capture::open(&config)
                && source.geometry() == geometry
            {
                self.source = source;
                progress.inspected.reopened += 1;
                progress.last = None; // a new stream: its numbers say nothing about the old one's
                break;
            }
        }
        if sealed {
            progress.sealed_at_faults = faults::of_this_thread();
            alloc::seal(Stage::Capture);
        }
    }
}

/// Writes the frame into the engine's input, whichever type that has.
pub fn prepare(
    preparer: &mut Preparer,
    frame: &FrameView<'_>,
    model: &mut InspectionModel,
) -> Result<(), jidoka_prepare::FrameError> {
    if let Some(input) = model.input_f32() {
        return preparer.write_f32(frame, input);
    }
    // An inspection model's input is one or the other; it was checked at load.
    preparer.write_u8(frame, model.input_u8().unwrap_or_default())
}

impl Judge {
    /// What the model's answer means; where there is none, the part was not inspected.
    fn judge(&mut self, outcome: Result<Outcome<'_>, Why>) -> (Judgement, Why, f32) {
        match outcome {
            Err(why) => (Judgement::Missed, why, f32::NAN),
            Ok(outcome) => {
                let map = outcome.map.map(|map| MapView { values: map.values, width: map.width as u32 });
                let (judgement, why) = self.policy.judge(Score(outcome.score), map);
                (judgement, why, outcome.score)
            }
        }
    }

    fn verdict(&self, part: Part, judgement: Judgement, why: Why, score: f32, meta: &FrameMeta) -> Verdict {
        Verdict {
            subject: Subject::Part(part),
            judgement,
            why,
            score: Score(score),
            sequence: meta.sequence,
            model: self.model,
            recipe: self.recipe,
            captured_at: part.captured_at,
            decided_at: Micros::from_duration(clock::now()),
        }
    }
}

impl Progress {
    fn part_at(&mut self, captured_at: Duration) -> Part {
        let part = Part::new(self.next_part, Micros::from_duration(captured_at));
        self.next_part = self.next_part.next();
        part
    }

    /// The driver numbered frames that it never gave: each showed a part, which is triggered at the time it must have been
    /// there and gets no verdict, so that the line rejects it.
    fn make_up_for_lost(&mut self, meta: &FrameMeta, line: &mut LineDesk<'_>) {
        let Some(last) = self.last else { return };
        let step = meta.sequence.wrapping_sub(last.sequence);
        if !(2..=MOST_LOST).contains(&step) {
            return; // the next one, or a stream that began anew (some cameras count from 0 after a replug)
        }
        let span = meta.captured_at.saturating_sub(last.captured_at);
        for lost in 1..step {
            let part = self.part_at(last.captured_at + span * lost / step);
            line.tell(LineEvent::Triggered(part));
        }
    }
}

impl Inspected {
    fn add(&mut self, wait: Duration, laps: &Laps) {
        self.frames += 1;
        self.wait.add(wait);
        self.prepare.add(laps.prepare);
        self.infer.add(laps.infer);
        self.judge.add(laps.judge);
        self.total.add(laps.total);
    }
}

/// Stands where the source was while it is away.
struct NoSource {
    geometry: Geometry,
    stats: SourceStats,
}

impl FrameSource for NoSource {
    fn geometry(&self) -> Geometry {
        self.geometry
    }

    fn next(&mut self, _: Duration) -> Result<Lease<'_>, FrameFault> {
        Err(FrameFault::Gone)
    }

    fn stats(&self) -> SourceStats {
        self.stats
    }

    fn describe(&self) -> String {
        "the camera is away".into()
    }
}

fn empty() -> Inspected {
    Inspected {
        frames: 0,
        sealed_frames: 0,
        page_faults: 0,
        wait: Times::new(),
        prepare: Times::new(),
        infer: Times::new(),
        judge: Times::new(),
        total: Times::new(),
        source: SourceStats::default(),
        reopened: 0,
        records_lost: 0,
    }
}
