//! (being written)

use std::time::Duration;

use jidoka_prepare::Geometry;

use crate::config::V4l2Config;
use crate::error::{CaptureError, FrameFault};
use crate::source::{FrameSource, Lease, SourceStats};

/// (being written)
pub struct V4l2Source;

impl V4l2Source {
    /// Opens it.
    pub fn open(config: &V4l2Config) -> Result<V4l2Source, CaptureError> {
        let _ = config;
        unimplemented!("published ahead of its body")
    }
}

impl FrameSource for V4l2Source {
    fn geometry(&self) -> Geometry {
        unimplemented!("published ahead of its body")
    }

    fn next(&mut self, timeout: Duration) -> Result<Lease<'_>, FrameFault> {
        Err(FrameFault::TimedOut { waited: timeout })
    }

    fn stats(&self) -> SourceStats {
        SourceStats::default()
    }

    fn describe(&self) -> String {
        String::new()
    }
}
