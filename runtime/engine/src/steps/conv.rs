//! Convolution of padded planes, group by group.

use super::{Build, Made, Step, planes};
use crate::RunError;
use crate::graph::Conv;
use crate::kernels::{self, Kernels};
use crate::layout::Planes;
use crate::memory::{Memory, Slot};
use crate::plan::Place;

struct Run {
    kernels: Kernels,
    groups: Vec<kernels::Conv>,
    images: usize,
    from: Slot,
    /// Elements from one group's input to the next.
    from_step: usize,
    to: (Slot, Planes),
    residual: Option<Slot>,
}

pub(super) fn build(build: &Build, conv: &Conv, inputs: &[Place], out: &Place) -> Result<Made, String> {
    let (from, to) = (planes(&inputs[0])?, planes(out)?);
    let kernels = build.tiles.kernels;
    let (ins, outs) = (conv.channels_in / conv.group, conv.channels_out / conv.group);
    let images = from.channels / conv.channels_in;
    let window = conv.window;
    let depth = ins * window.taps();
    let source = Planes { channels: ins, grid: from.grid };
    let groups = (0..conv.group).map(|g| {
        let weights = &conv.weights[g * outs * depth..(g + 1) * outs * depth];
        kernels.pack_conv(&window, &source, weights, &conv.bias[g * outs..(g + 1) * outs], conv.clamp)
    });
    let residual = match inputs.get(1) {
        Some(place) if place.planes == out.planes => Some(place.slot),
        Some(_) => return Err("the residual lies otherwise than the output".into()),
        None => None,
    };
    let step = Run {
        kernels,
        groups: groups.collect(),
        images,
        from: inputs[0].slot,
        from_step: ins * from.grid.plane,
        to: (out.slot, to),
        residual,
    };
    let macs = (to.channels * depth * to.grid.height * to.grid.width) as u64;
    let [rows, cols] = window.kernel;
    let detail = format!("{rows}x{cols} /{} {}", window.stride[0], kernels.isa());
    Ok(Made { macs, detail, ..Made::simple(step) })
}

impl Step for Run {
    fn run(&mut self, memory: &mut Memory, _: Slot) -> Result<(), RunError> {
        let (rest, to) = memory.split::<f32>(self.to.0);
        let from = rest.read::<f32>(self.from);
        let residual = self.residual.map(|slot| rest.read::<f32>(slot));
        let grid = self.to.1.grid;
        let mut group_start = 0;
        for (index, conv) in (0..self.images).flat_map(|_| &self.groups).enumerate() {
            let source = &from[index * self.from_step..];
            let residual = residual.map(|r| &r[group_start..]);
            self.kernels.conv(conv, source, residual, &mut to[group_start..], &grid, 0..conv.channels());
            group_start += conv.channels() * grid.plane;
        }
        Ok(())
    }
}
