//! Batch norm with the ReLU after it (Ioffe and Szegedy 2015), forwards and backwards in one sweep each.

use crate::adam::Parameter;

/// Added to variances.
const EPSILON: f64 = 1e-5;
/// Share of a new batch in the running statistics: a few hundred steps must be enough to settle them.
const MOMENTUM: f64 = 0.1;

/// Which statistics normalise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Those of the batch; the running ones learn from them.
    Train,
    /// The running ones, as in the finished student.
    Fixed,
}

/// Batch norm over `[N,C,cells]`.
#[derive(Debug)]
pub struct Norm {
    pub scale: Parameter,
    pub shift: Parameter,
    running_mean: Vec<f64>,
    running_variance: Vec<f64>,
    /// Mean and one over the standard deviation of the last batch, a channel.
    last: Vec<(f32, f32)>,
}

impl Norm {
    pub fn new(channels: usize) -> Norm {
        Norm {
            scale: Parameter::vector(vec![1.0; channels]),
            shift: Parameter::vector(vec![0.0; channels]),
            running_mean: vec![0.0; channels],
            running_variance: vec![1.0; channels],
            last: vec![(0.0, 1.0); channels],
        }
    }

    fn channels(&self) -> usize {
        self.last.len()
    }

    /// `out = Relu(scale * (input - mean) / deviation + shift)`.
    pub fn forward(&mut self, count: usize, input: &[f32], mode: Mode, out: &mut [f32]) {
        let channels = self.channels();
        let cells = input.len() / (count * channels);
        for c in 0..channels {
            let (mean, variance) = match mode {
                Mode::Train => self.learn(c, count, input, cells),
                Mode::Fixed => (self.running_mean[c], self.running_variance[c]),
            };
            let inverse = (variance + EPSILON).sqrt().recip();
            self.last[c] = (mean as f32, inverse as f32);
            let scale = self.scale.value[c] * inverse as f32;
            let shift = self.shift.value[c] - scale * mean as f32;
            for n in 0..count {
                let plane = (n * channels + c) * cells..(n * channels + c + 1) * cells;
                let values = out[plane.clone()].iter_mut().zip(&input[plane]);
                values.for_each(|(y, x)| *y = (scale * x + shift).max(0.0));
            }
        }
    }

    /// Mean and variance of channel `c`, taken into the running ones.
    fn learn(&mut self, c: usize, count: usize, input: &[f32], cells: usize) -> (f64, f64) {
        let channels = self.channels();
        let planes = || (0..count).map(|n| &input[(n * channels + c) * cells..][..cells]);
        let total = (count * cells) as f64;
        let mean = planes().map(|plane| sum(plane, |x| x)).sum::<f64>() / total;
        let centre = mean as f32;
        let variance = planes().map(|plane| sum(plane, |x| (x - centre) * (x - centre))).sum::<f64>() / total;
        self.running_mean[c] += MOMENTUM * (mean - self.running_mean[c]);
        let unbiased = variance * total / (total - 1.0).max(1.0);
        self.running_variance[c] += MOMENTUM * (unbiased - self.running_variance[c]);
        (mean, variance)
    }

    /// Adds the gradients of scale and shift and turns `slope`, that of the result, into that of the input. `input` and `out` are those
    /// of the last forward pass, in [`Mode::Train`].
    pub fn backward(&mut self, count: usize, input: &[f32], out: &[f32], slope: &mut [f32]) {
        let channels = self.channels();
        let cells = input.len() / (count * channels);
        let total = (count * cells) as f32;
        for c in 0..channels {
            let (mean, inverse) = self.last[c];
            let planes = |n: usize| (n * channels + c) * cells..(n * channels + c + 1) * cells;
            let (mut all, mut along) = (0.0, 0.0);
            for n in 0..count {
                let slope = &mut slope[planes(n)];
                // ReLU passes what it let through.
                slope.iter_mut().zip(&out[planes(n)]).for_each(|(s, &y)| *s = if y > 0.0 { *s } else { 0.0 });
                all += sum(slope, |s| s);
                along += products(slope, &input[planes(n)], mean);
            }
            let along = along * f64::from(inverse);
            self.shift.grad[c] += all as f32;
            self.scale.grad[c] += along as f32;
            let gain = self.scale.value[c] * inverse;
            let (all, along) = (all as f32 / total, along as f32 / total * inverse);
            for n in 0..count {
                let values = slope[planes(n)].iter_mut().zip(&input[planes(n)]);
                values.for_each(|(s, x)| *s = gain * (*s - all - (x - mean) * along));
            }
        }
    }

