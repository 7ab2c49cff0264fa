//! Filling padding with what its readers want to see there.

use super::{Made, Step};
use crate::RunError;
use crate::layout::Planes;
use crate::memory::{Memory, Slot};
use crate::plan::Place;

struct Border {
    slot: Slot,
    planes: Planes,
    fill: f32,
}

pub(super) fn build(place: &Place) -> Option<Made> {
    let planes = place.planes.filter(|p| !p.grid.is_dense())?;
    Some(Made::simple(Border { slot: place.slot, planes, fill: place.fill }))
}

impl Step for Border {
    fn run(&mut self, memory: &mut Memory, _: Slot) -> Result<(), RunError> {
        let grid = self.planes.grid;
        let data = memory.write::<f32>(self.slot);
        for plane in data.chunks_exact_mut(grid.plane).take(self.planes.channels) {
            let first = grid.cell(0, 0);
            plane[..first].fill(self.fill);
            if grid.pitch > grid.width {
                for y in 1..grid.height {
                    plane[grid.cell(y - 1, grid.width)..grid.cell(y, 0)].fill(self.fill);
                }
            }
            // The slack stays as it is: it is read, never used.
            let end = (grid.pads.top + grid.height + grid.pads.bottom) * grid.pitch + grid.pads.left + grid.pads.right;
            plane[first + grid.sweep()..end].fill(self.fill);
        }
        Ok(())
    }
}
