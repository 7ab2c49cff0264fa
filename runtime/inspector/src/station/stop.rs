//! Ending a station: one flag that everybody watches, and who may raise it.
//!
//! Three ways out besides the end of the work: a signal, a panic on any thread, and the station's own rules. All of them
//! come here, and all of them wake the actuator, which makes the outputs safe before anything else happens. The panic
//! hook does not wait for that: it fires the [`Trip`] itself, because the thread that panicked may be the actuator.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use jidoka_pins::Trip;

use crate::error::Error;
use crate::os::wake::Bell;

/// Why a station ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Reason {
    /// The work is done: the recording is over or the limit of frames is reached. Parts in flight still leave.
    Done = 1,
    /// SIGINT or SIGTERM.
    Signal = 2,
    /// An allocation in the sealed loop, and the configuration says stop.
    Allocation = 3,
    /// The operating system refused something the actuator cannot do without.
    System = 4,
    /// The inputs cannot be read any more: parts would come unseen.
    Inputs = 5,
    /// A thread panicked.
    Panic = 6,
}

impl Reason {
    /// In words, for logs.
    pub fn describe(self) -> &'static str {
        match self {
            Reason::Done => "the work is done",
            Reason::Signal => "a signal asked for it",
            Reason::Allocation => "the sealed loop allocated, and on_allocation = \"stop\"",
            Reason::System => "the system refused what the actuator needs",
            Reason::Inputs => "the inputs cannot be read any more",
            Reason::Panic => "a thread panicked; the message is above",
        }
    }

    fn from_u8(value: u8) -> Option<Reason> {
        [Reason::Done, Reason::Signal, Reason::Allocation, Reason::System, Reason::Inputs, Reason::Panic]
            .into_iter()
            .find(|reason| *reason as u8 == value)
    }
}

/// The flag. Whoever holds it may raise it; nobody can take it back.
#[derive(Debug)]
pub struct Stop {
    reason: AtomicU8,
    bell: Arc<Bell>,
}

impl Stop {
    /// A flag that is down; `bell` is the actuator's.
    pub fn new(bell: Arc<Bell>) -> Arc<Stop> {
        Arc::new(Stop { reason: AtomicU8::new(0), bell })
    }

    /// Raises the flag. The gravest reason stands: a panic during an orderly end is not an orderly end.
    pub fn request(&self, reason: Reason) {
        self.reason.fetch_max(reason as u8, Ordering::SeqCst);
        self.bell.ring();
    }

    /// Why to stop, if to stop.
    pub fn reason(&self) -> Option<Reason> {
        Reason::from_u8(self.reason.load(Ordering::SeqCst))
    }

    /// Whether to stop at once, parts in flight or not.
    pub fn is_urgent(&self) -> bool {
        self.reason().is_some_and(|reason| reason != Reason::Done)
    }
}

/// Turns SIGINT and SIGTERM into a request to stop. The second one, if the first did not help within the time that takes
/// to press a key again, ends the process; the kernel then gives its lines back.
pub fn on_signals(stop: &Arc<Stop>) -> Result<(), Error> {
    use signal_hook::consts::{SIGINT, SIGTERM};
    let refused = |error| Error::System { action: "watch for signals", error };
    let asked_before = Arc::new(std::sync::atomic::AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // In this order: the first arrival finds the flag down and raises it, the second finds it up.
        signal_hook::flag::register_conditional_default(signal, Arc::clone(&asked_before)).map_err(refused)?;
        signal_hook::flag::register(signal, Arc::clone(&asked_before)).map_err(refused)?;
    }
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM]).map_err(refused)?;
    let stop = Arc::clone(stop);
    let watch = move || {
        for _ in signals.forever() {
            stop.request(Reason::Signal);
        }
    };
    std::thread::Builder::new().name("signals".into()).spawn(watch).map_err(refused)?;
    Ok(())
}

/// Makes every panic, on any thread, drive the outputs safe before its message is printed.
pub fn on_panics(stop: &Arc<Stop>, trip: Trip) {
    let stop = Arc::clone(stop);
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        trip.fire();
        stop.request(Reason::Panic);
        print(panic);
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gravest_reason_stands() {
        let stop = Stop::new(Arc::new(Bell::new().expect("eventfd")));
        assert_eq!((stop.reason(), stop.is_urgent()), (None, false));
        stop.request(Reason::Done);
        assert_eq!((stop.reason(), stop.is_urgent()), (Some(Reason::Done), false));
        stop.request(Reason::Panic);
        stop.request(Reason::Signal);
        assert_eq!((stop.reason(), stop.is_urgent()), (Some(Reason::Panic), true));
    }
}
