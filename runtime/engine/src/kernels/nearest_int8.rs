//! Nearest neighbour in an `i8` memory bank: the least `offset[row] + scale[row] * (query · row)`.
//!
//! Queries count from their zero point. With `offset` = |b|² and `scale` = -2 * scale of the queries * scale of the bank this
//! is the squared distance but for |q|², which is the same for all rows. Queries are the positions of a grid of quads, so the
//! search is the tile of [`super::conv_int8`] with a minimum for an epilogue. Sums are exact and the epilogue is two float
//! operations in a fixed order, so results are bit-identical on every instruction set.

use std::ops::Range;

use super::Kernels;
use super::aligned::Aligned;
use super::conv::deltas;
use super::conv_int8::{Dot, Packing, Sums, Taps};
use super::simd::Simd;
use crate::layout::{Grid, LANES, Quads, SLACK_CELLS};

/// A memory bank packed for one instruction set and one layout of the queries.
#[derive(Clone, Debug)]
pub struct BankInt8 {
    queries: Quads,
    rows: usize,
    core: Core,
    offsets: Vec<isize>,
    /// Bytes from each offset to the next.
    deltas: Vec<isize>,
    weights: Aligned<i8>,
    bias: Aligned<i32>,
    offset: Aligned<f32>,
    scale: Aligned<f32>,
}

impl BankInt8 {
    /// Rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Bytes of the packed form.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.weights.len() + 4 * (self.bias.len() + self.offset.len() + self.scale.len())
    }
}

/// Everything a compiled body needs, checked: one run of queries.
pub(super) struct SearchCall<'a> {
    bank: &'a BankInt8,
    src: *const i8,
    count: usize,
    least: *mut f32,
    /// Row numbers, or null.
    index: *mut u32,
}

/// What an instruction set gives for this operation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Core {
    pub packing: Packing,
    pub run: unsafe fn(&SearchCall<'_>),
}

/// How many numbers a bank's operands have.
fn padded(rows: usize, packing: Packing) -> usize {
    rows.next_multiple_of(packing.rows)
}

impl Kernels {
    /// Packs `rows` (a matrix with `queries.channels` columns) with an offset and scale for each; `zero` is the queries' zero
    /// point.
    ///
    /// # Panics
    /// When the lengths do not fit, or there is no row, or more than 2^24.
    #[must_use]
    pub fn pack_bank_int8(&self, queries: &Quads, zero: i8, rows: &[i8], offset: &[f32], scale: &[f32]) -> BankInt8 {
        let depth = queries.channels;
        assert!(depth > 0 && !rows.is_empty() && rows.len().is_multiple_of(depth), "rows of {depth}");
        let count = rows.len() / depth;
        assert!(offset.len() == count && scale.len() == count, "an offset and scale for each row");
        assert!(count <= 1 << 24, "row numbers are kept as f32");
        let takes_all = self.nearest_int8_core.packing.takes_least || !rows.contains(&i8::MIN);
        let core = if takes_all { self.nearest_int8_core } else { self.nearest_int8_exact };
        let packing = core.packing;
        let mut offsets: Vec<isize> = (0..queries.blocks()).map(|c| (c * queries.grid.plane) as isize).collect();
        if !offsets.len().is_multiple_of(packing.step) {
            // Its weights are zero.
            offsets.push(0);
        }
        let mut bank = BankInt8 {
            queries: *queries,
            rows: count,
            core,
            weights: Aligned::zeroed(padded(count, packing) * offsets.len() * LANES),
            deltas: deltas(&offsets, LANES as isize),
            offsets,
            bias: Aligned::zeroed(padded(count, packing)),
            offset: Aligned::zeroed(padded(count, packing)),
            scale: Aligned::zeroed(padded(count, packing)),
        };
        // A row that does not exist is never nearest.
        bank.offset.fill(f32::INFINITY);
        bank.offset[..count].copy_from_slice(offset);
        bank.scale[..count].copy_from_slice(scale);
        for (m, row) in rows.chunks_exact(depth).enumerate() {
            let tile = &mut bank.weights[m / packing.rows * packing.rows * bank.offsets.len() * LANES..];
            for (k, &value) in row.iter().enumerate() {
                tile[packing.place(k / LANES, m % packing.rows, k % LANES)] = value;
            }
            bank.bias[m] = -(packing.shift + i32::from(zero)) * row.iter().map(|&b| i32::from(b)).sum::<i32>();
        }
        bank
    }

