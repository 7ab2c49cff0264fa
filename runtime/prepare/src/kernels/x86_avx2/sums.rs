//! Adding up lines of bytes.

use std::arch::x86_64::*;

use super::super::{Lines, Parts422, portable};
use super::{bytes, pair, store};

/// Most pairs of taps whose weights are kept in registers.
const SHORT_PAIRS: usize = 4;

/// Weights taken apart so that byte products fit 16 bits: weight = 128 x high + low. Pairs of neighbouring taps.
///
/// (sum of weight x byte + 64) >> 7 is then sum of high x byte, plus (sum of low x byte + 64) >> 7, exactly.
struct Digits {
    high: [i16; SHORT_PAIRS],
    low: [i16; SHORT_PAIRS],
    pairs: usize,
}

impl Digits {
    /// None where a sum could leave 16 bits, whatever the bytes: then 32 bits are needed.
    fn of(weights: &[i16]) -> Option<Digits> {
        let pairs = weights.len().div_ceil(2);
        if pairs > SHORT_PAIRS {
            return None;
        }
        let mut digits = Digits { high: [0; SHORT_PAIRS], low: [0; SHORT_PAIRS], pairs };
        // Sums of products with bytes of 255 must stay in -32768 + 64..=32767 - 64.
        const MOST: i16 = 128;
        let (mut highs, mut above, mut below) = (0, 0, 0);
        for (k, &weight) in weights.iter().enumerate() {
            let high = (weight + 64) >> 7;
            let low = weight - (high << 7);
            if !(0..128).contains(&high) {
                return None;
            }
            (highs, above, below) = (highs + high, above + low.max(0), below + low.min(0));
            let shift = 8 * (k % 2);
            digits.high[k / 2] |= (high & 0xff) << shift;
            digits.low[k / 2] |= (low & 0xff) << shift;
        }
        (highs <= MOST && above <= MOST && below >= -MOST).then_some(digits)
    }
}

/// out[x] = (sum over k of weights[k] x line k's byte x + 64) >> 7.
#[target_feature(enable = "avx2")]
pub(super) fn vertical_u8(lines: Lines<'_>, weights: &[i16], out: &mut [i16]) {
    match Digits::of(weights) {
        Some(digits) if digits.pairs == 1 => vertical_u8_short::<1>(lines, weights, &digits, out),
        Some(digits) if digits.pairs == 2 => vertical_u8_short::<2>(lines, weights, &digits, out),
        Some(digits) if digits.pairs == 3 => vertical_u8_short::<3>(lines, weights, &digits, out),
        Some(digits) if digits.pairs == 4 => vertical_u8_short::<4>(lines, weights, &digits, out),
        _ => vertical_u8_wide(lines, weights, out),
    }
}

