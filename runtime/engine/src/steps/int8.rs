//! Steps on bytes: convolution, sum, pools, and the ways in and out.

use super::{Build, Context, Made, Step, planes};
use crate::RunError;
use crate::graph::{AddInt8, ConvInt8, Op, PoolInt8};
use crate::kernels::{Bytes, Kernels, Requantise, Scale};
use crate::kernels::{ConvInt8 as PackedConv, DepthwiseInt8, WinogradInt8};
use crate::layout::{ALIGN_BYTES, LANES, Planes, Quads};
use crate::memory::{Memory, Slot};
use crate::plan::Place;
use crate::team::cut;

/// Channels on both sides, and rows and columns of the output, from which Winograd's fewer products outweigh the transforms.
const WINOGRAD_CHANNELS: usize = 32;
const WINOGRAD_SIZE: usize = 6;

/// What a step on bytes does.
enum Work {
    Conv(PackedConv),
    /// With the bytes of scratch of each member.
    Winograd(WinogradInt8, usize),
    Depthwise(DepthwiseInt8),
    Add {
        other: Slot,
        add: AddInt8,
    },
    Max(PoolInt8),
    Mean(PoolInt8, f32),
    Rescale(Scale, Scale, Bytes),
}

struct OnBytes {
    kernels: Kernels,
    work: Work,
    /// The ends of the members' blocks of channels.
    cuts: Vec<usize>,
    from: (Slot, Quads),
    to: (Slot, Quads),
}

fn quads(place: &Place) -> Result<Quads, String> {
    place.quads.ok_or_else(|| format!("expected bytes, got {:?} of shape {:?}", place.dtype, place.shape))
}

pub(super) fn build(build: &Build, op: &Op, inputs: &[Place], out: &Place) -> Result<Made, String> {
    let kernels = build.tiles.kernels;
    let (from, to) = (quads(&inputs[0])?, quads(out)?);
    let mut macs = 0;
    let (work, detail) = match op {
        Op::ConvInt8(conv) => {
            macs = (conv.weights.len() * to.grid.height * to.grid.width) as u64;
            pack(&kernels, conv, &from, &to)
        }
        Op::AddInt8(add) if quads(&inputs[1])? == from => {
            (Work::Add { other: inputs[1].slot, add: *add }, String::new())
        }
        Op::AddInt8(_) => return Err("the summands lie differently".into()),
        Op::PoolInt8(pool) => {
            let [rows, cols] = pool.window.kernel;
            let work = pool.scale.map_or(Work::Max(*pool), |scale| Work::Mean(*pool, scale));
            (work, format!("{rows}x{cols}"))
        }
        Op::Rescale(a, b, range) => (Work::Rescale(*a, *b, *range), String::new()),
        _ => return Err("it is no operation on bytes".into()),
    };
    let unit = match &work {
        Work::Conv(conv) => conv.tile_channels().div_ceil(LANES),
        Work::Winograd(packed, _) => packed.unit_channels() / LANES,
        _ => 1,
    };
    let scratch_bytes = if let Work::Winograd(_, each) = &work { each * build.threads } else { 0 };
    let cuts = cut(to.blocks(), unit, build.threads);
    let step = OnBytes { kernels, work, cuts, from: (inputs[0].slot, from), to: (out.slot, to) };
    Ok(Made { macs, detail, scratch_bytes, ..Made::simple(step) })
}

fn pack(kernels: &Kernels, conv: &ConvInt8, from: &Quads, to: &Quads) -> (Work, String) {
    let Bytes { low, high } = conv.range;
    let requantise = Requantise { scale: &conv.scale, zero: conv.to.zero, low, high };
    let (window, zero) = (&conv.window, conv.from.zero);
    let [rows, cols] = window.kernel;
    let detail = format!("{rows}x{cols} /{} {}", window.stride[0], kernels.isa());
    let large = from.channels.min(to.channels) >= WINOGRAD_CHANNELS
        && to.grid.height.min(to.grid.width) >= WINOGRAD_SIZE
        && kernels.gains_by_winograd_int8();
    let by_winograd = || kernels.pack_winograd_int8(window, from, zero, &conv.weights, &conv.bias, &requantise);
    if let Some(packed) = (large && !conv.depthwise).then(by_winograd).flatten() {
        let each = packed.scratch_bytes(&to.grid).next_multiple_of(ALIGN_BYTES);
        return (Work::Winograd(packed, each), format!("{detail} winograd"));
    }
    let work = if conv.depthwise {
        Work::Depthwise(kernels.pack_depthwise_int8(window, zero, &conv.weights, &conv.bias, &requantise))
    } else {
        Work::Conv(kernels.pack_conv_int8(window, from, zero, &conv.weights, &conv.bias, &requantise))
    };
    (work, detail)
}

