//! The gateway as its users meet it: over HTTP on loopback, and as a process that outlives inspectors.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use jidoka_gateway::follow::{Follower, Source};
use jidoka_gateway::serve::router;
use jidoka_gateway::view::Shared;
use jidoka_telemetry::{
    EventKind, EventRecord, Name, StageTimes, State, Status, Verdict, VerdictRecord, Writer, monotonic_us, ring_path,
};
use serde_json::Value;

/// `GET path`: the status code, the headers, the body.
fn get(address: SocketAddr, path: &str) -> (u16, String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let code = head.split(' ').nth(1).unwrap().parse().unwrap();
    (code, head.to_lowercase(), body.into())
}

fn get_json(address: SocketAddr, path: &str) -> (u16, Value) {
    let (code, _, body) = get(address, path);
    (code, serde_json::from_str(&body).unwrap_or_else(|error| panic!("{path}: {error}: {body}")))
}

/// Serve a view on a port of its own for the rest of the test.
fn serve(shared: Shared) -> SocketAddr {
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            tell.send(listener.local_addr().unwrap()).unwrap();
            axum::serve(listener, router(shared, Duration::from_secs(3600))).await.unwrap();
        });
    });
    told.recv().unwrap()
}

fn verdict(part: u64) -> VerdictRecord {
    VerdictRecord {
        sequence: part,
        part,
        verdict: if part % 5 == 4 { Verdict::Reject.code() } else { Verdict::Pass.code() },
        score: part as f32 / 10.0,
        threshold: 0.35,
        stages: StageTimes { infer_us: 4000, total_us: 5000, ..StageTimes::default() },
        model_digest: [0xab; 32],
        recipe: Name::new("<b>m8</b>"),
        ..VerdictRecord::default()
    }
}

fn running(parts: u64) -> Status {
    Status {
        state: State::Running.code(),
        heartbeat_at_us: monotonic_us(),
        parts,
        passed: parts,
        station: Name::new("capper"),
        ..Status::default()
    }
}

#[test]
fn everything_is_served_on_loopback() {
    let dir = tempfile::tempdir().unwrap();
    let shared = Shared::new(100);
    let mut follower = Follower::new(Source::Only(dir.path().into()), shared.clone());
    let address = serve(shared);

    follower.step();
    let (code, body) = get_json(address, "/healthz");
    assert_eq!((code, body["health"].as_str()), (503, Some("absent")));
    assert!(body["problem"].as_str().unwrap().contains("no inspector has run yet"));

    let mut writer = Writer::open(&ring_path(dir.path(), "capper").unwrap(), 64).unwrap();
    (0..10).for_each(|part| writer.verdict(&verdict(part)));
    writer.event(&EventRecord {
        kind: EventKind::Alarm.code(),
        subject: Name::new("ejector"),
        ..EventRecord::default()
    });
    writer.verdict(&VerdictRecord { verdict: Verdict::Missed.code(), score: f32::NAN, ..verdict(10) });
    writer.status(&running(11));
    follower.step();

    assert_eq!(get_json(address, "/healthz").0, 200);
    let (_, status) = get_json(address, "/api/status");
    assert_eq!((&status["health"], &status["inspector"]["station"]), (&"ok".into(), &"capper".into()));
    assert_eq!((&status["inspector"]["parts"], &status["lost_records"]), (&11.into(), &0.into()));
    assert_eq!((&status["events"][0]["kind"], &status["events"][0]["subject"]), (&"alarm".into(), &"ejector".into()));

    let (_, verdicts) = get_json(address, "/api/verdicts?last=3");
    assert_eq!(verdicts.as_array().unwrap().len(), 3);
    assert_eq!((&verdicts[0]["verdict"], &verdicts[0]["score"]), (&"missed".into(), &Value::Null));
    assert_eq!((&verdicts[1]["part"], &verdicts[1]["verdict"]), (&9.into(), &"reject".into()));
    assert_eq!((&verdicts[1]["stages_us"]["infer"], &verdicts[1]["recipe"]), (&4000.into(), &"<b>m8</b>".into()));
    assert_eq!(verdicts[1]["model_digest"].as_str().unwrap(), "ab".repeat(32));
    assert_eq!(get_json(address, "/api/verdicts").1.as_array().unwrap().len(), 11);

    let (code, head, metrics) = get(address, "/metrics");
    assert_eq!(code, 200);
    assert!(head.contains("application/openmetrics-text"), "{head}");
    for line in [
        "jidoka_parts_total 11",
        "jidoka_up 1",
        "jidoka_stage_seconds_count{stage=\"infer\"} 11",
        "jidoka_stage_seconds_bucket{le=\"0.005\",stage=\"total\"} 11",
        "jidoka_stage_seconds_bucket{le=\"0.002\",stage=\"infer\"} 0",
        "# EOF",
    ] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }

    let (code, head, page) = get(address, "/");
    assert_eq!(code, 200);
    assert!(head.contains("content-security-policy: default-src 'none'"), "{head}");
    assert!(
        !page.contains("http://") || page.matches("http://").count() == 1,
        "only the SVG namespace may look like a link"
    );
    assert!(!page.contains("innerHTML"), "what a record holds must stay text");
}

#[test]
fn bad_requests_say_what_was_expected() {
    let address = serve(Shared::new(100));
    for path in ["/api/verdicts?last=0", "/api/verdicts?last=101", "/api/verdicts?last=x", "/api/verdicts?lats=3"] {
        let (code, body) = get_json(address, path);
        assert_eq!(code, 400, "{path}");
        assert!(body["expected"].as_str().unwrap().contains("N from 1 to 100"), "{path}: {body}");
    }
    let (code, body) = get_json(address, "/api/verdict");
    assert_eq!(code, 404);
    assert!(body["expected"].to_string().contains("/api/verdicts?last=N"), "{body}");
}

/// The gateway's own process; killed with the test.
struct Process {
    child: Child,
    address: SocketAddr,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `None` where the test runs under an emulator that cannot start further programs.
fn start(dir: &Path) -> Option<Process> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_jidoka-gateway"));
    command.args(["--listen", "127.0.0.1:0", "--dir"]).arg(dir).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            println!("skipped: the gateway's binary cannot be started here: {error}");
            return None;
        }
    };
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim().strip_prefix("listening on http://").unwrap_or_else(|| panic!("{line:?}"));
    Some(Process { address: address.parse().unwrap(), child })
}

/// Ask until the newest part is this one.
fn wait_for_part(address: SocketAddr, part: u64) {
    for _ in 0..100_000 {
        if get_json(address, "/api/verdicts?last=1").1[0]["part"] == part {
            return;
        }
    }
    panic!("part {part} never came: {}", get_json(address, "/api/status").1);
}

#[test]
fn the_process_outlives_inspectors_and_stops_when_asked() {
    let dir = tempfile::tempdir().unwrap();
    let path = ring_path(dir.path(), "capper").unwrap();
    let Some(mut process) = start(dir.path()) else { return };
    assert_eq!(get_json(process.address, "/healthz").0, 503);
    // Three inspectors, one after the other; the last with another ring.
    for (part, capacity) in [(1, 64), (2, 64), (3, 128)] {
        let mut writer = Writer::open(&path, capacity).unwrap();
        writer.verdict(&verdict(part));
        writer.status(&running(part));
        wait_for_part(process.address, part);
    }
    assert_eq!(get_json(process.address, "/api/status").1["restarts"], 2);
    let pid = rustix::process::Pid::from_child(&process.child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert!(process.child.wait().unwrap().success());
}
