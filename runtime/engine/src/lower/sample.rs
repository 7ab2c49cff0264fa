//! Resampling of images.

use super::{Lowered, Site, constant_f32};
use crate::graph::{Op, Resize, Tap};
use crate::model::DType;
use tract_core::ops::nn::resize::{AxisPlan, Interpolator, NearestUpsample, Resize as TractResize};

pub(super) fn lower(site: &Site) -> Lowered {
    let (from, to) = (site.inputs.first()?, site.outputs.first()?);
    let rank = from.shape.len();
    if from.dtype != DType::F32 || rank < 2 || from.shape[..rank - 2] != to.shape[..rank - 2] {
        return None;
    }
    let lengths = [(from.shape[rank - 2], to.shape[rank - 2]), (from.shape[rank - 1], to.shape[rank - 1])];
    if let Some(op) = site.node.op_as::<NearestUpsample>() {
        let repeat = |(_, out): (usize, usize), scale: usize| {
            (0..out).map(|x| Tap { first: x / scale, second: x / scale, fraction: 0.0 }).collect()
        };
        let [rows, cols] = [repeat(lengths[0], op.scales[rank - 2]), repeat(lengths[1], op.scales[rank - 1])];
        return Some((Op::Resize(Resize { rows, cols, nearest: true }), vec![0]));
    }
    let op = site.node.op_as::<TractResize>()?;
    if op.interpolator == Interpolator::Cubic {
        return None;
    }
    let given = op.optional_scales_input.and_then(|i| site.inputs.get(i)).and_then(|v| constant_f32(v));
    let given = given.filter(|s| s.len() == rank);
    let axis = |axis: usize, (len_in, len_out): (usize, usize)| {
        let scale = given.as_ref().map_or(len_out as f32 / len_in as f32, |s| s[axis]);
        if len_in == len_out && scale == 1.0 {
            return Some((0..len_in).map(|x| Tap { first: x, second: x, fraction: 0.0 }).collect());
        }
        taps(&op.plan_axis(scale, len_in, len_out))
    };
    let (rows, cols) = (axis(rank - 2, lengths[0])?, axis(rank - 1, lengths[1])?);
    let nearest = op.interpolator == Interpolator::Nearest;
    Some((Op::Resize(Resize { rows, cols, nearest }), vec![0]))
}

fn taps(plan: &AxisPlan) -> Option<Vec<Tap>> {
    if plan.window != 2 || plan.extrapolated.contains(&true) {
        return None;
    }
    let pairs = plan.indices.chunks_exact(2).zip(plan.weights.chunks_exact(2));
    Some(pairs.map(|(i, w)| normal(i[0], i[1], w[0], w[1])).collect())
}

/// A tap that stands on one input pixel names it first.
fn normal(first: usize, second: usize, _left: f32, right: f32) -> Tap {
    if right == 1.0 { Tap { first: second, second, fraction: 0.0 } } else { Tap { first, second, fraction: right } }
}
