//! Records into the shared-memory ring that the gateway reads.
//!
//! The scribe's thread writes it, not the loop: a record is a few dozen stores, but the loop's time is its own.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jidoka_line::alarm::Alarm;
use jidoka_line::{Departure, Mode, Note, Outcome, PartId, RecipeId, What};
use jidoka_telemetry::{
    EventKind, EventRecord, MAX_VIEWS, Name, StageTimes, State, Status, Verdict, VerdictRecord, Writer, monotonic_us,
    unix_us,
};

use super::Ended;
use super::recipes::{Known, Registry};
use super::record::{Seen, Sink};
use super::sight::Sight;
use crate::alloc::Counts;
use crate::error::Error;
use crate::stats::Times;

/// Records that the ring keeps: over two minutes of ten parts a second, each with its verdict and now and then an event.
const CAPACITY: usize = 2048;
/// Parts whose times are remembered until they leave.
const MOST_PENDING: usize = 1024;
/// Parts over which latency is summarised before it begins anew.
const WINDOW_PARTS: u64 = 1000;
/// Between two status records; a reader takes silence of a second for trouble.
const STATUS_PERIOD_US: u64 = 200_000;

/// What the ring says of the station besides what happens in it.
pub struct About<'a> {
    /// The station.
    pub station: &'a str,
    /// What is known of its recipes; it starts with the first.
    pub registry: &'a Registry,
    /// How the camera fares.
    pub sight: &'a Arc<Sight>,
    /// By how many micrometres the belt moves in a microsecond at its fastest, where the line tracks by distance.
    pub um_per_us: Option<f64>,
}

/// The writing end of the ring, fed as a sink.
pub struct Telemetry {
    writer: Writer,
    status: Status,
    registry: Registry,
    sight: Arc<Sight>,
    /// Recipes that were met, so that the registry is asked once for each.
    met: BTreeMap<u16, (Known, Vec<[u8; 32]>)>,
    um_per_us: Option<f64>,
    lateness: Times,
    lateness_off: Times,
    pending: BTreeMap<PartId, Seen>,
    latency: Times,
    sequence: u64,
    allocations: Counts,
    since_last: u32,
}

impl Telemetry {
    /// Opens the ring of station `about.station` in the usual directory.
    pub fn open(about: &About<'_>) -> Result<Telemetry, Error> {
        let path = jidoka_telemetry::ring_path(&jidoka_telemetry::default_dir()?, about.station)?;
        Ok(Telemetry::new(Writer::open(&path, CAPACITY)?, about))
    }

    /// Writes to an open ring.
    pub fn new(writer: Writer, about: &About<'_>) -> Telemetry {
        let status = Status {
            state: State::Starting.code(),
            started_unix_us: unix_us(),
            station: Name::new(about.station),
            ..Status::default()
        };
        let mut telemetry = Telemetry {
            writer,
            status,
            registry: about.registry.clone(),
            sight: Arc::clone(about.sight),
            met: BTreeMap::new(),
            um_per_us: about.um_per_us,
            lateness: Times::new(),
            lateness_off: Times::new(),
            pending: BTreeMap::new(),
            latency: Times::new(),
            sequence: 0,
            allocations: Counts::now(),
            since_last: 0,
        };
        telemetry.event(monotonic_us(), EventKind::Started, 0, about.station, "");
        telemetry.show_recipe(RecipeId(1), monotonic_us());
        telemetry.write_status();
        telemetry
    }

    /// The last record.
    pub fn end(&mut self, ended: &Ended) {
        if let Some(inspected) = &ended.inspected {
            self.status.sealed_faults = inspected.page_faults;
        }
        self.status.state = State::Stopped.code();
        self.event(monotonic_us(), EventKind::Stopped, 0, "", ended.reason.describe());
        self.write_status();
    }

    /// What is known of a recipe, with its models' digests.
    fn known(&mut self, id: RecipeId) -> (Known, Vec<[u8; 32]>) {
        if let Some(met) = self.met.get(&id.0) {
            return met.clone();
        }
        let Some(known) = self.registry.get(id) else { return Default::default() };
        let digests = known.views.iter().map(|view| digest(&view.sha256)).collect();
        let met = (known, digests);
        self.met.insert(id.0, met.clone());
        met
    }

