//! A station: one camera, one model, one line, and the threads that run them.
//!
//! Three threads: the loop ([`inspect`]), the actuator ([`actuator`]), and the caller's, which becomes the scribe and
//! feeds the records to a [`Sink`]. `jidoka run` and `jidoka demo` differ in what they open and in their sink; everything
//! between is this.

pub mod actuator;
mod away;
pub mod change;
pub mod control;
mod dress;
pub mod expected;
pub mod field;
pub mod inspect;
pub mod open;
pub mod recipes;
pub mod record;
pub mod region;
mod scribe;
pub mod sight;
pub mod stop;
pub mod telemetry;
pub mod verdict_log;
pub mod views;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use jidoka_capture::{FrameSource, Reopen};
use jidoka_line::blackbox::BlackBox;
use jidoka_line::{EventQueue, Line, LineConfig, Micros, Outbox, Outputs};
use jidoka_pins::{Output, Trip};
use jidoka_watchdog::Watchdog;

use crate::alloc::Counts;
use crate::error::Error;
use crate::os::mapped::MappedFile;
use crate::os::realtime::{self, Wish};
use crate::os::wake::Bell;
use actuator::{Acted, Actuator, AskQueue, Asks, CommandQueue};
use change::Changer;
use field::Field;
use inspect::{Framing, Inspected, Inspector, LineDesk};
use recipes::{Active, OfferQueue, ReturnQueue, Wardrobe};
use record::{NoteQueue, SeenQueue, Sink};
use scribe::Scribe;
use sight::Sight;
use stop::{Reason, Stop};
use views::View;

/// A station that is opened and checked; its outputs are requested and safe.
pub struct Station {
    /// Where frames come from.
    pub source: Box<dyn FrameSource>,
    /// How to open the source again after it has gone.
    pub reopen: Option<Reopen>,
    /// Where the loop tells how the camera fares.
    pub sight: Arc<Sight>,
    /// Which frames show a part.
    pub framing: Framing,
    /// The inputs.
    pub field: Field,
    /// Prepares other recipes and answers the control socket, where there is any.
    pub changer: Option<Changer>,
    /// Armed at start, fed by inspections.
    pub watchdog: Option<Watchdog>,
    /// The last events, in memory that outlives the process.
    pub blackbox: Option<MappedFile>,
    /// What looks at each frame.
    pub view: View,
    /// More looks at it.
    pub more_views: Vec<View>,
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
        let ((events_in, events_out), (seen_in, seen_out), (notes_in, notes_out)) =
            (events.split(), seen.split(), notes.split());
        let (mut offers, mut returns) = (OfferQueue::new(), ReturnQueue::new());
        let ((offers_in, offers_out), (returns_in, returns_out)) = (offers.split(), returns.split());
        let (mut commands, mut asks) = (CommandQueue::new(), AskQueue::new());
        let ((commands_in, commands_out), (asks_in, asks_out)) = (commands.split(), asks.split());
        let mut map = self.blackbox;
        let mut watchdog = self.watchdog;
        let lives = Arc::new(AtomicU64::new(0));
        let keep = self.line.stale_after.as_duration();
        let active = Active { first: self.view, more: self.more_views, recipe: self.line.recipe };
        let changer_bell = self.changer.as_ref().map(Changer::bell);
        let registry = self.changer.as_ref().map(Changer::registry);
        let actuator = Actuator {
            field: self.field,
            commands: commands_out,
            asks: changer_bell.map(|bell| Asks { queue: asks_in, bell }),
            expected: match &self.framing {
                Framing::Outside(expected) => Some(Arc::clone(expected)),
                _ => None,
            },
            loop_lives: Arc::clone(&lives),
            progress: watchdog.as_ref().map(Watchdog::progress),
            blackbox: map.as_mut().and_then(start_blackbox),
            events: events_out,
            notes: notes_in,
            bell: Arc::clone(bell),
            stop: Arc::clone(stop),
            line: Line::new(self.line.clone(), self.outputs),
        };
        let inspector = Inspector {
            source: self.source,
            reopen: self.reopen,
            sight: self.sight,
            framing: self.framing,
            matching: self.line.matching,
            wardrobe: Wardrobe::new(Box::new(active), offers_out, returns_in, keep, registry),
            line: LineDesk { events: events_in, outbox: Outbox::new(), bell: Arc::clone(bell), lives },
            seen: seen_in,
            stop: Arc::clone(stop),
            stop_on_allocation: self.stop_on_allocation,
            limit_frames: self.limit_frames,
        };
        let changer = self.changer.map(|changer| {
            changer.connect(offers_in, returns_out, commands_in, asks_out, Arc::clone(bell), Arc::clone(stop))
        });
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
            if let Some(changer) = changer {
                let spawned =
                    std::thread::Builder::new().name("control".into()).spawn_scoped(scope, move || changer.run());
                spawned.inspect_err(|_| stop.request(Reason::System)).map_err(refused)?;
            }
            let scribe = Scribe { seen: seen_out, notes: notes_out, stop, until };
            scribe.run(sink, watchdog.as_mut(), || [actuator.is_finished(), inspector.is_finished()]);
            // A panic's message has been printed by the hook, and the outputs are safe; what is left is to say so.
            let (inspected, acted) = (inspector.join().ok(), actuator.join().ok());
            if inspected.is_none() || acted.is_none() {
                stop.request(Reason::Panic);
            }
            // After anything but an orderly end it stays armed: whoever restarts the station takes it over, or the board resets.
            if matches!(stop.reason(), Some(Reason::Done | Reason::Signal))
                && let Some(watchdog) = watchdog.take()
            {
                watchdog.stop();
            }
            let allocations = Counts::now().since(&before);
            Ok(Ended { reason: stop.reason().unwrap_or(Reason::Done), inspected, acted, allocations })
        })
    }
}

/// Begins to write into the black box. Its size was chosen to hold one.
fn start_blackbox(map: &mut MappedFile) -> Option<BlackBox<'_>> {
    let mut blackbox = BlackBox::new(map.as_mut_slice()).ok()?;
    blackbox.start(Micros::from_duration(crate::os::clock::now()), u64::from(std::process::id()));
    Some(blackbox)
}

#[cfg(test)]
mod tests;
