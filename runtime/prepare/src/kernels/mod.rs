//! The inner loops, one file an instruction set, chosen once at plan time.
//!
//! Every version computes the same integers: the tests run each against [`portable`] on random shapes. Set
//! `JIDOKA_PREPARE=portable` to switch the others off.

pub(crate) mod portable;
#[cfg(target_arch = "x86_64")]
mod x86_avx2;

#[cfg(target_arch = "aarch64")]
mod neon;

use crate::color::Channel;
use crate::unpack::Packing;
use crate::weights::Axis;

/// Lines that are added up: line `k` begins at `data[k * stride]`.
#[derive(Clone, Copy)]
pub(crate) struct Lines<'a> {
    pub data: &'a [u8],
    pub stride: usize,
}

/// How 16-bit samples become 15-bit ones: clamped to the highest code, then moved.
#[derive(Clone, Copy)]
pub(crate) struct Narrow {
    pub max: u16,
    pub left: u32,
    pub right: u32,
}

/// The parts of packed 4:2:2 lines: luma from every other byte, the two chromas from every fourth.
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "only AVX2 takes them apart at once"))]
pub(crate) struct Parts422<'a> {
    pub luma: &'a mut [i16],
    pub chroma: [&'a mut [i16]; 2],
}

/// As [`Kernels::vertical_u8`], taken apart at once; false where these weights need the general way.
pub(crate) type Vertical422 = fn(lines: Lines<'_>, weights: &[i16], luma_first: bool, out: Parts422<'_>) -> bool;

/// Samples that a kernel may read past the end of a line of intermediate values (their weights are zero).
pub(crate) const SLACK: usize = 32;

/// Room for taps, padded with zero weights: four, or a multiple of eight.
pub(crate) fn tap_room(taps: usize) -> usize {
    if taps <= 4 { 4 } else { taps.next_multiple_of(8) }
}

/// One set of inner loops.
#[derive(Clone, Copy)]
pub(crate) struct Kernels {
    /// Which, for the log.
    pub name: &'static str,
    /// out[x] = (sum over k of weights[k] x line k's byte x + 64) >> 7.
    pub vertical_u8: fn(lines: Lines<'_>, weights: &[i16], out: &mut [i16]),
    /// The sums of YUYV (`luma_first`) or UYVY lines, taken apart at once, where that is faster.
    pub vertical_422: Option<Vertical422>,
    /// out[x] = (sum over k of weights[k] x line k's narrowed word x + 8192) >> 14.
    pub vertical_u16: fn(lines: Lines<'_>, weights: &[i16], narrow: Narrow, out: &mut [i16]),
    /// Packed samples as little-endian words. `packed` goes on to the end of the frame.
    pub unpack: fn(packed: &[u8], packing: Packing, words: &mut [u8]),
    /// out[j] = row[j x step].
    pub split: fn(row: &[i16], step: usize, out: &mut [i16]),
    /// out[i] = (sum over k of axis.weights[i x taps + k] x row[axis.first[i] + k] + 8192) >> 14. `row` has `SLACK`
    /// values more than the axis spans.
    pub horizontal: fn(row: &[i16], axis: &Axis, out: &mut [i16]),
    /// out[x] = clamp((sum over c of coefficients[c] x components[c][x] + bias) >> 13). `components` holds lines of
    /// `line_len` values, `count` of them.
    pub color: fn(components: &[i16], line_len: usize, count: usize, channel: &Channel, out: &mut [i16]),
    /// out[x x n + c] = (channel c's value x + 64) >> 7, for the n lines of `line_len` values that `channels` holds.
    pub interleave: fn(channels: &[i16], line_len: usize, out: &mut [u8]),
    /// out[x] = row[x] / 32640.
    pub to_f32: fn(row: &[i16], out: &mut [f32]),
}

impl Kernels {
    /// The fastest set that this processor has.
    pub fn best() -> Kernels {
        if std::env::var_os("JIDOKA_PREPARE").is_some_and(|value| value == "portable") {
            return portable::KERNELS;
        }
        Kernels::all().last().copied().unwrap_or(portable::KERNELS)
    }

    /// Every set that this processor has, the slowest first.
    pub fn all() -> Vec<Kernels> {
        #[allow(unused_mut)]
        let mut sets = vec![portable::KERNELS];
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avx2") {
            sets.push(x86_avx2::KERNELS);
        }
        #[cfg(target_arch = "aarch64")]
        sets.push(neon::KERNELS);
        sets
    }
}
