//! Resampling of the last two axes, nearest or bilinear.

use super::walk::Walk;
use super::{Context, Made, Step};
use crate::RunError;
use crate::graph::{Resize, Tap};
use crate::memory::{Memory, Slot};
use crate::plan::Place;

struct Run {
    resize: Resize,
    from: Slot,
    to: Slot,
    starts: [usize; 2],
    /// Over the images.
    images: Walk,
    /// Row and column strides of input and output.
    strides: [[usize; 2]; 2],
}

pub(super) fn build(resize: &Resize, input: &Place, out: &Place) -> Result<Made, String> {
    let outer = input.shape.len() - 2;
    let images = Walk::new(&input.shape[..outer], &[input.strides[..outer].to_vec(), out.strides[..outer].to_vec()])?;
    let ends = |place: &Place| [place.strides[outer], place.strides[outer + 1]];
    let inside = |taps: &[Tap], size: usize| taps.iter().all(|t| t.first < size && t.second < size);
    if !inside(&resize.rows, input.shape[outer]) || !inside(&resize.cols, input.shape[outer + 1]) {
        return Err("a tap lies outside the input".into());
    }
    let detail = if resize.nearest { "nearest" } else { "linear" }.to_string();
    let step = Run {
        resize: resize.clone(),
        from: input.slot,
        to: out.slot,
        starts: [input.start, out.start],
        images,
        strides: [ends(input), ends(out)],
    };
    // One row, resampled along the columns twice: above and below.
    Ok(Made { detail, scratch_bytes: 2 * resize.cols.len() * 4, ..Made::simple(step) })
}

impl Run {
    fn image(&self, from: &[f32], to: &mut [f32], [f, t]: [usize; 2], rows: &mut [f32]) {
        let Resize { rows: row_taps, cols, nearest } = &self.resize;
        let [[from_row, from_col], [to_row, to_col]] = self.strides;
        let (upper, lower) = rows.split_at_mut(cols.len());
        let lower = &mut lower[..cols.len()];
        let mut held = [usize::MAX; 2];
        for (y, tap) in row_taps.iter().enumerate() {
            let line = |row: usize, out: &mut [f32]| {
                let source = &from[f + row * from_row..];
                for (value, c) in out.iter_mut().zip(cols) {
                    let first = source[c.first * from_col];
                    let second = source[c.second * from_col];
                    *value = if *nearest { first } else { first * (1.0 - c.fraction) + second * c.fraction };
                }
            };
            if held[0] != tap.first {
                line(tap.first, upper);
                held[0] = tap.first;
            }
            let out = &mut to[t + y * to_row..];
            if *nearest || tap.fraction == 0.0 {
                for (x, value) in upper.iter().enumerate() {
                    out[x * to_col] = *value;
                }
                continue;
            }
            if held[1] != tap.second {
                line(tap.second, lower);
                held[1] = tap.second;
            }
            for (x, (above, below)) in upper.iter().zip(lower.iter()).enumerate() {
                out[x * to_col] = above * (1.0 - tap.fraction) + below * tap.fraction;
            }
        }
    }
}

impl Step for Run {
    fn run(&mut self, memory: &mut Memory, context: &Context) -> Result<(), RunError> {
        let (rest, to, scratch) = memory.split_with::<f32, f32>(self.to, context.scratch);
        let from = rest.read::<f32>(self.from);
        let (row, steps) = (self.images.row(), self.images.row_steps());
        self.images.rows(self.starts, |[f, t]| {
            for i in 0..row {
                self.image(from, to, [f + i * steps[0], t + i * steps[1]], scratch);
            }
        });
        Ok(())
    }
}
