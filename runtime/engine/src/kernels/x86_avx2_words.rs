//! The 16-bit products of AVX2: `vpmaddwd`, two of a cell's four channels in a 32-bit lane.

use std::arch::x86_64::*;

use super::winograd_int8_tiles::Words;
use super::x86_avx2::Avx2;

/// Six channels by a panel of eight tiles.
pub(crate) struct Avx2Words;

impl Words for Avx2Words {
    type S = Avx2;
    const ROWS: usize = 6;

    #[inline(always)]
    unsafe fn rows_in(rows: [*const i8; 6], to: *mut i16, step: usize, cells: usize) {
        for x in (0..4 * cells).step_by(16) {
            // SAFETY: the trait's.
            unsafe {
                let d = rows.map(|row| _mm256_cvtepi8_epi16(_mm_loadu_si128(row.add(x).cast())));
                for (i, number) in into_numbers(d).into_iter().enumerate() {
                    _mm256_storeu_si256(to.add(i * step + x).cast(), number);
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn tiles_in<const SIZE: usize>(row: *const i16, to: *mut i16, step: usize) {
        // SAFETY: the trait's.
        unsafe {
            let cells = row.cast::<i64>();
            let pair = |at: *const i64| {
                let low = _mm_castsi128_pd(_mm_loadl_epi64(at.cast()));
                _mm_castpd_si128(_mm_loadh_pd(low, at.add(SIZE).cast()))
            };
            let d = [0, 1, 2, 3, 4, 5].map(|j| _mm256_set_m128i(pair(cells.add(2 * SIZE + j)), pair(cells.add(j))));
            for (j, number) in into_numbers(d).into_iter().enumerate() {
                _mm256_storeu_si256(to.add(j * step).cast(), number);
            }
        }
    }

    #[inline(always)]
    unsafe fn product(depth: usize, weights: *const i16, cells: *const i16, sums: *mut i32, pitch: usize) {
        // SAFETY: the trait's.
        unsafe {
            let mut acc = [[_mm256_setzero_si256(); 2]; 6];
            let (mut weights, mut cells) = (weights.cast::<i64>(), cells.cast::<__m256i>());
            for _ in 0..depth {
                let (first, second) = (_mm256_loadu_si256(cells), _mm256_loadu_si256(cells.add(1)));
                for (r, row) in acc.iter_mut().enumerate() {
                    let w = _mm256_set1_epi64x(weights.add(r).read_unaligned());
                    row[0] = _mm256_add_epi32(row[0], _mm256_madd_epi16(first, w));
                    row[1] = _mm256_add_epi32(row[1], _mm256_madd_epi16(second, w));
                }
                (weights, cells) = (weights.add(6), cells.add(2));
            }
            for (r, [first, second]) in acc.into_iter().enumerate() {
                // Tiles 0, 1, 4, 5 and 2, 3, 6, 7.
                let sum = _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_hadd_epi32(first, second));
                _mm256_storeu_si256(sums.add(r * pitch).cast(), sum);
            }
        }
    }
}

/// `B^T d` of six vectors of words.
#[inline(always)]
unsafe fn into_numbers(d: [__m256i; 6]) -> [__m256i; 6] {
    // SAFETY: no pointer is involved.
    unsafe {
        let (add, sub) = (|a, b| _mm256_add_epi16(a, b), |a, b| _mm256_sub_epi16(a, b));
        let (twice, four) = (|a| _mm256_slli_epi16::<1>(a), |a| _mm256_slli_epi16::<2>(a));
        let (a, b) = (sub(d[4], four(d[2])), sub(d[3], four(d[1])));
        let (c, e) = (sub(d[4], d[2]), twice(sub(d[3], d[1])));
        [
            sub(add(four(d[0]), a), d[2]),
            add(a, b),
            sub(a, b),
            add(c, e),
            sub(c, e),
            sub(d[5], add(d[3], four(sub(d[3], d[1])))),
        ]
    }
}
