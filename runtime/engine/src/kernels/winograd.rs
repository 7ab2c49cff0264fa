//! 3x3 convolution with stride 1 by Winograd's minimal filtering F(4x4, 3x3): a quarter of the multiplications.
//!
//! Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (2016). The input is cut into tiles of 6x6 that overlap
//! by two; each becomes 36 numbers (`B^T d B`), each of the 36 is a matrix product over the channels, and 36 sums become 4x4
//! outputs (`A^T m A`). Costs about two digits of precision against the direct sum, which f32 has to spare.
//!
//! Vectors hold neighbouring tiles. A row of the image is first split into its even and odd columns, and those again, so that
//! tile `t`'s columns `4 t .. 4 t + 5` are whole vectors.

use super::aligned::Aligned;
use super::simd::Simd;
use super::{Clamp, Kernels, Window};
use crate::layout::{Grid, Pads, Planes, SLACK_CELLS};

/// Numbers of a transformed tile.
const NUMBERS: usize = 36;
/// Tiles that are computed together, at most (but at least one row of them).
const BLOCK_TILES: usize = 64;
/// The number of each lane.
static COUNTING: [f32; LANES] = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0, 12.0, 13.0, 14.0, 15.0];

/// The most lanes of any set.
const LANES: usize = 16;

/// A 3x3 convolution packed for the kernels of one instruction set and one source layout.
#[derive(Clone, Debug)]
pub struct Winograd {
    window: Window,
    source: Planes,
    channels: usize,
    tile_rows: usize,
    /// `[36][channels / tile_rows][source channels][tile_rows]`.
    weights: Aligned<f32>,
    bias: Aligned<f32>,
    clamp: Clamp,
}

impl Winograd {
    /// Output channels.
    #[must_use]
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Bytes of the packed weights.
    #[must_use]
    pub fn bytes(&self) -> usize {
        4 * (self.weights.len() + self.bias.len())
    }

    fn padded(&self) -> usize {
        self.channels.next_multiple_of(self.tile_rows)
    }

    /// Floats of working memory for outputs of this size.
    #[must_use]
    pub fn scratch_len(&self, output: &Grid) -> usize {
        let blocks = Blocks::new(output);
        NUMBERS * (number_step(self.source.channels, &blocks) + number_step(self.padded(), &blocks))
            + 12 * blocks.half
            + LANES
    }
}

/// How the tiles of an output are taken together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Blocks {
    /// Tiles in a row, and rows of tiles.
    across: usize,
    down: usize,
    /// Rows of tiles in a block.
    rows: usize,
    /// Floats for the tiles of a block, with room for the vectors that run over its end.
    pitch: usize,
    /// Floats for every second column of a row, with the same room.
    half: usize,
}

impl Blocks {
    fn new(output: &Grid) -> Blocks {
        let (across, down) = (output.width.div_ceil(4), output.height.div_ceil(4));
        let most = (BLOCK_TILES / across.max(1)).clamp(1, down.max(1));
        // Blocks of like size rather than full ones and a rest.
        let rows = down.div_ceil(down.div_ceil(most).max(1));
        // The matrix product computes up to two vectors beyond the last tile.
        let pitch = (rows * across).next_multiple_of(LANES) + 2 * LANES;
        Blocks { across, down, rows, pitch, half: 2 * across.next_multiple_of(LANES) + 4 * LANES }
    }
}

/// Everything a compiled body needs, checked.
pub(super) struct WinogradCall<'a> {
    packed: &'a Winograd,
    blocks: Blocks,
    src: *const f32,
    dst: *mut f32,
    residual: *const f32,
    output: Grid,
    /// `[36][source channels][pitch]`, then `[36][padded channels][pitch]`, then rows of columns.
    scratch: *mut f32,
}

impl WinogradCall<'_> {
    /// Floats from one of the 36 numbers to the next, before and after the products.
    fn steps(&self) -> (usize, usize) {
        (number_step(self.packed.source.channels, &self.blocks), number_step(self.packed.padded(), &self.blocks))
    }

    fn products(&self) -> usize {
        NUMBERS * self.steps().0
    }

    fn columns(&self) -> usize {
        self.products() + NUMBERS * self.steps().1
    }
}

/// Floats of one number of a block's tiles, in all channels. One line more, lest the 36 lines of a tile fall into one set of
/// the cache.
fn number_step(channels: usize, blocks: &Blocks) -> usize {
    channels * blocks.pitch + LANES
}

