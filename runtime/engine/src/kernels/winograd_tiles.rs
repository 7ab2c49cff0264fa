//! The bodies of [`super::winograd`], once for each instruction set and kernel size `K` (3 or 4).
//!
//! Vectors hold neighbouring tiles. For 4x4 outputs a row of the image is first split into its even and odd columns, and those
//! again, so that tile `t`'s columns `4 t .. 4 t + 5` are whole vectors; for 3x3 outputs a row is dealt out in three.

use super::simd::Simd;
use super::winograd::{Blocks, LANES, NUMBERS, WinogradCall};

/// The number of each lane.
static COUNTING: [f32; LANES] = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0, 12.0, 13.0, 14.0, 15.0];

/// Outputs of a tile, in a row, of the smallest kernel.
const MOST_OUTPUTS: usize = 4;

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

/// `A^T m` of six vectors: `7 - K` outputs; what is beyond them is not used.
#[inline(always)]
unsafe fn into_outputs<S: Simd, const K: usize>(m: [S::F; 6]) -> [S::F; MOST_OUTPUTS] {
    // SAFETY: the caller's.
    unsafe {
        let (two, four, eight) = (S::splat(2.0), S::splat(4.0), S::splat(8.0));
        let (a, b) = (S::add(m[1], m[2]), S::sub(m[1], m[2]));
        let (c, d) = (S::add(m[3], m[4]), S::sub(m[3], m[4]));
        let (first, second, third) = (S::add(S::add(m[0], a), c), S::fma(two, d, b), S::fma(four, c, a));
        if K == 4 {
            return [first, second, S::add(third, m[5]), m[5]];
        }
        [first, second, third, S::add(S::fma(eight, d, b), m[5])]
    }
}

/// The whole convolution, block by block.
///
/// # Safety
/// As [`Simd`]; `call` is checked.
#[inline(always)]
pub(super) unsafe fn winograd<S: Simd, const PAIRS: usize>(call: &WinogradCall<'_>) {
    // SAFETY: the caller's.
    unsafe {
        match call.packed.window.kernel[0] {
            3 => blocks::<S, PAIRS, 3>(call),
            _ => blocks::<S, PAIRS, 4>(call),
        }
    }
}

