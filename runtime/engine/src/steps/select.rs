//! The place of the greatest or least element, the first few in order, and taking elements by number.

use super::walk::Walk;
use super::{Context, Made, Step};
use crate::RunError;
use crate::graph::Take;
use crate::kernels::Number;
use crate::memory::{Memory, Slot};
use crate::plan::Place;

/// Along one axis of an input, for every row of it.
struct Along {
    from: Slot,
    starts: [usize; 3],
    /// Over the rows: the input, the values, the numbers.
    rows: Walk,
    /// Elements of a row, and how far they are apart in the input.
    count: usize,
    step: usize,
}

impl Along {
    fn new(axis: usize, input: &Place, values: &Place, numbers: &Place) -> Result<Along, String> {
        let without = |of: &[usize]| -> Vec<usize> {
            of.iter().enumerate().filter(|(a, _)| *a != axis).map(|(_, v)| *v).collect()
        };
        let strides = [without(&input.strides), without(&values.strides), without(&numbers.strides)];
        Ok(Along {
            from: input.slot,
            starts: [input.start, values.start, numbers.start],
            rows: Walk::new(&without(&input.shape), &strides)?,
            count: input.shape[axis],
            step: input.strides[axis],
        })
    }

    /// Calls `each` with the starts of every row.
    fn each(&self, mut each: impl FnMut([usize; 3])) {
        let steps = self.rows.row_steps();
        self.rows.rows(self.starts, |[f, v, n]| {
            for i in 0..self.rows.row() {
                each([f + i * steps[0], v + i * steps[1], n + i * steps[2]]);
            }
        });
    }
}

struct Arg {
    along: Along,
    to: Slot,
    greatest: bool,
    last: bool,
}

/// The step that finds the greatest or least.
pub(super) fn arg(axis: usize, greatest: bool, last: bool, input: &Place, out: &Place) -> Result<Made, String> {
    let along = Along::new(axis, input, out, out)?;
    Ok(Made::simple(Arg { along, to: out.slot, greatest, last }))
}

impl Step for Arg {
    fn run(&mut self, memory: &mut Memory, _: &Context) -> Result<(), RunError> {
        let Arg { along, to, greatest, last } = self;
        let (rest, to) = memory.split::<i64>(*to);
        let from = rest.read::<f32>(along.from);
        along.each(|[f, _, t]| {
            // Starts and compares as tract does, so that rows without a number agree too.
            let mut best = (if *greatest { f32::MIN } else { f32::MAX }, 0);
            for i in 0..along.count {
                let value = from[f + i * along.step];
                let better = if *greatest { value > best.0 } else { value < best.0 };
                if better || (*last && value == best.0) {
                    best = (value, i as i64);
                }
            }
            to[t] = best.1;
        });
        Ok(())
    }
}

struct Top {
    along: Along,
    values: Slot,
    numbers: Slot,
    /// Elements between neighbours of the outputs along the axis.
    steps: [usize; 2],
    /// How many are kept.
    keep: usize,
    largest: bool,
}

/// The step that finds the first few in order.
pub(super) fn top(axis: usize, largest: bool, input: &Place, outputs: &[Place]) -> Result<Made, String> {
    let [values, numbers] = outputs else { return Err("expected two outputs".into()) };
    let step = Top {
        along: Along::new(axis, input, values, numbers)?,
        values: values.slot,
        numbers: numbers.slot,
        steps: [values.strides[axis], numbers.strides[axis]],
        keep: values.shape[axis],
        largest,
    };
    if step.keep > step.along.count {
        return Err(format!("{} of {} elements", step.keep, step.along.count));
    }
    Ok(Made { scratch_bytes: step.keep * 4, ..Made::simple(step) })
}

impl Step for Top {
    fn run(&mut self, memory: &mut Memory, context: &Context) -> Result<(), RunError> {
        let Top { along, values, numbers, steps, keep, largest } = self;
        // Numbers first; the values follow from them.
        let (rest, kept, best) = memory.split_with::<i64, f32>(*numbers, context.scratch);
        let from = rest.read::<f32>(along.from);
        along.each(|[f, _, n]| {
            let mut have = 0;
            for i in 0..along.count {
                let value = from[f + i * along.step];
                let ahead = |other: f32| if *largest { value > other } else { value < other };
                if have == *keep && !ahead(best[have - 1]) {
                    continue;
                }
                let mut at = if have < *keep { have } else { have - 1 };
                have = (have + 1).min(*keep);
                while at > 0 && ahead(best[at - 1]) {
                    best[at] = best[at - 1];
                    kept[n + at * steps[1]] = kept[n + (at - 1) * steps[1]];
                    at -= 1;
                }
                best[at] = value;
                kept[n + at * steps[1]] = i as i64;
            }
        });
        let (rest, to) = memory.split::<f32>(*values);
        let (from, kept) = (rest.read::<f32>(along.from), rest.read::<i64>(*numbers));
        along.each(|[f, v, n]| {
            for i in 0..*keep {
                to[v + i * steps[0]] = from[f + kept[n + i * steps[1]] as usize * along.step];
            }
        });
        Ok(())
    }
}

