//! Convolution of `i8` quads (NC4HW4) without unfolding them, requantised in the epilogue.
//!
//! As [`super::conv`], with four input channels a cell: a [`Dot`] multiplies one cell of some neighbouring positions by the
//! weights of some output channels and adds the four products into a 32-bit sum. Sums are exact whatever the instruction
//! set, and the epilogue is the same float arithmetic everywhere, so results are bit-identical.

use std::ops::Range;

use super::aligned::Aligned;
use super::conv::{Runs, deltas, tap_offsets};
use super::simd::Simd;
use super::{Kernels, Window};
use crate::layout::{Grid, LANES, Quads, SLACK_CELLS};

/// How a sum of products becomes the output's `i8`: `clamp(round(sum * scale[c]) + zero, low, high)`, ties to even.
///
/// The product is rounded to f32 before it is rounded to an integer, as ONNX's QuantizeLinear does.
#[derive(Clone, Copy, Debug)]
pub struct Requantise<'a> {
    /// One a channel: scale of the input times scale of the weights over scale of the output.
    pub scale: &'a [f32],
    /// The output's zero point.
    pub zero: i8,
    /// Least result: -128, or the zero point after relu.
    pub low: i8,
    /// Greatest result.
    pub high: i8,
}

/// The scalars of [`Requantise`] as the epilogue uses them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Finish {
    /// Bounds of the rounded product, before the zero point.
    pub low: f32,
    pub high: f32,
    pub zero: i32,
    /// Bounds of the result, for sets that clamp bytes.
    #[cfg_attr(not(target_arch = "aarch64"), allow(dead_code))]
    pub low_byte: i8,
    #[cfg_attr(not(target_arch = "aarch64"), allow(dead_code))]
    pub high_byte: i8,
}

impl Requantise<'_> {
    pub(super) fn finish(&self) -> Finish {
        let zero = i32::from(self.zero);
        Finish {
            low: (i32::from(self.low) - zero) as f32,
            high: (i32::from(self.high) - zero) as f32,
            zero,
            low_byte: self.low,
            high_byte: self.high,
        }
    }
}

/// The most channels and vectors of a tile, of any instruction set.
pub(super) const MOST_ROWS: usize = 8;
pub(super) const MOST_VECTORS: usize = 3;

/// Sums of a tile: of a row, position by position. What lies beyond the tile's own size is not used.
pub(super) type Sums<S> = [[<S as Simd>::I; MOST_VECTORS]; MOST_ROWS];

/// The int8 dot product of one instruction set.
///
/// # Safety
/// As [`Simd`]: only within functions compiled for the set, on a CPU that has it.
pub(crate) trait Dot {
    /// The vectors that hold sums and cells, one position a lane.
    type S: Simd;
    /// How the weights lie.
    const PACKING: Packing;
    /// Vectors of positions in a tile, at most.
    const VECTORS: usize;

    /// `bias` plus, for every offset, the products of the cells at `src + 4 * offset` with the weights. At `STRIDE` 0 the cells
    /// are `stride` apart and only those of `count` positions may be read.
    unsafe fn tile<const NV: usize, const STRIDE: usize>(taps: &Taps<'_>) -> Sums<Self::S>;
}

/// What a tile multiplies.
pub(crate) struct Taps<'a> {
    pub offsets: &'a [isize],
    /// Bytes from each offset to the next; `src` is at the first.
    #[cfg_attr(not(target_arch = "aarch64"), allow(dead_code))]
    pub deltas: &'a [isize],
    pub weights: *const i8,
    pub bias: *const i32,
    pub src: *const i8,
    pub stride: usize,
    pub count: usize,
}

/// How the weights of a tile lie and what the dot product demands of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Packing {
    /// Output channels of a tile: 4 or 8.
    pub rows: usize,
    /// Offsets that are taken together: 1 or 2.
    pub step: usize,
    /// With two offsets taken together: whether a channel's eight weights are neighbours.
    pub eights: bool,
    /// What the dot product adds to every activation (to make it unsigned), taken back in the bias.
    pub shift: i32,
    /// Whether weights of -128 are right.
    pub takes_least: bool,
}

