//! Is the camera still seeing? Brightness, sharpness and sameness of frames, cheap enough for every frame.
//!
//! [`Gauge`] measures a frame on every few lines; [`Watch`] compares the measurements with limits and names what is
//! wrong: a frozen picture (the same bytes again and again, which no sensor gives), a dark one (lamp out, cap on), a
//! saturated one (exposure, reflections), a blurred one (lens knocked, dirt). Neither allocates after it was made.

use std::hash::Hasher;

use jidoka_prepare::{BayerDepth, FrameError, FrameView, Geometry, PixelFormat, Roi, SpecError};

/// What a frame measures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reading {
    /// Mean luminance in 0..=255 (of 16-bit formats the highest 8 bits; of RGB the green).
    pub mean: f32,
    /// Share of pixels at most at 4, 0..=1.
    pub dark: f32,
    /// Share of pixels at least at 251, 0..=1.
    pub saturated: f32,
    /// Brenner's gradient (1976): the mean square of differences two samples apart along lines, over the mean squared,
    /// times 1000. It rises as the picture gets sharper and does not change with the exposure; what is a good value
    /// depends on what is seen, so it is for comparing.
    pub sharpness: f32,
    /// A digest of the bytes that were looked at: the same for the same picture.
    pub digest: u64,
}

/// Where the bytes of luminance are in a line.
#[derive(Clone, Copy)]
enum Luma {
    /// Every n-th byte from the first on, and how many bytes on the same colour comes again.
    Bytes { first: usize, step: usize },
    /// Little-endian words with this many bits, every n-th.
    Words { bits: u32, step: usize },
    /// Groups of bytes whose first ones are the high bits of a sample each.
    Groups { size: usize },
}

/// Measures frames of one geometry.
pub struct Gauge {
    geometry: Geometry,
    roi: Roi,
    luma: Luma,
    /// One luminance line.
    line: Vec<u8>,
}

/// About how many lines are looked at.
const LINES: u32 = 64;

/// Classes of brightness in a histogram.
pub const HISTOGRAM: usize = 16;

impl Gauge {
    /// A gauge for a region of frames (none for all of it).
    pub fn new(geometry: Geometry, roi: Option<Roi>) -> Result<Gauge, SpecError> {
        let roi = roi.unwrap_or(geometry.full());
        let Geometry { width, height, format, .. } = geometry;
        let inside =
            |start: u32, len: u32, limit: u32| len > 0 && start.checked_add(len).is_some_and(|end| end <= limit);
        if !inside(roi.x, roi.width, width) || !inside(roi.y, roi.height, height) {
            return Err(SpecError::Roi { roi, width, height });
        }
        Ok(Gauge { geometry, roi, luma: luma(format), line: vec![0; width as usize] })
    }

    /// Measures a frame.
    pub fn read(&mut self, view: &FrameView<'_>) -> Result<Reading, FrameError> {
        let mut sums = Sums::default();
        let mut digest = crc32fast::Hasher::new();
        let mut other = Fnv::default();
        self.each_line(view, |line, seen| {
            digest.update(line);
            other.write_u64(sums.add(seen));
        })?;
        Ok(sums.reading(u64::from(digest.finalize()) << 32 | (other.finish() & 0xffff_ffff)))
    }

    /// Adds a frame's pixels to a histogram of luminance.
    pub fn count(&mut self, view: &FrameView<'_>, histogram: &mut [u64; HISTOGRAM]) -> Result<(), FrameError> {
        self.each_line(view, |_, seen| {
            seen.iter().for_each(|&value| histogram[usize::from(value) * HISTOGRAM / 256] += 1);
        })
    }

