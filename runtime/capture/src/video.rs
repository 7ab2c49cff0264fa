//! Video files: YUV4MPEG2 by itself, everything else through ffmpeg as a child process.
//!
//! The child writes YUV4MPEG2 into a pipe, which the kernel bounds: it waits until frames are asked for. It is ended when the
//! source is dropped. Frames are read into one buffer that is kept.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use jidoka_prepare::{Encoding, FrameView, Geometry, MAX_SIDE, Matrix, PixelFormat, Range};

use crate::clock::{Pace, monotonic_now};
use crate::config::ReplayConfig;
use crate::error::{CaptureError, FrameFault};
use crate::source::{FrameMeta, FrameSource, Lease, SourceStats};

/// File name endings that count as video.
const EXTENSIONS: [&str; 11] = ["y4m", "mp4", "m4v", "mov", "mkv", "avi", "webm", "mpg", "mpeg", "ts", "mjpeg"];
const MAGIC: &[u8] = b"YUV4MPEG2";
const FRAME: &[u8] = b"FRAME";
/// Longest line of text that is taken for a header.
const MAX_LINE: usize = 512;
/// How long a decoder may take to show its first bytes.
const START_LIMIT: Duration = Duration::from_secs(20);
const DECODER: &str = "ffmpeg";

/// A video that plays.
pub struct Video {
    path: PathBuf,
    input: Input,
    /// How to begin again.
    start: Start,
    geometry: Geometry,
    /// What has been read of the frame: its line of text, then its pixels.
    line: Vec<u8>,
    pixels: Vec<u8>,
    filled: usize,
    /// The frame is whole and has not been given out: its time had not come.
    waits: bool,
    pace: Pace,
    fps: Option<f64>,
    repeat: bool,
    played: u32,
    sequence: u32,
    stats: SourceStats,
}

