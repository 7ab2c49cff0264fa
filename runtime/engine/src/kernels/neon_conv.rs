//! Convolution of `f32` planes on NEON: [`super::conv`]'s walk around the assembly of [`super::neon_taps`].

use std::arch::aarch64::*;

use super::Clamp;
use super::conv::{self, CHUNK_POSITIONS, ConvCall, Runs};
use super::neon::Neon;
use super::neon_taps::{self, MOST_VECTORS, ROWS, Walk};
use super::simd::Simd;

/// Positions in a register.
const LANES: usize = 4;

/// Eight channels by twelve positions.
pub(super) const TILE_ROWS: usize = ROWS;

/// All tiles of a call.
///
/// # Safety
/// As [`conv::conv`].
#[inline(always)]
pub(super) unsafe fn conv(call: &ConvCall<'_>) {
    // SAFETY: the caller's.
    unsafe {
        match call.conv.window.stride[1] {
            1 => runs::<1>(call),
            2 => runs::<2>(call),
            // Nobody's network: cell by cell.
            _ => conv::conv::<Neon, { ROWS / 2 }, MOST_VECTORS>(call),
        }
    }
}

/// What a tile needs of a call. A copy of it, which no store can change, so that all of it may stay in registers.
#[derive(Clone, Copy)]
struct Fixed {
    deltas: *const isize,
    taps: usize,
    weights: *const f32,
    bias: *const f32,
    residual: *const f32,
    clamp: Clamp,
    plane: usize,
}

#[inline(always)]
unsafe fn runs<const STRIDE: usize>(call: &ConvCall<'_>) {
    let conv = call.conv;
    let taps = conv.offsets.len();
    // SAFETY: the caller's: the weights and biases from the first channel on are there.
    let fixed = unsafe {
        Fixed {
            deltas: conv.deltas.as_ptr(),
            taps,
            weights: conv.weights.as_ptr().add(call.first_channel * taps),
            bias: conv.bias.as_ptr().add(call.first_channel),
            residual: call.residual,
            clamp: conv.clamp,
            plane: call.dst_plane,
        }
    };
    let Runs { count, len, src_step, dst_step } = call.runs;
    for run in 0..count {
        for first in (0..len).step_by(CHUNK_POSITIONS) {
            let end = len.min(first + CHUNK_POSITIONS);
            for m in (0..call.channels).step_by(ROWS) {
                let mut x = first;
                while x < end {
                    // SAFETY: the caller's: position x of the run and channel m exist.
                    unsafe {
                        let src = call.src.add(run * src_step + x * STRIDE);
                        let at = run * dst_step + m * fixed.plane + x;
                        let tile = Tile { src, dst: call.dst, at, channel: m, rows: call.channels - m, count: end - x };
                        // Four registers are two and two rather than three and one.
                        x += match (end - x).div_ceil(LANES) {
                            1 => tile.run::<1, STRIDE>(fixed),
                            2 | 4 => tile.run::<2, STRIDE>(fixed),
                            _ => tile.run::<3, STRIDE>(fixed),
                        };
                    }
                }
            }
        }
    }
}

/// One tile's place.
#[derive(Clone, Copy)]
struct Tile {
    src: *const f32,
    /// The call's outputs, and which of them is the tile's first.
    dst: *mut f32,
    at: usize,
    channel: usize,
    /// Channels and positions that exist from here on; the tile may be larger or smaller.
    rows: usize,
    count: usize,
}

