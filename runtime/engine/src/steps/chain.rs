//! Elementwise arithmetic: a chain of instructions over blocks of a row that stay in the first-level cache.
//!
//! Registers are `f32`; bytes and truth values become such when they are read and are rounded back when they are written.

use super::walk::Walk;
use super::{Context, Made, Step};
use crate::RunError;
use crate::graph::{Binary, Chain, Instr, Unary};
use crate::kernels::Number;
use crate::memory::{Memory, Rest, Slot};
use crate::model::DType;
use crate::plan::Place;

/// Elements of a block.
const BLOCK: usize = 256;

/// The most inputs of one chain; longer ones stay apart.
pub(crate) const MAX_INPUTS: usize = 4;

/// The most instructions of one chain.
pub(crate) const MAX_CODE: usize = 12;

struct Run {
    code: Vec<Instr>,
    inputs: Vec<(Slot, Element)>,
    to: (Slot, Element),
    starts: [usize; MAX_INPUTS + 1],
    walk: Walk,
    /// One block for each register.
    registers: Vec<[f32; BLOCK]>,
}

/// What an element is in memory. A truth value is an unsigned byte, 0 or 1.
#[derive(Clone, Copy)]
enum Element {
    F32,
    U8,
    I8,
}

fn element(place: &Place) -> Result<Element, String> {
    match place.dtype {
        DType::F32 => Ok(Element::F32),
        DType::U8 | DType::Bool => Ok(Element::U8),
        DType::I8 => Ok(Element::I8),
        other => Err(format!("no arithmetic on {other:?}")),
    }
}

pub(super) fn build(chain: &Chain, inputs: &[Place], out: &Place) -> Result<Made, String> {
    if inputs.len() > MAX_INPUTS || inputs.is_empty() {
        return Err(format!("{} inputs", inputs.len()));
    }
    let mut strides: Vec<Vec<usize>> = inputs.iter().map(|i| broadcast(i, &out.shape)).collect::<Result<_, _>>()?;
    let mut starts = [0; MAX_INPUTS + 1];
    for (start, input) in starts.iter_mut().zip(inputs) {
        *start = input.start;
    }
    // The walk has a fixed number of tensors: the unused ones stand still, the output is the last.
    strides.resize(MAX_INPUTS, vec![0; out.shape.len()]);
    strides.push(out.strides.clone());
    starts[MAX_INPUTS] = out.start;
    let step = Run {
        code: chain.code.clone(),
        inputs: inputs.iter().map(|i| Ok((i.slot, element(i)?))).collect::<Result<_, String>>()?,
        to: (out.slot, element(out)?),
        starts,
        walk: Walk::new(&out.shape, &strides)?,
        registers: vec![[0.0; BLOCK]; inputs.len() + chain.code.len()],
    };
    let detail = format!("{} ops, {} inputs", chain.code.len(), inputs.len());
    Ok(Made { detail, ..Made::simple(step) })
}

/// Applies a chain of one input to numbers, in place.
pub(crate) fn apply_to_all(chain: &Chain, values: &mut [f32; BLOCK]) {
    let mut registers = vec![[0.0; BLOCK]; 1 + chain.code.len()];
    registers[0] = *values;
    for (index, instr) in chain.code.iter().enumerate() {
        let (known, next) = registers.split_at_mut(1 + index);
        execute(instr, known, &mut next[0]);
    }
    *values = registers[chain.code.len()];
}

/// An input's strides along the output's axes; 0 where it is repeated.
pub(super) fn broadcast(input: &Place, shape: &[usize]) -> Result<Vec<usize>, String> {
    let missing = shape.len().checked_sub(input.shape.len()).ok_or("an input has more axes than the output")?;
    let mut strides = vec![0; shape.len()];
    for (axis, (size, stride)) in input.shape.iter().zip(&input.strides).enumerate() {
        let wanted = shape[missing + axis];
        if *size == wanted {
            strides[missing + axis] = *stride;
        } else if *size != 1 {
            return Err(format!("{:?} does not broadcast to {shape:?}", input.shape));
        }
    }
    Ok(strides)
}

impl Step for Run {
    fn run(&mut self, memory: &mut Memory, _: &Context) -> Result<(), RunError> {
        match self.to.1 {
            Element::F32 => self.run_to::<f32>(memory, |v| v),
            Element::U8 => self.run_to::<u8>(memory, |v| v as u8),
            Element::I8 => self.run_to::<i8>(memory, |v| v as i8),
        }
        Ok(())
    }
}

