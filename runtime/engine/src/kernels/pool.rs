//! Maximum and average pooling of `f32` planes.

use super::Kernels;
use super::simd::Simd;
use super::window::{self, Call, Shape, Tap, Window};
use crate::layout::Planes;

/// How a sum becomes an average.
#[derive(Clone, Copy, Debug)]
pub enum Divisor<'a> {
    /// Multiplied by one number: `1 / taps` where padding counts (or there is none).
    Uniform(f32),
    /// Multiplied by one number per output position, `[height][width]` without gaps: where padding does not count.
    PerPosition(&'a [f32]),
}

/// A sweep over all channels; the pointer is to the factors per position, or null.
pub(super) type Core = unsafe fn(&Call<f32, f32>, f32, *const f32);

#[derive(Clone, Copy)]
struct Maximum<S: Simd>(S::F);

impl<S: Simd> Tap<S> for Maximum<S> {
    #[inline(always)]
    unsafe fn start(&self) -> S::F {
        self.0
    }

    #[inline(always)]
    unsafe fn tap(&self, acc: S::F, value: S::F, _: usize) -> S::F {
        // SAFETY: the trait's.
        unsafe { S::max(acc, value) }
    }

    #[inline(always)]
    unsafe fn finish(&self, acc: S::F, _: usize, _: usize) -> S::F {
        acc
    }
}

#[derive(Clone, Copy)]
struct Average<S: Simd> {
    zero: S::F,
    factor: S::F,
    factors: *const f32,
    width: usize,
}

impl<S: Simd> Tap<S> for Average<S> {
    #[inline(always)]
    unsafe fn start(&self) -> S::F {
        self.zero
    }

    #[inline(always)]
    unsafe fn tap(&self, acc: S::F, value: S::F, _: usize) -> S::F {
        // SAFETY: the trait's.
        unsafe { S::add(acc, value) }
    }

    #[inline(always)]
    unsafe fn finish(&self, acc: S::F, y: usize, x: usize) -> S::F {
        // SAFETY: there is a factor for each position; lanes past the row's end are made up of zeros.
        unsafe {
            if self.factors.is_null() {
                return S::mul(acc, self.factor);
            }
            let row = self.factors.add(y * self.width + x);
            if x + S::LANES <= self.width {
                return S::mul(acc, S::load(row));
            }
            let mut end = [0.0f32; 16];
            std::ptr::copy_nonoverlapping(row, end.as_mut_ptr(), self.width - x);
            S::mul(acc, S::load(end.as_ptr()))
        }
    }
}

/// All channels under the maximum.
///
/// # Safety
/// As [`window::sweep`].
#[inline(always)]
pub(super) unsafe fn maximum<S: Simd>(call: &Call<f32, f32>, _: f32, _: *const f32) {
    // SAFETY: the caller's.
    unsafe {
        if call.width <= S::Narrow::LANES {
            channels::<S::Narrow, _>(call, Maximum(S::Narrow::splat(f32::NEG_INFINITY)));
        } else {
            channels::<S, _>(call, Maximum(S::splat(f32::NEG_INFINITY)));
        }
    }
}

/// All channels under the average.
///
/// # Safety
/// As [`window::sweep`]; `factors` is null or holds one for each output position.
#[inline(always)]
pub(super) unsafe fn average<S: Simd>(call: &Call<f32, f32>, factor: f32, factors: *const f32) {
    // SAFETY: the caller's.
    unsafe {
        if call.width <= S::Narrow::LANES {
            channels::<S::Narrow, _>(call, average_tap(call.width, factor, factors));
        } else {
            channels::<S, _>(call, average_tap(call.width, factor, factors));
        }
    }
}

#[inline(always)]
unsafe fn average_tap<S: Simd>(width: usize, factor: f32, factors: *const f32) -> Average<S> {
    // SAFETY: the caller's.
    unsafe { Average { zero: S::splat(0.0), factor: S::splat(factor), factors, width } }
}

#[inline(always)]
unsafe fn channels<S: Simd, T: Tap<S>>(call: &Call<f32, f32>, tap: T) {
    for c in 0..call.channels {
        // SAFETY: the caller's: channel c exists.
        unsafe {
            let (src, dst) = (call.src.add(c * call.src_plane), call.dst.add(c * call.dst_plane));
            match call.window.shape() {
                Shape::Three1 => window::sweep::<S, _, 3, 1, 4>(call, tap, src, dst),
                Shape::Three2 => window::sweep::<S, _, 3, 2, 2>(call, tap, src, dst),
                Shape::Two2 => window::sweep::<S, _, 2, 2, 1>(call, tap, src, dst),
                _ => window::sweep_any::<S, _>(call, tap, src, dst),
            }
        }
    }
}

impl Kernels {
    /// The greatest value under the window, for every channel. What lies in the source's padding takes part, so it must be
    /// -inf, or any value that is never greatest (0 after relu). A NaN under the window may or may not be the result.
    ///
    /// # Panics
    /// When a slice is too short for its planes (see [`crate::layout`]), or the source's padding for the window.
    pub fn max_pool(&self, window: &Window, src: &[f32], source: &Planes, dst: &mut [f32], output: &Planes) {
        assert_eq!(source.channels, output.channels);
        let call = Call::new(window, source.channels, 1, src, &source.grid, dst, &output.grid);
        // SAFETY: the table's instruction set is there; `Call::new` checked the extents.
        unsafe { (self.max_pool_core)(&call, 0.0, std::ptr::null()) }
    }

    /// The sum under the window times `divisor`, for every channel. The source's padding must be 0.
    ///
    /// # Panics
    /// As [`Kernels::max_pool`], and when there are fewer factors than positions.
    pub fn average_pool(
        &self,
        window: &Window,
        divisor: Divisor<'_>,
        src: &[f32],
        source: &Planes,
        dst: &mut [f32],
        output: &Planes,
    ) {
        assert_eq!(source.channels, output.channels);
        let call = Call::new(window, source.channels, 1, src, &source.grid, dst, &output.grid);
        let (factor, factors) = match divisor {
            Divisor::Uniform(factor) => (factor, std::ptr::null()),
            Divisor::PerPosition(factors) => {
                assert!(factors.len() >= call.height * call.width);
                (0.0, factors.as_ptr())
            }
        };
        // SAFETY: the table's instruction set is there; `Call::new` and the assert checked the extents.
        unsafe { (self.average_pool_core)(&call, factor, factors) }
    }
}
