//! The inner loops for x86-64 processors with AVX2.

use std::arch::x86_64::*;

use super::{Kernels, Lines, Narrow, SLACK, portable};
use crate::color::{COLOR_BITS, Channel, WHITE};
use crate::weights::{Axis, WEIGHT_BITS};

mod apart;
mod sums;

use apart::{split, unpack};
use sums::{vertical_422, vertical_u8};

/// A kernel as a plain function pointer.
macro_rules! detected {
    ($kernel:ident($($argument:ident),*)) => {
        |$($argument),*| {
            // SAFETY: this set is chosen only after AVX2 has been detected.
            unsafe { $kernel($($argument),*) }
        }
    };
}

/// The set for processors with AVX2. Only to be used where `is_x86_feature_detected!("avx2")` says so.
pub(crate) const KERNELS: Kernels = Kernels {
    name: "avx2",
    vertical_u8: detected!(vertical_u8(lines, weights, out)),
    vertical_422: Some(detected!(vertical_422(lines, weights, luma_first, out))),
    vertical_u16: detected!(vertical_u16(lines, weights, narrow, out)),
    unpack: detected!(unpack(packed, packing, words)),
    split: detected!(split(row, step, out)),
    horizontal: detected!(horizontal(row, axis, out)),
    color: detected!(color(components, line_len, count, channel, out)),
    interleave: detected!(interleave(channels, line_len, out)),
    to_f32: detected!(to_f32(row, out)),
};

/// 32 bytes from `at` on.
#[inline]
#[target_feature(enable = "avx2")]
fn bytes(data: &[u8], at: usize) -> __m256i {
    let chunk = &data[at..at + 32];
    // SAFETY: the chunk has 32 bytes; the load needs no alignment.
    unsafe { _mm256_loadu_si256(chunk.as_ptr().cast()) }
}

/// 16 values from `at` on.
#[inline]
#[target_feature(enable = "avx2")]
fn values(data: &[i16], at: usize) -> __m256i {
    let chunk = &data[at..at + 16];
    // SAFETY: the chunk has 16 values of 2 bytes; the load needs no alignment.
    unsafe { _mm256_loadu_si256(chunk.as_ptr().cast()) }
}

