//! Heads: from features to `anomaly_map` and `pred_score`.
//!
//! The nearest-neighbour search is written as the engine recognises it, without ever holding the distance matrix (and as
//! any other runtime computes it, with the matrix):
//!
//! ```text
//! queries  = Transpose(Reshape(features, [D, h*w]))        [h*w, D]
//! products = MatMul(queries, nearest.bank)                 [h*w, M]   nearest.bank = -2 * bank, transposed: [D, M]
//! partial  = Add(products, nearest.norms)                  [h*w, M]   nearest.norms[m] = |bank[m]|^2: [1, M]
//! least    = ReduceMin(partial, axes=[1], keepdims=1)      [h*w, 1]
//! norms    = ReduceSum(Mul(queries, queries), [1])         [h*w, 1]
//! distance = Sqrt(Relu(Add(least, norms)))                 [h*w, 1]
//! ```
//!
//! In an int8 model the features are multiples of one step and so is the bank, which therefore is stored as i8 without any loss:
//! `nearest.bank = DequantizeLinear(bytes, 2 * step)`.

use super::builder::Attribute;
use super::{Builder, CUES, Cues, FEATURES, STATISTICS};

/// Sizes that a head is made for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Grid {
    /// Columns of the feature grid.
    pub width: usize,
    /// Rows of the feature grid.
    pub height: usize,
    /// Features a position.
    pub depth: usize,
    /// Width and height of the anomaly map.
    pub map: (usize, usize),
    /// In an int8 model features are multiples of this.
    pub step: Option<f32>,
}

/// A Gaussian's parameters in the form that the graph needs.
#[derive(Clone, Debug)]
pub(crate) struct Gaussian {
    /// Mean: `[D,h,w]` for each position, or `[D]` for all.
    pub mean: Vec<f32>,
    /// `[D,h,w]` one over sigma for each position, `[h*w,D,D]` a whitening matrix for each, or `[D,D]` one for all.
    pub whiten: Vec<f32>,
}

