//! Recordings: raw frames with their numbers and times, so that what happened in the field happens again on a desk.
//!
//! A file of frames, without loss and without compression. It begins with lines of text that end at an empty line:
//!
//! ```text
//! jidoka frames 1
//! width 640
//! height 480
//! format YUYV
//! matrix BT601
//! range limited
//! stride 1280
//!
//! ```
//!
//! Then, for each frame: the bytes `FRAM`, its sequence number (u32), its time of capture on the recording machine's
//! monotonic clock in nanoseconds (u64), the number of bytes (u64), the planes with lines `stride` apart, and the CRC-32
//! of all that (u32). Numbers are little-endian. A recording that was cut off anywhere plays up to its last whole frame.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jidoka_prepare::{Encoding, FrameView, Geometry, MAX_SIDE, Matrix, PixelFormat, Range};

use crate::clock::{Pace, monotonic_now};
use crate::config::ReplayConfig;
use crate::error::{CaptureError, FrameFault, FrameId};
use crate::source::{FrameMeta, FrameSource, Lease, SourceStats};

const MAGIC: &str = "jidoka frames 1";
const FRAME_MAGIC: &[u8; 4] = b"FRAM";
const FRAME_HEADER: usize = 24;
/// Longer headers are not ours.
const MAX_HEADER: u64 = 4096;

/// Writes a recording.
pub struct Recorder {
    path: PathBuf,
    file: BufWriter<File>,
    geometry: Geometry,
    stride: usize,
    frames: u64,
}

impl Recorder {
    /// Begins a recording of frames of one geometry. The file must not exist yet.
    pub fn create(path: &Path, geometry: Geometry) -> Result<Recorder, CaptureError> {
        let io = |error| CaptureError::Io { path: path.to_path_buf(), error };
        let mut file = BufWriter::with_capacity(1 << 20, File::create_new(path).map_err(io)?);
        let stride = geometry.format.packed_stride(geometry.width);
        file.write_all(header(geometry, stride).as_bytes()).map_err(io)?;
        Ok(Recorder { path: path.into(), file, geometry, stride, frames: 0 })
    }

    /// Adds a frame.
    pub fn write(&mut self, view: &FrameView<'_>, meta: &FrameMeta) -> Result<(), CaptureError> {
        let Geometry { width, height, format, .. } = self.geometry;
        if (view.width, view.height, view.format) != (width, height, format) {
            return Err(
                self.refuse(format!("a {}x{} {} frame does not belong in it", view.width, view.height, view.format))
            );
        }
        let mut head = [0; FRAME_HEADER];
        head[..4].copy_from_slice(FRAME_MAGIC);
        head[4..8].copy_from_slice(&meta.sequence.to_le_bytes());
        head[8..16].copy_from_slice(&(meta.captured_at.as_nanos() as u64).to_le_bytes());
        head[16..].copy_from_slice(&(self.geometry.frame_bytes(self.stride) as u64).to_le_bytes());
        let mut sum = crc32fast::Hasher::new();
        self.put(&head, &mut sum)?;
        let padding = [0; 8];
        for plane in 0..format.planes() {
            let lines = view.lines(plane).map_err(|error| self.refuse(error.to_string()))?;
            let stride = plane_stride(format, plane, self.stride);
            for line in lines {
                self.put(line, &mut sum)?;
                self.put(&padding[..stride - line.len()], &mut sum)?;
            }
        }
        let sum = sum.finalize().to_le_bytes();
        self.file.write_all(&sum).map_err(|error| CaptureError::Io { path: self.path.clone(), error })?;
        self.frames += 1;
        Ok(())
    }

    fn put(&mut self, bytes: &[u8], sum: &mut crc32fast::Hasher) -> Result<(), CaptureError> {
        sum.update(bytes);
        self.file.write_all(bytes).map_err(|error| CaptureError::Io { path: self.path.clone(), error })
    }

    fn refuse(&self, reason: String) -> CaptureError {
        CaptureError::Recording { path: self.path.clone(), reason }
    }

    /// Ends the recording: everything is on the disk when this returns. Says how many frames there are.
    pub fn finish(mut self) -> Result<u64, CaptureError> {
        let io = |error| CaptureError::Io { path: self.path.clone(), error };
        self.file.flush().map_err(io)?;
        self.file.get_ref().sync_all().map_err(io)?;
        Ok(self.frames)
    }
}