    /// From now on this recipe is in use.
    fn show_recipe(&mut self, id: RecipeId, at_us: u64) {
        let (known, _) = self.known(id);
        self.status.recipe = Name::new(&known.name);
        let first = known.views.first().cloned().unwrap_or_default();
        self.status.model = Name::new(&first.model);
        self.status.threshold = first.threshold as f32;
        for view in &known.views {
            self.event(at_us, EventKind::ModelLoaded, 0, &view.model, &known.name);
        }
    }

    fn event(&mut self, at_us: u64, kind: EventKind, value: i64, subject: &str, detail: &str) {
        self.writer.event(&EventRecord {
            at_us,
            at_unix_us: wall_time_of(at_us),
            kind: kind.code(),
            value,
            subject: Name::new(subject),
            detail: Name::new(detail),
            ..EventRecord::default()
        });
    }

    fn part_left(&mut self, left: &Departure, at_us: u64) {
        let verdict = match left.outcome {
            Outcome::Pass => Verdict::Pass,
            Outcome::Reject { .. } => Verdict::Reject,
            Outcome::Missed => Verdict::Missed,
        };
        self.status.parts += 1;
        *match verdict {
            Verdict::Pass => &mut self.status.passed,
            Verdict::Reject => &mut self.status.rejected,
            Verdict::Missed => &mut self.status.missed,
        } += 1;
        self.status.consecutive_rejects =
            if verdict == Verdict::Pass { 0 } else { self.status.consecutive_rejects.saturating_add(1) };
        let seen = self.pending.remove(&left.part.id);
        let (known, digests) = self.known(left.recipe);
        let worst = seen.map_or(0, |seen| seen.said.worst_place());
        let view = known.views.get(worst).cloned().unwrap_or_default();
        let said = seen.as_ref().map_or(&[][..], |seen| seen.said.each());
        let mut view_scores = [f32::NAN; MAX_VIEWS];
        view_scores.iter_mut().zip(said).for_each(|(place, said)| *place = said.score);
        let decided_at_us = left.evidence.map_or(at_us, |evidence| evidence.decided_at.as_u64());
        self.sequence += 1;
        self.writer.verdict(&VerdictRecord {
            sequence: self.sequence,
            part: left.part.id.0,
            captured_at_us: left.part.captured_at.as_u64(),
            decided_at_us,
            decided_unix_us: wall_time_of(decided_at_us),
            verdict: verdict.code(),
            score: left.evidence.map_or(f32::NAN, |evidence| evidence.score.0),
            threshold: view.threshold as f32,
            frame: left.evidence.map_or(0, |evidence| evidence.sequence),
            stages: seen.map(|seen| stage_times(&seen)).unwrap_or_default(),
            allocations: std::mem::take(&mut self.since_last),
            model_digest: digests.get(worst).copied().unwrap_or_default(),
            recipe: Name::new(&known.name),
            view: Name::new(&view.name),
            views: said.len() as u32,
            view_scores,
            ..VerdictRecord::default()
        });
    }

    fn write_status(&mut self) {
        let camera = self.sight.read();
        self.status.dropped_frames = camera.lost;
        self.status.bad_frames = camera.damaged + camera.dark + camera.saturated + camera.blurred;
        let now = Counts::now();
        let fresh = now.since(&self.allocations).total();
        self.allocations = now;
        self.since_last = self.since_last.saturating_add(fresh as u32);
        self.status.sealed_allocations += fresh;
        self.status.heartbeat_at_us = monotonic_us();
        let latency = self.latency.summary();
        self.status.p50_us = latency.p50_us as u32;
        self.status.p99_us = latency.p99_us as u32;
        self.status.max_us = latency.max_us as u32;
        let lateness = self.lateness.summary();
        self.status.edge_late_p50_us = lateness.p50_us as u32;
        self.status.edge_late_p99_us = lateness.p99_us as u32;
        self.status.edge_late_max_us = lateness.max_us as u32;
        let lateness = self.lateness_off.summary();
        self.status.off_late_p50_us = lateness.p50_us as u32;
        self.status.off_late_p99_us = lateness.p99_us as u32;
        self.status.off_late_max_us = lateness.max_us as u32;
        self.writer.status(&self.status);
        self.writer.camera(&camera);
    }
}

