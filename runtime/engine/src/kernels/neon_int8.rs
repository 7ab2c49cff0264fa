//! The int8 dot product of ARMv8.0: `smull`, `smlal`, `sadalp`.
//!
//! Two products fit into 16 bits unless all factors are -128, so the products of two taps are added there and then pairwise
//! into 32 bits: 16 multiply-adds in three instructions.

use std::arch::aarch64::*;

use super::conv_int8::{Dot, MOST_ROWS, MOST_VECTORS, Packing, Sums, Taps, cells};
use super::neon::Neon;

/// Four channels by eight positions, two taps at a time.
pub(crate) struct NeonDot;

impl Dot for NeonDot {
    type S = Neon;
    const PACKING: Packing = Packing { rows: 4, step: 2, eights: false, shift: 0, takes_least: false };
    const VECTORS: usize = 2;

    #[inline(always)]
    unsafe fn tile<const NV: usize, const STRIDE: usize>(taps: &Taps<'_>) -> Sums<Neon> {
        // SAFETY: the trait's.
        unsafe {
            // Two sums a position, to be added in the end, so two registers for four positions.
            let mut pairs = [[[vdupq_n_s32(0); 2]; NV]; 4];
            let mut weights = taps.weights.cast::<i32>();
            for both in taps.offsets.chunks_exact(2) {
                let (first, second) = (taps.src.offset(both[0] * 4), taps.src.offset(both[1] * 4));
                let mut x = [[vdupq_n_s8(0); 2]; NV];
                for (v, x) in x.iter_mut().enumerate() {
                    x[0] = vreinterpretq_s8_s32(cells::<Neon, STRIDE>(taps, first, v));
                    x[1] = vreinterpretq_s8_s32(cells::<Neon, STRIDE>(taps, second, v));
                }
                for (r, row) in pairs.iter_mut().enumerate() {
                    let w0 = vreinterpretq_s8_s32(vld1q_dup_s32(weights.add(r)));
                    let w1 = vreinterpretq_s8_s32(vld1q_dup_s32(weights.add(4 + r)));
                    for v in 0..NV {
                        let low = vmull_s8(vget_low_s8(x[v][0]), vget_low_s8(w0));
                        let low = vmlal_s8(low, vget_low_s8(x[v][1]), vget_low_s8(w1));
                        let high = vmlal_high_s8(vmull_high_s8(x[v][0], w0), x[v][1], w1);
                        row[v][0] = vpadalq_s16(row[v][0], low);
                        row[v][1] = vpadalq_s16(row[v][1], high);
                    }
                }
                weights = weights.add(8);
            }
            let mut sums = [[vdupq_n_s32(0); MOST_VECTORS]; MOST_ROWS];
            for (r, row) in pairs.iter().enumerate() {
                let bias = vdupq_n_s32(*taps.bias.add(r));
                for (v, halves) in row.iter().enumerate() {
                    sums[r][v] = vaddq_s32(vpaddq_s32(halves[0], halves[1]), bias);
                }
            }
            sums
        }
    }
}
