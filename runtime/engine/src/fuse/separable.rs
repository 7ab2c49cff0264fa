//! A depthwise convolution whose kernels are products of a column and a row (a Gaussian blur of an anomaly map, a box filter)
//! is done as two passes: `h + w` taps a pixel where there were `h * w`.

use super::Ties;
use crate::graph::{Conv, Graph, Node, Op};
use crate::kernels::{Clamp, Window};
use crate::layout::Pads;
use std::sync::Arc;

/// How many times fewer taps the passes need before they are worth a pass over memory.
const WORTH: usize = 3;
/// How far a kernel may be from a product, as a part of its greatest weight: what rounding to `f32` does to one.
const NEAR: f32 = 1e-6;

pub(super) fn separable(graph: &mut Graph, ties: &Ties, node: usize) -> bool {
    let Op::Conv(conv) = &graph.nodes[node].op else { return false };
    let ([height, width], channels) = (conv.window.kernel, conv.channels_in);
    let alone = conv.group == channels && conv.channels_out == channels && !conv.residual;
    if !alone || height * width <= WORTH * (height + width) {
        return false;
    }
    let input = graph.nodes[node].inputs[0];
    // Among bytes the convolution stays whole: the sum is exact there.
    if ties.producer[input].is_some_and(|before| matches!(graph.nodes[before].op, Op::Dequantise(_))) {
        return false;
    }
    let mut passes = [Vec::with_capacity(channels * height), Vec::with_capacity(channels * width)];
    for kernel in conv.weights.chunks_exact(height * width) {
        let Some([column, row]) = factors(kernel, width) else { return false };
        passes[0].extend(column);
        passes[1].extend(row);
    }
    let [columns, rows] = passes;
    let conv = conv.clone();
    let down = Conv {
        weights: columns,
        bias: vec![0.0; channels],
        window: pass(&conv.window, 0),
        clamp: Clamp::NONE,
        ..(*conv).clone()
    };
    let across = Conv { weights: rows, window: pass(&conv.window, 1), ..(*conv).clone() };

    let made = graph.nodes[node].outputs[0];
    let mut shape = graph.values[input].shape.clone();
    let rank = shape.len();
    shape[rank - 2] = graph.values[made].shape[rank - 2];
    let name = format!("{} (columns)", graph.nodes[node].name);
    let between = graph.add_value(&name, &shape, graph.values[input].dtype);
    graph.nodes[node].op = Op::Conv(Arc::new(across));
    graph.nodes[node].inputs = vec![between];
    graph.nodes.insert(node, Node { name, op: Op::Conv(Arc::new(down)), inputs: vec![input], outputs: vec![between] });
    true
}

/// The window of the pass along one axis: 0 down, 1 across. Nothing is padded along the other.
fn pass(whole: &Window, axis: usize) -> Window {
    let one = |both: [usize; 2]| [if axis == 0 { both[0] } else { 1 }, if axis == 1 { both[1] } else { 1 }];
    let pads = match axis {
        0 => Pads { left: 0, right: 0, ..whole.pads },
        _ => Pads { top: 0, bottom: 0, ..whole.pads },
    };
    Window { kernel: one(whole.kernel), stride: one(whole.stride), dilation: one(whole.dilation), pads }
}

/// The column and the row whose product the kernel is, if it is one.
fn factors(kernel: &[f32], width: usize) -> Option<[Vec<f32>; 2]> {
    let greatest = kernel.iter().enumerate().max_by(|a, b| a.1.abs().total_cmp(&b.1.abs()))?;
    let (pivot_row, pivot_column) = (greatest.0 / width, greatest.0 % width);
    let pivot = f64::from(*greatest.1);
    if pivot == 0.0 || !pivot.is_finite() {
        return None;
    }
    let row = kernel[pivot_row * width..][..width].to_vec();
    let column: Vec<f32> =
        kernel.iter().skip(pivot_column).step_by(width).map(|weight| (f64::from(*weight) / pivot) as f32).collect();
    let near =
        |(at, weight): (usize, &f32)| (column[at / width] * row[at % width] - weight).abs() <= NEAR * greatest.1.abs();
    kernel.iter().enumerate().all(near).then_some([column, row])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn product(column: &[f32], row: &[f32]) -> Vec<f32> {
        column.iter().flat_map(|a| row.iter().map(move |b| a * b)).collect()
    }

    #[test]
    fn a_product_is_taken_apart_and_nothing_else_is() {
        let kernel = product(&[0.25, -0.5, 0.0], &[1.0, 3.0, -2.0, 0.5]);
        let [column, row] = factors(&kernel, 4).expect("a product");
        let again = product(&column, &row);
        assert!(again.iter().zip(&kernel).all(|(a, b)| (a - b).abs() < 1e-6), "{again:?}");

        let mut other = kernel;
        other[5] += 1e-4;
        assert!(factors(&other, 4).is_none());
        assert!(factors(&[0.0; 12], 4).is_none());
        assert!(factors(&[f32::NAN, 1.0, 1.0, 1.0], 2).is_none());
    }
}
