//! Plays the operator inside the virtual board: teaches from the camera, runs the station, shows it a defect, pulls the
//! plug; and writes down what the log says and what the kernel's GPIO chip saw. It judges nothing: the host's test does.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use jidoka_capture::Camera;
use jidoka_tests::watch::{Edge, Watcher, levels};
use serde_json::{Value, json};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Lines of the chip that the station is wired to.
const WIRED_LINES: usize = 6;
/// vivid's test pattern that is taught as good, and the one that is shown as a defect.
const GOOD_PATTERN: i64 = 0;
const DEFECT_PATTERN: i64 = 11;
/// How long any one thing may take in an emulated machine on a busy host before the scenario gives up.
const PATIENCE: Duration = Duration::from_secs(300);
const CAMERA: &str = "/dev/video0";
const CONFIG: &str = "/tmp/board.toml";
const MODEL: &str = "/tmp/board.onnx";
const LOG: &str = "/tmp/verdicts.jsonl";

const STATION: &str = r#"
[station]
name = "virtual-board"
verdict_log = "/tmp/verdicts.jsonl"

[camera]
source = "v4l2"
device = "/dev/video0"
format = "YUYV"
width = 640
height = 360
fps = 1
keep = "latest"
timeout_ms = 30000

# A test pattern is no lit part: what the watch says of it is counted, and rejects nothing.
[health]
frozen_frames = 0
on_trouble = "count"

[model]
path = "/tmp/board.onnx"

[reject]
delay_ms = 6000
pulse_ms = 300
pitch_ms = 500

[outputs]
backend = "gpio"
reject = "sim/SIM0"
ready = "sim/SIM1"
busy = "sim/SIM2"
pass = "sim/SIM3"
alarm = "sim/SIM4"
heartbeat = "SIM5"
"#;

fn main() -> Result<()> {
    let bank = PathBuf::from(std::env::var("BOARD_GPIO_SYSFS")?);
    fs::write(CONFIG, STATION)?;
    show(GOOD_PATTERN)?;
    let report = json!({
        "teach": teach()?,
        "refusals": refusals()?,
        "check": run_to_end(&["check", CONFIG])?,
        "inspect": inspect(&bank)?,
        "kill": kill(&bank)?,
    });
    fs::write("/share/report.json", serde_json::to_vec_pretty(&report)?)?;
    Ok(())
}

/// Puts a test pattern before the camera.
fn show(pattern: i64) -> Result<()> {
    Camera::open(Path::new(CAMERA))?.set_control("test_pattern", pattern)?;
    Ok(())
}

/// Runs `jidoka` with `arguments` and reports how that ended.
fn run_to_end(arguments: &[&str]) -> Result<Value> {
    let began = Instant::now();
    let output = Command::new("jidoka").args(arguments).stdin(Stdio::null()).output()?;
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    println!("$ jidoka {} -> {:?}\n{out}{err}", arguments.join(" "), output.status.code());
    Ok(json!({ "code": output.status.code(), "out": out, "err": err, "seconds": began.elapsed().as_secs_f64() }))
}

fn teach() -> Result<Value> {
    run_to_end(&["teach", "--config", CONFIG, "--parts", "20", "--pause-ms", "1", "--out", MODEL, "--json"])
}

/// Configurations with one thing wrong each, as they are met on site.
fn refusals() -> Result<Value> {
    let wrong = [
        ("no-device", "/dev/video0", "/dev/video7"),
        ("no-pin", "sim/SIM0", "sim/SIM77"),
        ("no-chip", "sim/SIM0", "gpio-of-another-board/SIM0"),
        ("no-format", "YUYV", "SRGGB12P"),
        ("no-model", "/tmp/board.onnx", "/tmp/other.onnx"),
    ];
    let mut answers = serde_json::Map::new();
    for (name, good, bad) in wrong {
        let file = format!("/tmp/{name}.toml");
        fs::write(&file, STATION.replace(good, bad))?;
        answers.insert(name.into(), run_to_end(&["run", &file, "--frames", "1"])?);
    }
    // Someone else holds the camera, then the pin.
    let mut station = start_station()?;
    wait_for_parts(&mut station, 1)?;
    let file = "/tmp/second.toml";
    fs::write(file, STATION.replace("verdicts.jsonl", "second.jsonl"))?;
    answers.insert("busy".into(), run_to_end(&["run", file, "--frames", "1"])?);
    stop(&mut station, "-TERM")?;
    Ok(Value::Object(answers))
}

