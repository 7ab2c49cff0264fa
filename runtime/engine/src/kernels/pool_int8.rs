//! Maximum and average pooling of `i8` quads.

use super::conv_int8::{Finish, Taps, cells, put_cells, requantise};
use super::elementwise_int8::channels;
use super::simd::Simd;
use super::window::{Call, Window};
use super::{Kernels, Requantise};
use crate::layout::{LANES, Quads};

/// A sweep over all blocks of channels.
pub(super) type MaxCore = unsafe fn(&Call<i8, i8>);
/// The same with the factor and the bounds of the result, and the sum of the zero points under a window.
pub(super) type AverageCore = unsafe fn(&Call<i8, i8>, f32, &Finish, i32);

/// Hands every vector of outputs to `each(first tap, output, count)`, with `count` cells left in the row.
#[inline(always)]
unsafe fn outputs<S: Simd>(call: &Call<i8, i8>, mut each: impl FnMut(*const i8, *mut i8, usize)) {
    let [down, right] = call.window.stride;
    for c in 0..call.channels {
        for y in 0..call.height {
            for x in (0..call.width).step_by(S::LANES) {
                // SAFETY: the caller's: (c, y, x) is an output, its first tap is within the checked span.
                let (src, dst) = unsafe {
                    (
                        call.src.add((c * call.src_plane + y * down * call.src_pitch + x * right) * LANES),
                        call.dst.add((c * call.dst_plane + y * call.dst_pitch + x) * LANES),
                    )
                };
                each(src, dst, call.width - x);
            }
        }
    }
}

/// Hands the cells of every tap to `each`.
#[inline(always)]
unsafe fn taps<S: Simd>(call: &Call<i8, i8>, src: *const i8, count: usize, mut each: impl FnMut(S::I)) {
    let window = &call.window;
    let taps = Taps {
        offsets: &[],
        deltas: &[],
        weights: std::ptr::null(),
        bias: std::ptr::null(),
        src,
        stride: window.stride[1],
        count,
    };
    for i in 0..window.kernel[0] {
        for j in 0..window.kernel[1] {
            // SAFETY: the caller's: the tap lies within the checked span.
            let cells = unsafe {
                let from = src.add((i * window.dilation[0] * call.src_pitch + j * window.dilation[1]) * LANES);
                match window.stride[1] {
                    1 => cells::<S, 1>(&taps, from, 0),
                    2 => cells::<S, 2>(&taps, from, 0),
                    _ => cells::<S, 0>(&taps, from, 0),
                }
            };
            each(cells);
        }
    }
}

/// The maximum of all blocks.
///
/// # Safety
/// As [`Simd`]; `call` is checked for cells of four `i8`.
#[inline(always)]
pub(super) unsafe fn maximum<S: Simd>(call: &Call<i8, i8>) {
    // SAFETY: the caller's.
    unsafe {
        outputs::<S>(call, |src, dst, count| {
            let mut greatest = S::splat_i(i32::from_ne_bytes([0x80; 4]));
            taps::<S>(call, src, count, |cells| greatest = S::max_bytes(greatest, cells));
            put_cells::<S>(dst, greatest, count);
        });
    }
}

/// The average of all blocks.
///
/// # Safety
/// As [`maximum`].
#[inline(always)]
pub(super) unsafe fn average<S: Simd>(call: &Call<i8, i8>, factor: f32, finish: &Finish, zeros: i32) {
    let scale = [factor; 4];
    // SAFETY: the caller's.
    unsafe {
        outputs::<S>(call, |src, dst, count| {
            let mut sums = [S::splat_i(-zeros); 4];
            taps::<S>(call, src, count, |cells| {
                for (sum, byte) in sums.iter_mut().zip(channels::<S>(cells)) {
                    *sum = S::add_i(*sum, byte);
                }
            });
            put_cells::<S>(dst, requantise::<S>(sums, scale.as_ptr(), finish), count);
        });
    }
}

