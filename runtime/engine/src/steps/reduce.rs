//! Reductions and softmax.

use super::walk::Walk;
use super::{Context, Made, Step};
use crate::RunError;
use crate::graph::ReduceKind;
use crate::memory::{Memory, Slot};
use crate::plan::Place;

struct Run {
    kind: ReduceKind,
    from: Slot,
    to: Slot,
    starts: [usize; 2],
    /// Over the outputs: where each one's inputs begin, and the output itself.
    outer: Walk,
    /// Over the inputs of one output.
    inner: Walk,
    count: usize,
}

pub(super) fn build(kind: ReduceKind, axes: &[usize], input: &Place, out: &Place) -> Result<Made, String> {
    let (outer, inner, count) = split(axes, input, out)?;
    let starts = [input.start, out.start];
    Ok(Made::simple(Run { kind, from: input.slot, to: out.slot, starts, outer, inner, count }))
}

/// A walk over what stays and one over what is reduced.
fn split(axes: &[usize], input: &Place, out: &Place) -> Result<(Walk, Walk, usize), String> {
    let rank = input.shape.len();
    let keep: Vec<usize> = (0..rank).filter(|a| !axes.contains(a)).collect();
    let of = |axes: &[usize], values: &[usize]| axes.iter().map(|a| values[*a]).collect::<Vec<_>>();
    let sizes = of(axes, &input.shape);
    let outer = Walk::new(&of(&keep, &input.shape), &[of(&keep, &input.strides), of(&keep, &out.strides)])?;
    let inner = Walk::new(&sizes, &[of(axes, &input.strides)])?;
    let count = sizes.iter().product();
    if count == 0 {
        return Err("a reduction of nothing".into());
    }
    Ok((outer, inner, count))
}

/// Lanes that accumulate side by side, so that sums are both fast and more exact than a running one.
const LANES: usize = 8;

fn fold(
    values: &[f32],
    step: usize,
    count: usize,
    start: f32,
    f: impl Fn(f32, f32) -> f32 + Copy,
    join: impl Fn(f32, f32) -> f32,
) -> f32 {
    let mut lanes = [start; LANES];
    if step == 1 {
        let (chunks, tail) = values[..count].as_chunks::<LANES>();
        for chunk in chunks {
            for (lane, value) in lanes.iter_mut().zip(chunk) {
                *lane = f(*lane, *value);
            }
        }
        for (lane, value) in lanes.iter_mut().zip(tail) {
            *lane = f(*lane, *value);
        }
    } else {
        for i in 0..count {
            lanes[i % LANES] = f(lanes[i % LANES], values[i * step]);
        }
    }
    lanes.into_iter().fold(start, join)
}

fn greater(a: f32, b: f32) -> f32 {
    if b > a { b } else { a }
}

fn less(a: f32, b: f32) -> f32 {
    if b < a { b } else { a }
}

impl Run {
    fn reduce(&self, from: &[f32], at: usize) -> f32 {
        let (row, step) = (self.inner.row(), self.inner.row_steps()[0]);
        let start = match self.kind {
            ReduceKind::Sum | ReduceKind::MeanOfSquares => 0.0,
            ReduceKind::Prod => 1.0,
            ReduceKind::Max => f32::NEG_INFINITY,
            ReduceKind::Min => f32::INFINITY,
        };
        let mut total = start;
        self.inner.rows([at], |[at]| {
            let values = &from[at..];
            total = match self.kind {
                ReduceKind::Sum => total + fold(values, step, row, 0.0, |a, v| a + v, |a, b| a + b),
                ReduceKind::MeanOfSquares => total + fold(values, step, row, 0.0, |a, v| a + v * v, |a, b| a + b),
                ReduceKind::Prod => total * fold(values, step, row, 1.0, |a, v| a * v, |a, b| a * b),
                ReduceKind::Max => greater(total, fold(values, step, row, start, greater, greater)),
                ReduceKind::Min => less(total, fold(values, step, row, start, less, less)),
            };
        });
        if self.kind == ReduceKind::MeanOfSquares { total / self.count as f32 } else { total }
    }
}

impl Step for Run {
    fn run(&mut self, memory: &mut Memory, _: &Context) -> Result<(), RunError> {
        let (rest, to) = memory.split::<f32>(self.to);
        let from = rest.read::<f32>(self.from);
        let (row, steps) = (self.outer.row(), self.outer.row_steps());
        self.outer.rows(self.starts, |[f, t]| {
            for i in 0..row {
                to[t + i * steps[1]] = self.reduce(from, f + i * steps[0]);
            }
        });
        Ok(())
    }
}

struct Softmax {
    from: Slot,
    to: Slot,
    starts: [usize; 2],
    outer: Walk,
    /// Over the elements of one distribution, in input and output.
    inner: Walk,
}

/// The step of a softmax.
pub(super) fn softmax(axes: &[usize], input: &Place, out: &Place) -> Result<Made, String> {
    let (outer, _, _) = split(axes, input, out)?;
    let of = |values: &[usize]| axes.iter().map(|a| values[*a]).collect::<Vec<_>>();
    let inner = Walk::new(&of(&input.shape), &[of(&input.strides), of(&out.strides)])?;
    Ok(Made::simple(Softmax { from: input.slot, to: out.slot, starts: [input.start, out.start], outer, inner }))
}

impl Step for Softmax {
    fn run(&mut self, memory: &mut Memory, _: &Context) -> Result<(), RunError> {
        let (rest, to) = memory.split::<f32>(self.to);
        let from = rest.read::<f32>(self.from);
        let (row, steps) = (self.outer.row(), self.outer.row_steps());
        let (count, inner) = (self.inner.row(), self.inner.row_steps());
        self.outer.rows(self.starts, |[f, t]| {
            for i in 0..row {
                let start = [f + i * steps[0], t + i * steps[1]];
                let mut most = f32::NEG_INFINITY;
                self.inner.rows(start, |[f, _]| {
                    most = greater(most, fold(&from[f..], inner[0], count, most, greater, greater));
                });
                let mut sum = 0.0;
                self.inner.rows(start, |[f, t]| {
                    for j in 0..count {
                        let value = (from[f + j * inner[0]] - most).exp();
                        to[t + j * inner[1]] = value;
                        sum += value;
                    }
                });
                let scale = 1.0 / sum;
                self.inner.rows(start, |[_, t]| {
                    for j in 0..count {
                        to[t + j * inner[1]] *= scale;
                    }
                });
            }
        });
        Ok(())
    }
}
