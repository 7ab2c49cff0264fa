//! Evaluation: a category of a dataset, a model, and the numbers.
//!
//! Every image is prepared, scored and timed as in the loop. Pixel metrics are taken at the size of the image: the anomaly map
//! is brought to it bilinearly, as MVTec's own evaluation asks, so that masks are never resampled.

mod dataset;
mod mean;
mod npy;

pub use dataset::{Category, Layout, Picture, Pictures, Sample, find};

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use jidoka_prepare::Roi;
use serde::Serialize;

use crate::metrics::{Curve, PixelCurves, Pixels, Ranked, auroc, f1_at, f1_max, roc};
use crate::{Error, InspectionModel, Preparation};

/// The figures of one category. Keys are stable: other tools read them.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Figures {
    /// The category.
    pub category: String,
    /// How the model judges; what was chosen where it was taught with `auto`.
    pub method: String,
    /// Image level: area under the ROC curve.
    pub image_auroc: f64,
    /// Pixel level: area under the ROC curve; none without masks.
    pub pixel_auroc: Option<f64>,
    /// Pixel level: AU-PRO up to a false-positive rate of 0.3.
    pub au_pro_30: Option<f64>,
    /// Pixel level: AU-PRO up to a false-positive rate of 0.05.
    pub au_pro_05: Option<f64>,
    /// Image level: the greatest F1 over all thresholds.
    pub f1_max: f64,
    /// Image level: F1 at the model's threshold; none where it has no threshold.
    pub f1: Option<f64>,
    /// Image level: share of good test parts above the model's threshold.
    pub false_reject: Option<f64>,
    /// The upper bound that the model states for that share, at 95 % confidence from the counts of held-out parts.
    pub false_reject_bound: Option<f64>,
    /// Image level: share of defective test parts that are not above the model's threshold.
    pub escape: Option<f64>,
    /// Pixel level: the greatest F1 over all thresholds.
    pub pixel_f1_max: Option<f64>,
    /// Pixel level: intersection over union at the model's pixel threshold.
    pub iou: Option<f64>,
    /// Median time of one inference, in microseconds.
    pub p50_us: u64,
    /// 99th percentile of the time of one inference, in microseconds.
    pub p99_us: u64,
    /// Good parts to teach from.
    pub n_train: usize,
    /// Good test parts.
    pub n_good: usize,
    /// Defective test parts.
    pub n_defect: usize,
    /// Seeds that the figures are the mean of.
    pub seeds: usize,
}

/// The score of one test image.
#[derive(Clone, Debug)]
pub struct Scored {
    /// The image.
    pub sample: Sample,
    /// Its score.
    pub score: f32,
}

/// What evaluating a category found.
#[derive(Clone, Debug)]
pub struct Evaluation {
    /// The numbers.
    pub figures: Figures,
    /// Each test image with its score, good ones first.
    pub scored: Vec<Scored>,
    /// The ROC curve over images.
    pub image_roc: Curve,
    /// The curves over pixels; none without masks or maps.
    pub pixels: Option<PixelCurves>,
}

/// Where per-image results go.
#[derive(Clone, Debug)]
pub struct Details {
    /// A file of one JSON object a line: `image` (relative to the category), `score`, `map`.
    pub scores: PathBuf,
    /// The folder for the maps, each a `.npy` of f32 `[H,W]` at the size of its image.
    pub maps: PathBuf,
}

/// One object of the scores file.
#[derive(Serialize)]
struct Line<'a> {
    image: &'a str,
    score: f32,
    #[serde(skip_serializing_if = "Option::is_none")]
    map: Option<&'a Path>,
}

