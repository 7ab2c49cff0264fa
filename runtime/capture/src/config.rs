//! Which source, and how it is set up: plain values that the configuration file is read into.

use std::path::PathBuf;

use jidoka_prepare::{PixelFormat, Roi};

use crate::watched::Watching;

/// A camera that V4L2 drives.
#[derive(Clone, Debug, PartialEq)]
pub struct V4l2Config {
    /// Device node, such as `/dev/video0` or, better, a link in `/dev/v4l/by-id`.
    pub device: PathBuf,
    /// Width and height in pixels; none for what the driver has set.
    pub size: Option<(u32, u32)>,
    /// Pixel format; none for the first that both sides know.
    pub format: Option<PixelFormat>,
    /// A buffer for each plane of NV12, NV21 and YU12 where the driver offers both; otherwise one buffer for all.
    pub planes_apart: bool,
    /// Frames a second; none for what the driver has set.
    pub fps: Option<f64>,
    /// Buffers to queue; the driver may give more.
    pub buffers: u32,
    /// Controls by name (`exposure_time_absolute`, `gain`, ...) with their values, set in this order.
    pub controls: Vec<(String, i64)>,
    /// What to do when several frames wait.
    pub keep: Keep,
    /// The part of the sensor that is read out, in the sensor's pixels; none for what the driver has set.
    pub crop: Option<Roi>,
    /// Whose buffers the camera fills.
    pub memory: Memory,
    /// What counts as a picture that cannot be judged; none to pass every frame on.
    pub watching: Option<Watching>,
}

impl V4l2Config {
    /// A device with the driver's own settings, four buffers, every frame kept.
    pub fn new(device: impl Into<PathBuf>) -> V4l2Config {
        V4l2Config {
            device: device.into(),
            size: None,
            format: None,
            planes_apart: false,
            fps: None,
            buffers: 4,
            controls: Vec::new(),
            keep: Keep::Every,
            crop: None,
            memory: Memory::Driver,
            watching: None,
        }
    }
}

/// Whose buffers a camera fills.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Memory {
    /// The driver's own, mapped: every camera can.
    #[default]
    Driver,
    /// Those of a DMA heap (`/dev/dma_heap`), which the processor reads through its cache where the driver's are uncached.
    DmaHeap,
}

/// What to do when several frames wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keep {
    /// Give them in order: a triggered camera, where each frame is a part.
    #[default]
    Every,
    /// Give the newest, count the others as skipped: a free-running camera that is faster than the inspection.
    Latest,
}

/// Images from files.
#[derive(Clone, Debug, PartialEq)]
pub struct ReplayConfig {
    /// A folder of images, one image that holds several frames, a recording (see `Recorder`), or a video.
    pub path: PathBuf,
    /// Frames in the image, stacked along its longer side; none where the path is a folder or a single frame.
    pub filmstrip: Option<u32>,
    /// Frames a second; none for as fast as they are asked for.
    pub fps: Option<f64>,
    /// Frames of a recording come at the intervals at which they were taken; `fps` is none then.
    pub as_recorded: bool,
    /// Begin again after the last.
    pub repeat: bool,
    /// Most memory that decoded frames may take, in MiB. Frames are decoded at start; the loop only lends them.
    pub memory_mib: usize,
}

impl ReplayConfig {
    /// A folder or a single image, once, as fast as possible, in at most 1 GiB.
    pub fn new(path: impl Into<PathBuf>) -> ReplayConfig {
        ReplayConfig {
            path: path.into(),
            filmstrip: None,
            fps: None,
            as_recorded: false,
            repeat: false,
            memory_mib: 1024,
        }
    }
}

/// A rendered conveyor with machined parts.
#[derive(Clone, Debug, PartialEq)]
pub struct SyntheticConfig {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// [`PixelFormat::Grey`] or [`PixelFormat::Rgb24`].
    pub format: PixelFormat,
    /// The same seed gives the same frames, to the bit, on every machine.
    pub seed: u64,
    /// Share of defective parts, 0..=1.
    pub defect_rate: f64,
    /// Parts a second; none for as fast as they are asked for.
    pub fps: Option<f64>,
    /// How many parts; none for no end.
    pub parts: Option<u32>,
    /// Number of the first part: the same seed from here on, so that parts that were taught are not inspected again.
    pub first_part: u32,
}

impl Default for SyntheticConfig {
    fn default() -> SyntheticConfig {
        SyntheticConfig {
            width: 640,
            height: 480,
            format: PixelFormat::Grey,
            seed: 1,
            defect_rate: 0.1,
            fps: None,
            parts: None,
            first_part: 0,
        }
    }
}

/// Any of the sources.
#[derive(Clone, Debug, PartialEq)]
pub enum SourceConfig {
    /// A camera.
    V4l2(V4l2Config),
    /// Image files.
    Replay(ReplayConfig),
    /// A renderer.
    Synthetic(SyntheticConfig),
}
