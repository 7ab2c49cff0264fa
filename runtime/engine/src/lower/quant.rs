//! Quantisation, as QDQ exports write it.

use super::{Lowered, Site};
use crate::graph::{Binary, Chain, Instr, Op, Unary, Value};
use crate::kernels::Scale;
use crate::load::Dequantise;
use crate::model::DType;
use tract_core::ops::element_wise::ElementWiseOp;
use tract_core::ops::quant::{QuantizeLinearI8, QuantizeLinearU8};

/// Distance between a byte's two readings: an unsigned byte is kept as its value minus this.
pub(crate) const UNSIGNED: i32 = 128;

pub(super) fn lower(site: &Site) -> Lowered {
    let (input, out) = (*site.inputs.first()?, *site.outputs.first()?);
    if let Some(op) = site.node.op_as::<ElementWiseOp>() {
        // The operator multiplies; one over it is the step up to rounding, and the dequantisation knows it exactly.
        let (factor, zero) = if let Some(op) = op.0.downcast_ref::<QuantizeLinearU8>() {
            (op.scale, i32::from(op.zero_point) - UNSIGNED)
        } else {
            let op = op.0.downcast_ref::<QuantizeLinearI8>()?;
            (op.scale, i32::from(op.zero_point))
        };
        let scale = Scale { scale: 1.0 / factor, zero: i8::try_from(zero).ok()? };
        if input.dtype != DType::F32 {
            return None;
        }
        return Some((if is_image(input) { Op::Quantise(scale) } else { in_floats(scale, out) }, vec![0]));
    }
    let Dequantise(op) = site.node.op_as::<Dequantise>()?;
    let zero = i8::try_from(op.zero_point - shift(input.dtype)?).ok()?;
    let scale = Scale { scale: op.scale, zero };
    Some((if is_image(input) { Op::Dequantise(scale) } else { out_to_floats(scale, input) }, vec![0]))
}

/// What is subtracted from a byte of this type to make it a signed one.
fn shift(dtype: DType) -> Option<i32> {
    match dtype {
        DType::U8 => Some(UNSIGNED),
        DType::I8 => Some(0),
        _ => None,
    }
}

/// A quantisation as arithmetic, for bytes that do not lie as the int8 kernels want them.
pub(crate) fn in_floats(scale: Scale, bytes: &Value) -> Op {
    let shift = shift(bytes.dtype).unwrap_or(0);
    let (zero, low) = ((i32::from(scale.zero) + shift) as f32, (i32::from(i8::MIN) + shift) as f32);
    Op::Chain(Chain {
        code: vec![
            Instr::Scalar(Binary::Div, 0, scale.scale),
            Instr::Unary(Unary::Round, 1),
            Instr::Scalar(Binary::Add, 2, zero),
            Instr::Scalar(Binary::Max, 3, low),
            Instr::Scalar(Binary::Min, 4, low + 255.0),
        ],
    })
}

/// A dequantisation as arithmetic.
pub(crate) fn out_to_floats(scale: Scale, bytes: &Value) -> Op {
    let zero = (i32::from(scale.zero) + shift(bytes.dtype).unwrap_or(0)) as f32;
    Op::Chain(Chain { code: vec![Instr::Scalar(Binary::Sub, 0, zero), Instr::Scalar(Binary::Mul, 1, scale.scale)] })
}

/// One image, as the int8 layout holds it.
fn is_image(value: &Value) -> bool {
    matches!(value.shape[..], [_, _, _] | [1, _, _, _]) && value.shape.iter().all(|d| *d > 0)
}
