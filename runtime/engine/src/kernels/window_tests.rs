//! Depthwise convolution and pooling against their definitions, on random geometry.

use super::check::{Random, every_isa};
use super::{Clamp, Divisor, Kernels, Window};
use crate::layout::{Grid, Pads, Planes};

/// A random window, source and output with the window's padding inside the source and some of its own around the output.
pub(super) struct Case {
    pub window: Window,
    pub source: Planes,
    pub output: Planes,
    pub seed: u64,
}

impl Case {
    pub fn random(seed: u64, sizes: &[usize]) -> Case {
        let mut random = Random::new(seed);
        let mut window = Window::square(sizes[random.within(0, sizes.len() - 1)], random.within(1, 2), Pads::default());
        let limit = window.kernel[0] / 2;
        window.pads = Pads {
            top: random.within(0, limit),
            left: random.within(0, limit),
            bottom: random.within(0, limit),
            right: random.within(0, limit),
        };
        if random.within(0, 7) == 0 {
            window.kernel[1] = random.within(1, 3);
            window.stride[1] = random.within(1, 3);
            window.dilation = [random.within(1, 2), random.within(1, 3)];
        }
        let reach = |axis: usize| (window.kernel[axis] - 1) * window.dilation[axis] + 1;
        let (height, width) = (random.within(1, 9), random.within(1, 40));
        let from = |n: usize, axis: usize, pad: usize| {
            ((n - 1) * window.stride[axis] + reach(axis)).saturating_sub(pad).max(1)
        };
        let mut source = Grid::new(
            from(height, 0, window.pads.top + window.pads.bottom),
            from(width, 1, window.pads.left + window.pads.right),
            window.pads.union(Pads::all(random.within(0, 1))),
        );
        // Whatever rounding left over is room on the right and below.
        source.pads.bottom += 2;
        source = Grid::new(source.height, source.width, Pads { right: source.pads.right + 2, ..source.pads });
        let channels = random.within(1, 9);
        let output = Grid::new(height, width, Pads::all(random.within(0, 2)));
        Case { window, source: Planes { channels, grid: source }, output: Planes { channels, grid: output }, seed }
    }

    /// Random inside, `padding` elsewhere.
    fn source_with(&self, padding: f32) -> Vec<f32> {
        let mut random = Random::new(self.seed ^ 1);
        let mut data = vec![padding; self.source.elements()];
        for c in 0..self.source.channels {
            for y in 0..self.source.grid.height {
                for x in 0..self.source.grid.width {
                    data[self.source.index(c, y, x)] = random.float();
                }
            }
        }
        data
    }

    /// The cells under the window for output (y, x).
    pub fn taps(&self, y: usize, x: usize) -> Vec<usize> {
        let w = &self.window;
        let first = self.source.grid.cell(0, 0) - w.pads.top * self.source.grid.pitch - w.pads.left;
        let mut taps = Vec::new();
        for i in 0..w.kernel[0] {
            for j in 0..w.kernel[1] {
                let (down, right) = (y * w.stride[0] + i * w.dilation[0], x * w.stride[1] + j * w.dilation[1]);
                taps.push(first + down * self.source.grid.pitch + right);
            }
        }
        taps
    }

    /// Runs `kernel` into an output full of a mark; every inside cell must be `expected(c, y, x)`, every other the mark.
    fn check(&self, label: &str, kernel: impl FnOnce(&mut [f32]), expected: impl Fn(usize, usize, usize) -> f32) {
        const MARK: f32 = 777.0;
        let mut dst = vec![MARK; self.output.elements()];
        kernel(&mut dst);
        for c in 0..self.output.channels {
            for y in 0..self.output.grid.height {
                for x in 0..self.output.grid.width {
                    let at = self.output.index(c, y, x);
                    let (found, wanted) = (dst[at], expected(c, y, x));
                    let close = (found - wanted).abs() <= 1e-5 * wanted.abs().max(1.0);
                    assert!(
                        close,
                        "{label} seed {} {:?} ({c}, {y}, {x}): {found} for {wanted}",
                        self.seed, self.window
                    );
                    dst[at] = MARK;
                }
            }
        }
        assert!(dst.iter().all(|&v| v == MARK), "{label} seed {}: wrote outside its grid", self.seed);
    }
}

fn depthwise(kernels: &Kernels, case: &Case) {
    let mut random = Random::new(case.seed ^ 2);
    let taps = case.window.taps();
    let src = case.source_with(0.0);
    let weights = random.floats(case.source.channels * taps);
    let bias = random.floats(case.source.channels);
    let clamp = [Clamp::NONE, Clamp::RELU, Clamp { low: -0.5, high: 0.6 }][random.within(0, 2)];
    case.check(
        &format!("depthwise {}", kernels.isa()),
        |dst| kernels.depthwise(&case.window, clamp, &weights, &bias, &src, &case.source, dst, &case.output),
        |c, y, x| {
            let terms = case.taps(y, x).into_iter().zip(&weights[c * taps..]);
            let sum: f32 = terms.map(|(at, w)| src[c * case.source.grid.plane + at] * w).sum();
            (sum + bias[c]).clamp(clamp.low, clamp.high)
        },
    );
}

fn pools(kernels: &Kernels, case: &Case) {
    let src = case.source_with(-9.0);
    let under = |src: &[f32], c: usize, y: usize, x: usize| -> Vec<f32> {
        case.taps(y, x).into_iter().map(|at| src[c * case.source.grid.plane + at]).collect()
    };
    case.check(
        &format!("max pool {}", kernels.isa()),
        |dst| kernels.max_pool(&case.window, &src, &case.source, dst, &case.output),
        |c, y, x| under(&src, c, y, x).into_iter().fold(f32::NEG_INFINITY, f32::max),
    );
    let src = case.source_with(0.0);
    let mut random = Random::new(case.seed ^ 3);
    let factors = random.floats(case.output.grid.height * case.output.grid.width);
    for divisor in [Divisor::Uniform(0.25), Divisor::PerPosition(&factors)] {
        case.check(
            &format!("average pool {}", kernels.isa()),
            |dst| kernels.average_pool(&case.window, divisor, &src, &case.source, dst, &case.output),
            |c, y, x| {
                let factor = match divisor {
                    Divisor::Uniform(factor) => factor,
                    Divisor::PerPosition(factors) => factors[y * case.output.grid.width + x],
                };
                under(&src, c, y, x).iter().sum::<f32>() * factor
            },
        );
    }
}

#[test]
fn depthwise_is_its_definition_on_random_geometry() {
    every_isa(|kernels| {
        for seed in 0..150 {
            depthwise(kernels, &Case::random(seed, &[3, 5, 3, 5, 7, 1]));
        }
    });
}

#[test]
fn pools_are_their_definition_on_random_geometry() {
    every_isa(|kernels| {
        for seed in 0..150 {
            pools(kernels, &Case::random(seed, &[2, 3, 3, 1, 4]));
        }
    });
}

#[test]
#[should_panic(expected = "source of")]
fn a_source_without_slack_is_refused() {
    let planes = Planes { channels: 1, grid: Grid::new(4, 4, Pads::all(1)) };
    let mut dst = vec![0.0; planes.elements()];
    let kernels = Kernels::new(super::Isa::Portable).expect("always there");
    let window = Window::square(3, 1, Pads::all(1));
    kernels.max_pool(&window, &[0.0; 36], &planes, &mut dst, &planes);
}
