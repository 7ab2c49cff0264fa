//! The same with the whole station: the release binary inspects while its camera is pulled and comes back.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Count, DRIVER, Holdings, PATIENCE, Result};

const CONFIG: &str = "/tmp/unplug.toml";
const LOG: &str = "/tmp/unplug.jsonl";
const STATION: &str = r#"
[station]
name = "unplug"
verdict_log = "/tmp/unplug.jsonl"

[camera]
source = "v4l2"
device = "/dev/video0"
format = "YUYV"
width = 640
height = 360
fps = 10
keep = "latest"
timeout_ms = 30000

# A test pattern is no lit part: what the watch says of it is counted, and rejects nothing.
[health]
frozen_frames = 0
on_trouble = "count"

[model]
path = "/tmp/unplug.onnx"

[reject]
delay_ms = 3000
pulse_ms = 20
pitch_ms = 90

[outputs]
backend = "sim"
"#;

/// The verdict log as it grows.
struct Log {
    lines: BufReader<File>,
    /// A line that is not whole yet.
    begun: String,
    held: u32,
    running: u32,
    end: Option<Value>,
}

impl Log {
    fn open() -> Result<Log> {
        Ok(Log { lines: BufReader::new(File::open(LOG)?), begun: String::new(), held: 0, running: 0, end: None })
    }

    /// Reads what has been written since the last time.
    fn read_on(&mut self) -> Result<()> {
        while self.lines.read_line(&mut self.begun)? > 0 {
            if !self.begun.ends_with('\n') {
                return Ok(());
            }
            let line: Value = serde_json::from_str(&self.begun)?;
            self.begun.clear();
            match (line["event"].as_str(), line["mode"].as_str()) {
                (Some("mode"), Some("holding")) => self.held += 1,
                (Some("mode"), Some("running")) => self.running += 1,
                (Some("end"), _) => self.end = Some(line),
                _ => {}
            }
        }
        Ok(())
    }

    /// Waits until the log says so.
    fn wait(&mut self, station: &mut Child, what: &str, is_there: impl Fn(&Log) -> bool) -> Result<()> {
        let until = Instant::now() + 5 * PATIENCE;
        loop {
            self.read_on()?;
            if is_there(self) {
                return Ok(());
            }
            if let Some(status) = station.try_wait()? {
                return Err(format!("the station ended ({status}) while waiting for {what}").into());
            }
            if Instant::now() > until {
                return Err(format!("no {what}: held {}, running {}", self.held, self.running).into());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Pulls the camera of a running station. The time is from the driver's return until the station is ready again: its camera open
/// and a frame inspected.
///
/// # Errors
/// When a command fails, or the station ends or stays held.
pub fn by_unbinding_the_stations(rounds: u32) -> Result<Value> {
    fs::write(CONFIG, STATION)?;
    let teach = ["teach", "--config", CONFIG, "--parts", "12", "--pause-ms", "0", "--size", "64", "--bank", "64"];
    run(Command::new("jidoka").args(teach).args(["--out", "/tmp/unplug.onnx"]))?;
    let mut station = Command::new("jidoka").args(["run", CONFIG]).stdin(Stdio::null()).spawn()?;
    let found = pull(&mut station, rounds);
    if found.is_err() {
        station.kill()?;
    }
    found
}

fn pull(station: &mut Child, rounds: u32) -> Result<Value> {
    let began = Instant::now();
    let mut log = loop {
        match Log::open() {
            Ok(log) => break log,
            Err(error) if began.elapsed() > PATIENCE => return Err(error),
            Err(_) => std::thread::sleep(Duration::from_millis(50)),
        }
    };
    log.wait(station, "start", |log| log.running >= 1)?;
    let mut count = Count::new(rounds);
    for round in 1..=rounds {
        fs::write(format!("{DRIVER}/unbind"), "vivid.0")?;
        log.wait(station, "hold", |log| log.held >= round)?;
        fs::write(format!("{DRIVER}/bind"), "vivid.0")?;
        let bound = Instant::now();
        log.wait(station, "release", |log| log.running > round)?;
        count.add("station", true, bound.elapsed(), Holdings::of(&station.id().to_string())?)?;
    }
    let end = Holdings::of(&station.id().to_string())?;
    run(Command::new("busybox").args(["kill", "-TERM", &station.id().to_string()]))?;
    let code = station.wait()?.code();
    log.read_on()?;
    let mut report = count.report(rounds, end)?;
    report["code"] = json!(code);
    report["end"] = json!(log.end);
    Ok(report)
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{command:?}: {}: {}", output.status, String::from_utf8_lossy(&output.stderr)).into())
}
