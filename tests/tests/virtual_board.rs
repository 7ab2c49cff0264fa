//! The release binary on an emulated ARM board, with a real kernel's camera (vivid) and GPIO chip (gpio-sim).
//!
//! Emulated time is slow and uneven, so order, counts and generous bounds are asserted, never a frame rate.

use std::path::Path;

use jidoka_tests::board::Programs;
use serde_json::Value;

/// Offsets of the lines in the station's configuration (`board_agent.rs`).
const REJECT: u64 = 0;
const HEARTBEAT: u64 = 5;
/// `[reject]` of that configuration.
const DELAY_US: u64 = 6_000_000;
const PULSE_US: u64 = 300_000;
/// How late an emulated machine on a busy host may be, and how far watcher and log may disagree.
const GENEROUS_US: u64 = 1_500_000;
const BOOT_LIMIT_S: u32 = 2700;

#[test]
fn the_binary_inspects_and_rejects_on_real_drivers() {
    let Some(programs) = Programs::find_or_skip("virtual board") else { return };
    let share = tempfile::tempdir().expect("a temporary folder");
    let boot = programs.boot("inspect", share.path(), BOOT_LIMIT_S).expect("tests/board/boot starts");
    println!("{}", boot.output);
    assert_eq!(boot.code, 0, "the board's scenario failed");
    let report = read(&share.path().join("report.json"));

    teaching_succeeded(&report["teach"]);
    refusals_are_clear(&report["refusals"]);
    assert_eq!(report["check"]["code"], 0, "check accepts what run accepts: {}", report["check"]);
    let inspect = &report["inspect"];
    assert_eq!(inspect["code"], 0, "SIGTERM is an orderly end");
    verdicts_follow_the_pattern(inspect);
    pulses_match_the_log(inspect);
    heartbeat_counts_inspections(inspect);
    nothing_was_allocated_in_the_loop(inspect);
    for levels in [&inspect["levels_before"], &inspect["levels_after"], &report["kill"]["levels_after"]] {
        assert!(all_low(levels), "outputs are safe before start, after SIGTERM and after SIGKILL: {report:#}");
    }
    assert_eq!(report["kill"]["levels_during"][REJECT as usize], true, "SIGKILL came while the ejector was on");
}

fn read(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).expect("the agent wrote its report");
    serde_json::from_str(&text).expect("the report is JSON")
}

fn all_low(levels: &Value) -> bool {
    let levels = levels.as_array().expect("levels");
    !levels.is_empty() && levels.iter().all(|level| level == false)
}

fn teaching_succeeded(teach: &Value) {
    assert_eq!(teach["code"], 0, "teach: {teach}");
    let answer: Value = serde_json::from_str(teach["out"].as_str().expect("text")).expect("teach --json prints JSON");
    assert_eq!(answer["images"], 20, "{answer}");
    assert!(answer["threshold"].as_f64().is_some_and(f64::is_finite), "{answer}");
}

/// Each refusal is one message that names what was wrong, with an exit code of its kind.
fn refusals_are_clear(refusals: &Value) {
    for (name, words) in [
        ("no-device", &["/dev/video7"][..]),
        ("no-pin", &["SIM77", "SIM7"]),
        ("no-chip", &["gpio-of-another-board", "sim"]),
        ("no-format", &["YUYV"]),
        ("no-model", &["/tmp/other.onnx"]),
        ("busy", &["/dev/video0"]),
    ] {
        let answer = &refusals[name];
        let text = answer["err"].as_str().unwrap_or_default();
        assert!(answer["code"].as_i64().is_some_and(|code| code > 0), "{name} is refused: {answer}");
        assert!(!text.contains("panicked"), "{name} is refused in words: {text}");
        for word in words {
            assert!(text.contains(word), "{name}: the message names `{word}`: {text}");
        }
    }
}

fn events<'a>(inspect: &'a Value, event: &str) -> Vec<&'a Value> {
    inspect["log"].as_array().expect("a log").iter().filter(|line| line["event"] == event).collect()
}

fn number(value: &Value, key: &str) -> u64 {
    value[key].as_u64().unwrap_or_else(|| panic!("`{key}` is a number in {value}"))
}

