//! The int8 dot product of AVX2: `vpmaddubsw` on magnitudes.
//!
//! `vpmaddubsw` multiplies unsigned by signed and saturates the sum of two products at 16 bits. With the magnitude of the
//! activation (at most 128) and the weight with the activation's sign (at most 127) that is 2 * 128 * 127 = 32512, which
//! fits; so weights of -128, whose sign cannot be turned, go another way.

use std::arch::x86_64::*;

use super::conv_int8::{Dot, MOST_ROWS, MOST_VECTORS, Packing, Sums, Taps, cells};
use super::x86_avx2::Avx2;

/// Four channels by sixteen positions.
pub(crate) struct Avx2Dot;

impl Dot for Avx2Dot {
    type S = Avx2;
    const PACKING: Packing = Packing { rows: 4, step: 1, eights: false, shift: 0, takes_least: false };
    const VECTORS: usize = 2;

    #[inline(always)]
    unsafe fn tile<const NV: usize, const STRIDE: usize>(taps: &Taps<'_>) -> Sums<Avx2> {
        // SAFETY: the trait's.
        unsafe {
            let mut sums = [[_mm256_setzero_si256(); MOST_VECTORS]; MOST_ROWS];
            for (r, row) in sums.iter_mut().enumerate().take(4) {
                *row = [_mm256_set1_epi32(*taps.bias.add(r)); MOST_VECTORS];
            }
            let ones = _mm256_set1_epi16(1);
            let mut weights = taps.weights.cast::<i32>();
            for &offset in taps.offsets {
                let from = taps.src.offset(offset * 4);
                for v in 0..NV {
                    let x = cells::<Avx2, STRIDE>(taps, from, v);
                    let magnitude = _mm256_abs_epi8(x);
                    for (r, row) in sums.iter_mut().enumerate().take(4) {
                        let w = _mm256_sign_epi8(_mm256_set1_epi32(weights.add(r).read()), x);
                        let pairs = _mm256_maddubs_epi16(magnitude, w);
                        row[v] = _mm256_add_epi32(row[v], _mm256_madd_epi16(pairs, ones));
                    }
                }
                weights = weights.add(4);
            }
            sums
        }
    }
}