impl Kernels {
    /// The greatest value under the window. What lies in the source's padding takes part, so it must be -128 or a value that is
    /// never greatest (the zero point after relu).
    ///
    /// # Panics
    /// When a slice is too short for its grids (see [`crate::layout`]), or the source's padding for the window.
    pub fn max_pool_int8(&self, window: &Window, src: &[i8], source: &Quads, dst: &mut [i8], output: &Quads) {
        assert_eq!(source.channels, output.channels);
        let call = Call::new(window, source.blocks(), LANES, src, &source.grid, dst, &output.grid);
        // SAFETY: the table's instruction set is there; `Call::new` checked the extents.
        unsafe { (self.max_pool_int8_core)(&call) }
    }

    /// `clamp(round(sum over the window of (x - input_zero) * scale) + zero)`; of `requantise.scale` only the first is used:
    /// scale of the input over scale of the output over number of taps. Padding counts; it must hold `input_zero`.
    ///
    /// # Panics
    /// As [`Kernels::max_pool_int8`], and without a scale.
    #[allow(clippy::too_many_arguments)] // a pool's geometry and its scale
    pub fn average_pool_int8(
        &self,
        window: &Window,
        input_zero: i8,
        requantise: &Requantise<'_>,
        src: &[i8],
        source: &Quads,
        dst: &mut [i8],
        output: &Quads,
    ) {
        assert_eq!(source.channels, output.channels);
        let call = Call::new(window, source.blocks(), LANES, src, &source.grid, dst, &output.grid);
        let zeros = i32::from(input_zero) * window.taps() as i32;
        // SAFETY: the table's instruction set is there; `Call::new` checked the extents.
        unsafe { (self.average_pool_int8_core)(&call, requantise.scale[0], &requantise.finish(), zeros) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::check::{Random, every_isa};
    use crate::kernels::conv_int8_tests::requantised;
    use crate::kernels::window_tests::Case;

    fn check(kernels: &Kernels, case: &Case) {
        let mut random = Random::new(case.seed ^ 13);
        let source = Quads { channels: case.source.channels, grid: case.source.grid };
        let output = Quads { channels: case.output.channels, grid: case.output.grid };
        let src = random.bytes(source.bytes());
        let under = |c: usize, y: usize, x: usize| -> Vec<i8> {
            let at = |cell: usize| (c / LANES * source.grid.plane + cell) * LANES + c % LANES;
            case.taps(y, x).into_iter().map(|cell| src[at(cell)]).collect()
        };
        let (input_zero, zero) = (random.bits() as i8, random.bits() as i8);
        let requantise = Requantise { scale: &[0.7 / case.window.taps() as f32], zero, low: -128, high: 120 };
        let (mut greatest, mut average) = (vec![0; output.bytes()], vec![0; output.bytes()]);
        kernels.max_pool_int8(&case.window, &src, &source, &mut greatest, &output);
        kernels.average_pool_int8(&case.window, input_zero, &requantise, &src, &source, &mut average, &output);
        for c in 0..output.channels {
            for y in 0..output.grid.height {
                for x in 0..output.grid.width {
                    let label = format!("{} seed {} {:?} {c} {y} {x}", kernels.isa(), case.seed, case.window);
                    let (at, values) = (output.index(c, y, x), under(c, y, x));
                    assert_eq!(Some(&greatest[at]), values.iter().max(), "{label}");
                    let sum = values.iter().map(|&v| i32::from(v) - i32::from(input_zero)).sum();
                    assert_eq!(average[at], requantised(sum, requantise.scale[0], &requantise), "{label}");
                }
            }
        }
    }

    #[test]
    fn int8_pools_are_their_definition_on_random_geometry() {
        every_isa(|kernels| {
            for seed in 0..80 {
                check(kernels, &Case::random(seed, &[2, 3, 3, 1, 4]));
            }
        });
    }
}
