//! The int8 matrix product of ARMv8.6: `smmla`, 2 channels by 2 positions by 8 weights in one instruction.

use std::arch::aarch64::*;
use std::arch::asm;

use super::conv_int8::{Dot, MOST_ROWS, MOST_VECTORS, Packing, Sums, Taps, cells};
use super::neon::Neon;

/// Adds the products of both rows of `a` with both rows of `b`, rows of eight bytes: lane `2 * i + j` gets row i of `a` with
/// row j of `b`.
#[inline(always)]
unsafe fn smmla(sum: int32x4_t, a: int8x16_t, b: int8x16_t) -> int32x4_t {
    let mut sum = sum;
    // SAFETY: registers only; the CPU has i8mm (the caller's). Rust 1.95 has no stable intrinsic for it.
    unsafe {
        asm!(
            "smmla {sum:v}.4s, {a:v}.16b, {b:v}.16b",
            sum = inout(vreg) sum,
            a = in(vreg) a,
            b = in(vreg) b,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    sum
}

/// Eight channels by eight positions, two taps at a time; with twelve the registers do not suffice.
pub(crate) struct I8mmDot;

impl Dot for I8mmDot {
    type S = Neon;
    const PACKING: Packing = Packing { rows: 8, step: 2, eights: true, shift: 0, takes_least: true };
    const VECTORS: usize = 2;

    #[inline(always)]
    unsafe fn tile<const NV: usize, const STRIDE: usize>(taps: &Taps<'_>) -> Sums<Neon> {
        // SAFETY: the trait's.
        unsafe {
            // For two channels and four positions, two registers of two by two.
            let mut squares = [[[vdupq_n_s32(0); 2]; NV]; 4];
            for (pair, row) in squares.iter_mut().enumerate() {
                let bias = vld1_s32(taps.bias.add(2 * pair));
                *row = [[vcombine_s32(vdup_lane_s32::<0>(bias), vdup_lane_s32::<1>(bias)); 2]; NV];
            }
            let mut weights = taps.weights;
            for both in taps.offsets.chunks_exact(2) {
                let (first, second) = (taps.src.offset(both[0] * 4), taps.src.offset(both[1] * 4));
                let mut x = [[vdupq_n_s8(0); 2]; NV];
                for (v, x) in x.iter_mut().enumerate() {
                    let (a, b) = (cells::<Neon, STRIDE>(taps, first, v), cells::<Neon, STRIDE>(taps, second, v));
                    *x = [vreinterpretq_s8_s32(vzip1q_s32(a, b)), vreinterpretq_s8_s32(vzip2q_s32(a, b))];
                }
                for (pair, row) in squares.iter_mut().enumerate() {
                    let w = vld1q_s8(weights.add(16 * pair));
                    for v in 0..NV {
                        row[v][0] = smmla(row[v][0], w, x[v][0]);
                        row[v][1] = smmla(row[v][1], w, x[v][1]);
                    }
                }
                weights = weights.add(64);
            }
            let mut sums = [[vdupq_n_s32(0); MOST_VECTORS]; MOST_ROWS];
            for (pair, row) in squares.iter().enumerate() {
                for (v, halves) in row.iter().enumerate() {
                    let (a, b) = (vreinterpretq_s64_s32(halves[0]), vreinterpretq_s64_s32(halves[1]));
                    sums[2 * pair][v] = vreinterpretq_s32_s64(vtrn1q_s64(a, b));
                    sums[2 * pair + 1][v] = vreinterpretq_s32_s64(vtrn2q_s64(a, b));
                }
            }
            sums
        }
    }
}
