//! Everything that can go wrong with a source, in two kinds: at opening (says what to do), and in the loop (no heap).

use std::path::PathBuf;
use std::time::Duration;

/// Why a source could not be opened or set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaptureError {
    /// A file or folder could not be read.
    #[error("{}: {error}{}", path.display(), advice(error))]
    Io {
        /// What was read.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// A folder holds no image.
    #[error("{}: no images here; expected .png, .jpg, .jpeg or .bmp files", path.display())]
    NoImages {
        /// The folder.
        path: PathBuf,
    },
    /// An image does not decode, or is of a kind that is not supported.
    #[error("{}: not a usable image: {reason}", path.display())]
    Image {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// There is no such device.
    #[error(
        "{}: no such camera; found: {others}\n  expected: a device node, best a link in /dev/v4l/by-id, which stays the same \
         when cables move\n  try: `jidoka camera list`; `synthetic`, or a folder of images, where there is no camera",
        device.display()
    )]
    Missing {
        /// The device node.
        device: PathBuf,
        /// The cameras that there are.
        others: String,
    },
    /// The device may not be opened.
    #[error(
        "{}: permission denied; the user must be in the group `{group}` (sudo usermod -aG {group} USER, then log in again)",
        device.display()
    )]
    Denied {
        /// The device node.
        device: PathBuf,
        /// The group that it belongs to.
        group: String,
    },
    /// The part of the sensor cannot be read out alone.
    #[error("{}: crop = [{}, {}, {}, {}]: {reason}", device.display(), wanted.x, wanted.y, wanted.width, wanted.height)]
    Crop {
        /// The device node.
        device: PathBuf,
        /// What was asked for.
        wanted: jidoka_prepare::Roi,
        /// Why not, and what is possible.
        reason: String,
    },
    /// A program that decodes video could not be used.
    #[error("{}: cannot play the video: {reason}", path.display())]
    Video {
        /// The file.
        path: PathBuf,
        /// Why not, and what to do.
        reason: String,
    },
    /// Another program streams from the device.
    #[error("{}: in use by another program; close it (`fuser -v {}` names it)", device.display(), device.display())]
    Busy {
        /// The device node.
        device: PathBuf,
    },
    /// The device is not a camera that can be used.
    #[error("{}: {what}", device.display())]
    NotACamera {
        /// The device node.
        device: PathBuf,
        /// What it is.
        what: String,
    },
    /// The camera does not have the format.
    #[error("{}: cannot use format {wanted}: {reason}; this camera has {has}", device.display())]
    Format {
        /// The device node.
        device: PathBuf,
        /// The format that was asked for.
        wanted: String,
        /// Why not.
        reason: String,
        /// The formats that it has.
        has: String,
    },
    /// The camera does not have the size.
    #[error(
        "{}: {}x{} is not a size of this camera in {code} (it offers {}x{} instead); it has {has}",
        device.display(), wanted.0, wanted.1, got.0, got.1
    )]
    Size {
        /// The device node.
        device: PathBuf,
        /// Width and height that were asked for.
        wanted: (u32, u32),
        /// Width and height that the driver would give.
        got: (u32, u32),
        /// The format's four-character code.
        code: String,
        /// The sizes that it has.
        has: String,
    },
    /// A control cannot be set.
    #[error("{}: control {name} = {value}: {reason}", device.display())]
    Control {
        /// The device node.
        device: PathBuf,
        /// The control's name.
        name: String,
        /// The value that was asked for.
        value: i64,
        /// Why not, and what is possible.
        reason: String,
    },
    /// The driver refused something.
    #[error("{}: cannot {action}: {error}", device.display())]
    Device {
        /// The device node.
        device: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What the system said.
        error: std::io::Error,
    },
    /// The frames of a replay do not fit the memory allowed for them.
    #[error(
        "{}: {fits} of {total} frames fit in memory_mib = {memory_mib}; try a larger value, or fewer or smaller images",
        path.display()
    )]
    TooLarge {
        /// The folder.
        path: PathBuf,
        /// Frames that fit.
        fits: usize,
        /// Frames that there are.
        total: usize,
        /// Memory that was allowed.
        memory_mib: usize,
    },
    /// A recording cannot be read or written.
    #[error("{}: not a usable recording: {reason}", path.display())]
    Recording {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// An image cannot be written.
    #[error("cannot write the image: {reason}")]
    Encode {
        /// Why.
        reason: String,
    },
    /// A setting of a source makes no sense.
    #[error("{key} = {value}: expected {expected}")]
    Setting {
        /// The setting.
        key: &'static str,
        /// Its value.
        value: String,
        /// What it may be.
        expected: String,
    },
}

