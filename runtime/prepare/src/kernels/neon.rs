//! The inner loops for 64-bit ARM, all of which has NEON.

use std::arch::aarch64::*;

use super::{Kernels, Lines, Narrow, SLACK, portable};
use crate::color::{COLOR_BITS, Channel, WHITE};
use crate::unpack::{Packing, low_bits_byte, sample_byte};
use crate::weights::{Axis, WEIGHT_BITS};

/// The set for 64-bit ARM.
pub(crate) const KERNELS: Kernels = Kernels {
    vertical_422: None,
    name: "neon",
    vertical_u8,
    vertical_u16,
    unpack,
    split,
    horizontal,
    color,
    interleave,
    to_f32: portable::to_f32,
};

/// 16 bytes from `at` on.
fn bytes(data: &[u8], at: usize) -> uint8x16_t {
    let chunk = &data[at..at + 16];
    // SAFETY: the chunk has 16 bytes; the load needs no alignment.
    unsafe { vld1q_u8(chunk.as_ptr()) }
}

/// 8 values from `at` on.
fn eight(data: &[i16], at: usize) -> int16x8_t {
    let chunk = &data[at..at + 8];
    // SAFETY: the chunk has 8 values; the load needs no alignment.
    unsafe { vld1q_s16(chunk.as_ptr()) }
}

/// 4 values from `at` on.
fn four(data: &[i16], at: usize) -> int16x4_t {
    let chunk = &data[at..at + 4];
    // SAFETY: the chunk has 4 values; the load needs no alignment.
    unsafe { vld1_s16(chunk.as_ptr()) }
}

fn store(value: int16x8_t, out: &mut [i16]) {
    let out = &mut out[..8];
    // SAFETY: there is room for 8 values; the store needs no alignment.
    unsafe { vst1q_s16(out.as_mut_ptr(), value) }
}

/// Adds eight values times a weight to two sums of four.
#[inline(always)]
fn add(sums: &mut [int32x4_t], values: int16x8_t, weight: i16) {
    // SAFETY: NEON is part of every processor that this file is compiled for.
    unsafe {
        sums[0] = vmlal_n_s16(sums[0], vget_low_s16(values), weight);
        sums[1] = vmlal_n_s16(sums[1], vget_high_s16(values), weight);
    }
}

fn vertical_u8(lines: Lines<'_>, weights: &[i16], out: &mut [i16]) {
    let whole = out.len() / 16 * 16;
    let (body, tail) = out.split_at_mut(whole);
    for (block, out) in body.chunks_exact_mut(16).enumerate() {
        // SAFETY: NEON is part of every processor that this file is compiled for.
        let mut sums = unsafe { [vdupq_n_s32(1 << 6); 4] };
        for (k, &weight) in weights.iter().enumerate() {
            let line = bytes(lines.data, k * lines.stride + 16 * block);
            // SAFETY: as above.
            let (low, high) = unsafe {
                (vreinterpretq_s16_u16(vmovl_u8(vget_low_u8(line))), vreinterpretq_s16_u16(vmovl_high_u8(line)))
            };
            add(&mut sums[..2], low, weight);
            add(&mut sums[2..], high, weight);
        }
        // SAFETY: as above.
        let [a, b, c, d] = sums.map(|sum| unsafe { vshrn_n_s32::<7>(sum) });
        // SAFETY: as above.
        unsafe {
            store(vcombine_s16(a, b), out);
            store(vcombine_s16(c, d), &mut out[8..]);
        }
    }
    if !tail.is_empty() {
        portable::vertical_u8(Lines { data: &lines.data[whole..], ..lines }, weights, tail);
    }
}

