//! The course of teaching: measure, learn, calibrate, assemble.

use std::path::Path;

use jidoka_engine::Session;

use super::assemble::Findings;
use super::choose::{self, Candidate};
use super::corrupt::Corruption;
use super::cues::Peaks;
use super::inputs::Inputs;
use super::learner::{Learned, Learner};
use super::measure::{embedding, input, run as run_session};
use super::shape;
use super::threshold::{Calibrated, Evidence, calibrate, quantile};
use super::{Options, Parts, Progress, Stage, Taught};
use crate::contract::Method;
use crate::graph::{Backbone, CUES, Cues, Embedding, FEATURES, Grid, STATISTICS, session};
use crate::random::Random;
use crate::{Error, zoo};

/// Folds of the cross-validation for few images, where every part counts, and for many.
const FOLDS: [usize; 2] = [10, 5];
/// Up to how many images the first holds.
const FEW: usize = 60;
/// Held-out parts that are corrupted to choose between methods.
const CORRUPTED: usize = 40;
/// Held-out parts that are scored with sensor noise on them.
pub(super) const NOISED: usize = 10;
/// Standard deviation of that noise: two grey levels, what an 8-bit industrial camera has at moderate gain.
const NOISE: f64 = 2.0 / 255.0;
/// Pixels of good parts that may lie above the pixel threshold.
pub(super) const PIXELS_ABOVE: f64 = 0.001;

/// Features that are kept between learning and calibrating, so that good parts go through the backbone once less: those of 110
/// images of 256x256.
const KEPT_BYTES: usize = 32 << 20;

/// Positions that may have a covariance matrix each: 512x512 pixels, 67 MB of matrices of 64 features.
const MOST_MATRICES: usize = 4096;
/// Side of a cell of the grid in pixels.
const CELL_PX: usize = 8;

/// Held-out parts that are scored without cues, to know how high good parts score.
pub(super) const LEVELLED: usize = 8;

/// What a method scored on held-out parts.
#[derive(Default)]
pub(super) struct HeldOut {
    /// What good parts score without cues.
    level: f64,
    pub scores: Vec<f64>,
    /// A sample of the pixels of the anomaly maps.
    pub pixels: Vec<f64>,
    /// Scores of parts with sensor noise.
    pub noised: Vec<f64>,
    /// Scores of corrupted parts; none where there is nothing to choose.
    corrupted: Vec<f64>,
    /// For each of those how well its map shows where.
    shown: Vec<f64>,
}

impl HeldOut {
    /// The threshold at this rate of false rejects.
    pub fn calibrate(&self, false_reject: f64) -> Calibrated {
        let mut pixels = self.pixels.clone();
        pixels.sort_by(f64::total_cmp);
        calibrate(&Evidence {
            scores: &self.scores,
            pixel: quantile(&pixels, 1.0 - PIXELS_ABOVE),
            false_reject,
            floor: self.noised.iter().copied().reduce(f64::max),
        })
    }
}

/// What is done to a held-out part before it is scored.
#[derive(Clone, Copy, PartialEq)]
enum Version {
    Clean,
    Noised,
    Corrupted(Corruption),
}

/// Everything that stays the same during a course.
struct Course<'a> {
    options: &'a Options,
    backbone: Backbone,
    grid: Grid,
    folds: usize,
    count: usize,
}

/// What was learned of the parts: features by each method, and cues.
struct Lessons {
    learners: Vec<Learner>,
    peaks: Peaks,
    /// The first images' features and statistics, one after the other as a head alone takes them.
    kept: Vec<Vec<f32>>,
}

