//! The course of training: batches, steps, looks at the held-out parts, and when to stop.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::time::Instant;

use jidoka_engine::{Model, Options, Session};
use jidoka_models::random::Random;
use jidoka_models::student::protocol::{End, Event, Job, Training};
use jidoka_models::student::{Plan, Weights};

use crate::Error;
use crate::adam::Adam;
use crate::line::{Batch, Line};
use crate::loss::{loss, squared};
use crate::net::{Net, Standard};
use crate::norm::Mode;

/// Steps between looks at the held-out parts.
const CHECK_STEPS: usize = 25;
/// Looks without gain before training stops.
const PATIENCE: usize = 4;
/// An error on held-out parts that is this much greater than the least is taken for divergence, not for noise.
const DIVERGED: f64 = 20.0;
/// Greatest learning rate.
const RATE: f64 = 3e-3;
/// Share of the steps in which it rises.
const WARM_UP: f64 = 0.1;
/// Held-out parts that are looked at, each as it is and disturbed: 40 MB of what the teacher says of 256x256 pixels.
const LOOKED_AT: usize = 16;

/// The finished student may differ from the one in training by this share of the greatest prediction: folding rounds.
const TOLERANCE: f32 = 1e-4;

/// Decides from the errors on held-out parts what is worth keeping and when to stop.
#[derive(Debug, Default)]
struct Watch {
    /// Step and error of the best student.
    best: Option<(usize, f64)>,
}

/// What a look at the held-out parts says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    /// The best so far: keep it.
    Keep,
    /// Not better; go on.
    GoOn,
    /// Stop.
    Stop(End),
}

/// A student in training.
struct Course<'a> {
    job: &'a Job,
    net: Net,
    adam: Adam,
    standards: [Standard; 2],
    held_out: Vec<Batch>,
    watch: Watch,
    kept: Option<Weights>,
    slopes: [Vec<f32>; 2],
}

/// Trains. `report` gets an event a step.
///
/// # Errors
/// Where the teacher fails, the loss diverges at once, or `stop` is set.
pub fn run(
    job: &Job,
    teacher: &[u8],
    pictures: &[u8],
    stop: &AtomicBool,
    report: &mut dyn FnMut(&Event),
) -> Result<(Weights, Training), Error> {
    let began = Instant::now();
    let (train, held_out) = pictures.split_at(job.train * job.picture_bytes());
    let mut line = Line::new(job, teacher, train, job.seed)?;
    let standards = line.measure(job.batch)?;
    let mut shown = Line::new(job, teacher, held_out, job.seed ^ 0x6865_6c64)?.in_units_of(&standards);
    let looked_at = job.held_out.min(LOOKED_AT);
    let held_out = (0..looked_at).map(|k| shown.both(k * job.held_out / looked_at)).collect::<Result<Vec<_>, _>>()?;
    drop(shown);
    let [stem, tap8, tap16] = job.channels;
    let mut random = Random::new(job.seed ^ 0x6e_6574);
    let net = Net::new(Plan::new(stem, [tap8, tap16]), (job.width, job.height), &mut random);
    let mut course = Course {
        job,
        net,
        adam: Adam::default(),
        standards,
        held_out,
        watch: Watch::default(),
        kept: None,
        slopes: Default::default(),
    };
    let (steps, end) = course.steps(line, stop, began, report)?;
    let (Some(weights), Some((best_step, held_out_error))) = (course.kept, course.watch.best) else {
        return Err(Error::Diverged { step: steps });
    };
    Ok((weights, Training { steps, best_step, held_out_error, end, seconds: began.elapsed().as_secs_f64() }))
}