/// A body: the whole convolution.
pub(super) type Core = unsafe fn(&WinogradCall<'_>);

/// `G g G^T` of a 3x3 kernel.
fn transformed(kernel: &[f32]) -> [f64; NUMBERS] {
    const G: [[f64; 3]; 6] = [
        [0.25, 0.0, 0.0],
        [-1.0 / 6.0, -1.0 / 6.0, -1.0 / 6.0],
        [-1.0 / 6.0, 1.0 / 6.0, -1.0 / 6.0],
        [1.0 / 24.0, 1.0 / 12.0, 1.0 / 6.0],
        [1.0 / 24.0, -1.0 / 12.0, 1.0 / 6.0],
        [0.0, 0.0, 1.0],
    ];
    let mut numbers = [0.0; NUMBERS];
    for (n, number) in numbers.iter_mut().enumerate() {
        for i in 0..3 {
            for j in 0..3 {
                *number += G[n / 6][i] * f64::from(kernel[3 * i + j]) * G[n % 6][j];
            }
        }
    }
    numbers
}

/// `B^T d` of six vectors.
#[inline(always)]
unsafe fn into_numbers<S: Simd>(d: [S::F; 6]) -> [S::F; 6] {
    // SAFETY: the caller's.
    unsafe {
        let (two, four, five) = (S::splat(2.0), S::splat(4.0), S::splat(5.0));
        let minus = |a: S::F, factor: S::F, b: S::F| S::sub(a, S::mul(factor, b));
        let (a, b) = (minus(d[4], four, d[2]), minus(d[3], four, d[1]));
        let (c, e) = (S::sub(d[4], d[2]), S::mul(two, S::sub(d[3], d[1])));
        [
            S::fma(four, d[0], minus(d[4], five, d[2])),
            S::add(a, b),
            S::sub(a, b),
            S::add(c, e),
            S::sub(c, e),
            S::fma(four, d[1], minus(d[5], five, d[3])),
        ]
    }
}

/// `A^T m` of six vectors.
#[inline(always)]
unsafe fn into_outputs<S: Simd>(m: [S::F; 6]) -> [S::F; 4] {
    // SAFETY: the caller's.
    unsafe {
        let (two, four, eight) = (S::splat(2.0), S::splat(4.0), S::splat(8.0));
        let (a, b) = (S::add(m[1], m[2]), S::sub(m[1], m[2]));
        let (c, d) = (S::add(m[3], m[4]), S::sub(m[3], m[4]));
        [S::add(S::add(m[0], a), c), S::fma(two, d, b), S::fma(four, c, a), S::add(S::fma(eight, d, b), m[5])]
    }
}

/// The whole convolution, block by block.
///
/// # Safety
/// As [`Simd`]; `call` is checked.
#[inline(always)]
pub(super) unsafe fn winograd<S: Simd, const PAIRS: usize>(call: &WinogradCall<'_>) {
    let (packed, blocks) = (call.packed, call.blocks);
    // SAFETY: the caller's. What lies right of the last vector of columns stays zero.
    unsafe { call.scratch.add(call.columns()).write_bytes(0, 12 * blocks.half) };
    for first in (0..blocks.down).step_by(blocks.rows) {
        let rows = blocks.rows.min(blocks.down - first);
        // SAFETY: the caller's.
        unsafe {
            for c in 0..packed.source.channels {
                for row in 0..rows {
                    split_columns::<S>(call, c, first + row);
                    take_in::<S>(call, c, row);
                }
            }
            for number in 0..NUMBERS {
                for m in (0..packed.channels).step_by(2 * PAIRS) {
                    let tiles = rows * blocks.across;
                    for x in (0..tiles).step_by(2 * S::LANES) {
                        if x + S::LANES < tiles {
                            product::<S, PAIRS, 2>(call, number, m, x);
                        } else {
                            product::<S, PAIRS, 1>(call, number, m, x);
                        }
                    }
                }
            }
            for m in 0..packed.channels {
                for row in 0..rows {
                    give_out::<S>(call, m, first + row, row);
                }
            }
        }
    }
}

/// The even and odd columns of `B^T d` of one row of tiles: six rows of each in the scratch, zero beyond the image.
#[inline(always)]
unsafe fn split_columns<S: Simd>(call: &WinogradCall<'_>, c: usize, row: usize) {
    let grid = &call.packed.source.grid;
    let half = call.blocks.half;
    let (valid_rows, valid_columns) = (call.output.height + 2, call.output.width + 2);
    // SAFETY: the caller's: rows below `valid_rows` exist, loads run over their end by less than the slack, and the scratch
    // holds `half` floats for each of the twelve rows.
    unsafe {
        let from = call.src.add(c * grid.plane + 4 * row * grid.pitch);
        let (even, odd) = (call.scratch.add(call.columns()), call.scratch.add(call.columns() + 6 * half));
        for x in (0..valid_columns.div_ceil(2)).step_by(S::LANES) {
            let (mut evens, mut odds) = ([S::splat(0.0); 6], [S::splat(0.0); 6]);
            for r in 0..6 {
                if 4 * row + r < valid_rows {
                    (evens[r], odds[r]) = S::load_even_odd(from.add(r * grid.pitch + 2 * x));
                }
            }
            let (evens, odds) = (into_numbers::<S>(evens), into_numbers::<S>(odds));
            // What lies right of the image is not part of it, and may be anything.
            let (lane, zero) = (S::load(COUNTING.as_ptr()), S::splat(0.0));
            let inside_even = S::splat(valid_columns.div_ceil(2) as f32 - x as f32);
            let inside_odd = S::splat((valid_columns / 2) as f32 - x as f32);
            for r in 0..6 {
                S::store(even.add(r * half + x), S::select_gt(inside_even, lane, evens[r], zero));
                S::store(odd.add(r * half + x), S::select_gt(inside_odd, lane, odds[r], zero));
            }
        }
    }
}

/// `(B^T d) B` of one row of tiles, from its split columns, to its place among the block's.
#[inline(always)]
unsafe fn take_in<S: Simd>(call: &WinogradCall<'_>, c: usize, row: usize) {
    let Blocks { across, half, pitch, .. } = call.blocks;
    // SAFETY: the caller's: the scratch holds the columns and the block's tiles; a vector that runs over the row's end is
    // overwritten by the next row's, or lies in the pitch.
    unsafe {
        let (even, odd) = (call.scratch.add(call.columns()), call.scratch.add(call.columns() + 6 * half));
        let step = call.steps().0;
        for t in (0..across).step_by(S::LANES) {
            let to = call.scratch.add(c * pitch + row * across + t);
            for i in 0..6 {
                let (even, odd) = (even.add(i * half + 2 * t), odd.add(i * half + 2 * t));
                let ((d0, d2), (d1, d3)) = (S::load_even_odd(even), S::load_even_odd(odd));
                let (d4, d5) = (S::load_even_odd(even.add(2)).0, S::load_even_odd(odd.add(2)).0);
                for (j, number) in into_numbers::<S>([d0, d1, d2, d3, d4, d5]).into_iter().enumerate() {
                    S::store(to.add((6 * i + j) * step), number);
                }
            }
        }
    }
}

/// `2 * PAIRS` channels by `NV` vectors of tiles of one of the 36 matrix products.
#[inline(always)]
unsafe fn product<S: Simd, const PAIRS: usize, const NV: usize>(
    call: &WinogradCall<'_>,
    number: usize,
    m: usize,
    x: usize,
) {
    let (packed, pitch) = (call.packed, call.blocks.pitch);
    let depth = packed.source.channels;
    // SAFETY: the caller's: weights and scratch hold whole tiles, and the pitch the vectors beyond the last.
    unsafe {
        let mut w = packed.weights.as_ptr().add((number * packed.padded() + m) * depth);
        let mut v = call.scratch.add(number * call.steps().0 + x).cast_const();
        let mut acc = [[[S::splat(0.0); NV]; 2]; PAIRS];
        for _ in 0..depth {
            let mut values = [S::splat(0.0); NV];
            for (n, value) in values.iter_mut().enumerate() {
                *value = S::load(v.add(n * S::LANES));
            }
            for (j, pair) in acc.iter_mut().enumerate() {
                let weights = S::load_pair(w.add(2 * j));
                for n in 0..NV {
                    pair[0][n] = S::fma_pair::<0>(pair[0][n], values[n], weights);
                }
                for n in 0..NV {
                    pair[1][n] = S::fma_pair::<1>(pair[1][n], values[n], weights);
                }
            }
            (v, w) = (v.add(pitch), w.add(2 * PAIRS));
        }
        let to = call.scratch.add(call.products() + number * call.steps().1 + m * pitch + x);
        for (r, row) in acc.iter().flatten().enumerate() {
            for (n, &sum) in row.iter().enumerate() {
                S::store(to.add(r * pitch + n * S::LANES), sum);
            }
        }
    }
}

/// `A^T m A`, bias, residual and clamp of one row of tiles of one channel: four rows of outputs.
#[inline(always)]
unsafe fn give_out<S: Simd>(call: &WinogradCall<'_>, m: usize, tile_row: usize, row: usize) {
    let (pitch, across) = (call.blocks.pitch, call.blocks.across);
    let step = call.steps().1;
    // SAFETY: the caller's: the products of the block's tiles are there; `put` stores only columns that exist.
    unsafe {
        for t in (0..across).step_by(S::LANES) {
            let from = call.scratch.add(call.products() + m * pitch + row * across + t).cast_const();
            let mut rows = [[S::splat(0.0); 6]; 4];
            for j in 0..6 {
                let mut column = [S::splat(0.0); 6];
                for (i, number) in column.iter_mut().enumerate() {
                    *number = S::load(from.add((6 * i + j) * step));
                }
                for (row, value) in rows.iter_mut().zip(into_outputs::<S>(column)) {
                    row[j] = value;
                }
            }
            for (i, row) in rows.into_iter().enumerate().take(call.output.height - 4 * tile_row) {
                let [a, b, c, d] = into_outputs::<S>(row);
                let ((even0, even1), (odd0, odd1)) = (S::interleave(a, c), S::interleave(b, d));
                let ((v0, v1), (v2, v3)) = (S::interleave(even0, odd0), S::interleave(even1, odd1));
                let at = m * call.output.plane + (4 * tile_row + i) * call.output.pitch + 4 * t;
                put::<S>(call, m, at, [v0, v1, v2, v3], call.output.width - 4 * t);
            }
        }
    }
}

/// Finishes and stores four vectors of a row, of which `count` columns exist.
#[inline(always)]
unsafe fn put<S: Simd>(call: &WinogradCall<'_>, m: usize, at: usize, vectors: [S::F; 4], count: usize) {
    for (v, vector) in vectors.into_iter().enumerate() {
        let x = v * S::LANES;
        if x >= count {
            return;
        }
        // SAFETY: the caller's: the columns below `count` exist.
        unsafe {
            let mut value = S::add(vector, S::splat(*call.packed.bias.as_ptr().add(m)));
            if !call.residual.is_null() {
                let mut end = [0.0f32; LANES];
                let from = call.residual.add(at + x);
                std::ptr::copy_nonoverlapping(from, end.as_mut_ptr(), S::LANES.min(count - x));
                value = S::add(S::load(end.as_ptr()), value);
            }
            let clamp = call.packed.clamp;
            value = S::min(S::splat(clamp.high), S::max(S::splat(clamp.low), value));
            if count - x >= S::LANES {
                S::store(call.dst.add(at + x), value);
            } else {
                S::store_first(call.dst.add(at + x), value, count - x);
            }
        }
    }
}

impl Kernels {
    /// Packs `weights` (`[channels][source channels][3][3]`) and `bias` (one a channel, or none) of a convolution with stride 1
    /// whose input lies as `source` says.
    ///
    /// # Panics
    /// When the lengths do not fit.
    #[must_use]
    pub fn pack_winograd(&self, pads: Pads, source: &Planes, weights: &[f32], bias: &[f32], clamp: Clamp) -> Winograd {
        let depth = source.channels;
        assert!(depth > 0 && weights.len().is_multiple_of(9 * depth), "weights of {depth} x 3 x 3 a channel");
        let channels = weights.len() / (9 * depth);
        assert!(bias.is_empty() || bias.len() == channels, "{} biases for {channels} channels", bias.len());
        let rows = self.winograd_cores.tile_rows;
        let padded = channels.next_multiple_of(rows);
        let mut packed = Aligned::zeroed(NUMBERS * padded * depth);
        for (k, kernel) in weights.chunks_exact(9).enumerate() {
            let (m, c) = (k / depth, k % depth);
            for (number, value) in transformed(kernel).into_iter().enumerate() {
                packed[(number * padded + m / rows * rows) * depth + c * rows + m % rows] = value as f32;
            }
        }
        let mut biases = Aligned::zeroed(padded);
        biases[..bias.len()].copy_from_slice(bias);
        let window = Window::square(3, 1, pads);
        Winograd { window, source: *source, channels, tile_rows: rows, weights: packed, bias: biases, clamp }
    }

    /// The convolution, into `dst`; `residual` is added before the clamp and lies as `dst`. Writes only inside the grid.
    ///
    /// # Panics
    /// When a slice is too short for its planes (see [`crate::layout`]) or [`Winograd::scratch_len`], the source's padding for
    /// the window, or the convolution was packed for other kernels.
    pub fn winograd(
        &self,
        packed: &Winograd,
        src: &[f32],
        residual: Option<&[f32]>,
        scratch: &mut [f32],
        dst: &mut [f32],
        output: &Grid,
    ) {
        assert_eq!(packed.tile_rows, self.winograd_cores.tile_rows, "packed for other kernels");
        if packed.channels == 0 || output.height * output.width == 0 {
            return;
        }
        let (first, end) = packed.window.span(&packed.source.grid, output);
        let end = (packed.source.channels - 1) * packed.source.grid.plane + end + SLACK_CELLS;
        assert!(src.len() >= end, "source of {} for {end} cells", src.len());
        assert!(scratch.len() >= packed.scratch_len(output));
        let from = output.cell(0, 0);
        let dst_end = (packed.channels - 1) * output.plane + from + output.sweep();
        assert!(dst.len() >= dst_end && residual.is_none_or(|r| r.len() >= dst_end), "output for {dst_end} cells");
        let call = WinogradCall {
            packed,
            blocks: Blocks::new(output),
            src: src[first..].as_ptr(),
            dst: dst[from..].as_mut_ptr(),
            residual: residual.map_or(std::ptr::null(), |r| r[from..].as_ptr()),
            output: *output,
            scratch: scratch.as_mut_ptr(),
        };
        // SAFETY: the table's instruction set is there; the asserts cover source, scratch and output.
        unsafe { (self.winograd_cores.run)(&call) }
    }
}

/// What an instruction set gives for this operation.
#[derive(Clone, Copy)]
pub(super) struct Cores {
    pub tile_rows: usize,
    pub run: Core,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::check::{Random, every_isa};

    fn check(kernels: &Kernels, seed: u64) {
        let mut random = Random::new(seed);
        let (height, width) = (random.within(1, 19), random.within(1, 75));
        let (depth, channels) = (random.within(1, 9), random.within(1, 11));
        let pad = random.within(0, 1);
        let window = Window::square(3, 1, Pads::all(pad));
        let source =
            Planes { channels: depth, grid: Grid::new(height + 2 - 2 * pad, width + 2 - 2 * pad, Pads::all(1)) };
        let output = Planes { channels, grid: Grid::new(height, width, Pads::all(random.within(0, 2))) };
        // Outside the taps lie values that must not be met.
        let mut src = vec![f32::NAN; source.elements()];
        let (first, _) = window.span(&source.grid, &output.grid);
        for c in 0..depth {
            for (y, x) in (0..height + 2).flat_map(|y| (0..width + 2).map(move |x| (y, x))) {
                src[c * source.grid.plane + first + y * source.grid.pitch + x] = random.float();
            }
        }
        let (weights, bias) = (random.floats(channels * depth * 9), random.floats(channels));
        let residual = seed.is_multiple_of(2).then(|| random.floats(output.elements()));
        let winograd = kernels.pack_winograd(window.pads, &source, &weights, &bias, Clamp::RELU);
        let mut scratch = vec![f32::NAN; winograd.scratch_len(&output.grid)];
        const MARK: f32 = 777.0;
        let mut dst = vec![MARK; output.elements()];
        kernels.winograd(&winograd, &src, residual.as_deref(), &mut scratch, &mut dst, &output.grid);
        for (m, y, x) in (0..channels).flat_map(|m| (0..height).flat_map(move |y| (0..width).map(move |x| (m, y, x)))) {
            let at = output.index(m, y, x);
            let mut sum = f64::from(bias[m]) + residual.as_ref().map_or(0.0, |r| f64::from(r[at]));
            for k in 0..9 * depth {
                let (c, tap) = (k / 9, k % 9);
                let cell = first + (y + tap / 3) * source.grid.pitch + x + tap % 3;
                sum += f64::from(src[c * source.grid.plane + cell]) * f64::from(weights[m * 9 * depth + k]);
            }
            let label = format!("{} seed {seed} {height}x{width} {m} {y} {x}", kernels.isa());
            assert!((f64::from(dst[at]) - sum.max(0.0)).abs() < 1e-4, "{label}: {} for {}", dst[at], sum.max(0.0));
            dst[at] = MARK;
        }
        assert!(dst.iter().all(|&v| v == MARK), "{} seed {seed}: wrote outside its grid", kernels.isa());
    }

    #[test]
    fn winograd_is_the_convolution_on_random_geometry() {
        every_isa(|kernels| (0..25).for_each(|seed| check(kernels, seed)));
    }
}