fn vertical_u16(lines: Lines<'_>, weights: &[i16], narrow: Narrow, out: &mut [i16]) {
    let whole = out.len() / 8 * 8;
    let (body, tail) = out.split_at_mut(whole);
    // SAFETY: NEON is part of every processor that this file is compiled for.
    let (highest, shift) = unsafe { (vdupq_n_u16(narrow.max), vdupq_n_s16(narrow.left as i16 - narrow.right as i16)) };
    for (block, out) in body.chunks_exact_mut(8).enumerate() {
        // SAFETY: as above.
        let mut sums = unsafe { [vdupq_n_s32(1 << (WEIGHT_BITS - 1)); 2] };
        for (k, &weight) in weights.iter().enumerate() {
            let line = bytes(lines.data, k * lines.stride + 16 * block);
            // SAFETY: as above. Only one of the two shifts is not zero, so that one instruction does both.
            let codes = unsafe { vshlq_u16(vminq_u16(vreinterpretq_u16_u8(line), highest), shift) };
            // SAFETY: as above.
            add(&mut sums, unsafe { vreinterpretq_s16_u16(codes) }, weight);
        }
        // SAFETY: as above.
        let [a, b] = sums.map(|sum| unsafe { vshrn_n_s32::<{ WEIGHT_BITS as i32 }>(sum) });
        // SAFETY: as above.
        store(unsafe { vcombine_s16(a, b) }, out);
    }
    if !tail.is_empty() {
        portable::vertical_u16(Lines { data: &lines.data[2 * whole..], ..lines }, weights, narrow, tail);
    }
}

fn unpack(packed: &[u8], packing: Packing, words: &mut [u8]) {
    match packing {
        Packing::Ten => unpack_blocks::<2>(packed, packing, words),
        Packing::Twelve => unpack_blocks::<4>(packed, packing, words),
    }
}

/// Where the bytes of eight samples with `shift` low bits come from: the high ones, and those that hold the low bits, each in the
/// lower byte of a word; and how far every sample's low bits are moved.
const fn places(shift: usize) -> ([u8; 16], [u8; 16], [i16; 8]) {
    let (mut high, mut low, mut moves) = ([255; 16], [255; 16], [0; 8]);
    let mut k = 0;
    while k < 8 {
        high[2 * k] = sample_byte(shift, k) as u8;
        low[2 * k] = low_bits_byte(shift, k) as u8;
        moves[k] = -((shift * (k % (8 / shift))) as i16);
        k += 1;
    }
    (high, low, moves)
}

#[inline(always)]
fn unpack_blocks<const SHIFT: usize>(packed: &[u8], packing: Packing, words: &mut [u8]) {
    let (high, low, moves) = const { places(SHIFT) };
    let (high, low, moves) = (bytes(&high, 0), bytes(&low, 0), eight(&moves, 0));
    // Bytes of eight samples.
    let step = 8 + SHIFT;
    let mut done = 0;
    for (block, out) in words.chunks_exact_mut(16).enumerate() {
        let at = step * block;
        if at + 16 > packed.len() {
            break;
        }
        let from = bytes(packed, at);
        // SAFETY: NEON is part of every processor that this file is compiled for; the chunk has room for 16 bytes.
        unsafe {
            // An index past the table gives zero.
            let top = vreinterpretq_u16_u8(vqtbl1q_u8(from, high));
            let rest = vshlq_u16(vreinterpretq_u16_u8(vqtbl1q_u8(from, low)), moves);
            let rest = vandq_u16(rest, vdupq_n_u16((1 << SHIFT) - 1));
            let samples = vorrq_u16(vshlq_u16(top, vdupq_n_s16(SHIFT as i16)), rest);
            vst1q_u8(out.as_mut_ptr(), vreinterpretq_u8_u16(samples));
        }
        done = block + 1;
    }
    if 16 * done < words.len() {
        portable::unpack(&packed[step * done..], packing, &mut words[16 * done..]);
    }
}

