//! int8 convolution against its definition, to the bit.

use super::check::{Random, every_isa};
use super::window_tests::Case;
use super::{Aligned, Kernels, Requantise, Window};
use crate::layout::{Grid, LANES, Pads, Planes, Quads};

/// The definition of requantisation.
pub(super) fn requantised(sum: i32, scale: f32, requantise: &Requantise<'_>) -> i8 {
    let rounded = (f64::from(sum as f32 * scale)).round_ties_even() + f64::from(requantise.zero);
    rounded.clamp(f64::from(requantise.low), f64::from(requantise.high)) as i8
}

/// By which kernel.
#[derive(Clone, Copy, PartialEq)]
enum By {
    Direct,
    Winograd,
}

fn check(kernels: &Kernels, case: &Case, channels: usize, least: i8, by: By) {
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
    const MARK: i8 = 77;
    let mut dst = vec![MARK; output.bytes()];
    let from = |channel: usize| output.grid.plane * channel.div_ceil(LANES) * LANES;
    let halves = |unit: usize| {
        let half = (channels / 2).next_multiple_of(unit).min(channels);
        [0..half, half..channels]
    };
    if by == By::Direct {
        let conv = kernels.pack_conv_int8(&case.window, &source, input_zero, &weights, &bias, &requantise);
        for part in halves(conv.tile_channels()) {
            kernels.conv_int8(&conv, &src, &mut dst[from(part.start)..], &output.grid, part);
        }
    } else {
        let packed = kernels.pack_winograd_int8(&case.window, &source, input_zero, &weights, &bias, &requantise);
        let conv = packed.expect("a window and weights that it takes");
        let mut scratch = Aligned::zeroed(conv.scratch_bytes(&output.grid));
        for part in halves(conv.unit_channels()) {
            kernels.winograd_int8(&conv, &src, &mut scratch, &mut dst[from(part.start)..], &output.grid, part);
        }
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
            check(kernels, &case, random.within(1, 19), -127, By::Direct);
        }
    });
}

#[test]
fn weights_of_minus_128_are_exact_too() {
    every_isa(|kernels| {
        for seed in 100..110 {
            let case = Case::random(seed, &[1, 3]);
            check(kernels, &case, 9, -128, By::Direct);
        }
    });
}

#[test]
fn int8_winograd_is_exact_on_random_geometry() {
    every_isa(|kernels| {
        for seed in 0..60 {
            let mut random = Random::new(seed ^ 23);
            let (size, pad) = (random.within(3, 4), random.within(0, 1));
            let (height, width) = (random.within(1, 20), random.within(1, 40));
            let inside = |outputs: usize| (outputs + size - 1).saturating_sub(2 * pad).max(1);
            let pads = Pads { bottom: 2, right: 2, ..Pads::all(pad) };
            let source = Grid::new(inside(height), inside(width), pads);
            let case = Case {
                window: Window::square(size, 1, Pads::all(pad)),
                source: Planes { channels: random.within(1, 13), grid: source },
                output: Planes { channels: 1, grid: Grid::new(height, width, Pads::all(random.within(0, 2))) },
                seed,
            };
            check(kernels, &case, random.within(1, 30), -128, By::Winograd);
        }
    });
}

#[test]
fn int8_winograd_is_exact_at_its_bound_and_refuses_what_is_beyond() {
    every_isa(|kernels| {
        // The greatest sums that are certain: all inputs -128, weights that add up to just less than 2^18.
        let (window, channels) = (Window::square(3, 1, Pads::all(1)), 228);
        let source = Quads { channels, grid: Grid::new(6, 6, Pads::all(1)) };
        let mut weights = vec![-128i8; 9 * channels];
        weights[0] = -127;
        while weights.iter().map(|w| i32::from(*w).abs()).sum::<i32>() >= 1 << 18 {
            let last = weights.iter().rposition(|w| *w != 0).expect("not all are zero");
            weights[last] = 0;
        }
        let requantise = Requantise { scale: &[100.0 / (1 << 25) as f32], zero: 0, low: -128, high: 127 };
        let direct = kernels.pack_conv_int8(&window, &source, 0, &weights, &[0], &requantise);
        let packed = kernels.pack_winograd_int8(&window, &source, 0, &weights, &[0], &requantise);
        let winograd = packed.expect("within the bound");
        let (src, grid) = (vec![-128i8; source.bytes()], Grid::new(6, 6, Pads::default()));
        let output = Quads { channels: 1, grid };
        let (mut want, mut got) = (vec![0; output.bytes()], vec![0; output.bytes()]);
        kernels.conv_int8(&direct, &src, &mut want, &grid, 0..1);
        let mut scratch = Aligned::zeroed(winograd.scratch_bytes(&grid));
        kernels.winograd_int8(&winograd, &src, &mut scratch, &mut got, &grid, 0..1);
        let channel = |bytes: &[i8]| bytes[..36 * LANES].iter().step_by(LANES).copied().collect::<Vec<_>>();
        assert_eq!(channel(&got), channel(&want), "{}", kernels.isa());
        assert!(channel(&got).contains(&100), "{}: the sums reach 2^25", kernels.isa());
        weights.fill(-128);
        assert!(kernels.pack_winograd_int8(&window, &source, 0, &weights, &[0], &requantise).is_none());
    });
}
