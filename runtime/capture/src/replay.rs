//! Replay: frames from files, paced or as fast as they are asked for.
//!
//! A folder of images, one image, or a *filmstrip*: one image that holds several frames side by side or one above the
//! other. Everything is decoded at start, within a memory bound, so that the loop only lends what is there and
//! allocates nothing.

use std::path::{Path, PathBuf};
use std::time::Duration;

use jidoka_prepare::{Encoding, FrameView, Geometry, PixelFormat, Range};

use crate::clock::{Pace, monotonic_now};
use crate::config::ReplayConfig;
use crate::error::{CaptureError, FrameFault};
use crate::images::{self, Image, Skipped};
use crate::source::{Defect, FrameMeta, FrameSource, Lease, SourceStats, Truth};

/// Frames from files.
pub struct Replay {
    path: PathBuf,
    geometry: Geometry,
    frames: Vec<Stored>,
    skipped: Vec<Skipped>,
    pace: Pace,
    fps: Option<f64>,
    repeat: bool,
    position: usize,
    sequence: u32,
    stats: SourceStats,
}

/// A frame in memory: a window of an image, so that a filmstrip is stored once.
struct Stored {
    image: std::sync::Arc<Image>,
    offset: usize,
    truth: Option<Truth>,
    file: PathBuf,
}

impl Replay {
    /// Reads and decodes everything.
    ///
    /// Files that do not decode are passed over and kept in [`Replay::skipped`]; that none decodes is an error, and so
    /// is a frame of another size than the first. Where some frames are grey and some are not, all become RGB.
    pub fn open(config: &ReplayConfig) -> Result<Replay, CaptureError> {
        if let Some(fps) = config.fps.filter(|fps| !(0.01..=10_000.0).contains(fps)) {
            return Err(CaptureError::Setting {
                key: "fps",
                value: fps.to_string(),
                expected: "0.01 to 10000 frames a second".into(),
            });
        }
        let (frames, skipped) = match config.filmstrip {
            Some(count) => (filmstrip(&config.path, count)?, Vec::new()),
            None if config.path.is_dir() => folder(&config.path, config.memory_mib)?,
            None => (vec![Stored::whole(config.path.clone(), images::decode(&config.path)?)], Vec::new()),
        };
        skipped.iter().for_each(|skip| log::warn!("skipped: {}", skip.error));
        let first = &frames[0];
        let encoding = Encoding { range: Range::Full, ..Encoding::default() };
        let height = first.image.height / config.filmstrip.filter(|_| is_tall(&first.image)).unwrap_or(1);
        let width = first.image.width / config.filmstrip.filter(|_| !is_tall(&first.image)).unwrap_or(1);
        let geometry = Geometry { width, height, format: first.image.format, encoding };
        Ok(Replay {
            path: config.path.clone(),
            geometry,
            frames,
            skipped,
            pace: Pace::new(config.fps),
            fps: config.fps,
            repeat: config.repeat,
            position: 0,
            sequence: 0,
            stats: SourceStats::default(),
        })
    }

    /// Files that were passed over, and why.
    pub fn skipped(&self) -> &[Skipped] {
        &self.skipped
    }

    /// How many frames there are.
    pub fn len(&self) -> usize {
        self.frames.len()
    }

    /// False: a replay without frames does not open.
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// The file that frame `index` (0..len) came from.
    pub fn file(&self, index: usize) -> Option<&Path> {
        self.frames.get(index).map(|frame| frame.file.as_path())
    }
}

impl Stored {
    fn whole(file: PathBuf, image: Image) -> Stored {
        Stored { truth: truth_of(&file), image: std::sync::Arc::new(image), offset: 0, file }
    }
}

