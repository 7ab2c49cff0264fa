//! The loop: frame, prepare, engine, verdict.
//!
//! One thread runs it and nothing else. After the warm-up it is sealed: see [`alloc`](crate::alloc).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use heapless::spsc::Producer;
use jidoka_capture::{FrameFault, FrameId, FrameMeta, FrameSource, FrameView, Reopen, SourceStats};
use jidoka_line::{CameraLoss, LineEvent, Matching, Micros, Outbox, Part, PartId, RecipeId, Span, Subject, Why};
use jidoka_models::InspectionModel;
use jidoka_prepare::Preparer;

use super::away::Away;
use super::expected::{Expected, Wanted};
use super::recipes::{Active, Wardrobe};
use super::record::{Laps, Seen};
use super::sight::Sight;
use super::stop::{Reason, Stop};
use super::views::{self, JudgeLaps, ViewSaid};
use crate::alloc::{self, Counts, Stage};
use crate::os::wake::Bell;
use crate::os::{clock, faults};
use crate::stats::Times;

/// Frames before the seal: a driver's first frame and an engine's first run may still take memory.
pub(super) const WARM_UP_FRAMES: u64 = 3;
/// How long one wait for a frame lasts at most, so that a request to stop is seen.
pub(super) const PATIENCE: Duration = Duration::from_millis(100);
/// Most lost frames that are made up for as parts of their own; a longer gap is a stream that began anew.
const MOST_LOST: u32 = 32;

/// Everything that the loop needs, taken at start.
pub struct Inspector<'q> {
    /// Where frames come from.
    pub source: Box<dyn FrameSource>,
    /// How to open it again after it has gone.
    pub reopen: Option<Reopen>,
    /// Where it is told how the camera fares.
    pub sight: Arc<Sight>,
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

/// The loop's end of the queue to the actuator. What finds no room waits and is offered again at every turn; where that is full
/// too, the event is lost, and the line rejects the part for lack of it.
pub struct LineDesk<'q> {
    /// The queue.
    pub events: Producer<'q, LineEvent>,
    /// What found no room in it.
    pub outbox: Outbox,
    /// Wakes the actuator.
    pub bell: Arc<Bell>,
    /// Counts on while there is no frame to judge.
    pub lives: Arc<AtomicU64>,
}

impl LineDesk<'_> {
    /// The loop lives, and has nothing to judge.
    pub(super) fn idle(&mut self) {
        let events = &mut self.events;
        self.outbox.flush(|event| events.enqueue(event).is_ok());
        self.lives.fetch_add(1, Ordering::Relaxed);
        self.bell.ring();
    }

    pub(super) fn tell(&mut self, event: LineEvent) {
        let events = &mut self.events;
        self.outbox.send(event, |event| events.enqueue(event).is_ok());
        self.bell.ring();
    }
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
pub(super) struct Progress {
    pub inspected: Inspected,
    next_part: PartId,
    pub last: Option<FrameMeta>,
    pub sealed_at_faults: u64,
    pub allocations: Counts,
    pub away: Away,
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
            away: Away::default(),
        };
        while self.stop.reason().is_none() {
            match self.step(&mut progress) {
                Ok(true) => self.after_frame(&mut progress),
                // Silence is for the line's own deadline to judge.
                Ok(false) | Err(FrameFault::TimedOut { .. }) => self.line.idle(),
                Err(FrameFault::EndOfStream) => self.stop.request(Reason::Done),
                Err(fault @ FrameFault::Frozen { .. }) => self.frozen(&mut progress, fault),
                Err(fault) if fault.is_passing() => {
                    self.camera_runs(&mut progress);
                    self.damaged(&mut progress, fault);
                }
                Err(_) => self.recover(&mut progress, CameraLoss::Gone),
            }
            self.tell_sight(&progress);
        }
        if progress.inspected.sealed_frames > 0 {
            progress.inspected.page_faults = faults::of_this_thread() - progress.sealed_at_faults;
        }
        alloc::unseal();
        progress.inspected.source = progress.inspected.source.and(self.source.stats());
        progress.inspected
    }

    fn tell_sight(&self, progress: &Progress) {
        let Inspected { source, reopened, .. } = &progress.inspected;
        self.sight.tell(&source.and(self.source.stats()), *reopened);
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
        progress.away.runs(arrived, &mut self.line, &self.sight);
        let meta = *frame.meta();
        let (captured_at, arrived_at) = (Micros::from_duration(meta.captured_at), Micros::from_duration(arrived));
        // Where every frame is a part, its time is the part's: with a wrong one, the window would be another part's.
        let checked = matches!(self.framing, Framing::Outside(_)) || self.matching.arrives_within < Span::MAX;
        if checked && !self.matching.is_plausible(captured_at, arrived_at) {
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
        let Aimed { active: Active { first, more, recipe }, sees } = active;
        first.prepare(&frame.view());
        more.iter_mut().for_each(|view| view.prepare(&frame.view()));
        drop(frame); // the driver gets its buffer back before the long part
        let prepared = clock::now();

        let (said, JudgeLaps { infer, judge }) = views::judge(first, more, sees);
        let worst = *said.worst();
        self.line.tell(LineEvent::Judged(worst.verdict(subject, recipe.id, meta.sequence, meta.captured_at)));
        let told = clock::now();

        alloc::enter(Stage::HandOver);
        let laps = Laps { prepare: prepared - arrived, infer, judge, total: told.saturating_sub(meta.captured_at) };
        progress.inspected.add(arrived - idle, &laps);
        let ViewSaid { judgement, why, score, .. } = worst;
        let seen = Seen { part, sequence: meta.sequence, truth: meta.truth, score, judgement, why, said, laps };
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
    pub(super) fn damaged(&mut self, progress: &mut Progress, fault: FrameFault) {
        let Some(FrameId { sequence, captured_at }) = fault.frame() else { return };
        let meta = FrameMeta { sequence, captured_at, ..FrameMeta::default() };
        self.line.tell(LineEvent::FrameUnfit);
        let Some((_, subject, Aimed { active, .. })) =
            progress.aim(&self.framing, &meta, &mut self.line, &mut self.wardrobe)
        else {
            return;
        };
        if let Subject::Part(part) = subject {
            self.line.tell(LineEvent::Triggered(part));
        }
        let said = active.first.judge.not_seen(Why::BadFrame);
        self.line.tell(LineEvent::Judged(said.verdict(subject, active.recipe.id, sequence, captured_at)));
        // The next frame's number says how many were lost after this one, which has had its part.
        progress.last = Some(meta);
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
