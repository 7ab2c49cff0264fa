//! What the API says, as JSON. Keys are part of the interface: add, do not rename.

use jidoka_telemetry::{CameraRecord, CameraState, EventRecord, STAGES, Status, VerdictRecord};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::view::{Health, View};

/// `/api/status`.
pub(crate) fn status(view: &View, now_us: u64, health: Health) -> Value {
    json!({
        "health": health.name(),
        "problem": view.problem,
        "silent_ms": view.silent_us(now_us).map(|silent| silent / 1000),
        "restarts": view.restarts,
        "lost_records": view.lost,
        "inspector": view.status.as_ref().map(inspector),
        "camera": view.camera.as_ref().map(camera),
        "events": view.events.iter().rev().take(20).map(|(index, event)| self::event(*index, event)).collect::<Vec<_>>(),
    })
}

fn inspector(status: &Status) -> Value {
    json!({
        "state": status.state().map(|state| state.name()),
        "station": status.station.as_str(),
        "recipe": status.recipe.as_str(),
        "model": status.model.as_str(),
        "threshold": status.threshold,
        "started_unix_us": status.started_unix_us,
        "alarms": status.alarms,
        "parts": status.parts,
        "passed": status.passed,
        "rejected": status.rejected,
        "missed": status.missed,
        "consecutive_rejects": status.consecutive_rejects,
        "frames": status.frames,
        "dropped_frames": status.dropped_frames,
        "bad_frames": status.bad_frames,
        "p50_us": status.p50_us,
        "p99_us": status.p99_us,
        "max_us": status.max_us,
        "edge_late_p50_us": status.edge_late_p50_us,
        "edge_late_p99_us": status.edge_late_p99_us,
        "edge_late_max_us": status.edge_late_max_us,
        "off_late_p50_us": status.off_late_p50_us,
        "off_late_p99_us": status.off_late_p99_us,
        "off_late_max_us": status.off_late_max_us,
        "sealed_allocations": status.sealed_allocations,
        "sealed_faults": status.sealed_faults,
    })
}

/// `state` is `streaming`, `lost` or `frozen`; the rest are counts since the inspector started.
fn camera(camera: &CameraRecord) -> Value {
    let counts = camera.counts().map(|(name, count)| (name.to_owned(), Value::from(count)));
    let state = CameraState::from_code(camera.state).map(|state| state.name());
    counts.into_iter().chain([("state".to_owned(), state.into())]).collect::<Map<_, _>>().into()
}

fn event(index: u64, event: &EventRecord) -> Value {
    json!({
        "index": index,
        "kind": event.kind().map(|kind| kind.name()),
        "at_unix_us": event.at_unix_us,
        "value": event.value,
        "subject": event.subject.as_str(),
        "detail": event.detail.as_str(),
    })
}

/// An entry of `/api/verdicts`.
#[derive(Serialize)]
pub(crate) struct Verdict {
    index: u64,
    sequence: u64,
    part: u64,
    verdict: Option<&'static str>,
    /// Null when there is none.
    score: f32,
    threshold: f32,
    frame: u32,
    captured_at_us: u64,
    decided_at_us: u64,
    decided_unix_us: u64,
    stages_us: Map<String, Value>,
    allocations: u32,
    faults: u32,
    dropped_frames: u32,
    model_digest: String,
    recipe: String,
    /// The worst view, whose score, threshold and model these are.
    view: String,
    /// The score of each view, the first one first.
    view_scores: Vec<f32>,
}

impl Verdict {
    pub(crate) fn new(index: u64, record: &VerdictRecord) -> Self {
        let stages = STAGES.iter().zip(record.stages.each());
        Verdict {
            index,
            sequence: record.sequence,
            part: record.part,
            verdict: record.verdict().map(|verdict| verdict.name()),
            score: record.score,
            threshold: record.threshold,
            frame: record.frame,
            captured_at_us: record.captured_at_us,
            decided_at_us: record.decided_at_us,
            decided_unix_us: record.decided_unix_us,
            stages_us: stages.map(|(name, time)| (name.to_string(), time.into())).collect(),
            allocations: record.allocations,
            faults: record.faults,
            dropped_frames: record.dropped_frames,
            model_digest: record.model_digest.iter().map(|byte| format!("{byte:02x}")).collect(),
            recipe: record.recipe.as_str().into(),
            view: record.view.as_str().into(),
            view_scores: record.view_scores.iter().copied().take(record.views as usize).collect(),
        }
    }
}
