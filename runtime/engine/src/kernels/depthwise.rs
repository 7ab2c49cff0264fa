//! Depthwise convolution of `f32` planes, with bias and clamp.

use super::Kernels;
use super::simd::Simd;
use super::window::{self, Call, Shape, Tap, Window};
use crate::layout::Planes;

/// The range that an activation leaves: relu is `0.0..=inf`, relu6 `0.0..=6.0`, none `-inf..=inf`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Clamp {
    /// Least value.
    pub low: f32,
    /// Greatest value.
    pub high: f32,
}

impl Clamp {
    /// Everything passes.
    pub const NONE: Clamp = Clamp { low: f32::NEG_INFINITY, high: f32::INFINITY };
    /// Nothing negative passes.
    pub const RELU: Clamp = Clamp { low: 0.0, high: f32::INFINITY };
    /// 0 to 6.
    pub const RELU6: Clamp = Clamp { low: 0.0, high: 6.0 };
}

/// Weights `[channels][taps]`, one bias a channel, and what comes after.
#[derive(Clone, Copy)]
pub(super) struct Weights {
    pub weights: *const f32,
    pub bias: *const f32,
    pub clamp: Clamp,
}

/// A sweep over all channels.
pub(super) type Core = unsafe fn(&Call<f32, f32>, &Weights);

/// The most taps that [`Tap`]s keep at hand.
const MOST_TAPS: usize = 26;

/// Multiply-add by one channel's weights.
#[derive(Clone, Copy)]
struct MultiplyAdd<S: Simd> {
    weights: *const f32,
    bias: S::F,
    low: S::F,
    high: S::F,
}

impl<S: Simd> Tap<S> for MultiplyAdd<S> {
    #[inline(always)]
    unsafe fn start(&self) -> S::F {
        self.bias
    }

    #[inline(always)]
    unsafe fn tap(&self, acc: S::F, value: S::F, tap: usize) -> S::F {
        // SAFETY: `weights` holds all taps and one more, so that a pair may be read at the last even one.
        unsafe {
            let pair = S::load_pair(self.weights.add(tap & !1));
            if tap & 1 == 0 { S::fma_pair::<0>(acc, value, pair) } else { S::fma_pair::<1>(acc, value, pair) }
        }
    }

    #[inline(always)]
    unsafe fn finish(&self, acc: S::F, _: usize, _: usize) -> S::F {
        // SAFETY: the trait's.
        unsafe { S::min(self.high, S::max(self.low, acc)) }
    }
}

/// As [`MultiplyAdd`], for any number of taps.
#[derive(Clone, Copy)]
struct MultiplyAddAny<S: Simd>(MultiplyAdd<S>);

impl<S: Simd> Tap<S> for MultiplyAddAny<S> {
    #[inline(always)]
    unsafe fn start(&self) -> S::F {
        self.0.bias
    }

    #[inline(always)]
    unsafe fn tap(&self, acc: S::F, value: S::F, tap: usize) -> S::F {
        // SAFETY: `weights` holds all taps.
        unsafe { S::fma(value, S::splat(*self.0.weights.add(tap)), acc) }
    }

    #[inline(always)]
    unsafe fn finish(&self, acc: S::F, y: usize, x: usize) -> S::F {
        // SAFETY: the trait's.
        unsafe { self.0.finish(acc, y, x) }
    }
}

/// All channels of a checked call, `ROWS` rows at a time.
///
/// # Safety
/// As [`window::sweep`]; `weights` holds `taps` and a bias for each channel.
#[inline(always)]
pub(super) unsafe fn depthwise<S: Simd, const ROWS: usize>(call: &Call<f32, f32>, weights: &Weights) {
    // SAFETY: the caller's.
    unsafe {
        if call.width <= S::Narrow::LANES {
            channels::<S::Narrow, ROWS>(call, weights);
        } else {
            channels::<S, ROWS>(call, weights);
        }
    }
}

/// # Safety
/// As [`depthwise`].
#[inline(always)]
unsafe fn channels<S: Simd, const ROWS: usize>(call: &Call<f32, f32>, weights: &Weights) {
    let taps = call.window.taps();
    let shape = call.window.shape();
    for c in 0..call.channels {
        // SAFETY: the caller's: channel c exists in planes and weights.
        unsafe {
            let (src, dst) = (call.src.add(c * call.src_plane), call.dst.add(c * call.dst_plane));
            let own = weights.weights.add(c * taps);
            let mut padded = [0.0f32; MOST_TAPS];
            let mut tap = MultiplyAdd::<S> {
                weights: own,
                bias: S::splat(*weights.bias.add(c)),
                low: S::splat(weights.clamp.low),
                high: S::splat(weights.clamp.high),
            };
            if shape != Shape::Any {
                std::ptr::copy_nonoverlapping(own, padded.as_mut_ptr(), taps);
                tap.weights = padded.as_ptr();
            }
            match shape {
                Shape::Three1 => window::sweep::<S, _, 3, 1, ROWS>(call, tap, src, dst),
                Shape::Three2 => window::sweep::<S, _, 3, 2, 2>(call, tap, src, dst),
                Shape::Five1 => window::sweep::<S, _, 5, 1, 2>(call, tap, src, dst),
                Shape::Five2 => window::sweep::<S, _, 5, 2, 2>(call, tap, src, dst),
                _ => window::sweep_any::<S, _>(call, MultiplyAddAny(tap), src, dst),
            }
        }
    }
}

impl Kernels {
    /// `clamp(bias[c] + sum over taps of source * weights[c][tap])` for every channel of `source`; taps in the order of rows.
    /// Writes only inside `output`'s grid.
    ///
    /// # Panics
    /// When a slice is too short for its planes (see [`crate::layout`]), or the source's padding for the window.
    #[allow(clippy::too_many_arguments)] // what a depthwise convolution has
    pub fn depthwise(
        &self,
        window: &Window,
        clamp: Clamp,
        weights: &[f32],
        bias: &[f32],
        src: &[f32],
        source: &Planes,
        dst: &mut [f32],
        output: &Planes,
    ) {
        let channels = source.channels;
        assert_eq!(channels, output.channels);
        assert!(weights.len() >= channels * window.taps() && bias.len() >= channels);
        let call = Call::new(window, channels, 1, src, &source.grid, dst, &output.grid);
        let weights = Weights { weights: weights.as_ptr(), bias: bias.as_ptr(), clamp };
        // SAFETY: the table's instruction set is there; `Call::new` and the asserts checked the extents.
        unsafe { (self.depthwise_core)(&call, &weights) }
    }
}