/// Starts the station with an empty verdict log.
fn start_station() -> Result<Child> {
    let _ = fs::remove_file(LOG);
    Ok(Command::new("jidoka").args(["run", CONFIG]).stdin(Stdio::null()).spawn()?)
}

/// Verdict lines so far. The last line may be half-written; it counts when it is whole.
fn log_lines() -> Vec<Value> {
    let text = fs::read_to_string(LOG).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

fn parts_in_log() -> usize {
    log_lines().iter().filter(|line| line["event"] == "part").count()
}

/// Waits until `station` has logged `count` parts in all.
fn wait_for_parts(station: &mut Child, count: usize) -> Result<()> {
    wait_until(station, &format!("{count} parts"), || parts_in_log() >= count)
}

fn wait_until(station: &mut Child, what: &str, mut reached: impl FnMut() -> bool) -> Result<()> {
    let began = Instant::now();
    while !reached() {
        if let Some(status) = station.try_wait()? {
            return Err(format!("the station ended ({status}) while waiting for {what}").into());
        }
        if began.elapsed() > PATIENCE {
            return Err(format!("no {what} within {} s; log: {:?}", PATIENCE.as_secs(), log_lines()).into());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// Sends a signal (busybox's `kill`) and waits for the end.
fn stop(station: &mut Child, signal: &str) -> Result<Option<i32>> {
    Command::new("busybox").args(["kill", signal, &station.id().to_string()]).status()?;
    Ok(station.wait()?.code())
}

/// Good parts, then bad ones, then good ones again, then SIGTERM.
fn inspect(bank: &Path) -> Result<Value> {
    let before = levels(bank, WIRED_LINES)?;
    let watcher = Watcher::start(bank, WIRED_LINES)?;
    show(GOOD_PATTERN)?;
    let mut station = start_station()?;
    let mut shown = Vec::new();
    for (pattern, parts) in [(GOOD_PATTERN, 6), (DEFECT_PATTERN, 8), (GOOD_PATTERN, 8)] {
        show(pattern)?;
        shown.push(json!({ "pattern": pattern, "at_us": now_us() }));
        let so_far = parts_in_log();
        wait_for_parts(&mut station, so_far + parts)?;
    }
    let code = stop(&mut station, "-TERM")?;
    let after = levels(bank, WIRED_LINES)?;
    let edges: Vec<Value> = watcher.finish().iter().map(edge_json).collect();
    Ok(json!({
        "good_pattern": GOOD_PATTERN, "shown": shown, "code": code, "log": log_lines(), "edges": edges,
        "levels_before": before, "levels_after": after,
    }))
}

/// Bad parts, and SIGKILL while the ejector is on: nobody can clean up but the kernel.
fn kill(bank: &Path) -> Result<Value> {
    show(DEFECT_PATTERN)?;
    let mut station = start_station()?;
    wait_until(&mut station, "a pulse", || levels(bank, WIRED_LINES).is_ok_and(|levels| levels[0]))?;
    let during = levels(bank, WIRED_LINES)?;
    stop(&mut station, "-KILL")?;
    Ok(json!({ "levels_during": during, "levels_after": levels(bank, WIRED_LINES)? }))
}

fn edge_json(edge: &Edge) -> Value {
    json!({ "line": edge.line, "high": edge.high, "at_us": edge.seen_at.as_micros() as u64 })
}

fn now_us() -> u64 {
    jidoka_tests::watch::monotonic_now().as_micros() as u64
}
