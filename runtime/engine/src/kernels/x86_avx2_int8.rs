//! The int8 dot product of AVX2: `vpmaddubsw` on magnitudes.
//!
//! `vpmaddubsw` multiplies unsigned by signed and saturates the sum of two products at 16 bits. With the magnitude of the
//! activation (at most 128) and the weight with the activation's sign (at most 127) that is 2 * 128 * 127 = 32512, which
//! fits; so weights of -128, whose sign cannot be turned, go another way.

use std::arch::x86_64::*;

use super::conv_int8::{Dot, Finish, MOST_ROWS, MOST_VECTORS, Packing, Sums, Taps, cells};
use super::depthwise_int8::{self, Depth, POSITIONS, Tile};
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

/// Products of two taps of a row at a time by `vpmaddwd`, from bytes widened to 16 bits.
pub(crate) struct Avx2Depth;

impl Depth for Avx2Depth {
    const ROWS: usize = 2;
    const PACKING: depthwise_int8::Packing = depthwise_int8::Packing { dot: false, shift: 0, takes_least: true };

    #[inline(always)]
    unsafe fn rows<const K: usize, const STRIDE: usize, const ROWS: usize>(tile: &Tile) {
        // SAFETY: the trait's.
        unsafe {
            let bias = _mm256_broadcastsi128_si256(_mm_loadu_si128(tile.bias.cast()));
            let scale = _mm256_broadcast_ps(&*tile.scale.cast());
            let mut weights = [[_mm256_setzero_si256(); 3]; K];
            for (i, row) in weights.iter_mut().enumerate() {
                for (j, pair) in row.iter_mut().enumerate().take(K.div_ceil(2)) {
                    *pair = pair_of_weights::<K>(tile, i, 2 * j);
                }
            }
            let mut next = 0;
            while let Some(x) = tile.position(next) {
                // Positions 0 and 2, and 1 and 3.
                let mut sums = [[bias; 2]; ROWS];
                for r in 0..(ROWS - 1) * STRIDE + K {
                    let row = tile.cells(r, x * STRIDE);
                    for j in (0..K).step_by(2) {
                        let first = widened::<STRIDE>(row.add(j * 4));
                        let second =
                            if j + 1 < K { widened::<STRIDE>(row.add(j * 4 + 4)) } else { _mm256_setzero_si256() };
                        let even = _mm256_unpacklo_epi16(first, second);
                        let odd = _mm256_unpackhi_epi16(first, second);
                        for (o, sums) in sums.iter_mut().enumerate() {
                            if r >= o * STRIDE && r < o * STRIDE + K {
                                let weights = weights[r - o * STRIDE][j / 2];
                                sums[0] = _mm256_add_epi32(sums[0], _mm256_madd_epi16(even, weights));
                                sums[1] = _mm256_add_epi32(sums[1], _mm256_madd_epi16(odd, weights));
                            }
                        }
                    }
                }
                for (o, [even, odd]) in sums.into_iter().enumerate() {
                    let (even, odd) = (finish(even, scale, &tile.finish), finish(odd, scale, &tile.finish));
                    // Lane by lane positions 0, 1 and 2, 3 again.
                    let words = _mm256_packs_epi32(even, odd);
                    let bytes = _mm256_packs_epi16(words, words);
                    let bytes = _mm256_permute4x64_epi64::<0b00_00_10_00>(bytes);
                    tile.put(o, x, std::mem::transmute::<__m128i, [u8; 16]>(_mm256_castsi256_si128(bytes)));
                }
                next = x + POSITIONS;
            }
        }
    }
}

/// Four cells, `STRIDE` apart, as sixteen words.
#[inline(always)]
unsafe fn widened<const STRIDE: usize>(from: *const i8) -> __m256i {
    // SAFETY: `Depth::rows`'s.
    unsafe {
        let cells = if STRIDE == 1 {
            _mm_loadu_si128(from.cast())
        } else {
            let (a, b) = (_mm_loadu_ps(from.cast()), _mm_loadu_ps(from.add(16).cast()));
            _mm_castps_si128(_mm_shuffle_ps::<0b10_00_10_00>(a, b))
        };
        _mm256_cvtepi8_epi16(cells)
    }
}

/// The weights of taps j and j + 1 (or zero) of row i, interleaved by channel.
#[inline(always)]
unsafe fn pair_of_weights<const K: usize>(tile: &Tile, i: usize, j: usize) -> __m256i {
    // SAFETY: `Depth::rows`'s: tap (i, j) has weights, and so has (i, j + 1) where it is read.
    unsafe {
        let at = tile.weights.add((i * K + j) * 4).cast::<i32>();
        let first = _mm_cvtsi32_si128(at.read_unaligned());
        let second = if j + 1 < K { _mm_cvtsi32_si128(at.add(1).read_unaligned()) } else { _mm_setzero_si128() };
        _mm256_broadcastsi128_si256(_mm_cvtepi8_epi16(_mm_unpacklo_epi8(first, second)))
    }
}

/// Scales, clamps, rounds and moves to the zero point.
#[inline(always)]
unsafe fn finish(sums: __m256i, scale: __m256, finish: &Finish) -> __m256i {
    // SAFETY: no pointer is involved.
    unsafe {
        let product = _mm256_mul_ps(_mm256_cvtepi32_ps(sums), scale);
        let bounded = _mm256_max_ps(_mm256_set1_ps(finish.low), product);
        let bounded = _mm256_min_ps(_mm256_set1_ps(finish.high), bounded);
        _mm256_add_epi32(_mm256_cvtps_epi32(bounded), _mm256_set1_epi32(finish.zero))
    }
}
