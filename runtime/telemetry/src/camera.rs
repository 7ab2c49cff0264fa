//! How the camera fares, as it lies in memory. Any change of a layout here needs a new [`crate::VERSION`].

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Whether the camera gives frames. Stored as a number, like [`Verdict`](crate::Verdict).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CameraState {
    /// It does.
    Streaming,
    /// It is away: unplugged, or it cannot be opened.
    Lost,
    /// It gives the same picture again and again.
    Frozen,
}

impl CameraState {
    /// The number that stands for it in a record.
    pub const fn code(self) -> u32 {
        match self {
            CameraState::Streaming => 1,
            CameraState::Lost => 2,
            CameraState::Frozen => 3,
        }
    }

    /// The state of a number; `None` for one that this version does not know, and before the first frame.
    pub const fn from_code(code: u32) -> Option<Self> {
        match code {
            1 => Some(CameraState::Streaming),
            2 => Some(CameraState::Lost),
            3 => Some(CameraState::Frozen),
            _ => None,
        }
    }

    /// `streaming`, `lost`, `frozen`.
    pub const fn name(self) -> &'static str {
        match self {
            CameraState::Streaming => "streaming",
            CameraState::Lost => "lost",
            CameraState::Frozen => "frozen",
        }
    }
}

/// How the camera fares: a state, and counts since the inspector started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct CameraRecord {
    /// [`CameraState::code`]; 0 before the first frame.
    pub state: u32,
    /// Always 0.
    pub reserved: u32,
    /// Frames given to the loop.
    pub frames: u64,
    /// Frames that the driver numbered and never gave.
    pub lost: u64,
    /// Those of them for which it had no buffer.
    pub starved: u64,
    /// Frames that had to be timed by their arrival.
    pub restamped: u64,
    /// Frames that were passed over for a newer one.
    pub skipped: u64,
    /// Frames that came damaged or short.
    pub damaged: u64,
    /// Frames equal to the one before.
    pub frozen: u64,
    /// Frames that were too dark to judge.
    pub dark: u64,
    /// Frames that were too bright to judge.
    pub saturated: u64,
    /// Frames that were out of focus.
    pub blurred: u64,
    /// Times that the camera was opened again.
    pub reopened: u64,
}

impl CameraRecord {
    /// The counts with their names, for whoever shows them all.
    pub fn counts(&self) -> [(&'static str, u64); 11] {
        [
            ("frames", self.frames),
            ("lost", self.lost),
            ("starved", self.starved),
            ("restamped", self.restamped),
            ("skipped", self.skipped),
            ("damaged", self.damaged),
            ("frozen", self.frozen),
            ("dark", self.dark),
            ("saturated", self.saturated),
            ("blurred", self.blurred),
            ("reopened", self.reopened),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_round_trip() {
        let known: Vec<_> = (0..20).filter_map(CameraState::from_code).collect();
        assert_eq!(known.iter().map(|state| state.code()).collect::<Vec<_>>(), [1, 2, 3]);
    }
}
