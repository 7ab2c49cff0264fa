//! Folding quantisation: `Dequantise → operation → Quantise` becomes one operation on bytes.
//!
//! The weights of a QDQ export arrive here dequantised, as constants. [`on_grid`] finds the bytes and the step again, which
//! is exact where they were quantised symmetrically, and is what decides whether a convolution is folded.

mod grid;
mod moves;

use super::{Ties, prune};
use crate::graph::{AddInt8, Binary, Chain, Conv, ConvInt8, Graph, Instr, Op, PoolInt8, PoolKind, ValueId};
use crate::kernels::{Bytes, Clamp, Scale};
use crate::lower::quant;
use crate::model::DType;
pub(super) use grid::on_grid;
use std::sync::Arc;

/// Folds what can be folded.
pub(crate) fn fold(graph: &mut Graph) {
    take_scales(graph);
    keep_inside(graph);
    while super::apply(graph, &[quantised, super::nearest::among_bytes]) {}
    prune(graph);
}

/// A quantisation takes the exact step from the dequantisation that reads it.
fn take_scales(graph: &mut Graph) {
    for reader in 0..graph.nodes.len() {
        let Op::Dequantise(known) = &graph.nodes[reader].op else { continue };
        let (scale, value) = (*known, graph.nodes[reader].inputs[0]);
        for node in graph.nodes.iter_mut().filter(|n| n.outputs.contains(&value)) {
            if let Op::Quantise(quant) = &mut node.op {
                let close = (quant.scale / scale.scale - 1.0).abs() < 1e-5;
                if close && quant.zero == scale.zero {
                    *quant = scale;
                }
            }
        }
    }
}

/// Bytes that only quantisations write and dequantisations read are the engine's own; others lie as ONNX has them, and going
/// there and back is arithmetic.
fn keep_inside(graph: &mut Graph) {
    for value in 0..graph.values.len() {
        let producer = graph.nodes.iter().position(|n| n.outputs.contains(&value));
        let readers: Vec<usize> = (0..graph.nodes.len()).filter(|n| graph.nodes[*n].inputs.contains(&value)).collect();
        let zero = producer.and_then(|p| match &graph.nodes[p].op {
            Op::Quantise(scale) => Some(scale.zero),
            _ => None,
        });
        let inside = readers.iter().all(|n| matches!(graph.nodes[*n].op, Op::Dequantise(_)));
        if let Some(zero) = zero.filter(|_| inside && !graph.outputs.contains(&value)) {
            graph.values[value].dtype = DType::I8;
            graph.values[value].zero = Some(zero);
            continue;
        }
        for node in producer.into_iter().chain(readers) {
            graph.nodes[node].op = match graph.nodes[node].op {
                Op::Quantise(scale) if graph.nodes[node].outputs[0] == value => {
                    quant::in_floats(scale, &graph.values[value])
                }
                Op::Dequantise(scale) if graph.nodes[node].inputs[0] == value => {
                    quant::out_to_floats(scale, &graph.values[value])
                }
                _ => continue,
            };
        }
    }
}

/// The dequantisation that makes input `slot` of a node: its bytes and their scale.
pub(super) fn bytes_before(graph: &Graph, ties: &Ties, node: usize, slot: usize) -> Option<(ValueId, Scale)> {
    let producer = ties.producer[*graph.nodes[node].inputs.get(slot)?]?;
    match &graph.nodes[producer].op {
        Op::Dequantise(scale) => Some((graph.nodes[producer].inputs[0], *scale)),
        _ => None,
    }
}