/// Chroma planes of planar 4:2:0 have lines half as far apart.
fn plane_stride(format: PixelFormat, plane: usize, stride: usize) -> usize {
    if format.planes() == 3 && plane > 0 { stride / 2 } else { stride }
}

fn header(geometry: Geometry, stride: usize) -> String {
    let Geometry { width, height, format, encoding } = geometry;
    let matrix = if encoding.matrix == Matrix::Bt709 { "BT709" } else { "BT601" };
    let range = if encoding.range == Range::Full { "full" } else { "limited" };
    format!(
        "{MAGIC}\nwidth {width}\nheight {height}\nformat {format}\nmatrix {matrix}\nrange {range}\nstride {stride}\n\n"
    )
}

/// A recording that plays. Frames are read from the file into one buffer that is kept: no allocation after opening.
pub struct Recording {
    path: PathBuf,
    file: BufReader<File>,
    geometry: Geometry,
    stride: usize,
    /// Where the first frame begins.
    start: u64,
    /// Header, pixels and sum of one frame.
    buffer: Vec<u8>,
    pace: Pace,
    fps: Option<f64>,
    /// Frames come at the intervals at which they were taken: when the first came, here and in the recording.
    as_recorded: bool,
    origin: Option<(Duration, Duration)>,
    /// The frame in the buffer has not been given out yet: its time had not come.
    waits: bool,
    repeat: bool,
    played: u32,
    stats: SourceStats,
}

impl Recording {
    /// Whether a file is a recording, by its first bytes.
    pub fn is_one(path: &Path) -> bool {
        let mut first = [0; MAGIC.len()];
        File::open(path).and_then(|mut file| file.read_exact(&mut first)).is_ok() && first == *MAGIC.as_bytes()
    }

    /// Opens a recording. Of the configuration, `path`, `fps`, `as_recorded` and `repeat` count; without either pace it
    /// plays as fast as frames are asked for.
    pub fn open(config: &ReplayConfig) -> Result<Recording, CaptureError> {
        let path = config.path.clone();
        let io = |error| CaptureError::Io { path: path.clone(), error };
        let mut file = BufReader::with_capacity(1 << 20, File::open(&path).map_err(io)?);
        let text = read_header(&mut file).map_err(io)?;
        let (geometry, stride) =
            parse(&text).map_err(|reason| CaptureError::Recording { path: path.clone(), reason })?;
        let buffer = vec![0; FRAME_HEADER + geometry.frame_bytes(stride) + 4];
        if let Some(fps) = config.fps.filter(|fps| !(0.01..=10_000.0).contains(fps)) {
            let expected = "0.01 to 10000 frames a second".into();
            return Err(CaptureError::Setting { key: "fps", value: fps.to_string(), expected });
        }
        Ok(Recording {
            start: text.len() as u64,
            file,
            geometry,
            stride,
            buffer,
            pace: Pace::new(config.fps),
            fps: config.fps,
            as_recorded: config.as_recorded,
            origin: None,
            waits: false,
            repeat: config.repeat,
            played: 0,
            stats: SourceStats::default(),
            path,
        })
    }

    /// Reads the next frame into the buffer. False: there is no whole frame any more.
    fn read(&mut self) -> Result<bool, FrameFault> {
        match self.file.read_exact(&mut self.buffer) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(FrameFault::Device { errno: error.raw_os_error().unwrap_or(libc::EIO) }),
        }
    }

    /// Puts the next frame into the buffer, the first one after the last where it repeats.
    fn advance(&mut self) -> Result<(), FrameFault> {
        if self.read()? {
            return Ok(());
        }
        // A recording without a single frame must not be played over and over.
        if !self.repeat || self.played == 0 {
            return Err(FrameFault::EndOfStream);
        }
        (self.played, self.origin) = (0, None);
        let rewound = self.file.seek(SeekFrom::Start(self.start)).is_ok();
        if rewound && self.read()? { Ok(()) } else { Err(FrameFault::EndOfStream) }
    }

    /// Waits until it is as long after the first frame as it was when the frame in the buffer was taken. A damaged frame is
    /// due at once.
    fn is_due(&mut self, timeout: Duration) -> bool {
        let Ok((_, taken_at)) = self.examine() else { return true };
        let (here, there) = *self.origin.get_or_insert_with(|| (monotonic_now(), taken_at));
        // A clock that was behind in the recording has begun anew: so does this.
        let Some(after) = taken_at.checked_sub(there) else {
            self.origin = Some((monotonic_now(), taken_at));
            return true;
        };
        self.pace.at(here + after);
        self.pace.wait(timeout)
    }

    /// Number and time of the frame in the buffer, if it is as it was written.
    fn examine(&self) -> Result<(u32, Duration), FrameFault> {
        let (head, rest) = self.buffer.split_at(FRAME_HEADER);
        let (pixels, sum) = rest.split_at(rest.len() - 4);
        let number =
            |at: usize| head[at..at + 8].iter().rev().fold(0u64, |number, &byte| number << 8 | u64::from(byte));
        let sequence = (number(4) & 0xffff_ffff) as u32;
        let mut crc = crc32fast::Hasher::new();
        crc.update(head);
        crc.update(pixels);
        let whole = head[..4] == *FRAME_MAGIC && number(16) == pixels.len() as u64;
        if !whole || crc.finalize().to_le_bytes() != *sum {
            return Err(FrameFault::Damaged { frame: FrameId { sequence, captured_at: monotonic_now() } });
        }
        Ok((sequence, Duration::from_nanos(number(8))))
    }
}

