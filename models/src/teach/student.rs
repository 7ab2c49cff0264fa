//! The course of a teacher-student model: hold some parts out, train on the others, round, measure what is left, calibrate.
//!
//! A student cannot be trained again for each fold of a cross-validation, so one run of parts at the end of the series is held out. They
//! decide when training stops, what good parts leave between teacher and student, and the threshold.

use jidoka_engine::{Model, Session, onnx};

use super::assemble::Findings;
use super::course::{HeldOut, LEVELLED, NOISED, add_noise, backbone, score_filled};
use super::cues::Peaks;
use super::inputs::Inputs;
use super::measure::{input, run as run_session};
use super::shape;
use super::{Options, Parts, Progress, Stage, Taught};
use crate::Error;
use crate::contract::Method;
use crate::graph::{Backbone, CUES, Cues, Residual, STATISTICS, Student, session};
use crate::random::Random;
use crate::student::disturb::disturb;
use crate::student::protocol::{End, Job, Training, VERSION};
use crate::student::{self, Weights};

/// Fewest good parts that a student can be taught from.
const LEAST: usize = 8;
/// Parts that are shown to the trainer at most, to train on and held out: those are 100 MB of pictures of 256x256.
const MOST_SHOWN: [usize; 2] = [400, 100];
/// Pictures a step.
const BATCH: usize = 8;
/// Pictures whose activations are measured before rounding.
const RANGED: usize = 32;
/// Pictures, clean and disturbed, that the residual is measured on at least.
const RESIDUALS: usize = 24;
/// Share of the mean variance that is added to each channel's: one that the student knows by heart must not drown the others.
const FLOOR: f64 = 0.5;

/// A course under way.
struct Course<'a, 'p> {
    options: &'a Options,
    backbone: Backbone,
    /// Name and channels of what teacher and student share.
    stem: (String, usize),
    inputs: Inputs<'p>,
    /// Parts from here on are held out.
    trained: usize,
}

