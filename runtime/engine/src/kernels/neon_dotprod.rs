//! The int8 dot product of ARMv8.2: `sdot` by element.

use std::arch::aarch64::*;
use std::arch::asm;

use super::conv_int8::{Dot, MOST_ROWS, MOST_VECTORS, Packing, Sums, Taps, cells};
use super::depthwise_int8::{self, Depth, POSITIONS, Tile};
use super::neon::{Neon, TURN};
use super::neon_int8::put;
use super::neon_taps::{self, Walk};

/// Adds to each lane the dot product of its four bytes of `x` with the four bytes at `LANE` of `w`.
#[inline(always)]
pub(super) unsafe fn sdot_lane<const LANE: i32>(sum: int32x4_t, x: int32x4_t, w: int32x4_t) -> int32x4_t {
    let mut sum = sum;
    // SAFETY: registers only; the CPU has dotprod (the caller's). Rust 1.95 has no stable intrinsic for it.
    unsafe {
        asm!(
            "sdot {sum:v}.4s, {x:v}.16b, {w:v}.4b[{lane}]",
            sum = inout(vreg) sum,
            x = in(vreg) x,
            w = in(vreg) w,
            lane = const LANE,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    sum
}

/// Eight channels by twelve positions: 24 of 32 registers hold sums.
pub(crate) struct DotprodDot;

impl Dot for DotprodDot {
    type S = Neon;
    const PACKING: Packing = Packing { rows: 8, step: 1, eights: false, shift: 0, takes_least: true };
    const VECTORS: usize = 3;

    #[inline(always)]
    unsafe fn tile<const NV: usize, const STRIDE: usize>(taps: &Taps<'_>) -> Sums<Neon> {
        // SAFETY: the trait's.
        unsafe {
            let mut sums = [[vdupq_n_s32(0); MOST_VECTORS]; MOST_ROWS];
            for half in 0..2 {
                let bias = vld1q_s32(taps.bias.add(4 * half));
                sums[4 * half] = [vdupq_laneq_s32::<0>(bias); MOST_VECTORS];
                sums[4 * half + 1] = [vdupq_laneq_s32::<1>(bias); MOST_VECTORS];
                sums[4 * half + 2] = [vdupq_laneq_s32::<2>(bias); MOST_VECTORS];
                sums[4 * half + 3] = [vdupq_laneq_s32::<3>(bias); MOST_VECTORS];
            }
            if STRIDE == 1 || STRIDE == 2 {
                let (src, weights) = (taps.src.offset(taps.offsets[0] * 4).cast(), taps.weights.cast());
                let walk = Walk { src, deltas: taps.deltas.as_ptr(), step: 0, weights, taps: taps.offsets.len() };
                neon_taps::dots::<NV, STRIDE>(&mut sums, walk);
                return sums;
            }
            let mut weights = taps.weights.cast::<i32>();
            for &offset in taps.offsets {
                let from = taps.src.offset(offset * 4);
                let w = [vld1q_s32(weights), vld1q_s32(weights.add(4))];
                let mut x = [vdupq_n_s32(0); NV];
                for (v, x) in x.iter_mut().enumerate() {
                    *x = cells::<Neon, STRIDE>(taps, from, v);
                }
                for (half, &w) in w.iter().enumerate() {
                    for v in 0..NV {
                        sums[4 * half][v] = sdot_lane::<0>(sums[4 * half][v], x[v], w);
                        sums[4 * half + 1][v] = sdot_lane::<1>(sums[4 * half + 1][v], x[v], w);
                        sums[4 * half + 2][v] = sdot_lane::<2>(sums[4 * half + 2][v], x[v], w);
                        sums[4 * half + 3][v] = sdot_lane::<3>(sums[4 * half + 3][v], x[v], w);
                    }
                }
                weights = weights.add(MOST_ROWS);
            }
            sums
        }
    }
}

/// Adds to each lane the dot product of its four bytes of `x` with those of `w`.
#[inline(always)]
unsafe fn sdot(sum: int32x4_t, x: int8x16_t, w: int8x16_t) -> int32x4_t {
    let mut sum = sum;
    // SAFETY: registers only; the CPU has dotprod (the caller's).
    unsafe {
        asm!(
            "sdot {sum:v}.4s, {x:v}.16b, {w:v}.16b",
            sum = inout(vreg) sum,
            x = in(vreg) x,
            w = in(vreg) w,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    sum
}

/// Dot products along the rows of a channel.
pub(crate) struct DotprodDepth;

impl Depth for DotprodDepth {
    const ROWS: usize = 2;
    const PACKING: depthwise_int8::Packing = depthwise_int8::Packing { dot: true, shift: 0, takes_least: true };

    #[inline(always)]
    unsafe fn rows<const K: usize, const STRIDE: usize, const ROWS: usize>(tile: &Tile) {
        // SAFETY: the trait's; a position reads four cells from each fourth tap on, of which the slack covers those past the
        // row's end.
        unsafe {
            let groups = K.div_ceil(4);
            let turn = vld1q_u8(TURN.as_ptr());
            let (bias, scale) = (vld1q_s32(tile.bias), vld1q_f32(tile.scale));
            let mut weights = [[vdupq_n_s8(0); 2]; K];
            for (i, row) in weights.iter_mut().enumerate() {
                for (g, group) in row.iter_mut().enumerate().take(groups) {
                    *group = vld1q_s8(tile.weights.add((i * groups + g) * 16));
                }
            }
            let mut next = 0;
            while let Some(x) = tile.position(next) {
                let mut sums = [[bias; 4]; ROWS];
                for r in 0..(ROWS - 1) * STRIDE + K {
                    let row = tile.cells(r, x * STRIDE);
                    #[allow(clippy::needless_range_loop)] // two arrays at once
                    for g in 0..groups {
                        let from = row.add(g * 16);
                        let turned = [
                            vqtbl1q_s8(vld1q_s8(from), turn),
                            vqtbl1q_s8(vld1q_s8(from.add(STRIDE * 4)), turn),
                            vqtbl1q_s8(vld1q_s8(from.add(STRIDE * 8)), turn),
                            vqtbl1q_s8(vld1q_s8(from.add(STRIDE * 12)), turn),
                        ];
                        for (o, sums) in sums.iter_mut().enumerate() {
                            if r >= o * STRIDE && r < o * STRIDE + K {
                                let w = weights[r - o * STRIDE][g];
                                sums[0] = sdot(sums[0], turned[0], w);
                                sums[1] = sdot(sums[1], turned[1], w);
                                sums[2] = sdot(sums[2], turned[2], w);
                                sums[3] = sdot(sums[3], turned[3], w);
                            }
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
