//! What `jidoka run` says when it ends: how many parts, how they left, how fast it was.

use std::io::Write as _;

use serde_json::{Value, json};

use super::ui::{self, Table, ms};
use crate::config::Config;
use crate::station::Ended;

/// Says the counts. The table goes to standard output where the verdicts are in a file, else to standard error: whoever reads
/// the verdicts from standard output finds nothing but JSON lines there.
pub fn say(config: &Config, ended: &Ended, as_json: bool) {
    if as_json {
        return ui::say_json(&object(config, ended));
    }
    let text = table(config, ended);
    if config.station.verdict_log.is_some() {
        ui::say(text.trim_end());
    } else {
        let _ = writeln!(std::io::stderr().lock(), "{}", text.trim_end());
    }
}

/// Allocations a frame in the sealed loop.
fn allocations_per_frame(ended: &Ended) -> f64 {
    let frames = ended.inspected.as_ref().map_or(0, |inspected| inspected.sealed_frames);
    ended.allocations.total() as f64 / frames.max(1) as f64
}

fn object(config: &Config, ended: &Ended) -> Value {
    let mut value = json!({
        "event": "summary",
        "config": config.file,
        "reason": ended.reason.describe(),
        "allocs_per_frame": allocations_per_frame(ended),
        "verdict_log": config.station.verdict_log,
    });
    if let Some(acted) = &ended.acted {
        let counters = &acted.counters;
        value["parts"] = counters.triggered.into();
        value["passes"] = counters.passed.into();
        value["rejects"] = counters.rejected.into();
        value["missed"] = counters.missed.into();
        value["pulses"] = counters.pulses.into();
        value["edge_late_p99_us"] = acted.lateness.summary().p99_us.into();
    }
    if let Some(inspected) = &ended.inspected {
        let total = inspected.total.summary();
        value["frames"] = inspected.frames.into();
        value["frames_lost"] = inspected.source.lost.into();
        value["p50_us"] = total.p50_us.into();
        value["p99_us"] = total.p99_us.into();
        value["max_us"] = total.max_us.into();
        value["page_faults"] = inspected.page_faults.into();
    }
    value
}

fn table(config: &Config, ended: &Ended) -> String {
    let mut text = String::new();
    if let Some(acted) = &ended.acted {
        let counters = &acted.counters;
        let mut table = Table::default();
        let mut fact = |name: &str, value: u64, remark: &str| {
            table.row([name.into(), value.to_string(), remark.into()]);
        };
        fact("parts", counters.triggered, "");
        fact("passes", counters.passed, "");
        fact("rejects", counters.rejected, "");
        fact("missed", counters.missed, "neither passed nor rejected in time, or in flight when it was stopped");
        text += &table.render_left();
    }
    let mut table = Table::new(["ms", "p50", "p99", "max"]);
    let inspected = ended.inspected.as_ref().map(|inspected| ("exposure to verdict", inspected.total.summary()));
    let acted = ended.acted.as_ref().map(|acted| ("ejector edge, late by", acted.lateness.summary()));
    for (name, times) in inspected.into_iter().chain(acted) {
        table.row([name.into(), ms(times.p50_us), ms(times.p99_us), ms(times.max_us)]);
    }
    text +=
        &format!("\n{}  {:.2} allocations a frame in the sealed loop", table.render(), allocations_per_frame(ended));
    if let Some(log) = &config.station.verdict_log {
        text += &format!("\n  verdicts: {}", log.display());
    }
    text
}