impl Sink for Telemetry {
    fn seen(&mut self, seen: &Seen) {
        self.status.frames += 1;
        if self.latency.count() >= WINDOW_PARTS {
            self.latency.clear();
        }
        self.latency.add(seen.laps.total);
        if self.pending.len() >= MOST_PENDING {
            self.pending.pop_first();
        }
        self.pending.insert(seen.part.id, *seen);
    }

    fn note(&mut self, note: &Note) {
        let at_us = note.at.as_u64();
        match note.what {
            What::Left(left) => self.part_left(&left, at_us),
            What::Lost { first, count } => {
                self.status.parts += count;
                self.status.missed += count;
                self.event(at_us, EventKind::Overrun, count as i64, "lost triggers", &first.0.to_string());
            }
            What::Raised(alarm) => {
                self.status.alarms |= alarm_bit(alarm);
                self.event(at_us, EventKind::Alarm, 0, alarm.name(), "");
            }
            What::Acknowledged => {
                self.status.alarms = 0;
                self.event(at_us, EventKind::AlarmCleared, 0, "", "");
            }
            What::Mode(mode) => {
                let state = match mode {
                    Mode::Starting => State::Starting,
                    Mode::Running => State::Running,
                    Mode::Holding { .. } => State::Fault,
                    Mode::Stopped => State::Stopped,
                };
                self.status.state = state.code();
            }
            What::Recipe(recipe) => {
                let (known, _) = self.known(recipe);
                let took = format!("swapped in {} us", self.registry.last_swap_us());
                self.event(at_us, EventKind::RecipeChanged, i64::from(recipe.0), &known.name, &took);
                self.show_recipe(recipe, at_us);
            }
            What::PinFailed(signal) => self.event(at_us, EventKind::LineFault, 0, signal.name(), ""),
            What::PulseOn { late, .. } => add_late(&mut self.lateness, late, self.um_per_us),
            What::PulseOff { late, .. } => {
                if let Some(late) = late {
                    add_late(&mut self.lateness_off, late, self.um_per_us);
                }
            }
        }
    }

    fn rest(&mut self) {
        if monotonic_us() >= self.status.heartbeat_at_us + STATUS_PERIOD_US {
            self.write_status();
        }
    }
}

/// Adds by how much an edge was late. Along the belt it is at least so long: the belt may have been slower.
fn add_late(times: &mut Times, late: i64, um_per_us: Option<f64>) {
    if times.count() >= WINDOW_PARTS {
        times.clear();
    }
    times.add(Duration::from_micros((late.max(0) as f64 / um_per_us.unwrap_or(1.0)) as u64));
}

fn stage_times(seen: &Seen) -> StageTimes {
    let us = |time: Duration| time.as_micros().min(u128::from(u32::MAX)) as u32;
    let laps = &seen.laps;
    StageTimes {
        capture_us: us(laps.total.saturating_sub(laps.prepare + laps.infer + laps.judge)),
        prepare_us: us(laps.prepare),
        infer_us: us(laps.infer),
        judge_us: us(laps.judge),
        hand_over_us: 0,
        total_us: us(laps.total),
    }
}

/// The wall clock at a moment of the monotonic clock not long ago.
fn wall_time_of(at_us: u64) -> u64 {
    unix_us().saturating_sub(monotonic_us().saturating_sub(at_us))
}

fn alarm_bit(alarm: Alarm) -> u32 {
    1 << alarm as u32
}

fn digest(sha256: &str) -> [u8; 32] {
    std::array::from_fn(|index| {
        sha256.get(2 * index..2 * index + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok()).unwrap_or(0)
    })
}
