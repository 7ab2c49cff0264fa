//! The int8 dot product of ARMv8.2: `sdot` by element.

use std::arch::aarch64::*;
use std::arch::asm;

use super::conv_int8::{Dot, MOST_ROWS, MOST_VECTORS, Packing, Sums, Taps, cells};
use super::neon::Neon;

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
            for (r, row) in sums.iter_mut().enumerate() {
                *row = [vdupq_n_s32(*taps.bias.add(r)); MOST_VECTORS];
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