#[inline(always)]
unsafe fn blocks<S: Simd, const PAIRS: usize, const K: usize>(call: &WinogradCall<'_>) {
    let (packed, blocks) = (call.packed, call.blocks);
    // SAFETY: the caller's. What lies right of the last vector of columns stays zero.
    unsafe { call.scratch.add(call.columns()).write_bytes(0, 12 * blocks.half) };
    for first in (0..blocks.down).step_by(blocks.rows) {
        let rows = blocks.rows.min(blocks.down - first);
        // SAFETY: the caller's.
        unsafe {
            for c in 0..packed.source.channels {
                for row in 0..rows {
                    if K == 3 {
                        split_columns::<S>(call, c, first + row);
                        take_in::<S>(call, row);
                    } else {
                        transform_rows::<S>(call, c, first + row);
                        deal_in::<S>(call, row);
                    }
                }
                into_panels::<S>(call, c, rows * blocks.across);
            }
            let tiles = rows * blocks.across;
            for number in 0..NUMBERS {
                // A panel stays in the first-level cache while the weights stream past.
                for x in (0..tiles).step_by(2 * S::LANES) {
                    for m in (0..packed.channels).step_by(2 * PAIRS) {
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
                    give_out::<S, K>(call, m, first + row, row);
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

/// `(B^T d) B` of one row of tiles, from its split columns, to its place among the channel's.
#[inline(always)]
unsafe fn take_in<S: Simd>(call: &WinogradCall<'_>, row: usize) {
    let Blocks { across, half, pitch, .. } = call.blocks;
    // SAFETY: the caller's: the scratch holds the columns and the block's tiles; a vector that runs over the row's end is
    // overwritten by the next row's, or lies in the pitch.
    unsafe {
        let (even, odd) = (call.scratch.add(call.columns()), call.scratch.add(call.columns() + 6 * half));
        for t in (0..across).step_by(S::LANES) {
            let to = call.scratch.add(call.numbers() + row * across + t);
            for i in 0..6 {
                let (even, odd) = (even.add(i * half + 2 * t), odd.add(i * half + 2 * t));
                let ((d0, d2), (d1, d3)) = (S::load_even_odd(even), S::load_even_odd(odd));
                let (d4, d5) = (S::load_even_odd(even.add(2)).0, S::load_even_odd(odd.add(2)).0);
                for (j, number) in into_numbers::<S>([d0, d1, d2, d3, d4, d5]).into_iter().enumerate() {
                    S::store(to.add((6 * i + j) * pitch), number);
                }
            }
        }
    }
}

/// `B^T d` of one row of tiles of 3x3 outputs: six rows in the scratch, zero beyond the image.
#[inline(always)]
unsafe fn transform_rows<S: Simd>(call: &WinogradCall<'_>, c: usize, row: usize) {
    let grid = &call.packed.source.grid;
    let (valid_rows, valid_columns) = (call.output.height + 3, call.output.width + 3);
    // SAFETY: as `split_columns`; here the scratch has six rows of twice `half`.
    unsafe {
        let from = call.src.add(c * grid.plane + 3 * row * grid.pitch);
        let to = call.scratch.add(call.columns());
        for x in (0..valid_columns).step_by(S::LANES) {
            let mut values = [S::splat(0.0); 6];
            for (r, value) in values.iter_mut().enumerate() {
                if 3 * row + r < valid_rows {
                    *value = S::load(from.add(r * grid.pitch + x));
                }
            }
            let inside = S::splat((valid_columns - x) as f32);
            for (r, number) in into_numbers::<S>(values).into_iter().enumerate() {
                let number = S::select_gt(inside, S::load(COUNTING.as_ptr()), number, S::splat(0.0));
                S::store(to.add(2 * r * call.blocks.half + x), number);
            }
        }
    }
}

/// As [`take_in`], for tiles of 3x3 outputs, from [`transform_rows`]' rows.
#[inline(always)]
unsafe fn deal_in<S: Simd>(call: &WinogradCall<'_>, row: usize) {
    let Blocks { across, half, pitch, .. } = call.blocks;
    // SAFETY: as `take_in`; three vectors from `3 t + 3` on are within the rows' room.
    unsafe {
        for t in (0..across).step_by(S::LANES) {
            let to = call.scratch.add(call.numbers() + row * across + t);
            for i in 0..6 {
                let from = call.scratch.add(call.columns() + 2 * i * half + 3 * t).cast_const();
                let ([d0, d1, d2], [d3, d4, d5]) = (thirds::<S>(from), thirds::<S>(from.add(3)));
                for (j, number) in into_numbers::<S>([d0, d1, d2, d3, d4, d5]).into_iter().enumerate() {
                    S::store(to.add((6 * i + j) * pitch), number);
                }
            }
        }
    }
}

/// The numbers of one channel of a block, a vector at a time, to their places in the panels.
#[inline(always)]
unsafe fn into_panels<S: Simd>(call: &WinogradCall<'_>, c: usize, tiles: usize) {
    let depth = call.packed.source.channels;
    // SAFETY: the caller's: panels are whole.
    unsafe {
        for number in 0..NUMBERS {
            let from = call.scratch.add(call.numbers() + number * call.blocks.pitch);
            let to = call.scratch.add(number * call.steps().0 + 2 * c * S::LANES);
            for x in (0..tiles).step_by(2 * S::LANES) {
                S::store(to.add(x * depth), S::load(from.add(x)));
                S::store(to.add(x * depth + S::LANES), S::load(from.add(x + S::LANES)));
            }
        }
    }
}

/// Every third float from the first, the second and the third on.
#[inline(always)]
unsafe fn thirds<S: Simd>(from: *const f32) -> [S::F; 3] {
    let mut dealt = [[0.0f32; LANES]; 3];
    for i in 0..S::LANES {
        for (j, third) in dealt.iter_mut().enumerate() {
            // SAFETY: the caller's: three vectors may be read.
            third[i] = unsafe { *from.add(3 * i + j) };
        }
    }
    // SAFETY: each holds a vector.
    unsafe { [S::load(dealt[0].as_ptr()), S::load(dealt[1].as_ptr()), S::load(dealt[2].as_ptr())] }
}

/// The lanes of three vectors in turn.
#[inline(always)]
unsafe fn in_turn<S: Simd>(vectors: [S::F; 3]) -> [S::F; 3] {
    let (mut dealt, mut mixed) = ([[0.0f32; LANES]; 3], [0.0f32; 3 * LANES]);
    for (vector, third) in vectors.into_iter().zip(&mut dealt) {
        // SAFETY: each holds a vector.
        unsafe { S::store(third.as_mut_ptr(), vector) };
    }
    for i in 0..S::LANES {
        for (j, third) in dealt.iter().enumerate() {
            mixed[3 * i + j] = third[i];
        }
    }
    // SAFETY: there are three vectors.
    unsafe { [0, 1, 2].map(|v| S::load(mixed[v * S::LANES..].as_ptr())) }
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
        let w = packed.weights.as_ptr().add((number * packed.padded() + m) * depth);
        let v = call.scratch.add(number * call.steps().0 + x * depth).cast_const();
        let to = call.scratch.add(call.products() + number * call.steps().1 + m * pitch + x);
        S::product::<PAIRS, NV>(depth, w, v, to, pitch);
    }
}

/// `A^T m A`, bias, residual and clamp of one row of tiles of one channel: four (or three) rows of outputs.
#[inline(always)]
unsafe fn give_out<S: Simd, const K: usize>(call: &WinogradCall<'_>, m: usize, tile_row: usize, row: usize) {
    let (pitch, across) = (call.blocks.pitch, call.blocks.across);
    let step = call.steps().1;
    // SAFETY: the caller's: the products of the block's tiles are there; `put` stores only columns that exist.
    unsafe {
        for t in (0..across).step_by(S::LANES) {
            let from = call.scratch.add(call.products() + m * pitch + row * across + t).cast_const();
            let mut rows = [[S::splat(0.0); 6]; MOST_OUTPUTS];
            for j in 0..6 {
                let mut column = [S::splat(0.0); 6];
                for (i, number) in column.iter_mut().enumerate() {
                    *number = S::load(from.add((6 * i + j) * step));
                }
                for (row, value) in rows.iter_mut().zip(into_outputs::<S, K>(column)) {
                    row[j] = value;
                }
            }
            let size = 7 - K;
            for (i, row) in rows.into_iter().enumerate().take(size.min(call.output.height - size * tile_row)) {
                let [a, b, c, d] = into_outputs::<S, K>(row);
                let at = m * call.output.plane + (size * tile_row + i) * call.output.pitch + size * t;
                let count = call.output.width - size * t;
                if K == 4 {
                    put::<S, 3>(call, m, at, in_turn::<S>([a, b, c]), count);
                } else {
                    let ((even0, even1), (odd0, odd1)) = (S::interleave(a, c), S::interleave(b, d));
                    let ((v0, v1), (v2, v3)) = (S::interleave(even0, odd0), S::interleave(even1, odd1));
                    put::<S, 4>(call, m, at, [v0, v1, v2, v3], count);
                }
            }
        }
    }
}

/// Finishes and stores the vectors of a row, of which `count` columns exist.
#[inline(always)]
unsafe fn put<S: Simd, const NV: usize>(
    call: &WinogradCall<'_>,
    m: usize,
    at: usize,
    vectors: [S::F; NV],
    count: usize,
) {
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
