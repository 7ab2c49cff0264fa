//! The scribe: the caller's own thread while the station runs. Takes records out of their queues, feeds the watchdog, and sees
//! that no thread goes on alone.

use std::time::Duration;

use heapless::spsc::Consumer;
use jidoka_line::Note;
use jidoka_watchdog::Watchdog;

use super::record::{Seen, Sink};
use super::stop::{Reason, Stop};
use crate::os::clock;

/// How often the scribe looks for records. Its queues hold several seconds' worth of a fast line.
const SCRIBE_PERIOD: Duration = Duration::from_millis(20);

/// The ends of the queues that records come out of.
pub struct Scribe<'q, 's> {
    /// Frames that were judged.
    pub seen: Consumer<'q, Seen>,
    /// What the line did.
    pub notes: Consumer<'q, Note>,
    /// When to end.
    pub stop: &'s Stop,
    /// When the station is to end by itself.
    pub until: Option<Duration>,
}

impl Scribe<'_, '_> {
    /// Goes on until both threads have finished and everything that they left has been handed to `sink`.
    pub fn run(mut self, sink: &mut dyn Sink, watchdog: Option<&mut Watchdog>, finished: impl Fn() -> [bool; 2]) {
        let mut feeding = Feeding::new(watchdog);
        loop {
            let [actuator, inspector] = finished();
            // A thread that ended without a reason has panicked; the other one must not go on alone.
            if self.stop.reason().is_none() && (actuator || inspector) {
                self.stop.request(Reason::Panic);
            }
            while let Some(seen) = self.seen.dequeue() {
                sink.seen(&seen);
            }
            while let Some(note) = self.notes.dequeue() {
                sink.note(&note);
            }
            sink.rest();
            feeding.turn();
            if actuator && inspector {
                break;
            }
            if self.until.is_some_and(|until| clock::now() >= until) {
                self.stop.request(Reason::Done);
            }
            std::thread::sleep(SCRIBE_PERIOD);
        }
    }
}

/// Feeds the watchdog at its pace, from a thread that is not the one that is watched.
struct Feeding<'w> {
    watchdog: Option<(&'w mut Watchdog, Duration)>,
    next: Duration,
}

impl<'w> Feeding<'w> {
    fn new(watchdog: Option<&'w mut Watchdog>) -> Feeding<'w> {
        let watchdog = watchdog.and_then(|watchdog| {
            watchdog.ready("inspecting");
            let period = watchdog.period()?;
            Some((watchdog, period))
        });
        Feeding { watchdog, next: Duration::ZERO }
    }

    fn turn(&mut self) {
        let Some((watchdog, period)) = &mut self.watchdog else { return };
        let now = clock::now();
        if now >= self.next {
            watchdog.tick();
            self.next = now + *period;
        }
    }
}
