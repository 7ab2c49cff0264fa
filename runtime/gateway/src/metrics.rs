//! What Prometheus scrapes, in the OpenMetrics text format.

use jidoka_telemetry::{CameraRecord, CameraState, STAGES, Status, VerdictRecord};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, text};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::view::{Health, View};

/// Bounds of the stage histograms, in seconds: from a fast stage to a part that is far too late.
const BOUNDS_S: [f64; 12] = [0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5];

type Stages = Family<Vec<(String, String)>, Histogram, fn() -> Histogram>;

/// Gathered as records come in; the rest is read from the status when asked.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    stages: Stages,
}

impl Default for Metrics {
    fn default() -> Self {
        Metrics { stages: Family::new_with_constructor(|| Histogram::new(BOUNDS_S)) }
    }
}

impl Metrics {
    /// Take in a verdict's times.
    pub(crate) fn observe(&self, verdict: &VerdictRecord) {
        for (stage, time_us) in STAGES.iter().zip(verdict.stages.each()) {
            let labels = vec![("stage".to_string(), stage.to_string())];
            self.stages.get_or_create(&labels).observe(f64::from(time_us) / 1e6);
        }
    }
}

/// The status as Prometheus wants it.
#[derive(Debug)]
struct Snapshot {
    status: Status,
    camera: CameraRecord,
    health: Health,
    lost: u64,
    restarts: u64,
    silent_us: u64,
}

impl Collector for Snapshot {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let status = &self.status;
        let counters = [
            ("parts", "Parts triggered", status.parts),
            ("passed", "Parts passed", status.passed),
            ("rejected", "Parts rejected", status.rejected),
            ("missed", "Parts without a verdict in time", status.missed),
            ("frames", "Frames received", status.frames),
            ("dropped_frames", "Frames that the driver dropped", status.dropped_frames),
            ("bad_frames", "Frames that were short, corrupt or late", status.bad_frames),
            (
                "sealed_allocations",
                "Heap allocations in the sealed loop; 0 unless the promise is broken",
                status.sealed_allocations,
            ),
            ("sealed_faults", "Page faults in the sealed loop; 0 unless the promise is broken", status.sealed_faults),
            ("lost_records", "Telemetry records overwritten before the gateway read them", self.lost),
            ("inspector_restarts", "Restarts of the inspector that the gateway saw", self.restarts),
        ];
        for (name, help, value) in counters {
            let counter = ConstCounter::new(value);
            counter.encode(encoder.encode_descriptor(
                name,
                help,
                None,
                prometheus_client::metrics::MetricType::Counter,
            )?)?;
        }
        let descriptions = [
            "Frames that the camera gave",
            "Frames that the driver numbered and never gave",
            "Lost frames for which the driver had no buffer",
            "Frames timed by their arrival, because the driver's time was not usable",
            "Frames passed over for a newer one",
            "Frames that came damaged or short",
            "Frames equal to the one before",
            "Frames too dark to judge",
            "Frames too bright to judge",
            "Frames out of focus",
            "Times that the camera was opened again",
        ];
        for ((name, value), help) in self.camera.counts().into_iter().zip(descriptions) {
            let counter = ConstCounter::new(value);
            let name = format!("camera_{name}");
            let kind = prometheus_client::metrics::MetricType::Counter;
            counter.encode(encoder.encode_descriptor(&name, help, None, kind)?)?;
        }
        let streams = self.camera.state == CameraState::Streaming.code();
        let gauges = [
            ("camera_up", "1 while the camera gives frames that differ", f64::from(u8::from(streams))),
            ("up", "1 while the inspector runs and says so", f64::from(u8::from(self.health.is_healthy()))),
            ("alarms", "Alarms that stand now, one bit each", f64::from(status.alarms)),
            ("consecutive_rejects", "Rejects since the last pass", f64::from(status.consecutive_rejects)),
            ("threshold", "Score above which a part is rejected", f64::from(status.threshold)),
        ];
        for (name, help, value) in gauges {
            let gauge = ConstGauge::new(value);
            gauge.encode(encoder.encode_descriptor(
                name,
                help,
                None,
                prometheus_client::metrics::MetricType::Gauge,
            )?)?;
        }
        let silent = ConstGauge::new(self.silent_us as f64 / 1e6);
        let kind = prometheus_client::metrics::MetricType::Gauge;
        let help = "Time since the inspector's last sign of life";
        silent.encode(encoder.encode_descriptor("silent", help, Some(&Unit::Seconds), kind)?)
    }
}

/// The text for `/metrics`.
pub(crate) fn render(view: &View, now_us: u64, health: Health) -> Result<String, std::fmt::Error> {
    let mut registry = Registry::with_prefix("jidoka");
    let status = view.status.unwrap_or_default();
    let silent_us = view.silent_us(now_us).unwrap_or_default();
    registry.register_collector(Box::new(Snapshot {
        status,
        camera: view.camera.unwrap_or_default(),
        health,
        lost: view.lost,
        restarts: view.restarts,
        silent_us,
    }));
    let stages = view.metrics.stages.clone();
    registry.register_with_unit("stage", "Time spent on a part, by stage", Unit::Seconds, stages);
    let mut out = String::new();
    text::encode(&mut out, &registry)?;
    Ok(out)
}
