//! int8 convolution against its definition, to the bit.

use super::check::{Random, every_isa};
use super::window_tests::Case;
use super::{Kernels, Requantise};
use crate::layout::{LANES, Planes, Quads};

/// The definition of requantisation.
pub(super) fn requantised(sum: i32, scale: f32, requantise: &Requantise<'_>) -> i8 {
    let rounded = (f64::from(sum as f32 * scale)).round_ties_even() + f64::from(requantise.zero);
    rounded.clamp(f64::from(requantise.low), f64::from(requantise.high)) as i8
}

fn check(kernels: &Kernels, case: &Case, channels: usize, least: i8) {
    let mut random = Random::new(case.seed ^ 11);
    let source = Quads { channels: case.source.channels, grid: case.source.grid };
    let output = Quads { channels, grid: case.output.grid };
    let depth = source.channels * case.window.taps();
    let weights: Vec<i8> = random.bytes(channels * depth).into_iter().map(|w| w.max(least)).collect();
    let bias: Vec<i32> = (0..channels).map(|_| random.within(0, 4000) as i32 - 2000).collect();
    let scale: Vec<f32> = (0..channels).map(|_| (random.float() + 1.5) / (60.0 * (depth as f32).sqrt())).collect();
    let zero = random.bits() as i8;
    let low = if random.within(0, 1) == 0 { zero } else { -128 };
    let requantise = Requantise { scale: &scale, zero, low, high: 127 };
    let input_zero = random.bits() as i8;
    let src = random.bytes(source.bytes());
    let conv = kernels.pack_conv_int8(&case.window, &source, input_zero, &weights, &bias, &requantise);
    const MARK: i8 = 77;
    let mut dst = vec![MARK; output.bytes()];
    let half = (channels / 2).next_multiple_of(conv.tile_channels()).min(channels);
    for part in [0..half, half..channels] {
        let plane = output.grid.plane * part.start.div_ceil(LANES) * LANES;
        kernels.conv_int8(&conv, &src, &mut dst[plane..], &output.grid, part);
    }
    for m in 0..channels {
        for y in 0..output.grid.height {
            for x in 0..output.grid.width {
                let taps = case.taps(y, x);
                let mut sum = bias[m];
                for c in 0..source.channels {
                    for (tap, at) in taps.iter().enumerate() {
                        let cell = c / LANES * source.grid.plane + at;
                        let value = i32::from(src[cell * LANES + c % LANES]) - i32::from(input_zero);
                        sum += value * i32::from(weights[m * depth + c * taps.len() + tap]);
                    }
                }
                let label = format!("{} seed {} {:?} {m} {y} {x}", kernels.isa(), case.seed, case.window);
                assert_eq!(dst[output.index(m, y, x)], requantised(sum, scale[m], &requantise), "{label}");
            }
        }
    }
    let inside = |i: usize| {
        let at = i / LANES % output.grid.plane;
        let from = output.grid.cell(0, 0);
        i / LANES < output.blocks() * output.grid.plane && (from..from + output.grid.sweep()).contains(&at)
    };
    assert!((0..dst.len()).all(|i| inside(i) || dst[i] == MARK), "seed {}: wrote outside its grid", case.seed);
}

#[test]
fn int8_convolution_is_exact_on_random_geometry() {
    every_isa(|kernels| {
        for seed in 0..60 {
            let mut case = Case::random(seed, &[1, 3, 1, 3, 5, 4]);
            let mut random = Random::new(seed ^ 5);
            case.source = Planes { channels: random.within(1, 13), ..case.source };
            check(kernels, &case, random.within(1, 19), -127);
        }
    });
}

#[test]
fn weights_of_minus_128_are_exact_too() {
    every_isa(|kernels| {
        for seed in 100..110 {
            let case = Case::random(seed, &[1, 3]);
            check(kernels, &case, 9, -128);
        }
    });
}
