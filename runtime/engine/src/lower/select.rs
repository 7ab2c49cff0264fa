//! Choosing elements: the place of the greatest or least, the first few in order, and taking elements by number.

use super::{Lowered, Site};
use crate::graph::{Op, Take};
use crate::model::DType;
use tract_core::ops::array::{Gather, GatherElements, GatherNd, Topk};
use tract_core::ops::nn::{Reduce, Reducer};

/// More than this many in order is sorting, which has no step.
const MAX_TOP: usize = 256;

/// A plan keeps a place for each number.
const MAX_NUMBERS: usize = 1 << 20;

pub(super) fn lower(site: &Site) -> Lowered {
    let first = site.inputs.first()?;
    if let Some(op) = site.node.op_as::<Reduce>() {
        let (greatest, last) = match op.reducer {
            Reducer::ArgMax(last) => (true, last),
            Reducer::ArgMin(last) => (false, last),
            _ => return None,
        };
        let [axis] = op.axes[..] else { return None };
        let usable = first.dtype == DType::F32 && site.outputs[0].dtype == DType::I64;
        return usable.then_some((Op::Arg { axis, greatest, last }, vec![0]));
    }
    if let Some(op) = site.node.op_as::<Topk>() {
        let count = site.outputs[0].shape[op.axis];
        let usable = first.dtype == DType::F32 && site.outputs.len() == 2 && (1..=MAX_TOP).contains(&count);
        return usable.then_some((Op::Top { axis: op.axis, largest: op.largest }, vec![0]));
    }
    let numbers = *site.inputs.get(1)?;
    let many = numbers.shape.iter().product::<usize>() > MAX_NUMBERS;
    if many || numbers.dtype != DType::I64 || first.dtype != site.outputs[0].dtype {
        return None;
    }
    let take = if let Some(op) = site.node.op_as::<Gather>() {
        Take::Slices { axis: op.axis }
    } else if let Some(op) = site.node.op_as::<GatherElements>() {
        Take::Elements { axis: op.axis }
    } else {
        let op = site.node.op_as::<GatherNd>()?;
        Take::Points { batch_axes: op.batch_dims }
    };
    Some((Op::Take(take), vec![0, 1]))
}