/// What turns features into distances.
#[derive(Clone, Debug)]
pub(crate) enum Head<'a> {
    /// Distance to the nearest row of a memory bank `[M,D]`.
    Nearest(&'a [f32]),
    /// Diagonal Mahalanobis distance from the Gaussian of each position.
    PerPosition(&'a Gaussian),
    /// Mahalanobis distance from the Gaussian of each position.
    PerPositionWhole(&'a Gaussian),
    /// Mahalanobis distance from one Gaussian.
    Global(&'a Gaussian),
}

/// Standard deviation of the smoothing, in grid cells (8 px each).
const BLUR_SIGMA_CELLS: f64 = 0.75;
const BLUR_RADIUS_CELLS: i64 = 2;

/// Input of a head alone: features and statistics, one after the other.
const HELD_OUT: &str = "held_out";

impl Head<'_> {
    /// The head alone, from one input of features and statistics `[1, D + CUES, h, w]`; what held-out parts are scored with.
    pub fn alone(&self, grid: Grid, cues: Option<&Cues>) -> Builder {
        let mut graph = Builder::default();
        let both = grid.depth + CUES;
        graph.input(HELD_OUT, &[1, both, grid.height, grid.width]);
        take(&mut graph, FEATURES, both, 0..grid.depth);
        take(&mut graph, STATISTICS, both, grid.depth..both);
        self.finish(&mut graph, grid, cues);
        graph
    }

    /// Adds the head to a graph that has [`FEATURES`] and [`STATISTICS`], with the outputs `anomaly_map` `[1,1,H,W]` and
    /// `pred_score` `[1]`.
    pub fn finish(&self, graph: &mut Builder, grid: Grid, cues: Option<&Cues>) {
        let distances = match self {
            Head::Nearest(bank) => nearest(graph, grid, bank),
            Head::PerPosition(gaussian) => per_position(graph, grid, gaussian),
            Head::PerPositionWhole(gaussian) => per_position_whole(graph, grid, gaussian),
            Head::Global(gaussian) => global(graph, grid, gaussian),
        };
        conclude(graph, grid, &distances, cues);
    }
}

/// From distances `[1,1,h,w]` to the outputs `anomaly_map` `[1,1,H,W]` and `pred_score` `[1]`. With `cues` the graph has to have
/// [`STATISTICS`].
pub(super) fn conclude(graph: &mut Builder, grid: Grid, distances: &str, cues: Option<&Cues>) {
    let mut map = blur(graph, grid, distances);
    if let Some(cues) = cues {
        map = cues.add(graph, &map);
    }
    let (width, height) = grid.map;
    graph.resize(&map, "anomaly_map", &[1, 1, height, width]);
    graph.output("anomaly_map", &[1, 1, height, width]);
    let axes = [("axes", Attribute::Ints(&[1, 2, 3])), ("keepdims", Attribute::Int(0))];
    graph.node("ReduceMax", &["anomaly_map"], "pred_score", &axes);
    graph.output("pred_score", &[1]);
}

/// Some channels of the input of a head alone, by a convolution with ones and zeros, which is exact.
fn take(graph: &mut Builder, out: &str, of: usize, channels: std::ops::Range<usize>) {
    let mut weights = vec![0.0; channels.len() * of];
    for (row, channel) in channels.clone().enumerate() {
        weights[row * of + channel] = 1.0;
    }
    graph.pointwise(HELD_OUT, out, of, &weights, &vec![0.0; channels.len()]);
}

fn nearest(graph: &mut Builder, grid: Grid, bank: &[f32]) -> String {
    let Grid { width, height, depth, .. } = grid;
    let rows = bank.len() / depth;
    let norms: Vec<f32> = bank.chunks_exact(depth).map(squared_norm).collect();
    let bank = match grid.step {
        None => graph.floats("nearest.bank", &[depth, rows], &transposed(bank, depth, |v| -2.0 * v)),
        Some(step) => {
            // The bank's values are multiples of the step already; scales are positive, so the sign is in the bytes.
            let bytes = transposed(bank, depth, |v| (-v / step).round().clamp(-127.0, 127.0) as i8);
            let bytes = graph.bytes("nearest.bytes", &[depth, rows], &bytes);
            let scale = graph.floats("nearest.step", &[], &[2.0 * step]);
            let zero = graph.bytes("nearest.zero", &[], &[0]);
            graph.node("DequantizeLinear", &[&bytes, &scale, &zero], "nearest.bank", &[])
        }
    };
    let norms = graph.floats("nearest.norms", &[1, rows], &norms);
    let flat = graph.integers("nearest.flat", &[depth as i64, (width * height) as i64]);
    let planes = graph.node("Reshape", &[FEATURES, &flat], "nearest.planes", &[]);
    let perm = [("perm", Attribute::Ints(&[1, 0]))];
    let queries = graph.node("Transpose", &[&planes], "nearest.queries", &perm);
    let products = graph.node("MatMul", &[&queries, &bank], "nearest.products", &[]);
    let partial = graph.node("Add", &[&products, &norms], "nearest.partial", &[]);
    let axes = [("axes", Attribute::Ints(&[1])), ("keepdims", Attribute::Int(1))];
    let least = graph.node("ReduceMin", &[&partial], "nearest.least", &axes);
    let squares = graph.node("Mul", &[&queries, &queries], "nearest.squares", &[]);
    let axis = graph.integers("nearest.axis", &[1]);
    let keep = [("keepdims", Attribute::Int(1))];
    let lengths = graph.node("ReduceSum", &[&squares, &axis], "nearest.lengths", &keep);
    let squared = graph.node("Add", &[&least, &lengths], "nearest.squared", &[]);
    // Rounding may leave a tiny negative number where a feature is in the bank.
    let positive = graph.node("Relu", &[&squared], "nearest.positive", &[]);
    let distance = graph.node("Sqrt", &[&positive], "nearest.distance", &[]);
    let shape = graph.integers("nearest.grid", &[1, 1, height as i64, width as i64]);
    graph.node("Reshape", &[&distance, &shape], "distances", &[])
}

/// Rows of `depth` as columns.
fn transposed<T: Copy + Default>(rows: &[f32], depth: usize, value: impl Fn(f32) -> T) -> Vec<T> {
    let count = rows.len() / depth;
    let mut columns = vec![T::default(); rows.len()];
    for (m, row) in rows.chunks_exact(depth).enumerate() {
        for (d, &v) in row.iter().enumerate() {
            columns[d * count + m] = value(v);
        }
    }
    columns
}

fn per_position(graph: &mut Builder, grid: Grid, gaussian: &Gaussian) -> String {
    let shape = [1, grid.depth, grid.height, grid.width];
    let mean = graph.floats("gaussian.mean", &shape, &gaussian.mean);
    let whiten = graph.floats("gaussian.whiten", &shape, &gaussian.whiten);
    let centred = graph.node("Sub", &[FEATURES, &mean], "gaussian.centred", &[]);
    let white = graph.node("Mul", &[&centred, &whiten], "gaussian.white", &[]);
    length(graph, &white)
}

/// A matrix a position, as a product with as many entries as there are positions. In an int8 model the matrices are stored in i8, a
/// scale a row, since they are most of the file.
fn per_position_whole(graph: &mut Builder, grid: Grid, gaussian: &Gaussian) -> String {
    let Grid { width, height, depth, .. } = grid;
    let cells = width * height;
    let mean = graph.floats("gaussian.mean", &[1, depth, height, width], &gaussian.mean);
    let whiten = match grid.step {
        None => graph.floats("gaussian.whiten", &[cells, depth, depth], &gaussian.whiten),
        Some(_) => {
            let rows = gaussian.whiten.chunks_exact(depth);
            let scales: Vec<f32> = rows.map(|row| row.iter().fold(1e-30f32, |m, v| m.max(v.abs())) / 127.0).collect();
            let values = gaussian.whiten.iter().enumerate();
            let bytes: Vec<i8> = values.map(|(k, v)| (v / scales[k / depth]).round() as i8).collect();
            let bytes = graph.bytes("gaussian.bytes", &[cells * depth, depth], &bytes);
            let zeros = graph.bytes("gaussian.zeros", &[cells * depth], &vec![0; cells * depth]);
            let scales = graph.floats("gaussian.scales", &[cells * depth], &scales);
            let axis = [("axis", Attribute::Int(0))];
            let rows = graph.node("DequantizeLinear", &[&bytes, &scales, &zeros], "gaussian.rows", &axis);
            let shape = graph.integers("gaussian.matrices", &[cells as i64, depth as i64, depth as i64]);
            graph.node("Reshape", &[&rows, &shape], "gaussian.whiten", &[])
        }
    };
    let centred = graph.node("Sub", &[FEATURES, &mean], "gaussian.centred", &[]);
    let flat = graph.integers("gaussian.flat", &[depth as i64, cells as i64, 1]);
    let planes = graph.node("Reshape", &[&centred, &flat], "gaussian.planes", &[]);
    let perm = [("perm", Attribute::Ints(&[1, 0, 2]))];
    let columns = graph.node("Transpose", &[&planes], "gaussian.columns", &perm);
    let white = graph.node("MatMul", &[&whiten, &columns], "gaussian.white", &[]);
    let squares = graph.node("Mul", &[&white, &white], "gaussian.squares", &[]);
    let axis = graph.integers("gaussian.axis", &[1]);
    let sum = graph.node("ReduceSum", &[&squares, &axis], "gaussian.sum", &[("keepdims", Attribute::Int(1))]);
    let lengths = graph.node("Sqrt", &[&sum], "gaussian.lengths", &[]);
    let shape = graph.integers("gaussian.grid", &[1, 1, height as i64, width as i64]);
    graph.node("Reshape", &[&lengths, &shape], "distances", &[])
}

fn global(graph: &mut Builder, grid: Grid, gaussian: &Gaussian) -> String {
    // whiten * (x - mean) as one convolution: the bias is -whiten * mean.
    let bias: Vec<f32> = gaussian
        .whiten
        .chunks_exact(grid.depth)
        .map(|row| -row.iter().zip(&gaussian.mean).map(|(w, m)| w * m).sum::<f32>())
        .collect();
    let white = graph.pointwise(FEATURES, "gaussian.white", grid.depth, &gaussian.whiten, &bias);
    length(graph, &white)
}

/// Euclidean length over the channels.
fn length(graph: &mut Builder, source: &str) -> String {
    let squares = graph.node("Mul", &[source, source], "gaussian.squares", &[]);
    let axis = graph.integers("gaussian.axis", &[1]);
    let keep = [("keepdims", Attribute::Int(1))];
    let sum = graph.node("ReduceSum", &[&squares, &axis], "gaussian.sum", &keep);
    graph.node("Sqrt", &[&sum], "distances", &[])
}

/// Gaussian smoothing on the grid, where it costs next to nothing; at the border over the cells that exist.
fn blur(graph: &mut Builder, grid: Grid, source: &str) -> String {
    let r = BLUR_RADIUS_CELLS;
    let taps: Vec<f64> = (-r..=r).map(|i| (-0.5 * (i as f64 / BLUR_SIGMA_CELLS).powi(2)).exp()).collect();
    let sum: f64 = taps.iter().sum();
    let taps: Vec<f64> = taps.iter().map(|t| t / sum).collect();
    let kernel: Vec<f32> = taps.iter().flat_map(|a| taps.iter().map(move |b| (a * b) as f32)).collect();
    let side = (2 * r + 1) as usize;
    let weight = graph.floats("blur.weight", &[1, 1, side, side], &kernel);
    let attributes =
        [("kernel_shape", Attribute::Ints(&[2 * r + 1, 2 * r + 1])), ("pads", Attribute::Ints(&[r, r, r, r]))];
    let blurred = graph.node("Conv", &[source, &weight], "blur.zero_padded", &attributes);
    let inside = |at: usize, size: usize| -> f64 {
        (-r..=r).zip(&taps).filter(|(i, _)| (0..size as i64).contains(&(at as i64 + i))).map(|(_, t)| t).sum()
    };
    let mut correction = Vec::with_capacity(grid.width * grid.height);
    for y in 0..grid.height {
        for x in 0..grid.width {
            correction.push((1.0 / (inside(y, grid.height) * inside(x, grid.width))) as f32);
        }
    }
    let correction = graph.floats("blur.border", &[1, 1, grid.height, grid.width], &correction);
    graph.node("Mul", &[&blurred, &correction], "blur", &[])
}

fn squared_norm(row: &[f32]) -> f32 {
    row.iter().map(|v| v * v).sum()
}