/// The lines of `PAIRS` pairs of taps in blocks of 32 bytes, all of one length, so that a block that one line has, every line
/// has. An odd last tap has no partner: its own line stands in, with weight zero.
struct Blocks<'a, const PAIRS: usize> {
    first: [&'a [[u8; 32]]; PAIRS],
    second: [&'a [[u8; 32]]; PAIRS],
    count: usize,
}

impl<'a, const PAIRS: usize> Blocks<'a, PAIRS> {
    fn of(lines: Lines<'a>, taps: usize, count: usize) -> Blocks<'a, PAIRS> {
        let line = |k: usize| {
            let start = k.min(taps - 1) * lines.stride;
            &lines.data[start..start + 32 * count].as_chunks::<32>().0[..count]
        };
        let (first, second) = (std::array::from_fn(|k| line(2 * k)), std::array::from_fn(|k| line(2 * k + 1)));
        Blocks { first, second, count }
    }
}

/// The weights of `PAIRS` pairs in registers.
struct Weights<const PAIRS: usize> {
    high: [__m256i; PAIRS],
    low: [__m256i; PAIRS],
}

impl<const PAIRS: usize> Weights<PAIRS> {
    #[inline]
    #[target_feature(enable = "avx2")]
    fn of(digits: &Digits) -> Weights<PAIRS> {
        let zero = _mm256_setzero_si256();
        let mut weights = Weights { high: [zero; PAIRS], low: [zero; PAIRS] };
        for k in 0..PAIRS {
            (weights.high[k], weights.low[k]) = (_mm256_set1_epi16(digits.high[k]), _mm256_set1_epi16(digits.low[k]));
        }
        weights
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn load(block: &[u8; 32]) -> __m256i {
    // SAFETY: 32 bytes; the load needs no alignment.
    unsafe { _mm256_loadu_si256(block.as_ptr().cast()) }
}

/// The sums of one block, in 16 bits. The unpacking works within 128-bit lanes: columns 0..8 and 16..24, then 8..16 and 24..32.
#[inline]
#[target_feature(enable = "avx2")]
fn block_sums<const PAIRS: usize>(blocks: &Blocks<'_, PAIRS>, weights: &Weights<PAIRS>, block: usize) -> [__m256i; 2] {
    let mut sums = [_mm256_setzero_si256(); 2];
    let mut rests = [_mm256_set1_epi16(64); 2];
    for k in 0..PAIRS {
        let (a, b) = (load(&blocks.first[k][block]), load(&blocks.second[k][block]));
        let pairs = [_mm256_unpacklo_epi8(a, b), _mm256_unpackhi_epi8(a, b)];
        for i in 0..2 {
            sums[i] = _mm256_add_epi16(sums[i], _mm256_maddubs_epi16(pairs[i], weights.high[k]));
            rests[i] = _mm256_add_epi16(rests[i], _mm256_maddubs_epi16(pairs[i], weights.low[k]));
        }
    }
    [0, 1].map(|i| _mm256_add_epi16(sums[i], _mm256_srai_epi16::<7>(rests[i])))
}

/// Few taps: products and sums in 16 bits.
#[inline]
#[target_feature(enable = "avx2")]
fn vertical_u8_short<const PAIRS: usize>(lines: Lines<'_>, weights: &[i16], digits: &Digits, out: &mut [i16]) {
    let (body, tail) = out.as_chunks_mut::<32>();
    let blocks = Blocks::<PAIRS>::of(lines, weights.len(), body.len());
    let in_registers = Weights::of(digits);
    for (block, out) in body.iter_mut().enumerate().take(blocks.count) {
        let [even, odd] = block_sums(&blocks, &in_registers, block);
        store(_mm256_permute2x128_si256::<0x20>(even, odd), out);
        store(_mm256_permute2x128_si256::<0x31>(even, odd), &mut out[16..]);
    }
    if !tail.is_empty() {
        portable::vertical_u8(Lines { data: &lines.data[32 * body.len()..], ..lines }, weights, tail);
    }
}

/// The sums of lines of packed 4:2:2, taken apart; false where the weights need more than 16 bits.
#[target_feature(enable = "avx2")]
pub(super) fn vertical_422(lines: Lines<'_>, weights: &[i16], luma_first: bool, out: Parts422<'_>) -> bool {
    match (Digits::of(weights), luma_first) {
        (Some(digits), true) if digits.pairs == 1 => apart::<1, true>(lines, weights, &digits, out),
        (Some(digits), true) if digits.pairs == 2 => apart::<2, true>(lines, weights, &digits, out),
        (Some(digits), true) if digits.pairs == 3 => apart::<3, true>(lines, weights, &digits, out),
        (Some(digits), true) if digits.pairs == 4 => apart::<4, true>(lines, weights, &digits, out),
        (Some(digits), false) if digits.pairs == 1 => apart::<1, false>(lines, weights, &digits, out),
        (Some(digits), false) if digits.pairs == 2 => apart::<2, false>(lines, weights, &digits, out),
        (Some(digits), false) if digits.pairs == 3 => apart::<3, false>(lines, weights, &digits, out),
        (Some(digits), false) if digits.pairs == 4 => apart::<4, false>(lines, weights, &digits, out),
        _ => return false,
    }
    true
}

#[inline]
#[target_feature(enable = "avx2")]
fn apart<const PAIRS: usize, const LUMA_FIRST: bool>(
    lines: Lines<'_>,
    weights: &[i16],
    digits: &Digits,
    out: Parts422<'_>,
) {
    let Parts422 { luma, chroma: [u, v] } = out;
    // Two blocks of 32 bytes are 32 samples of luma and 16 of each chroma.
    let count = (luma.len() / 32).min(u.len() / 16).min(v.len() / 16);
    let blocks = Blocks::<PAIRS>::of(lines, weights.len(), 2 * count);
    let in_registers = Weights::of(digits);
    let chroma = u.as_chunks_mut::<16>().0.iter_mut().zip(v.as_chunks_mut::<16>().0);
    for (at, (luma, (u, v))) in luma.as_chunks_mut::<32>().0.iter_mut().zip(chroma).enumerate().take(count) {
        let mut pairs = [_mm256_setzero_si256(); 2];
        for half in 0..2 {
            let [even, odd] = block_sums(&blocks, &in_registers, 2 * at + half);
            // Packing undoes the unpacking's order: every other column, from the first or from the second on.
            let [first, second] = [every_other::<false>(even, odd), every_other::<true>(even, odd)];
            let (y, uv) = if LUMA_FIRST { (first, second) } else { (second, first) };
            store(y, &mut luma[16 * half..]);
            pairs[half] = uv;
        }
        let [us, vs] = [every_other::<false>(pairs[0], pairs[1]), every_other::<true>(pairs[0], pairs[1])];
        store(_mm256_permute4x64_epi64::<0xd8>(us), u);
        store(_mm256_permute4x64_epi64::<0xd8>(vs), v);
    }
    portable::vertical_422_from(lines, weights, LUMA_FIRST, 16 * count, Parts422 { luma, chroma: [u, v] });
}

/// Every other of the values in each 32 bits, the first or the second, within 128-bit lanes. Values are not negative, so that
/// unsigned packing keeps them.
#[inline]
#[target_feature(enable = "avx2")]
fn every_other<const SECOND: bool>(a: __m256i, b: __m256i) -> __m256i {
    if SECOND {
        return _mm256_packus_epi32(_mm256_srli_epi32::<16>(a), _mm256_srli_epi32::<16>(b));
    }
    let low = _mm256_set1_epi32(0xffff);
    _mm256_packus_epi32(_mm256_and_si256(a, low), _mm256_and_si256(b, low))
}

/// Any number of taps: products and sums in 32 bits.
#[target_feature(enable = "avx2")]
fn vertical_u8_wide(lines: Lines<'_>, weights: &[i16], out: &mut [i16]) {
    let zero = _mm256_setzero_si256();
    let whole = out.len() / 32 * 32;
    let (body, tail) = out.split_at_mut(whole);
    for (block, out) in body.chunks_exact_mut(32).enumerate() {
        let mut sums = [_mm256_set1_epi32(1 << 6); 4];
        for k in (0..weights.len()).step_by(2) {
            let at = k * lines.stride + 32 * block;
            let weight = pair(weights, k);
            let a = bytes(lines.data, at);
            let b = if k + 1 < weights.len() { bytes(lines.data, at + lines.stride) } else { zero };
            let (low, high) = (_mm256_unpacklo_epi8(a, b), _mm256_unpackhi_epi8(a, b));
            let pairs = [
                _mm256_unpacklo_epi8(low, zero),
                _mm256_unpackhi_epi8(low, zero),
                _mm256_unpacklo_epi8(high, zero),
                _mm256_unpackhi_epi8(high, zero),
            ];
            for (sum, pair) in sums.iter_mut().zip(pairs) {
                *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(pair, weight));
            }
        }
        let [a, b, c, d] = sums.map(|sum| _mm256_srai_epi32::<7>(sum));
        // The unpacking works within 128-bit lanes: columns 0..8 and 16..24, then 8..16 and 24..32.
        let (even, odd) = (_mm256_packs_epi32(a, b), _mm256_packs_epi32(c, d));
        store(_mm256_permute2x128_si256::<0x20>(even, odd), out);
        store(_mm256_permute2x128_si256::<0x31>(even, odd), &mut out[16..]);
    }
    if !tail.is_empty() {
        portable::vertical_u8(Lines { data: &lines.data[whole..], ..lines }, weights, tail);
    }
}
