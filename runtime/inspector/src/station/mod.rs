//! A station: one camera, one model, one line, and the threads that run them.
//!
//! Three threads: the loop ([`inspect`]), the actuator ([`actuator`]), and the caller's, which becomes the scribe and
//! feeds the records to a [`Sink`]. `jidoka run` and `jidoka demo` differ in what they open and in their sink; everything
//! between is this.

pub mod actuator;
pub mod inspect;
pub mod open;
pub mod record;
pub mod stop;
pub mod telemetry;
pub mod verdict_log;

use std::sync::Arc;
use std::time::Duration;

use jidoka_capture::{FrameSource, SourceConfig};
use jidoka_line::{EventQueue, Line, LineConfig, Outputs};
use jidoka_models::InspectionModel;
use jidoka_pins::{Output, Trip};
use jidoka_prepare::Preparer;

use crate::alloc::Counts;
use crate::error::Error;
use crate::os::realtime::{self, Wish};
use crate::os::wake::Bell;
use actuator::{Acted, Actuator};
use inspect::{Inspected, Inspector, Judge, LineDesk};
use record::{NoteQueue, SeenQueue, Sink};
use stop::{Reason, Stop};

/// How often the scribe looks for records. Its queues hold several seconds' worth of a fast line.
const SCRIBE_PERIOD: Duration = Duration::from_millis(20);

/// A station that is opened and checked; its outputs are requested and safe.
pub struct Station {
    /// Where frames come from.
    pub source: Box<dyn FrameSource>,
    /// How to open the source again after it has gone.
    pub reopen: Option<SourceConfig>,
    /// Whether a lost frame is a part without verdict.
    pub every_frame_is_a_part: bool,
    /// Frame to engine input.
    pub preparer: Preparer,
    /// What gives scores.
    pub model: InspectionModel,
    /// Scores to verdicts.
    pub judge: Judge,
    /// How the line runs.
    pub line: LineConfig,
    /// The pins.
    pub outputs: Outputs<Output>,
    /// Makes the pins safe from any thread.
    pub trip: Trip,
    /// What is asked of the kernel.
    pub realtime: Wish,
    /// Whether an allocation under the seal is a reason to stop.
    pub stop_on_allocation: bool,
    /// After how many frames to end.
    pub limit_frames: Option<u64>,
    /// After how long to end.
    pub limit: Option<Duration>,
}

/// How a station ended, and what it counted.
pub struct Ended {
    /// Why.
    pub reason: Reason,
    /// The loop's account; `None` where it panicked.
    pub inspected: Option<Inspected>,
    /// The actuator's account; `None` where it panicked.
    pub acted: Option<Acted>,
    /// Allocations under the seal.
    pub allocations: Counts,
}

impl Station {
    /// Inspects until the end. Signals and panics are watched from here on; on return the outputs are safe.
    pub fn run(self, sink: &mut dyn Sink) -> Result<Ended, Error> {
        let refused = |error| Error::System { action: "make an eventfd", error };
        let bell = Arc::new(Bell::new().map_err(refused)?);
        let stop = Stop::new(Arc::clone(&bell));
        stop::on_signals(&stop)?;
        stop::on_panics(&stop, self.trip.clone());
        self.run_until(&stop, &bell, sink)
    }

    /// As [`Station::run`], with a flag of the caller's and without touching what belongs to the whole process.
    pub fn run_until(self, stop: &Arc<Stop>, bell: &Arc<Bell>, sink: &mut dyn Sink) -> Result<Ended, Error> {
        let (mut events, mut seen, mut notes) = (EventQueue::new(), SeenQueue::new(), NoteQueue::new());
        let ((events_in, events_out), (seen_in, mut seen_out), (notes_in, mut notes_out)) =
            (events.split(), seen.split(), notes.split());
        let actuator = Actuator {
            line: Line::new(self.line, self.outputs),
            events: events_out,
            notes: notes_in,
            bell: Arc::clone(bell),
            stop: Arc::clone(stop),
        };
        let inspector = Inspector {
            source: self.source,
            reopen: self.reopen,
            every_frame_is_a_part: self.every_frame_is_a_part,
            preparer: self.preparer,
            model: self.model,
            judge: self.judge,
            line: LineDesk { events: events_in, bell: Arc::clone(bell) },
            seen: seen_in,
            stop: Arc::clone(stop),
            stop_on_allocation: self.stop_on_allocation,
            limit_frames: self.limit_frames,
        };
        let before = Counts::now();
        let wish = &self.realtime;
        let until = self.limit.map(|limit| crate::os::clock::now() + limit);
        std::thread::scope(|scope| {
            let refused = |error| Error::System { action: "start a thread", error };
            // The actuator is one step more urgent than the loop: an edge does not wait for an inference.
            let actuator = std::thread::Builder::new().name("actuator".into()).spawn_scoped(scope, || {
                realtime::apply(&wish.more_urgent());
                actuator.run()
            });
            let actuator = actuator.map_err(refused)?;
            let inspector = std::thread::Builder::new().name("loop".into()).spawn_scoped(scope, || {
                log::info!("real-time: {}", realtime::apply(wish));
                inspector.run()
            });
            // Without a loop the actuator has nothing to do; the scope waits for it.
            let inspector = inspector.inspect_err(|_| stop.request(Reason::System)).map_err(refused)?;
            loop {
                let finished = actuator.is_finished() && inspector.is_finished();
                // A thread that ended without a reason has panicked; the other one must not go on alone.
                if stop.reason().is_none() && (actuator.is_finished() || inspector.is_finished()) {
                    stop.request(Reason::Panic);
                }
                while let Some(seen) = seen_out.dequeue() {
                    sink.seen(&seen);
                }
                while let Some(note) = notes_out.dequeue() {
                    sink.note(&note);
                }
                sink.rest();
                if finished {
                    break;
                }
                if until.is_some_and(|until| crate::os::clock::now() >= until) {
                    stop.request(Reason::Done);
                }
                std::thread::sleep(SCRIBE_PERIOD);
            }
            // A panic's message has been printed by the hook, and the outputs are safe; what is left is to say so.
            let (inspected, acted) = (inspector.join().ok(), actuator.join().ok());
            if inspected.is_none() || acted.is_none() {
                stop.request(Reason::Panic);
            }
            let allocations = Counts::now().since(&before);
            Ok(Ended { reason: stop.reason().unwrap_or(Reason::Done), inspected, acted, allocations })
        })
    }
}

#[cfg(test)]
mod tests;
