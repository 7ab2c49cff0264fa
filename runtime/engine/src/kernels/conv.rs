//! Convolution of `f32` planes without unfolding them.
//!
//! An implicit matrix product: a tile is some output channels by some vectors of neighbouring output positions, and for each
//! input channel and tap the activations of those positions are a contiguous run of the source plane (every second cell at
//! stride 2), because the padding lies inside the planes. So nothing is gathered or copied; the taps become a table of
//! offsets, made once. Where source and output have the same pitch the rows are one long run, gaps included.

use std::mem::MaybeUninit;
use std::ops::Range;

use super::aligned::Aligned;
use super::simd::Simd;
use super::{Clamp, Kernels, Window};
use crate::layout::{Grid, Planes, SLACK_CELLS};

/// A convolution packed for the kernels of one instruction set and one source layout.
#[derive(Clone, Debug)]
pub struct Conv {
    pub(super) window: Window,
    pub(super) source: Planes,
    pub(super) channels: usize,
    /// Output channels of a tile.
    pub(super) tile_rows: usize,
    /// Cell offset of each input channel and tap from an output's first tap.
    pub(super) offsets: Vec<isize>,
    /// Bytes from each offset to the next.
    #[cfg_attr(not(target_arch = "aarch64"), allow(dead_code))]
    pub(super) deltas: Vec<isize>,
    /// `[channels / tile_rows][offsets][tile_rows]`.
    pub(super) weights: Aligned<f32>,
    /// As many as the tiles have rows.
    pub(super) bias: Aligned<f32>,
    pub(super) clamp: Clamp,
}

impl Conv {
    /// Output channels.
    #[must_use]
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Output channels that are computed together: where work may be split.
    #[must_use]
    pub fn tile_channels(&self) -> usize {
        self.tile_rows
    }

    /// Bytes of the packed weights.
    #[must_use]
    pub fn bytes(&self) -> usize {
        (self.weights.len() + self.bias.len()) * 4
    }
}

/// Offsets, in cells, of every (input grid, tap) pair from an output's first tap.
pub(super) fn tap_offsets(window: &Window, grids: usize, grid: &Grid) -> Vec<isize> {
    let mut offsets = Vec::with_capacity(grids * window.taps());
    for c in 0..grids {
        for i in 0..window.kernel[0] {
            for j in 0..window.kernel[1] {
                let cell = c * grid.plane + i * window.dilation[0] * grid.pitch + j * window.dilation[1];
                offsets.push(cell as isize);
            }
        }
    }
    offsets
}

/// Bytes from each offset to the next; the last has none.
pub(super) fn deltas(offsets: &[isize], cell_bytes: isize) -> Vec<isize> {
    let next = offsets.iter().skip(1).chain(offsets.last());
    offsets.iter().zip(next).map(|(from, to)| (to - from) * cell_bytes).collect()
}

/// One call's runs of outputs: `count` runs of `len` positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Runs {
    pub count: usize,
    pub len: usize,
    /// Source cells from one run's first tap to the next one's.
    pub src_step: usize,
    /// Output cells from one run to the next.
    pub dst_step: usize,
}

impl Runs {
    /// One run over everything where the rows follow each other alike in source and output, else one a row.
    pub fn new(window: &Window, source: &Grid, output: &Grid) -> Runs {
        if window.stride == [1, 1] && source.pitch == output.pitch {
            return Runs { count: 1, len: output.sweep(), src_step: 0, dst_step: 0 };
        }
        Runs {
            count: output.height,
            len: output.width,
            src_step: window.stride[0] * source.pitch,
            dst_step: output.pitch,
        }
    }
}

/// Everything a compiled body needs, checked.
pub(super) struct ConvCall<'a> {
    pub conv: &'a Conv,
    pub runs: Runs,
    pub src: *const f32,
    pub dst: *mut f32,
    /// Added before the clamp; laid out as the output. May be null.
    pub residual: *const f32,
    pub dst_plane: usize,
    /// Output channels to compute, and the first of them.
    pub channels: usize,
    pub first_channel: usize,
}

