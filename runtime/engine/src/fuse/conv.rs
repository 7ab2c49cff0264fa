//! What follows or precedes a convolution and can be part of it.

use super::{Ties, replace};
use crate::graph::{Binary, Chain, Conv, Graph, Instr, Op, Part};
use std::sync::Arc;

/// The convolution that alone feeds input `slot` of `node`.
fn conv_before(graph: &Graph, ties: &Ties, node: usize, slot: usize) -> Option<(usize, Arc<Conv>)> {
    let producer = ties.sole_producer(*graph.nodes[node].inputs.get(slot)?)?;
    match &graph.nodes[producer].op {
        Op::Conv(conv) => Some((producer, conv.clone())),
        _ => None,
    }
}

fn code(graph: &Graph, node: usize) -> Option<Instr> {
    match &graph.nodes[node].op {
        Op::Chain(Chain { code }) if code.len() == 1 => Some(code[0]),
        _ => None,
    }
}

/// Relu and clip after a convolution.
pub(super) fn clamp(graph: &mut Graph, ties: &Ties, node: usize) -> bool {
    let Some(instr) = code(graph, node) else { return false };
    let Some((producer, mut conv)) = conv_before(graph, ties, node, 0) else { return false };
    let bounds = &mut Arc::make_mut(&mut conv).clamp;
    match instr {
        Instr::Scalar(Binary::Max, 0, low) | Instr::ScalarLeft(Binary::Max, low, 0) => {
            *bounds = crate::kernels::Clamp { low: bounds.low.max(low), high: bounds.high.max(low) };
        }
        Instr::Scalar(Binary::Min, 0, high) | Instr::ScalarLeft(Binary::Min, high, 0) => {
            *bounds = crate::kernels::Clamp { low: bounds.low.min(high), high: bounds.high.min(high) };
        }
        _ => return false,
    }
    let inputs = graph.nodes[producer].inputs.clone();
    replace(graph, producer, node, Op::Conv(conv), inputs);
    true
}

/// A factor or summand for each channel, as batch normalisation leaves it.
pub(super) fn scale(graph: &mut Graph, ties: &Ties, node: usize) -> bool {
    let Some(instr) = code(graph, node) else { return false };
    let slot = usize::from(conv_before(graph, ties, node, 0).is_none());
    let Some((producer, mut conv)) = conv_before(graph, ties, node, slot) else { return false };
    if conv.residual || conv.clamp != crate::kernels::Clamp::NONE {
        return false;
    }
    let channels = conv.channels_out;
    let (op, values) = match instr {
        Instr::Scalar(op, 0, value) => (op, vec![value; channels]),
        Instr::Binary(op, left, right) if left != right && (left == slot || op != Binary::Sub && op != Binary::Div) => {
            let other = graph.nodes[node].inputs[1 - slot];
            match per_channel(graph, other, channels) {
                Some(values) => (op, values),
                None => return false,
            }
        }
        _ => return false,
    };
    let conv_mut = Arc::make_mut(&mut conv);
    let per_output = conv_mut.weights.len() / channels;
    for (channel, value) in values.into_iter().enumerate() {
        let bias = &mut conv_mut.bias[channel];
        let factor = match op {
            Binary::Add => {
                *bias += value;
                continue;
            }
            Binary::Sub => {
                *bias -= value;
                continue;
            }
            Binary::Mul => value,
            Binary::Div => 1.0 / value,
            _ => return false,
        };
        *bias *= factor;
        conv_mut.weights[channel * per_output..(channel + 1) * per_output].iter_mut().for_each(|w| *w *= factor);
    }
    let inputs = graph.nodes[producer].inputs.clone();
    replace(graph, producer, node, Op::Conv(conv), inputs);
    true
}

/// A constant of shape `[C, 1, 1]` or `[1, C, 1, 1]`, or of one element.
fn per_channel(graph: &Graph, value: usize, channels: usize) -> Option<Vec<f32>> {
    let value = &graph.values[value];
    let constant = crate::lower::constant_f32(value)?;
    match value.shape[..] {
        [c, 1, 1] | [1, c, 1, 1] if c == channels => Some(constant),
        _ if constant.len() == 1 => Some(vec![constant[0]; channels]),
        _ => None,
    }
}

/// A sum of a convolution and something of the same shape.
pub(super) fn residual(graph: &mut Graph, ties: &Ties, node: usize) -> bool {
    let Some(Instr::Binary(Binary::Add, left, right)) = code(graph, node) else { return false };
    if left == right {
        return false;
    }
    for slot in [0, 1] {
        let Some((producer, mut conv)) = conv_before(graph, ties, node, slot) else { continue };
        let [this, other] = [graph.nodes[node].inputs[slot], graph.nodes[node].inputs[1 - slot]];
        let same = graph.values[this].shape == graph.values[other].shape;
        let plain = !conv.residual && conv.group == 1 && conv.clamp == crate::kernels::Clamp::NONE;
        if !same || !plain || graph.values[other].constant.is_some() {
            continue;
        }
        Arc::make_mut(&mut conv).residual = true;
        let inputs = vec![graph.nodes[producer].inputs[0], other];
        replace(graph, producer, node, Op::Conv(conv), inputs);
        return true;
    }
    false
}

/// A pixel out of several, taken before a 1x1 convolution: the convolution's stride.
pub(super) fn stride(graph: &mut Graph, ties: &Ties, node: usize) -> bool {
    let Op::Conv(conv) = &graph.nodes[node].op else { return false };
    if conv.window.kernel != [1, 1] || conv.window.pads != Default::default() || conv.residual {
        return false;
    }
    let mut conv = conv.clone();
    let Some(producer) = ties.sole_producer(graph.nodes[node].inputs[0]) else { return false };
    let Op::Copy(copy) = &graph.nodes[producer].op else { return false };
    let [part] = &copy.parts[..] else { return false };
    let Some([rows, cols]) = steps(part) else { return false };
    let stride = &mut Arc::make_mut(&mut conv).window.stride;
    *stride = [stride[0] * rows, stride[1] * cols];
    let inputs = graph.nodes[producer].inputs.clone();
    graph.nodes[node].op = Op::Conv(conv);
    graph.nodes[node].inputs = inputs;
    graph.nodes.remove(producer);
    true
}

/// The row and column steps of a copy that does nothing else.
fn steps(part: &Part) -> Option<[usize; 2]> {
    let straight = part.from_axes.iter().enumerate().all(|(i, a)| *a == Some(i));
    let corner = part.from.iter().chain(&part.to).all(|at| *at == 0);
    match part.from_steps[..] {
        [1, rows, cols] | [1, 1, rows, cols] if straight && corner && rows * cols > 1 => Some([rows, cols]),
        _ => None,
    }
}
