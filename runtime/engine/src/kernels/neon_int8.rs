//! The int8 dot product of ARMv8.0: `smull`, `smlal`, `sadalp`.
//!
//! Two products fit into 16 bits unless all factors are -128, so the products of two taps are added there and then pairwise
//! into 32 bits: 16 multiply-adds in three instructions.

use std::arch::aarch64::*;
use std::arch::asm;

use super::conv_int8::{Dot, Finish, MOST_ROWS, MOST_VECTORS, Packing, Sums, Taps, cells};
use super::depthwise_int8::{self, Depth, POSITIONS, Tile};
use super::neon::Neon;
use super::neon_pairs;
use super::neon_taps::Walk;

/// The same register. Knowing that both halves are alike, the compiler would move the other operand's upper half down instead
/// of multiplying the upper halves where they are (`smull2`).
#[inline(always)]
unsafe fn opaque(v: int8x16_t) -> int8x16_t {
    let mut v = v;
    // SAFETY: no instruction at all.
    unsafe { asm!("/* {v:v} */", v = inout(vreg) v, options(pure, nomem, nostack, preserves_flags)) };
    v
}

/// Four channels by eight positions, two taps at a time.
pub(crate) struct NeonDot;

impl Dot for NeonDot {
    type S = Neon;
    const PACKING: Packing = Packing { rows: 4, step: 2, eights: true, shift: 0, takes_least: false };
    const VECTORS: usize = 2;

    #[inline(always)]
    unsafe fn tile<const NV: usize, const STRIDE: usize>(taps: &Taps<'_>) -> Sums<Neon> {
        // SAFETY: the trait's.
        unsafe {
            // Two sums a position, to be added in the end, so two registers for four positions.
            let mut pairs = [[vdupq_n_s32(0); 4]; 4];
            let (bias, zero) = (vld1q_s32(taps.bias), vdupq_n_s32(0));
            let low = vreinterpretq_s64_s32(vzip1q_s32(bias, zero));
            let high = vreinterpretq_s64_s32(vzip2q_s32(bias, zero));
            pairs[0] = [vreinterpretq_s32_s64(vdupq_laneq_s64::<0>(low)); 4];
            pairs[1] = [vreinterpretq_s32_s64(vdupq_laneq_s64::<1>(low)); 4];
            pairs[2] = [vreinterpretq_s32_s64(vdupq_laneq_s64::<0>(high)); 4];
            pairs[3] = [vreinterpretq_s32_s64(vdupq_laneq_s64::<1>(high)); 4];
            if STRIDE == 1 || STRIDE == 2 {
                let (src, weights) = (taps.src.offset(taps.offsets[0] * 4).cast(), taps.weights.cast());
                let walk = Walk { src, deltas: taps.deltas.as_ptr(), step: 0, weights, taps: taps.offsets.len() };
                neon_pairs::pairs::<NV, STRIDE>(&mut pairs, walk);
            } else {
                apart::<NV>(taps, &mut pairs);
            }
            let mut sums = [[vdupq_n_s32(0); MOST_VECTORS]; MOST_ROWS];
            for (r, row) in pairs.iter().enumerate() {
                for v in 0..NV {
                    sums[r][v] = vpaddq_s32(row[2 * v], row[2 * v + 1]);
                }
            }
            sums
        }
    }
}

/// The sums where the cells are neither neighbours nor every second one.
#[inline(always)]
unsafe fn apart<const NV: usize>(taps: &Taps<'_>, pairs: &mut [[int32x4_t; 4]; 4]) {
    // SAFETY: `Dot::tile`'s.
    unsafe {
        let mut weights = taps.weights.cast::<i32>();
        for both in taps.offsets.chunks_exact(2) {
            for v in 0..NV {
                let first = cells::<Neon, 0>(taps, taps.src.offset(both[0] * 4), v);
                let second = cells::<Neon, 0>(taps, taps.src.offset(both[1] * 4), v);
                let (first, second) = (vreinterpretq_s8_s32(first), vreinterpretq_s8_s32(second));
                for (r, row) in pairs.iter_mut().enumerate() {
                    let w0 = opaque(vreinterpretq_s8_s32(vld1q_dup_s32(weights.add(2 * r))));
                    let w1 = opaque(vreinterpretq_s8_s32(vld1q_dup_s32(weights.add(2 * r + 1))));
                    let low =
                        vmlal_s8(vmull_s8(vget_low_s8(first), vget_low_s8(w0)), vget_low_s8(second), vget_low_s8(w1));
                    let high = vmlal_high_s8(vmull_high_s8(first, w0), second, w1);
                    row[2 * v] = vpadalq_s16(row[2 * v], low);
                    row[2 * v + 1] = vpadalq_s16(row[2 * v + 1], high);
                }
            }
            weights = weights.add(8);
        }
    }
}