/// Parts whose frame was taken well inside one pattern's time are judged by that pattern.
fn verdicts_follow_the_pattern(inspect: &Value) {
    let shown = inspect["shown"].as_array().expect("patterns");
    let good_pattern = &inspect["good_pattern"];
    // vivid fills buffers ahead: a frame dequeued just after a switch may still show the pattern before it.
    const SETTLE_US: u64 = 3_000_000;
    let (mut good, mut passed, mut defective) = (0, 0, 0);
    for part in events(inspect, "part") {
        let captured_us = number(part, "captured_us");
        let Some(index) = shown.iter().rposition(|s| number(s, "at_us") <= captured_us) else { continue };
        let next_us = shown.get(index + 1).map_or(u64::MAX, |s| number(s, "at_us"));
        let settled = captured_us > number(&shown[index], "at_us") + SETTLE_US && captured_us + SETTLE_US < next_us;
        // The end of the run rejects what is still in flight, whatever it shows.
        if !settled || part["why"] == "stopped" || part["why"] == "absent" || part["why"] == "late" {
            continue;
        }
        if shown[index]["pattern"] == *good_pattern {
            good += 1;
            passed += u32::from(part["verdict"] == "pass");
        } else {
            defective += 1;
            assert_eq!(part["verdict"], "reject", "a defect never passes: {part}");
        }
    }
    assert!(defective >= 2 && good >= 4, "{good} good and {defective} defective parts were judged");
    assert!(passed * 2 > good, "only {passed} of {good} good parts passed");
}

/// The wires as the kernel saw them, against the log: the same pulses in the same order at the same times.
fn pulses_match_the_log(inspect: &Value) {
    let (on, off) = (events(inspect, "pulse_on"), events(inspect, "pulse_off"));
    let edges: Vec<&Value> =
        inspect["edges"].as_array().expect("edges").iter().filter(|edge| edge["line"] == REJECT).collect();
    assert!(on.len() >= 2, "only {} pulses", on.len());
    assert_eq!(on.len(), off.len(), "every pulse ends");
    assert_eq!(edges.len(), on.len() * 2, "as many edges on the wire as in the log: {edges:?}\n{on:?}\n{off:?}");
    for ((on, off), edges) in on.iter().zip(&off).zip(edges.chunks_exact(2)) {
        assert_eq!(on["pulse"], off["pulse"], "pulses do not overlap on one wire");
        assert!(edges[0]["high"] == true && edges[1]["high"] == false, "a pulse is high, then low: {edges:?}");
        for (edge, logged) in [(edges[0], on), (edges[1], off)] {
            let apart_us = number(edge, "at_us").abs_diff(number(logged, "at_us"));
            assert!(apart_us < GENEROUS_US, "wire and log are {apart_us} us apart: {edge} {logged}");
        }
        let delay_us = number(on, "delay_us");
        assert!((DELAY_US..DELAY_US + GENEROUS_US).contains(&delay_us), "the pulse came after {delay_us} us: {on}");
        let width_us = number(off, "width_us");
        // The window's edges are absolute: a pulse that starts late still ends on time.
        assert!((PULSE_US / 2..PULSE_US + GENEROUS_US).contains(&width_us), "the pulse lasted {width_us} us: {off}");
    }
    let parts = events(inspect, "part");
    for pulse in &on {
        let rejected = parts.iter().any(|p| p["verdict"] == "reject" && p["pulse"] == pulse["pulse"]);
        assert!(rejected, "a pulse belongs to a rejected part: {pulse}");
    }
    for part in parts.iter().filter(|p| p["verdict"] == "reject") {
        assert!(on.iter().any(|p| p["pulse"] == part["pulse"]), "a rejected part has a pulse: {part}");
    }
}

fn nothing_was_allocated_in_the_loop(inspect: &Value) {
    let end = events(inspect, "end");
    assert_eq!(end.len(), 1, "the log has one end");
    assert_eq!(end[0]["allocations"], 0, "the sealed loop takes no memory on this architecture either: {}", end[0]);
}

fn heartbeat_counts_inspections(inspect: &Value) {
    let edges = inspect["edges"].as_array().expect("edges").iter().filter(|edge| edge["line"] == HEARTBEAT).count();
    let judged = events(inspect, "part").iter().filter(|part| !part["score"].is_null()).count();
    // The last toggle may be followed by one more edge, to the safe level.
    assert!(edges >= judged.saturating_sub(2), "{edges} heartbeat edges for {judged} inspections");
}
