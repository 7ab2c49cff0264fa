//! int8 kernels give the same bytes on every architecture.
//!
//! Within one architecture the instruction sets are compared with a plain definition; here each is held to a number that was
//! written down once, so that an architecture that differs shows, whichever it is.

use super::check::{Random, every_isa};
use super::window_tests::Case;
use super::{Kernels, Requantise};
use crate::layout::{LANES, Quads};

/// FNV-1a.
struct Digest(u64);

impl Digest {
    fn new() -> Digest {
        Digest(0xcbf2_9ce4_8422_2325)
    }

    /// What lies inside the grid; between its rows anything may.
    fn add(&mut self, bytes: &[i8], quads: &Quads) {
        for c in 0..quads.channels {
            for y in 0..quads.grid.height {
                for x in 0..quads.grid.width {
                    let byte = bytes[quads.index(c, y, x)].cast_unsigned();
                    self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
                }
            }
        }
    }
}

/// Numbers of every size that a kernel may meet, and scales that spread the sums over all bytes.
fn convolve(kernels: &Kernels, case: &Case, digest: &mut Digest) {
    let mut random = Random::new(case.seed ^ 99);
    let (depth, channels) = (case.source.channels * case.window.taps(), random.within(1, 21));
    let source = Quads { channels: case.source.channels, grid: case.source.grid };
    let output = Quads { channels, grid: case.output.grid };
    let weights: Vec<i8> = random.bytes(channels * depth).into_iter().map(|w| w.max(-127)).collect();
    let bias: Vec<i32> = (0..channels).map(|_| random.within(0, 4000) as i32 - 2000).collect();
    let scale: Vec<f32> = (0..channels).map(|_| (random.float() + 1.5) / (60.0 * depth as f32)).collect();
    let (input_zero, zero) = (random.bits() as i8, random.bits() as i8);
    let requantise = Requantise { scale: &scale, zero, low: -128, high: 127 };
    let packed = kernels.pack_conv_int8(&case.window, &source, input_zero, &weights, &bias, &requantise);
    let mut dst = vec![0; output.bytes().next_multiple_of(LANES)];
    kernels.conv_int8(&packed, &random.bytes(source.bytes()), &mut dst, &output.grid, 0..channels);
    digest.add(&dst, &output);
}

fn filter(kernels: &Kernels, case: &Case, digest: &mut Digest) {
    let mut random = Random::new(case.seed ^ 98);
    let (taps, channels) = (case.window.taps(), case.source.channels);
    let source = Quads { channels, grid: case.source.grid };
    let output = Quads { channels, grid: case.output.grid };
    let weights = random.bytes(channels * taps);
    let bias: Vec<i32> = (0..channels).map(|_| random.within(0, 4000) as i32 - 2000).collect();
    let scale: Vec<f32> = (0..channels).map(|_| (random.float() + 1.5) / (60.0 * taps as f32)).collect();
    let (input_zero, zero) = (random.bits() as i8, random.bits() as i8);
    let requantise = Requantise { scale: &scale, zero, low: zero, high: 127 };
    let packed = kernels.pack_depthwise_int8(&case.window, input_zero, &weights, &bias, &requantise);
    let mut dst = vec![0; output.bytes()];
    kernels.depthwise_int8(&packed, 0, &random.bytes(source.bytes()), &source, &mut dst, &output);
    digest.add(&dst, &output);
}

fn check(sizes: &[usize], work: fn(&Kernels, &Case, &mut Digest), expected: u64) {
    every_isa(|kernels| {
        let mut digest = Digest::new();
        for seed in 300..340 {
            work(kernels, &Case::random(seed, sizes), &mut digest);
        }
        assert_eq!(digest.0, expected, "{}: {:#018x} for {expected:#018x}", kernels.isa(), digest.0);
    });
}

#[test]
fn int8_convolution_is_the_same_on_every_architecture() {
    check(&[1, 3, 1, 3, 5, 4, 7], convolve, 0xf97c_9ddb_062c_e23f);
}

#[test]
fn int8_depthwise_is_the_same_on_every_architecture() {
    check(&[3, 5, 3, 5, 7, 2], filter, 0x73a6_8193_57ab_b3ed);
}
