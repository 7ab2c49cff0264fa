//! Taking samples apart: every n-th of a line, and packed ones.

use std::arch::x86_64::*;

use super::super::portable;
use super::{store, values};
use crate::unpack::{Packing, low_bits_byte, sample_byte};

/// Every other of 32 values. Values are not negative, so that unsigned packing keeps them.
#[inline]
#[target_feature(enable = "avx2")]
fn halve(a: __m256i, b: __m256i) -> __m256i {
    let low = _mm256_set1_epi32(0xffff);
    _mm256_permute4x64_epi64::<0xd8>(_mm256_packus_epi32(_mm256_and_si256(a, low), _mm256_and_si256(b, low)))
}

/// Every third of 48 values. In the three vectors of each half the wanted ones lie at places 0 3 6, 1 4 7 and 2 5: laid over each
/// other they collide nowhere, and one shuffle puts them in order.
#[inline]
#[target_feature(enable = "avx2")]
fn third(row: &[i16]) -> __m256i {
    let row = &row[..48];
    let both = |at: usize| _mm256_permute2x128_si256::<0x20>(low_half(row, at), low_half(row, at + 24));
    let (a, b, c) = (both(0), both(8), both(16));
    let mixed = _mm256_blend_epi16::<0b0010_0100>(_mm256_blend_epi16::<0b1001_0010>(a, b), c);
    let order = _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 1, 6, 7, 12, 13, 2, 3, 8, 9, 14, 15, 4, 5, 10, 11));
    _mm256_shuffle_epi8(mixed, order)
}

/// 8 values from `at` on, in the lower half.
#[inline]
#[target_feature(enable = "avx2")]
fn low_half(row: &[i16], at: usize) -> __m256i {
    _mm256_castsi128_si256(super::eight(row, at))
}

/// out[j] = row[j x step].
#[target_feature(enable = "avx2")]
pub(super) fn split(row: &[i16], step: usize, out: &mut [i16]) {
    let mut done = 0;
    // Whole blocks, as long as reading the samples in between stays inside the row.
    while (2..=4).contains(&step) && done + 16 <= out.len() && (done + 16) * step <= row.len() {
        let at = done * step;
        let block = match step {
            2 => halve(values(row, at), values(row, at + 16)),
            3 => third(&row[at..]),
            _ => {
                let first = halve(values(row, at), values(row, at + 16));
                halve(first, halve(values(row, at + 32), values(row, at + 48)))
            }
        };
        store(block, &mut out[done..]);
        done += 16;
    }
    if done < out.len() {
        portable::split(&row[done * step..], step, &mut out[done..]);
    }
}

/// Packed samples as little-endian words.
#[target_feature(enable = "avx2")]
pub(super) fn unpack(packed: &[u8], packing: Packing, words: &mut [u8]) {
    match packing {
        Packing::Ten => blocks::<2>(packed, packing, words),
        Packing::Twelve => blocks::<4>(packed, packing, words),
    }
}

/// Where the bytes of eight samples with `shift` low bits come from: the high ones, and those that hold the low bits, each in the
/// lower byte of a word; and the factors that bring every sample's low bits to the top of that byte.
const fn places(shift: usize) -> ([i8; 16], [i8; 16], [i16; 8]) {
    let (mut high, mut low, mut factors) = ([-1; 16], [-1; 16], [0; 8]);
    let mut k = 0;
    while k < 8 {
        high[2 * k] = sample_byte(shift, k) as i8;
        low[2 * k] = low_bits_byte(shift, k) as i8;
        factors[k] = 1 << (8 - shift - shift * (k % (8 / shift)));
        k += 1;
    }
    (high, low, factors)
}

#[inline]
#[target_feature(enable = "avx2")]
fn blocks<const SHIFT: usize>(packed: &[u8], packing: Packing, words: &mut [u8]) {
    let (high, low, factors) = const { places(SHIFT) };
    // SAFETY: 16 bytes of each; the loads need no alignment.
    let [high, low, factors] = unsafe {
        [high.as_ptr().cast(), low.as_ptr().cast(), factors.as_ptr().cast::<__m128i>()]
            .map(|at| _mm256_broadcastsi128_si256(_mm_loadu_si128(at)))
    };
    let mask = _mm256_set1_epi16((1 << SHIFT) - 1);
    let (up, down) = (_mm_cvtsi32_si128(SHIFT as i32), _mm_cvtsi32_si128(8 - SHIFT as i32));
    // Bytes of eight samples.
    let eight = 8 + SHIFT;
    let mut done = 0;
    for (block, out) in words.chunks_exact_mut(32).enumerate() {
        let Some(from) = packed.get(2 * eight * block..).and_then(|rest| rest.get(..eight + 16)) else { break };
        let half = |at: usize| {
            let chunk = &from[at..at + 16];
            // SAFETY: the chunk has 16 bytes; the load needs no alignment.
            unsafe { _mm_loadu_si128(chunk.as_ptr().cast()) }
        };
        let bytes = _mm256_set_m128i(half(eight), half(0));
        let top = _mm256_sll_epi16(_mm256_shuffle_epi8(bytes, high), up);
        let rest = _mm256_srl_epi16(_mm256_mullo_epi16(_mm256_shuffle_epi8(bytes, low), factors), down);
        let samples = _mm256_or_si256(top, _mm256_and_si256(rest, mask));
        // SAFETY: the chunk has room for 32 bytes; the store needs no alignment.
        unsafe { _mm256_storeu_si256(out.as_mut_ptr().cast(), samples) };
        done = block + 1;
    }
    if 32 * done < words.len() {
        portable::unpack(&packed[2 * eight * done..], packing, &mut words[32 * done..]);
    }
}
