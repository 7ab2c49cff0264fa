//! How the backbone's channels vary together over the good parts, and the features that follow from it.
//!
//! Features are principal components of the pooled taps, the strong ones turned down: each is divided by the fourth root of its
//! variance, half way between distances as they are and Mahalanobis's. A random rotation then spreads the variance evenly over all features, which changes no distance and
//! lets one step of an i8 serve them all.

use jidoka_engine::Session;

use super::inputs::Inputs;
use super::spectrum::{rotation, spectrum};
use super::{Options, Progress, Stage};
use crate::Error;
use crate::graph::{Backbone, Embedding, pooled, session};
use crate::random::Random;

/// Most features a position: 64 of a backbone with 96 channels, 96 of one with 160.
const MOST_FEATURES: usize = 96;
/// Images that are measured; more do not change a covariance over hundreds of positions each.
const MEASURED: usize = 64;
/// Of the positions of the grid one in so many is measured: neighbours are alike. A prime, so that no column is favoured.
const EVERY: usize = 3;
/// The exponent of a component's variance by which it is divided: 0 is Euclid's distance, 0.5 Mahalanobis's.
const TURN_DOWN: f64 = 0.25;
/// Share of the mean variance that is added to each before that.
const FLOOR: f64 = 0.01;
/// Standard deviations that the 127 steps of an int8 feature reach.
const REACH: f64 = 8.0;

/// Sums of the channels of both taps and of their products.
struct Together {
    channels: usize,
    count: f64,
    sum: Vec<f64>,
    products: Vec<f64>,
}

/// Measures up to 64 images, evenly chosen, and makes the embedding.
pub(super) fn embedding(
    backbone: &Backbone,
    inputs: &mut Inputs<'_>,
    options: &Options,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<Embedding, Error> {
    let mut session = session(pooled(backbone), "pooled backbone", options.threads)?;
    let count = inputs.count().min(MEASURED);
    let channels = backbone.channels.iter().sum();
    let mut together =
        Together { channels, count: 0.0, sum: vec![0.0; channels], products: vec![0.0; channels * channels] };
    for k in 0..count {
        inputs.fill(k * inputs.count() / count, input(&mut session))?;
        run(&mut session)?;
        together.add(&session);
        progress(Progress::Step { stage: Stage::Measure, done: k + 1, total: count });
    }
    let (mean, covariance) = together.finish();
    let sigma: Vec<f64> = (0..channels).map(|c| covariance[c * channels + c].max(0.0).sqrt()).collect();
    // A blank image still has a border, so that a few channels move a little; one part in a thousand is not a photograph.
    if sigma.iter().zip(&mean).all(|(s, m)| *s <= 1e-4 * m.abs().max(1.0)) {
        return Err(Error::NoVariation { what: "blank", needed: super::MIN_IMAGES });
    }
    // Unless the backbone says that its taps are to be compared as they are, each channel counts the same. One that never moves
    // says nothing, and must not be blown up by its rounding errors.
    let largest = sigma.iter().fold(0.0f64, |m, &s| m.max(s));
    let scale: Vec<f64> = sigma
        .iter()
        .map(|&s| {
            if s <= 1e-4 * largest {
                0.0
            } else if backbone.euclidean {
                1.0
            } else {
                1.0 / s
            }
        })
        .collect();
    Ok(project(&covariance, &mean, &scale, backbone.channels, options))
}

/// The backbone's or head's input.
pub(super) fn input(session: &mut Session) -> &mut [f32] {
    // Graphs assembled here take f32; an empty slice would be refused by whoever fills it.
    session.input_f32().unwrap_or_default()
}

/// Runs, with the graph's name in the error.
pub(super) fn run(session: &mut Session) -> Result<(), Error> {
    session.run().map_err(|error| Error::Run { name: "teaching".to_owned(), error })
}

impl Together {
    fn add(&mut self, session: &Session) {
        let taps = [0, 1].map(|tap| session.output(tap).as_f32().unwrap_or_default());
        let cells = (taps[0].len() + taps[1].len()) / self.channels;
        let mut row = vec![0.0f64; self.channels];
        for cell in (0..cells).step_by(EVERY) {
            let planes = taps[0].chunks_exact(cells).chain(taps[1].chunks_exact(cells));
            row.iter_mut().zip(planes).for_each(|(value, plane)| *value = f64::from(plane[cell]));
            self.count += 1.0;
            for (i, &a) in row.iter().enumerate() {
                self.sum[i] += a;
                let products = &mut self.products[i * self.channels..][..=i];
                products.iter_mut().zip(&row).for_each(|(product, &b)| *product += a * b);
            }
        }
    }

    /// Mean and covariance.
    fn finish(self) -> (Vec<f64>, Vec<f64>) {
        let n = self.channels;
        let mean: Vec<f64> = self.sum.iter().map(|s| s / self.count).collect();
        let lower = |i: usize, j: usize| self.products[i.max(j) * n + i.min(j)];
        let covariance = (0..n * n).map(|k| lower(k / n, k % n) / self.count - mean[k / n] * mean[k % n]).collect();
        (mean, covariance)
    }
}

fn project(covariance: &[f64], mean: &[f64], scale: &[f64], taps: [usize; 2], options: &Options) -> Embedding {
    let n = mean.len();
    let scaled: Vec<f64> = (0..n * n).map(|k| covariance[k] * scale[k / n] * scale[k % n]).collect();
    let (values, vectors) = spectrum(&scaled, n);
    let depth = (2 * n / 3).clamp(1, MOST_FEATURES);
    let common = (values.iter().sum::<f64>() / n as f64).max(f64::MIN_POSITIVE);
    // One scale for all brings the numbers to a handy size and changes no comparison.
    let gain = |e: usize| (values[e].max(0.0) / common + FLOOR).powf(-TURN_DOWN) / common.sqrt();
    let turn = rotation(depth, &mut Random::new(options.seed));
    let mut weights = [Vec::with_capacity(depth * taps[0]), Vec::with_capacity(depth * taps[1])];
    let mut bias = Vec::with_capacity(depth);
    let mut widest = 0.0f64;
    for row in turn.chunks_exact(depth) {
        let weight = |c: usize| scale[c] * (0..depth).map(|e| row[e] * gain(e) * vectors[e * n + c]).sum::<f64>();
        let all: Vec<f64> = (0..n).map(weight).collect();
        bias.push(-all.iter().zip(mean).map(|(w, m)| w * m).sum::<f64>() as f32);
        weights[0].extend(all[..taps[0]].iter().map(|&w| w as f32));
        weights[1].extend(all[taps[0]..].iter().map(|&w| w as f32));
        widest = widest.max((0..depth).map(|e| (row[e] * gain(e)).powi(2) * values[e].max(0.0)).sum());
    }
    let step = options.int8.then(|| ((REACH * widest.sqrt() / 127.0) as f32).max(f32::MIN_POSITIVE));
    let axes = turn.iter().map(|&v| v as f32).collect();
    Embedding { depth, weights, bias, axes, step }
}
