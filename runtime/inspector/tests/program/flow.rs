//! The ways of the README, end to end: teach, infer, bench, run, demo.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use crate::common::{check, check_error, jidoka, json_lines};
use jidoka_capture::{FrameSource as _, Synthetic, SyntheticConfig, images};
use serde_json::Value;

/// Writes `count` rendered parts as PNG files and returns how many of them are good.
pub fn render(folder: &Path, first_part: u32, count: u32, defect_rate: f64) -> usize {
    std::fs::create_dir_all(folder).expect("makes the folder");
    let config = SyntheticConfig { width: 320, height: 240, first_part, defect_rate, ..SyntheticConfig::default() };
    let mut source = Synthetic::open(&config).expect("opens");
    let mut good = 0;
    for part in 0..count {
        let frame = source.next(Duration::ZERO).expect("renders");
        good += usize::from(frame.meta().truth.is_some_and(jidoka_capture::Truth::is_good));
        let png = images::encode_png(&frame.view()).expect("encodes");
        std::fs::write(folder.join(format!("{part:03}.png")), png).expect("writes");
    }
    good
}

/// Teaches a small model, the same for every test here, in `folder`.
pub fn teach(folder: &Path) -> Value {
    render(&folder.join("good"), 0, 12, 0.0);
    let arguments = ["teach", "--good", "good", "--out", "m.onnx", "--size", "128", "--bank", "64", "--json"];
    json_lines(&check(folder, &arguments, 0).stdout).remove(0)
}

/// Writes the configuration of a station without wires.
pub fn station(folder: &Path, more: &str) {
    let text = format!(
        r#"
[station]
name = "test"
verdict_log = "verdicts.jsonl"

[camera]
source = "synthetic"
width = 320
height = 240
first_part = 12
fps = 20
defect_percent = 30

[model]
path = "m.onnx"

[reject]
delay_ms = 1500
pulse_ms = 20
pitch_ms = 40

[outputs]
backend = "sim"
{more}
"#
    );
    std::fs::write(folder.join("station.toml"), text).expect("writes");
}

/// The lines of one event.
pub fn count<'a>(lines: &'a [Value], event: &'a str) -> impl Iterator<Item = &'a Value> {
    lines.iter().filter(move |line| line["event"] == event)
}

#[test]
fn teach_infer_bench_and_inspect_agree_with_each_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path();
    let taught = teach(path);
    for key in ["model", "method", "images", "bank", "threshold", "seconds"] {
        assert!(!taught[key].is_null(), "teach says no {key}: {taught}");
    }
    assert_eq!((&taught["images"], &taught["method"]), (&12.into(), &"patchcore-lite".into()));

    let good = render(&path.join("new"), 100, 6, 0.5);
    assert!((1..6).contains(&good), "the seed gives good and bad parts");
    let arguments = ["infer", "m.onnx", "new", "--json", "--heatmap", "maps"];
    let scored = json_lines(&check(path, &arguments, 0).stdout);
    assert_eq!(scored.len(), 6);
    for line in &scored {
        let over = line["score"].as_f64() > line["threshold"].as_f64();
        assert_eq!(line["verdict"], if over { "reject" } else { "pass" }, "{line}");
        assert_eq!(line["threshold"], taught["threshold"]);
        assert!(path.join(line["heatmap"].as_str().expect("a path")).exists());
    }

    std::fs::write(path.join("new/broken.png"), b"not an image").expect("writes");
    let partly = check(path, &["infer", "m.onnx", "new", "--json"], 4);
    assert_eq!(json_lines(&partly.stdout).len(), 6);
    assert!(crate::common::text(&partly.stderr).contains("broken.png"));

    let bench = json_lines(&check(path, &["bench", "m.onnx", "--frames", "5", "--json"], 0).stdout).remove(0);
    for key in [
        "p50_us",
        "p99_us",
        "max_us",
        "fps",
        "allocs_per_frame",
        "page_faults_per_frame",
        "rss_bytes",
        "threads",
        "isa",
    ] {
        assert!(!bench[key].is_null(), "bench says no {key}: {bench}");
    }
    assert_eq!((&bench["allocs_per_frame"], &bench["profile"]), (&0.0.into(), &Value::Null));
    let inspected = json_lines(&check(path, &["model", "inspect", "m.onnx", "--json"], 0).stdout).remove(0);
    assert_eq!(inspected["threshold"]["score"], taught["threshold"]);
    check(path, &["model", "verify", "m.onnx"], 0);
}

#[test]
fn bench_measures_any_network_and_accounts_for_its_time_step_by_step() {
    let folder = tempfile::tempdir().expect("a folder");
    let backbone = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/zoo/edge-s.onnx");
    let arguments = ["bench", backbone, "--frames", "3", "--threads", "2", "--profile", "--json"];
    let bench = json_lines(&check(folder.path(), &arguments, 0).stdout).remove(0);
    assert_eq!((&bench["stages"]["prepare"], &bench["allocs_per_frame"]), (&Value::Null, &0.0.into()));
    let profile = &bench["profile"];
    assert_eq!(profile["runs"], 3);
    let steps = profile["steps"].as_array().expect("steps");
    let sum = |key: &str| steps.iter().filter_map(|step| step[key].as_f64()).sum::<f64>();
    assert!((sum("percent") - 100.0).abs() < 0.1 * steps.len() as f64, "{profile}");
    let inspected = json_lines(&check(folder.path(), &["model", "inspect", backbone, "--json"], 0).stdout).remove(0);
    assert_eq!(inspected["plan"]["macs"].as_f64(), Some(sum("macs")));
    check_error(folder.path(), &["bench", "none.onnx", "--profile"], 4, &["none.onnx"]);
}