/// Scores every test image of `category`. `progress` gets images done and in all.
///
/// # Errors
/// Where an image or mask cannot be read, sizes differ, an inference fails, or there are no good or no defective images.
pub fn evaluate(
    category: &Category,
    model: &mut InspectionModel,
    details: Option<&Details>,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Evaluation, Error> {
    let mut bench = Bench {
        preparation: Preparation::for_model(model, None)?,
        pixels: Pixels::default(),
        masked: category.test.iter().any(|s| !s.masks.is_empty()),
        times_us: Vec::new(),
        lines: Vec::new(),
    };
    let mut scored = Vec::with_capacity(category.test.len());
    for (done, sample) in category.test.iter().enumerate() {
        let score = bench.inspect(category, sample, model, details)?;
        scored.push(Scored { sample: sample.clone(), score });
        progress(done + 1, category.test.len());
    }
    if let Some(details) = details {
        crate::write_atomic(&details.scores, &bench.lines)?;
    }
    bench.evaluation(category, model, scored)
}

/// What builds up over a category.
struct Bench {
    preparation: Preparation,
    pixels: Pixels,
    masked: bool,
    times_us: Vec<u64>,
    lines: Vec<u8>,
}

impl Bench {
    fn inspect(
        &mut self,
        category: &Category,
        sample: &Sample,
        model: &mut InspectionModel,
        details: Option<&Details>,
    ) -> Result<f32, Error> {
        let image = sample.picture.read()?;
        let name = sample.picture.name(Path::new(""));
        self.preparation.fill(&name, &image, model)?;
        let whole = (image.width as usize, image.height as usize);
        // The map covers the region that the model was taught from: pixels outside are not judged and do not count.
        let region = model.contract().region();
        let (width, height) = region.map_or(whole, |roi| (roi.width as usize, roi.height as usize));
        let began = Instant::now();
        let outcome = model.score().map_err(|error| Error::Run { name, error })?;
        self.times_us.push(began.elapsed().as_micros() as u64);
        let score = outcome.score;
        let map = outcome.map.map(|m| stretch(m.values, (m.width, m.height), (width, height)));
        if let (Some(map), true) = (&map, self.masked) {
            let mask = mask_of(category, sample, whole.0, whole.1)?.map(|mask| match region {
                Some(roi) => cut(&mask, whole.0, roi),
                None => mask,
            });
            self.pixels.add(map, mask.as_deref(), width)?;
        }
        if let Some(details) = details {
            self.write_line(category, sample, score, map.as_deref(), (width, height), details)?;
        }
        Ok(score)
    }

    fn write_line(
        &mut self,
        category: &Category,
        sample: &Sample,
        score: f32,
        map: Option<&[f32]>,
        (width, height): (usize, usize),
        details: &Details,
    ) -> Result<(), Error> {
        let image = sample.picture.name(&category.folder);
        // A rectangle is part of its picture's name, and so of its map's.
        let path = match sample.picture.crop {
            None => details.maps.join(&image).with_extension("npy"),
            Some(_) => details.maps.join(format!("{image}.npy")),
        };
        if let Some(map) = map {
            if let Some(folder) = path.parent() {
                std::fs::create_dir_all(folder).map_err(|e| Error::io(folder, "create", e))?;
            }
            std::fs::write(&path, npy::encode(map, height, width)).map_err(|e| Error::io(&path, "write", e))?;
        }
        let line = Line { image: &image, score, map: map.map(|_| path.as_path()) };
        let text = serde_json::to_string(&line).unwrap_or_default();
        // Writing to memory cannot fail.
        let _ = writeln!(self.lines, "{text}");
        Ok(())
    }

    fn evaluation(
        mut self,
        category: &Category,
        model: &InspectionModel,
        scored: Vec<Scored>,
    ) -> Result<Evaluation, Error> {
        let ranked: Vec<Ranked> =
            scored.iter().map(|s| Ranked { score: s.score, defect: s.sample.defect.is_some() }).collect();
        let n_defect = ranked.iter().filter(|r| r.defect).count();
        let n_good = ranked.len() - n_defect;
        let threshold = model.threshold();
        let share = |defect: bool, of: usize| {
            threshold.map(|t| {
                ranked.iter().filter(|r| r.defect == defect && (f64::from(r.score) > t) != defect).count() as f64
                    / of.max(1) as f64
            })
        };
        let (false_reject, escape) = (share(false, n_good), share(true, n_defect));
        let pixel_threshold = model.contract().threshold.as_ref().map(|t| t.pixel);
        let with_map = self.masked && model.map_size().is_some();
        let iou = pixel_threshold.filter(|_| with_map).map(|t| self.pixels.iou_at(t));
        let (pixels, curves) = match with_map.then(|| self.pixels.figures_and_curves()).transpose()? {
            Some((figures, curves)) => (Some(figures), Some(curves)),
            None => (None, None),
        };
        self.times_us.sort_unstable();
        let time = |share: f64| {
            let last = self.times_us.len().saturating_sub(1);
            self.times_us.get((last as f64 * share).round() as usize).copied().unwrap_or(0)
        };
        let figures = Figures {
            category: category.name.clone(),
            method: model.contract().method.name().to_owned(),
            image_auroc: auroc(&ranked)?,
            pixel_auroc: pixels.map(|p| p.auroc),
            au_pro_30: pixels.map(|p| p.au_pro_30),
            au_pro_05: pixels.map(|p| p.au_pro_05),
            f1_max: f1_max(&ranked)?.0,
            f1: threshold.map(|t| f1_at(&ranked, t)),
            false_reject,
            false_reject_bound: model.contract().threshold.as_ref().map(|t| t.bound_95),
            escape,
            pixel_f1_max: pixels.map(|p| p.f1_max),
            iou,
            p50_us: time(0.5),
            p99_us: time(0.99),
            n_train: category.train.len(),
            n_good,
            n_defect,
            seeds: 1,
        };
        Ok(Evaluation { figures, image_roc: roc(&ranked)?, scored, pixels: curves })
    }
}

/// The union of a sample's masks; none for a good part.
///
/// # Errors
/// Where a mask cannot be read or is not of its image's size.
fn mask_of(category: &Category, sample: &Sample, width: usize, height: usize) -> Result<Option<Vec<bool>>, Error> {
    if sample.masks.is_empty() {
        return Ok(None);
    }
    let mut union = vec![false; width * height];
    for path in &sample.masks {
        let mask = Picture { path: path.clone(), crop: sample.picture.crop }.read()?;
        if (mask.width as usize, mask.height as usize) != (width, height) {
            let reason =
                format!("the mask is {}x{} and its image {width}x{height}; expected one size", mask.width, mask.height);
            return Err(Error::Dataset { path: path.clone(), reason });
        }
        for (marked, mark) in union.iter_mut().zip(dataset::marked(&mask, category.layout.least_mark())) {
            *marked |= mark;
        }
    }
    Ok(Some(union))
}

/// A rectangle of a mask; it lies inside, or the image could not have been prepared.
fn cut(mask: &[bool], width: usize, roi: Roi) -> Vec<bool> {
    let (from, to) = (roi.x as usize, (roi.x + roi.width) as usize);
    let lines = mask.chunks_exact(width).skip(roi.y as usize).take(roi.height as usize);
    lines.flat_map(|line| line[from..to].iter().copied()).collect()
}

/// A map brought to another size bilinearly, pixel centres at halves, edges repeated.
pub fn stretch(values: &[f32], from: (usize, usize), to: (usize, usize)) -> Vec<f32> {
    if from == to {
        return values.to_vec();
    }
    let axis = |from: usize, to: usize| -> Vec<(usize, usize, f32)> {
        (0..to)
            .map(|i| {
                let at = ((i as f32 + 0.5) * from as f32 / to as f32 - 0.5).clamp(0.0, (from - 1) as f32);
                let low = at as usize;
                (low, (low + 1).min(from - 1), at - low as f32)
            })
            .collect()
    };
    let (columns, rows) = (axis(from.0, to.0), axis(from.1, to.1));
    let mut out = Vec::with_capacity(to.0 * to.1);
    for &(top, bottom, down) in &rows {
        for &(left, right, across) in &columns {
            let mix = |row: usize| {
                let line = &values[row * from.0..];
                line[left] + (line[right] - line[left]) * across
            };
            let (a, b) = (mix(top), mix(bottom));
            out.push(a + (b - a) * down);
        }
    }
    out
}