/// Where the bytes come from: a file, or a child's output.
struct Input {
    pipe: OwnedFd,
    child: Option<Child>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Start {
    File,
    Decoder(&'static str),
}

impl Drop for Input {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // It may have ended by itself; waiting for it leaves no zombie either way.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Video {
    /// Whether a file is a video, by its name.
    pub fn is_one(path: &Path) -> bool {
        let extension = path.extension().and_then(|extension| extension.to_str());
        extension.is_some_and(|e| EXTENSIONS.iter().any(|known| e.eq_ignore_ascii_case(known))) && path.is_file()
    }

    /// Opens a video. Of the configuration, `path`, `fps` and `repeat` count.
    pub fn open(config: &ReplayConfig) -> Result<Video, CaptureError> {
        let mut first = [0; MAGIC.len()];
        let read = File::open(&config.path).and_then(|mut file| file.read_exact(&mut first));
        let start = if read.is_ok() && first == MAGIC { Start::File } else { Start::Decoder(DECODER) };
        Video::start(config, start)
    }

    fn start(config: &ReplayConfig, start: Start) -> Result<Video, CaptureError> {
        if let Some(fps) = config.fps.filter(|fps| !(0.01..=10_000.0).contains(fps)) {
            let expected = "0.01 to 10000 frames a second".into();
            return Err(CaptureError::Setting { key: "fps", value: fps.to_string(), expected });
        }
        let path = config.path.clone();
        let refuse = |reason: String| CaptureError::Video { path: path.clone(), reason };
        let input = begin(&path, start).map_err(refuse)?;
        let mut line = Vec::with_capacity(MAX_LINE);
        let head = read_line(&input.pipe, &mut line, monotonic_now() + START_LIMIT);
        let is_decoder = start != Start::File;
        let geometry = match head {
            Ok(()) => parse(&line).map_err(refuse)?,
            Err(FrameFault::EndOfStream) if is_decoder => {
                return Err(refuse(format!("{DECODER} gives no frame of it; `{DECODER} -i FILE` says why")));
            }
            Err(fault) => return Err(refuse(fault.to_string())),
        };
        line.clear();
        let stride = geometry.format.packed_stride(geometry.width);
        Ok(Video {
            path: config.path.clone(),
            input,
            start,
            geometry,
            line,
            // Lines of the file have no padding; an odd width has chroma lines of half a pixel more.
            pixels: vec![0; geometry.frame_bytes(stride)],
            filled: 0,
            waits: false,
            pace: Pace::new(config.fps),
            fps: config.fps,
            repeat: config.repeat,
            played: 0,
            sequence: 0,
            stats: SourceStats::default(),
        })
    }

    /// Reads on until the frame is whole.
    fn read(&mut self, deadline: Duration) -> Result<(), FrameFault> {
        if self.filled == 0 {
            read_line(&self.input.pipe, &mut self.line, deadline)?;
            if !self.line.starts_with(FRAME) {
                return Err(FrameFault::Device { errno: libc::EILSEQ });
            }
        }
        while self.filled < self.pixels.len() {
            match read_some(&self.input.pipe, &mut self.pixels[self.filled..], deadline)? {
                // A file that was cut off ends before its last, incomplete frame.
                0 => return Err(FrameFault::EndOfStream),
                count => self.filled += count,
            }
        }
        self.filled = 0;
        self.line.clear();
        Ok(())
    }

    /// Plays from the beginning again.
    fn rewind(&mut self) -> Result<(), FrameFault> {
        self.filled = 0;
        self.line.clear();
        self.played = 0;
        self.input = begin(&self.path, self.start).map_err(|_| FrameFault::EndOfStream)?;
        read_line(&self.input.pipe, &mut self.line, monotonic_now() + START_LIMIT)?;
        let same = parse(&self.line) == Ok(self.geometry);
        self.line.clear();
        if same { Ok(()) } else { Err(FrameFault::EndOfStream) }
    }
}

/// Opens the file, or starts the decoder on it.
fn begin(path: &Path, start: Start) -> Result<Input, String> {
    let Start::Decoder(program) = start else {
        let file = File::open(path).map_err(|error| error.to_string())?;
        return Ok(Input { pipe: file.into(), child: None });
    };
    let mut command = Command::new(program);
    if program == DECODER {
        // `-nostdin`: it would take keys from the terminal. `-pix_fmt`: whatever the file holds, 8-bit 4:2:0 comes out.
        command.args(["-nostdin", "-loglevel", "error", "-i"]).arg(path);
        command.args(["-map", "0:v:0", "-f", "yuv4mpegpipe", "-pix_fmt", "yuv420p", "-"]);
    } else {
        command.arg(path);
    }
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let mut child = child.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            format!("it needs the program {program}, which is not installed; a .y4m file plays without it")
        }
        _ => format!("{program} cannot be started: {error}"),
    })?;
    match child.stdout.take() {
        Some(pipe) => Ok(Input { pipe: pipe.into(), child: Some(child) }),
        None => Err(format!("{program} has no output")),
    }
}

/// Reads a line of text, without its end, on to what is there of it.
fn read_line(pipe: &OwnedFd, line: &mut Vec<u8>, deadline: Duration) -> Result<(), FrameFault> {
    loop {
        let mut byte = [0];
        if read_some(pipe, &mut byte, deadline)? == 0 {
            return Err(FrameFault::EndOfStream);
        }
        match byte {
            [b'\n'] => return Ok(()),
            _ if line.len() >= MAX_LINE => return Err(FrameFault::Device { errno: libc::EILSEQ }),
            [byte] => line.push(byte),
        }
    }
}

/// Reads what is there, waiting for something until the deadline. 0: the end.
fn read_some(pipe: &OwnedFd, out: &mut [u8], deadline: Duration) -> Result<usize, FrameFault> {
    let failed = |error: io::Error| FrameFault::Device { errno: error.raw_os_error().unwrap_or(libc::EIO) };
    loop {
        let left = deadline.saturating_sub(monotonic_now());
        let mut poll = libc::pollfd { fd: pipe.as_fd().as_raw_fd(), events: libc::POLLIN, revents: 0 };
        let left_ms = left.as_nanos().div_ceil(1_000_000).min(i32::MAX as u128) as libc::c_int;
        // SAFETY: one valid pollfd, exclusively borrowed for the call.
        let events = unsafe { libc::poll(&mut poll, 1, left_ms) };
        if events == 0 {
            return Err(FrameFault::TimedOut { waited: left });
        }
        // SAFETY: `out` is writable for its whole length for the call.
        let count = unsafe { libc::read(pipe.as_raw_fd(), out.as_mut_ptr().cast(), out.len()) };
        if count >= 0 {
            return Ok(count as usize);
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(failed(error));
        }
    }
}

