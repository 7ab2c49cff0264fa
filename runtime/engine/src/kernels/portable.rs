//! Vectors in plain Rust: what runs where no instruction set of ours is there. The compiler makes SSE2 or NEON of it.

use super::conv_int8::{Dot, MOST_ROWS, MOST_VECTORS, Packing, Sums, Taps, cells};
use super::simd::{Simd, methods};

/// Four lanes in an array.
#[derive(Clone, Copy)]
pub(crate) struct Portable;

type F = [f32; 4];
type I = [i32; 4];

/// 1.5 * 2^23: adding it leaves the integer, rounded to nearest even, in the low bits.
const ROUNDER: f32 = 12_582_912.0;

#[inline(always)]
fn map2(a: F, b: F, f: impl Fn(f32, f32) -> f32) -> F {
    [f(a[0], b[0]), f(a[1], b[1]), f(a[2], b[2]), f(a[3], b[3])]
}

#[inline(always)]
fn map2_i(a: I, b: I, f: impl Fn(i32, i32) -> i32) -> I {
    [f(a[0], b[0]), f(a[1], b[1]), f(a[2], b[2]), f(a[3], b[3])]
}

/// Fused where the target has it for certain; elsewhere it would be a call into libm for each lane.
#[inline(always)]
fn fma(a: f32, b: f32, c: f32) -> f32 {
    if cfg!(any(target_arch = "aarch64", target_feature = "fma")) { a.mul_add(b, c) } else { a * b + c }
}

impl Simd for Portable {
    const LANES: usize = 4;
    type F = F;
    type I = I;
    type Pair = [f32; 2];
    type Narrow = Portable;

    methods! {
        fn splat(x: f32) -> F = [x; 4];
        fn load(p: *const f32) -> F = p.cast::<F>().read_unaligned();
        fn store(p: *mut f32, v: F) = p.cast::<F>().write_unaligned(v);
        fn store_first(p: *mut f32, v: F, n: usize) = std::ptr::copy_nonoverlapping(v.as_ptr(), p, n);
        fn add(a: F, b: F) -> F = map2(a, b, |x, y| x + y);
        fn sub(a: F, b: F) -> F = map2(a, b, |x, y| x - y);
        fn div(a: F, b: F) -> F = map2(a, b, |x, y| x / y);
        fn mul(a: F, b: F) -> F = map2(a, b, |x, y| x * y);
        fn fma(a: F, b: F, c: F) -> F =
            [fma(a[0], b[0], c[0]), fma(a[1], b[1], c[1]), fma(a[2], b[2], c[2]), fma(a[3], b[3], c[3])];
        fn max(a: F, b: F) -> F = map2(a, b, |x, y| if x > y { x } else { y });
        fn min(a: F, b: F) -> F = map2(a, b, |x, y| if x < y { x } else { y });
        fn select_gt(a: F, b: F, x: F, y: F) -> F = [
            if a[0] > b[0] { x[0] } else { y[0] },
            if a[1] > b[1] { x[1] } else { y[1] },
            if a[2] > b[2] { x[2] } else { y[2] },
            if a[3] > b[3] { x[3] } else { y[3] },
        ];
        fn load_pair(p: *const f32) -> [f32; 2] = p.cast::<[f32; 2]>().read_unaligned();
        fn load_even_odd(p: *const f32) -> (F, F) = {
            let v = p.cast::<[f32; 8]>().read_unaligned();
            ([v[0], v[2], v[4], v[6]], [v[1], v[3], v[5], v[7]])
        };
        fn interleave(a: F, b: F) -> (F, F) = ([a[0], b[0], a[1], b[1]], [a[2], b[2], a[3], b[3]]);
        fn splat_i(x: i32) -> I = [x; 4];
        fn load_i(p: *const i32) -> I = p.cast::<I>().read_unaligned();
        fn store_i(p: *mut i32, v: I) = p.cast::<I>().write_unaligned(v);
        fn add_i(a: I, b: I) -> I = map2_i(a, b, i32::wrapping_add);
        fn max_bytes(a: I, b: I) -> I =
            map2_i(a, b, |x, y| i32::from_ne_bytes(std::array::from_fn(|i| (x.to_ne_bytes()[i] as i8).max(y.to_ne_bytes()[i] as i8) as u8)));
        fn to_f(v: I) -> F = v.map(|x| x as f32);
        fn power_of_two(n: I) -> F = n.map(|n| f32::from_bits(((n + 127) << 23) as u32));
        fn bits(v: F) -> I = v.map(|x| x.to_bits() as i32);
        fn floats(v: I) -> F = v.map(|x| f32::from_bits(x as u32));
        fn cells(rows: [I; 4]) -> I = {
            let mut cells = [0; 4];
            for (i, cell) in cells.iter_mut().enumerate() {
                *cell = i32::from_le_bytes(rows.map(|row| row[i] as u8));
            }
            cells
        };
        fn round(v: F) -> I = v.map(|x| (x + ROUNDER).to_bits() as i32 - ROUNDER.to_bits() as i32);
    }

    #[inline(always)]
    unsafe fn byte<const R: u32>(v: I) -> I {
        v.map(|x| x << (24 - 8 * R) >> 24)
    }

    #[inline(always)]
    unsafe fn fma_pair<const LANE: i32>(acc: F, b: F, pair: [f32; 2]) -> F {
        // SAFETY: no pointer is involved.
        unsafe { Self::fma(b, [pair[LANE as usize]; 4], acc) }
    }
}

/// Products one by one, from bytes.
pub(crate) struct PortableDot;

impl Dot for PortableDot {
    type S = Portable;
    const PACKING: Packing = Packing { rows: 4, step: 1, eights: false, shift: 0, takes_least: true };
    const VECTORS: usize = 2;

    #[inline(always)]
    unsafe fn tile<const NV: usize, const STRIDE: usize>(taps: &Taps<'_>) -> Sums<Portable> {
        // SAFETY: the trait's.
        unsafe {
            let mut sums = [[[0; 4]; MOST_VECTORS]; MOST_ROWS];
            for (r, row) in sums.iter_mut().enumerate().take(4) {
                *row = [[*taps.bias.add(r); 4]; MOST_VECTORS];
            }
            let mut weights = taps.weights.cast::<[i8; 4]>();
            for &offset in taps.offsets {
                for v in 0..NV {
                    let cells = cells::<Portable, STRIDE>(taps, taps.src.offset(offset * 4), v);
                    let cells = cells.map(|cell| cell.to_le_bytes().map(|b| i32::from(b as i8)));
                    for (r, row) in sums.iter_mut().enumerate().take(4) {
                        let w = weights.add(r).read().map(i32::from);
                        for (sum, x) in row[v].iter_mut().zip(cells) {
                            *sum += w[0] * x[0] + w[1] * x[1] + w[2] * x[2] + w[3] * x[3];
                        }
                    }
                }
                weights = weights.add(4);
            }
            sums
        }
    }
}
