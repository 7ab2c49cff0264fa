//! The search in a memory bank: `min over m of (|b[m]|² - 2 q·b[m])`, written as a product with a constant, a sum with
//! another, and a minimum over the constant's rows.
//!
//! Recognised (any order of the operands, the matrices in any orientation):
//!
//! ```text
//! products = MatMul(queries, W)         W = -2 * bank, transposed, constant
//! partial  = Add(products, norms)       norms[m] = |bank[m]|², constant, along the same axis
//! least    = ReduceMin(partial, that axis)
//! ```

use super::Ties;
use crate::graph::{Binary, Chain, Graph, Instr, MatMul, Nearest, Op, ReduceKind};
use crate::lower::constant_f32;
use std::sync::Arc;

/// How far the norms may be from those of the rows, relative to the largest; a head stores them rounded.
const NORM_TOLERANCE: f32 = 1e-4;

pub(super) fn nearest(graph: &mut Graph, ties: &Ties, node: usize) -> bool {
    let Some((found, queries)) = recognise(graph, ties, node) else { return false };
    // The product and the sum are left without a reader.
    graph.nodes[node].op = Op::Nearest(Arc::new(found));
    graph.nodes[node].inputs = vec![queries];
    super::prune(graph);
    true
}

fn recognise(graph: &Graph, ties: &Ties, node: usize) -> Option<(Nearest, usize)> {
    let least = &graph.nodes[node];
    let Op::Reduce { kind: ReduceKind::Min, axes } = &least.op else { return None };
    let [axis] = axes[..] else { return None };
    let partial = least.inputs[0];
    let sum = &graph.nodes[ties.sole_producer(partial)?];
    let Op::Chain(Chain { code }) = &sum.op else { return None };
    let [Instr::Binary(Binary::Add, left, right)] = code[..] else { return None };
    let constant = |v: &usize| graph.values[*v].constant.is_some();
    let (products, norms) = match (constant(&sum.inputs[left]), constant(&sum.inputs[right])) {
        (false, true) => (sum.inputs[left], sum.inputs[right]),
        (true, false) => (sum.inputs[right], sum.inputs[left]),
        _ => return None,
    };
    let product = &graph.nodes[ties.sole_producer(products)?];
    let Op::MatMul(shape) = &product.op else { return None };
    if shape.batch.iter().any(|b| *b != 1) || graph.values[products].shape != graph.values[partial].shape {
        return None;
    }
    let bank_on_right = constant(&product.inputs[1]);
    let (queries, weights) = (product.inputs[usize::from(!bank_on_right)], product.inputs[usize::from(bank_on_right)]);
    let weights = constant_f32(&graph.values[weights])?;
    let (rows, run, found) = orient(shape, bank_on_right, &weights);
    let size = &graph.values[partial].shape;
    // The minimum runs over the bank's rows, and nothing else has them.
    let step: usize = size[axis + 1..].iter().product();
    let norms_shape = &graph.values[norms].shape;
    let along = norms_shape.len() + axis >= size.len()
        && norms_shape.iter().enumerate().all(|(i, s)| *s == 1 || i + size.len() - norms_shape.len() == axis);
    if size[axis] != rows || step != run || !along {
        return None;
    }
    let norms = constant_f32(&graph.values[norms])?;
    agree(&found.bank, found.features, &norms).then_some((found, queries))
}

/// The bank's rows, its step in the product, and the search, from the product's strides.
fn orient(shape: &MatMul, bank_on_right: bool, weights: &[f32]) -> (usize, usize, Nearest) {
    let (rows, run, row_step, feature_step) = if bank_on_right {
        (shape.n, shape.c.col, shape.b.col, shape.b.row)
    } else {
        (shape.m, shape.c.row, shape.a.row, shape.a.col)
    };
    let (query_step, query_feature) =
        if bank_on_right { (shape.a.row, shape.a.col) } else { (shape.b.col, shape.b.row) };
    let features = shape.k;
    let at = |m: usize, d: usize| -0.5 * weights[m * row_step + d * feature_step];
    let bank = (0..rows).flat_map(|m| (0..features).map(move |d| at(m, d))).collect();
    (rows, run, Nearest { bank, features, query_step, feature_step: query_feature, add_query_norm: false })
}

fn agree(bank: &[f32], features: usize, norms: &[f32]) -> bool {
    let lengths = bank.chunks_exact(features).map(|row| row.iter().map(|b| b * b).sum::<f32>());
    let most = norms.iter().fold(0.0f32, |m, n| m.max(n.abs()));
    norms.len() * features == bank.len() && lengths.zip(norms).all(|(l, n)| (l - n).abs() <= NORM_TOLERANCE * most)
}
