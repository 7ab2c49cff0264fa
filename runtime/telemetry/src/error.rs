//! What can go wrong with a ring file. Start-up and readers only: writing a record cannot fail.

use std::io;
use std::path::PathBuf;

/// A ring could not be made, opened, or followed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The station's name cannot be a file name.
    #[error("telemetry: station name \"{name}\" {problem}\n  expected: 1 to 31 of the characters a-z A-Z 0-9 _ -")]
    StationName {
        /// The name.
        name: String,
        /// What is wrong with it.
        problem: &'static str,
    },

    /// No directory to put it in.
    #[error(
        "telemetry: neither /run/jidoka ({why}) nor $XDG_RUNTIME_DIR can hold the ring\n  \
         try: `sudo install -d -o $USER /run/jidoka` (the systemd unit does this), or name a directory in the config"
    )]
    NoDirectory {
        /// Why not `/run/jidoka`.
        why: String,
    },

    /// The capacity makes no sense.
    #[error("telemetry: capacity = {capacity} records\n  expected: 16 to 1048576")]
    Capacity {
        /// What was asked for.
        capacity: usize,
    },

    /// There is no ring (yet).
    #[error("telemetry: no ring at {path}\n  the inspector of that station makes it when it starts")]
    Absent {
        /// Where it should be.
        path: PathBuf,
    },

    /// Another writer has it.
    #[error(
        "telemetry: {path} is in use by another inspector (pid {pid})\n  expected: one inspector a station; give this one another station name"
    )]
    Busy {
        /// The ring.
        path: PathBuf,
        /// The process that wrote it last.
        pid: u64,
    },

    /// The file is not a ring.
    #[error("telemetry: {path} is no telemetry ring: {problem}\n  try: remove it and start the inspector again")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },

    /// The file is a ring of another version.
    #[error(
        "telemetry: {path} has layout version {found}, this program reads version {expected}\n  \
         expected: inspector and gateway of the same release; update the older one and start both again"
    )]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// Ours.
        expected: u32,
    },

    /// The system refused.
    #[error("telemetry: could not {doing} {path}: {source}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}