/// Teaches.
pub(super) fn run(
    parts: &mut dyn Parts,
    options: &Options,
    methods: &[Method],
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<Taught, Error> {
    let size = shape::size(parts, options);
    let backbone = backbone(options, size)?;
    let mut inputs = Inputs::open(parts, options, size, progress)?;
    let count = inputs.count();
    let embedding = embedding(&backbone, &mut inputs, options, progress)?;
    let (width, height) = backbone.grid();
    let methods = affordable(methods, width * height)?;
    let grid = Grid { width, height, depth: embedding.depth, map: backbone.size, step: embedding.step };
    let course = Course { options, backbone, grid, folds: FOLDS[usize::from(count > FEW)].min(count), count };

    let mut features = course.feature_session(&embedding)?;
    let lessons = course.learn(&methods, &embedding, &mut features, &mut inputs, progress)?;
    let held_out = course.hold_out(&lessons, &mut features, &mut inputs, progress)?;
    drop(features);
    let candidates: Vec<Candidate> = if methods.len() > 1 {
        methods.iter().zip(&held_out).map(|(&m, h)| Candidate::judge(m, &h.scores, &h.corrupted, &h.shown)).collect()
    } else {
        Vec::new()
    };
    let chosen = choose::best(&candidates);
    progress(Progress::Step { stage: Stage::Assemble, done: 0, total: 1 });
    let learned = lessons.learners[chosen].learned(None);
    let cues = lessons.peaks.cues(None, held_out[chosen].level);
    let findings = Findings {
        options,
        backbone: &course.backbone,
        inputs: &inputs,
        method: methods[chosen],
        bank: learned.bank_rows(grid.depth),
        held_out: held_out[chosen].scores.iter().copied().enumerate().collect(),
        calibrated: &held_out[chosen].calibrate(options.false_reject),
    };
    let mut graph = embedding.begin(&course.backbone);
    learned.head().finish(&mut graph, grid, Some(&cues));
    let mut taught = findings.assemble(graph)?;
    taught.report.candidates = candidates;
    progress(Progress::Step { stage: Stage::Assemble, done: 1, total: 1 });
    Ok(taught)
}

/// The methods without one whose matrices would not fit where there are so many positions; an error where it is the only one.
fn affordable(methods: &[Method], cells: usize) -> Result<Vec<Method>, Error> {
    let fits = |method: Method| method != Method::PadimFull || cells <= MOST_MATRICES;
    let fitting: Vec<Method> = methods.iter().copied().filter(|&m| fits(m)).collect();
    if fitting.is_empty() {
        return Err(Error::Setting {
            key: "size",
            value: format!("{} pixels for {}", cells * CELL_PX * CELL_PX, Method::PadimFull),
            expected: format!("at most {} pixels; another method has no such limit", MOST_MATRICES * CELL_PX * CELL_PX),
        });
    }
    Ok(fitting)
}

/// The backbone that the options name, by a name of the zoo or by its file, or the first of the zoo.
pub(super) fn backbone(options: &Options, size: (u32, u32)) -> Result<Backbone, Error> {
    let path = options.backbone.as_deref().unwrap_or(Path::new(zoo::NAMES[0]));
    match zoo::find(path, options.int8) {
        Some(bytes) => Backbone::from_bytes(&path.display().to_string(), bytes, size),
        None if !path.exists() => Err(Error::Setting {
            key: "backbone",
            value: path.display().to_string(),
            expected: format!("{}, or an ONNX file, and there is none of that name", zoo::NAMES.join(", ")),
        }),
        None => Backbone::read(path, size),
    }
}

impl Course<'_> {
    fn feature_session(&self, embedding: &Embedding) -> Result<Session, Error> {
        let mut graph = embedding.begin(&self.backbone);
        graph.output(FEATURES, &[1, self.grid.depth, self.grid.height, self.grid.width]);
        graph.output(STATISTICS, &[1, CUES, self.grid.height, self.grid.width]);
        session(graph, "features", self.options.threads)
    }

    /// The fold that image `index` belongs to. Neighbours share one, since pictures taken one after the other may be
    /// of the same part: learning one and being tested on the other would flatter the model.
    fn fold(&self, index: usize) -> usize {
        index * self.folds / self.count
    }

    fn learn(
        &self,
        methods: &[Method],
        embedding: &Embedding,
        features: &mut Session,
        inputs: &mut Inputs<'_>,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Lessons, Error> {
        let make =
            |&method| Learner::new(method, self.grid, &embedding.axes, self.folds, self.count, self.options.bank);
        let mut learners: Vec<Learner> = methods.iter().map(make).collect();
        let mut peaks = Peaks::default();
        let mut kept = Vec::new();
        let mut rows = Vec::new();
        for index in 0..self.count {
            inputs.fill(index, input(features))?;
            run_session(features)?;
            let planes = features.output(0).as_f32().unwrap_or_default();
            transpose(planes, self.grid.depth, &mut rows);
            for learner in &mut learners {
                learner.add(self.fold(index), planes, &rows);
            }
            peaks.add(self.fold(index), features.output(1).as_f32().unwrap_or_default());
            let both = both(features);
            // At least one, since it says what good parts score without cues.
            if kept.is_empty() || (kept.len() + 1) * both.len() * size_of::<f32>() <= KEPT_BYTES {
                kept.push(both);
            }
            progress(Progress::Step { stage: Stage::Learn, done: index + 1, total: self.count });
        }
        learners.iter_mut().for_each(Learner::settle);
        Ok(Lessons { learners, peaks, kept })
    }

    /// Scores each image by a head that learned from the other folds.
    fn hold_out(
        &self,
        lessons: &Lessons,
        features: &mut Session,
        inputs: &mut Inputs<'_>,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Vec<HeldOut>, Error> {
        let mut results: Vec<HeldOut> = lessons.learners.iter().map(|_| HeldOut::default()).collect();
        let mut heads: Vec<Session> = Vec::new();
        let mut random = Random::new(self.options.seed ^ 0x6e_6f69_7365);
        for index in 0..self.count {
            if index == 0 || self.fold(index) != self.fold(index - 1) {
                let fold = Some(self.fold(index));
                let learned: Vec<Learned> = lessons.learners.iter().map(|l| l.learned(fold)).collect();
                if index == 0 {
                    self.level(&learned, &mut results, &lessons.kept)?;
                }
                heads.clear();
                for (learned, result) in learned.iter().zip(&results) {
                    heads.push(self.head(learned, Some(&lessons.peaks.cues(fold, result.level)))?);
                }
            }
            for version in self.versions(index, heads.len() > 1) {
                let fresh;
                let mut touched = Vec::new();
                let seen = match lessons.kept.get(index).filter(|_| version == Version::Clean) {
                    Some(kept) => kept,
                    None => {
                        inputs.fill(index, input(features))?;
                        touched = self.alter(version, input(features), &mut random);
                        run_session(features)?;
                        fresh = both(features);
                        &fresh
                    }
                };
                for (head, result) in heads.iter_mut().zip(&mut results) {
                    let mut map = Vec::new();
                    let score = score(head, seen, (version != Version::Noised).then_some(&mut map))?;
                    match version {
                        Version::Clean => {
                            result.scores.push(score);
                            result.pixels.append(&mut map);
                        }
                        Version::Noised => result.noised.push(score),
                        Version::Corrupted(_) => {
                            result.corrupted.push(score);
                            result.shown.extend(choose::shown(&map, &touched));
                        }
                    }
                }
            }
            progress(Progress::Step { stage: Stage::Calibrate, done: index + 1, total: self.count });
        }
        Ok(results)
    }

    /// What the held-out parts of the first fold score without cues, on average.
    fn level(&self, learned: &[Learned], results: &mut [HeldOut], kept: &[Vec<f32>]) -> Result<(), Error> {
        let mut heads = learned.iter().map(|l| self.head(l, None)).collect::<Result<Vec<_>, _>>()?;
        let first: Vec<usize> = (0..kept.len().min(LEVELLED)).take_while(|&i| self.fold(i) == 0).collect();
        for &index in &first {
            for (head, result) in heads.iter_mut().zip(results.iter_mut()) {
                result.level += score(head, &kept[index], None)? / first.len() as f64;
            }
        }
        Ok(())
    }

    /// The versions in which image `index` is scored.
    fn versions(&self, index: usize, choosing: bool) -> Vec<Version> {
        let mut versions = vec![Version::Clean];
        if index.is_multiple_of(self.count.div_ceil(NOISED)) {
            versions.push(Version::Noised);
        }
        if choosing && index.is_multiple_of(self.count.div_ceil(CORRUPTED)) {
            versions.extend(Corruption::ALL.map(Version::Corrupted));
        }
        versions
    }

    /// Does to a picture what the version asks for; which cells of the grid a corruption touched.
    fn alter(&self, version: Version, input: &mut [f32], random: &mut Random) -> Vec<bool> {
        match version {
            Version::Clean => Vec::new(),
            Version::Noised => {
                add_noise(input, random);
                Vec::new()
            }
            Version::Corrupted(corruption) => {
                let (width, height) = self.backbone.size;
                let before = input.to_vec();
                corruption.apply(input, width, height, random);
                let mut touched = vec![false; self.grid.width * self.grid.height];
                for (at, _) in before.iter().zip(&*input).enumerate().filter(|(_, (a, b))| a != b) {
                    let (x, y) = (at % width, at / width % height);
                    touched[y / CELL_PX * self.grid.width + x / CELL_PX] = true;
                }
                touched
            }
        }
    }

    fn head(&self, learned: &Learned, cues: Option<&Cues>) -> Result<Session, Error> {
        session(learned.head().alone(self.grid, cues), "held-out head", self.options.threads)
    }
}

