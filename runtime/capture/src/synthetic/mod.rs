//! A rendered conveyor: machined parts with natural variation, seeded defects, and the truth about each.
//!
//! The same seed gives the same frames, to the bit, on every machine. Frame memory is taken at start; rendering
//! allocates nothing.

mod math;
mod part;
mod render;

use std::time::Duration;

use jidoka_prepare::{Encoding, FrameView, Geometry, PixelFormat, Range};

pub(crate) use self::math::Random;
use self::part::Part;
use self::render::Stage;
use crate::clock::{Pace, monotonic_now};
use crate::config::SyntheticConfig;
use crate::error::{CaptureError, FrameFault};
use crate::source::{Defect, FrameMeta, FrameSource, Lease, SourceStats, Truth};

/// A conveyor that exists only in arithmetic. One frame a part, the part roughly in the middle.
pub struct Synthetic {
    config: SyntheticConfig,
    stage: Stage,
    pace: Pace,
    next_part: u32,
    pixels: Vec<u8>,
    mask: Vec<u8>,
    stats: SourceStats,
}

impl Synthetic {
    /// Checks the settings and takes the memory.
    pub fn open(config: &SyntheticConfig) -> Result<Synthetic, CaptureError> {
        let setting =
            |key, value: String, expected: &str| CaptureError::Setting { key, value, expected: expected.into() };
        if !matches!(config.format, PixelFormat::Grey | PixelFormat::Rgb24) {
            return Err(setting("format", config.format.to_string(), "GREY or RGB24 (the renderer makes no other)"));
        }
        for (key, side) in [("width", config.width), ("height", config.height)] {
            if !(64..=4096).contains(&side) {
                return Err(setting(key, side.to_string(), "64 to 4096 pixels"));
            }
        }
        if !(0.0..=1.0).contains(&config.defect_rate) {
            return Err(setting("defect_rate", config.defect_rate.to_string(), "a share from 0 to 1"));
        }
        if let Some(fps) = config.fps.filter(|fps| !(0.01..=10_000.0).contains(fps)) {
            return Err(setting("fps", fps.to_string(), "0.01 to 10000 frames a second"));
        }
        let area = config.width as usize * config.height as usize;
        Ok(Synthetic {
            stage: Stage::new(config.seed),
            pace: Pace::new(config.fps),
            next_part: config.first_part,
            pixels: vec![0; config.format.line_bytes(config.width) * config.height as usize],
            mask: vec![0; area],
            stats: SourceStats::default(),
            config: config.clone(),
        })
    }

    /// What part number `part` will be, without rendering it.
    pub fn truth_of(&self, part: u32) -> Truth {
        let mut random = Random::new(self.config.seed ^ 0x7A07, u64::from(part));
        if f64::from(random.unit()) >= self.config.defect_rate {
            return Truth::Good;
        }
        Truth::Defect(Defect::RENDERED[random.below(Defect::RENDERED.len())])
    }

    fn render(&mut self, part: u32, truth: Truth) {
        let config = &self.config;
        let defect = if let Truth::Defect(defect) = truth { Some(defect) } else { None };
        let drawn = Part::draw(config.seed, part, defect, config.width, config.height);
        self.stage.render(&drawn, part, config.width, config.format, &mut self.pixels, &mut self.mask);
    }
}

impl FrameSource for Synthetic {
    fn geometry(&self) -> Geometry {
        let encoding = Encoding { range: Range::Full, ..Encoding::default() };
        Geometry { width: self.config.width, height: self.config.height, format: self.config.format, encoding }
    }

    fn next(&mut self, timeout: Duration) -> Result<Lease<'_>, FrameFault> {
        if self.config.parts.is_some_and(|parts| self.next_part.wrapping_sub(self.config.first_part) >= parts) {
            return Err(FrameFault::EndOfStream);
        }
        if !self.pace.wait(timeout) {
            return Err(FrameFault::TimedOut { waited: timeout });
        }
        // The exposure is now; rendering takes the time that a camera takes to read out.
        let captured_at = monotonic_now();
        let part = self.next_part;
        self.next_part = part.wrapping_add(1);
        let truth = self.truth_of(part);
        self.render(part, truth);
        self.stats.frames += 1;
        let meta = FrameMeta { sequence: part, captured_at, part: Some(part), truth: Some(truth) };
        let view = FrameView::packed(&self.pixels, self.config.width, self.config.height, self.config.format);
        Ok(Lease::new(view, meta).with_mask(&self.mask))
    }

    fn stats(&self) -> SourceStats {
        self.stats
    }

    fn describe(&self) -> String {
        let SyntheticConfig { width, height, format, seed, defect_rate, .. } = &self.config;
        format!("synthetic parts, {width}x{height} {format}, seed {seed}, {} % defective", defect_rate * 100.0)
    }
}

#[cfg(test)]
mod tests;
