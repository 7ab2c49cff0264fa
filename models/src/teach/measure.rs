//! The spread of the backbone's channels over the good parts, and the projection that follows from it.

use jidoka_engine::Session;

use super::inputs::Inputs;
use super::{Options, Progress, Stage};
use crate::Error;
use crate::graph::{Backbone, Embedding, pooled, session};
use crate::random::Random;

/// Features a position.
pub(super) const DEPTH: usize = 64;
/// Images that are measured; more do not change a standard deviation over a thousand positions each.
const MEASURED: usize = 64;

/// Mean and standard deviation of each channel of a tap.
struct Spread {
    mean: Vec<f64>,
    sigma: Vec<f64>,
}

/// Measures up to 64 images, evenly chosen, and makes the embedding: each channel centred and, unless the backbone
/// says that its taps are to be compared as they are, divided by its standard deviation; then a random projection (Johnson and Lindenstrauss 1984), seeded.
pub(super) fn embedding(
    backbone: &Backbone,
    inputs: &mut Inputs<'_>,
    options: &Options,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<Embedding, Error> {
    let mut session = session(pooled(backbone), "pooled backbone", options.threads)?;
    let count = inputs.count().min(MEASURED);
    let mut sums: [Vec<[f64; 2]>; 2] = backbone.channels.map(|c| vec![[0.0; 2]; c]);
    for k in 0..count {
        inputs.fill(k * inputs.count() / count, input(&mut session))?;
        run(&mut session)?;
        for (tap, sums) in sums.iter_mut().enumerate() {
            add(&session, tap, sums);
        }
        progress(Progress::Step { stage: Stage::Measure, done: k + 1, total: count });
    }
    let positions = [0, 1].map(|tap| count * (backbone.grid().0 >> tap) * (backbone.grid().1 >> tap));
    let spreads = [0, 1].map(|tap| spread(&sums[tap], positions[tap] as f64));
    // A blank image still has a border, so that a few channels move a little; one part in a thousand is not a photograph.
    if spreads.iter().all(|s| s.sigma.iter().zip(&s.mean).all(|(s, m)| *s <= 1e-4 * m.abs().max(1.0))) {
        return Err(Error::NoVariation { what: "blank", needed: super::MIN_IMAGES });
    }
    Ok(project(&spreads, backbone.euclidean, options.seed))
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

fn add(session: &Session, tap: usize, sums: &mut [[f64; 2]]) {
    let values = session.output(tap).as_f32().unwrap_or_default();
    let plane = values.len() / sums.len();
    for (sum, plane) in sums.iter_mut().zip(values.chunks_exact(plane)) {
        for &value in plane {
            sum[0] += f64::from(value);
            sum[1] += f64::from(value) * f64::from(value);
        }
    }
}

fn spread(sums: &[[f64; 2]], count: f64) -> Spread {
    let mean: Vec<f64> = sums.iter().map(|s| s[0] / count).collect();
    let sigma = sums.iter().zip(&mean).map(|(s, m)| (s[1] / count - m * m).max(0.0).sqrt()).collect();
    Spread { mean, sigma }
}

fn project(spreads: &[Spread; 2], euclidean: bool, seed: u64) -> Embedding {
    // One scale for all channels brings the numbers to a handy size and changes no comparison.
    let all: Vec<f64> = spreads.iter().flat_map(|s| s.sigma.iter().map(|v| v * v)).collect();
    let common = (all.iter().sum::<f64>() / all.len() as f64).sqrt();
    let mut random = Random::new(seed);
    let scale = 1.0 / (DEPTH as f64).sqrt();
    let mut weights = [Vec::new(), Vec::new()];
    let mut bias = [Vec::new(), Vec::new()];
    for (tap, spread) in spreads.iter().enumerate() {
        let largest = spread.sigma.iter().fold(0.0f64, |m, &s| m.max(s));
        for _ in 0..DEPTH {
            let mut offset = 0.0;
            for (mean, sigma) in spread.mean.iter().zip(&spread.sigma) {
                // A channel that never moves says nothing, and must not be blown up by its rounding errors.
                let divisor = if euclidean { common } else { *sigma };
                let weight = if *sigma > 1e-4 * largest { scale * random.normal() / divisor } else { 0.0 };
                offset -= weight * mean;
                weights[tap].push(weight as f32);
            }
            bias[tap].push(offset as f32);
        }
    }
    Embedding { depth: DEPTH, weights, bias }
}