impl Course<'_> {
    /// One thread asks the teacher, this one trains.
    fn steps(
        &mut self,
        mut line: Line<'_>,
        stop: &AtomicBool,
        began: Instant,
        report: &mut dyn FnMut(&Event),
    ) -> Result<(usize, End), Error> {
        let (steps, batch) = (self.job.steps, self.job.batch);
        std::thread::scope(|scope| {
            // Two batches ahead, so that neither waits for the other's slow ones. Made in here, so that the receiver goes when the
            // course ends and the other thread, which the scope waits for, ends too.
            let (sender, batches) = sync_channel(2);
            scope.spawn(move || {
                // The course may have ended early; then nobody takes the batch.
                while sender.send(line.draw(batch)).is_ok() {}
            });
            for step in 1..=steps {
                if stop.load(Ordering::Relaxed) {
                    return Err(Error::Stopped);
                }
                // The other thread ends only after this one has let go of the channel.
                let Ok(drawn) = batches.recv() else { return Err(Error::Stopped) };
                let loss = self.step(step - 1, &drawn?);
                if !loss.is_finite() {
                    return Ok((step, End::Diverged));
                }
                let left_s = began.elapsed().as_secs_f64() / step as f64 * (steps - step) as f64;
                report(&Event::Step { step, loss, left_s });
                if step.is_multiple_of(CHECK_STEPS) || step == steps {
                    let error = self.error();
                    match self.watch.look(step, error) {
                        Look::Keep => self.kept = Some(self.proven()?),
                        Look::GoOn => {}
                        Look::Stop(end) => return Ok((step, end)),
                    }
                }
            }
            Ok((steps, End::Steps))
        })
    }

    /// One step of the optimiser; gives the loss before it.
    fn step(&mut self, done: usize, batch: &Batch) -> f64 {
        let predictions = self.net.forward(batch.count, &batch.stem, Mode::Train);
        let mut total = 0.0;
        for ((predicted, wanted), slope) in predictions.into_iter().zip(&batch.taps).zip(&mut self.slopes) {
            slope.resize(predicted.len(), 0.0);
            total += loss(wanted, predicted, slope);
        }
        if total.is_finite() {
            self.net.backward(&batch.stem, [&self.slopes[0], &self.slopes[1]]);
            self.adam.step(rate(done as f64 / self.job.steps as f64) as f32, self.net.parameters());
        }
        total
    }

    /// Mean squared error on the held-out parts, in units of the taps' variance.
    fn error(&mut self) -> f64 {
        let mut total = 0.0;
        for batch in &self.held_out {
            let predicted = self.net.forward(batch.count, &batch.stem, Mode::Fixed);
            total += (0..2).map(|k| squared(&batch.taps[k], predicted[k])).sum::<f64>() / 2.0;
        }
        total / self.held_out.len() as f64
    }

    /// The student as plain convolutions, once the engine has been seen to predict the same with them.
    fn proven(&mut self) -> Result<Weights, Error> {
        let weights = self.net.folded(&self.standards);
        let Some(batch) = self.held_out.first() else { return Ok(weights) };
        let size = (self.job.width, self.job.height);
        let model = Model::from_bytes("the student", &weights.to_onnx(size))?;
        let mut session = Session::new(&model, &Options::default())?;
        let stem = &batch.stem[..batch.stem.len() / batch.count];
        if let Some(input) = session.input_f32() {
            input.copy_from_slice(stem);
        }
        session.run()?;
        let trained = self.net.forward(1, stem, Mode::Fixed);
        for k in 0..2 {
            let Standard { mean, deviation } = &self.standards[k];
            let cells = trained[k].len() / mean.len();
            let (mut off, mut greatest) = (0.0f32, 0.0f32);
            for (i, (&real, &trained)) in
                session.output(k).as_f32().unwrap_or_default().iter().zip(trained[k]).enumerate()
            {
                let expected = trained * deviation[i / cells] + mean[i / cells];
                off = off.max((real - expected).abs());
                greatest = greatest.max(expected.abs());
            }
            if off.is_nan() || off > TOLERANCE * greatest {
                return Err(Error::Disagreement { off: off / greatest });
            }
        }
        Ok(weights)
    }
}

impl Watch {
    fn look(&mut self, step: usize, error: f64) -> Look {
        let (best_step, least) = self.best.unwrap_or((0, f64::INFINITY));
        if !error.is_finite() || error > DIVERGED * least {
            return Look::Stop(End::Diverged);
        }
        if error < least {
            self.best = Some((step, error));
            return Look::Keep;
        }
        if step - best_step >= PATIENCE * CHECK_STEPS { Look::Stop(End::NoGain) } else { Look::GoOn }
    }
}

/// The learning rate when this share of the steps is done: a short rise, then half a cosine.
fn rate(done: f64) -> f64 {
    let rise = ((done + 1e-3) / WARM_UP).min(1.0);
    RATE * rise * (0.5 * (1.0 + (std::f64::consts::PI * done).cos()) + 1e-2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_rises_and_falls() {
        assert!(rate(0.0) < 0.02 * RATE && rate(1.0) < 0.02 * RATE);
        assert!((rate(0.1) / RATE - 0.985).abs() < 0.01, "{}", rate(0.1));
        assert!(rate(0.5) < rate(0.3) && rate(0.02) < rate(0.05));
    }

    #[test]
    fn the_best_is_kept_and_training_stops_without_gain_or_when_it_diverges() {
        let looks = |errors: &[f64]| -> Vec<Look> {
            let mut watch = Watch::default();
            (1..).zip(errors).map(|(k, &error)| watch.look(k * CHECK_STEPS, error)).collect()
        };
        let (stalled, diverged) = (Look::Stop(End::NoGain), Look::Stop(End::Diverged));
        assert_eq!(looks(&[0.5, 0.6, 0.4]), [Look::Keep, Look::GoOn, Look::Keep]);
        assert_eq!(looks(&[0.5, 0.6, 0.6, 0.5, 0.7])[3..], [Look::GoOn, stalled]);
        assert_eq!(looks(&[0.5, 10.1]), [Look::Keep, diverged]);
        assert_eq!(looks(&[f64::NAN]), [diverged]);
        assert_eq!(looks(&[0.5, f64::INFINITY]), [Look::Keep, diverged]);
    }
}
