//! The verdict log: one JSON object a line, a line for every part and every edge of an ejector.
//!
//! | event | members |
//! |---|---|
//! | `start` | `station`, `model`, `threshold`, `views` (each with `name`, `model`, `file`, `threshold`), `at_us` |
//! | `part` | `part`, `recipe`, `sequence`, `verdict` (`pass`, `reject`, `missed`), `why`, `score`, `captured_us`, `decided_us`, `pulse`, `judged` (why the loop decided, where the line overruled it), times of the stages; of several views `view` (the worst, whose `score` it is) and `views` (by name: `verdict`, `why`, `score`, `model`) |
//! | `pulse_on` | `pulse`, `part`, `ejector`, `at_us`, `delay_us` (from the part's exposure), `late_us` |
//! | `pulse_off` | `pulse`, `ejector`, `at_us`, `width_us` |
//! | `gate_shut`, `gate_free` | the same of a line that is wired energise-to-pass: while this part is at the gate, it stays shut |
//! | `recipe` | `recipe` (its name), `at_us`: triggers belong to it from here on |
//! | `lost` | `first`, `count`: parts whose trigger was lost between the threads |
//! | `alarm`, `acknowledged`, `mode`, `pin_failed` | what the name says, and `at_us` |
//! | `end` | `reason` and the counts; `camera`: frames lost, damaged, frozen, dark and so on |
//!
//! All times are microseconds of `CLOCK_MONOTONIC`. Every part has one `part` line, every pulse one `pulse_on` and one
//! `pulse_off`: the log matches the wires one to one.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use jidoka_capture::SourceStats;
use jidoka_line::{Departure, EjectorId, Judgement, Mode, Note, Outcome, PartId, PulseId, RecipeId, What, Why};
use serde_json::{Map, Value, json};

use super::Ended;
use super::recipes::Registry;
use super::record::{Seen, Sink};
use super::views::ViewSaid;

/// How much of the log a power cut may cost.
pub const SYNC_PERIOD: Duration = Duration::from_secs(1);
/// Parts whose times are remembered until they leave; more than can be in flight.
const MOST_PENDING: usize = 1024;

/// Writes the log. A destination that fails (a full disk, a reader that has gone) costs lines, which are counted and
/// complained about once; never a part.
pub struct VerdictLog {
    out: Box<dyn Write>,
    name: String,
    registry: Registry,
    pending: BTreeMap<PartId, Seen>,
    on_since: BTreeMap<PulseId, u64>,
    failed: bool,
    /// The file, where the lines go to one, and when it was last told to reach the disk.
    disk: Option<(File, Instant)>,
    /// Whether anything was written since.
    owes: bool,
    /// On an energise-to-pass line the reject window is when the gate is shut for a part, not a pulse on a wire.
    gate: bool,
    /// Lines that could not be written.
    pub lost: u64,
}

impl VerdictLog {
    /// A log to `out`, which complaints call `name`, of the recipes in `registry`.
    pub fn new(out: Box<dyn Write>, name: String, registry: Registry) -> VerdictLog {
        VerdictLog {
            out,
            name,
            registry,
            pending: BTreeMap::new(),
            on_since: BTreeMap::new(),
            failed: false,
            disk: None,
            owes: false,
            gate: false,
            lost: 0,
        }
    }

