//! The search in a memory bank: `min over m of (|b[m]|² - 2 q·b[m])`, written as a product with a constant, a sum with
//! another, and a minimum over the constant's rows, the number of the least, or both.
//!
//! Recognised (any order of the operands, the matrices in any orientation):
//!
//! ```text
//! products = MatMul(queries, W)         W = -2 * bank, transposed, constant
//! partial  = Add(products, norms)       norms[m] = |bank[m]|², constant, along the same axis
//! least    = ReduceMin(partial, that axis)                     and, if wanted,
//! row      = ArgMin(partial, that axis)                        or, instead of the two,
//! least, row = TopK(partial, 1, that axis, largest = 0)
//! ```
//!
//! The fold into bytes, where the queries are bytes and the bank lies on a grid, comes later: [`among_bytes`].

use super::Ties;
use super::int8::{bytes_before, on_grid};
use crate::graph::{Binary, Chain, Copy, Graph, Instr, MatMul, Nearest, NearestInt8, Node, Op, ReduceKind, ValueId};
use crate::lower::constant_f32;
use crate::model::DType;
use std::sync::Arc;

/// How far the norms may be from those of the rows, relative to the largest; a head stores them rounded.
const NORM_TOLERANCE: f32 = 1e-4;

pub(super) fn nearest(graph: &mut Graph, ties: &Ties, node: usize) -> bool {
    if asks(&graph.nodes[node], graph).is_none() {
        return false;
    }
    let partial = graph.nodes[node].inputs[0];
    let Some((found, queries)) = recognise(graph, ties, node) else { return false };
    // What asks for the least, for its row, or for both.
    let asking: Vec<usize> = (0..graph.nodes.len()).filter(|n| graph.nodes[*n].inputs.contains(&partial)).collect();
    let outputs = |which: usize| {
        asking.iter().filter_map(|n| asks(&graph.nodes[*n], graph)).filter_map(|a| a.1[which]).collect::<Vec<_>>()
    };
    let (least, rows) = (outputs(0), outputs(1));
    if least.len() > 1 || rows.len() > 1 {
        return false;
    }
    let first = asking[0];
    let name = graph.nodes[first].name.clone();
    let least = least.first().copied().unwrap_or_else(|| {
        let shape = rows.first().map_or(vec![], |row| graph.values[*row].shape.clone());
        graph.add_value(&name, &shape, DType::F32)
    });
    let outputs = [least].into_iter().chain(rows).collect();
    graph.nodes[first] = Node { name, op: Op::Nearest(Arc::new(found)), inputs: vec![queries], outputs };
    for other in asking.into_iter().skip(1).rev() {
        graph.nodes.remove(other);
    }
    // The product and the sum are left without a reader.
    super::prune(graph);
    true
}

/// The axis along which a node asks for the least, and the outputs that take its value and its number.
fn asks(node: &Node, graph: &Graph) -> Option<(usize, [Option<ValueId>; 2])> {
    match &node.op {
        Op::Reduce { kind: ReduceKind::Min, axes } => match axes[..] {
            [axis] => Some((axis, [Some(node.outputs[0]), None])),
            _ => None,
        },
        Op::Arg { axis, greatest: false, last: false } => Some((*axis, [None, Some(node.outputs[0])])),
        Op::Top { axis, largest: false } if graph.values[node.outputs[0]].shape[*axis] == 1 => {
            Some((*axis, [Some(node.outputs[0]), Some(node.outputs[1])]))
        }
        _ => None,
    }
}

fn recognise(graph: &Graph, ties: &Ties, node: usize) -> Option<(Nearest, usize)> {
    let (axis, _) = asks(&graph.nodes[node], graph)?;
    let partial = graph.nodes[node].inputs[0];
    // Everyone who reads the distances asks for the least along the same axis.
    let readers = graph.nodes.iter().filter(|n| n.inputs.contains(&partial));
    if graph.outputs.contains(&partial) || !readers.clone().all(|n| asks(n, graph).is_some_and(|a| a.0 == axis)) {
        return None;
    }
    let sum = &graph.nodes[ties.producer[partial]?];
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
    let size = &graph.values[partial].shape;
    let norms_shape = &graph.values[norms].shape;
    let norms = constant_f32(&graph.values[norms])?;
    let (rows, run, found) = orient(shape, bank_on_right, &weights, norms);
    // The minimum runs over the bank's rows, and nothing else has them.
    let step: usize = size[axis + 1..].iter().product();
    let along = norms_shape.len() + axis >= size.len()
        && norms_shape.iter().enumerate().all(|(i, s)| *s == 1 || i + size.len() - norms_shape.len() == axis);
    if size[axis] != rows || step != run || !along {
        return None;
    }
    agree(&found).then_some((found, queries))
}