#[test]
fn a_run_logs_every_part_and_every_edge_once_and_ends_safe() {
    let folder = tempfile::tempdir().expect("a folder");
    teach(folder.path());
    station(folder.path(), "");
    check(folder.path(), &["check", "station.toml"], 0);
    check(folder.path(), &["run", "station.toml", "--frames", "12"], 0);
    let log = json_lines(&std::fs::read(folder.path().join("verdicts.jsonl")).expect("a log"));

    let mut parts: Vec<u64> = count(&log, "part").filter_map(|line| line["part"].as_u64()).collect();
    parts.sort_unstable();
    assert_eq!(parts, (1..=12).collect::<Vec<_>>(), "every part leaves once");
    let ids = |event: &'static str| count(&log, event).filter_map(|line| line["pulse"].as_u64()).collect::<Vec<_>>();
    assert_eq!(ids("pulse_on"), ids("pulse_off"));
    for line in count(&log, "part").filter(|line| line["verdict"] == "reject") {
        assert!(ids("pulse_on").contains(&line["pulse"].as_u64().expect("a pulse")), "{line}");
    }
    for line in count(&log, "pulse_on") {
        assert!(line["delay_us"].as_u64() >= Some(1_500_000), "never before its window: {line}");
    }
    let outputs = count(&log, "outputs").next().expect("the levels at the end");
    assert!(outputs["active"].as_object().expect("signals").values().all(|active| active == false), "{outputs}");
    let end = count(&log, "end").next().expect("the counts");
    let of = |key: &str| end[key].as_u64().expect("a count");
    assert_eq!(of("parts"), of("passed") + of("rejected") + of("missed"));
}

#[test]
fn signals_end_a_run_in_order_with_the_outputs_safe() {
    let folder = tempfile::tempdir().expect("a folder");
    teach(folder.path());
    station(folder.path(), "active_low = [\"reject\"]");
    let text = std::fs::read_to_string(folder.path().join("station.toml")).expect("reads");
    let to_stdout = text.replace("verdict_log = \"verdicts.jsonl\"\n", "");
    std::fs::write(folder.path().join("station.toml"), to_stdout).expect("writes");
    for signal in ["-TERM", "-INT"] {
        let mut child = jidoka(folder.path(), &["run", "station.toml"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines().map_while(Result::ok);
        // In the middle of things: the ejector has just been switched on.
        assert!(lines.any(|line| line.contains("pulse_on")), "no pulse came");
        let sent = std::process::Command::new("kill").args([signal, &child.id().to_string()]).status().expect("kill");
        assert!(sent.success());
        let rest: Vec<Value> = lines.map(|line| serde_json::from_str(&line).expect("JSON")).collect();
        assert_eq!(child.wait().expect("it ends").code(), Some(0), "{signal}");
        let outputs = count(&rest, "outputs").next().expect("the levels at the end");
        assert!(outputs["active"].as_object().expect("signals").values().all(|active| active == false), "{outputs}");
        assert_eq!(count(&rest, "pulse_off").count(), count(&rest, "pulse_on").count() + 1, "the pulse was ended");
    }
}

#[test]
fn the_demo_counts_from_the_wire_and_writes_a_page_that_stands_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let arguments = ["demo", "--parts", "24", "--good", "12", "--defective", "30%", "--report", "r.html", "--json"];
    let output = jidoka(folder.path(), &arguments).output().expect("the program starts");
    // Escapes are an exit code of their own; with a dozen good parts taught they are no fault of the program.
    assert!(matches!(output.status.code(), Some(0 | 1)), "{}", crate::common::text(&output.stderr));
    let demo = json_lines(&output.stdout).remove(0);
    let of = |key: &str| demo[key].as_u64().unwrap_or_else(|| panic!("no {key} in {demo}"));
    // A busy machine may come too late for a part, which the demo then has to own up to; nothing else makes it miss one.
    let late = demo["reasons"]["window_gone"].as_u64().unwrap_or(0);
    assert_eq!((of("parts"), of("missed"), of("disagreements")), (24, late, 0), "{demo}");
    assert_eq!(of("rejects") + of("escapes"), of("defective") + of("false_rejects"), "{demo}");
    for key in ["p50_us", "p99_us", "allocs_per_frame"] {
        assert!(demo[key].is_number(), "no {key} in {demo}");
    }
    let page = std::fs::read_to_string(folder.path().join("r.html")).expect("the report");
    assert!(page.contains("data:image/png;base64,") && page.contains("From exposure to pulse"));
    assert!(!page.replace("http://www.w3.org/2000/svg", "").contains("http"), "it refers to something outside itself");
    assert!(page.contains("the same score to the bit"), "a part was scored differently the second time");
}