/// 8 values from `at` on.
#[inline]
#[target_feature(enable = "avx2")]
fn eight(data: &[i16], at: usize) -> __m128i {
    let chunk = &data[at..at + 8];
    // SAFETY: the chunk has 8 values of 2 bytes; the load needs no alignment.
    unsafe { _mm_loadu_si128(chunk.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn store(value: __m256i, out: &mut [i16]) {
    let out = &mut out[..16];
    // SAFETY: there is room for 16 values of 2 bytes; the store needs no alignment.
    unsafe { _mm256_storeu_si256(out.as_mut_ptr().cast(), value) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn store_eight(value: __m128i, out: &mut [i16]) {
    let out = &mut out[..8];
    // SAFETY: there is room for 8 values of 2 bytes; the store needs no alignment.
    unsafe { _mm_storeu_si128(out.as_mut_ptr().cast(), value) }
}

/// The weights of taps `k` and `k + 1` side by side in every 32 bits; zero for a tap that is not there.
#[inline]
#[target_feature(enable = "avx2")]
fn pair(weights: &[i16], k: usize) -> __m256i {
    let second = weights.get(k + 1).copied().unwrap_or(0);
    _mm256_set1_epi32(i32::from(weights[k]) | i32::from(second) << 16)
}

#[target_feature(enable = "avx2")]
fn vertical_u16(lines: Lines<'_>, weights: &[i16], narrow: Narrow, out: &mut [i16]) {
    let zero = _mm256_setzero_si256();
    let highest = _mm256_set1_epi16(narrow.max as i16);
    let (left, right) = (_mm_cvtsi32_si128(narrow.left as i32), _mm_cvtsi32_si128(narrow.right as i32));
    let whole = out.len() / 16 * 16;
    let (body, tail) = out.split_at_mut(whole);
    for (block, out) in body.chunks_exact_mut(16).enumerate() {
        let mut sums = [_mm256_set1_epi32(1 << (WEIGHT_BITS - 1)); 2];
        for k in (0..weights.len()).step_by(2) {
            let at = k * lines.stride + 32 * block;
            let weight = pair(weights, k);
            let a = _mm256_srl_epi16(_mm256_sll_epi16(_mm256_min_epu16(bytes(lines.data, at), highest), left), right);
            let b = if k + 1 < weights.len() {
                let codes = _mm256_min_epu16(bytes(lines.data, at + lines.stride), highest);
                _mm256_srl_epi16(_mm256_sll_epi16(codes, left), right)
            } else {
                zero
            };
            let pairs = [_mm256_unpacklo_epi16(a, b), _mm256_unpackhi_epi16(a, b)];
            for (sum, pair) in sums.iter_mut().zip(pairs) {
                *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(pair, weight));
            }
        }
        let [a, b] = sums.map(|sum| _mm256_srai_epi32::<{ WEIGHT_BITS as i32 }>(sum));
        store(_mm256_packs_epi32(a, b), out);
    }
    if !tail.is_empty() {
        portable::vertical_u16(Lines { data: &lines.data[2 * whole..], ..lines }, weights, narrow, tail);
    }
}

#[target_feature(enable = "avx2")]
fn horizontal(row: &[i16], axis: &Axis, out: &mut [i16]) {
    // What the loads below rely on: every target pixel's places for taps lie inside the row.
    assert!(axis.reach() <= row.len(), "a row has room for every tap");
    let (body, tail) = out.as_chunks_mut::<8>();
    let (firsts, _) = axis.first.as_chunks::<8>();
    let weights = axis.weights.chunks_exact(8 * axis.taps);
    for ((out, first), weights) in body.iter_mut().zip(firsts).zip(weights) {
        let sums = match axis.taps {
            4 => four_taps(row, first, weights),
            8 => eight_taps(row, first, weights),
            _ => many_taps(row, first, weights),
        };
        let rounded = _mm256_add_epi32(sums, _mm256_set1_epi32(1 << (WEIGHT_BITS - 1)));
        let shifted = _mm256_srai_epi32::<{ WEIGHT_BITS as i32 }>(rounded);
        let packed = _mm256_permute4x64_epi64::<0x08>(_mm256_packs_epi32(shifted, shifted));
        store_eight(_mm256_castsi256_si128(packed), out);
    }
    let whole = 8 * body.len();
    for (i, out) in tail.iter_mut().enumerate().map(|(i, out)| (whole + i, out)) {
        let (first, weights) = (axis.first[i] as usize, &axis.weights[i * axis.taps..(i + 1) * axis.taps]);
        let sum: i32 = weights.iter().zip(&row[first..]).map(|(&w, &v)| i32::from(w) * i32::from(v)).sum();
        *out = ((sum + (1 << (WEIGHT_BITS - 1))) >> WEIGHT_BITS) as i16;
    }
}

/// Eight samples from `first` on, which [`horizontal`] has seen to be inside the row with the taps after them.
#[inline]
#[target_feature(enable = "avx2")]
fn samples(row: &[i16], first: usize) -> __m128i {
    debug_assert!(first + 8 <= row.len());
    // SAFETY: `first` is a place of the axis (or a multiple of eight taps after one), and `Axis::reach`, which is the furthest end
    // of any pixel's places, has been compared with the row's length. The load needs no alignment.
    unsafe { _mm_loadu_si128(row.as_ptr().add(first).cast()) }
}

/// Four samples from `first` on, as one number; likewise.
#[inline]
fn four_samples(row: &[i16], first: usize) -> i64 {
    debug_assert!(first + 4 <= row.len());
    // SAFETY: as in `samples`, for four taps; an unaligned read of plain integers.
    unsafe { row.as_ptr().add(first).cast::<i64>().read_unaligned() }
}

/// Eight target pixels of four taps each: four pixels a vector.
#[inline]
#[target_feature(enable = "avx2")]
fn four_taps(row: &[i16], first: &[u32; 8], weights: &[i16]) -> __m256i {
    let [a, b, c, d, e, f, g, h] = first.map(|first| four_samples(row, first as usize));
    let low = _mm256_madd_epi16(_mm256_set_epi64x(d, c, b, a), values(weights, 0));
    let high = _mm256_madd_epi16(_mm256_set_epi64x(h, g, f, e), values(weights, 16));
    _mm256_permute4x64_epi64::<0xd8>(_mm256_hadd_epi32(low, high))
}

/// Eight target pixels of eight taps each: two pixels a vector.
#[inline]
#[target_feature(enable = "avx2")]
fn eight_taps(row: &[i16], first: &[u32; 8], weights: &[i16]) -> __m256i {
    let products = |pixel: usize| {
        let (a, b) = (first[pixel] as usize, first[pixel + 1] as usize);
        _mm256_madd_epi16(_mm256_set_m128i(samples(row, b), samples(row, a)), values(weights, 8 * pixel))
    };
    eight_pixels([products(0), products(2), products(4), products(6)])
}

/// Eight target pixels of a multiple of eight taps each: likewise.
#[inline]
#[target_feature(enable = "avx2")]
fn many_taps(row: &[i16], first: &[u32; 8], weights: &[i16]) -> __m256i {
    let taps = weights.len() / 8;
    let products = |pixel: usize| {
        let (a, b) = (first[pixel] as usize, first[pixel + 1] as usize);
        let mut sum = _mm256_setzero_si256();
        for k in (0..taps).step_by(8) {
            let samples = _mm256_set_m128i(samples(row, b + k), samples(row, a + k));
            let weights = _mm256_set_m128i(eight(weights, (pixel + 1) * taps + k), eight(weights, pixel * taps + k));
            sum = _mm256_add_epi32(sum, _mm256_madd_epi16(samples, weights));
        }
        sum
    };
    eight_pixels([products(0), products(2), products(4), products(6)])
}

/// The sums of pixels 0 and 1, 2 and 3, 4 and 5, 6 and 7, each vector holding four parts of each of its two.
#[inline]
#[target_feature(enable = "avx2")]
fn eight_pixels([a, b, c, d]: [__m256i; 4]) -> __m256i {
    let (low, high) = (_mm256_hadd_epi32(a, b), _mm256_hadd_epi32(c, d));
    // Pixels 0, 2, 4, 6 in the lower lane, 1, 3, 5, 7 in the upper.
    _mm256_permutevar8x32_epi32(_mm256_hadd_epi32(low, high), _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7))
}

#[target_feature(enable = "avx2")]
fn color(components: &[i16], line_len: usize, count: usize, channel: &Channel, out: &mut [i16]) {
    let [a, b, c, d] = channel.coefficients.map(i32::from);
    let first = _mm256_set1_epi32((a & 0xffff) | b << 16);
    let second = _mm256_set1_epi32((c & 0xffff) | d << 16);
    let bias = _mm256_set1_epi32(channel.bias);
    let white = _mm256_set1_epi16(WHITE as i16);
    let zero = _mm256_setzero_si256();
    let line = |c: usize, x: usize| if c < count { values(components, c * line_len + x) } else { zero };
    // Lines have `line_len` values, a multiple of 32: whole blocks may be read, though not all is written.
    let whole = out.len() / 16 * 16;
    for x in (0..whole).step_by(16) {
        let (c0, c1, c2, c3) = (line(0, x), line(1, x), line(2, x), line(3, x));
        let sum = |ab: __m256i, cd: __m256i| {
            let products = _mm256_add_epi32(_mm256_madd_epi16(ab, first), _mm256_madd_epi16(cd, second));
            _mm256_srai_epi32::<{ COLOR_BITS as i32 }>(_mm256_add_epi32(products, bias))
        };
        let low = sum(_mm256_unpacklo_epi16(c0, c1), _mm256_unpacklo_epi16(c2, c3));
        let high = sum(_mm256_unpackhi_epi16(c0, c1), _mm256_unpackhi_epi16(c2, c3));
        let clamped = _mm256_max_epi16(_mm256_min_epi16(_mm256_packs_epi32(low, high), white), zero);
        store(clamped, &mut out[x..]);
    }
    if whole < out.len() {
        portable::color(&components[whole..], line_len, count, channel, &mut out[whole..]);
    }
}

/// Rounds 16 values to bytes.
#[inline]
#[target_feature(enable = "avx2")]
fn sixteen_bytes(row: &[i16], at: usize) -> __m128i {
    let rounded = _mm256_srai_epi16::<7>(_mm256_add_epi16(values(row, at), _mm256_set1_epi16(64)));
    _mm_packus_epi16(_mm256_castsi256_si128(rounded), _mm256_extracti128_si256::<1>(rounded))
}

#[inline]
#[target_feature(enable = "avx2")]
fn store_bytes(value: __m128i, out: &mut [u8]) {
    let out = &mut out[..16];
    // SAFETY: there is room for 16 bytes; the store needs no alignment.
    unsafe { _mm_storeu_si128(out.as_mut_ptr().cast(), value) }
}

/// Where byte `i` of the `third`-th 16 of 48 interleaved bytes comes from in channel `c`; -1 for another channel.
const fn places(third: usize, c: usize) -> [i8; 16] {
    let mut places = [-1; 16];
    let mut i = 0;
    while i < 16 {
        let at = 16 * third + i;
        if at % 3 == c {
            places[i] = (at / 3) as i8;
        }
        i += 1;
    }
    places
}

const PLACES: [[[i8; 16]; 3]; 3] = [
    [places(0, 0), places(0, 1), places(0, 2)],
    [places(1, 0), places(1, 1), places(1, 2)],
    [places(2, 0), places(2, 1), places(2, 2)],
];

#[target_feature(enable = "avx2")]
fn interleave(channels: &[i16], line_len: usize, out: &mut [u8]) {
    if channels.len() == line_len {
        let whole = out.len() / 16 * 16;
        for (x, out) in out[..whole].chunks_exact_mut(16).enumerate() {
            store_bytes(sixteen_bytes(channels, 16 * x), out);
        }
        portable::interleave(&channels[whole..], line_len - whole, &mut out[whole..]);
        return;
    }
    let width = out.len() / 3;
    let whole = width / 16 * 16;
    for (block, out) in out[..3 * whole].chunks_exact_mut(48).enumerate() {
        let rows = [0, 1, 2].map(|c| sixteen_bytes(channels, c * line_len + 16 * block));
        for (third, places) in PLACES.iter().enumerate() {
            let mut mixed = _mm_setzero_si128();
            for (row, places) in rows.iter().zip(places) {
                // SAFETY: 16 bytes of a constant; the load needs no alignment.
                let places = unsafe { _mm_loadu_si128(places.as_ptr().cast()) };
                mixed = _mm_or_si128(mixed, _mm_shuffle_epi8(*row, places));
            }
            store_bytes(mixed, &mut out[16 * third..]);
        }
    }
    if whole < width {
        portable::interleave_from(channels, line_len, whole, &mut out[3 * whole..]);
    }
}

#[target_feature(enable = "avx2")]
fn to_f32(row: &[i16], out: &mut [f32]) {
    // Plain code, compiled for AVX2: conversion and division need no help.
    portable::to_f32(row, out);
}

const _: () = assert!(SLACK >= 16, "a block of taps may be read past the last sample");
