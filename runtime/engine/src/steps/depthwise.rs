//! Depthwise convolution on the kernels' window sweep.

use super::{Build, Context, Made, Step, planes};
use crate::RunError;
use crate::graph::Conv;
use crate::kernels::{Aligned, Clamp, Kernels, Window};
use crate::layout::Planes;
use crate::memory::{Memory, Slot};
use crate::plan::Place;
use crate::team::cut;

struct Depthwise {
    kernels: Kernels,
    window: Window,
    clamp: Clamp,
    weights: Aligned<f32>,
    bias: Aligned<f32>,
    /// The ends of the members' channels.
    cuts: Vec<usize>,
    from: (Slot, Planes),
    to: (Slot, Planes),
}

/// Whether a convolution is one filter a channel, with nothing to add. An image of one channel is filtered so too, unless the
/// filter is a single number.
pub(super) fn fits(conv: &Conv) -> bool {
    (conv.group > 1 || conv.window.taps() > 1)
        && conv.group == conv.channels_in
        && conv.channels_in == conv.channels_out
        && !conv.residual
}

pub(super) fn build(build: &Build, conv: &Conv, inputs: &[Place], out: &Place) -> Result<Made, String> {
    let (from, to) = (planes(&inputs[0])?, planes(out)?);
    // The images of a batch are further channels with the same weights.
    let images = from.channels / conv.channels_in.max(1);
    let window = conv.window;
    let taps = window.taps();
    let macs = (to.channels * to.grid.height * to.grid.width * taps) as u64;
    let step = Depthwise {
        kernels: build.tiles.kernels,
        window,
        clamp: conv.clamp,
        weights: Aligned::copied(&conv.weights.repeat(images)),
        bias: Aligned::copied(&conv.bias.repeat(images)),
        cuts: cut(to.channels, 1, build.threads),
        from: (inputs[0].slot, from),
        to: (out.slot, to),
    };
    let detail =
        format!("{}x{} /{} {}", window.kernel[0], window.kernel[1], window.stride[0], build.tiles.kernels.isa());
    Ok(Made { macs, detail, ..Made::simple(step) })
}

impl Step for Depthwise {
    fn run(&mut self, memory: &mut Memory, context: &Context) -> Result<(), RunError> {
        let (rest, to) = memory.split::<f32>(self.to.0);
        let from = rest.read::<f32>(self.from.0);
        let (source, output) = (self.from.1.grid, self.to.1.grid);
        context.share(to, &self.cuts, output.plane, &|part, out| {
            let (first, channels) = (self.cuts[part], self.cuts[part + 1] - self.cuts[part]);
            let (source, output) = (Planes { channels, grid: source }, Planes { channels, grid: output });
            let weights = &self.weights[first * self.window.taps()..];
            let from = &from[first * source.grid.plane..];
            self.kernels.depthwise(&self.window, self.clamp, weights, &self.bias[first..], from, &source, out, &output);
        });
        Ok(())
    }
}