impl Run {
    fn run_to<T: Number>(&mut self, memory: &mut Memory, round: impl Fn(f32) -> T) {
        let Run { code, inputs, to, starts, walk, registers } = self;
        let (rest, to) = memory.split::<T>(to.0);
        let row = walk.row();
        let steps = walk.row_steps();
        let out_step = steps[MAX_INPUTS];
        walk.rows(*starts, |at| {
            for first in (0..row).step_by(BLOCK) {
                let count = BLOCK.min(row - first);
                for (index, input) in inputs.iter().enumerate() {
                    let from = at[index] + first * steps[index];
                    read(&mut registers[index][..count], &rest, *input, from, steps[index]);
                }
                for (index, instr) in code.iter().enumerate() {
                    let (known, next) = registers.split_at_mut(inputs.len() + index);
                    execute(instr, known, &mut next[0][..count]);
                }
                let result = &registers[registers.len() - 1][..count];
                let target = &mut to[at[MAX_INPUTS] + first * out_step..];
                if out_step == 1 {
                    target[..count].iter_mut().zip(result).for_each(|(t, value)| *t = round(*value));
                } else {
                    for (i, value) in result.iter().enumerate() {
                        target[i * out_step] = round(*value);
                    }
                }
            }
        });
    }
}

fn read(register: &mut [f32], rest: &Rest, (slot, element): (Slot, Element), from: usize, step: usize) {
    match element {
        Element::F32 => load(register, &rest.read::<f32>(slot)[from..], step, |v| v),
        Element::U8 => load(register, &rest.read::<u8>(slot)[from..], step, f32::from),
        Element::I8 => load(register, &rest.read::<i8>(slot)[from..], step, f32::from),
    }
}

fn load<T: Copy>(register: &mut [f32], source: &[T], step: usize, convert: impl Fn(T) -> f32) {
    match step {
        1 => register.iter_mut().zip(source).for_each(|(r, v)| *r = convert(*v)),
        0 => register.fill(convert(source[0])),
        _ => {
            for (i, value) in register.iter_mut().enumerate() {
                *value = convert(source[i * step]);
            }
        }
    }
}

fn execute(instr: &Instr, known: &[[f32; BLOCK]], out: &mut [f32]) {
    match *instr {
        Instr::Unary(op, a) => unary(op, &known[a][..out.len()], out),
        Instr::Binary(op, a, b) => {
            let b = &known[b][..out.len()];
            binary(op, &known[a][..out.len()], |i| b[i], out);
        }
        Instr::Scalar(op, a, b) => binary(op, &known[a][..out.len()], |_| b, out),
        Instr::ScalarLeft(op, a, b) => {
            let b = &known[b][..out.len()];
            match op {
                Binary::Sub => each(b, out, |v| a - v),
                Binary::Div => each(b, out, |v| a / v),
                Binary::Pow => each(b, out, |v| a.powf(v)),
                Binary::Rem => each(b, out, |v| a % v),
                Binary::Greater => each(b, out, |v| truth(a > v)),
                Binary::GreaterEqual => each(b, out, |v| truth(a >= v)),
                Binary::Less => each(b, out, |v| truth(a < v)),
                Binary::LessEqual => each(b, out, |v| truth(a <= v)),
                commutative => binary(commutative, b, |_| a, out),
            }
        }
        Instr::Select(c, a, b) => {
            let [c, a, b] = [c, a, b].map(|r| &known[r][..out.len()]);
            for (i, o) in out.iter_mut().enumerate() {
                *o = if c[i] == 0.0 { b[i] } else { a[i] };
            }
        }
    }
}

fn truth(holds: bool) -> f32 {
    f32::from(u8::from(holds))
}

#[inline(always)]
fn each(from: &[f32], out: &mut [f32], f: impl Fn(f32) -> f32) {
    for (o, v) in out.iter_mut().zip(from) {
        *o = f(*v);
    }
}