impl Step for OnBytes {
    fn run(&mut self, memory: &mut Memory, context: &Context) -> Result<(), RunError> {
        let OnBytes { kernels, work, cuts, from: (from, source), to: (to, output) } = self;
        let (rest, dst, scratch) = memory.split_with::<i8, i8>(*to, context.scratch);
        let src = rest.read::<i8>(*from);
        // The cuts are in blocks of four channels; the last block may be partly used.
        let channel = |cut: usize| (cuts[cut] * LANES).min(output.channels);
        match work {
            Work::Conv(conv) => context.share(dst, cuts, output.grid.plane * LANES, &|part, out| {
                kernels.conv_int8(conv, src, out, &output.grid, cuts[part] * LANES..channel(part + 1));
            }),
            Work::Winograd(packed, each) => {
                context.share_with(dst, cuts, output.grid.plane * LANES, scratch, *each, &|part, out, scratch| {
                    let channels = cuts[part] * LANES..channel(part + 1);
                    kernels.winograd_int8(packed, src, scratch, out, &output.grid, channels);
                });
            }
            Work::Depthwise(packed) => context.share(dst, cuts, output.grid.plane * LANES, &|part, out| {
                let (first, channels) = (cuts[part] * LANES, channel(part + 1) - cuts[part] * LANES);
                let (source, output) = (Quads { channels, ..*source }, Quads { channels, ..*output });
                let from = &src[cuts[part] * source.grid.plane * LANES..];
                kernels.depthwise_int8(packed, first, from, &source, out, &output);
            }),
            Work::Add { other, add } => {
                let scales = (add.from[0], add.from[1], add.to);
                kernels.add_int8(scales, add.range, src, rest.read(*other), source, dst, output);
            }
            Work::Max(pool) => kernels.max_pool_int8(&pool.window, src, source, dst, output),
            Work::Mean(pool, scale) => {
                let requantise = Requantise { scale: &[*scale], zero: pool.to.zero, low: -128, high: 127 };
                kernels.average_pool_int8(&pool.window, pool.from.zero, &requantise, src, source, dst, output);
            }
            Work::Rescale(a, b, range) => kernels.rescale_int8((*a, *b), *range, src, source, dst, output),
        }
        Ok(())
    }
}

/// From floats to bytes, or back.
struct Edge {
    kernels: Kernels,
    scale: Scale,
    floats: (Slot, Planes),
    bytes: (Slot, Quads),
    inward: bool,
}

/// The step that quantises.
pub(super) fn quantise(build: &Build, scale: Scale, input: &Place, out: &Place) -> Result<Made, String> {
    let (floats, bytes) = ((input.slot, planes(input)?), (out.slot, quads(out)?));
    Ok(Made::simple(Edge { kernels: build.tiles.kernels, scale, floats, bytes, inward: true }))
}

/// The step that dequantises.
pub(super) fn dequantise(build: &Build, scale: Scale, input: &Place, out: &Place) -> Result<Made, String> {
    let (floats, bytes) = ((out.slot, planes(out)?), (input.slot, quads(input)?));
    Ok(Made::simple(Edge { kernels: build.tiles.kernels, scale, floats, bytes, inward: false }))
}

impl Step for Edge {
    fn run(&mut self, memory: &mut Memory, _: &Context) -> Result<(), RunError> {
        let Edge { kernels, scale, floats: (floats, planes), bytes: (bytes, quads), inward } = self;
        if *inward {
            let (rest, dst) = memory.split::<i8>(*bytes);
            kernels.quantise(*scale, rest.read::<f32>(*floats), planes, dst, quads);
        } else {
            let (rest, dst) = memory.split::<f32>(*floats);
            kernels.dequantise(*scale, rest.read::<i8>(*bytes), quads, dst, planes);
        }
        Ok(())
    }
}
