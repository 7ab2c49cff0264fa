//! AVX2 with FMA: eight lanes, sixteen registers.

use std::arch::x86_64::*;

use super::simd::{Simd, methods};

/// Eight lanes of `ymm`.
#[derive(Clone, Copy)]
pub(crate) struct Avx2;

impl Simd for Avx2 {
    const LANES: usize = 8;
    type F = __m256;
    type I = __m256i;
    type Pair = *const f32;
    type Narrow = Avx2;

    methods! {
        fn splat(x: f32) -> __m256 = _mm256_set1_ps(x);
        fn load(p: *const f32) -> __m256 = _mm256_loadu_ps(p);
        fn store(p: *mut f32, v: __m256) = _mm256_storeu_ps(p, v);
        fn store_first(p: *mut f32, v: __m256, n: usize) = {
            // Not `vmaskmovps`: its store takes dozens of cycles on Zen.
            let (mut p, mut rest) = (p, _mm256_castps256_ps128(v));
            if n >= 4 {
                _mm_storeu_ps(p, rest);
                (p, rest) = (p.add(4), _mm256_extractf128_ps::<1>(v));
            }
            if n & 2 != 0 {
                _mm_storel_pd(p.cast(), _mm_castps_pd(rest));
                (p, rest) = (p.add(2), _mm_movehl_ps(rest, rest));
            }
            if n & 1 != 0 {
                _mm_store_ss(p, rest);
            }
        };
        fn add(a: __m256, b: __m256) -> __m256 = _mm256_add_ps(a, b);
        fn sub(a: __m256, b: __m256) -> __m256 = _mm256_sub_ps(a, b);
        fn div(a: __m256, b: __m256) -> __m256 = _mm256_div_ps(a, b);
        fn mul(a: __m256, b: __m256) -> __m256 = _mm256_mul_ps(a, b);
        fn fma(a: __m256, b: __m256, c: __m256) -> __m256 = _mm256_fmadd_ps(a, b, c);
        fn max(a: __m256, b: __m256) -> __m256 = _mm256_max_ps(a, b);
        fn min(a: __m256, b: __m256) -> __m256 = _mm256_min_ps(a, b);
        fn select_gt(a: __m256, b: __m256, x: __m256, y: __m256) -> __m256 =
            _mm256_blendv_ps(y, x, _mm256_cmp_ps::<_CMP_GT_OQ>(a, b));
        fn load_pair(p: *const f32) -> *const f32 = p;
        fn load_even_odd(p: *const f32) -> (__m256, __m256) = {
            let (a, b) = (_mm256_loadu_ps(p), _mm256_loadu_ps(p.add(8)));
            let even = _mm256_castps_pd(_mm256_shuffle_ps::<0b10_00_10_00>(a, b));
            let odd = _mm256_castps_pd(_mm256_shuffle_ps::<0b11_01_11_01>(a, b));
            (
                _mm256_castpd_ps(_mm256_permute4x64_pd::<0b11_01_10_00>(even)),
                _mm256_castpd_ps(_mm256_permute4x64_pd::<0b11_01_10_00>(odd)),
            )
        };
        fn interleave(a: __m256, b: __m256) -> (__m256, __m256) = {
            let (low, high) = (_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
            (_mm256_permute2f128_ps::<0x20>(low, high), _mm256_permute2f128_ps::<0x31>(low, high))
        };
        fn splat_i(x: i32) -> __m256i = _mm256_set1_epi32(x);
        fn load_i(p: *const i32) -> __m256i = _mm256_loadu_si256(p.cast());
        fn store_i(p: *mut i32, v: __m256i) = _mm256_storeu_si256(p.cast(), v);
        fn add_i(a: __m256i, b: __m256i) -> __m256i = _mm256_add_epi32(a, b);
        fn max_bytes(a: __m256i, b: __m256i) -> __m256i = _mm256_max_epi8(a, b);
        fn to_f(v: __m256i) -> __m256 = _mm256_cvtepi32_ps(v);
        fn power_of_two(n: __m256i) -> __m256 =
            _mm256_castsi256_ps(_mm256_slli_epi32::<23>(_mm256_add_epi32(n, _mm256_set1_epi32(127))));
        fn bits(v: __m256) -> __m256i = _mm256_castps_si256(v);
        fn floats(v: __m256i) -> __m256 = _mm256_castsi256_ps(v);
        fn cells(rows: [__m256i; 4]) -> __m256i = {
            // Each byte pushed into the top of its lane, then down to its place.
            let low = _mm256_blend_epi16::<0b1010_1010>(rows[0], _mm256_slli_epi32::<16>(rows[2]));
            let high = _mm256_blend_epi16::<0b1010_1010>(rows[1], _mm256_slli_epi32::<16>(rows[3]));
            let low = _mm256_and_si256(low, _mm256_set1_epi16(0xFF));
            _mm256_or_si256(low, _mm256_slli_epi16::<8>(high))
        };
        fn round(v: __m256) -> __m256i = _mm256_cvtps_epi32(v);
    }

    #[inline(always)]
    unsafe fn byte<const R: u32>(v: __m256i) -> __m256i {
        // SAFETY: no pointer is involved. The shifts are constants once inlined.
        unsafe { _mm256_srai_epi32::<24>(_mm256_sll_epi32(v, _mm_cvtsi32_si128(24 - 8 * R as i32))) }
    }

    #[inline(always)]
    unsafe fn fma_pair<const LANE: i32>(acc: __m256, b: __m256, pair: *const f32) -> __m256 {
        // SAFETY: `pair` points at two floats.
        unsafe { _mm256_fmadd_ps(b, _mm256_broadcast_ss(&*pair.add(LANE as usize)), acc) }
    }
}
