//! The camera that is away: the line is told, and the camera is opened again.
//!
//! Two things take a camera away: it is gone (unplugged, or its driver says that it failed), or its stream stands. A camera that is
//! gone is looked for until it is there. A stream that stands goes on being read, since it may run again by itself, and is opened
//! anew at once, then less and less often while that does not help.

use std::time::Duration;

use jidoka_capture::{Attempt, FrameFault, FrameSource, Geometry, Lease, SourceStats, Standing};
use jidoka_line::{CameraLoss, LineEvent};

use super::inspect::{Framing, Inspector, LineDesk, PATIENCE, Progress, WARM_UP_FRAMES};
use super::sight::Sight;
use super::stop::Reason;
use crate::alloc::{self, Stage};
use crate::os::{clock, faults};

/// What the line has been told of the camera.
#[derive(Debug, Default)]
pub(super) struct Away {
    lost: Option<CameraLoss>,
    standing: Standing,
}

impl Away {
    /// A frame came that differs from the one before.
    pub fn runs(&mut self, now: Duration, line: &mut LineDesk<'_>, sight: &Sight) {
        self.standing.runs(now);
        self.is_back(line, sight);
    }

    fn is_back(&mut self, line: &mut LineDesk<'_>, sight: &Sight) {
        sight.is(None);
        if self.lost.take().is_some() {
            line.tell(LineEvent::CameraBack);
        }
    }

    fn is_lost(&mut self, loss: CameraLoss, line: &mut LineDesk<'_>, sight: &Sight) {
        sight.is(Some(loss));
        if self.lost.replace(loss) != Some(loss) {
            line.tell(LineEvent::CameraLost(loss));
        }
    }
}

impl Inspector<'_> {
    /// A frame came, fit for use or not: the camera is there.
    pub(super) fn camera_runs(&mut self, progress: &mut Progress) {
        progress.away.runs(clock::now(), &mut self.line, &self.sight);
    }

    /// The stream stands: whatever part its frame was triggered for has not been seen.
    pub(super) fn frozen(&mut self, progress: &mut Progress, fault: FrameFault) {
        self.damaged(progress, fault);
        progress.away.is_lost(CameraLoss::Frozen, &mut self.line, &self.sight);
        if self.reopen.is_some() && progress.away.standing.is_due(clock::now()) {
            self.recover(progress, CameraLoss::Frozen);
        } else {
            self.line.idle();
        }
    }

    /// Opens the source again, with growing pauses, until it is back or the station ends. Meanwhile the line is held; the seal is
    /// lifted, because opening a device takes memory.
    pub(super) fn recover(&mut self, progress: &mut Progress, loss: CameraLoss) {
        progress.away.is_lost(loss, &mut self.line, &self.sight);
        let Some(reopen) = &mut self.reopen else {
            self.stop.request(Reason::System);
            return;
        };
        let sealed = progress.inspected.frames >= WARM_UP_FRAMES;
        alloc::unseal();
        log::warn!("{}; the camera is opened again", loss.alarm().name());
        let (geometry, watch) = (self.source.geometry(), self.source.watch());
        progress.inspected.source = progress.inspected.source.and(self.source.stats());
        // The old one is closed first: it may hold the device that is to be opened.
        self.source = Box::new(NoSource { geometry });
        reopen.begin(clock::now());
        let mut said = String::new();
        while self.stop.reason().is_none() {
            match reopen.attempt(clock::now(), geometry) {
                Attempt::Back(mut source) => {
                    if let Some(watch) = watch {
                        source.go_on_from(watch);
                    }
                    log::info!("the camera is open again: {}", source.describe());
                    self.source = source;
                    progress.inspected.reopened += 1;
                    progress.last = None; // a new stream: its numbers say nothing about the old one's
                    self.streams_again(progress);
                    break;
                }
                Attempt::Wait(until) => {
                    self.line.idle();
                    std::thread::sleep(until.saturating_sub(clock::now()).min(PATIENCE));
                }
                Attempt::Failed(error) => say(&mut said, error.to_string()),
                Attempt::Changed(got) => say(&mut said, changed(geometry, got)),
            }
        }
        if sealed {
            progress.sealed_at_faults = faults::of_this_thread();
            alloc::seal(Stage::Capture);
        }
    }

    /// A camera that may wait for a trigger gives no frame to show that it is back, and the machine gives no trigger while the line
    /// is held: it is back as soon as it streams. Any other camera shows it by its first frame.
    fn streams_again(&mut self, progress: &mut Progress) {
        if matches!(self.framing, Framing::Triggered | Framing::Outside(_)) {
            progress.away.is_back(&mut self.line, &self.sight);
        }
    }
}

/// Tells why the camera does not open, once for each reason.
fn say(said: &mut String, why: String) {
    if *said != why {
        log::warn!("the camera is looked for: {why}");
        *said = why;
    }
}

fn changed(before: Geometry, now: Geometry) -> String {
    let words = |geometry: Geometry| format!("{}x{} {}", geometry.width, geometry.height, geometry.format);
    format!(
        "it gives {} where {} were inspected\n  expected: the same camera with the same settings; to take another, start the \
         station again",
        words(now),
        words(before)
    )
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
