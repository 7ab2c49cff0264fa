//! Moving boxes of elements.

use super::walk::Walk;
use super::{Context, Made, Step};
use crate::RunError;
use crate::graph::{Copy as Moves, Part};
use crate::kernels::Number;
use crate::memory::{Memory, Slot};
use crate::plan::Place;

struct Copy {
    to: Slot,
    size: usize,
    parts: Vec<Box_>,
    /// What fills the output first: an element, and the walk over all of it.
    fill: Option<(Vec<u8>, usize, Walk)>,
}

struct Box_ {
    from: Slot,
    starts: [usize; 2],
    walk: Walk,
}

pub(super) fn build(moves: &Moves, inputs: &[Place], out: &Place) -> Result<Made, String> {
    let size = out.dtype.size_bytes();
    if inputs.iter().any(|i| i.dtype.size_bytes() != size) {
        return Err("the element types differ".into());
    }
    let parts = moves.parts.iter().map(|p| place(p, &inputs[p.input], out)).collect::<Result<_, _>>()?;
    let fill = match &moves.fill {
        Some(element) => Some((element.clone(), out.start, Walk::new(&out.shape, std::slice::from_ref(&out.strides))?)),
        None => None,
    };
    Ok(Made::simple(Copy { to: out.slot, size, parts, fill }))
}

fn place(part: &Part, input: &Place, out: &Place) -> Result<Box_, String> {
    let offset = |place: &Place, corner: &[usize]| {
        place.start + corner.iter().zip(&place.strides).map(|(c, s)| c * s).sum::<usize>()
    };
    let along = part.from_axes.iter().zip(&part.from_steps);
    let from: Vec<usize> = along.map(|(axis, step)| axis.map_or(0, |a| input.strides[a] * step)).collect();
    let to: Vec<usize> = part.to_axes.iter().map(|a| out.strides[*a]).collect();
    Ok(Box_ {
        from: input.slot,
        starts: [offset(input, &part.from), offset(out, &part.to)],
        walk: Walk::new(&part.sizes, &[from, to])?,
    })
}

impl Copy {
    fn run_as<T: Number>(&self, memory: &mut Memory, element: impl Fn(&[u8]) -> T) {
        let (rest, to) = memory.split::<T>(self.to);
        if let Some((bytes, start, walk)) = &self.fill {
            let value = element(bytes);
            let (row, step) = (walk.row(), walk.row_steps()[0]);
            walk.rows([*start], |[t]| {
                for i in 0..row {
                    to[t + i * step] = value;
                }
            });
        }
        for part in &self.parts {
            let from = rest.read::<T>(part.from);
            let row = part.walk.row();
            match *part.walk.row_steps() {
                [1, 1] => {
                    part.walk.rows(part.starts, |[f, t]| to[t..t + row].copy_from_slice(&from[f..f + row]));
                }
                [0, 1] => part.walk.rows(part.starts, |[f, t]| to[t..t + row].fill(from[f])),
                [fs, ts] => part.walk.rows(part.starts, |[f, t]| {
                    for i in 0..row {
                        to[t + i * ts] = from[f + i * fs];
                    }
                }),
                _ => {}
            }
        }
    }
}

/// An element of `N` bytes from the bytes of a constant.
fn bytes<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut element = [0; N];
    element.copy_from_slice(&bytes[..N]);
    element
}

impl Step for Copy {
    fn run(&mut self, memory: &mut Memory, _: &Context) -> Result<(), RunError> {
        match self.size {
            1 => self.run_as::<u8>(memory, |b| b[0]),
            2 => self.run_as::<u16>(memory, |b| u16::from_ne_bytes(bytes(b))),
            4 => self.run_as::<f32>(memory, |b| f32::from_ne_bytes(bytes(b))),
            _ => self.run_as::<Eight>(memory, |b| Eight(u64::from_ne_bytes(bytes(b)))),
        }
        Ok(())
    }
}

/// Any element of eight bytes.
#[derive(Clone, Copy, Default)]
struct Eight(#[allow(dead_code)] u64);
// SAFETY: an integer has no padding and no invalid bits; its alignment is 8.
unsafe impl Number for Eight {}
