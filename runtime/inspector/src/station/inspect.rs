//! The loop: frame, prepare, engine, verdict.
//!
//! One thread runs it and nothing else. After the warm-up it is sealed: see [`alloc`](crate::alloc).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use heapless::spsc::Producer;
use jidoka_capture::{
    Attempt, FrameFault, FrameMeta, FrameSource, FrameView, Geometry, Lease, Reopen, SourceConfig, SourceStats,
};
use jidoka_line::policy::{MapView, Policy};
use jidoka_line::{
    Judgement, LineEvent, Matching, Micros, ModelDigest, Part, PartId, RecipeId, Score, Subject, Verdict, Why,
};
use jidoka_models::{InspectionModel, Outcome};
use jidoka_prepare::Preparer;

use super::expected::{Expected, Wanted};
use super::recipes::{Active, Wardrobe};
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
    /// Which frames show a part.
    pub framing: Framing,
    /// How a frame's time may be off.
    pub matching: Matching,
    /// What judges, and what comes instead of it.
    pub wardrobe: Wardrobe<'q>,
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

/// Which frames show a part.
#[derive(Clone)]
pub enum Framing {
    /// Every one, at a steady pace: a frame that the driver lost is a part without verdict.
    Every,
    /// Every one, when the camera was triggered: when a lost one was taken is not known, so that its part cannot be tracked.
    Triggered,
    /// The latest, when there is time to look; those between show nothing that counts.
    Latest,
    /// Those that were taken when a part was in view that was triggered outside the camera.
    Outside(Arc<Expected>),
}

/// The loop's end of the queue to the actuator. A full queue loses the event, and the line rejects the part for lack of it.
pub struct LineDesk<'q> {
    /// The queue.
    pub events: Producer<'q, LineEvent>,
    /// Wakes the actuator.
    pub bell: Arc<Bell>,
    /// Counts on while there is no frame to judge.
    pub lives: Arc<AtomicU64>,
}

impl LineDesk<'_> {
    /// The loop lives, and has nothing to judge.
    fn idle(&self) {
        self.lives.fetch_add(1, Ordering::Relaxed);
        self.bell.ring();
    }

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
    /// Frames in which no part was in view.
    pub empty_frames: u64,
    /// Frames whose timestamp cannot be right.
    pub implausible: u64,
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
                Ok(true) => self.after_frame(&mut progress),
                // Silence is for the line's own deadline to judge.
                Ok(false) | Err(FrameFault::TimedOut { .. }) => self.line.idle(),
                Err(FrameFault::EndOfStream) => self.stop.request(Reason::Done),
                Err(fault) if fault.is_passing() => self.damaged(&mut progress),
                Err(_) => self.recover(&mut progress),
            }
        }
        if progress.inspected.sealed_frames > 0 {
            progress.inspected.page_faults = faults::of_this_thread() - progress.sealed_at_faults;
        }
        alloc::unseal();
        progress.inspected.source = progress.inspected.source.and(self.source.stats());
        progress.inspected
    }

    /// One part, from its frame to its verdict; false where the frame shows none.
    fn step(&mut self, progress: &mut Progress) -> Result<bool, FrameFault> {
        alloc::enter(Stage::Capture);
        let idle = clock::now();
        if let Some(recipe) = self.wardrobe.look(idle) {
            self.line.tell(LineEvent::Recipe(recipe));
        }
        let frame = self.source.next(PATIENCE)?;
        let arrived = clock::now();
        let meta = *frame.meta();
        let (captured_at, arrived_at) = (Micros::from_duration(meta.captured_at), Micros::from_duration(arrived));
        if matches!(self.framing, Framing::Outside(_)) && !self.matching.is_plausible(captured_at, arrived_at) {
            progress.inspected.implausible += 1;
            return Ok(false);
        }
        let Some((part, subject, active)) = progress.aim(&self.framing, &meta, &mut self.line, &mut self.wardrobe)
        else {
            progress.inspected.empty_frames += 1;
            return Ok(false);
        };
        if let Subject::Part(part) = subject {
            self.line.tell(LineEvent::Triggered(part));
        }
        self.line.tell(LineEvent::FrameArrived { captured_at });

        alloc::enter(Stage::Prepare);
        let sees = active.sees;
        let Active { preparer, model, judge, .. } = active.active;
        let fits = prepare(preparer, &frame.view(), model).is_ok();
        drop(frame); // the driver gets its buffer back before the long part
        let prepared = clock::now();

        alloc::enter(Stage::Infer);
        let outcome = match (sees, fits) {
            (false, _) => Err(Why::Held),
            (true, false) => Err(Why::BadFrame),
            (true, true) => model.score().map_err(|_| Why::Engine),
        };
        let inferred = clock::now();

        alloc::enter(Stage::Judge);
        let (judgement, why, score) = judge.judge(outcome);
        self.line.tell(LineEvent::Judged(judge.verdict(subject, judgement, why, score, &meta)));
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
        Ok(true)
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
        if matches!(self.framing, Framing::Every | Framing::Triggered) {
            let meta = FrameMeta { captured_at: clock::now(), ..progress.last.unwrap_or_default() };
            let part = progress.part_at(meta.captured_at);
            self.line.tell(LineEvent::Triggered(part));
            let judge = &self.wardrobe.current().judge;
            let verdict = judge.verdict(Subject::Part(part), Judgement::Missed, Why::BadFrame, f32::NAN, &meta);
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
        progress.inspected.source = progress.inspected.source.and(self.source.stats());
        // The old one is closed first: it may hold the device that is to be opened.
        self.source = Box::new(NoSource { geometry });
        // By its lasting name: the node may have another number when it is back.
        let mut reopen = Reopen::of(&config);
        reopen.begin(clock::now());
        while self.stop.reason().is_none() {
            match reopen.attempt(clock::now(), geometry) {
                Attempt::Back(source) => {
                    self.source = source;
                    progress.inspected.reopened += 1;
                    progress.last = None; // a new stream: its numbers say nothing about the old one's
                    break;
                }
                Attempt::Wait(until) => std::thread::sleep(until.saturating_sub(clock::now()).min(PATIENCE)),
                // Said at the end by the count, and by the line's alarm meanwhile.
                Attempt::Changed(_) | Attempt::Failed(_) => {}
            }
        }
        if sealed {
            progress.sealed_at_faults = faults::of_this_thread();
            alloc::seal(Stage::Capture);
        }
    }
}