    /// The same to a file, appended to. What is written reaches the disk within [`SYNC_PERIOD`], so that a power cut loses no
    /// more than that.
    ///
    /// # Errors
    /// What the system says where the file cannot be opened.
    pub fn to_file(path: &Path, registry: Registry) -> std::io::Result<VerdictLog> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        let disk = file.try_clone()?;
        let log = VerdictLog::new(Box::new(BufWriter::new(file)), path.display().to_string(), registry);
        Ok(VerdictLog { disk: Some((disk, Instant::now())), ..log })
    }

    /// Of a line that is wired energise-to-pass: windows are `gate_shut` and `gate_free` and no pulses.
    #[must_use]
    pub fn with_gate(self, gate: bool) -> VerdictLog {
        VerdictLog { gate, ..self }
    }

    /// Writes one line.
    pub fn line(&mut self, value: &Value) {
        let written = writeln!(self.out, "{value}");
        self.owes = true;
        self.note_failure(written);
    }

    fn note_failure(&mut self, written: std::io::Result<()>) {
        match written {
            Ok(()) => self.failed = false,
            Err(error) => {
                self.lost += 1;
                if !std::mem::replace(&mut self.failed, true) {
                    log::error!("{}: cannot write the verdict log: {error}; inspection goes on", self.name);
                }
            }
        }
    }

    /// A recipe's name, or its number where nothing is known of it.
    fn recipe(&self, id: RecipeId) -> String {
        self.registry.get(id).map_or_else(|| id.0.to_string(), |known| known.name)
    }

    /// The names of a recipe's views.
    fn views(&self, id: RecipeId) -> Vec<String> {
        self.registry.get(id).map(|known| known.views.into_iter().map(|view| view.name).collect()).unwrap_or_default()
    }

    fn part(&mut self, left: &Departure) -> Value {
        let seen = self.pending.remove(&left.part.id);
        let (verdict, pulse) = match left.outcome {
            Outcome::Pass => ("pass", None),
            Outcome::Reject { pulse, .. } => ("reject", Some(pulse.0)),
            Outcome::Missed => ("missed", None),
        };
        let evidence = left.evidence;
        let mut value = json!({
            "event": "part",
            "part": left.part.id.0,
            "verdict": verdict,
            "why": why_word(left.why),
            "recipe": self.recipe(left.recipe),
            "captured_us": left.part.captured_at.as_u64(),
        });
        if let Some(pulse) = pulse {
            value["pulse"] = pulse.into();
        }
        if let Some(evidence) = evidence {
            value["sequence"] = evidence.sequence.into();
            value["score"] = json!(finite(evidence.score.0));
            value["decided_us"] = evidence.decided_at.as_u64().into();
            value["model"] = hex(&evidence.model.0).into();
        }
        if let Some(seen) = seen {
            let us = |time: std::time::Duration| time.as_micros() as u64;
            value["prepare_us"] = us(seen.laps.prepare).into();
            value["infer_us"] = us(seen.laps.infer).into();
            value["latency_us"] = us(seen.laps.total).into();
            if seen.why != left.why {
                // The line overruled the loop: late, stale, too close to a neighbour.
                value["judged"] = why_word(seen.why).into();
            }
            if seen.said.each().len() > 1 {
                let names = self.views(left.recipe);
                let name = |place: usize| names.get(place).cloned().unwrap_or_else(|| place.to_string());
                value["view"] = name(seen.said.worst_place()).into();
                let views = seen.said.each().iter().enumerate();
                value["views"] = views.map(|(place, said)| (name(place), view(said))).collect::<Map<_, _>>().into();
            }
            if let Some(truth) = seen.truth {
                value["truth"] = truth.name().into();
            }
        }
        value
    }

    /// The last line.
    pub fn end(&mut self, ended: &Ended) {
        let mut value = json!({ "event": "end", "reason": ended.reason.describe() });
        if let Some(inspected) = &ended.inspected {
            value["frames"] = inspected.frames.into();
            value["latency"] = json!(inspected.total.summary());
            value["frames_lost"] = inspected.source.lost.into();
            value["reopened"] = inspected.reopened.into();
            value["camera"] = camera(&inspected.source);
            value["page_faults"] = inspected.page_faults.into();
            value["frames_without_part"] = inspected.empty_frames.into();
            value["frames_implausible"] = inspected.implausible.into();
        }
        if let Some(acted) = &ended.acted {
            let counters = &acted.counters;
            value["parts"] = counters.triggered.into();
            value["passed"] = counters.passed.into();
            value["rejected"] = counters.rejected.into();
            value["missed"] = counters.missed.into();
            value["pulses"] = counters.pulses.into();
            value["lateness"] = json!(acted.lateness.summary());
            value["lateness_off"] = json!(acted.lateness_off.summary());
            value["mismatched"] = counters.mismatched.into();
            value["orphaned"] = counters.orphaned.into();
            value["stale"] = counters.stale.into();
            value["late"] = counters.late.into();
            value["too_close"] = counters.too_close.into();
            value["edges_in"] = acted.field.edges.into();
            value["edges_lost"] = acted.field.lost.into();
            value["bounces"] = (acted.field.bounces + acted.field.held_off).into();
            value["encoder_illegal"] = acted.field.illegal.into();
            value["records_lost"] =
                (acted.notes_lost + ended.inspected.as_ref().map_or(0, |inspected| inspected.records_lost)).into();
        }
        value["allocations"] = ended.allocations.total().into();
        value["log_lines_lost"] = self.lost.into();
        self.line(&value);
        self.rest();
        self.sync();
    }

    /// The scribe's thread may wait for a disk; loop and actuator never do.
    fn sync(&mut self) {
        if let Some((disk, last)) = &mut self.disk
            && std::mem::take(&mut self.owes)
        {
            *last = Instant::now();
            let synced = match disk.sync_data() {
                // A pipe or a device has no disk to reach.
                Err(error) if error.kind() == std::io::ErrorKind::InvalidInput => Ok(()),
                other => other,
            };
            self.note_failure(synced);
        }
    }
}

