//! Capture: where frames come from.
//!
//! What lives here: [`FrameSource`] and its sources (a V4L2 camera, replay of files and recordings, a rendered conveyor),
//! a source with faults for tests, image files, and the camera's health. What must not: models, verdicts, pins, or
//! anything that looks into a frame to judge a part. It relies on
//! `jidoka-prepare` for what a frame is, on `v4l` for the kernel's types, on `image` for files.
//!
//! Architecture invariant: a frame is a lease, never a copy; the borrow checker keeps the driver's buffer from being
//! filled while somebody reads it.

mod clock;
mod config;
mod error;
mod faulty;
pub mod health;
pub mod images;
mod recording;
mod reopen;
mod replay;
mod source;
mod synthetic;
mod v4l2;
mod video;
mod watched;

pub use clock::monotonic_now;
pub use config::{Keep, Memory, ReplayConfig, SourceConfig, SyntheticConfig, V4l2Config};
pub use error::{CaptureError, FrameFault, FrameId, Unfit};
pub use faulty::{Fault, FaultPlan, Faulty};
pub use jidoka_prepare::{Encoding, FrameView, Geometry, PixelFormat, Roi};
pub use recording::{Recorder, Recording};
pub use reopen::{Attempt, Reopen, Standing};
pub use replay::Replay;
pub use source::{Defect, FrameMeta, FrameSource, GiveBack, Lease, SourceStats, Truth};
pub use synthetic::Synthetic;
pub use v4l2::{Camera, CameraInfo, Control, FormatInfo, SizeInfo, V4l2Source};
pub use video::Video;
pub use watched::{Watched, Watching};

/// Opens any source.
pub fn open(config: &SourceConfig) -> Result<Box<dyn FrameSource>, CaptureError> {
    Ok(match config {
        SourceConfig::V4l2(config) => match &config.watching {
            Some(watching) => Box::new(Watched::new(V4l2Source::open(config)?, watching)?),
            None => Box::new(V4l2Source::open(config)?),
        },
        SourceConfig::Replay(config) if Recording::is_one(&config.path) => Box::new(Recording::open(config)?),
        SourceConfig::Replay(config) if Video::is_one(&config.path) => Box::new(Video::open(config)?),
        SourceConfig::Replay(config) => Box::new(Replay::open(config)?),
        SourceConfig::Synthetic(config) => Box::new(Synthetic::open(config)?),
    })
}
