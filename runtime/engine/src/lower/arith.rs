//! Elementwise arithmetic, casts, reductions and softmax.

use super::{Lowered, Site, constant_f32};
use crate::graph::{Binary, Chain, Instr, Op, ReduceKind, Unary};
use crate::model::DType;
use tract_core::ops::binary::TypedBinOp;
use tract_core::ops::cast::Cast;
use tract_core::ops::element_wise::ElementWiseOp;
use tract_core::ops::math::PowConst;
use tract_core::ops::nn::{LeakyRelu, Reduce, Reducer, Softmax, SoftmaxKind};

pub(super) fn lower(site: &Site) -> Lowered {
    let types_are = |dtype| site.inputs.iter().chain(&site.outputs).all(|v| v.dtype == dtype);
    if let Some(op) = site.node.op_as::<Cast>() {
        let from = site.inputs[0].dtype;
        let to = site.outputs[0].dtype;
        let simple = |d| matches!(d, DType::F32 | DType::U8 | DType::I8 | DType::I32 | DType::Bool);
        let known = DType::from_tract(op.to) == Some(to) && simple(from) && (to == DType::F32 || to == from);
        return known.then_some((Op::Cast, vec![0]));
    }
    if !types_are(DType::F32) {
        return None;
    }
    if let Some(op) = site.node.op_as::<ElementWiseOp>() {
        let instr = if let Some(op) = op.0.downcast_ref::<PowConst>() {
            Instr::Scalar(Binary::Pow, 0, op.exponent)
        } else {
            Instr::Unary(unary(op)?, 0)
        };
        return Some((Op::Chain(Chain { code: vec![instr] }), vec![0]));
    }
    if let Some(op) = site.node.op_as::<TypedBinOp>() {
        return binary(site, op);
    }
    if let Some(op) = site.node.op_as::<Reduce>() {
        let kind = match op.reducer {
            Reducer::Sum => ReduceKind::Sum,
            Reducer::Max => ReduceKind::Max,
            Reducer::Min => ReduceKind::Min,
            Reducer::Prod => ReduceKind::Prod,
            Reducer::MeanOfSquares => ReduceKind::MeanOfSquares,
            _ => return None,
        };
        return Some((Op::Reduce { kind, axes: op.axes.to_vec() }, vec![0]));
    }
    let op = site.node.op_as::<Softmax>()?;
    (op.kind == SoftmaxKind::Softmax).then(|| (Op::Softmax { axes: op.axes.to_vec() }, vec![0]))
}

fn unary(op: &ElementWiseOp) -> Option<Unary> {
    if let Some(leaky) = op.0.downcast_ref::<LeakyRelu>() {
        return Some(Unary::Leaky(leaky.alpha));
    }
    Some(match op.0.name().as_str() {
        "Neg" => Unary::Neg,
        "Abs" => Unary::Abs,
        "Exp" => Unary::Exp,
        "Ln" => Unary::Ln,
        "Sqrt" => Unary::Sqrt,
        "Rsqrt" => Unary::Rsqrt,
        "Recip" => Unary::Recip,
        "Square" => Unary::Square,
        "Sigmoid" => Unary::Sigmoid,
        "Tanh" => Unary::Tanh,
        "Erf" => Unary::Erf,
        "Floor" => Unary::Floor,
        "Ceil" => Unary::Ceil,
        "RoundHalfToEven" => Unary::Round,
        "Sign" => Unary::Sign,
        "HardSwish" => Unary::HardSwish,
        "Silu" => Unary::Silu,
        "Sin" => Unary::Sin,
        "Cos" => Unary::Cos,
        _ => return None,
    })
}

fn binary(site: &Site, op: &TypedBinOp) -> Lowered {
    let (op, flipped) = match op.0.name() {
        "Add" => (Binary::Add, false),
        "Sub" => (Binary::Sub, false),
        "SubF" => (Binary::Sub, true),
        "Mul" => (Binary::Mul, false),
        "Div" => (Binary::Div, false),
        "Min" => (Binary::Min, false),
        "Max" => (Binary::Max, false),
        "Pow" => (Binary::Pow, false),
        _ => return None,
    };
    let (left, right) = if flipped { (1, 0) } else { (0, 1) };
    // Only a scalar that does not widen the result may become part of the code.
    let scalar = |i: usize| constant_f32(site.inputs[i]).filter(|c| c.len() == 1).map(|c| c[0]);
    let (instr, taken) = match (scalar(left), scalar(right)) {
        (_, Some(c)) => (Instr::Scalar(op, 0, c), vec![left]),
        (Some(c), None) => (Instr::ScalarLeft(op, c, 0), vec![right]),
        (None, None) => (Instr::Binary(op, 0, 1), vec![left, right]),
    };
    Some((Op::Chain(Chain { code: vec![instr] }), taken))
}
