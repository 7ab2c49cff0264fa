//! Convolutions and pools.

use super::{Lowered, Site, constant_f32};
use crate::graph::{Conv, Op, Pool, PoolKind, Value};
use crate::kernels::{Clamp, Window};
use crate::layout::Pads;
use crate::model::DType;
use std::sync::Arc;
use tract_core::ops::cnn::{Conv as TractConv, KernelFormat, MaxPool, PaddingSpec, PoolSpec, SumPool};
use tract_core::ops::einsum::EinSum;
use tract_core::ops::nn::DataFormat;

pub(super) fn lower(site: &Site) -> Lowered {
    if let Some(op) = site.node.op_as::<EinSum>() {
        return pointwise(site, op);
    }
    if site.inputs.first().is_none_or(|x| !is_image(x)) {
        return None;
    }
    if let Some(op) = site.node.op_as::<TractConv>() {
        return conv(site, op);
    }
    if let Some(op) = site.node.op_as::<MaxPool>() {
        return if op.with_index_outputs.is_none() { pool(site, &op.pool_spec, PoolKind::Max) } else { None };
    }
    let op = site.node.op_as::<SumPool>()?;
    // A window that reaches over the padding (ceil mode) has a divisor of its own.
    let ceil = matches!(op.pool_spec.padding, PaddingSpec::ExplicitOnnxPool(_, _, true));
    let kind = match (op.normalize, op.count_include_pad) {
        (false, _) => PoolKind::Sum,
        (true, true) if ceil => return None,
        (true, count_pads) => PoolKind::Mean { count_pads },
    };
    pool(site, &op.pool_spec, kind)
}

/// Images are `f32` of shape `[N, C, H, W]` or `[C, H, W]`.
fn is_image(value: &Value) -> bool {
    value.dtype == DType::F32 && matches!(value.shape.len(), 3 | 4)
}

/// tract makes an einsum of a convolution by 1x1: `NIHW,OI->OHW` and the like. Here it is a convolution again.
fn pointwise(site: &Site, op: &EinSum) -> Lowered {
    let out = site.outputs[0];
    if op.q_params.is_some() || site.inputs.len() != 2 || site.inputs.iter().any(|v| v.dtype != DType::F32) {
        return None;
    }
    let slot = usize::from(site.inputs[0].constant.is_some());
    let (image, weights) = (site.inputs[slot], site.inputs[1 - slot]);
    let leading = |v: &Value| v.shape[..v.shape.len() - 3].iter().product::<usize>();
    if !is_image(image) || !is_image(out) || leading(image) != 1 || leading(out) != 1 {
        return None;
    }
    let (image_axes, out_axes) = (image.shape.len() - 3, out.shape.len() - 3);
    let (i, o) = (image.shape[image_axes], out.shape[out_axes]);
    // The strides of the input's and the output's channels in the weights.
    let mut strides = [0, 0];
    for axis in op.axes.iter_all_axes() {
        let place = |positions: &[usize], shape: &[usize]| positions.iter().copied().find(|p| shape[*p] != 1);
        let in_image = place(&axis.inputs[slot], &image.shape);
        let in_weights = place(&axis.inputs[1 - slot], &weights.shape);
        let in_out = place(&axis.outputs[0], &out.shape);
        let step = in_weights.map(|p| weights.shape[p + 1..].iter().product::<usize>());
        match (in_image.map(|p| p as isize - image_axes as isize), step, in_out.map(|p| p as isize - out_axes as isize))
        {
            (None, None, None) => {}
            (Some(0), Some(step), None) => strides[0] = step,
            (None, Some(step), Some(0)) => strides[1] = step,
            (Some(1), None, Some(1)) | (Some(2), None, Some(2)) => {}
            _ => return None,
        }
    }
    let values = constant_f32(weights)?;
    if values.len() != i * o || image.shape[image_axes + 1..] != out.shape[out_axes + 1..] {
        return None;
    }
    let at = |o: usize, i: usize| values[o * strides[1] + i * strides[0]];
    let conv = Conv {
        weights: (0..o).flat_map(|o| (0..i).map(move |i| (o, i))).map(|(o, i)| at(o, i)).collect(),
        bias: vec![0.0; o],
        channels_in: i,
        channels_out: o,
        group: 1,
        window: Window { kernel: [1, 1], stride: [1, 1], dilation: [1, 1], pads: Pads::default() },
        clamp: Clamp::NONE,
        residual: false,
    };
    Some((Op::Conv(Arc::new(conv)), vec![slot]))
}

