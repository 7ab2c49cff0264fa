//! Opening a source again after it has gone: the same camera, wherever it is plugged in, soon but not all the time.

use std::path::{Path, PathBuf};
use std::time::Duration;

use jidoka_prepare::Geometry;

use crate::config::SourceConfig;
use crate::error::CaptureError;
use crate::source::FrameSource;
use crate::v4l2::stable_link;

/// The first pause between two attempts, and the longest: short enough that a camera that is back is used within a second
/// (a driver needs a few hundred milliseconds to come up), long enough to cost nothing.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// The pauses between two openings of a stream that stands: opening costs frames, and helps at once or not at all.
const FIRST_REST: Duration = Duration::from_secs(1);
const LONGEST_REST: Duration = Duration::from_secs(60);

type Opener = Box<dyn FnMut() -> Result<Box<dyn FrameSource>, CaptureError> + Send>;

/// Opens a source again. Allocates: to be used only while nothing is inspected.
pub struct Reopen {
    open: Opener,
    pause: Duration,
    due: Duration,
}

/// When a stream that stands is opened anew: at once, and where that did not help, after pauses that double. A stream that ran on
/// for as long as the last pause is taken to be well again.
#[derive(Clone, Copy, Debug)]
pub struct Standing {
    rest: Duration,
    due: Duration,
}

impl Default for Standing {
    fn default() -> Standing {
        Standing { rest: FIRST_REST, due: Duration::ZERO }
    }
}

impl Standing {
    /// A frame that differs came at `now`.
    pub fn runs(&mut self, now: Duration) {
        if now >= self.due {
            self.rest = FIRST_REST;
        }
    }

    /// A frame of a stream that stands came at `now`: whether to open it anew.
    pub fn is_due(&mut self, now: Duration) -> bool {
        if now < self.due {
            return false;
        }
        self.due = now + self.rest;
        self.rest = (self.rest * 2).min(LONGEST_REST);
        true
    }
}

/// What came of an attempt.
pub enum Attempt {
    /// It is not time yet; ask again then.
    Wait(Duration),
    /// It does not open.
    Failed(CaptureError),
    /// It opens, and gives other frames than before: another camera, or another mode.
    Changed(Geometry),
    /// It is back.
    Back(Box<dyn FrameSource>),
}

impl Reopen {
    /// Opens what `config` names. A camera that is named by its node, and has a link in `/dev/v4l` now, is looked for by that
    /// link: after a replug the node may have another number, and its old one may be another camera. To be called while the
    /// camera is there: its link goes with it.
    pub fn of(config: &SourceConfig) -> Reopen {
        let mut config = config.clone();
        if let SourceConfig::V4l2(camera) = &mut config {
            camera.device = lasting(&camera.device);
        }
        Reopen::with(move || crate::open(&config))
    }

    /// Opens by a function of the caller's.
    pub fn with(open: impl FnMut() -> Result<Box<dyn FrameSource>, CaptureError> + Send + 'static) -> Reopen {
        Reopen { open: Box::new(open), pause: FIRST_PAUSE, due: Duration::ZERO }
    }

    /// The source has gone at `now`: the first attempt is due a pause later.
    pub fn begin(&mut self, now: Duration) {
        self.pause = FIRST_PAUSE;
        self.due = now + self.pause;
    }

    /// Tries, if it is time. Frames must be as before, `geometry`: everything behind the source was planned for them.
    pub fn attempt(&mut self, now: Duration, geometry: Geometry) -> Attempt {
        if now < self.due {
            return Attempt::Wait(self.due);
        }
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        self.due = now + self.pause;
        match (self.open)() {
            Ok(source) if source.geometry() == geometry => Attempt::Back(source),
            Ok(source) => Attempt::Changed(source.geometry()),
            Err(error) => Attempt::Failed(error),
        }
    }
}

/// The name of a device that outlives a replug; the one given where there is none better.
fn lasting(device: &Path) -> PathBuf {
    let is_link = std::fs::symlink_metadata(device).is_ok_and(|meta| meta.file_type().is_symlink());
    if is_link { device.to_path_buf() } else { stable_link(device).unwrap_or_else(|| device.to_path_buf()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Synthetic, SyntheticConfig};

    fn synthetic(width: u32) -> Result<Box<dyn FrameSource>, CaptureError> {
        Ok(Box::new(Synthetic::open(&SyntheticConfig { width, height: 64, ..SyntheticConfig::default() })?))
    }

    #[test]
    fn a_camera_that_is_back_is_tried_within_two_seconds_however_long_it_was_away() {
        let geometry = synthetic(64).expect("opens").geometry();
        for away_ms in [1u64, 40, 700, 5_000, 3_600_000] {
            let mut tries = 0;
            let mut now = Duration::from_secs(10);
            let back_at = now + Duration::from_millis(away_ms);
            let mut reopen = Reopen::with(|| synthetic(64));
            reopen.begin(now);
            loop {
                // Tried by hand: the function would be asked only at these times.
                if now < reopen.due {
                    now = reopen.due;
                    continue;
                }
                tries += 1;
                if now < back_at {
                    reopen.pause = (reopen.pause * 2).min(LONGEST_PAUSE);
                    reopen.due = now + reopen.pause;
                    continue;
                }
                assert!(matches!(reopen.attempt(now, geometry), Attempt::Back(_)));
                break;
            }
            assert!(now - back_at < Duration::from_millis(600), "{away_ms}: {:?}", now - back_at);
            assert!(tries <= 6 + away_ms / 500, "{away_ms}: {tries} attempts");
        }
    }

    #[test]
    fn a_stream_that_stands_is_opened_anew_at_once_and_then_less_and_less_often() {
        let mut standing = Standing::default();
        let mut opened = Vec::new();
        // A frozen camera of ten frames a second, for ten minutes.
        for tenth in 0..6_000 {
            let now = Duration::from_secs(100) + Duration::from_millis(tenth * 100);
            if standing.is_due(now) {
                opened.push(tenth / 10);
            }
        }
        assert_eq!(opened, [0, 1, 3, 7, 15, 31, 63, 123, 183, 243, 303, 363, 423, 483, 543]);
        let later = Duration::from_secs(700);
        standing.runs(later);
        assert!(!standing.is_due(later), "one frame is no recovery");
        standing.runs(Duration::from_secs(730));
        assert!(standing.is_due(Duration::from_secs(730)));
        assert!(standing.is_due(Duration::from_secs(731)), "it has run for as long as the last pause");
    }

    #[test]
    fn another_camera_in_its_place_is_not_taken() {
        let geometry = synthetic(64).expect("opens").geometry();
        let mut reopen = Reopen::with(|| synthetic(80));
        reopen.begin(Duration::ZERO);
        assert!(matches!(reopen.attempt(Duration::ZERO, geometry), Attempt::Wait(_)));
        assert!(matches!(reopen.attempt(FIRST_PAUSE, geometry), Attempt::Changed(got) if got.width == 80));
        let mut gone = Reopen::of(&SourceConfig::V4l2(crate::V4l2Config::new("/dev/nothing-here")));
        assert!(matches!(gone.attempt(Duration::ZERO, geometry), Attempt::Failed(CaptureError::Missing { .. })));
    }

    #[test]
    fn links_are_kept_and_nodes_without_links_too() {
        assert_eq!(lasting(Path::new("/dev/null")), Path::new("/dev/null"));
        let folder = tempfile::tempdir().expect("a folder");
        let link = folder.path().join("usb-camera");
        std::os::unix::fs::symlink("/dev/null", &link).expect("links");
        assert_eq!(lasting(&link), link);
    }
}
