//! Everything that only moves elements.

use super::{Lowered, Site};
use crate::graph::{Copy, Op, Part, Value};
use tract_core::internal::{AxisOp, DimLike};
use tract_core::ops::array::{MultiBroadcastTo, Pad, PadMode, Slice, TypedConcat};
use tract_core::ops::downsample::Downsample;

pub(super) fn lower(site: &Site) -> Lowered {
    let node = site.node;
    if let Some(op) = node.op_as::<AxisOp>() {
        return match op {
            AxisOp::Move(from, to) => transpose(site, *from, *to),
            _ => Some((Op::Reshape, vec![0])),
        };
    }
    if let Some(op) = node.op_as::<Slice>() {
        let start = op.start.to_usize().ok()?;
        let mut part = whole(0, site.outputs[0]);
        part.from[op.axis] = start;
        return Some((one(part), vec![0]));
    }
    if let Some(op) = node.op_as::<TypedConcat>() {
        let mut parts = Vec::new();
        let mut at = 0;
        for (index, input) in site.inputs.iter().enumerate() {
            let mut part = whole(index, input);
            part.to[op.axis] = at;
            at += input.shape[op.axis];
            parts.push(part);
        }
        return Some((Op::Copy(Copy { parts, fill: None }), (0..site.inputs.len()).collect()));
    }
    if let Some(op) = node.op_as::<Downsample>() {
        let mut part = whole(0, site.outputs[0]);
        part.from_steps[op.axis] = usize::try_from(op.stride).ok()?;
        part.from[op.axis] = op.modulo;
        return Some((one(part), vec![0]));
    }
    if let Some(op) = node.op_as::<Pad>() {
        return pad(site, op);
    }
    node.op_as::<MultiBroadcastTo>()?;
    let (from, to) = (site.inputs[0], site.outputs[0]);
    if from.shape.len() != to.shape.len() {
        return None;
    }
    let mut part = whole(0, to);
    for axis in 0..to.shape.len() {
        if from.shape[axis] == 1 && to.shape[axis] != 1 {
            part.from_axes[axis] = None;
        }
    }
    Some((one(part), vec![0]))
}

/// The whole of a value, to the same place.
fn whole(input: usize, value: &Value) -> Part {
    let rank = value.shape.len();
    Part {
        input,
        sizes: value.shape.clone(),
        from_axes: (0..rank).map(Some).collect(),
        from_steps: vec![1; rank],
        from: vec![0; rank],
        to_axes: (0..rank).collect(),
        to: vec![0; rank],
    }
}

fn one(part: Part) -> Op {
    Op::Copy(Copy { parts: vec![part], fill: None })
}

fn transpose(site: &Site, from: usize, to: usize) -> Lowered {
    let input = site.inputs[0];
    let mut order: Vec<usize> = (0..input.shape.len()).collect();
    let axis = order.remove(from);
    order.insert(to, axis);
    // Moving axes of size 1 past each other moves no element.
    let mut long = order.iter().filter(|a| input.shape[**a] != 1);
    if long.clone().is_sorted() {
        return Some((Op::Reshape, vec![0]));
    }
    long.next()?;
    let mut part = whole(0, site.outputs[0]);
    part.from_axes = order.into_iter().map(Some).collect();
    Some((one(part), vec![0]))
}

fn pad(site: &Site, op: &Pad) -> Lowered {
    let input = site.inputs[0];
    match &op.mode {
        PadMode::Constant(value) => {
            let dt = site.node.outputs[0].fact.datum_type;
            let fill = value.cast_to_dt(dt).ok()?.as_bytes().to_vec();
            let mut part = whole(0, input);
            part.to = op.pads.iter().map(|p| p.0).collect();
            Some((Op::Copy(Copy { parts: vec![part], fill: Some(fill) }), vec![0]))
        }
        PadMode::Edge | PadMode::Reflect => {
            let reflect = matches!(op.mode, PadMode::Reflect);
            let rows: Vec<Vec<(usize, usize, usize)>> = op
                .pads
                .iter()
                .zip(&input.shape)
                .map(|(pads, size)| edge_runs(*pads, *size, reflect))
                .collect::<Option<_>>()?;
            Some((Op::Copy(Copy { parts: boxes(&rows), fill: None }), vec![0]))
        }
    }
}

/// Runs `(from, to, length)` along one axis; each border element is a run of its own.
fn edge_runs((before, after): (usize, usize), size: usize, reflect: bool) -> Option<Vec<(usize, usize, usize)>> {
    if reflect && (before >= size || after >= size) {
        return None;
    }
    let left = (0..before).map(|i| (if reflect { before - i } else { 0 }, i, 1));
    let right = (0..after).map(|i| (if reflect { size - 2 - i } else { size - 1 }, before + size + i, 1));
    Some(left.chain([(0, before, size)]).chain(right).collect())
}

/// The product of the runs of all axes.
fn boxes(axes: &[Vec<(usize, usize, usize)>]) -> Vec<Part> {
    let rank = axes.len();
    let mut parts = vec![Part {
        input: 0,
        sizes: vec![],
        from_axes: (0..rank).map(Some).collect(),
        from_steps: vec![1; rank],
        from: vec![],
        to_axes: (0..rank).collect(),
        to: vec![],
    }];
    for runs in axes {
        let longer = |part: &Part, (from, to, length): (usize, usize, usize)| {
            let mut part = part.clone();
            part.sizes.push(length);
            part.from.push(from);
            part.to.push(to);
            part
        };
        parts = parts.iter().flat_map(|p| runs.iter().map(|r| longer(p, *r)).collect::<Vec<_>>()).collect();
    }
    parts
}