impl Sink for VerdictLog {
    fn seen(&mut self, seen: &Seen) {
        if self.pending.len() >= MOST_PENDING {
            self.pending.pop_first();
        }
        self.pending.insert(seen.part.id, *seen);
    }

    fn note(&mut self, note: &Note) {
        let at_us = note.at.as_u64();
        let value = match note.what {
            What::PulseOn { pulse, ejector, part, late, .. } => {
                self.on_since.insert(pulse, at_us);
                let captured_us = self.pending.get(&part).map(|seen| seen.part.captured_at.as_u64());
                json!({
                    "event": if self.gate && ejector == EjectorId::REJECT { "gate_shut" } else { "pulse_on" }, "pulse": pulse.0, "part": part.0, "ejector": ejector.0, "at_us": at_us,
                    "delay_us": captured_us.map(|captured_us| at_us.saturating_sub(captured_us)), "late_us": late,
                })
            }
            What::PulseOff { pulse, ejector, late } => {
                let width_us = self.on_since.remove(&pulse).map(|on_us| at_us.saturating_sub(on_us));
                json!({
                    "event": if self.gate && ejector == EjectorId::REJECT { "gate_free" } else { "pulse_off" }, "pulse": pulse.0, "ejector": ejector.0, "at_us": at_us, "width_us": width_us,
                    "late_us": late,
                })
            }
            What::Left(left) => self.part(&left),
            What::Lost { first, count } => json!({ "event": "lost", "first": first.0, "count": count }),
            What::Raised(alarm) => {
                log::warn!("alarm: {}", alarm.name());
                json!({ "event": "alarm", "alarm": alarm.name(), "at_us": at_us })
            }
            What::Acknowledged => json!({ "event": "acknowledged", "at_us": at_us }),
            What::Mode(mode) => {
                log::info!("the line is {}", mode_word(mode));
                json!({ "event": "mode", "mode": mode_word(mode), "at_us": at_us })
            }
            What::Recipe(recipe) => {
                let recipe = self.recipe(recipe);
                log::info!("recipe {recipe}");
                json!({ "event": "recipe", "recipe": recipe, "at_us": at_us, "swap_us": self.registry.last_swap_us() })
            }
            What::PinFailed(signal) => {
                log::error!("the pin of {} could not be set", signal.name());
                json!({ "event": "pin_failed", "signal": signal.name(), "at_us": at_us })
            }
        };
        self.line(&value);
    }

