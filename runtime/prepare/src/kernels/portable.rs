//! The inner loops in plain Rust: the definition that the other versions must match to the bit.

use super::{Kernels, Lines, Narrow};
use crate::color::{COLOR_BITS, Channel, WHITE};
use crate::unpack::Packing;
use crate::weights::{Axis, WEIGHT_BITS};

/// The set for every processor.
pub(crate) const KERNELS: Kernels = Kernels {
    name: "portable",
    vertical_u8,
    vertical_422: None,
    vertical_u16,
    unpack,
    split,
    horizontal,
    color,
    interleave,
    to_f32,
};

/// Columns that are added up at once: enough to fill vector registers, few enough to stay in them.
const BLOCK: usize = 64;

#[inline(always)]
pub(super) fn vertical_u8(lines: Lines<'_>, weights: &[i16], out: &mut [i16]) {
    for (block, out) in out.chunks_mut(BLOCK).enumerate() {
        let mut sums = [1 << 6; BLOCK];
        for (k, &weight) in weights.iter().enumerate() {
            let start = k * lines.stride + block * BLOCK;
            let line = &lines.data[start..start + out.len()];
            for (sum, &byte) in sums.iter_mut().zip(line) {
                *sum += i32::from(weight) * i32::from(byte);
            }
        }
        for (out, sum) in out.iter_mut().zip(sums) {
            *out = (sum >> 7) as i16;
        }
    }
}

/// What is left of packed 4:2:2 lines after `cells` whole cells of two pixels, one sample at a time.
#[cfg(target_arch = "x86_64")]
pub(super) fn vertical_422_from(
    lines: Lines<'_>,
    weights: &[i16],
    luma_first: bool,
    cells: usize,
    out: super::Parts422<'_>,
) {
    let sum = |x: usize| {
        let products =
            weights.iter().enumerate().map(|(k, &w)| i32::from(w) * i32::from(lines.data[k * lines.stride + x]));
        ((products.sum::<i32>() + 64) >> 7) as i16
    };
    let (luma, chroma) = if luma_first { (0, 1) } else { (1, 0) };
    for (i, out) in out.luma.iter_mut().enumerate().skip(2 * cells) {
        *out = sum(2 * i + luma);
    }
    for (part, out) in out.chroma.into_iter().enumerate() {
        for (i, out) in out.iter_mut().enumerate().skip(cells) {
            *out = sum(4 * i + chroma + 2 * part);
        }
    }
}

#[inline(always)]
pub(super) fn vertical_u16(lines: Lines<'_>, weights: &[i16], narrow: Narrow, out: &mut [i16]) {
    for (block, out) in out.chunks_mut(BLOCK).enumerate() {
        let mut sums = [1 << (WEIGHT_BITS - 1); BLOCK];
        for (k, &weight) in weights.iter().enumerate() {
            let start = k * lines.stride + 2 * block * BLOCK;
            let line = &lines.data[start..start + 2 * out.len()];
            for (sum, bytes) in sums.iter_mut().zip(line.chunks_exact(2)) {
                let code = u16::from_le_bytes([bytes[0], bytes[1]]).min(narrow.max);
                *sum += i32::from(weight) * (i32::from(code) << narrow.left >> narrow.right);
            }
        }
        for (out, sum) in out.iter_mut().zip(sums) {
            *out = (sum >> WEIGHT_BITS) as i16;
        }
    }
}

pub(super) fn unpack(packed: &[u8], packing: Packing, words: &mut [u8]) {
    match packing {
        Packing::Ten => ten(packed, words),
        Packing::Twelve => twelve(packed, words),
    }
}

fn ten(packed: &[u8], words: &mut [u8]) {
    for (words, group) in words.chunks_mut(8).zip(packed.chunks(5)) {
        for (k, word) in words.chunks_exact_mut(2).enumerate() {
            let low = group[4] >> (2 * k) & 3;
            word.copy_from_slice(&(u16::from(group[k]) << 2 | u16::from(low)).to_le_bytes());
        }
    }
}

fn twelve(packed: &[u8], words: &mut [u8]) {
    for (words, group) in words.chunks_mut(4).zip(packed.chunks(3)) {
        for (k, word) in words.chunks_exact_mut(2).enumerate() {
            let low = group[2] >> (4 * k) & 15;
            word.copy_from_slice(&(u16::from(group[k]) << 4 | u16::from(low)).to_le_bytes());
        }
    }
}

#[inline(always)]
pub(super) fn split(row: &[i16], step: usize, out: &mut [i16]) {
    for (out, &value) in out.iter_mut().zip(row.iter().step_by(step)) {
        *out = value;
    }
}

#[inline(always)]
pub(super) fn horizontal(row: &[i16], axis: &Axis, out: &mut [i16]) {
    for (i, out) in out.iter_mut().enumerate() {
        let first = axis.first[i] as usize;
        let weights = &axis.weights[i * axis.taps..][..axis.count[i] as usize];
        let values = &row[first..first + weights.len()];
        let sum: i32 = weights.iter().zip(values).map(|(&w, &v)| i32::from(w) * i32::from(v)).sum();
        *out = ((sum + (1 << (WEIGHT_BITS - 1))) >> WEIGHT_BITS) as i16;
    }
}

#[inline(always)]
pub(super) fn color(components: &[i16], line_len: usize, count: usize, channel: &Channel, out: &mut [i16]) {
    const BLOCK: usize = 32;
    for (block, out) in out.chunks_mut(BLOCK).enumerate() {
        let mut sums = [channel.bias; BLOCK];
        for (c, &coefficient) in channel.coefficients.iter().take(count).enumerate() {
            let line = &components[c * line_len + block * BLOCK..][..out.len()];
            for (sum, &value) in sums.iter_mut().zip(line) {
                // A sum may pass through the ends of i32 on its way; where it ends is inside.
                *sum = sum.wrapping_add(i32::from(coefficient) * i32::from(value));
            }
        }
        for (out, sum) in out.iter_mut().zip(sums) {
            *out = (sum >> COLOR_BITS).clamp(0, WHITE) as i16;
        }
    }
}

#[inline(always)]
pub(super) fn interleave(channels: &[i16], line_len: usize, out: &mut [u8]) {
    if channels.len() != line_len {
        interleave_from(channels, line_len, 0, out);
        return;
    }
    for (out, &value) in out.iter_mut().zip(channels) {
        *out = round(value);
    }
}

/// Three channels, from pixel `first` of the lines on.
#[inline(always)]
pub(super) fn interleave_from(channels: &[i16], line_len: usize, first: usize, out: &mut [u8]) {
    let (red, rest) = channels.split_at(line_len);
    let (green, blue) = rest.split_at(line_len);
    for (((out, &r), &g), &b) in out.chunks_exact_mut(3).zip(&red[first..]).zip(&green[first..]).zip(&blue[first..]) {
        out.copy_from_slice(&[round(r), round(g), round(b)]);
    }
}

/// 7 fraction bits to none, half up.
fn round(value: i16) -> u8 {
    ((i32::from(value) + 64) >> 7) as u8
}

#[inline(always)]
pub(super) fn to_f32(row: &[i16], out: &mut [f32]) {
    // A division, not a product with the reciprocal: an 8-bit value comes out as exactly value / 255.
    for (out, &value) in out.iter_mut().zip(row) {
        *out = f32::from(value) / WHITE as f32;
    }
}