/// Teaches.
pub(super) fn run(
    parts: &mut dyn Parts,
    options: &Options,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<Taught, Error> {
    let size = shape::size(parts, options);
    let backbone = backbone(options, size)?;
    let stem = backbone.stem().ok_or_else(|| Error::NotABackbone {
        name: backbone.name.clone(),
        reason: "teacher-student shares its first layer, and it does not begin with one f32 convolution of stride 2"
            .to_owned(),
    })?;
    let inputs = Inputs::open(parts, options, size, progress)?;
    let trained = trained(&inputs)?;
    let mut course = Course { options, backbone, stem, inputs, trained };
    let (weights, training) = course.train(progress)?;
    let ranges = match options.int8 {
        true => Some(course.ranges(&weights)?),
        false => None,
    };
    let student = Student { weights: &weights, ranges: ranges.as_deref() };
    let residual = course.residual(student)?;
    let cues = course.cues(student, &residual, progress)?;
    let held_out = course.score(student, &residual, &cues, progress)?;
    progress(Progress::Step { stage: Stage::Assemble, done: 0, total: 1 });
    let findings = Findings {
        options,
        backbone: &course.backbone,
        inputs: &course.inputs,
        method: Method::TeacherStudent,
        bank: 0,
        held_out: (course.trained..).zip(held_out.scores.iter().copied()).collect(),
        calibrated: &held_out.calibrate(options.false_reject),
    };
    let mut taught = findings.assemble(student.whole(&course.backbone, &course.stem.0, &residual, Some(&cues)))?;
    taught.report.warnings.extend(warning(&training));
    taught.report.training = Some(training);
    progress(Progress::Step { stage: Stage::Assemble, done: 1, total: 1 });
    Ok(taught)
}

/// How many parts to train on: those before the last fifth, or third of few, since two parts alone say little about a threshold.
fn trained(inputs: &Inputs<'_>) -> Result<usize, Error> {
    let count = inputs.count();
    if count < LEAST {
        let skipped = inputs.skipped.iter().map(|s| format!("{}: {}", s.name, s.reason)).collect();
        return Err(Error::TooFewImages { usable: count, found: count + inputs.skipped.len(), needed: LEAST, skipped });
    }
    Ok(count - (count / 5).max((count / 3).min(10)))
}

fn warning(training: &Training) -> Option<String> {
    let Training { steps, best_step, held_out_error, .. } = training;
    if training.end == End::Diverged {
        return Some(format!(
            "the loss of training diverged at step {steps}; step {best_step} was kept: teach again with another --seed, or more parts"
        ));
    }
    (*held_out_error > 0.5).then(|| {
        format!(
            "the student leaves {:.0} % of the variance of held-out parts: they vary more than it can learn; compare with \
             --method patchcore-lite",
            held_out_error * 100.0
        )
    })
}

impl Course<'_, '_> {
    /// Has the student trained.
    fn train(&mut self, progress: &mut dyn FnMut(Progress<'_>)) -> Result<(Weights, Training), Error> {
        let (width, height) = self.backbone.size;
        let (stem, channels) = (&self.stem.0, self.stem.1);
        let teacher = onnx::encode(&self.backbone.teacher((stem, channels)).finish("teacher", &Default::default()));
        let outputs = Model::from_bytes(&self.backbone.name, &teacher)?;
        let expected = [1, channels, height / 2, width / 2];
        if outputs.outputs().first().is_none_or(|first| first.shape != expected) {
            let reason = format!("its first convolution does not give {expected:?} for an image of {width}x{height}");
            return Err(Error::NotABackbone { name: self.backbone.name.clone(), reason });
        }
        let count = self.inputs.count();
        let shown = |range: std::ops::Range<usize>, most: usize| -> Vec<usize> {
            let taken = range.len().min(most);
            (0..taken).map(|k| range.start + k * range.len() / taken).collect()
        };
        let [train, held_out] = [shown(0..self.trained, MOST_SHOWN[0]), shown(self.trained..count, MOST_SHOWN[1])];
        let [c8, c16] = self.backbone.channels;
        let job = Job {
            version: VERSION,
            width,
            height,
            channels: [channels, c8, c16],
            teacher_bytes: teacher.len(),
            train: train.len(),
            held_out: held_out.len(),
            steps: self.options.steps,
            batch: BATCH,
            seed: self.options.seed,
        };
        let mut real = vec![0.0; job.picture_bytes()];
        let order = [train, held_out].concat();
        let inputs = &mut self.inputs;
        let mut picture = |index: usize| {
            inputs.fill(order[index], &mut real)?;
            Ok(real.iter().map(|v| (v * 255.0).round() as u8).collect())
        };
        let steps = job.steps;
        let program = self.options.trainer.as_deref();
        let call = student::Call { program, job, teacher: &teacher, picture: &mut picture };
        student::train(call, &mut |step, loss, left_s| progress(Progress::Training { step, steps, loss, left_s }))
    }

    /// The greatest activation of each value that is rounded, on the average of disturbed parts: what only a few pixels reach is not
    /// worth the steps that everything else would lose.
    fn ranges(&mut self, weights: &Weights) -> Result<Vec<f32>, Error> {
        let student = Student { weights, ranges: None };
        let mut graph = self.backbone.begin();
        student.predict(&mut graph, &self.stem.0, None);
        let values = student.quantised(self.backbone.size);
        values.iter().for_each(|(name, shape)| graph.output(name, shape));
        let mut session = session(graph, "activations", self.options.threads)?;
        let mut greatest = vec![0.0; values.len()];
        let count = self.trained.min(RANGED);
        let mut random = Random::new(self.options.seed ^ 0x72_616e_6765);
        for k in 0..count {
            self.fill(k * self.trained / count, true, &mut random, &mut session)?;
            run_session(&mut session)?;
            for (i, sum) in greatest.iter_mut().enumerate() {
                let value = session.output(i).as_f32().unwrap_or_default();
                *sum += value.iter().fold(0.0f32, |m, &v| m.max(v)) / count as f32;
            }
        }
        Ok(greatest)
    }

    /// What is left between teacher and student on held-out parts as they are and disturbed, through the graph that will run.
    fn residual(&mut self, student: Student<'_>) -> Result<Residual, Error> {
        let mut session =
            session(student.differences(&self.backbone, &self.stem.0), "differences", self.options.threads)?;
        let mut sums = self.backbone.channels.map(Sums::new);
        let mut random = Random::new(self.options.seed ^ 0x6c65_6674);
        let held_out = self.inputs.count() - self.trained;
        let versions = RESIDUALS.div_ceil(held_out).max(2);
        for index in self.trained..self.inputs.count() {
            for version in 0..versions {
                self.fill(index, version > 0, &mut random, &mut session)?;
                run_session(&mut session)?;
                for (k, sums) in sums.iter_mut().enumerate() {
                    sums.add(session.output(k).as_f32().unwrap_or_default());
                }
            }
        }
        let [(b8, w8), (b16, w16)] = sums.map(Sums::finish);
        Ok(Residual { bias: [b8, b16], weight: [w8, w16] })
    }

    /// The limits of the cues, from the parts that were trained on, and what held-out parts score without them.
    fn cues(
        &mut self,
        student: Student<'_>,
        residual: &Residual,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Cues, Error> {
        let (width, height) = self.backbone.grid();
        let mut graph = student.whole(&self.backbone, &self.stem.0, residual, None);
        graph.output(STATISTICS, &[1, CUES, height, width]);
        let mut session = session(graph, "without cues", self.options.threads)?;
        let mut peaks = Peaks::default();
        for index in 0..self.trained {
            self.inputs.fill(index, input(&mut session))?;
            run_session(&mut session)?;
            peaks.add(0, session.output_named(STATISTICS).and_then(|s| s.as_f32()).unwrap_or_default());
            progress(Progress::Step { stage: Stage::Measure, done: index + 1, total: self.trained });
        }
        let levelled = (self.inputs.count() - self.trained).min(LEVELLED);
        let mut level = 0.0;
        for index in self.trained..self.trained + levelled {
            self.inputs.fill(index, input(&mut session))?;
            level += score_filled(&mut session, None)? / levelled as f64;
        }
        Ok(peaks.cues(None, level))
    }

    /// Scores the held-out parts by the model as it will be.
    fn score(
        &mut self,
        student: Student<'_>,
        residual: &Residual,
        cues: &Cues,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<HeldOut, Error> {
        let graph = student.whole(&self.backbone, &self.stem.0, residual, Some(cues));
        let mut session = session(graph, "the taught model", self.options.threads)?;
        let mut held_out = HeldOut::default();
        let mut random = Random::new(self.options.seed ^ 0x6e_6f69_7365);
        let total = self.inputs.count() - self.trained;
        for k in 0..total {
            self.inputs.fill(self.trained + k, input(&mut session))?;
            held_out.scores.push(score_filled(&mut session, Some(&mut held_out.pixels))?);
            if k.is_multiple_of(total.div_ceil(NOISED)) {
                self.inputs.fill(self.trained + k, input(&mut session))?;
                add_noise(input(&mut session), &mut random);
                held_out.noised.push(score_filled(&mut session, None)?);
            }
            progress(Progress::Step { stage: Stage::Calibrate, done: k + 1, total });
        }
        Ok(held_out)
    }

    /// Puts a part into a session, disturbed if so asked.
    fn fill(&mut self, index: usize, disturbed: bool, random: &mut Random, session: &mut Session) -> Result<(), Error> {
        let target = input(session);
        self.inputs.fill(index, target)?;
        if disturbed {
            let picture = target.to_vec();
            disturb(&picture, self.backbone.size, random, target);
        }
        Ok(())
    }
}

/// Sums over all positions of one tap's differences, and of their squares.
struct Sums {
    count: f64,
    sum: Vec<f64>,
    squares: Vec<f64>,
}

impl Sums {
    fn new(channels: usize) -> Sums {
        Sums { count: 0.0, sum: vec![0.0; channels], squares: vec![0.0; channels] }
    }

    /// Adds `[C,h,w]`.
    fn add(&mut self, planes: &[f32]) {
        let cells = (planes.len() / self.sum.len()).max(1);
        self.count += cells as f64;
        for (c, plane) in planes.chunks_exact(cells).enumerate() {
            self.sum[c] += plane.iter().map(|&v| f64::from(v)).sum::<f64>();
            self.squares[c] += plane.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>();
        }
    }

    /// The mean of each channel, and one over its variance, scaled so that good parts score about 1.
    fn finish(self) -> (Vec<f32>, Vec<f32>) {
        let n = self.count.max(1.0);
        let mean: Vec<f64> = self.sum.iter().map(|s| s / n).collect();
        let variance: Vec<f64> = self.squares.iter().zip(&mean).map(|(s, m)| (s / n - m * m).max(0.0)).collect();
        let common = (variance.iter().sum::<f64>() / variance.len() as f64).max(f64::MIN_POSITIVE);
        let weight = |v: &f64| (1.0 / ((v + FLOOR * common) * variance.len() as f64)) as f32;
        (mean.iter().map(|&m| m as f32).collect(), variance.iter().map(weight).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_that_is_often_wrong_counts_less() {
        let mut random = Random::new(2);
        let mut sums = Sums::new(2);
        for _ in 0..50 {
            let planes: Vec<f32> = (0..200)
                .map(|i| if i < 100 { 1.0 + 0.1 * random.normal() } else { 2.0 * random.normal() } as f32)
                .collect();
            sums.add(&planes);
        }
        let (bias, weight) = sums.finish();
        assert!((bias[0] - 1.0).abs() < 0.01 && bias[1].abs() < 0.1, "{bias:?}");
        // Variances of 0.01 and 4, half their mean added to each, over two channels.
        for (found, expected) in weight.iter().zip([0.493, 0.0999]) {
            assert!((found / expected - 1.0).abs() < 0.05, "{weight:?}");
        }
    }
}