/// Which frame it was that cannot be used: it was triggered by a part all the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FrameId {
    /// The driver's sequence number.
    pub sequence: u32,
    /// When it was taken, on `CLOCK_MONOTONIC`.
    pub captured_at: Duration,
}

/// Why there is no frame this time. Copies freely and owns no memory, so it may be made inside the loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameFault {
    /// No frame came in time. The source goes on.
    #[error("no frame within {} ms", waited.as_millis())]
    TimedOut {
        /// How long was waited.
        waited: Duration,
    },
    /// The replay is over. No frame will come again.
    #[error("end of the recording")]
    EndOfStream,
    /// The driver marked the frame as damaged. The source goes on.
    #[error("frame {} is damaged", frame.sequence)]
    Damaged {
        /// Which frame.
        frame: FrameId,
    },
    /// The frame has fewer bytes than its geometry needs. The source goes on.
    #[error("frame {} has {got} bytes where {expected} were expected", frame.sequence)]
    Short {
        /// Which frame.
        frame: FrameId,
        /// Bytes that came.
        got: usize,
        /// Bytes that the geometry needs.
        expected: usize,
    },
    /// The picture cannot be judged. The source goes on.
    #[error("frame {} is {what}", frame.sequence)]
    Unfit {
        /// Which frame.
        frame: FrameId,
        /// What is wrong with it.
        what: Unfit,
    },
    /// The same bytes come again and again: the stream stands, whatever its numbers say. Open the device again.
    #[error("the picture is frozen: {frames} equal frames in a row")]
    Frozen {
        /// The last of them.
        frame: FrameId,
        /// How many.
        frames: u32,
    },
    /// The device is gone (unplugged, or its driver unbound). Open it again.
    #[error("the camera is gone")]
    Gone,
    /// The system said something else. Open the device again.
    #[error("the camera failed: {}", std::io::Error::from_raw_os_error(*errno))]
    Device {
        /// The system's error number.
        errno: i32,
    },
}

/// What is wrong with a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// Too little light.
    #[error("dark: look at the lamp, the lens cap, the exposure")]
    Dark,
    /// Too much light.
    #[error("saturated: lower exposure or gain")]
    Saturated,
    /// Out of focus.
    #[error("blurred: look at lens and focus")]
    Blurred,
    /// The same bytes as the frame before: no sensor gives those, so that it shows a part that has passed.
    #[error("equal to the one before")]
    Repeated,
}

/// What to do about what the system says of a file.
fn advice(error: &std::io::Error) -> &'static str {
    match error.kind() {
        std::io::ErrorKind::NotFound => {
            "\n  expected: a folder of images, an image, a recording or a video\n  try: look at the path; those in a \
             configuration are taken from the folder that it is in"
        }
        std::io::ErrorKind::AlreadyExists => {
            "\n  expected: a file that does not exist yet: a recording is not written over\n  try: another name, or remove it \
             first"
        }
        _ => "",
    }
}

impl FrameFault {
    /// Whether the same source may still give frames: true for a time-out or a bad frame, false for an end.
    pub fn is_passing(self) -> bool {
        use FrameFault::{Damaged, Short, TimedOut, Unfit};
        matches!(self, TimedOut { .. } | Damaged { .. } | Short { .. } | Unfit { .. })
    }

    /// The frame that was not fit for use, where there was one.
    pub fn frame(self) -> Option<FrameId> {
        use FrameFault::{Damaged, Frozen, Short, Unfit};
        match self {
            Damaged { frame } | Short { frame, .. } | Unfit { frame, .. } | Frozen { frame, .. } => Some(frame),
            _ => None,
        }
    }
}