    /// Gives each line that is looked at, as its bytes and as the luminance in the region.
    fn each_line(&mut self, view: &FrameView<'_>, mut take: impl FnMut(&[u8], &[u8])) -> Result<(), FrameError> {
        let Geometry { width, height, format, .. } = self.geometry;
        if (view.width, view.height, view.format) != (width, height, format) {
            return Err(FrameError::Geometry {
                width: view.width,
                height: view.height,
                format: view.format,
                expected_width: width,
                expected_height: height,
                expected_format: format,
            });
        }
        let step = (self.roi.height / LINES).max(1);
        // An even step would see one half of a mosaic alone: that is what is wanted, one colour beside another.
        let lines = view.lines(0)?.skip(self.roi.y as usize).take(self.roi.height as usize).step_by(step as usize);
        let (from, to) = (self.roi.x as usize, (self.roi.x + self.roi.width) as usize);
        for line in lines {
            let samples = self.luma.extract(line, &mut self.line);
            // In a mosaic or behind chroma there are fewer samples than pixels.
            let scale = |x: usize| x * samples / width as usize;
            take(line, &self.line[scale(from)..scale(to).max(scale(from) + 1).min(samples)]);
        }
        Ok(())
    }
}

fn luma(format: PixelFormat) -> Luma {
    use PixelFormat as P;
    let bytes = |first, step| Luma::Bytes { first, step };
    match format {
        P::Yuyv => bytes(0, 2),
        P::Uyvy => bytes(1, 2),
        P::Rgb24 | P::Bgr24 => bytes(1, 3),
        P::Rgbx32 | P::Bgrx32 => bytes(1, 4),
        P::Xrgb32 => bytes(2, 4),
        P::Y10 | P::Y12 | P::Y16 => Luma::Words { bits: format.bits(), step: 1 },
        P::Y10P | P::Bayer(_, BayerDepth::Packed10) => Luma::Groups { size: 5 },
        P::Y12P | P::Bayer(_, BayerDepth::Packed12) => Luma::Groups { size: 3 },
        P::Bayer(_, BayerDepth::Bits8) => bytes(0, 2),
        P::Bayer(..) => Luma::Words { bits: format.bits(), step: 2 },
        _ => bytes(0, 1),
    }
}

impl Luma {
    /// Writes the luminance of a line and says how many samples there are.
    fn extract(self, line: &[u8], out: &mut [u8]) -> usize {
        let mut count = 0;
        let mut put = |value: u8| {
            if let Some(out) = out.get_mut(count) {
                *out = value;
                count += 1;
            }
        };
        match self {
            Luma::Bytes { first, step } => line.iter().skip(first).step_by(step).for_each(|&byte| put(byte)),
            Luma::Words { bits, step } => line.chunks_exact(2).step_by(step).for_each(|word| {
                put((u16::from_le_bytes([word[0], word[1]]) >> (bits - 8)).min(255) as u8);
            }),
            // The samples of a mosaic alternate in colour: only the even ones are taken, of grey too.
            Luma::Groups { size } => line.chunks(size).for_each(|group| {
                put(group[0]);
                if let (5, Some(&third)) = (size, group.get(2)) {
                    put(third);
                }
            }),
        }
        count
    }
}

/// Sums over samples, exact.
#[derive(Default)]
struct Sums {
    count: u64,
    sum: u64,
    dark: u64,
    saturated: u64,
    gradient: u64,
    gradients: u64,
}

impl Sums {
    /// Adds a line and gives its own sum.
    fn add(&mut self, line: &[u8]) -> u64 {
        let sum: u64 = line.iter().map(|&value| u64::from(value)).sum();
        self.count += line.len() as u64;
        self.sum += sum;
        self.dark += line.iter().filter(|&&value| value <= 4).count() as u64;
        self.saturated += line.iter().filter(|&&value| value >= 251).count() as u64;
        for (a, b) in line.iter().zip(line.iter().skip(2)) {
            self.gradient += u64::from(a.abs_diff(*b)).pow(2);
            self.gradients += 1;
        }
        sum
    }

    fn reading(&self, digest: u64) -> Reading {
        let share = |part: u64, of: u64| part as f64 / of.max(1) as f64;
        let mean = share(self.sum, self.count);
        let sharpness = 1000.0 * share(self.gradient, self.gradients) / (mean * mean).max(1.0);
        Reading {
            mean: mean as f32,
            dark: share(self.dark, self.count) as f32,
            saturated: share(self.saturated, self.count) as f32,
            sharpness: sharpness as f32,
            digest,
        }
    }
}

