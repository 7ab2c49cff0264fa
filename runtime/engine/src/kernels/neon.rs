//! NEON of ARMv8.0: four lanes, thirty-two registers.

use std::arch::aarch64::*;

use super::conv_int8::Finish;
use super::neon_int8::narrowed;
use super::neon_taps::{self, Walk};
use super::simd::{Simd, methods};

/// Four lanes of a `q` register.
#[derive(Clone, Copy)]
pub(crate) struct Neon;

/// Places of the bytes of four channels by four positions when each position's four become neighbours, and the other way.
pub(super) static TURN: [u8; 16] = [0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15];

impl Simd for Neon {
    const LANES: usize = 4;
    type F = float32x4_t;
    type I = int32x4_t;
    type Pair = float32x2_t;
    type Narrow = Neon;

    methods! {
        fn splat(x: f32) -> float32x4_t = vdupq_n_f32(x);
        fn load(p: *const f32) -> float32x4_t = vld1q_f32(p);
        fn store(p: *mut f32, v: float32x4_t) = vst1q_f32(p, v);
        fn store_first(p: *mut f32, v: float32x4_t, n: usize) = {
            if n >= 2 {
                vst1_f32(p, vget_low_f32(v));
            }
            if n == 1 {
                vst1q_lane_f32::<0>(p, v);
            } else if n == 3 {
                vst1q_lane_f32::<2>(p.add(2), v);
            }
        };
        fn add(a: float32x4_t, b: float32x4_t) -> float32x4_t = vaddq_f32(a, b);
        fn sub(a: float32x4_t, b: float32x4_t) -> float32x4_t = vsubq_f32(a, b);
        fn div(a: float32x4_t, b: float32x4_t) -> float32x4_t = vdivq_f32(a, b);
        fn mul(a: float32x4_t, b: float32x4_t) -> float32x4_t = vmulq_f32(a, b);
        fn fma(a: float32x4_t, b: float32x4_t, c: float32x4_t) -> float32x4_t = vfmaq_f32(c, a, b);
        fn max(a: float32x4_t, b: float32x4_t) -> float32x4_t = vmaxq_f32(a, b);
        fn min(a: float32x4_t, b: float32x4_t) -> float32x4_t = vminq_f32(a, b);
        fn select_gt(a: float32x4_t, b: float32x4_t, x: float32x4_t, y: float32x4_t) -> float32x4_t =
            vbslq_f32(vcgtq_f32(a, b), x, y);
        fn load_pair(p: *const f32) -> float32x2_t = vld1_f32(p);
        fn load_even_odd(p: *const f32) -> (float32x4_t, float32x4_t) = {
            let float32x4x2_t(even, odd) = vld2q_f32(p);
            (even, odd)
        };
        fn interleave(a: float32x4_t, b: float32x4_t) -> (float32x4_t, float32x4_t) =
            (vzip1q_f32(a, b), vzip2q_f32(a, b));
        fn splat_i(x: i32) -> int32x4_t = vdupq_n_s32(x);
        fn load_i(p: *const i32) -> int32x4_t = vld1q_s32(p);
        fn store_i(p: *mut i32, v: int32x4_t) = vst1q_s32(p, v);
        fn add_i(a: int32x4_t, b: int32x4_t) -> int32x4_t = vaddq_s32(a, b);
        fn max_bytes(a: int32x4_t, b: int32x4_t) -> int32x4_t =
            vreinterpretq_s32_s8(vmaxq_s8(vreinterpretq_s8_s32(a), vreinterpretq_s8_s32(b)));
        fn to_f(v: int32x4_t) -> float32x4_t = vcvtq_f32_s32(v);
        fn power_of_two(n: int32x4_t) -> float32x4_t =
            vreinterpretq_f32_s32(vshlq_n_s32::<23>(vaddq_s32(n, vdupq_n_s32(127))));
        fn bits(v: float32x4_t) -> int32x4_t = vreinterpretq_s32_f32(v);
        fn floats(v: int32x4_t) -> float32x4_t = vreinterpretq_f32_s32(v);
        fn cells(rows: [int32x4_t; 4]) -> int32x4_t = {
            let low = vsliq_n_s32::<8>(rows[0], rows[1]);
            vsliq_n_s32::<24>(vsliq_n_s32::<16>(low, rows[2]), rows[3])
        };
        fn round(v: float32x4_t) -> int32x4_t = vcvtnq_s32_f32(v);
    }

    #[inline(always)]
    unsafe fn product<const PAIRS: usize, const NV: usize>(
        depth: usize,
        weights: *const f32,
        from: *const f32,
        to: *mut f32,
        pitch: usize,
    ) {
        const { assert!(2 * PAIRS == neon_taps::ROWS && NV <= 2) };
        // SAFETY: the caller's.
        unsafe {
            let mut sums = [[vdupq_n_f32(0.0); neon_taps::MOST_VECTORS]; neon_taps::ROWS];
            let step = (2 * Self::LANES * size_of::<f32>()) as isize;
            let walk = Walk { src: from.cast(), deltas: std::ptr::null(), step, weights: weights.cast(), taps: depth };
            neon_taps::floats_evenly::<NV>(&mut sums, walk);
            for (r, row) in sums.iter().enumerate() {
                for (n, &sum) in row.iter().enumerate().take(NV) {
                    vst1q_f32(to.add(r * pitch + n * Self::LANES), sum);
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn requantise(rows: [int32x4_t; 4], scale: *const f32, finish: &Finish) -> int32x4_t {
        // SAFETY: there are four scales.
        unsafe {
            let scale = vld1q_f32(scale);
            let products = [
                vmulq_laneq_f32::<0>(vcvtq_f32_s32(rows[0]), scale),
                vmulq_laneq_f32::<1>(vcvtq_f32_s32(rows[1]), scale),
                vmulq_laneq_f32::<2>(vcvtq_f32_s32(rows[2]), scale),
                vmulq_laneq_f32::<3>(vcvtq_f32_s32(rows[3]), scale),
            ];
            let bytes = narrowed(products, finish);
            vreinterpretq_s32_s8(vqtbl1q_s8(bytes, vld1q_u8(TURN.as_ptr())))
        }
    }

    #[inline(always)]
    unsafe fn byte<const R: u32>(v: int32x4_t) -> int32x4_t {
        // SAFETY: no pointer is involved. The shift is a constant once inlined.
        unsafe { vshrq_n_s32::<24>(vshlq_s32(v, vdupq_n_s32(24 - 8 * R as i32))) }
    }

    #[inline(always)]
    unsafe fn fma_pair<const LANE: i32>(acc: float32x4_t, b: float32x4_t, pair: float32x2_t) -> float32x4_t {
        // SAFETY: no pointer is involved.
        unsafe { vfmaq_lane_f32::<LANE>(acc, b, pair) }
    }
}
