//! AVX-512 (F, BW, DQ, VL): sixteen lanes, thirty-two registers, masks for the ends of rows.

use std::arch::x86_64::*;

use super::simd::{Simd, methods};
use super::x86_avx2::Avx2;

/// Sixteen lanes of `zmm`.
#[derive(Clone, Copy)]
pub(crate) struct Avx512;

impl Simd for Avx512 {
    const LANES: usize = 16;
    type F = __m512;
    type I = __m512i;
    type Pair = *const f32;
    type Narrow = Avx2;

    methods! {
        fn splat(x: f32) -> __m512 = _mm512_set1_ps(x);
        fn load(p: *const f32) -> __m512 = _mm512_loadu_ps(p);
        fn store(p: *mut f32, v: __m512) = _mm512_storeu_ps(p, v);
        fn store_first(p: *mut f32, v: __m512, n: usize) =
            _mm512_mask_storeu_ps(p, (1u16 << n).wrapping_sub(1), v);
        fn add(a: __m512, b: __m512) -> __m512 = _mm512_add_ps(a, b);
        fn sub(a: __m512, b: __m512) -> __m512 = _mm512_sub_ps(a, b);
        fn div(a: __m512, b: __m512) -> __m512 = _mm512_div_ps(a, b);
        fn mul(a: __m512, b: __m512) -> __m512 = _mm512_mul_ps(a, b);
        fn fma(a: __m512, b: __m512, c: __m512) -> __m512 = _mm512_fmadd_ps(a, b, c);
        fn max(a: __m512, b: __m512) -> __m512 = _mm512_max_ps(a, b);
        fn min(a: __m512, b: __m512) -> __m512 = _mm512_min_ps(a, b);
        fn select_gt(a: __m512, b: __m512, x: __m512, y: __m512) -> __m512 =
            _mm512_mask_blend_ps(_mm512_cmp_ps_mask::<_CMP_GT_OQ>(a, b), y, x);
        fn load_pair(p: *const f32) -> *const f32 = p;
        fn load_even_odd(p: *const f32) -> (__m512, __m512) = {
            let (a, b) = (_mm512_loadu_ps(p), _mm512_loadu_ps(p.add(16)));
            let even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
            let odd = _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
            (_mm512_permutex2var_ps(a, even, b), _mm512_permutex2var_ps(a, odd, b))
        };
        fn interleave(a: __m512, b: __m512) -> (__m512, __m512) = {
            let low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
            let high = _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
            (_mm512_permutex2var_ps(a, low, b), _mm512_permutex2var_ps(a, high, b))
        };
        fn splat_i(x: i32) -> __m512i = _mm512_set1_epi32(x);
        fn load_i(p: *const i32) -> __m512i = _mm512_loadu_si512(p.cast());
        fn store_i(p: *mut i32, v: __m512i) = _mm512_storeu_si512(p.cast(), v);
        fn add_i(a: __m512i, b: __m512i) -> __m512i = _mm512_add_epi32(a, b);
        fn max_bytes(a: __m512i, b: __m512i) -> __m512i = _mm512_max_epi8(a, b);
        fn to_f(v: __m512i) -> __m512 = _mm512_cvtepi32_ps(v);
        fn power_of_two(n: __m512i) -> __m512 =
            _mm512_castsi512_ps(_mm512_slli_epi32::<23>(_mm512_add_epi32(n, _mm512_set1_epi32(127))));
        fn bits(v: __m512) -> __m512i = _mm512_castps_si512(v);
        fn floats(v: __m512i) -> __m512 = _mm512_castsi512_ps(v);
        fn cells(rows: [__m512i; 4]) -> __m512i = {
            let low = _mm512_mask_blend_epi16(0xAAAA_AAAA, rows[0], _mm512_slli_epi32::<16>(rows[2]));
            let high = _mm512_mask_blend_epi16(0xAAAA_AAAA, rows[1], _mm512_slli_epi32::<16>(rows[3]));
            _mm512_mask_blend_epi8(0xAAAA_AAAA_AAAA_AAAA, low, _mm512_slli_epi16::<8>(high))
        };
        fn round(v: __m512) -> __m512i = _mm512_cvtps_epi32(v);
    }

    #[inline(always)]
    unsafe fn byte<const R: u32>(v: __m512i) -> __m512i {
        // SAFETY: no pointer is involved. The shifts are constants once inlined.
        unsafe { _mm512_srai_epi32::<24>(_mm512_sll_epi32(v, _mm_cvtsi32_si128(24 - 8 * R as i32))) }
    }

    #[inline(always)]
    unsafe fn fma_pair<const LANE: i32>(acc: __m512, b: __m512, pair: *const f32) -> __m512 {
        // SAFETY: `pair` points at two floats.
        unsafe { _mm512_fmadd_ps(b, _mm512_set1_ps(*pair.add(LANE as usize)), acc) }
    }
}