impl Packing {
    /// Place of the weight of (offset, channel, lane) within a tile.
    pub(super) fn place(&self, offset: usize, row: usize, lane: usize) -> usize {
        if self.eights {
            return (offset / 2 * self.rows + row) * 8 + offset % 2 * 4 + lane;
        }
        (offset * self.rows + row) * 4 + lane
    }
}

/// Cells from `from` on (which is in bytes), every `STRIDE`th, for the `v`th vector of positions.
#[inline(always)]
pub(super) unsafe fn cells<S: Simd, const STRIDE: usize>(taps: &Taps<'_>, from: *const i8, v: usize) -> S::I {
    // SAFETY: `Dot::tile`'s: whole vectors may be read at strides 1 and 2, else `count` cells.
    unsafe {
        let first = v * S::LANES;
        match STRIDE {
            1 => S::load_i(from.add(first * LANES).cast()),
            2 => S::bits(S::load_even_odd(from.add(2 * first * LANES).cast()).0),
            _ => {
                let mut cells = [0i32; 16];
                let count = S::LANES.min(taps.count.saturating_sub(first));
                for (i, cell) in cells.iter_mut().enumerate().take(count) {
                    *cell = from.add((first + i) * taps.stride * LANES).cast::<i32>().read_unaligned();
                }
                S::load_i(cells.as_ptr())
            }
        }
    }
}

/// A convolution packed for one instruction set and one source layout.
#[derive(Clone, Debug)]
pub struct ConvInt8 {
    window: Window,
    source: Quads,
    channels: usize,
    core: Core,
    offsets: Vec<isize>,
    /// Bytes from each offset to the next.
    deltas: Vec<isize>,
    weights: Aligned<i8>,
    bias: Aligned<i32>,
    scale: Aligned<f32>,
    finish: Finish,
}

impl ConvInt8 {
    /// Output channels.
    #[must_use]
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Output channels that are computed together: where work may be split.
    #[must_use]
    pub fn tile_channels(&self) -> usize {
        self.core.packing.rows
    }

    /// Bytes of the packed weights.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.weights.len() + 4 * (self.bias.len() + self.scale.len())
    }
}

/// Everything a compiled body needs, checked.
pub(crate) struct ConvCall<'a> {
    conv: &'a ConvInt8,
    runs: Runs,
    src: *const i8,
    dst: *mut i8,
    dst_plane: usize,
    channels: usize,
    first_channel: usize,
}

/// What an instruction set gives for this operation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Core {
    pub packing: Packing,
    pub run: unsafe fn(&ConvCall<'_>),
}

/// Positions that are computed for all channels before the next ones.
const CHUNK_POSITIONS: usize = 384;

impl Kernels {
    /// Packs `weights` (`[channels][source channels][rows][columns]`) of a convolution whose input lies as `source` says and
    /// has the zero point `input_zero` (which its padding must hold too); `bias` has the scale of the sums.
    ///
    /// # Panics
    /// When the lengths do not fit.
    #[must_use]
    pub fn pack_conv_int8(
        &self,
        window: &Window,
        source: &Quads,
        input_zero: i8,
        weights: &[i8],
        bias: &[i32],
        requantise: &Requantise<'_>,
    ) -> ConvInt8 {
        let depth = source.channels * window.taps();
        assert!(depth > 0 && weights.len().is_multiple_of(depth), "weights of {depth} a channel");
        let channels = weights.len() / depth;
        assert!(bias.len() == channels && requantise.scale.len() == channels, "a bias and scale for each channel");
        let takes_all = self.conv_int8_core.packing.takes_least || !weights.contains(&i8::MIN);
        let core = if takes_all { self.conv_int8_core } else { self.conv_int8_exact };
        let packing = core.packing;
        let mut offsets = tap_offsets(window, source.blocks(), &source.grid);
        if !offsets.len().is_multiple_of(packing.step) {
            // Its weights are zero.
            offsets.push(offsets[0]);
        }
        let padded = channels.next_multiple_of(packing.rows);
        let mut packed = Aligned::zeroed(padded * offsets.len() * LANES);
        let mut biases = Aligned::zeroed(padded);
        let mut scale = Aligned::zeroed(padded);
        scale[..channels].copy_from_slice(requantise.scale);
        for (m, kernel) in weights.chunks_exact(depth).enumerate() {
            let tile = &mut packed[m / packing.rows * packing.rows * offsets.len() * LANES..];
            for (k, &weight) in kernel.iter().enumerate() {
                let (c, tap) = (k / window.taps(), k % window.taps());
                tile[packing.place(c / LANES * window.taps() + tap, m % packing.rows, c % LANES)] = weight;
            }
            let sum: i32 = kernel.iter().map(|&w| i32::from(w)).sum();
            biases[m] = bias[m].wrapping_sub(sum * (i32::from(input_zero) + packing.shift));
        }
        let finish = requantise.finish();
        ConvInt8 {
            window: *window,
            source: *source,
            channels,
            core,
            deltas: deltas(&offsets, LANES as isize),
            offsets,
            weights: packed,
            bias: biases,
            scale,
            finish,
        }
    }

