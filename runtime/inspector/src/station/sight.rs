//! How the camera fares, told by the loop and read by whoever reports it: single words, nobody waits.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use jidoka_capture::SourceStats;
use jidoka_line::CameraLoss;
use jidoka_telemetry::{CameraRecord, CameraState};

/// The state and the counts.
#[derive(Debug, Default)]
pub struct Sight {
    state: AtomicU32,
    reopened: AtomicU64,
    counts: [AtomicU64; 10],
}

impl Sight {
    /// The camera gives frames, or why it does not.
    pub fn is(&self, lost: Option<CameraLoss>) {
        let state = match lost {
            None => CameraState::Streaming,
            Some(CameraLoss::Gone) => CameraState::Lost,
            Some(CameraLoss::Frozen) => CameraState::Frozen,
        };
        self.state.store(state.code(), Ordering::Relaxed);
    }

    /// What has been counted so far, and how often the camera was opened again.
    pub fn tell(&self, stats: &SourceStats, reopened: u64) {
        self.reopened.store(reopened, Ordering::Relaxed);
        let SourceStats { frames, lost, starved, restamped, skipped, damaged, frozen, dark, saturated, blurred } =
            *stats;
        let counts = [frames, lost, starved, restamped, skipped, damaged, frozen, dark, saturated, blurred];
        self.counts.iter().zip(counts).for_each(|(place, count)| place.store(count, Ordering::Relaxed));
    }

    /// As a record.
    pub fn read(&self) -> CameraRecord {
        let counts: [u64; 10] = std::array::from_fn(|at| self.counts[at].load(Ordering::Relaxed));
        let [frames, lost, starved, restamped, skipped, damaged, frozen, dark, saturated, blurred] = counts;
        CameraRecord {
            state: self.state.load(Ordering::Relaxed),
            reserved: 0,
            frames,
            lost,
            starved,
            restamped,
            skipped,
            damaged,
            frozen,
            dark,
            saturated,
            blurred,
            reopened: self.reopened.load(Ordering::Relaxed),
        }
    }
}
