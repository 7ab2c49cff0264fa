//! The camera and the loop thread: exposures, frames on their way, one inference at a time, events to the actuator thread.

use jidoka_line::part::Part;
use jidoka_line::{CameraLoss, Judgement, LineEvent, Micros, ModelDigest, RecipeId, Score, Subject, Verdict, Why};

use crate::config::Trigger;
use crate::fault::Fault;
use crate::judging::Nature;
use crate::trace::Happening;
use crate::world::{Event, World};

/// A frame on its way from the camera to the loop.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Frame {
    /// The part that it shows.
    pub(crate) ordinal: u64,
    pub(crate) captured_at: u64,
    /// Whether the defect, where there is one, can be seen in it.
    shows: bool,
    damage: Damage,
    /// Given a number at the exposure; `None` until then.
    sequence: Option<u32>,
    /// How much longer than usual its inference takes.
    extra_us: u64,
    drop: Drop,
    /// By how much the driver's timestamp is wrong.
    stamp_error: i64,
    twice: bool,
    late_us: u64,
}

/// What the loop finds wrong with a frame before it looks at it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Damage {
    None,
    /// Fewer bytes than the format needs: seen from the length alone.
    Short,
    /// The driver set its error flag, after the whole frame had been taken.
    Corrupt,
}

impl Damage {
    /// How long the loop is busy with it instead of with an inference.
    const fn handling_us(self) -> u64 {
        match self {
            Damage::None => 0,
            Damage::Short => 20,
            Damage::Corrupt => 500,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Drop {
    No,
    Counted,
    Silent,
}

/// A completed inference.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Inferred {
    pub(crate) ordinal: u64,
    pub(crate) verdict: Verdict,
}

/// The camera and what the loop thread knows of it.
#[derive(Default, Debug)]
pub(crate) struct Camera {
    sequence: u32,
    gone_until: u64,
    /// The line has been told that it is away.
    told_gone: bool,
    /// By how much, and until when, the clock that stamps frames is wrong.
    clock: (i64, u64),
    /// When the inference worker is free.
    busy_until: u64,
    /// The recipe that the loop inspects by.
    recipe: u16,
}

impl Camera {
    pub(crate) fn step_clock(&mut self, by: i64, until: u64) {
        self.clock = (by, until);
    }
}

impl World<'_> {
    /// The camera is pulled, and plugged in again at `until`.
    pub(crate) fn unplug(&mut self, until: u64) {
        self.camera.gone_until = self.camera.gone_until.max(until);
        let noticed = self.rng.between(500, 20_000);
        self.later(noticed, Event::CameraGone);
        if self.config.trigger != Trigger::FreeRun {
            // Whoever waits for a trigger gives no frame to show that it is back: it is so once it streams.
            let back = self.camera.gone_until;
            self.at(back, Event::CameraBack);
        }
    }

    pub(crate) fn camera_gone(&mut self) {
        self.camera.told_gone = true;
        self.send(LineEvent::CameraLost(CameraLoss::Gone));
    }

    pub(crate) fn camera_back(&mut self) {
        if self.now >= self.camera.gone_until && std::mem::take(&mut self.camera.told_gone) {
            self.send(LineEvent::CameraBack);
        }
    }

    /// Exposes the part's frames.
    pub(crate) fn expose(&mut self, ordinal: u64, fault: Option<Fault>) {
        let frames = self.config.quorum().frames.max(1);
        // A defect that only just enough of several looks show.
        let few = self.rng.chance(500).then(|| self.rng.up_to(u64::from(frames) - 1) as u8);
        let rejects = self.config.quorum().rejects;
        let delay = self.config.timing.delay.as_micros();
        for look in 0..frames {
            let after = self.config.exposure_us(look) + self.rng.up_to(self.config.exposure_jitter_us());
            let captured_at = self.now + after;
            let stale = self.config.stale_after().as_micros();
            let mut frame = Frame {
                ordinal,
                captured_at,
                shows: few.is_none_or(|first| (look + frames - first) % frames < rejects),
                damage: Damage::None,
                sequence: None,
                extra_us: 0,
                drop: Drop::No,
                stamp_error: 0,
                twice: false,
                late_us: self.rng.between(2_000, 5_000),
            };
            match fault {
                Some(Fault::DroppedFrame) => frame.drop = Drop::Counted,
                Some(Fault::SilentDrop) => frame.drop = Drop::Silent,
                Some(Fault::DuplicateFrame) => frame.twice = true,
                Some(Fault::SecondLook) => (frame.twice, frame.shows) = (true, false),
                Some(Fault::CorruptFrame) => frame.damage = Damage::Corrupt,
                Some(Fault::ShortFrame) => frame.damage = Damage::Short,
                Some(Fault::LateFrame) => frame.late_us += self.rng.up_to(delay * 5 / 4),
                Some(Fault::ReorderedFrame) => frame.late_us += self.config.pitch_us() * 3 / 2,
                Some(Fault::SlowInference) => frame.extra_us = self.rng.up_to(delay * 6 / 5),
                Some(Fault::StaleVerdict) => frame.extra_us = self.rng.between(stale, delay.max(stale + 1) - 1),
                Some(Fault::TimestampStep) => {
                    let step = self.config.pitch_us() as i64 + self.rng.around(self.config.pitch_us() / 4);
                    frame.stamp_error = if self.rng.chance(500) { step } else { -step };
                }
                _ => {}
            }
            self.at(captured_at, Event::Frame(frame));
        }
    }

    /// A frame at its exposure (it has no number yet), or at the loop.
    pub(crate) fn frame(&mut self, mut frame: Frame) {
        let Some(sequence) = frame.sequence else {
            if self.now < self.camera.gone_until {
                // After a replug the driver counts from zero.
                self.camera.sequence = 0;
                return;
            }
            if frame.drop == Drop::Silent {
                return;
            }
            if self.now < self.camera.clock.1 {
                frame.stamp_error += self.camera.clock.0;
            }
            self.trace.add(self.now, || Happening::Exposure { ordinal: frame.ordinal });
            frame.sequence = Some(self.camera.sequence);
            self.camera.sequence = self.camera.sequence.wrapping_add(1);
            let backlog = self.camera.busy_until.saturating_sub(self.now) > 6 * self.config.inference.as_micros();
            // While the loop holds every buffer the driver can only count.
            if frame.drop == Drop::No && !backlog {
                let late = frame.late_us;
                self.later(late, Event::Frame(frame));
            }
            return;
        };
        if self.config.trigger == Trigger::FreeRun && frame.captured_at >= self.camera.gone_until {
            self.camera_back();
        }
        let stamp = frame.captured_at.saturating_add_signed(frame.stamp_error);
        self.send(LineEvent::FrameArrived { captured_at: Micros::new(stamp) });
        if !self.matching.is_plausible(Micros::new(stamp), Micros::new(self.now)) {
            return;
        }
        let Some(subject) = self.announce(sequence, stamp) else { return };
        let nature = self.audit.nature(frame.ordinal);
        let seen = if frame.shows { nature } else { Nature::Good };
        self.infer(&frame, sequence, subject, seen);
        if frame.twice {
            self.infer(&frame, sequence, subject, nature);
        }
    }

    /// On a free-running camera: the parts that this frame stands for are triggered, and the last of them is its own.
    fn announce(&mut self, sequence: u32, stamp: u64) -> Option<Subject> {
        if !self.config.trigger.is_frame() {
            return Some(Subject::Frame);
        }
        let parts: Vec<Part> = self.free_run.on_frame(sequence, Micros::new(stamp)).collect();
        let twice = std::mem::take(&mut self.tell_twice);
        // When a frame was lost that the machine triggered nobody knows: its part has no place, and its number is left out.
        let known = if self.config.trigger == Trigger::Camera { parts.len().saturating_sub(1) } else { 0 };
        for part in &parts[known..] {
            self.audit.numbered(part, self.now);
            self.send(LineEvent::Triggered(*part));
            if twice {
                self.send(LineEvent::Triggered(*part));
            }
        }
        parts.last().map(|part| Subject::Part(*part))
    }

    fn infer(&mut self, frame: &Frame, sequence: u32, subject: Subject, seen: Nature) {
        let usual = self.config.inference.as_micros();
        let took = match frame.damage {
            Damage::None => usual + self.rng.up_to(usual / 4) + frame.extra_us,
            damage => damage.handling_us(),
        };
        let done = self.now.max(self.camera.busy_until) + took;
        self.camera.busy_until = done;
        let recipe = self.judged_by(frame.ordinal);
        let (judgement, why, score) = match frame.damage != Damage::None {
            true => (Judgement::Missed, Why::BadFrame, Score(f32::NAN)),
            false => {
                let judge = usize::from(recipe - 1).min(self.judges.len() - 1);
                self.judges[judge].judge(seen, frame.ordinal)
            }
        };
        let verdict = Verdict {
            subject,
            judgement,
            why,
            score,
            sequence,
            model: ModelDigest::default(),
            recipe: RecipeId(recipe),
            captured_at: Micros::new(frame.captured_at.saturating_add_signed(frame.stamp_error)),
            decided_at: Micros::new(done),
        };
        self.at(done, Event::Inferred(Inferred { ordinal: frame.ordinal, verdict }));
    }

    /// The recipe by which a frame is judged: a station looks up which its part was triggered under.
    fn judged_by(&mut self, ordinal: u64) -> u16 {
        let in_use = self.camera.recipe.max(1);
        let looks_up = self.config.station.is_some() && !self.config.trigger.is_frame();
        if looks_up { self.audit.recipe_of(ordinal).unwrap_or(in_use) } else { in_use }
    }

    pub(crate) fn inferred(&mut self, inferred: Inferred) {
        let pass = inferred.verdict.judgement == Judgement::Pass;
        self.trace.add(self.now, || Happening::Verdict { ordinal: inferred.ordinal, pass });
        let lost = self.outbox.lost;
        self.queued.push_back(inferred);
        self.send(LineEvent::Judged(inferred.verdict));
        if self.outbox.lost > lost {
            self.queued.pop_back();
        }
    }

    pub(crate) fn change_recipe(&mut self) {
        let number = self.camera.recipe.max(1) % self.config.recipes() + 1;
        self.send(LineEvent::Recipe(self.config.recipe(number, self.slot)));
        self.camera.recipe = number;
    }

    pub(crate) fn acknowledge(&mut self) {
        self.send(LineEvent::Acknowledge);
    }

    /// Sends an event to the actuator thread as the loop does: without waiting, whether it fits or not.
    fn send(&mut self, event: LineEvent) {
        let full = self.now < self.queue_full_until;
        let queue = &mut self.queue;
        self.outbox.send(event, |event| !full && queue.enqueue(event).is_ok());
        if full {
            self.at(self.queue_full_until, Event::Flush);
        }
        self.ring();
    }

    /// The loop's turn without a frame.
    pub(crate) fn flush(&mut self) {
        if self.now < self.queue_full_until {
            self.at(self.queue_full_until, Event::Flush);
            return;
        }
        let queue = &mut self.queue;
        if self.outbox.flush(|event| queue.enqueue(event).is_ok()) {
            self.ring();
        }
    }
}
