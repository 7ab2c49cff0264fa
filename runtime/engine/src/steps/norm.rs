//! Root-mean-square normalisation along an axis, which is also what layer normalisation becomes.

use super::walk::Walk;
use super::{Context, Made, Step};
use crate::RunError;
use crate::memory::{Memory, Slot};
use crate::plan::Place;

struct Norm {
    from: Slot,
    to: Slot,
    starts: [usize; 2],
    /// Over the rows, in input and output.
    rows: Walk,
    count: usize,
    /// Elements between neighbours of a row, in input and output.
    steps: [usize; 2],
    eps: f32,
}

pub(super) fn build(axis: usize, eps: f32, input: &Place, out: &Place) -> Result<Made, String> {
    let without =
        |of: &[usize]| -> Vec<usize> { of.iter().enumerate().filter(|(a, _)| *a != axis).map(|(_, v)| *v).collect() };
    let step = Norm {
        from: input.slot,
        to: out.slot,
        starts: [input.start, out.start],
        rows: Walk::new(&without(&input.shape), &[without(&input.strides), without(&out.strides)])?,
        count: input.shape[axis],
        steps: [input.strides[axis], out.strides[axis]],
        eps,
    };
    Ok(Made::simple(step))
}

impl Step for Norm {
    fn run(&mut self, memory: &mut Memory, _: &Context) -> Result<(), RunError> {
        let Norm { from, to, starts, rows, count, steps, eps } = self;
        let (rest, to) = memory.split::<f32>(*to);
        let from = rest.read::<f32>(*from);
        let (row, apart) = (rows.row(), rows.row_steps());
        rows.rows(*starts, |[f, t]| {
            for i in 0..row {
                let (f, t) = (f + i * apart[0], t + i * apart[1]);
                let squares: f64 = (0..*count).map(|j| f64::from(from[f + j * steps[0]]).powi(2)).sum();
                let factor = 1.0 / ((squares / *count as f64) as f32 + *eps).sqrt();
                for j in 0..*count {
                    to[t + j * steps[1]] = from[f + j * steps[0]] * factor;
                }
            }
        });
        Ok(())
    }
}