/// The geometry from a YUV4MPEG2 header: `YUV4MPEG2 W640 H480 F30:1 C420jpeg XCOLORRANGE=FULL`.
fn parse(line: &[u8]) -> Result<Geometry, String> {
    let text = String::from_utf8_lossy(line);
    let mut words = text.split(' ');
    if words.next() != Some("YUV4MPEG2") {
        return Err("it does not begin with YUV4MPEG2".into());
    }
    let (mut width, mut height, mut format, mut range) = (0, 0, PixelFormat::Yu12, Range::Limited);
    for word in words {
        match word.split_at_checked(1) {
            Some(("W", value)) => width = value.parse().unwrap_or(0),
            Some(("H", value)) => height = value.parse().unwrap_or(0),
            Some(("C", "mono")) => format = PixelFormat::Grey,
            Some(("C", space))
                if space.starts_with("420") && !space.contains('p') || space == "420jpeg" || space == "420paldv" => {}
            Some(("C", space)) => {
                return Err(format!("its colour space {space} is not supported; convert it to 4:2:0, 8 bits"));
            }
            Some(("X", "COLORRANGE=FULL")) => range = Range::Full,
            _ => {}
        }
    }
    let side = 1..=MAX_SIDE;
    if !side.contains(&width) || !side.contains(&height) {
        return Err(format!("its frames of {width}x{height} pixels are not between 1x1 and {MAX_SIDE}x{MAX_SIDE}"));
    }
    if format == PixelFormat::Yu12 && !width.is_multiple_of(2) {
        return Err(format!("its frames are {width} pixels wide; an even width is needed"));
    }
    // The format cannot say which matrix; by custom, small pictures are BT.601 and high definition is BT.709.
    let matrix = if height >= 720 { Matrix::Bt709 } else { Matrix::Bt601 };
    Ok(Geometry { width, height, format, encoding: Encoding { matrix, range } })
}

impl FrameSource for Video {
    fn geometry(&self) -> Geometry {
        self.geometry
    }

