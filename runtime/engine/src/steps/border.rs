//! Filling padding with what its readers want to see there.

use super::{Context, Made, Step};
use crate::RunError;
use crate::kernels::Number;
use crate::layout::{Grid, Quads};
use crate::memory::{Memory, Slot};
use crate::plan::Place;

/// Cells of `T`: an `f32`, or four bytes.
struct Border<T> {
    slot: Slot,
    grids: usize,
    grid: Grid,
    fill: T,
}

pub(super) fn build(place: &Place) -> Option<Made> {
    let slot = place.slot;
    if let Some(Quads { grid, .. }) = place.quads.filter(|q| !q.grid.is_dense()) {
        let grids = place.quads.map_or(0, |q| q.blocks());
        let fill = i32::from_ne_bytes([(place.fill as i8).cast_unsigned(); 4]);
        return Some(Made::simple(Border { slot, grids, grid, fill }));
    }
    let planes = place.planes.filter(|p| !p.grid.is_dense())?;
    Some(Made::simple(Border { slot, grids: planes.channels, grid: planes.grid, fill: place.fill }))
}

impl<T: Number + Send> Step for Border<T> {
    fn run(&mut self, memory: &mut Memory, _: &Context) -> Result<(), RunError> {
        let Border { slot, grids, grid, fill } = *self;
        let data = memory.write::<T>(slot);
        for plane in data.chunks_exact_mut(grid.plane).take(grids) {
            let first = grid.cell(0, 0);
            plane[..first].fill(fill);
            if grid.pitch > grid.width {
                for y in 1..grid.height {
                    plane[grid.cell(y - 1, grid.width)..grid.cell(y, 0)].fill(fill);
                }
            }
            // The slack stays as it is: it is read, never used.
            let end = (grid.pads.top + grid.height + grid.pads.bottom) * grid.pitch + grid.pads.left + grid.pads.right;
            plane[first + grid.sweep()..end].fill(fill);
        }
        Ok(())
    }
}