/// Images are named after what they show in the folders of many data sets: `good/000.png`, `scratch/004.png`.
fn truth_of(file: &Path) -> Option<Truth> {
    let folder = file.parent()?.file_name()?.to_str()?.to_lowercase();
    if folder == "good" {
        return Some(Truth::Good);
    }
    let kind = Defect::RENDERED.into_iter().find(|defect| defect.name() == folder.replace('_', "-"));
    kind.or((folder == "defect").then_some(Defect::Other)).map(Truth::Defect)
}

fn folder(path: &Path, memory_mib: usize) -> Result<(Vec<Stored>, Vec<Skipped>), CaptureError> {
    let files = images::list(path)?;
    let total = files.len();
    let mut frames: Vec<Stored> = Vec::new();
    let mut skipped = Vec::new();
    let mut bytes = 0;
    for result in images::decode_all(&files) {
        let (file, image) = match result {
            Ok(decoded) => decoded,
            Err(skip) => {
                skipped.push(skip);
                continue;
            }
        };
        if let Some(first) = frames.first()
            && (first.image.width, first.image.height) != (image.width, image.height)
        {
            let reason = format!(
                "it is {}x{} where {} is {}x{}; expected frames of one size",
                image.width,
                image.height,
                first.file.display(),
                first.image.width,
                first.image.height
            );
            return Err(CaptureError::Image { path: file, reason });
        }
        bytes += image.data.len();
        if bytes > memory_mib << 20 {
            return Err(CaptureError::TooLarge { path: path.to_path_buf(), fits: frames.len(), total, memory_mib });
        }
        frames.push(Stored::whole(file, image));
    }
    if frames.is_empty() {
        // There were files, and none is an image: the first reason stands for all.
        return Err(skipped
            .into_iter()
            .next()
            .map_or(CaptureError::NoImages { path: path.to_path_buf() }, |s| s.error));
    }
    unify(&mut frames);
    Ok((frames, skipped))
}

/// Makes all frames RGB where some are.
fn unify(frames: &mut [Stored]) {
    if frames.iter().all(|frame| frame.image.format == frames[0].image.format) {
        return;
    }
    for frame in frames.iter_mut().filter(|frame| frame.image.format == PixelFormat::Grey) {
        let image = &frame.image;
        let data = image.data.iter().flat_map(|&grey| [grey; 3]).collect();
        let rgb = Image { width: image.width, height: image.height, format: PixelFormat::Rgb24, data };
        frame.image = std::sync::Arc::new(rgb);
    }
}

fn is_tall(image: &Image) -> bool {
    image.height >= image.width
}

fn filmstrip(path: &Path, count: u32) -> Result<Vec<Stored>, CaptureError> {
    let image = images::decode(path)?;
    let side = if is_tall(&image) { image.height } else { image.width };
    if count == 0 || !side.is_multiple_of(count) {
        return Err(CaptureError::Setting {
            key: "filmstrip",
            value: count.to_string(),
            expected: format!("a number that divides the image's longer side, {side} pixels, into equal frames"),
        });
    }
    let line = image.format.line_bytes(image.width);
    let step = if is_tall(&image) { line * (side / count) as usize } else { image.format.line_bytes(side / count) };
    let image = std::sync::Arc::new(image);
    let frame =
        |k: u32| Stored { image: image.clone(), offset: k as usize * step, truth: None, file: path.to_path_buf() };
    Ok((0..count).map(frame).collect())
}

impl FrameSource for Replay {
    fn geometry(&self) -> Geometry {
        self.geometry
    }