#[inline(always)]
fn binary(op: Binary, a: &[f32], b: impl Fn(usize) -> f32, out: &mut [f32]) {
    let pairs = out.iter_mut().zip(a).enumerate();
    match op {
        Binary::Add => pairs.for_each(|(i, (o, a))| *o = a + b(i)),
        Binary::Sub => pairs.for_each(|(i, (o, a))| *o = a - b(i)),
        Binary::Mul => pairs.for_each(|(i, (o, a))| *o = a * b(i)),
        Binary::Div => pairs.for_each(|(i, (o, a))| *o = a / b(i)),
        Binary::Min => pairs.for_each(|(i, (o, a))| *o = if *a < b(i) { *a } else { b(i) }),
        Binary::Max => pairs.for_each(|(i, (o, a))| *o = if *a > b(i) { *a } else { b(i) }),
        Binary::Pow => pairs.for_each(|(i, (o, a))| *o = a.powf(b(i))),
        Binary::Rem => pairs.for_each(|(i, (o, a))| *o = a % b(i)),
        Binary::Greater => pairs.for_each(|(i, (o, a))| *o = truth(*a > b(i))),
        Binary::GreaterEqual => pairs.for_each(|(i, (o, a))| *o = truth(*a >= b(i))),
        Binary::Less => pairs.for_each(|(i, (o, a))| *o = truth(*a < b(i))),
        Binary::LessEqual => pairs.for_each(|(i, (o, a))| *o = truth(*a <= b(i))),
        Binary::Equal => pairs.for_each(|(i, (o, a))| *o = truth(*a == b(i))),
        Binary::NotEqual => pairs.for_each(|(i, (o, a))| *o = truth(*a != b(i))),
    }
}

fn unary(op: Unary, a: &[f32], out: &mut [f32]) {
    match op {
        Unary::Neg => each(a, out, |v| -v),
        Unary::Abs => each(a, out, f32::abs),
        Unary::Exp => each(a, out, f32::exp),
        Unary::Ln => each(a, out, f32::ln),
        Unary::Sqrt => each(a, out, f32::sqrt),
        Unary::Rsqrt => each(a, out, |v| 1.0 / v.sqrt()),
        Unary::Recip => each(a, out, |v| 1.0 / v),
        Unary::Square => each(a, out, |v| v * v),
        Unary::Sigmoid => each(a, out, sigmoid),
        Unary::Tanh => each(a, out, f32::tanh),
        Unary::Erf => each(a, out, erf),
        Unary::Floor => each(a, out, f32::floor),
        Unary::Ceil => each(a, out, f32::ceil),
        Unary::Round => each(a, out, f32::round_ties_even),
        Unary::Sign => each(a, out, |v| if v == 0.0 { 0.0 } else { v.signum() }),
        Unary::HardSwish => each(a, out, |v| v * (v / 6.0 + 0.5).clamp(0.0, 1.0)),
        Unary::Silu => each(a, out, |v| v * sigmoid(v)),
        Unary::Sin => each(a, out, f32::sin),
        Unary::Cos => each(a, out, f32::cos),
        Unary::Leaky(alpha) => each(a, out, |v| if v < 0.0 { alpha * v } else { v }),
        Unary::Not => each(a, out, |v| truth(v == 0.0)),
        Unary::Tan => each(a, out, f32::tan),
        Unary::Asin => each(a, out, f32::asin),
        Unary::Acos => each(a, out, f32::acos),
        Unary::Atan => each(a, out, f32::atan),
        Unary::Sinh => each(a, out, f32::sinh),
        Unary::Cosh => each(a, out, f32::cosh),
        Unary::Asinh => each(a, out, f32::asinh),
        Unary::Acosh => each(a, out, f32::acosh),
        Unary::Atanh => each(a, out, f32::atanh),
        Unary::RoundAway => each(a, out, f32::round),
        Unary::Gelu => each(a, out, |v| 0.5 * v * (1.0 + erf(v * std::f32::consts::FRAC_1_SQRT_2))),
        Unary::GeluTanh => each(a, out, |v| 0.5 * v * (1.0 + (GELU * (v + 0.044_715 * v * v * v)).tanh())),
        Unary::IsNan => each(a, out, |v| truth(v.is_nan())),
        Unary::IsInf(up, down) => each(a, out, |v| truth(up && v == f32::INFINITY || down && v == f32::NEG_INFINITY)),
    }
}

/// sqrt(2 / pi).
const GELU: f32 = 0.797_884_6;

fn sigmoid(v: f32) -> f32 {
    1.0 / (1.0 + (-v).exp())
}

/// Abramowitz and Stegun, "Handbook of Mathematical Functions", 7.1.28: absolute error below 3e-7.
fn erf(v: f32) -> f32 {
    const A: [f32; 6] = [0.070_523_08, 0.042_282_01, 0.009_270_527, 0.000_152_014_3, 0.000_276_567_2, 0.000_043_063_8];
    let x = v.abs();
    let sum = A.iter().rev().fold(0.0, |sum, a| (sum + a) * x) + 1.0;
    (1.0 - sum.powi(-16)).copysign(v)
}
