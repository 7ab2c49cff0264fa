//! Good parts as the line will show them, and what the teacher says of each.

use jidoka_engine::{Model, Options, Session};
use jidoka_models::random::Random;
use jidoka_models::student::disturb::disturb;
use jidoka_models::student::protocol::Job;

use crate::Error;
use crate::net::Standard;

/// Batches that the spread of the teacher's channels is measured on.
const MEASURED: usize = 8;
/// Least deviation of a channel, as a share of all channels' root mean square: one that hardly moves must not be blown up by its
/// rounding errors.
const LEAST: f64 = 0.1;

/// What the teacher says of some pictures.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    pub count: usize,
    /// `[N,C,H/2,W/2]`.
    pub stem: Vec<f32>,
    /// `[N,C8,H/8,W/8]` and `[N,C16,H/16,W/16]`.
    pub taps: [Vec<f32>; 2],
}

/// A teacher and pictures to show it.
pub struct Line<'a> {
    size: (usize, usize),
    channels: [usize; 3],
    teacher: Session,
    pictures: Vec<&'a [u8]>,
    random: Random,
    /// Once it is known, taps come in its units.
    standards: Option<[Standard; 2]>,
    real: Vec<f32>,
}

impl<'a> Line<'a> {
    /// # Errors
    /// Where the teacher is none, or does not give what the job says.
    pub fn new(job: &Job, teacher: &[u8], pictures: &'a [u8], seed: u64) -> Result<Line<'a>, Error> {
        let teacher = Session::new(&Model::from_bytes("the teacher", teacher)?, &Options::default())?;
        let found: Vec<Vec<usize>> = teacher.outputs().iter().map(|o| o.shape.clone()).collect();
        let strides = [2, 8, 16];
        let expected: Vec<Vec<usize>> =
            (0..3).map(|k| vec![1, job.channels[k], job.height / strides[k], job.width / strides[k]]).collect();
        if found != expected {
            return Err(Error::Job(format!("the teacher gives {found:?}, and the job says {expected:?}")));
        }
        Ok(Line {
            size: (job.width, job.height),
            channels: job.channels,
            teacher,
            pictures: pictures.chunks_exact(job.picture_bytes()).collect(),
            random: Random::new(seed),
            standards: None,
            real: vec![0.0; job.picture_bytes()],
        })
    }

    /// Measures the spread of good parts; from then on taps come in its units.
    pub fn measure(&mut self, batch: usize) -> Result<[Standard; 2], Error> {
        let mut taps: [Vec<f32>; 2] = Default::default();
        for _ in 0..MEASURED {
            let drawn = self.draw(batch)?;
            taps.iter_mut().zip(drawn.taps).for_each(|(all, some)| all.extend(some));
        }
        let count = MEASURED * batch;
        let standards = [0, 1].map(|k| standard(&taps[k], count, self.channels[k + 1]));
        self.standards = Some(standards.clone());
        Ok(standards)
    }

    /// Takes over what another line measured.
    pub fn in_units_of(mut self, standards: &[Standard; 2]) -> Line<'a> {
        self.standards = Some(standards.clone());
        self
    }

    /// Disturbed parts, drawn by chance; none twice, if there are enough.
    pub fn draw(&mut self, count: usize) -> Result<Batch, Error> {
        let mut order = self.random.order(self.pictures.len());
        while order.len() < count {
            order.push(self.random.below(self.pictures.len()));
        }
        let mut batch = Batch::default();
        for &index in &order[..count] {
            self.ask(index, true, &mut batch)?;
        }
        Ok(batch)
    }

    /// `index` as it is and disturbed.
    pub fn both(&mut self, index: usize) -> Result<Batch, Error> {
        let mut batch = Batch::default();
        self.ask(index, false, &mut batch)?;
        self.ask(index, true, &mut batch)?;
        Ok(batch)
    }

    fn ask(&mut self, index: usize, disturbed: bool, batch: &mut Batch) -> Result<(), Error> {
        let input = self.teacher.input_f32().ok_or_else(|| Error::Job("the teacher takes no f32".into()))?;
        let picture = self.pictures[index].iter().map(|&v| f32::from(v) / 255.0);
        if disturbed {
            self.real.iter_mut().zip(picture).for_each(|(to, v)| *to = v);
            disturb(&self.real, self.size, &mut self.random, input);
        } else {
            input.iter_mut().zip(picture).for_each(|(to, v)| *to = v);
        }
        self.teacher.run()?;
        let output = |k: usize| self.teacher.output(k).as_f32().unwrap_or_default();
        batch.count += 1;
        batch.stem.extend_from_slice(output(0));
        for k in 0..2 {
            let tap = output(k + 1);
            match &self.standards {
                None => batch.taps[k].extend_from_slice(tap),
                Some(standards) => {
                    let Standard { mean, deviation } = &standards[k];
                    let planes = tap.chunks_exact(tap.len() / mean.len()).zip(mean.iter().zip(deviation));
                    batch.taps[k].extend(planes.flat_map(|(plane, (m, d))| plane.iter().map(move |v| (v - m) / d)));
                }
            }
        }
        Ok(())
    }
}

/// Mean and deviation of each channel of `values` `[N,C,cells]`.
fn standard(values: &[f32], count: usize, channels: usize) -> Standard {
    let cells = values.len() / (count * channels);
    let mut sums = vec![(0.0, 0.0); channels];
    for (i, plane) in values.chunks_exact(cells).enumerate() {
        let (sum, squares) = &mut sums[i % channels];
        *sum += plane.iter().map(|&v| f64::from(v)).sum::<f64>();
        *squares += plane.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>();
    }
    let total = (count * cells) as f64;
    let mean: Vec<f64> = sums.iter().map(|(sum, _)| sum / total).collect();
    let variance: Vec<f64> =
        sums.iter().zip(&mean).map(|((_, squares), m)| (squares / total - m * m).max(0.0)).collect();
    let least = LEAST * (variance.iter().sum::<f64>() / channels as f64).sqrt() + 1e-6;
    Standard {
        mean: mean.iter().map(|&m| m as f32).collect(),
        deviation: variance.iter().map(|v| v.sqrt().max(least) as f32).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slope::numbers;

    #[test]
    fn channels_get_their_own_units_and_a_still_one_is_not_blown_up() {
        let (count, cells) = (5, 400);
        let mut values = Vec::new();
        for n in 0..count {
            values.extend(numbers(n as u64, cells).iter().map(|v| 3.0 + 2.0 * v));
            values.extend(vec![7.0; cells]);
        }
        let Standard { mean, deviation } = standard(&values, count, 2);
        assert!((mean[0] - 3.0).abs() < 0.15 && (deviation[0] - 2.0).abs() < 0.15);
        assert!((mean[1] - 7.0).abs() < 1e-5 && (deviation[1] - 0.1 * 2f32.sqrt()).abs() < 0.02, "{deviation:?}");
    }
}