fn split(row: &[i16], step: usize, out: &mut [i16]) {
    let mut done = 0;
    // Whole blocks, as long as reading the samples in between stays inside the row.
    while (2..=4).contains(&step) && done + 8 <= out.len() && (done + 8) * step <= row.len() {
        let chunk = &row[done * step..(done + 8) * step];
        // SAFETY: the chunk has 8 x step values, which is what the load of that step reads.
        let block = unsafe {
            match step {
                2 => vld2q_s16(chunk.as_ptr()).0,
                3 => vld3q_s16(chunk.as_ptr()).0,
                _ => vld4q_s16(chunk.as_ptr()).0,
            }
        };
        store(block, &mut out[done..]);
        done += 8;
    }
    if done < out.len() {
        portable::split(&row[done * step..], step, &mut out[done..]);
    }
}

fn horizontal(row: &[i16], axis: &Axis, out: &mut [i16]) {
    for (i, out) in out.iter_mut().enumerate() {
        let (first, weights) = (axis.first[i] as usize, &axis.weights[i * axis.taps..(i + 1) * axis.taps]);
        // SAFETY: NEON is part of every processor that this file is compiled for.
        let sum = unsafe {
            if axis.taps == 4 {
                vaddvq_s32(vmull_s16(four(row, first), four(weights, 0)))
            } else {
                let mut sums = [vdupq_n_s32(0); 2];
                for k in (0..axis.taps).step_by(8) {
                    let (values, weights) = (eight(row, first + k), eight(weights, k));
                    sums[0] = vmlal_s16(sums[0], vget_low_s16(values), vget_low_s16(weights));
                    sums[1] = vmlal_high_s16(sums[1], values, weights);
                }
                vaddvq_s32(vaddq_s32(sums[0], sums[1]))
            }
        };
        *out = ((sum + (1 << (WEIGHT_BITS - 1))) >> WEIGHT_BITS) as i16;
    }
}

fn color(components: &[i16], line_len: usize, count: usize, channel: &Channel, out: &mut [i16]) {
    let whole = out.len() / 8 * 8;
    for x in (0..whole).step_by(8) {
        // SAFETY: NEON is part of every processor that this file is compiled for.
        let mut sums = unsafe { [vdupq_n_s32(channel.bias); 2] };
        for (c, &coefficient) in channel.coefficients.iter().take(count).enumerate() {
            add(&mut sums, eight(components, c * line_len + x), coefficient);
        }
        // SAFETY: as above.
        let clamped = unsafe {
            let [low, high] = sums.map(|sum| vqmovn_s32(vshrq_n_s32::<{ COLOR_BITS as i32 }>(sum)));
            vmaxq_s16(vminq_s16(vcombine_s16(low, high), vdupq_n_s16(WHITE as i16)), vdupq_n_s16(0))
        };
        store(clamped, &mut out[x..]);
    }
    if whole < out.len() {
        portable::color(&components[whole..], line_len, count, channel, &mut out[whole..]);
    }
}

/// Rounds 16 values to bytes.
fn sixteen_bytes(row: &[i16], at: usize) -> uint8x16_t {
    let (low, high) = (eight(row, at), eight(row, at + 8));
    // SAFETY: NEON is part of every processor that this file is compiled for.
    unsafe { vcombine_u8(vqrshrun_n_s16::<7>(low), vqrshrun_n_s16::<7>(high)) }
}

fn interleave(channels: &[i16], line_len: usize, out: &mut [u8]) {
    if channels.len() == line_len {
        portable::interleave(channels, line_len, out);
        return;
    }
    let width = out.len() / 3;
    let whole = width / 16 * 16;
    for (block, out) in out[..3 * whole].chunks_exact_mut(48).enumerate() {
        let [r, g, b] = [0, 1, 2].map(|c| sixteen_bytes(channels, c * line_len + 16 * block));
        // SAFETY: the chunk has 48 bytes, which is what the store writes.
        unsafe { vst3q_u8(out.as_mut_ptr(), uint8x16x3_t(r, g, b)) };
    }
    if whole < width {
        portable::interleave_from(channels, line_len, whole, &mut out[3 * whole..]);
    }
}

const _: () = assert!(SLACK >= 8, "a block of taps may be read past the last sample");
