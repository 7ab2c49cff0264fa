//! Watchdogs: if the inspector no longer inspects, something that is not the inspector does something about it.
//!
//! What lives here: the two dogs, systemd's (`WatchdogSec=` in the unit; systemd restarts the service) and the kernel's
//! (`/dev/watchdog`; the board resets, which also drops its outputs), and the rule by which they are fed.
//!
//! What must not live here: deadlines of stages and what to do when one is missed (that is the inspector's supervisor), and
//! safe outputs (`jidoka-pins`). A watchdog is for when that code does not run any more.
//!
//! Relies on: a supervisor thread that calls [`Watchdog::tick`] every [`Watchdog::period`]. The loop itself only bumps a
//! counter ([`Progress`]), which allocates nothing and waits for nobody.
//!
//! Architecture invariant: a dog is fed only if, since it was last fed, an inspection was completed or the station was
//! proven idle. A supervisor that still runs beside a loop that hangs feeds nothing.
//! Held by `tests::only_progress_feeds`, and with a real watchdog by `examples/watchdog_board.rs`.

mod device;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sd_notify::NotifyState;

use device::Device;

/// A watchdog could not be set up. Feeding cannot fail in a way that anyone could act on: it is logged.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The device is not there.
    #[error(
        "watchdog: {path} is not there\n  \
         try: `sudo modprobe softdog` where the board has no hardware watchdog, or leave [watchdog] device out"
    )]
    Absent {
        /// The device.
        path: PathBuf,
    },

    /// Somebody else feeds it.
    #[error(
        "watchdog: {path} is in use by another program\n  \
         try: RuntimeWatchdogSec=0 in /etc/systemd/system.conf if systemd has it, or leave the device to systemd and use \
         WatchdogSec= in the unit"
    )]
    Taken {
        /// The device.
        path: PathBuf,
    },

    /// This user may not open it.
    #[error(
        "watchdog: permission denied for {path}\n  try: a udev rule, or DeviceAllow= and a group in the systemd unit"
    )]
    Permission {
        /// The device.
        path: PathBuf,
    },

    /// It does not take the time-out.
    #[error(
        "watchdog: {path} does not take a time-out of {timeout_s} s: {cause}\n  expected: what the driver supports, often 1 to 60 s"
    )]
    Timeout {
        /// The device.
        path: PathBuf,
        /// What was asked for.
        timeout_s: u32,
        /// What the kernel said.
        cause: String,
    },

    /// Anything else.
    #[error("watchdog: could not open {path}: {cause}")]
    Open {
        /// The device.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
}

/// How to set up.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The kernel's watchdog, e.g. `/dev/watchdog`, and its time-out in seconds. `None` to leave it alone.
    pub device: Option<(PathBuf, u32)>,
}

/// The loop's side: proof that work is being done. Clones count together.
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<AtomicU64>);

