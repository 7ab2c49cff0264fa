//! The int8 dot product of AVX-512 VNNI: `vpdpbusd`.
//!
//! It multiplies unsigned by signed bytes: activations are moved up by 128 (one exclusive or), and the bias takes 128 times
//! the sum of the weights back.

use std::arch::x86_64::*;

use super::conv_int8::{Dot, MOST_ROWS, MOST_VECTORS, Packing, Sums, Taps, cells};
use super::x86_avx512::Avx512;

/// Eight channels by forty-eight positions: 24 of 32 registers hold sums.
pub(crate) struct VnniDot;

impl Dot for VnniDot {
    type S = Avx512;
    const PACKING: Packing = Packing { rows: 8, step: 1, eights: false, shift: 128, takes_least: true };
    const VECTORS: usize = 3;

    #[inline(always)]
    unsafe fn tile<const NV: usize, const STRIDE: usize>(taps: &Taps<'_>) -> Sums<Avx512> {
        // SAFETY: the trait's.
        unsafe {
            let mut sums = [[_mm512_setzero_si512(); MOST_VECTORS]; MOST_ROWS];
            for (r, row) in sums.iter_mut().enumerate() {
                *row = [_mm512_set1_epi32(*taps.bias.add(r)); MOST_VECTORS];
            }
            let top = _mm512_set1_epi8(i8::MIN);
            let mut weights = taps.weights.cast::<i32>();
            for &offset in taps.offsets {
                let from = taps.src.offset(offset * 4);
                let mut x = [top; NV];
                for (v, x) in x.iter_mut().enumerate() {
                    *x = _mm512_xor_si512(cells::<Avx512, STRIDE>(taps, from, v), top);
                }
                for (r, row) in sums.iter_mut().enumerate() {
                    let w = _mm512_set1_epi32(weights.add(r).read());
                    for v in 0..NV {
                        row[v] = _mm512_dpbusd_epi32(row[v], x[v], w);
                    }
                }
                weights = weights.add(MOST_ROWS);
            }
            sums
        }
    }
}