fn conv(site: &Site, op: &TractConv) -> Lowered {
    if op.q_params.is_some() || site.inputs.len() != 3 {
        return None;
    }
    let spec = &op.pool_spec;
    let window = window(site, spec)?;
    let kernel = window.kernel;
    let weights = constant_f32(site.inputs[1])?;
    let [o, i] = [op.output_channels(), op.input_channels() / op.group];
    let weights = match op.kernel_fmt {
        KernelFormat::OIHW => weights,
        KernelFormat::OHWI => reorder(&weights, [o, i, kernel[0], kernel[1]], |[o_, i_, y, x]| {
            ((o_ * kernel[0] + y) * kernel[1] + x) * i + i_
        }),
        KernelFormat::HWIO => {
            // The last two axes hold all groups' inputs of one group and all outputs.
            reorder(&weights, [o, i, kernel[0], kernel[1]], |[o_, i_, y, x]| ((y * kernel[1] + x) * i + i_) * o + o_)
        }
    };
    if weights.len() != o * i * kernel[0] * kernel[1] || (op.group > 1 && op.kernel_fmt != KernelFormat::OIHW) {
        return None;
    }
    let mut bias = constant_f32(site.inputs[2])?;
    if bias.len() == 1 {
        bias = vec![bias[0]; o];
    }
    if bias.len() != o {
        return None;
    }
    let conv = Conv {
        weights,
        bias,
        channels_in: op.input_channels(),
        channels_out: o,
        group: op.group,
        window,
        clamp: Clamp::NONE,
        residual: false,
    };
    Some((Op::Conv(Arc::new(conv)), vec![0]))
}

fn reorder(from: &[f32], shape: [usize; 4], at: impl Fn([usize; 4]) -> usize) -> Vec<f32> {
    let mut to = Vec::with_capacity(from.len());
    for a in 0..shape[0] {
        for b in 0..shape[1] {
            for c in 0..shape[2] {
                for d in 0..shape[3] {
                    to.extend(from.get(at([a, b, c, d])));
                }
            }
        }
    }
    to
}

fn pool(site: &Site, spec: &PoolSpec, kind: PoolKind) -> Lowered {
    let mut window = window(site, spec)?;
    // Rounded up, the last window reaches over the padding that the file asks for.
    let ends = |shape: &[usize]| [shape[shape.len() - 2], shape[shape.len() - 1]];
    let (input, out) = (ends(&site.inputs[0].shape), ends(&site.outputs[0].shape));
    let reach = |axis: usize, before: usize| {
        let end =
            out[axis].saturating_sub(1) * window.stride[axis] + (window.kernel[axis] - 1) * window.dilation[axis] + 1;
        end.saturating_sub(input[axis] + before)
    };
    let (bottom, right) = (reach(0, window.pads.top), reach(1, window.pads.left));
    window.pads.bottom = window.pads.bottom.max(bottom);
    window.pads.right = window.pads.right.max(right);
    Some((Op::Pool(Pool { kind, window }), vec![0]))
}

/// Kernel, strides, dilations and explicit padding of a two-dimensional window over an image.
fn window(site: &Site, spec: &PoolSpec) -> Option<Window> {
    if !matches!(spec.data_format, DataFormat::NCHW | DataFormat::CHW) || spec.rank() != 2 {
        return None;
    }
    let shape = &site.inputs[0].shape;
    let padding = spec.computed_padding(&shape[shape.len() - 2..]);
    let pads = Pads {
        top: padding[0].pad_before,
        left: padding[1].pad_before,
        bottom: padding[0].pad_after,
        right: padding[1].pad_after,
    };
    let pair = |values: &[usize]| [values[0], values[1]];
    Some(Window {
        kernel: pair(&spec.kernel_shape),
        stride: pair(&spec.strides()),
        dilation: pair(&spec.dilations()),
        pads,
    })
}