    /// For each position of some `lines` of the grid, line by line, the least
    /// `offset[row] + scale[row] * ((query - zero) · row)`, and on demand which row (the first of equals).
    ///
    /// # Panics
    /// When a slice is too short.
    pub fn nearest_int8(
        &self,
        bank: &BankInt8,
        src: &[i8],
        lines: Range<usize>,
        least: &mut [f32],
        mut index: Option<&mut [u32]>,
    ) {
        let Quads { grid, .. } = bank.queries;
        assert!(lines.end <= grid.height, "lines {lines:?} of {}", grid.height);
        let count = lines.len() * grid.width;
        if count == 0 {
            return;
        }
        let end = (bank.queries.blocks() - 1) * grid.plane + grid.cell(0, 0) + grid.sweep() + SLACK_CELLS;
        assert!(src.len() >= end * LANES, "queries of {} for {end} cells", src.len());
        assert!(least.len() >= count && index.as_ref().is_none_or(|i| i.len() >= count));
        let (runs, len) = runs(&grid, lines.len());
        for run in 0..runs {
            let call = SearchCall {
                bank,
                src: src[grid.cell(lines.start + run, 0) * LANES..].as_ptr(),
                count: len,
                least: least[run * len..].as_mut_ptr(),
                index: index.as_deref_mut().map_or(std::ptr::null_mut(), |i| i[run * len..].as_mut_ptr()),
            };
            // SAFETY: `bank` was packed by kernels whose instruction set is there; a run's positions lie in the grid, vectors
            // run over them by less than the slack, and the results' slices hold all positions.
            unsafe { (bank.core.run)(&call) }
        }
    }
}

/// Runs of queries without gaps in some lines, and the length of each.
fn runs(grid: &Grid, lines: usize) -> (usize, usize) {
    if grid.pitch == grid.width { (1, lines * grid.width) } else { (lines, grid.width) }
}

/// All queries of a run.
///
/// # Safety
/// As [`Dot`]; `call` is checked.
#[inline(always)]
pub(super) unsafe fn search<D: Dot>(call: &SearchCall<'_>) {
    let mut x = 0;
    while x < call.count {
        // SAFETY: the caller's: position x exists.
        unsafe {
            x += match ((call.count - x).div_ceil(D::S::LANES), call.index.is_null()) {
                (1, true) => vectors::<D, 1, false>(call, x),
                (1, false) => vectors::<D, 1, true>(call, x),
                (3 | 5.., true) if D::VECTORS == 3 => vectors::<D, 3, false>(call, x),
                (3 | 5.., false) if D::VECTORS == 3 => vectors::<D, 3, true>(call, x),
                (_, true) => vectors::<D, 2, false>(call, x),
                (_, false) => vectors::<D, 2, true>(call, x),
            };
        }
    }
}

/// `NV` vectors of queries from position `x` on against all rows; says how many positions that is.
#[inline(always)]
unsafe fn vectors<D: Dot, const NV: usize, const INDEX: bool>(call: &SearchCall<'_>, x: usize) -> usize {
    let bank = call.bank;
    let rows = D::PACKING.rows;
    // SAFETY: the caller's: the bank's operands hold whole tiles.
    unsafe {
        let mut least = [D::S::splat(f32::INFINITY); NV];
        let mut number = [D::S::splat(0.0); NV];
        for first in (0..bank.rows).step_by(rows) {
            let taps = Taps {
                offsets: &bank.offsets,
                deltas: &bank.deltas,
                weights: bank.weights.as_ptr().add(first * bank.offsets.len() * LANES),
                bias: bank.bias.as_ptr().add(first),
                src: call.src.add(x * LANES),
                stride: 1,
                count: call.count - x,
            };
            let sums: Sums<D::S> = D::tile::<NV, 1>(&taps);
            for (r, row) in sums.iter().enumerate().take(rows) {
                let scale = D::S::splat(*bank.scale.as_ptr().add(first + r));
                let offset = D::S::splat(*bank.offset.as_ptr().add(first + r));
                for v in 0..NV {
                    let value = D::S::add(offset, D::S::mul(scale, D::S::to_f(row[v])));
                    if INDEX {
                        let own = D::S::splat((first + r) as f32);
                        number[v] = D::S::select_gt(least[v], value, own, number[v]);
                    }
                    least[v] = D::S::min(least[v], value);
                }
            }
        }
        for v in 0..NV {
            let at = x + v * D::S::LANES;
            if at < call.count {
                put::<D::S>(call, at, least[v], number[v]);
            }
        }
    }
    NV * D::S::LANES
}