/// The header's text, with the empty line that ends it.
fn read_header(file: &mut impl BufRead) -> std::io::Result<String> {
    let mut text = Vec::new();
    let mut limited = file.take(MAX_HEADER);
    while limited.read_until(b'\n', &mut text)? > 1 {}
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// Geometry and stride from the header's text.
fn parse(text: &str) -> Result<(Geometry, usize), String> {
    let body = text.strip_prefix(MAGIC).ok_or(format!("it does not begin with `{MAGIC}`"))?;
    let body = body.strip_suffix("\n\n").ok_or("its header has no end")?;
    let value = |key: &str| {
        let line = body.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
        line.ok_or(format!("its header has no `{key}`"))
    };
    let number = |key: &str| value(key)?.parse::<u32>().map_err(|error| format!("{key}: {error}"));
    let (width, height) = (number("width")?, number("height")?);
    if !(1..=MAX_SIDE).contains(&width) || !(1..=MAX_SIDE).contains(&height) {
        return Err(format!("its frames of {width}x{height} pixels are not between 1x1 and {MAX_SIDE}x{MAX_SIDE}"));
    }
    let format = value("format")?;
    let format = PixelFormat::from_name(format).ok_or(format!("its format {format} is not known"))?;
    let encoding = Encoding {
        matrix: if value("matrix")? == "BT709" { Matrix::Bt709 } else { Matrix::Bt601 },
        range: if value("range")? == "full" { Range::Full } else { Range::Limited },
    };
    let stride = number("stride")? as usize;
    if stride != format.packed_stride(width) {
        return Err(format!("its stride is {stride} where {} is expected", format.packed_stride(width)));
    }
    Ok((Geometry { width, height, format, encoding }, stride))
}

impl FrameSource for Recording {
    fn geometry(&self) -> Geometry {
        self.geometry
    }

    fn next(&mut self, timeout: Duration) -> Result<Lease<'_>, FrameFault> {
        if !self.as_recorded && !self.pace.wait(timeout) {
            return Err(FrameFault::TimedOut { waited: timeout });
        }
        if !self.waits {
            self.advance()?;
        }
        if self.as_recorded && !self.is_due(timeout) {
            self.waits = true;
            return Err(FrameFault::TimedOut { waited: timeout });
        }
        self.waits = false;
        let part = self.played;
        self.played += 1;
        let (sequence, _) = self.examine().inspect_err(|_| self.stats.damaged += 1)?;
        self.stats.frames += 1;
        // The time is now: the line's outputs are timed from it, and those of the recording are long past.
        let meta = FrameMeta { sequence, captured_at: monotonic_now(), part: Some(part), truth: None };
        let Geometry { width, height, format, .. } = self.geometry;
        let pixels = &self.buffer[FRAME_HEADER..self.buffer.len() - 4];
        Ok(Lease::new(FrameView::new(pixels, width, height, self.stride, format), meta))
    }

    fn stats(&self) -> SourceStats {
        self.stats
    }

    fn describe(&self) -> String {
        let Geometry { width, height, format, .. } = self.geometry;
        let pace = match self.fps {
            _ if self.as_recorded => "at the recorded times".into(),
            None => "as fast as possible".into(),
            Some(fps) => format!("{fps} frames a second"),
        };
        format!("recording {}, {width}x{height} {format}, {pace}", self.path.display())
    }
}

#[cfg(test)]
mod tests;