impl Progress {
    /// An inspection was completed: frame, verdict, handed over to the line.
    pub fn completed(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// The station is proven idle: the camera answers, no part is in flight, and there is nothing to inspect.
    pub fn idle(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// The supervisor's side.
#[derive(Debug)]
pub struct Watchdog {
    progress: Progress,
    seen: u64,
    device: Option<Device>,
    /// systemd's time-out for this service, if it has one.
    systemd: Option<Duration>,
}

impl Watchdog {
    /// Arm what the options and the environment (`WATCHDOG_USEC`, as systemd sets it) ask for. From here on it bites.
    pub fn start(options: &Options) -> Result<Self, Error> {
        let systemd = sd_notify::watchdog_enabled();
        let device = match &options.device {
            Some((path, timeout_s)) => Some(Device::open(path, *timeout_s)?),
            None => None,
        };
        match (&device, systemd) {
            (Some(device), Some(limit)) => {
                log::info!("watchdog: {device}, and systemd after {} s", limit.as_secs_f32())
            }
            (Some(device), None) => log::info!("watchdog: {device}"),
            (None, Some(limit)) => {
                log::info!("watchdog: systemd restarts this service after {} s", limit.as_secs_f32())
            }
            (None, None) => log::info!("watchdog: none (no device in the config, no WatchdogSec= in the unit)"),
        }
        Ok(Watchdog { progress: Progress::default(), seen: 0, device, systemd })
    }

    /// A watchdog that bites nobody: a plain file, to which a byte is added with each meal. For tests of whoever feeds it.
    ///
    /// # Errors
    /// Where the file cannot be made.
    pub fn recording(path: &Path, timeout: Duration) -> std::io::Result<Self> {
        let device = Device::recording(path, timeout)?;
        Ok(Watchdog { progress: Progress::default(), seen: 0, device: Some(device), systemd: None })
    }

    /// The handle for the loop.
    pub fn progress(&self) -> Progress {
        self.progress.clone()
    }

    /// How often to call [`Watchdog::tick`]: a third of the shortest time-out, so that one late tick does no harm. `None` when
    /// there is no dog to feed.
    pub fn period(&self) -> Option<Duration> {
        let device = self.device.as_ref().map(Device::timeout);
        [device, self.systemd].into_iter().flatten().min().map(|shortest| shortest / 3)
    }

    /// Tell systemd that the service is up (`Type=notify`). Call it when the outputs are live and the loop is sealed.
    pub fn ready(&self, status: &str) {
        tell(&[NotifyState::Ready, NotifyState::Status(status)]);
    }

    /// Feed the dogs if there was progress since they were last fed. Returns whether there was.
    pub fn tick(&mut self) -> bool {
        let now = self.progress.0.load(Ordering::Relaxed);
        if now == self.seen {
            return false;
        }
        self.seen = now;
        if let Some(device) = &mut self.device
            && let Err(error) = device.feed()
        {
            log::error!("watchdog: {device}: {error}");
        }
        if self.systemd.is_some() {
            tell(&[NotifyState::Watchdog]);
        }
        true
    }

    /// An orderly end, outputs already safe: disarm the device and tell systemd. Dropping a `Watchdog` without this leaves the
    /// device armed, which is the point: a crash must not switch it off.
    pub fn stop(mut self) {
        if let Some(device) = &mut self.device
            && let Err(error) = device.disarm()
        {
            log::error!("watchdog: {device} stays armed: {error}");
        }
        tell(&[NotifyState::Stopping]);
    }
}

/// Without systemd there is nobody to tell, which is fine.
fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        log::warn!("systemd could not be told: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A watchdog on a plain file, which records what it is fed.
    fn fake(dir: &tempfile::TempDir) -> (Watchdog, PathBuf) {
        let path = dir.path().join("watchdog");
        (Watchdog::recording(&path, Duration::from_secs(6)).expect("a test's own directory"), path)
    }

    #[test]
    fn only_progress_feeds() {
        let dir = tempfile::tempdir().unwrap();
        let (mut watchdog, path) = fake(&dir);
        let fed = || std::fs::read(&path).unwrap().len();
        let progress = watchdog.progress();
        assert!(!watchdog.tick(), "nothing was inspected yet");
        assert_eq!(fed(), 0);
        progress.completed();
        progress.completed();
        assert!(watchdog.tick());
        assert!(!watchdog.tick(), "the loop hangs: the supervisor alone feeds nothing");
        assert_eq!(fed(), 1, "one meal, however many inspections");
        progress.clone().idle();
        assert!(watchdog.tick());
        assert_eq!(fed(), 2);
    }

    #[test]
    fn only_an_orderly_stop_disarms() {
        let dir = tempfile::tempdir().unwrap();
        let (watchdog, path) = fake(&dir);
        drop(watchdog);
        assert_eq!(std::fs::read(&path).unwrap(), b"", "a crash leaves it armed");
        let (watchdog, path) = fake(&dir);
        watchdog.stop();
        assert_eq!(std::fs::read(&path).unwrap(), b"V");
    }

    #[test]
    fn the_shortest_time_out_sets_the_pace() {
        let dir = tempfile::tempdir().unwrap();
        let (mut watchdog, _) = fake(&dir);
        for (systemd_s, expected_s) in [(None, Some(2)), (Some(30), Some(2)), (Some(3), Some(1))] {
            watchdog.systemd = systemd_s.map(Duration::from_secs);
            assert_eq!(watchdog.period(), expected_s.map(Duration::from_secs));
        }
        watchdog.device = None;
        watchdog.systemd = None;
        assert_eq!(watchdog.period(), None);
    }

    #[test]
    fn what_is_no_watchdog_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let start = |path: PathBuf| Watchdog::start(&Options { device: Some((path, 5)) }).unwrap_err().to_string();
        let absent = start(dir.path().join("none"));
        assert!(absent.contains("is not there") && absent.contains("modprobe softdog"), "{absent}");
        let plain = dir.path().join("plain");
        std::fs::write(&plain, "").unwrap();
        let refused = start(plain);
        assert!(refused.contains("does not take a time-out of 5 s"), "{refused}");
    }
}