/// FNV-1a, a second digest beside the CRC, so that two pictures do not meet by chance.
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Fnv {
        Fnv(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for Fnv {
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// When a picture counts as bad. The defaults suit a station whose light is constant.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Equal frames in a row that count as frozen; 0 never, and then they are not counted as repeated either. Not for replays,
    /// where frames do repeat.
    pub frozen_frames: u32,
    /// Mean luminance below which a frame is dark.
    pub darkest_mean: f32,
    /// Share of saturated pixels above which a frame is saturated.
    pub saturated_share: f32,
    /// Sharpness, as a share of the usual, below which a frame is blurred; 0 never.
    pub sharpness_share: f32,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { frozen_frames: 5, darkest_mean: 6.0, saturated_share: 0.5, sharpness_share: 0.25 }
    }
}

/// What is wrong with the picture.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum Trouble {
    /// The same bytes again and again.
    #[error("the picture is frozen: {frames} equal frames in a row")]
    Frozen {
        /// How many.
        frames: u32,
    },
    /// The same bytes as the frame before, not often enough yet to be frozen.
    #[error("the picture is equal to the one before")]
    Repeated,
    /// Too little light.
    #[error("the picture is dark: mean {mean:.1} of 255; look at the lamp, the lens cap, the exposure")]
    Dark {
        /// Mean luminance.
        mean: f32,
    },
    /// Too much light.
    #[error("the picture is saturated: {:.0} % of the pixels are white; lower exposure or gain", share * 100.0)]
    Saturated {
        /// Share of pixels.
        share: f32,
    },
    /// Out of focus.
    #[error("the picture is blurred: sharpness {sharpness:.2} where {usual:.2} is usual; look at lens and focus")]
    Blurred {
        /// Measured.
        sharpness: f32,
        /// The usual value.
        usual: f32,
    },
}

/// Compares readings with limits. What it has learned can be handed to the stream that replaces the watched one: a camera that
/// still gives the frame that it froze on is still frozen, however often it is opened anew.
#[derive(Clone, Copy, Debug)]
pub struct Watch {
    limits: Limits,
    last: Option<u64>,
    equal: u32,
    /// Mean sharpness of the first good frames.
    usual: f32,
    learned: u32,
}

/// Frames from which the usual sharpness is learned.
const LEARN: u32 = 16;

impl Watch {
    /// A watch that knows no frame yet. Sharpness is judged once 16 good frames have shown what is usual.
    pub fn new(limits: Limits) -> Watch {
        Watch { limits, last: None, equal: 1, usual: 0.0, learned: 0 }
    }

    /// The worst that is wrong with a frame, if anything is.
    pub fn judge(&mut self, reading: &Reading) -> Option<Trouble> {
        self.equal = if self.last == Some(reading.digest) { self.equal.saturating_add(1) } else { 1 };
        self.last = Some(reading.digest);
        let Limits { frozen_frames, darkest_mean, saturated_share, sharpness_share } = self.limits;
        if frozen_frames > 1 && self.equal >= frozen_frames {
            return Some(Trouble::Frozen { frames: self.equal });
        }
        if frozen_frames > 1 && self.equal > 1 {
            return Some(Trouble::Repeated);
        }
        if reading.mean < darkest_mean {
            return Some(Trouble::Dark { mean: reading.mean });
        }
        if reading.saturated > saturated_share {
            return Some(Trouble::Saturated { share: reading.saturated });
        }
        if self.learned < LEARN {
            self.learned += 1;
            self.usual += (reading.sharpness - self.usual) / self.learned as f32;
            return None;
        }
        let blurred = reading.sharpness < sharpness_share * self.usual;
        blurred.then_some(Trouble::Blurred { sharpness: reading.sharpness, usual: self.usual })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FrameSource, Synthetic, SyntheticConfig};
    use std::time::Duration;

    fn read(format: PixelFormat, width: u32, data: &[u8]) -> Reading {
        let height = 2;
        let mut gauge = Gauge::new(Geometry::new(width, height, format), None).expect("fits");
        gauge.read(&FrameView::packed(data, width, height, format)).expect("reads")
    }

