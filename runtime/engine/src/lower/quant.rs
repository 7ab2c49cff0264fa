//! Quantisation, as QDQ exports write it.

use super::{Lowered, Site};
use crate::graph::{Foreign, Op, Quant, Value};
use crate::kernels::Scale;
use crate::model::DType;
use std::sync::Arc;
use tract_core::internal::TypedFact;
use tract_core::ops::element_wise::ElementWiseOp;
use tract_core::ops::quant::{DequantizeLinearF32, QuantizeLinearI8, QuantizeLinearU8};

/// Distance between a byte's two readings: an unsigned byte is kept as its value minus this.
const UNSIGNED: i32 = 128;

pub(super) fn lower(site: &Site, facts: &[TypedFact]) -> Lowered {
    let quant = |scale: Scale| {
        let foreign = Foreign { op: site.node.op.clone(), inputs: facts.to_vec() };
        Quant { scale, foreign: Arc::new(foreign) }
    };
    if let Some(op) = site.node.op_as::<ElementWiseOp>() {
        // The operator multiplies; one over it is the step up to rounding, and the dequantisation knows it exactly.
        let scale = if let Some(op) = op.0.downcast_ref::<QuantizeLinearU8>() {
            Scale { scale: 1.0 / op.scale, zero: (i32::from(op.zero_point) - UNSIGNED) as i8 }
        } else {
            let op = op.0.downcast_ref::<QuantizeLinearI8>()?;
            Scale { scale: 1.0 / op.scale, zero: op.zero_point }
        };
        let usable = site.inputs[0].dtype == DType::F32 && is_image(site.inputs[0]);
        return usable.then(|| (Op::Quantise(quant(scale)), vec![0]));
    }
    let op = site.node.op_as::<DequantizeLinearF32>()?;
    let shift = match site.inputs[0].dtype {
        DType::U8 => UNSIGNED,
        DType::I8 => 0,
        _ => return None,
    };
    let zero = i8::try_from(op.zero_point - shift).ok()?;
    is_image(site.inputs[0]).then(|| (Op::Dequantise(quant(Scale { scale: op.scale, zero })), vec![0]))
}

/// One image, as the int8 layout holds it.
fn is_image(value: &Value) -> bool {
    matches!(value.shape[..], [_, _, _] | [1, _, _, _]) && value.shape.iter().all(|d| *d > 0)
}
