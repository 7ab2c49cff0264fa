//! Convolution of padded planes, group by group: directly, or by Winograd's filtering where that takes less time.

use super::{Build, Context, Made, Step, planes};
use crate::RunError;
use crate::graph::Conv;
use crate::kernels::{self, Kernels, Window, Winograd};
use crate::layout::Planes;
use crate::memory::{Memory, Slot};
use crate::plan::Place;
use crate::team::cut;

/// Channels on both sides from which the quarter of the multiplications outweighs the transforms.
const WINOGRAD_CHANNELS: usize = 32;

/// Output channels of which a member gets a multiple.
const WINOGRAD_UNIT: usize = 16;

/// Rows and columns of the output from which few of Winograd's tiles are cut off.
const WINOGRAD_SIZE: usize = 8;

struct Run {
    kernels: Kernels,
    groups: Vec<kernels::Conv>,
    /// For each group, the ends of the members' channels.
    cuts: Vec<usize>,
    place: Geometry,
}

/// Where inputs and outputs lie.
struct Geometry {
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
    let residual = match inputs.get(1) {
        Some(place) if place.planes == out.planes => Some(place.slot),
        Some(_) => return Err("the residual lies otherwise than the output".into()),
        None => None,
    };
    let place = Geometry {
        images: from.channels / conv.channels_in,
        from: inputs[0].slot,
        from_step: ins * from.grid.plane,
        to: (out.slot, to),
        residual,
    };
    let depth = ins * conv.window.taps();
    let macs = (to.channels * depth * to.grid.height * to.grid.width) as u64;
    let [rows, cols] = conv.window.kernel;
    let detail = format!("{rows}x{cols} /{} {}", conv.window.stride[0], kernels.isa());
    let source = Planes { channels: ins, grid: from.grid };
    if by_winograd(conv, &to) {
        let cuts = cut(outs, WINOGRAD_UNIT, build.threads);
        let pack = |ends: &[usize]| {
            let weights = &conv.weights[ends[0] * depth..ends[1] * depth];
            kernels.pack_winograd(&conv.window, &source, weights, &conv.bias[ends[0]..ends[1]], conv.clamp)
        };
        let packed: Vec<_> = cuts.windows(2).map(pack).collect();
        // The next member's scratch begins on a cache line.
        let each = packed.iter().map(|p| p.scratch_len(&to.grid).next_multiple_of(16)).max().unwrap_or(0);
        let scratch_bytes = each * 4 * build.threads;
        let detail = format!("{detail} winograd");
        let step = Filtered { kernels, packed, cuts, each, place };
        return Ok(Made { step: Box::new(step), scratch_bytes, detail, macs });
    }
    let groups = (0..conv.group).map(|g| {
        let weights = &conv.weights[g * outs * depth..(g + 1) * outs * depth];
        kernels.pack_conv(&conv.window, &source, weights, &conv.bias[g * outs..(g + 1) * outs], conv.clamp)
    });
    let groups: Vec<_> = groups.collect();
    let cuts = cut(outs, groups[0].tile_channels(), build.threads);
    Ok(Made { macs, detail, ..Made::simple(Run { kernels, groups, cuts, place }) })
}

fn by_winograd(conv: &Conv, to: &Planes) -> bool {
    let window = &conv.window;
    let known = [3, 4].map(|size| Window::square(size, 1, window.pads)).contains(window);
    let plain = known && conv.group == 1;
    let channels = conv.channels_in.min(conv.channels_out);
    plain && channels >= WINOGRAD_CHANNELS && to.grid.height.min(to.grid.width) >= WINOGRAD_SIZE
}

impl Step for Run {
    fn run(&mut self, memory: &mut Memory, context: &Context) -> Result<(), RunError> {
        let Geometry { images, from, from_step, to: (to, Planes { grid, .. }), residual } = &self.place;
        let (rest, to) = memory.split::<f32>(*to);
        let from = rest.read::<f32>(*from);
        let residual = residual.map(|slot| rest.read::<f32>(slot));
        let (cuts, plane) = (&self.cuts, grid.plane);
        let mut start = 0;
        for (index, conv) in (0..*images).flat_map(|_| &self.groups).enumerate() {
            let source = &from[index * from_step..];
            let work = |part: usize, out: &mut [f32]| {
                let channels = cuts[part]..cuts[part + 1];
                let residual = residual.map(|r| &r[start + channels.start * plane..]);
                self.kernels.conv(conv, source, residual, out, grid, channels);
            };
            context.share(&mut to[start..], cuts, plane, &work);
            start += conv.channels() * plane;
        }
        Ok(())
    }
}

/// By Winograd, one group. Each member transforms the input for its own channels.
struct Filtered {
    kernels: Kernels,
    packed: Vec<Winograd>,
    cuts: Vec<usize>,
    /// Floats of scratch for each member.
    each: usize,
    place: Geometry,
}

impl Step for Filtered {
    fn run(&mut self, memory: &mut Memory, context: &Context) -> Result<(), RunError> {
        let Geometry { images, from, from_step, to: (to, Planes { grid, .. }), residual } = &self.place;
        let (rest, to, scratch) = memory.split_with::<f32, f32>(*to, context.scratch);
        let from = rest.read::<f32>(*from);
        let residual = residual.map(|slot| rest.read::<f32>(slot));
        let (cuts, plane) = (&self.cuts, grid.plane);
        for image in 0..*images {
            let start = image * cuts[cuts.len() - 1] * plane;
            let source = &from[image * from_step..];
            context.share_with(&mut to[start..], cuts, plane, scratch, self.each, &|part, out, scratch| {
                let residual = residual.map(|r| &r[start + cuts[part] * plane..]);
                self.kernels.winograd(&self.packed[part], source, residual, scratch, out, grid);
            });
        }
        Ok(())
    }
}