/// A quantisation and what alone feeds it.
fn quantised(graph: &mut Graph, ties: &Ties, node: usize) -> bool {
    let Op::Quantise(to) = graph.nodes[node].op else { return false };
    let Some(producer) = ties.sole_producer(graph.nodes[node].inputs[0]) else { return false };
    let folded = match &graph.nodes[producer].op {
        Op::Conv(conv) => fold_conv(graph, ties, producer, conv, to),
        Op::Chain(chain) => fold_add(graph, ties, producer, chain, to)
            .or_else(|| moves::arithmetic(graph, ties, producer, chain, to))
            .or_else(|| moves::mean(graph, ties, producer, to)),
        Op::Reduce { .. } => moves::mean(graph, ties, producer, to),
        Op::Copy(copy) => moves::concat(graph, ties, producer, copy, to),
        Op::Resize(resize) => moves::resize(graph, ties, producer, resize, to),
        Op::Pool(pool) => bytes_before(graph, ties, producer, 0).and_then(|(value, from)| {
            let padded = pool.window.pads != Default::default();
            let scale = match pool.kind {
                // The maximum wants the least value in the padding, which holds the zero point.
                PoolKind::Max if from == to && (!padded || from.zero == i8::MIN) => None,
                PoolKind::Mean { count_pads } if count_pads || !padded => {
                    Some(from.scale / to.scale / pool.window.taps() as f32)
                }
                _ => return None,
            };
            Some((Op::PoolInt8(PoolInt8 { window: pool.window, from, to, scale }), vec![value]))
        }),
        // Bytes of one scale that shall have another.
        Op::Dequantise(from) => Some((Op::Rescale(*from, to, Bytes::ALL), graph.nodes[producer].inputs.clone())),
        _ => None,
    };
    let Some((op, inputs)) = folded else { return false };
    super::replace(graph, producer, node, op, inputs);
    true
}

/// The bounds that instructions put on register `first`, if that is all they do.
fn clamp_of(code: &[Instr], first: usize) -> Option<Clamp> {
    let mut clamp = Clamp::NONE;
    for (index, instr) in code.iter().enumerate() {
        clamp = match *instr {
            Instr::Scalar(Binary::Max, reg, low) | Instr::ScalarLeft(Binary::Max, low, reg) if reg == first + index => {
                Clamp { low: clamp.low.max(low), high: clamp.high.max(low) }
            }
            Instr::Scalar(Binary::Min, reg, high) | Instr::ScalarLeft(Binary::Min, high, reg)
                if reg == first + index =>
            {
                Clamp { low: clamp.low.min(high), high: clamp.high.min(high) }
            }
            _ => return None,
        };
    }
    Some(clamp)
}

/// The bytes that a clamp leaves.
fn range(clamp: Clamp, to: Scale) -> Bytes {
    let byte = |v: f32| ((v / to.scale).round_ties_even() + f32::from(to.zero)).clamp(-128.0, 127.0) as i8;
    Bytes { low: byte(clamp.low), high: byte(clamp.high) }
}

fn fold_conv(graph: &Graph, ties: &Ties, node: usize, conv: &Conv, to: Scale) -> Option<(Op, Vec<ValueId>)> {
    let (value, from) = bytes_before(graph, ties, node, 0)?;
    let depthwise = conv.group == conv.channels_in && conv.channels_in == conv.channels_out;
    if conv.residual || conv.group > 1 && !depthwise {
        return None;
    }
    let per_channel = conv.weights.len() / conv.channels_out;
    let mut folded = ConvInt8 {
        weights: Vec::with_capacity(conv.weights.len()),
        bias: Vec::with_capacity(conv.channels_out),
        scale: Vec::with_capacity(conv.channels_out),
        depthwise: conv.group > 1,
        window: conv.window,
        from,
        to,
        range: range(conv.clamp, to),
    };
    for (weights, bias) in conv.weights.chunks_exact(per_channel).zip(&conv.bias) {
        let (bytes, step) = on_grid(weights)?;
        let unit = from.scale * step;
        let bias = (f64::from(*bias) / f64::from(unit)).round_ties_even();
        if bias.abs() > f64::from(1 << 30) {
            return None;
        }
        folded.weights.extend(bytes);
        folded.bias.push(bias as i32);
        folded.scale.push(unit / to.scale);
    }
    Some((Op::ConvInt8(Arc::new(folded)), vec![value]))
}

/// A sum of two, with a clamp or without.
fn fold_add(graph: &Graph, ties: &Ties, node: usize, chain: &Chain, to: Scale) -> Option<(Op, Vec<ValueId>)> {
    let inputs = &graph.nodes[node].inputs;
    let (Instr::Binary(Binary::Add, 0, 1), rest) = chain.code.split_first().map(|(f, r)| (*f, r))? else {
        return None;
    };
    let clamp = clamp_of(rest, 2)?;
    let same = inputs.len() == 2 && graph.values[inputs[0]].shape == graph.values[inputs[1]].shape;
    let (a, a_scale) = bytes_before(graph, ties, node, 0)?;
    let (b, b_scale) = bytes_before(graph, ties, node, 1)?;
    let add = AddInt8 { from: [a_scale, b_scale], to, range: range(clamp, to) };
    same.then(|| (Op::AddInt8(add), vec![a, b]))
}
