//! The int8 dot product of AVX-512 VNNI: `vpdpbusd`.
//!
//! It multiplies unsigned by signed bytes: activations are moved up by 128 (one exclusive or), and the bias takes 128 times
//! the sum of the weights back.

use std::arch::x86_64::*;

use super::conv_int8::{Dot, Finish, MOST_ROWS, MOST_VECTORS, Packing, Sums, Taps, cells};
use super::depthwise_int8::{self, Depth, POSITIONS, Tile};
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

/// Dot products along the rows of a channel: four neighbouring cells are turned so that each channel's four values are
/// neighbours.
pub(crate) struct VnniDepth;

impl Depth for VnniDepth {
    const ROWS: usize = 4;
    const PACKING: depthwise_int8::Packing = depthwise_int8::Packing { dot: true, shift: 128, takes_least: true };

    #[inline(always)]
    unsafe fn rows<const K: usize, const STRIDE: usize, const ROWS: usize>(tile: &Tile) {
        // SAFETY: the trait's; a vector reads 16 cells from a tap on, of which the slack covers those past the row's end.
        unsafe {
            let groups = K.div_ceil(4);
            let bias = _mm512_broadcast_i32x4(_mm_loadu_si128(tile.bias.cast()));
            let neighbours = if STRIDE == 1 {
                _mm512_setr_epi32(0, 1, 2, 3, 1, 2, 3, 4, 2, 3, 4, 5, 3, 4, 5, 6)
            } else {
                _mm512_setr_epi32(0, 1, 2, 3, 2, 3, 4, 5, 4, 5, 6, 7, 6, 7, 8, 9)
            };
            let turn = _mm512_broadcast_i32x4(_mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
            let top = _mm512_set1_epi8(i8::MIN);
            let scale = _mm512_broadcast_f32x4(_mm_loadu_ps(tile.scale));
            let mut weights = [[top; 2]; K];
            for (i, row) in weights.iter_mut().enumerate() {
                for (g, group) in row.iter_mut().enumerate().take(groups) {
                    let at = tile.weights.add((i * groups + g) * 16);
                    *group = _mm512_broadcast_i32x4(_mm_loadu_si128(at.cast()));
                }
            }
            let mut next = 0;
            while let Some(x) = tile.position(next) {
                let mut sums = [bias; ROWS];
                for r in 0..(ROWS - 1) * STRIDE + K {
                    #[allow(clippy::needless_range_loop)] // `weights` is indexed by row first
                    for g in 0..groups {
                        let cells = _mm512_loadu_si512(tile.cells(r, x * STRIDE).add(g * 16).cast());
                        let turned = _mm512_shuffle_epi8(_mm512_permutexvar_epi32(neighbours, cells), turn);
                        let turned = _mm512_xor_si512(turned, top);
                        for (o, sum) in sums.iter_mut().enumerate() {
                            if r >= o * STRIDE && r < o * STRIDE + K {
                                *sum = _mm512_dpbusd_epi32(*sum, turned, weights[r - o * STRIDE][g]);
                            }
                        }
                    }
                }
                for (o, sum) in sums.into_iter().enumerate() {
                    tile.put(o, x, std::mem::transmute::<__m128i, [u8; 16]>(finished(sum, scale, &tile.finish)));
                }
                next = x + POSITIONS;
            }
        }
    }
}

/// Scales, clamps, rounds, moves to the zero point and narrows.
#[inline(always)]
unsafe fn finished(sums: __m512i, scale: __m512, finish: &Finish) -> __m128i {
    // SAFETY: no pointer is involved.
    unsafe {
        let product = _mm512_mul_ps(_mm512_cvtepi32_ps(sums), scale);
        let bounded = _mm512_max_ps(_mm512_set1_ps(finish.low), product);
        let bounded = _mm512_min_ps(_mm512_set1_ps(finish.high), bounded);
        _mm512_cvtepi32_epi8(_mm512_add_epi32(_mm512_cvtps_epi32(bounded), _mm512_set1_epi32(finish.zero)))
    }
}