    /// Output channels `channels` of the convolution, into `dst`, whose first grid is the block of `channels.start`.
    ///
    /// Where source and output have the same pitch, cells between the rows of the output get garbage too.
    ///
    /// # Panics
    /// When a slice is too short for its grids (see [`crate::layout`]), the source's padding for the window, or `channels`
    /// does not start on a tile.
    pub fn conv_int8(&self, conv: &ConvInt8, src: &[i8], dst: &mut [i8], output: &Grid, channels: Range<usize>) {
        if channels.is_empty() || output.height * output.width == 0 {
            return;
        }
        assert!(channels.start.is_multiple_of(conv.tile_channels()) && channels.end <= conv.channels);
        let (first, end) = conv.window.span(&conv.source.grid, output);
        let end = (conv.source.blocks() - 1) * conv.source.grid.plane + end + SLACK_CELLS;
        assert!(src.len() >= end * LANES, "source of {} for {end} cells", src.len());
        let from = output.cell(0, 0);
        let dst_end = (channels.len().div_ceil(LANES) - 1) * output.plane + from + output.sweep();
        assert!(dst.len() >= dst_end * LANES, "output of {} for {dst_end} cells", dst.len());
        let call = ConvCall {
            conv,
            runs: Runs::new(&conv.window, &conv.source.grid, output),
            src: src[first * LANES..].as_ptr(),
            dst: dst[from * LANES..].as_mut_ptr(),
            dst_plane: output.plane,
            channels: channels.len(),
            first_channel: channels.start,
        };
        // SAFETY: `conv` was packed by kernels whose instruction set is there. Reads: every tap of every output is before
        // `end`, and a vector runs over it by less than the slack. Writes: only positions of the runs, within `dst_end`.
        unsafe { (conv.core.run)(&call) }
    }
}

/// All tiles of a call.
///
/// # Safety
/// As [`Dot`]; `call` is checked.
#[inline(always)]
pub(super) unsafe fn conv<D: Dot>(call: &ConvCall<'_>) {
    // SAFETY: the caller's.
    unsafe {
        match call.conv.window.stride[1] {
            1 => runs::<D, 1>(call),
            2 => runs::<D, 2>(call),
            _ => runs::<D, 0>(call),
        }
    }
}

/// What a tile needs of a call. A copy of it, which no store can change, so that all of it may stay in registers.
#[derive(Clone, Copy)]
struct Fixed<'a> {
    offsets: &'a [isize],
    deltas: &'a [isize],
    weights: *const i8,
    bias: *const i32,
    scale: *const f32,
    stride: usize,
    finish: Finish,
    channels: usize,
    dst_plane: usize,
}

