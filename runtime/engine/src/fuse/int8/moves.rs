//! Folding what moves bytes, looks them up or averages them: concatenation, resampling, arithmetic of one input, means.

use super::{Ties, bytes_before, clamp_of, range};
use crate::graph::{
    Binary, Chain, ConcatInt8, Copy, Graph, Instr, Op, PoolInt8, ReduceKind, Resize, ResizeInt8, ValueId,
};
use crate::kernels::{Bytes, Scale, Table, Window};
use crate::layout::Pads;
use crate::steps::apply_to_all;

type Folded = Option<(Op, Vec<ValueId>)>;

/// Arithmetic of one input: bounds are a rescale with a narrower range, everything else a table.
pub(super) fn arithmetic(graph: &Graph, ties: &Ties, node: usize, chain: &Chain, to: Scale) -> Folded {
    if graph.nodes[node].inputs.len() != 1 {
        return None;
    }
    let (value, from) = bytes_before(graph, ties, node, 0)?;
    if let Some(clamp) = clamp_of(&chain.code, 0) {
        return Some((Op::Rescale(from, to, range(clamp, to)), vec![value]));
    }
    let table = Table::new(from, to, Bytes::ALL, |values| apply_to_all(chain, values));
    Some((Op::TableInt8(table), vec![value]))
}

/// Channels one behind the other.
pub(super) fn concat(graph: &Graph, ties: &Ties, node: usize, copy: &Copy, to: Scale) -> Folded {
    let out = &graph.values[graph.nodes[node].outputs[0]].shape;
    let axis = out.len().checked_sub(3)?;
    let mut at = 0;
    let mut folded = ConcatInt8 { from: vec![], to };
    let mut inputs = vec![];
    for part in &copy.parts {
        let (value, from) = bytes_before(graph, ties, node, part.input)?;
        let shape = &graph.values[value].shape;
        let straight = part.from_axes.iter().enumerate().all(|(i, a)| *a == Some(i))
            && part.to_axes.iter().enumerate().all(|(i, a)| *a == i)
            && part.from_steps.iter().all(|s| *s == 1)
            && part.from.iter().all(|f| *f == 0)
            && part.to.iter().enumerate().all(|(a, f)| *f == if a == axis { at } else { 0 });
        if !straight || part.sizes != *shape || shape.len() != out.len() || shape[axis + 1..] != out[axis + 1..] {
            return None;
        }
        at += shape[axis];
        folded.from.push(from);
        inputs.push(value);
    }
    (copy.parts.len() > 1 && at == out[axis]).then_some((Op::ConcatInt8(folded), inputs))
}

/// Resampling, nearest or bilinear.
pub(super) fn resize(graph: &Graph, ties: &Ties, node: usize, resize: &Resize, to: Scale) -> Folded {
    let (value, from) = bytes_before(graph, ties, node, 0)?;
    Some((Op::ResizeInt8(ResizeInt8 { resize: resize.clone(), from, to }), vec![value]))
}

/// A sum over rows and columns times a number: the mean of each channel, as a pool of one window.
pub(super) fn mean(graph: &Graph, ties: &Ties, node: usize, to: Scale) -> Folded {
    let (sum, factor) = match &graph.nodes[node].op {
        Op::Chain(chain) if graph.nodes[node].inputs.len() == 1 => {
            let factor = match chain.code[..] {
                [Instr::Scalar(Binary::Mul, 0, factor)] => factor,
                [Instr::Scalar(Binary::Div, 0, divisor)] => 1.0 / divisor,
                _ => return None,
            };
            (ties.sole_producer(graph.nodes[node].inputs[0])?, factor)
        }
        _ => (node, 1.0),
    };
    let Op::Reduce { kind: ReduceKind::Sum, axes } = &graph.nodes[sum].op else { return None };
    let (value, from) = bytes_before(graph, ties, sum, 0)?;
    let shape = &graph.values[value].shape;
    let first = shape.len() - 2;
    if axes[..] != [first, first + 1] {
        return None;
    }
    let window =
        Window { kernel: [shape[first], shape[first + 1]], stride: [1, 1], dilation: [1, 1], pads: Pads::default() };
    let scale = Some(from.scale * factor / to.scale);
    Some((Op::PoolInt8(PoolInt8 { window, from, to, scale }), vec![value]))
}