/// Sums scaled, rounded and narrowed to bytes in their order. Saturation on the way down clamps as the bounds would.
#[inline(always)]
pub(super) unsafe fn narrowed(products: [float32x4_t; 4], finish: &Finish) -> int8x16_t {
    // SAFETY: no pointer is involved.
    unsafe {
        let [a, b, c, d] = products;
        let zero = vdupq_n_s16(finish.zero as i16);
        let low = vqmovn_high_s32(vqmovn_s32(vcvtnq_s32_f32(a)), vcvtnq_s32_f32(b));
        let high = vqmovn_high_s32(vqmovn_s32(vcvtnq_s32_f32(c)), vcvtnq_s32_f32(d));
        let (low, high) = (vqaddq_s16(low, zero), vqaddq_s16(high, zero));
        let bytes = vqmovn_high_s16(vqmovn_s16(low), high);
        let bytes = vmaxq_s8(bytes, vdupq_n_s8(finish.low_byte));
        vminq_s8(bytes, vdupq_n_s8(finish.high_byte))
    }
}

/// Stores a tile's row of sums, a register a position.
#[inline(always)]
pub(super) unsafe fn put(tile: &Tile, row: usize, x: usize, sums: [int32x4_t; 4], scale: float32x4_t) {
    // SAFETY: `Depth::rows`'s.
    unsafe {
        let products = sums.map(|sum| vmulq_f32(vcvtq_f32_s32(sum), scale));
        let bytes = narrowed(products, &tile.finish);
        tile.put(row, x, std::mem::transmute::<int8x16_t, [u8; 16]>(bytes));
    }
}

/// Products of two taps added in 16 bits, then widened.
pub(crate) struct NeonDepth;

impl Depth for NeonDepth {
    const ROWS: usize = 2;
    const PACKING: depthwise_int8::Packing = depthwise_int8::Packing { dot: false, shift: 0, takes_least: false };

    #[inline(always)]
    unsafe fn rows<const K: usize, const STRIDE: usize, const ROWS: usize>(tile: &Tile) {
        // SAFETY: the trait's.
        unsafe {
            let (bias, scale) = (vld1q_s32(tile.bias), vld1q_f32(tile.scale));
            let mut weights = [[vdupq_n_s8(0); K]; K];
            for (tap, weight) in weights.iter_mut().flatten().enumerate() {
                *weight = opaque(vreinterpretq_s8_s32(vld1q_dup_s32(tile.weights.add(tap * 4).cast())));
            }
            let mut next = 0;
            while let Some(x) = tile.position(next) {
                let mut sums = [[bias; 4]; ROWS];
                for r in 0..(ROWS - 1) * STRIDE + K {
                    let mut row = [vdupq_n_s8(0); K];
                    for (j, cells) in row.iter_mut().enumerate() {
                        *cells = four_cells::<STRIDE>(tile.cells(r, x * STRIDE).add(j * 4));
                    }
                    for (o, sums) in sums.iter_mut().enumerate() {
                        if r >= o * STRIDE && r < o * STRIDE + K {
                            add_row(sums, &row, &weights[r - o * STRIDE]);
                        }
                    }
                }
                for (o, sums) in sums.into_iter().enumerate() {
                    put(tile, o, x, sums, scale);
                }
                next = x + POSITIONS;
            }
        }
    }
}

/// Adds the products of a row of taps, two at a time.
#[inline(always)]
unsafe fn add_row<const K: usize>(sums: &mut [int32x4_t; 4], row: &[int8x16_t; K], weights: &[int8x16_t; K]) {
    for j in (0..K).step_by(2) {
        // SAFETY: no pointer is involved.
        unsafe {
            let mut low = vmull_s8(vget_low_s8(row[j]), vget_low_s8(weights[j]));
            let mut high = vmull_high_s8(row[j], weights[j]);
            if j + 1 < K {
                low = vmlal_s8(low, vget_low_s8(row[j + 1]), vget_low_s8(weights[j + 1]));
                high = vmlal_high_s8(high, row[j + 1], weights[j + 1]);
            }
            sums[0] = vaddw_s16(sums[0], vget_low_s16(low));
            sums[1] = vaddw_high_s16(sums[1], low);
            sums[2] = vaddw_s16(sums[2], vget_low_s16(high));
            sums[3] = vaddw_high_s16(sums[3], high);
        }
    }
}

/// Four cells, `STRIDE` apart.
#[inline(always)]
pub(super) unsafe fn four_cells<const STRIDE: usize>(from: *const i8) -> int8x16_t {
    // SAFETY: `Depth::rows`'s.
    unsafe {
        if STRIDE == 1 {
            return vld1q_s8(from);
        }
        let (a, b) = (vld1q_s32(from.cast()), vld1q_s32(from.add(16).cast()));
        vreinterpretq_s8_s32(vuzp1q_s32(a, b))
    }
}
