//! What systemd hears. The environment that systemd sets is set for a second run of this test program, which is the service.

use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::time::Duration;

use jidoka_watchdog::{Options, Watchdog};

const ROLE: &str = "JIDOKA_TEST_ROLE";

/// The service; does nothing unless `systemd_hears_ready_meals_and_stopping` started it.
#[test]
fn service() {
    if std::env::var_os(ROLE).is_none() {
        return;
    }
    let mut watchdog = Watchdog::start(&Options::default()).unwrap();
    assert_eq!(watchdog.period(), Some(Duration::from_secs(2)));
    watchdog.ready("inspecting capper");
    assert!(!watchdog.tick());
    watchdog.progress().completed();
    assert!(watchdog.tick());
    assert!(!watchdog.tick());
    watchdog.stop();
}

#[test]
fn systemd_hears_ready_meals_and_stopping() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    let mut service = Command::new(std::env::current_exe().unwrap());
    service.args(["--exact", "service"]).env(ROLE, "1").env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "6000000");
    let outcome = match service.output() {
        Ok(outcome) => outcome,
        Err(error) => {
            println!("skipped: no further program can be started here: {error}");
            return;
        }
    };
    assert!(outcome.status.success(), "{}", String::from_utf8_lossy(&outcome.stdout));
    socket.set_nonblocking(true).unwrap();
    let mut heard = Vec::new();
    let mut buffer = [0; 256];
    while let Ok(length) = socket.recv(&mut buffer) {
        heard.push(String::from_utf8_lossy(&buffer[..length]).trim().to_string());
    }
    assert_eq!(heard, ["READY=1\nSTATUS=inspecting capper", "WATCHDOG=1", "STOPPING=1"]);
}