    #[test]
    fn every_format_reads_its_luminance() {
        for format in PixelFormat::all() {
            let geometry = Geometry::new(40, 8, format);
            let bytes = geometry.frame_bytes(format.packed_stride(40));
            let mut gauge = Gauge::new(geometry, None).expect("fits");
            let dark = gauge.read(&FrameView::packed(&vec![0; bytes], 40, 8, format)).expect("reads");
            assert_eq!((dark.mean, dark.dark, dark.saturated), (0.0, 1.0, 0.0), "{format}");
            let bright = gauge.read(&FrameView::packed(&vec![255; bytes], 40, 8, format)).expect("reads");
            assert_eq!((bright.mean, bright.dark, bright.saturated), (255.0, 0.0, 1.0), "{format}");
            assert_ne!(dark.digest, bright.digest);
            assert_eq!(bright.sharpness, 0.0);
        }
    }

    #[test]
    fn chroma_does_not_count_as_luminance() {
        let reading = read(PixelFormat::Yuyv, 4, &[100, 255, 100, 0, 100, 255, 100, 0].repeat(2));
        assert_eq!((reading.mean, reading.dark, reading.saturated, reading.sharpness), (100.0, 0.0, 0.0, 0.0));
        let reading = read(PixelFormat::Y10, 2, &[0x00, 0x02, 0x00, 0x02].repeat(2));
        assert_eq!(reading.mean, 128.0);
    }

    #[test]
    fn sharper_is_larger_and_exposure_does_not_matter() {
        let edge = |low: u8, high: u8| [[low; 8], [high; 8]].concat().repeat(2);
        let ramp: Vec<u8> = (0..16).map(|x| 40 + 5 * x).collect::<Vec<u8>>().repeat(2);
        let sharp = read(PixelFormat::Grey, 16, &edge(40, 120));
        let blurred = read(PixelFormat::Grey, 16, &ramp);
        let darker = read(PixelFormat::Grey, 16, &edge(20, 60));
        assert!(sharp.sharpness > 2.0 * blurred.sharpness, "{sharp:?} {blurred:?}");
        assert!((sharp.sharpness - darker.sharpness).abs() < 1e-3 * sharp.sharpness);
    }

    #[test]
    fn each_trouble_is_named_and_a_good_stream_has_none() {
        let config = SyntheticConfig { width: 160, height: 120, ..SyntheticConfig::default() };
        let mut source = Synthetic::open(&config).expect("opens");
        let mut gauge = Gauge::new(source.geometry(), None).expect("fits");
        let mut watch = Watch::new(Limits::default());
        let mut last = Vec::new();
        for _ in 0..40 {
            let lease = source.next(Duration::ZERO).expect("renders");
            last = lease.view().data.to_vec();
            assert_eq!(watch.judge(&gauge.read(&lease.view()).expect("reads")), None);
        }
        let mut judge = |data: &[u8]| {
            watch.judge(&gauge.read(&FrameView::packed(data, 160, 120, PixelFormat::Grey)).expect("reads"))
        };
        let smooth: Vec<u8> = (0..last.len()).map(|i| 90 + (i % 160 / 8) as u8).collect();
        assert!(matches!(judge(&smooth), Some(Trouble::Blurred { .. })));
        assert!(matches!(judge(&vec![2; last.len()]), Some(Trouble::Dark { .. })));
        assert!(matches!(judge(&vec![255; last.len()]), Some(Trouble::Saturated { .. })));
        assert_eq!(judge(&last), None);
        assert!((0..3).all(|_| judge(&last) == Some(Trouble::Repeated)));
        assert_eq!(judge(&last), Some(Trouble::Frozen { frames: 5 }));
        last[0] ^= 1;
        assert_eq!(judge(&last), None, "one bit is enough to be alive");
    }

    #[test]
    fn regions_and_frames_that_do_not_fit_are_refused() {
        let geometry = Geometry::new(16, 4, PixelFormat::Grey);
        assert!(Gauge::new(geometry, Some(Roi { x: 10, y: 0, width: 7, height: 1 })).is_err());
        let mut gauge = Gauge::new(geometry, Some(Roi { x: 15, y: 3, width: 1, height: 1 })).expect("fits");
        let data = [[0; 63].as_slice(), &[200]].concat();
        assert_eq!(gauge.read(&FrameView::packed(&data, 16, 4, PixelFormat::Grey)).expect("reads").mean, 200.0);
        assert!(gauge.read(&FrameView::packed(&data, 4, 16, PixelFormat::Grey)).is_err());
        assert!(gauge.read(&FrameView::packed(&data[1..], 16, 4, PixelFormat::Grey)).is_err());
    }
}