/// Stores a vector of results, or as much of it as there are queries.
#[inline(always)]
unsafe fn put<S: Simd>(call: &SearchCall<'_>, x: usize, least: S::F, number: S::F) {
    let count = S::LANES.min(call.count - x);
    let mut lanes = [0.0f32; 16];
    // SAFETY: the caller's: `count` results exist; no set has more than 16 lanes.
    unsafe {
        S::store(lanes.as_mut_ptr(), least);
        std::ptr::copy_nonoverlapping(lanes.as_ptr(), call.least.add(x), count);
        if !call.index.is_null() {
            S::store(lanes.as_mut_ptr(), number);
            for (i, &lane) in lanes.iter().enumerate().take(count) {
                *call.index.add(x + i) = lane as u32;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::check::{Random, every_isa};
    use crate::layout::Pads;

    fn check(kernels: &Kernels, seed: u64, floor: i8) {
        let mut random = Random::new(seed);
        let grid = Grid::new(random.within(1, 5), random.within(1, 60), Pads::all(random.within(0, 1)));
        let queries = Quads { channels: random.within(1, 40), grid };
        let depth = queries.channels;
        let count = random.within(1, 40);
        let rows: Vec<i8> = random.bytes(count * depth).into_iter().map(|b| b.max(floor)).collect();
        // Few different values, so that equal rows occur.
        let offset: Vec<f32> = (0..count).map(|_| random.within(0, 3) as f32 * 0.37).collect();
        let scale: Vec<f32> = (0..count).map(|_| -0.01 * random.within(1, 2) as f32).collect();
        let src = random.bytes(queries.bytes());
        let zero = random.bits() as i8;
        let bank = kernels.pack_bank_int8(&queries, zero, &rows, &offset, &scale);
        let positions = grid.height * grid.width;
        let (mut least, mut index) = (vec![0.0; positions], vec![u32::MAX; positions]);
        let mut alone = least.clone();
        kernels.nearest_int8(&bank, &src, 0..grid.height, &mut least, Some(&mut index));
        let half = grid.height / 2;
        let (upper, lower) = alone.split_at_mut(half * grid.width);
        kernels.nearest_int8(&bank, &src, 0..half, upper, None);
        kernels.nearest_int8(&bank, &src, half..grid.height, lower, None);
        assert_eq!(least, alone);
        for p in 0..positions {
            let mut best = (f32::INFINITY, u32::MAX);
            for (m, row) in rows.chunks_exact(depth).enumerate() {
                let value = |k: usize| i32::from(src[queries.index(k, p / grid.width, p % grid.width)]);
                let sum: i32 = row.iter().enumerate().map(|(k, &b)| i32::from(b) * (value(k) - i32::from(zero))).sum();
                let distance = offset[m] + scale[m] * sum as f32;
                if distance < best.0 {
                    best = (distance, m as u32);
                }
            }
            assert_eq!((least[p], index[p]), best, "{} seed {seed} position {p}", kernels.isa());
        }
    }

    #[test]
    fn the_nearest_int8_row_is_found_to_the_bit() {
        every_isa(|kernels| {
            for seed in 0..25 {
                check(kernels, seed, if seed % 5 == 0 { -128 } else { -127 });
            }
        });
    }
}