    fn next(&mut self, timeout: Duration) -> Result<Lease<'_>, FrameFault> {
        if self.position == self.frames.len() {
            if !self.repeat {
                return Err(FrameFault::EndOfStream);
            }
            self.position = 0;
        }
        if !self.pace.wait(timeout) {
            return Err(FrameFault::TimedOut { waited: timeout });
        }
        let frame = &self.frames[self.position];
        let meta = FrameMeta {
            sequence: self.sequence,
            captured_at: monotonic_now(),
            part: Some(self.position as u32),
            truth: frame.truth,
        };
        self.position += 1;
        self.sequence = self.sequence.wrapping_add(1);
        self.stats.frames += 1;
        let Geometry { width, height, format, .. } = self.geometry;
        let stride = format.line_bytes(frame.image.width);
        Ok(Lease::new(FrameView::new(&frame.image.data[frame.offset..], width, height, stride, format), meta))
    }

    fn stats(&self) -> SourceStats {
        self.stats
    }

    fn describe(&self) -> String {
        let Geometry { width, height, format, .. } = self.geometry;
        let pace = self.fps.map_or("as fast as possible".into(), |fps| format!("{fps} frames a second"));
        let again = if self.repeat { ", again and again" } else { "" };
        let passed_over = match self.skipped.len() {
            0 => String::new(),
            count => format!(" ({count} that do not decode are skipped)"),
        };
        let (path, frames) = (self.path.display(), self.len());
        format!("replay of {path}, {frames} frames{passed_over}, {width}x{height} {format}, {pace}{again}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &Path, name: &str, width: u32, height: u32, format: PixelFormat, value: u8) -> Vec<u8> {
        let data: Vec<u8> =
            (0..format.line_bytes(width) * height as usize).map(|i| value.wrapping_add(i as u8)).collect();
        let png = images::encode_png(&FrameView::packed(&data, width, height, format)).expect("encodes");
        std::fs::create_dir_all(folder).expect("creates");
        std::fs::write(folder.join(name), png).expect("writes");
        data
    }

    /// All frames, line by line without padding, until the end.
    fn frames(replay: &mut Replay) -> Vec<Vec<u8>> {
        let mut all = Vec::new();
        loop {
            match replay.next(Duration::ZERO) {
                Ok(lease) => {
                    let view = lease.view();
                    let line = view.format.line_bytes(view.width);
                    let row = |y: usize| &view.data[y * view.stride..y * view.stride + line];
                    all.push((0..view.height as usize).flat_map(row).copied().collect());
                }
                Err(fault) => {
                    assert_eq!(fault, FrameFault::EndOfStream);
                    return all;
                }
            }
        }
    }

    #[test]
    fn a_folder_plays_in_order_and_names_what_it_skips() {
        let folder = tempfile::tempdir().expect("a folder");
        let ten = write(folder.path(), "10.png", 3, 2, PixelFormat::Grey, 10);
        let two = write(folder.path(), "2.png", 3, 2, PixelFormat::Grey, 90);
        std::fs::write(folder.path().join("3.png"), "not an image").expect("writes");
        let mut replay = Replay::open(&ReplayConfig::new(folder.path())).expect("opens");
        assert_eq!(frames(&mut replay), [two, ten]);
        assert_eq!(replay.stats().frames, 2);
        let [skipped] = replay.skipped() else { panic!("one file is skipped") };
        assert!(skipped.path.ends_with("3.png"));
        assert!(replay.describe().contains("2 frames"), "{}", replay.describe());
    }

    #[test]
    fn repeating_goes_on_with_new_sequence_numbers() {
        let folder = tempfile::tempdir().expect("a folder");
        write(folder.path(), "1.png", 3, 2, PixelFormat::Grey, 10);
        write(folder.path(), "2.png", 3, 2, PixelFormat::Grey, 20);
        let mut replay =
            Replay::open(&ReplayConfig { repeat: true, ..ReplayConfig::new(folder.path()) }).expect("opens");
        let metas: Vec<_> = (0..5).map(|_| *replay.next(Duration::ZERO).expect("a frame").meta()).collect();
        assert_eq!(metas.iter().map(|meta| meta.sequence).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
        assert_eq!(metas.iter().map(|meta| meta.part).collect::<Vec<_>>(), [0, 1, 0, 1, 0].map(Some));
    }

    #[test]
    fn filmstrips_are_cut_along_their_longer_side() {
        let folder = tempfile::tempdir().expect("a folder");
        for (width, height, count) in [(4, 12, 3), (12, 4, 3), (5, 5, 1)] {
            for format in [PixelFormat::Grey, PixelFormat::Rgb24] {
                let data = write(folder.path(), "strip.png", width, height, format, 3);
                let path = folder.path().join("strip.png");
                let config = ReplayConfig { filmstrip: Some(count), ..ReplayConfig::new(&path) };
                let mut replay = Replay::open(&config).expect("opens");
                let cut = frames(&mut replay);
                let line = format.line_bytes(width);
                let expected: Vec<Vec<u8>> = (0..count as usize)
                    .map(|k| match height >= width {
                        true => {
                            data[k * line * (height / count) as usize..][..line * (height / count) as usize].to_vec()
                        }
                        false => data
                            .chunks(line)
                            .flat_map(|row| &row[k * line / count as usize..][..line / count as usize])
                            .copied()
                            .collect(),
                    })
                    .collect();
                assert_eq!(cut, expected, "{width}x{height} {format}");
            }
        }
    }

    #[test]
    fn grey_and_colour_frames_become_colour() {
        let folder = tempfile::tempdir().expect("a folder");
        let grey = write(folder.path(), "1.png", 2, 1, PixelFormat::Grey, 10);
        let color = write(folder.path(), "2.png", 2, 1, PixelFormat::Rgb24, 20);
        let mut replay = Replay::open(&ReplayConfig::new(folder.path())).expect("opens");
        assert_eq!(replay.geometry().format, PixelFormat::Rgb24);
        let widened: Vec<u8> = grey.iter().flat_map(|&g| [g; 3]).collect();
        assert_eq!(frames(&mut replay), [widened, color]);
    }

    #[test]
    fn folders_named_for_the_truth_tell_it() {
        for (name, truth) in [
            ("good", Some(Truth::Good)),
            ("Missing_Hole", Some(Truth::Defect(Defect::MissingHole))),
            ("defect", Some(Truth::Defect(Defect::Other))),
            ("images", None),
        ] {
            let folder = tempfile::tempdir().expect("a folder");
            write(&folder.path().join(name), "1.png", 2, 2, PixelFormat::Grey, 0);
            let mut replay = Replay::open(&ReplayConfig::new(folder.path().join(name))).expect("opens");
            assert_eq!(replay.next(Duration::ZERO).expect("a frame").meta().truth, truth, "{name}");
        }
    }

    #[test]
    fn what_cannot_be_played_is_refused_with_the_reason() {
        let folder = tempfile::tempdir().expect("a folder");
        write(folder.path(), "1.png", 30, 20, PixelFormat::Grey, 10);
        let one = folder.path().join("1.png");
        let mixed = folder.path().join("mixed");
        write(&mixed, "1.png", 30, 20, PixelFormat::Grey, 10);
        write(&mixed, "2.png", 20, 30, PixelFormat::Grey, 10);
        let broken = folder.path().join("broken");
        std::fs::create_dir(&broken).expect("creates");
        std::fs::write(broken.join("1.jpg"), "x").expect("writes");
        let new = ReplayConfig::new;
        let cases = [
            (new(folder.path().join("nowhere")), "nowhere"),
            (ReplayConfig { filmstrip: Some(7), ..new(one.clone()) }, "filmstrip = 7"),
            (ReplayConfig { filmstrip: Some(0), ..new(one.clone()) }, "30 pixels"),
            (ReplayConfig { fps: Some(f64::NAN), ..new(one) }, "fps = NaN"),
            (new(mixed.clone()), "20x30 where"),
            (new(broken), "1.jpg"),
            (ReplayConfig { memory_mib: 0, ..new(folder.path().to_path_buf()) }, "0 of 1 frames fit"),
        ];
        for (config, part) in cases {
            let error = Replay::open(&config).err().expect(part).to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