/// The bank's rows, its step in the product, and the search, from the product's strides.
fn orient(shape: &MatMul, bank_on_right: bool, weights: &[f32], norms: Vec<f32>) -> (usize, usize, Nearest) {
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
    (rows, run, Nearest { bank, norms, features, query_step, feature_step: query_feature, add_query_norm: false })
}

fn agree(Nearest { bank, features, norms, .. }: &Nearest) -> bool {
    let lengths = bank.chunks_exact(*features).map(|row| row.iter().map(|b| b * b).sum::<f32>());
    let most = norms.iter().fold(0.0f32, |m, n| m.max(n.abs()));
    norms.len() * features == bank.len() && lengths.zip(norms).all(|(l, n)| (l - n).abs() <= NORM_TOLERANCE * most)
}

/// A search whose queries are the positions of an image of bytes and whose bank's rows lie on a grid each.
pub(super) fn among_bytes(graph: &mut Graph, ties: &Ties, node: usize) -> bool {
    let Op::Nearest(search) = &graph.nodes[node].op else { return false };
    let Some((found, bytes)) = bytes(graph, ties, node, search) else { return false };
    graph.nodes[node].op = Op::NearestInt8(Arc::new(found));
    graph.nodes[node].inputs = vec![bytes];
    true
}

fn bytes(graph: &Graph, ties: &Ties, node: usize, search: &Nearest) -> Option<(NearestInt8, ValueId)> {
    // Back over what only moves the same elements, and along with it how far queries and features are apart.
    let (mut at, mut steps) = (node, [search.query_step, search.feature_step]);
    loop {
        let producer = ties.producer[graph.nodes[at].inputs[0]]?;
        match &graph.nodes[producer].op {
            Op::Reshape => {}
            Op::Copy(copy) => steps = turned(copy, &graph.values[graph.nodes[producer].outputs[0]].shape, steps)?,
            _ => break,
        }
        at = producer;
    }
    let (value, queries) = bytes_before(graph, ties, at, 0)?;
    let ([_, channels, height, width] | [channels, height, width]) = graph.values[value].shape[..] else { return None };
    let positions = height * width;
    let planes = (steps[0] == 1 || positions == 1) && (steps[1] == positions || channels == 1);
    if channels != search.features || !planes {
        return None;
    }
    let rows = search.norms.len();
    let mut found = NearestInt8 {
        bank: Vec::with_capacity(search.bank.len()),
        offset: search.norms.clone(),
        scale: Vec::with_capacity(rows),
        zero: queries.zero,
    };
    for row in search.bank.chunks_exact(search.features) {
        let (bytes, step) = on_grid(row)?;
        found.bank.extend(bytes);
        found.scale.push(-2.0 * queries.scale * step);
    }
    Some((found, value))
}

/// What steps through a copy's output are in its input, where the copy only turns axes.
fn turned(copy: &Copy, shape: &[usize], steps: [usize; 2]) -> Option<[usize; 2]> {
    let [part] = &copy.parts[..] else { return None };
    let still = part.from.iter().chain(&part.to).all(|at| *at == 0) && part.from_steps.iter().all(|s| *s == 1);
    let axes: Vec<usize> = part.from_axes.iter().copied().collect::<Option<_>>()?;
    if !still || part.sizes != shape || !part.to_axes.iter().enumerate().all(|(i, a)| i == *a) {
        return None;
    }
    let dense = |sizes: &[usize], axis: usize| sizes[axis + 1..].iter().product::<usize>();
    let mut source = vec![0; shape.len()];
    axes.iter().zip(shape).for_each(|(axis, size)| source[*axis] = *size);
    let step = |step: usize| {
        let axis = (0..shape.len()).find(|a| shape[*a] > 1 && dense(shape, *a) == step);
        // A step along an axis of length one leads nowhere.
        axis.map_or(step, |a| dense(&source, axes[a]))
    };
    Some(steps.map(step))
}