/// The part that is in view in a frame; where none is known yet that may be, waits for as long as one may come to be known.
fn wait_until_known(expected: &Expected, captured_at: Duration) -> Option<(PartId, RecipeId)> {
    loop {
        match expected.look_up(captured_at, clock::now()) {
            Wanted::Yes(part, recipe) => return Some((part, recipe)),
            Wanted::No => return None,
            Wanted::NotYet => std::thread::sleep(Duration::from_millis(1)),
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

    fn verdict(&self, subject: Subject, judgement: Judgement, why: Why, score: f32, meta: &FrameMeta) -> Verdict {
        Verdict {
            subject,
            judgement,
            why,
            score: Score(score),
            sequence: meta.sequence,
            model: self.model,
            recipe: self.recipe,
            captured_at: Micros::from_duration(meta.captured_at),
            decided_at: Micros::from_duration(clock::now()),
        }
    }
}

/// What judges a frame, and whether the camera had its settings when the frame was taken.
struct Aimed<'a> {
    active: &'a mut Active,
    sees: bool,
}

impl Progress {
    /// Which part the frame shows, how the line is to find it, and what judges it; `None` where it shows none.
    fn aim<'a>(
        &mut self,
        framing: &Framing,
        meta: &FrameMeta,
        line: &mut LineDesk<'_>,
        wardrobe: &'a mut Wardrobe<'_>,
    ) -> Option<(Part, Subject, Aimed<'a>)> {
        let sees = wardrobe.sees(meta.captured_at);
        if let Framing::Outside(expected) = framing {
            let (id, recipe) = wait_until_known(expected, meta.captured_at)?;
            let part = Part::new(id, Micros::from_duration(meta.captured_at));
            // A recipe that is gone leaves its parts to the present one, whose verdict the line does not believe.
            let active = if wardrobe.has(recipe) { wardrobe.of(recipe)? } else { wardrobe.current() };
            return Some((part, Subject::Frame, Aimed { active, sees }));
        }
        match framing {
            Framing::Every => self.make_up_for_lost(meta, line),
            Framing::Triggered => self.skip_lost(meta),
            Framing::Latest | Framing::Outside(_) => {}
        }
        let part = self.part_at(meta.captured_at);
        Some((part, Subject::Part(part), Aimed { active: wardrobe.current(), sees }))
    }

    /// Parts whose frames were lost at unknown times: their numbers are left out, and the line counts them as missed.
    fn skip_lost(&mut self, meta: &FrameMeta) {
        let lost = self.last.map_or(0, |last| meta.sequence.wrapping_sub(last.sequence).wrapping_sub(1));
        if lost < MOST_LOST {
            self.next_part = PartId(self.next_part.0 + u64::from(lost));
        }
    }

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
}

impl FrameSource for NoSource {
    fn geometry(&self) -> Geometry {
        self.geometry
    }

    fn next(&mut self, _: Duration) -> Result<Lease<'_>, FrameFault> {
        Err(FrameFault::Gone)
    }

    fn stats(&self) -> SourceStats {
        SourceStats::default()
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
        empty_frames: 0,
        implausible: 0,
    }
}
