//! What the gateway has seen: the newest verdicts and events, the last status, and how the inspector is doing.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jidoka_telemetry::{CameraRecord, EventRecord, Record, State, Status, VerdictRecord};

use crate::metrics::Metrics;

/// How many events are kept.
const EVENTS: usize = 200;

/// Shared between the thread that follows the ring and the HTTP handlers. The lock is held for copies only.
#[derive(Clone)]
pub struct Shared {
    view: Arc<Mutex<View>>,
}

/// What was seen.
pub struct View {
    /// The newest verdicts with their numbers in the ring, oldest first.
    pub verdicts: VecDeque<(u64, VerdictRecord)>,
    /// The newest events, likewise.
    pub events: VecDeque<(u64, EventRecord)>,
    /// The inspector's status as last read.
    pub status: Option<Status>,
    /// How the camera fares, as last read.
    pub camera: Option<CameraRecord>,
    /// Records that were overwritten before they could be read.
    pub lost: u64,
    /// How often another inspector (or another ring) was found than before.
    pub restarts: u64,
    /// Why there is nothing to read now, if so.
    pub problem: Option<String>,
    /// For Prometheus.
    pub(crate) metrics: Metrics,
    history: usize,
}

/// How the inspector is doing, judged from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// It runs and says so.
    Ok,
    /// It loads, checks or warms up.
    Starting,
    /// It says that something is wrong.
    Fault,
    /// It ended in good order.
    Stopped,
    /// It has said nothing for too long: dead, hung, or stopped by a debugger.
    Silent,
    /// There is no ring, or nothing in it yet.
    Absent,
}

impl Health {
    /// `ok`, `starting`, ...
    pub fn name(self) -> &'static str {
        match self {
            Health::Ok => "ok",
            Health::Starting => "starting",
            Health::Fault => "fault",
            Health::Stopped => "stopped",
            Health::Silent => "silent",
            Health::Absent => "absent",
        }
    }

    /// Is it fine to leave things as they are?
    pub fn is_healthy(self) -> bool {
        matches!(self, Health::Ok | Health::Starting)
    }
}

impl Shared {
    /// Nothing seen yet; keeps the newest `history` verdicts.
    pub fn new(history: usize) -> Self {
        let view = View {
            verdicts: VecDeque::with_capacity(history),
            events: VecDeque::with_capacity(EVENTS),
            status: None,
            camera: None,
            lost: 0,
            restarts: 0,
            problem: Some("not looked yet".into()),
            metrics: Metrics::default(),
            history,
        };
        Shared { view: Arc::new(Mutex::new(view)) }
    }

    /// Look at it, or change it.
    pub fn lock(&self) -> MutexGuard<'_, View> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl View {
    /// How many verdicts are kept.
    pub fn history(&self) -> usize {
        self.history
    }

    /// Take in a record.
    pub fn take(&mut self, index: u64, record: &Record) {
        match record {
            Record::Verdict(verdict) => {
                self.metrics.observe(verdict);
                push(&mut self.verdicts, self.history, (index, *verdict));
            }
            Record::Event(event) => push(&mut self.events, EVENTS, (index, *event)),
            // A newer inspector may write what this gateway does not know; the rest is still good.
            Record::Unknown(_) => {}
        }
    }

    /// How long ago the inspector gave a sign of life, in microseconds.
    pub fn silent_us(&self, now_us: u64) -> Option<u64> {
        self.status.map(|status| now_us.saturating_sub(status.heartbeat_at_us))
    }

    /// How the inspector is doing at `now_us` (`CLOCK_MONOTONIC`), if more than `stale_us` without a sign of life is too long.
    pub fn health(&self, now_us: u64, stale_us: u64) -> Health {
        let (Some(status), None) = (self.status, &self.problem) else { return Health::Absent };
        match status.state() {
            Some(State::Stopped) => Health::Stopped,
            _ if self.silent_us(now_us).is_none_or(|silent| silent > stale_us) => Health::Silent,
            Some(State::Running) => Health::Ok,
            Some(State::Starting) => Health::Starting,
            Some(State::Fault) | None => Health::Fault,
        }
    }
}

fn push<T>(queue: &mut VecDeque<T>, limit: usize, item: T) {
    if queue.len() >= limit {
        queue.pop_front();
    }
    queue.push_back(item);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(state: u32, heartbeat_at_us: u64, problem: Option<&str>, expected: Health) {
        let shared = Shared::new(4);
        let mut view = shared.lock();
        view.status = Some(Status { state, heartbeat_at_us, ..Status::default() });
        view.problem = problem.map(String::from);
        assert_eq!(view.health(10_000_000, 3_000_000), expected, "state {state}, heartbeat {heartbeat_at_us}");
    }

    #[test]
    fn health_follows_state_and_heartbeat() {
        check(State::Running.code(), 9_000_000, None, Health::Ok);
        check(State::Running.code(), 7_000_000, None, Health::Ok);
        check(State::Running.code(), 6_999_999, None, Health::Silent);
        check(State::Starting.code(), 9_000_000, None, Health::Starting);
        check(State::Fault.code(), 9_000_000, None, Health::Fault);
        check(State::Stopped.code(), 0, None, Health::Stopped);
        check(99, 9_000_000, None, Health::Fault);
        check(State::Running.code(), 9_000_000, Some("no ring"), Health::Absent);
        // A heartbeat from the future (the reader's clock was read first) is fresh, not eons old.
        check(State::Running.code(), 10_000_001, None, Health::Ok);
    }

    #[test]
    fn history_is_bounded() {
        let shared = Shared::new(3);
        let mut view = shared.lock();
        for n in 0..10 {
            view.take(n, &Record::Verdict(VerdictRecord::default()));
            view.take(n, &Record::Unknown(9));
        }
        assert_eq!(view.verdicts.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [7, 8, 9]);
    }
}
