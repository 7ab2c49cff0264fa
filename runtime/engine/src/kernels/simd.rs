//! A vector of numbers as the kernels see it: written once per operation, compiled once per instruction set.
//!
//! The bodies of the kernels are generic over [`Simd`] and `inline(always)`; each instruction set instantiates them inside
//! functions that carry its `#[target_feature]`, so every intrinsic ends up inlined in code that may use it.

use super::conv_int8::Finish;

/// `LANES` floats or 32-bit integers side by side.
///
/// # Safety
/// Every method may only be reached from a function compiled for, and a CPU that has, the implementation's instruction set.
/// Loads and stores touch `LANES` values (twice that for [`Simd::load_even_odd`]) from the pointer on, at any alignment.
pub(crate) trait Simd: Copy {
    /// Values in a vector.
    const LANES: usize;
    /// Vector of `f32`.
    type F: Copy;
    /// Vector of `i32`.
    type I: Copy;
    /// Two neighbouring floats, of which one at a time multiplies a vector.
    type Pair: Copy;
    /// A narrower set for rows that do not fill `LANES`; itself where there is none.
    type Narrow: Simd;

    unsafe fn splat(x: f32) -> Self::F;
    unsafe fn load(p: *const f32) -> Self::F;
    unsafe fn store(p: *mut f32, v: Self::F);
    /// Stores the first `n < LANES` lanes.
    unsafe fn store_first(p: *mut f32, v: Self::F, n: usize);
    unsafe fn add(a: Self::F, b: Self::F) -> Self::F;
    unsafe fn sub(a: Self::F, b: Self::F) -> Self::F;
    unsafe fn div(a: Self::F, b: Self::F) -> Self::F;
    unsafe fn mul(a: Self::F, b: Self::F) -> Self::F;
    /// `a * b + c`, rounded once where the set has it.
    unsafe fn fma(a: Self::F, b: Self::F, c: Self::F) -> Self::F;
    /// The greater; a NaN in `b` survives, so the value that may be NaN goes second.
    unsafe fn max(a: Self::F, b: Self::F) -> Self::F;
    /// The smaller; a NaN in `b` survives.
    unsafe fn min(a: Self::F, b: Self::F) -> Self::F;
    /// Per lane `if a > b { x } else { y }`.
    unsafe fn select_gt(a: Self::F, b: Self::F, x: Self::F, y: Self::F) -> Self::F;
    unsafe fn load_pair(p: *const f32) -> Self::Pair;
    /// `b * pair[LANE] + acc`.
    unsafe fn fma_pair<const LANE: i32>(acc: Self::F, b: Self::F, pair: Self::Pair) -> Self::F;
    /// `2 * LANES` floats, split into those at even and at odd places.
    unsafe fn load_even_odd(p: *const f32) -> (Self::F, Self::F);

    /// The lanes of both in turn: the first `LANES` of them, and the rest.
    unsafe fn interleave(a: Self::F, b: Self::F) -> (Self::F, Self::F);

    unsafe fn splat_i(x: i32) -> Self::I;
    unsafe fn load_i(p: *const i32) -> Self::I;
    unsafe fn store_i(p: *mut i32, v: Self::I);
    unsafe fn add_i(a: Self::I, b: Self::I) -> Self::I;
    /// The greater of each (signed) byte.
    unsafe fn max_bytes(a: Self::I, b: Self::I) -> Self::I;
    /// Byte `R` of each lane, sign-extended: one channel of a vector of cells.
    unsafe fn byte<const R: u32>(v: Self::I) -> Self::I;
    /// Exact below 2^24, else to nearest even.
    unsafe fn to_f(v: Self::I) -> Self::F;
    /// To the nearest integer, ties to even; every lane must be within ±2^22.
    unsafe fn round(v: Self::F) -> Self::I;
    /// 2 to the power of each lane, which must be within -126..=127.
    unsafe fn power_of_two(n: Self::I) -> Self::F;
    /// The bits as integers, and back.
    unsafe fn bits(v: Self::F) -> Self::I;
    unsafe fn floats(v: Self::I) -> Self::F;
    /// Four channels' bytes (each lane within -128..=127) side by side: one cell a lane.
    unsafe fn cells(rows: [Self::I; 4]) -> Self::I;
    /// A matrix product: `2 * PAIRS` rows, `pitch` apart, by `NV` vectors, over `depth` of `[depth][2 * PAIRS]` weights and
    /// `[depth][2]` vectors.
    #[inline(always)]
    unsafe fn product<const PAIRS: usize, const NV: usize>(
        depth: usize,
        mut weights: *const f32,
        mut from: *const f32,
        to: *mut f32,
        pitch: usize,
    ) {
        // SAFETY: the caller's.
        unsafe {
            let mut acc = [[[Self::splat(0.0); NV]; 2]; PAIRS];
            for _ in 0..depth {
                let mut values = [Self::splat(0.0); NV];
                for (n, value) in values.iter_mut().enumerate() {
                    *value = Self::load(from.add(n * Self::LANES));
                }
                for (j, pair) in acc.iter_mut().enumerate() {
                    let both = Self::load_pair(weights.add(2 * j));
                    for n in 0..NV {
                        pair[0][n] = Self::fma_pair::<0>(pair[0][n], values[n], both);
                    }
                    for n in 0..NV {
                        pair[1][n] = Self::fma_pair::<1>(pair[1][n], values[n], both);
                    }
                }
                (from, weights) = (from.add(2 * Self::LANES), weights.add(2 * PAIRS));
            }
            for (r, row) in acc.iter().flatten().enumerate() {
                for (n, &sum) in row.iter().enumerate() {
                    Self::store(to.add(r * pitch + n * Self::LANES), sum);
                }
            }
        }
    }
    /// Four channels' sums into cells; `scale` points at their scales.
    #[inline(always)]
    unsafe fn requantise(rows: [Self::I; 4], scale: *const f32, finish: &Finish) -> Self::I {
        // SAFETY: the caller's.
        unsafe { super::conv_int8::requantise::<Self>(rows, scale, finish) }
    }
}

/// Writes the methods of a [`Simd`] implementation as one expression each.
macro_rules! methods {
    ($(fn $name:ident($($arg:ident: $ty:ty),*) $(-> $ret:ty)? = $body:expr;)*) => {
        $(
            #[inline(always)]
            #[allow(unused_unsafe)]
            unsafe fn $name($($arg: $ty),*) $(-> $ret)? {
                // SAFETY: the trait's contract: the instruction set is there and pointers are good for the lanes touched.
                unsafe { $body }
            }
        )*
    };
}
pub(crate) use methods;