/// Boxes of the input that are copied to the output, each to a place that is known and from one that the numbers give.
struct Taking {
    name: String,
    size: usize,
    from: Slot,
    numbers: Slot,
    to: Slot,
    /// For each box: where it begins in the input but for its numbers, and in the output.
    starts: Vec<[usize; 2]>,
    /// For each number of a box: how many there are to choose from, and how far these are apart in the input.
    choices: Vec<(usize, usize)>,
    /// Over a box: input, output.
    walk: Walk,
}

/// The step that takes elements by number.
pub(super) fn take(name: &str, take: Take, inputs: &[Place], out: &Place) -> Result<Made, String> {
    let (data, numbers) = (&inputs[0], &inputs[1]);
    if !numbers.is_dense() {
        return Err("the numbers have padding".into());
    }
    // Which axes of the input go to which of the output as a whole, and for each axis of the numbers (but the last one of
    // points) how the input and the output step along it.
    let (choose, boxed, along): (Vec<usize>, Vec<[usize; 2]>, Vec<[usize; 2]>) = match take {
        Take::Slices { axis } => {
            let rank = numbers.shape.len();
            let shift = |a: usize| if a < axis { a } else { a + rank - 1 };
            let boxed = (0..data.shape.len()).filter(|a| *a != axis).map(|a| [a, shift(a)]).collect();
            (vec![axis], boxed, (0..rank).map(|a| [0, out.strides[axis + a]]).collect())
        }
        Take::Elements { axis } => {
            let step = |a: usize| [if a == axis { 0 } else { data.strides[a] }, out.strides[a]];
            (vec![axis], vec![], (0..data.shape.len()).map(step).collect())
        }
        Take::Points { batch_axes } => {
            let Some((count, leading)) = numbers.shape.split_last() else { return Err("no numbers".into()) };
            let first = batch_axes + count;
            let boxed = (first..data.shape.len()).map(|a| [a, a - first + leading.len()]).collect();
            let step = |a: usize| [if a < batch_axes { data.strides[a] } else { 0 }, out.strides[a]];
            ((batch_axes..first).collect(), boxed, (0..leading.len()).map(step).collect())
        }
    };
    let sizes: Vec<usize> = boxed.iter().map(|[a, _]| data.shape[*a]).collect();
    let of = |strides: &[usize], side: usize| boxed.iter().map(|pair| strides[pair[side]]).collect::<Vec<_>>();
    let mut starts = vec![[data.start, out.start]];
    for (size, [from, to]) in numbers.shape.iter().zip(&along) {
        starts = starts.iter().flat_map(|[f, t]| (0..*size).map(move |i| [f + i * from, t + i * to])).collect();
    }
    let step = Taking {
        name: name.to_string(),
        size: out.dtype.size_bytes(),
        from: data.slot,
        numbers: numbers.slot,
        to: out.slot,
        starts,
        choices: choose.iter().map(|a| (data.shape[*a], data.strides[*a])).collect(),
        walk: Walk::new(&sizes, &[of(&data.strides, 0), of(&out.strides, 1)])?,
    };
    Ok(Made::simple(step))
}

impl Taking {
    fn run_as<T: Number>(&self, memory: &mut Memory) -> Result<(), RunError> {
        let (rest, to) = memory.split::<T>(self.to);
        let (from, numbers) = (rest.read::<T>(self.from), rest.read::<i64>(self.numbers));
        let (row, steps) = (self.walk.row(), self.walk.row_steps());
        for (start, numbers) in self.starts.iter().zip(numbers.chunks_exact(self.choices.len().max(1))) {
            let mut at = start[0];
            for (number, (count, step)) in numbers.iter().zip(&self.choices) {
                // A negative number counts from the end.
                let number = if *number < 0 { number.saturating_add(*count as i64) } else { *number };
                let number = usize::try_from(number).ok().filter(|n| n < count).ok_or_else(|| RunError::Step {
                    node: self.name.clone(),
                    detail: format!("element {number} of {count} does not exist"),
                })?;
                at += number * step;
            }
            self.walk.rows([at, start[1]], |[f, t]| {
                for i in 0..row {
                    to[t + i * steps[1]] = from[f + i * steps[0]];
                }
            });
        }
        Ok(())
    }
}

impl Step for Taking {
    fn run(&mut self, memory: &mut Memory, _: &Context) -> Result<(), RunError> {
        match self.size {
            1 => self.run_as::<u8>(memory),
            2 => self.run_as::<u16>(memory),
            4 => self.run_as::<f32>(memory),
            _ => self.run_as::<i64>(memory),
        }
    }
}