/// # Safety
/// As [`Dot`]; `call` is checked.
#[inline(always)]
unsafe fn runs<D: Dot, const STRIDE: usize>(call: &ConvCall<'_>) {
    let conv = call.conv;
    let right = conv.window.stride[1];
    // SAFETY: the caller's: the weights, biases and scales from the first channel on are there.
    let fixed = unsafe {
        Fixed {
            offsets: &conv.offsets,
            deltas: &conv.deltas,
            weights: conv.weights.as_ptr().add(call.first_channel * conv.offsets.len() * LANES),
            bias: conv.bias.as_ptr().add(call.first_channel),
            scale: conv.scale.as_ptr().add(call.first_channel),
            stride: right,
            finish: conv.finish,
            channels: call.channels,
            dst_plane: call.dst_plane,
        }
    };
    let Runs { count, len, src_step, dst_step } = call.runs;
    for run in 0..count {
        for first in (0..len).step_by(CHUNK_POSITIONS) {
            let end = len.min(first + CHUNK_POSITIONS);
            for m in (0..fixed.channels).step_by(D::PACKING.rows) {
                let mut x = first;
                while x < end {
                    // SAFETY: the caller's: position x of the run and channel m exist.
                    unsafe {
                        let src = call.src.add((run * src_step + x * right) * LANES);
                        let dst = call.dst.add((m / LANES * fixed.dst_plane + run * dst_step + x) * LANES);
                        // Four vectors are two and two rather than three and one.
                        let vectors = match (end - x).div_ceil(D::S::LANES) {
                            1 => 1,
                            3 | 5.. if D::VECTORS == 3 => 3,
                            _ => 2,
                        };
                        match vectors {
                            1 => tile::<D, 1, STRIDE>(fixed, src, dst, m, end - x),
                            2 => tile::<D, 2, STRIDE>(fixed, src, dst, m, end - x),
                            _ => tile::<D, 3, STRIDE>(fixed, src, dst, m, end - x),
                        }
                        x += vectors * D::S::LANES;
                    }
                }
            }
        }
    }
}

/// One tile: the channels from `m` on by `NV` vectors, of which `count` positions exist.
#[inline(always)]
#[allow(clippy::needless_range_loop)] // v is a column of `sums`
unsafe fn tile<D: Dot, const NV: usize, const STRIDE: usize>(
    fixed: Fixed<'_>,
    src: *const i8,
    dst: *mut i8,
    m: usize,
    count: usize,
) {
    // SAFETY: the caller's: the tile's weights, biases and scales are whole; blocks of channels beyond the last are left out.
    unsafe {
        let taps = Taps {
            offsets: fixed.offsets,
            deltas: fixed.deltas,
            weights: fixed.weights.add(m * fixed.offsets.len() * LANES),
            bias: fixed.bias.add(m),
            src,
            stride: fixed.stride,
            count,
        };
        let sums = D::tile::<NV, STRIDE>(&taps);
        let whole = m + D::PACKING.rows <= fixed.channels && count >= NV * D::S::LANES;
        for block in 0..D::PACKING.rows / LANES {
            let scale = fixed.scale.add(m + block * LANES);
            for v in 0..NV {
                let x = v * D::S::LANES;
                let rows = [0, 1, 2, 3].map(|r| sums[block * LANES + r][v]);
                let cells = D::S::requantise(rows, scale, &fixed.finish);
                let to = dst.wrapping_add((block * fixed.dst_plane + x) * LANES);
                if whole {
                    D::S::store_i(to.cast(), cells);
                } else if m + block * LANES < fixed.channels && x < count {
                    put_cells::<D::S>(to, cells, count - x);
                }
            }
        }
    }
}

/// Stores a vector of cells, or the first `count`.
#[inline(always)]
pub(super) unsafe fn put_cells<S: Simd>(to: *mut i8, cells: S::I, count: usize) {
    // SAFETY: the caller's: `count` cells exist.
    unsafe {
        if count >= S::LANES {
            S::store_i(to.cast(), cells);
        } else {
            S::store_first(to.cast(), S::floats(cells), count);
        }
    }
}

/// The epilogue in terms of vectors: four channels' sums into cells.
///
/// # Safety
/// As [`Simd`]; `scale` points at four scales.
#[inline(always)]
pub(super) unsafe fn requantise<S: Simd>(rows: [S::I; 4], scale: *const f32, finish: &Finish) -> S::I {
    // SAFETY: the caller's.
    unsafe {
        let (low, high, zero) = (S::splat(finish.low), S::splat(finish.high), S::splat_i(finish.zero));
        let mut bytes = rows;
        for (r, row) in bytes.iter_mut().enumerate() {
            let product = S::mul(S::to_f(*row), S::splat(*scale.add(r)));
            *row = S::add_i(S::round(S::min(high, S::max(low, product))), zero);
        }
        S::cells(bytes)
    }
}