    fn rest(&mut self) {
        let flushed = self.out.flush();
        self.note_failure(flushed);
        if self.disk.as_ref().is_some_and(|(_, last)| last.elapsed() >= SYNC_PERIOD) {
            self.sync();
        }
    }
}

/// What one view said.
fn view(said: &ViewSaid) -> Value {
    let verdict = match said.judgement {
        Judgement::Pass => "pass",
        Judgement::Reject => "reject",
        Judgement::Divert(_) => "divert",
        Judgement::Missed => "missed",
    };
    json!({ "verdict": verdict, "why": why_word(said.why), "score": finite(said.score), "model": hex(&said.model.0) })
}

/// What the camera went through.
fn camera(stats: &SourceStats) -> Value {
    json!({
        "frames": stats.frames, "lost": stats.lost, "starved": stats.starved, "restamped": stats.restamped,
        "skipped": stats.skipped, "damaged": stats.damaged, "frozen": stats.frozen, "dark": stats.dark,
        "saturated": stats.saturated, "blurred": stats.blurred,
    })
}

/// JSON has no way to write "not a number".
fn finite(score: f32) -> Option<f32> {
    score.is_finite().then_some(score)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn mode_word(mode: Mode) -> &'static str {
    match mode {
        Mode::Starting => "starting",
        Mode::Running => "running",
        Mode::Holding { .. } => "holding",
        Mode::Stopped => "stopped",
    }
}

/// A reason as one word of the log.
pub fn why_word(why: Why) -> &'static str {
    match why {
        Why::Good => "good",
        Why::Score => "score",
        Why::Pixels => "pixels",
        Why::Region => "region",
        Why::Band => "band",
        Why::Sample => "sample",
        Why::NoScore => "no_score",
        Why::BadFrame => "bad_frame",
        Why::Engine => "engine",
        Why::Absent => "absent",
        Why::Late => "late",
        Why::Stale => "stale",
        Why::TooClose => "too_close",
        Why::Merged => "merged",
        Why::Held => "held",
        Why::NoRoom => "no_room",
        Why::LostTrigger => "lost_trigger",
        Why::WindowGone => "window_gone",
        Why::Unconfirmed => "unconfirmed",
        Why::Stopped => "stopped",
        Why::TooFewFrames => "too_few_frames",
        Why::PinFailed => "pin_failed",
        Why::Mismatch => "mismatch",
        Why::Touched => "touched",
        Why::TrackLost => "track_lost",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jidoka_line::{Micros, Travel};

    #[test]
    fn every_reason_is_documented() {
        let page = include_str!("../../../../docs/LINE.md");
        for why in Why::ALL {
            assert!(page.contains(&format!("| `{}` |", why_word(why))), "docs/LINE.md does not say what {why:?} is");
        }
    }

    #[test]
    fn a_gate_has_no_pulses_and_another_ejector_has() {
        let folder = tempfile::tempdir().expect("a folder");
        for (gate, first) in [(true, ["gate_shut", "gate_free"]), (false, ["pulse_on", "pulse_off"])] {
            let path = folder.path().join(format!("{gate}.jsonl"));
            let mut log = VerdictLog::to_file(&path, Registry::default()).expect("opens").with_gate(gate);
            for ejector in [EjectorId::REJECT, EjectorId(1)] {
                let pulse = PulseId(3);
                let on = What::PulseOn { pulse, ejector, part: PartId(7), planned: Travel::default(), late: 0 };
                for (at, what) in [(10, on), (30, What::PulseOff { pulse, ejector, late: None })] {
                    log.note(&Note { at: Micros::new(at), what });
                }
            }
            log.rest();
            log.sync();
            let text = std::fs::read_to_string(&path).expect("reads");
            let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
            let events: Vec<_> = lines.iter().map(|line| line["event"].as_str().unwrap_or_default()).collect();
            assert_eq!(events, [first[0], first[1], "pulse_on", "pulse_off"]);
            assert_eq!((lines[1]["width_us"].as_u64(), log.lost), (Some(20), 0));
        }
    }
}