/// A body: all tiles of a call. As unsafe as [`conv`].
pub(super) type Core = unsafe fn(&ConvCall<'_>);

/// What an instruction set gives for this operation.
#[derive(Clone, Copy)]
pub(super) struct Cores {
    pub tile_rows: usize,
    pub run: Core,
}

/// The most of each that any tile has.
const MOST_ROWS: usize = 8;
const MOST_VECTORS: usize = 3;
const MOST_LANES: usize = 16;

/// Positions that are computed for all channels before the next ones, so that their activations stay in the second-level
/// cache while the weights stream past.
pub(super) const CHUNK_POSITIONS: usize = 192;

impl Kernels {
    /// Packs `weights` (`[channels][source channels][rows][columns]`) and `bias` (one a channel, or none) of a convolution
    /// whose input lies as `source` says. Groups are separate convolutions of sub-ranges of the planes.
    ///
    /// # Panics
    /// When the lengths do not fit.
    #[must_use]
    pub fn pack_conv(&self, window: &Window, source: &Planes, weights: &[f32], bias: &[f32], clamp: Clamp) -> Conv {
        let depth = source.channels * window.taps();
        assert!(depth > 0 && weights.len().is_multiple_of(depth), "weights of {depth} a channel");
        let channels = weights.len() / depth;
        assert!(bias.is_empty() || bias.len() == channels, "{} biases for {channels} channels", bias.len());
        let rows = self.conv_cores.tile_rows;
        let mut packed = Aligned::zeroed(channels.next_multiple_of(rows) * depth);
        for (m, kernel) in weights.chunks_exact(depth).enumerate() {
            for (k, &weight) in kernel.iter().enumerate() {
                packed[(m / rows * depth + k) * rows + m % rows] = weight;
            }
        }
        let mut biases = Aligned::zeroed(channels.next_multiple_of(rows));
        biases[..bias.len()].copy_from_slice(bias);
        let offsets = tap_offsets(window, source.channels, &source.grid);
        Conv {
            window: *window,
            source: *source,
            channels,
            tile_rows: rows,
            deltas: deltas(&offsets, size_of::<f32>() as isize),
            offsets,
            weights: packed,
            bias: biases,
            clamp,
        }
    }

    /// Output channels `channels` of the convolution, into `dst`, whose first plane is that of `channels.start`; `residual`
    /// is added before the clamp and lies as `dst`.
    ///
    /// Where source and output have the same pitch, cells between the rows of the output get garbage too.
    ///
    /// # Panics
    /// When a slice is too short for its planes (see [`crate::layout`]), the source's padding for the window, `channels` does
    /// not start on a tile, or the convolution was packed for other kernels.
    pub fn conv(
        &self,
        conv: &Conv,
        src: &[f32],
        residual: Option<&[f32]>,
        dst: &mut [f32],
        output: &Grid,
        channels: Range<usize>,
    ) {
        assert_eq!(conv.tile_rows, self.conv_cores.tile_rows, "packed for other kernels");
        if channels.is_empty() || output.height * output.width == 0 {
            return;
        }
        assert!(channels.start.is_multiple_of(conv.tile_rows) && channels.end <= conv.channels);
        let (first, end) = conv.window.span(&conv.source.grid, output);
        let end = (conv.source.channels - 1) * conv.source.grid.plane + end + SLACK_CELLS;
        assert!(src.len() >= end, "source of {} for {end} cells", src.len());
        let from = output.cell(0, 0);
        let dst_end = (channels.len() - 1) * output.plane + from + output.sweep();
        assert!(dst.len() >= dst_end && residual.is_none_or(|r| r.len() >= dst_end), "output for {dst_end} cells");
        let call = ConvCall {
            conv,
            runs: Runs::new(&conv.window, &conv.source.grid, output),
            src: src[first..].as_ptr(),
            dst: dst[from..].as_mut_ptr(),
            residual: residual.map_or(std::ptr::null(), |r| r[from..].as_ptr()),
            dst_plane: output.plane,
            channels: channels.len(),
            first_channel: channels.start,
        };
        // SAFETY: the table's instruction set is there. Reads: every tap of every output is before `end`, and a vector runs
        // over it by less than the slack, which is within the slice. Writes: only positions of the runs, within `dst_end`.
        unsafe { (self.conv_cores.run)(&call) }
    }
}

/// All tiles of a call: `2 * PAIRS` channels by `MOST` (2 or 3) vectors, fewer at the end of a run.
///
/// # Safety
/// As [`Simd`]; `call` is checked.
#[inline(always)]
pub(super) unsafe fn conv<S: Simd, const PAIRS: usize, const MOST: usize>(call: &ConvCall<'_>) {
    // SAFETY: the caller's.
    unsafe {
        match call.conv.window.stride[1] {
            1 => runs::<S, PAIRS, MOST, 1>(call),
            2 => runs::<S, PAIRS, MOST, 2>(call),
            _ => runs::<S, PAIRS, MOST, 0>(call),
        }
    }
}

/// # Safety
/// As [`conv`].
#[inline(always)]
unsafe fn runs<S: Simd, const PAIRS: usize, const MOST: usize, const STRIDE: usize>(call: &ConvCall<'_>) {
    let right = call.conv.window.stride[1];
    for run in 0..call.runs.count {
        for first in (0..call.runs.len).step_by(CHUNK_POSITIONS) {
            let end = call.runs.len.min(first + CHUNK_POSITIONS);
            for m in (0..call.channels).step_by(2 * PAIRS) {
                let mut x = first;
                while x < end {
                    // SAFETY: the caller's: position x of the run and channel m exist.
                    unsafe {
                        let at = run * call.runs.dst_step + m * call.dst_plane + x;
                        let tile = Tile {
                            src: call.src.add(run * call.runs.src_step + x * right),
                            dst: call.dst.add(at),
                            residual: if call.residual.is_null() { call.residual } else { call.residual.add(at) },
                            channel: call.first_channel + m,
                            rows: call.channels - m,
                            count: end - x,
                        };
                        // Four vectors are two and two rather than three and one.
                        x += match (end - x).div_ceil(S::LANES) {
                            1 => tile.run::<S, PAIRS, 1, STRIDE>(call),
                            3 | 5.. if MOST == 3 => tile.run::<S, PAIRS, 3, STRIDE>(call),
                            _ => tile.run::<S, PAIRS, 2, STRIDE>(call),
                        };
                    }
                }
            }
        }
    }
}

/// One tile's place.
struct Tile {
    src: *const f32,
    dst: *mut f32,
    residual: *const f32,
    channel: usize,
    /// Channels and positions that exist from here on; the tile may be larger or smaller.
    rows: usize,
    count: usize,
}

impl Tile {
    /// Computes `2 * PAIRS` channels by `NV` vectors and says how many positions that is.
    ///
    /// # Safety
    /// As [`conv`]; the tile begins at a channel and a position that exist.
    #[inline(always)]
    unsafe fn run<S: Simd, const PAIRS: usize, const NV: usize, const STRIDE: usize>(
        &self,
        call: &ConvCall<'_>,
    ) -> usize {
        let conv = call.conv;
        // SAFETY: the caller's: the weights of the tile are whole; the activations are within the checked span.
        unsafe {
            let mut w = conv.weights.as_ptr().add(self.channel * conv.offsets.len());
            let mut acc = [[[S::splat(0.0); NV]; 2]; PAIRS];
            for (j, pair) in acc.iter_mut().enumerate() {
                for (l, row) in pair.iter_mut().enumerate() {
                    *row = [S::splat(*conv.bias.as_ptr().add(self.channel + 2 * j + l)); NV];
                }
            }
            for &offset in &conv.offsets {
                let from = self.src.offset(offset);
                let mut values = [S::splat(0.0); NV];
                for (v, value) in values.iter_mut().enumerate() {
                    *value = match STRIDE {
                        1 => S::load(from.add(v * S::LANES)),
                        2 => S::load_even_odd(from.add(2 * v * S::LANES)).0,
                        _ => self.strided::<S>(from, v * S::LANES, conv.window.stride[1]),
                    };
                }
                for (j, pair) in acc.iter_mut().enumerate() {
                    let weights = S::load_pair(w.add(2 * j));
                    for v in 0..NV {
                        pair[0][v] = S::fma_pair::<0>(pair[0][v], values[v], weights);
                    }
                    for v in 0..NV {
                        pair[1][v] = S::fma_pair::<1>(pair[1][v], values[v], weights);
                    }
                }
                w = w.add(2 * PAIRS);
            }
            let (low, high) = (S::splat(conv.clamp.low), S::splat(conv.clamp.high));
            if self.rows >= 2 * PAIRS && self.count >= NV * S::LANES {
                // A whole tile straight from its registers; one branch for all of it.
                if !self.residual.is_null() {
                    for (j, pair) in acc.iter_mut().enumerate() {
                        for (l, row) in pair.iter_mut().enumerate() {
                            for (v, sum) in row.iter_mut().enumerate() {
                                let at = (2 * j + l) * call.dst_plane + v * S::LANES;
                                *sum = S::add(S::load(self.residual.add(at)), *sum);
                            }
                        }
                    }
                }
                for (j, pair) in acc.into_iter().enumerate() {
                    for (l, row) in pair.into_iter().enumerate() {
                        for (v, sum) in row.into_iter().enumerate() {
                            let to = self.dst.add((2 * j + l) * call.dst_plane + v * S::LANES);
                            S::store(to, S::min(high, S::max(low, sum)));
                        }
                    }
                }
                return NV * S::LANES;
            }
            // Through memory, so that the loop above may keep its sums in registers: an array that is looped over here, where
            // the compiler does not unroll, is one that lives in memory there.
            let mut stage = MaybeUninit::<[[[f32; MOST_LANES]; MOST_VECTORS]; MOST_ROWS]>::uninit();
            let staged = stage.as_mut_ptr().cast::<f32>();
            for (j, pair) in acc.into_iter().enumerate() {
                #[allow(clippy::needless_range_loop)] // two arrays at once
                for v in 0..NV {
                    S::store(staged.add((2 * j * MOST_VECTORS + v) * MOST_LANES), pair[0][v]);
                    S::store(staged.add(((2 * j + 1) * MOST_VECTORS + v) * MOST_LANES), pair[1][v]);
                }
            }
            for r in 0..self.rows.min(2 * PAIRS) {
                let row = staged.add(r * MOST_VECTORS * MOST_LANES);
                self.put::<S, NV>(row, r * call.dst_plane, low, high);
            }
        }
        NV * S::LANES
    }

    /// Adds the residual, clamps and stores one channel's vectors.
    #[inline(always)]
    unsafe fn put<S: Simd, const NV: usize>(&self, row: *const f32, plane: usize, low: S::F, high: S::F) {
        for v in 0..NV {
            let x = v * S::LANES;
            if x >= self.count {
                return;
            }
            // SAFETY: `run`'s: position x of this channel exists; fewer than a vector are handled apart.
            unsafe {
                let (to, count) = (self.dst.add(plane + x), self.count - x);
                let mut value = S::load(row.add(v * MOST_LANES));
                if !self.residual.is_null() {
                    let from = self.residual.add(plane + x);
                    let mut end = [0.0f32; 16];
                    let more = if count >= S::LANES {
                        S::load(from)
                    } else {
                        std::ptr::copy_nonoverlapping(from, end.as_mut_ptr(), count);
                        S::load(end.as_ptr())
                    };
                    value = S::add(more, value);
                }
                value = S::min(high, S::max(low, value));
                if count >= S::LANES {
                    S::store(to, value);
                } else {
                    S::store_first(to, value, count);
                }
            }
        }
    }

    /// A vector of every `stride`th cell, of the positions that exist.
    #[inline(always)]
    unsafe fn strided<S: Simd>(&self, from: *const f32, first: usize, stride: usize) -> S::F {
        let mut cells = [0.0f32; 16];
        for (i, cell) in cells.iter_mut().enumerate().take(S::LANES.min(self.count.saturating_sub(first))) {
            // SAFETY: `run`'s: position first + i exists.
            *cell = unsafe { *from.add((first + i) * stride) };
        }
        // SAFETY: no set has more lanes than there are cells.
        unsafe { S::load(cells.as_ptr()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::check::{Random, every_isa};
    use crate::kernels::window_tests::Case;

    fn check(kernels: &Kernels, case: &Case, channels: usize, with_residual: bool) {
        let mut random = Random::new(case.seed ^ 7);
        let depth = case.source.channels * case.window.taps();
        let (weights, bias) = (random.floats(channels * depth), random.floats(channels));
        let src = random.floats(case.source.elements());
        let output = Planes { channels, ..case.output };
        let residual = with_residual.then(|| random.floats(output.elements()));
        let clamp = [Clamp::NONE, Clamp::RELU6][random.within(0, 1)];
        let conv = kernels.pack_conv(&case.window, &case.source, &weights, &bias, clamp);
        const MARK: f32 = 777.0;
        let mut dst = vec![MARK; output.elements()];
        // In two parts, as two threads would.
        let half = (channels / 2).next_multiple_of(conv.tile_channels()).min(channels);
        for part in [0..half, half..channels] {
            let plane = output.grid.plane * part.start;
            let residual = residual.as_ref().map(|r| &r[plane..]);
            kernels.conv(&conv, &src, residual, &mut dst[plane..], &output.grid, part);
        }
        for m in 0..channels {
            for y in 0..output.grid.height {
                for x in 0..output.grid.width {
                    let taps = case.taps(y, x);
                    let mut sum = bias[m] + residual.as_ref().map_or(0.0, |r| r[output.index(m, y, x)]);
                    for c in 0..case.source.channels {
                        let own = &weights[m * depth + c * taps.len()..];
                        sum +=
                            taps.iter().zip(own).map(|(at, w)| src[c * case.source.grid.plane + at] * w).sum::<f32>();
                    }
                    let (found, wanted) = (dst[output.index(m, y, x)], sum.clamp(clamp.low, clamp.high));
                    let label = format!("{} seed {} {:?} {m} {y} {x}", kernels.isa(), case.seed, case.window);
                    assert!((found - wanted).abs() <= 1e-5 * depth as f32, "{label}: {found} for {wanted}");
                    dst[output.index(m, y, x)] = MARK;
                }
            }
        }
        // What was written beside the grid lies between rows.
        for m in 0..channels {
            let inside = output.index(m, 0, 0)..output.index(m, 0, 0) + output.grid.sweep();
            let plane = m * output.grid.plane..(m + 1) * output.grid.plane;
            assert!(plane.into_iter().filter(|i| !inside.contains(i)).all(|i| dst[i] == MARK), "seed {}", case.seed);
        }
    }

    #[test]
    fn convolution_is_its_definition_on_random_geometry() {
        every_isa(|kernels| {
            for seed in 0..30 {
                let case = Case::random(seed, &[1, 3, 1, 3, 5, 4]);
                check(kernels, &case, Random::new(seed).within(1, 19), seed % 3 == 0);
            }
        });
    }

    #[test]
    fn rows_of_one_pitch_run_on() {
        let source = Grid::new(5, 6, crate::layout::Pads::all(1));
        let window = Window::square(3, 1, crate::layout::Pads::all(1));
        assert_eq!(Runs::new(&window, &source, &source).count, 1);
        assert_eq!(Runs::new(&window, &source, &Grid::new(5, 6, crate::layout::Pads::all(0))).count, 5);
    }
}
