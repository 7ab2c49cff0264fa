//! Elementwise arithmetic, casts, reductions and softmax.

use super::{Lowered, Site, constant_f32};
use crate::graph::{Binary, Chain, Instr, Op, ReduceKind, Unary};
use crate::model::DType;
use tract_core::ops::binary::TypedBinOp;
use tract_core::ops::cast::Cast;
use tract_core::ops::element_wise::ElementWiseOp;
use tract_core::ops::logic::Iff;
use tract_core::ops::math::{IsInf, PowConst};
use tract_core::ops::nn::{GeluApproximate, LeakyRelu, Reduce, Reducer, RmsNorm, Softmax, SoftmaxKind};

pub(super) fn lower(site: &Site) -> Lowered {
    let types_are = |dtype| site.inputs.iter().chain(&site.outputs).all(|v| v.dtype == dtype);
    if let Some(op) = site.node.op_as::<Cast>() {
        let from = site.inputs[0].dtype;
        let to = site.outputs[0].dtype;
        use DType::{Bool, F32, I8, I32, I64, U8};
        let known = DType::from_tract(op.to) == Some(to)
            && match to {
                F32 => matches!(from, F32 | U8 | I8 | I32 | I64 | Bool),
                I64 => matches!(from, F32 | I32 | I64 | Bool),
                I32 => matches!(from, F32 | I32 | I64 | Bool),
                U8 | I8 | Bool => to == from,
                _ => false,
            };
        return known.then_some((Op::Cast, vec![0]));
    }
    if let Some(logic) = logic(site) {
        return Some(logic);
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
    if let Some(op) = site.node.op_as::<RmsNorm>() {
        let eps = op.eps.cast_to_scalar::<f32>().ok()?;
        return Some((Op::RmsNorm { axis: op.axis, eps }, vec![0]));
    }
    let op = site.node.op_as::<Softmax>()?;
    (op.kind == SoftmaxKind::Softmax).then(|| (Op::Softmax { axes: op.axes.to_vec() }, vec![0]))
}

/// Comparisons, choices and logic: what takes or gives truth values.
fn logic(site: &Site) -> Lowered {
    let (inputs, out) = (&site.inputs, *site.outputs.first()?);
    let all = |dtype: DType| inputs.iter().all(|v| v.dtype == dtype);
    if site.node.op_is::<Iff>() {
        let [condition, yes, no] = inputs[..] else { return None };
        let floats = [yes, no, out].iter().all(|v| v.dtype == DType::F32);
        let code = vec![Instr::Select(0, 1, 2)];
        return (condition.dtype == DType::Bool && floats).then_some((Op::Chain(Chain { code }), vec![0, 1, 2]));
    }
    if out.dtype != DType::Bool || !(all(DType::F32) || all(DType::Bool)) {
        return None;
    }
    if let Some(op) = site.node.op_as::<ElementWiseOp>() {
        let op = match op.0.name().as_str() {
            "Not" | "BitNot" if all(DType::Bool) => Unary::Not,
            "IsNan" => Unary::IsNan,
            _ => {
                let op = op.0.downcast_ref::<IsInf>()?;
                Unary::IsInf(op.detect_positive, op.detect_negative)
            }
        };
        return Some((Op::Chain(Chain { code: vec![Instr::Unary(op, 0)] }), vec![0]));
    }
    let op = match site.node.op_as::<TypedBinOp>()?.0.name() {
        "And" | "BitAnd" if all(DType::Bool) => Binary::Min,
        "Or" | "BitOr" if all(DType::Bool) => Binary::Max,
        "Xor" | "BitXor" if all(DType::Bool) => Binary::NotEqual,
        "GT" => Binary::Greater,
        "GTE" => Binary::GreaterEqual,
        "LT" => Binary::Less,
        "LTE" => Binary::LessEqual,
        "Eq" => Binary::Equal,
        "NE" => Binary::NotEqual,
        _ => return None,
    };
    Some(two(site, op, 0, 1))
}

fn unary(op: &ElementWiseOp) -> Option<Unary> {
    if let Some(gelu) = op.0.downcast_ref::<GeluApproximate>() {
        return (!gelu.fast_impl).then_some(Unary::GeluTanh);
    }
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
        "Tan" => Unary::Tan,
        "Asin" => Unary::Asin,
        "Acos" => Unary::Acos,
        "Atan" => Unary::Atan,
        "Sinh" => Unary::Sinh,
        "Cosh" => Unary::Cosh,
        "Asinh" => Unary::Asinh,
        "Acosh" => Unary::Acosh,
        "Atanh" => Unary::Atanh,
        "Round" => Unary::RoundAway,
        "GeluExact" => Unary::Gelu,
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
        "Rem" => (Binary::Rem, false),
        _ => return None,
    };
    let (left, right) = if flipped { (1, 0) } else { (0, 1) };
    Some(two(site, op, left, right))
}

/// An operation of two inputs, one of which may be a number.
fn two(site: &Site, op: Binary, left: usize, right: usize) -> (Op, Vec<usize>) {
    // Only a scalar that does not widen the result may become part of the code.
    let scalar = |i: usize| constant_f32(site.inputs[i]).filter(|c| c.len() == 1).map(|c| c[0]);
    let (instr, taken) = match (scalar(left), scalar(right)) {
        (_, Some(c)) => (Instr::Scalar(op, 0, c), vec![left]),
        (Some(c), None) => (Instr::ScalarLeft(op, c, 0), vec![right]),
        (None, None) => (Instr::Binary(op, 0, 1), vec![left, right]),
    };
    (Op::Chain(Chain { code: vec![instr] }), taken)
}