impl Tile {
    /// Computes `ROWS` channels by `NV` registers and says how many positions that is.
    #[inline(always)]
    unsafe fn run<const NV: usize, const STRIDE: usize>(self, fixed: Fixed) -> usize {
        // SAFETY: the caller's: the tile's weights and biases are whole; the activations are within the checked span.
        unsafe {
            let bias = fixed.bias.add(self.channel);
            let bias = [vld1q_f32(bias), vld1q_f32(bias.add(4))];
            let mut sums = [[vdupq_n_f32(0.0); MOST_VECTORS]; ROWS];
            for (half, &bias) in bias.iter().enumerate() {
                sums[4 * half] = [vdupq_laneq_f32::<0>(bias); MOST_VECTORS];
                sums[4 * half + 1] = [vdupq_laneq_f32::<1>(bias); MOST_VECTORS];
                sums[4 * half + 2] = [vdupq_laneq_f32::<2>(bias); MOST_VECTORS];
                sums[4 * half + 3] = [vdupq_laneq_f32::<3>(bias); MOST_VECTORS];
            }
            let walk = Walk {
                src: self.src.cast(),
                deltas: fixed.deltas,
                step: 0,
                weights: fixed.weights.add(self.channel * fixed.taps).cast(),
                taps: fixed.taps,
            };
            neon_taps::floats::<NV, STRIDE>(&mut sums, walk);
            if self.rows >= ROWS && self.count >= NV * LANES {
                self.put_whole::<NV>(fixed, sums);
            } else {
                self.put_part::<NV>(fixed, &sums);
            }
        }
        NV * LANES
    }

    /// Adds the residual, clamps and stores a tile that exists as a whole.
    #[inline(always)]
    #[allow(clippy::needless_range_loop)] // v is a column of `sums`
    unsafe fn put_whole<const NV: usize>(self, fixed: Fixed, mut sums: [[float32x4_t; MOST_VECTORS]; ROWS]) {
        // SAFETY: `run`'s: every position of the tile exists.
        unsafe {
            if !fixed.residual.is_null() {
                let residual = fixed.residual.add(self.at);
                for (r, row) in sums.iter_mut().enumerate() {
                    for v in 0..NV {
                        row[v] = vaddq_f32(vld1q_f32(residual.add(r * fixed.plane + v * LANES)), row[v]);
                    }
                }
            }
            if fixed.clamp != Clamp::NONE {
                let (low, high) = (vdupq_n_f32(fixed.clamp.low), vdupq_n_f32(fixed.clamp.high));
                for row in &mut sums {
                    for v in 0..NV {
                        row[v] = vminq_f32(high, vmaxq_f32(low, row[v]));
                    }
                }
            }
            let dst = self.dst.add(self.at);
            for (r, row) in sums.iter().enumerate() {
                for v in 0..NV {
                    vst1q_f32(dst.add(r * fixed.plane + v * LANES), row[v]);
                }
            }
        }
    }

    /// As `put_whole`, for a tile of which some rows or positions do not exist.
    #[inline(never)]
    unsafe fn put_part<const NV: usize>(self, fixed: Fixed, sums: &[[float32x4_t; MOST_VECTORS]; ROWS]) {
        // SAFETY: no pointer is involved.
        let (low, high) = unsafe { (vdupq_n_f32(fixed.clamp.low), vdupq_n_f32(fixed.clamp.high)) };
        for (r, row) in sums.iter().enumerate().take(self.rows) {
            for (v, &sum) in row.iter().enumerate().take(NV.min(self.count.div_ceil(LANES))) {
                let at = self.at + r * fixed.plane + v * LANES;
                let count = (self.count - v * LANES).min(LANES);
                let mut more = [0.0f32; LANES];
                // SAFETY: `run`'s: the first `rows` and `count` exist.
                unsafe {
                    if !fixed.residual.is_null() {
                        std::ptr::copy_nonoverlapping(fixed.residual.add(at), more.as_mut_ptr(), count);
                    }
                    let value = vminq_f32(high, vmaxq_f32(low, vaddq_f32(vld1q_f32(more.as_ptr()), sum)));
                    if count == LANES {
                        vst1q_f32(self.dst.add(at), value);
                    } else {
                        Neon::store_first(self.dst.add(at), value, count);
                    }
                }
            }
        }
    }
}
