//! (being written)

use std::time::Duration;

use jidoka_prepare::Geometry;

use crate::config::SyntheticConfig;
use crate::error::{CaptureError, FrameFault};
use crate::source::{FrameSource, Lease, SourceStats};

/// (being written)
pub struct Synthetic;

impl Synthetic {
    /// Opens it.
    pub fn open(config: &SyntheticConfig) -> Result<Synthetic, CaptureError> {
        let _ = config;
        unimplemented!("published ahead of its body")
    }
}

impl FrameSource for Synthetic {
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
