//! Elementwise arithmetic: a chain of instructions over blocks of a row that stay in the first-level cache.

use super::walk::Walk;
use super::{Context, Made, Step};
use crate::RunError;
use crate::graph::{Binary, Chain, Instr, Unary};
use crate::memory::{Memory, Slot};
use crate::plan::Place;

/// Elements of a block.
const BLOCK: usize = 256;

/// The most inputs of one chain; longer ones stay apart.
pub(crate) const MAX_INPUTS: usize = 4;

/// The most instructions of one chain.
pub(crate) const MAX_CODE: usize = 12;

struct Run {
    code: Vec<Instr>,
    inputs: Vec<Slot>,
    to: Slot,
    starts: [usize; MAX_INPUTS + 1],
    walk: Walk,
    /// One block for each register.
    registers: Vec<[f32; BLOCK]>,
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
        inputs: inputs.iter().map(|i| i.slot).collect(),
        to: out.slot,
        starts,
        walk: Walk::new(&out.shape, &strides)?,
        registers: vec![[0.0; BLOCK]; inputs.len() + chain.code.len()],
    };
    let detail = format!("{} ops, {} inputs", chain.code.len(), inputs.len());
    Ok(Made { detail, ..Made::simple(step) })
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
        let Run { code, inputs, to, starts, walk, registers } = self;
        let (rest, to) = memory.split::<f32>(*to);
        let row = walk.row();
        let steps = walk.row_steps();
        let out_step = steps[MAX_INPUTS];
        walk.rows(*starts, |at| {
            for first in (0..row).step_by(BLOCK) {
                let count = BLOCK.min(row - first);
                for (index, slot) in inputs.iter().enumerate() {
                    let source = &rest.read::<f32>(*slot)[at[index] + first * steps[index]..];
                    load(&mut registers[index][..count], source, steps[index]);
                }
                for (index, instr) in code.iter().enumerate() {
                    let (known, next) = registers.split_at_mut(inputs.len() + index);
                    execute(instr, known, &mut next[0][..count]);
                }
                let result = &registers[registers.len() - 1][..count];
                let target = &mut to[at[MAX_INPUTS] + first * out_step..];
                if out_step == 1 {
                    target[..count].copy_from_slice(result);
                } else {
                    for (i, value) in result.iter().enumerate() {
                        target[i * out_step] = *value;
                    }
                }
            }
        });
        Ok(())
    }
}

fn load(register: &mut [f32], source: &[f32], step: usize) {
    match step {
        1 => register.copy_from_slice(&source[..register.len()]),
        0 => register.fill(source[0]),
        _ => {
            for (i, value) in register.iter_mut().enumerate() {
                *value = source[i * step];
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
                commutative => binary(commutative, b, |_| a, out),
            }
        }
    }
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
    }
}

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