/// Features and statistics that the feature session last gave, one after the other.
fn both(features: &Session) -> Vec<f32> {
    [0, 1].map(|i| features.output(i).as_f32().unwrap_or_default()).concat()
}

/// Scores features and statistics with a head; adds one pixel of each grid cell to `pixels`.
fn score(head: &mut Session, seen: &[f32], pixels: Option<&mut Vec<f64>>) -> Result<f64, Error> {
    input(head).copy_from_slice(seen);
    score_filled(head, pixels)
}

/// Scores what is in the input already.
pub(super) fn score_filled(head: &mut Session, pixels: Option<&mut Vec<f64>>) -> Result<f64, Error> {
    run_session(head)?;
    if let (Some(pixels), Some(map)) = (pixels, head.output_named("anomaly_map"))
        && let (Some(values), &[.., width]) = (map.as_f32(), map.shape())
    {
        let centres = values.chunks_exact(width).skip(CELL_PX / 2).step_by(CELL_PX);
        pixels.extend(centres.flat_map(|row| row.iter().skip(CELL_PX / 2).step_by(CELL_PX)).map(|&v| f64::from(v)));
    }
    let score = head.output_named("pred_score").and_then(|s| s.as_f32()).and_then(|s| s.first().copied());
    Ok(f64::from(score.unwrap_or(f32::NAN)))
}

/// `[D,h,w]` to `[h*w,D]`.
fn transpose(planes: &[f32], depth: usize, rows: &mut Vec<f32>) {
    let cells = planes.len() / depth;
    rows.clear();
    rows.resize(planes.len(), 0.0);
    for (d, plane) in planes.chunks_exact(cells).enumerate() {
        for (cell, &value) in plane.iter().enumerate() {
            rows[cell * depth + d] = value;
        }
    }
}

/// Sensor noise, as good parts have to stand it.
pub(super) fn add_noise(input: &mut [f32], random: &mut Random) {
    for value in input {
        *value = (f64::from(*value) + NOISE * random.normal()).clamp(0.0, 1.0) as f32;
    }
}