    fn next(&mut self, timeout: Duration) -> Result<Lease<'_>, FrameFault> {
        let deadline = monotonic_now() + timeout;
        if !self.waits {
            match self.read(deadline) {
                Err(FrameFault::EndOfStream) if self.repeat && self.played > 0 => {
                    self.rewind()?;
                    self.read(monotonic_now() + timeout)?;
                }
                other => other?,
            }
        }
        self.waits = !self.pace.wait(deadline.saturating_sub(monotonic_now()));
        if self.waits {
            return Err(FrameFault::TimedOut { waited: timeout });
        }
        let meta =
            FrameMeta { sequence: self.sequence, captured_at: monotonic_now(), part: Some(self.played), truth: None };
        self.played += 1;
        self.sequence = self.sequence.wrapping_add(1);
        self.stats.frames += 1;
        let Geometry { width, height, format, .. } = self.geometry;
        Ok(Lease::new(FrameView::packed(&self.pixels, width, height, format), meta))
    }

    fn stats(&self) -> SourceStats {
        self.stats
    }

    fn describe(&self) -> String {
        let Geometry { width, height, format, .. } = self.geometry;
        let pace = self.fps.map_or("as fast as possible".into(), |fps| format!("{fps} frames a second"));
        let through =
            if let Start::Decoder(program) = self.start { format!(" through {program}") } else { String::new() };
        format!("video {}{through}, {width}x{height} {format}, {pace}", self.path.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "YUV4MPEG2 W6 H4 F25:1 Ip A1:1 C420jpeg XYSCSS=420JPEG XCOLORRANGE=FULL\n";

    /// A video of `frames` frames of 6x4 pixels, each filled with its number; `cut` bytes short.
    fn write(folder: &Path, frames: u8, cut: usize) -> PathBuf {
        let mut bytes = HEADER.as_bytes().to_vec();
        for frame in 0..frames {
            bytes.extend_from_slice(b"FRAME\n");
            bytes.extend(std::iter::repeat_n(frame, 36));
        }
        bytes.truncate(bytes.len() - cut);
        let path = folder.join("video.y4m");
        std::fs::write(&path, bytes).expect("writes");
        path
    }

    fn play(video: &mut Video, most: usize) -> Vec<u8> {
        let mut seen = Vec::new();
        while seen.len() < most {
            match video.next(Duration::from_secs(20)) {
                Ok(lease) => seen.push(lease.view().data[35]),
                Err(fault) => {
                    assert_eq!(fault, FrameFault::EndOfStream);
                    break;
                }
            }
        }
        seen
    }

    #[test]
    fn frames_come_in_order_and_a_cut_one_does_not() {
        let folder = tempfile::tempdir().expect("a folder");
        for (cut, expected) in [(0, vec![0, 1, 2]), (1, vec![0, 1]), (36, vec![0, 1]), (39, vec![0, 1])] {
            let path = write(folder.path(), 3, cut);
            assert!(Video::is_one(&path));
            let mut video = Video::open(&ReplayConfig::new(&path)).expect("opens");
            assert_eq!(video.geometry().encoding.range, Range::Full);
            assert_eq!(play(&mut video, 9), expected, "{cut} bytes cut off");
            let mut again = Video::open(&ReplayConfig { repeat: true, ..ReplayConfig::new(&path) }).expect("opens");
            let repeated: Vec<u8> = expected.iter().copied().cycle().take(7).collect();
            assert_eq!(play(&mut again, 7), repeated);
        }
    }

    #[test]
    fn a_decoder_is_read_through_its_pipe_and_ended_with_the_source() {
        let folder = tempfile::tempdir().expect("a folder");
        // More than a pipe holds: the child is still writing when it is no longer read.
        let path = write(folder.path(), 250, 0);
        let bytes = std::fs::read(&path).expect("reads");
        std::fs::write(&path, [bytes.clone(), bytes[HEADER.len()..].repeat(40)].concat()).expect("writes");
        let mut video = Video::start(&ReplayConfig::new(&path), Start::Decoder("cat")).expect("cat starts");
        assert_eq!(play(&mut video, 3), [0, 1, 2]);
        assert!(video.describe().contains("through cat"));
        let child = video.input.child.as_ref().expect("a child").id();
        drop(video);
        assert!(!Path::new(&format!("/proc/{child}")).exists(), "the child was waited for");
    }

    #[test]
    fn a_decoder_that_hangs_is_a_time_out_and_one_that_is_missing_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = write(folder.path(), 2, 20);
        let mut video = Video::start(&ReplayConfig::new(&path), Start::File).expect("opens");
        play(&mut video, 1);
        let (reader, _writer) = io::pipe().expect("a pipe");
        video.input = Input { pipe: reader.into(), child: None };
        let fault = video.next(Duration::from_millis(5)).map(|_| ()).expect_err("nothing comes");
        assert!(matches!(fault, FrameFault::TimedOut { .. }), "{fault}");
        let missing = Video::start(&ReplayConfig::new(&path), Start::Decoder("no-such-decoder"));
        let text = missing.err().map(|error| error.to_string()).unwrap_or_default();
        assert!(text.contains("no-such-decoder, which is not installed"), "{text}");
    }

    #[test]
    fn headers_that_are_none_are_refused_and_never_panic() {
        for (header, words) in [
            ("RIFF", "does not begin"),
            ("YUV4MPEG2", "0x0"),
            ("YUV4MPEG2 W99999999999 H4", "0x4"),
            ("YUV4MPEG2 W6 H4 C444", "444"),
            ("YUV4MPEG2 W6 H4 C420p10", "420p10"),
            ("YUV4MPEG2 W5 H4 C420jpeg", "even width"),
            ("YUV4MPEG2 W  H4 \u{fffd} C", "C"),
        ] {
            let error = parse(header.as_bytes()).expect_err(header);
            assert!(error.contains(words) || words == "C", "{header}: {error}");
        }
        assert_eq!(
            parse(b"YUV4MPEG2 W4 H720 Cmono").map(|g| (g.format, g.encoding.matrix)),
            Ok((PixelFormat::Grey, Matrix::Bt709))
        );
    }
}