    /// Factor and summand of each channel in the finished student.
    pub fn folded(&self) -> Vec<(f64, f64)> {
        (0..self.channels())
            .map(|c| {
                let factor = f64::from(self.scale.value[c]) / (self.running_variance[c] + EPSILON).sqrt();
                (factor, f64::from(self.shift.value[c]) - factor * self.running_mean[c])
            })
            .collect()
    }
}

/// The sum of `f` over a plane, in eight lanes.
fn sum(plane: &[f32], f: impl Fn(f32) -> f32) -> f64 {
    let mut sums = [0.0f32; 8];
    let (many, rest) = plane.as_chunks::<8>();
    for values in many {
        (0..8).for_each(|lane| sums[lane] += f(values[lane]));
    }
    f64::from(sums.iter().sum::<f32>() + rest.iter().map(|&x| f(x)).sum::<f32>())
}

/// The sum of `a * (b - mean)`, in eight lanes.
fn products(a: &[f32], b: &[f32], mean: f32) -> f64 {
    let mut sums = [0.0f32; 8];
    let (many, rest) = a.as_chunks::<8>();
    let (more, tail) = b.as_chunks::<8>();
    for (a, b) in many.iter().zip(more) {
        (0..8).for_each(|lane| sums[lane] += a[lane] * (b[lane] - mean));
    }
    f64::from(sums.iter().sum::<f32>() + rest.iter().zip(tail).map(|(a, b)| a * (b - mean)).sum::<f32>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slope::{dot, holds, numbers};

    const COUNT: usize = 2;
    const CHANNELS: usize = 3;

    fn norm(scale: &[f32], shift: &[f32]) -> Norm {
        let mut norm = Norm::new(CHANNELS);
        norm.scale.value.copy_from_slice(scale);
        norm.shift.value.copy_from_slice(shift);
        norm
    }

    #[test]
    fn slopes_are_those_of_finite_differences() {
        let (scale, shift) = ([0.8, 1.2, -0.7], [3.0, 2.5, 3.0]);
        // Far from the ReLU's kink, where a difference is no slope, but for some clearly below it.
        let mut input = numbers(1, COUNT * CHANNELS * 12);
        (input[3], input[20]) = (-9.0, -8.0);
        let slope = numbers(2, input.len());
        let value = |scale: &[f32], shift: &[f32], input: &[f32]| {
            let mut out = vec![0.0; input.len()];
            norm(scale, shift).forward(COUNT, input, Mode::Train, &mut out);
            dot(&out, &slope)
        };
        let mut norm = norm(&scale, &shift);
        let mut out = vec![0.0; input.len()];
        norm.forward(COUNT, &input, Mode::Train, &mut out);
        let mut down = slope.clone();
        norm.backward(COUNT, &input, &out, &mut down);
        holds(&scale, &norm.scale.grad, |scale| value(scale, &shift, &input));
        holds(&shift, &norm.shift.grad, |shift| value(&scale, shift, &input));
        holds(&input, &down, |input| value(&scale, &shift, input));
    }

    #[test]
    fn the_folded_norm_is_that_of_the_running_statistics() {
        let mut norm = norm(&[0.8, 1.2, 0.7], &[0.1, -0.2, 0.3]);
        let input = numbers(5, COUNT * CHANNELS * 20);
        let mut out = vec![0.0; input.len()];
        (0..100).for_each(|_| norm.forward(COUNT, &input, Mode::Train, &mut out));
        norm.forward(COUNT, &input, Mode::Fixed, &mut out);
        for (i, (&x, &y)) in input.iter().zip(&out).enumerate() {
            let (factor, summand) = norm.folded()[i / 20 % CHANNELS];
            assert!((f64::from(y) - (factor * f64::from(x) + summand).max(0.0)).abs() < 1e-4);
        }
    }
}
