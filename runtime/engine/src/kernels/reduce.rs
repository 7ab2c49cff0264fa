//! Reductions of `f32` planes and rows: sum, maximum, softmax.

use super::Kernels;
use super::simd::Simd;
use crate::layout::Planes;

/// `count` rows of `width` floats, `pitch` apart.
pub(super) struct Rows {
    src: *const f32,
    count: usize,
    width: usize,
    pitch: usize,
}

/// A body: all rows into one number.
pub(super) type Core = unsafe fn(&Rows) -> f32;
/// A body: softmax of so many floats in place.
pub(super) type SoftmaxCore = unsafe fn(*mut f32, usize);

/// Sums lane by lane, the lanes in their order, then what is left of each row.
///
/// # Safety
/// As [`Simd`]; the rows exist.
#[inline(always)]
pub(super) unsafe fn sum<S: Simd>(rows: &Rows) -> f32 {
    // SAFETY: the caller's.
    unsafe {
        let (mut lanes, mut rest) = (S::splat(0.0), 0.0);
        for y in 0..rows.count {
            let row = rows.src.add(y * rows.pitch);
            let whole = rows.width / S::LANES * S::LANES;
            for x in (0..whole).step_by(S::LANES) {
                lanes = S::add(lanes, S::load(row.add(x)));
            }
            for x in whole..rows.width {
                rest += *row.add(x);
            }
        }
        let mut each = [0.0f32; 16];
        S::store(each.as_mut_ptr(), lanes);
        each.iter().take(S::LANES).sum::<f32>() + rest
    }
}

/// The maximum; NaN where any value is NaN.
///
/// # Safety
/// As [`sum`].
#[inline(always)]
pub(super) unsafe fn maximum<S: Simd>(rows: &Rows) -> f32 {
    // SAFETY: the caller's.
    unsafe {
        let (mut lanes, mut rest) = (S::splat(f32::NEG_INFINITY), f32::NEG_INFINITY);
        // `x * 0` is NaN for NaN (and infinity, which `nan` is not asked about unless the maximum is finite).
        let mut nan = S::splat(0.0);
        let zero = S::splat(0.0);
        for y in 0..rows.count {
            let row = rows.src.add(y * rows.pitch);
            let whole = rows.width / S::LANES * S::LANES;
            for x in (0..whole).step_by(S::LANES) {
                let value = S::load(row.add(x));
                nan = S::add(nan, S::sub(value, value));
                lanes = S::max(lanes, S::add(value, zero));
            }
            for x in whole..rows.width {
                rest = greater(rest, *row.add(x));
            }
        }
        let (mut each, mut nans) = ([0.0f32; 16], [0.0f32; 16]);
        S::store(each.as_mut_ptr(), lanes);
        S::store(nans.as_mut_ptr(), nan);
        if nans.iter().any(|x| x.is_nan()) && any_nan(rows) {
            return f32::NAN;
        }
        each.iter().take(S::LANES).fold(rest, |a, &b| greater(a, b))
    }
}

/// The greater, or NaN if one is.
fn greater(a: f32, b: f32) -> f32 {
    if a.is_nan() || a > b { a } else { b }
}

/// Whether any value is NaN. Asked only where an infinity or NaN was met.
unsafe fn any_nan(rows: &Rows) -> bool {
    (0..rows.count).any(|y| {
        // SAFETY: the caller's: row y exists.
        let row = unsafe { std::slice::from_raw_parts(rows.src.add(y * rows.pitch), rows.width) };
        row.iter().any(|x| x.is_nan())
    })
}

/// `exp(x)` to 2 units in the last place for x <= 0: 2^n * exp(r) with |r| <= ln 2 / 2, exp(r) by its series to r^6 (coefficients
/// of Cephes' `expf`, S. L. Moshier).
#[inline(always)]
unsafe fn exp<S: Simd>(x: S::F) -> S::F {
    // SAFETY: the caller's.
    unsafe {
        // Below, results would be denormal.
        let x = S::max(S::splat(-87.0), x);
        let n = S::round(S::mul(x, S::splat(std::f32::consts::LOG2_E)));
        let whole = S::to_f(n);
        let r = S::fma(whole, S::splat(-0.693_359_4), x);
        let r = S::fma(whole, S::splat(2.121_944_4e-4), r);
        let mut series = S::splat(1.987_569_1e-4);
        for coefficient in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5] {
            series = S::fma(series, r, S::splat(coefficient));
        }
        let fraction = S::add(S::fma(series, S::mul(r, r), r), S::splat(1.0));
        S::mul(fraction, S::power_of_two(n))
    }
}

/// Softmax of `count` floats in place.
///
/// # Safety
/// As [`Simd`]; `row` holds `count` floats.
#[inline(always)]
pub(super) unsafe fn softmax<S: Simd>(row: *mut f32, count: usize) {
    // SAFETY: the caller's; the end of the row goes through a vector of its own.
    unsafe {
        let greatest = S::splat(maximum::<S>(&Rows { src: row, count: 1, width: count, pitch: 0 }));
        let mut sums = S::splat(0.0);
        let whole = count / S::LANES * S::LANES;
        for x in (0..whole).step_by(S::LANES) {
            let value = exp::<S>(S::sub(S::load(row.add(x)), greatest));
            sums = S::add(sums, value);
            S::store(row.add(x), value);
        }
        let mut end = [f32::NEG_INFINITY; 16];
        std::ptr::copy_nonoverlapping(row.add(whole), end.as_mut_ptr(), count - whole);
        S::store(end.as_mut_ptr(), exp::<S>(S::sub(S::load(end.as_ptr()), greatest)));
        let mut each = [0.0f32; 16];
        S::store(each.as_mut_ptr(), sums);
        let total = each.iter().take(S::LANES).sum::<f32>() + end.iter().take(count - whole).sum::<f32>();
        let factor = S::splat(1.0 / total);
        for x in (0..whole).step_by(S::LANES) {
            S::store(row.add(x), S::mul(S::load(row.add(x)), factor));
        }
        for x in whole..count {
            *row.add(x) = end[x - whole] / total;
        }
    }
}

impl Kernels {
    /// The sum of each channel (times `factor`, 1 / cells for the global average pool).
    ///
    /// # Panics
    /// When a slice is too short.
    pub fn sum_planes(&self, factor: f32, src: &[f32], source: &Planes, sums: &mut [f32]) {
        self.reduce_planes(self.sum_core, src, source, sums);
        for sum in &mut sums[..source.channels] {
            *sum *= factor;
        }
    }

    /// The greatest value of each channel; NaN where it has one.
    ///
    /// # Panics
    /// When a slice is too short.
    pub fn max_planes(&self, src: &[f32], source: &Planes, greatest: &mut [f32]) {
        self.reduce_planes(self.maximum_core, src, source, greatest);
    }

    fn reduce_planes(&self, core: Core, src: &[f32], source: &Planes, results: &mut [f32]) {
        assert!(src.len() >= source.elements() && results.len() >= source.channels);
        let grid = &source.grid;
        let (count, width) =
            if grid.pitch == grid.width { (1, grid.height * grid.width) } else { (grid.height, grid.width) };
        for (c, result) in results.iter_mut().enumerate().take(source.channels) {
            let rows = Rows { src: src[source.index(c, 0, 0)..].as_ptr(), count, width, pitch: grid.pitch };
            // SAFETY: the table's instruction set is there; the assert covers the grid.
            *result = unsafe { core(&rows) };
        }
    }

    /// Softmax of each `width` floats of `rows`, in place.
    ///
    /// # Panics
    /// When `width` is 0 or does not divide the length.
    pub fn softmax_rows(&self, rows: &mut [f32], width: usize) {
        assert!(width > 0 && rows.len().is_multiple_of(width));
        for row in rows.chunks_exact_mut(width) {
            // SAFETY: the table's instruction set is there; the row is a slice.
            unsafe { (self.softmax_core)(row.as_mut_ptr(), width) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::check::{Random, every_isa};
    use crate::layout::{Grid, Pads};

    #[test]
    fn sums_and_maxima_are_their_definitions() {
        every_isa(|kernels| {
            for seed in 0..30 {
                let mut random = Random::new(seed);
                let grid = Grid::new(random.within(1, 6), random.within(1, 70), Pads::all(random.within(0, 1)));
                let source = Planes { channels: random.within(1, 4), grid };
                let mut src = random.floats(source.elements());
                let (mut sums, mut greatest) = (vec![0.0; source.channels], vec![0.0; source.channels]);
                kernels.sum_planes(0.5, &src, &source, &mut sums);
                kernels.max_planes(&src, &source, &mut greatest);
                for c in 0..source.channels {
                    let cells = (0..grid.height).flat_map(|y| (0..grid.width).map(move |x| (y, x)));
                    let values: Vec<f32> = cells.map(|(y, x)| src[source.index(c, y, x)]).collect();
                    let label = format!("{} seed {seed} channel {c}", kernels.isa());
                    let sum: f64 = values.iter().map(|&v| f64::from(v)).sum();
                    assert!((f64::from(sums[c]) - 0.5 * sum).abs() < 1e-4, "{label}");
                    assert_eq!(greatest[c], values.iter().copied().fold(f32::NEG_INFINITY, f32::max), "{label}");
                }
                // A NaN anywhere is the result, whatever follows it; an infinity is not a NaN.
                src[source.index(0, random.within(0, grid.height - 1), random.within(0, grid.width - 1))] = f32::NAN;
                kernels.max_planes(&src, &source, &mut greatest);
                assert!(greatest[0].is_nan(), "{} seed {seed}", kernels.isa());
                src.fill(f32::INFINITY);
                kernels.max_planes(&src, &source, &mut greatest);
                assert_eq!(greatest[0], f32::INFINITY);
            }
        });
    }

    #[test]
    fn softmax_is_its_definition() {
        every_isa(|kernels| {
            for (seed, width) in [1, 2, 3, 15, 16, 17, 64, 100].into_iter().enumerate() {
                let mut random = Random::new(seed as u64);
                let values: Vec<f32> = random.floats(3 * width).into_iter().map(|x| x * 30.0).collect();
                let mut rows = values.clone();
                kernels.softmax_rows(&mut rows, width);
                for (found, row) in rows.chunks_exact(width).zip(values.chunks_exact(width)) {
                    let greatest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                    let exps: Vec<f64> = row.iter().map(|&x| f64::from(x - greatest).exp()).collect();
                    let total: f64 = exps.iter().sum();
                    for (&f, e) in found.iter().zip(exps) {
                        let error = (f64::from(f) - e / total).abs();
                        assert!(error <= 1e-6 * (e / total) + 1e-30, "{} width {width}: {f}", kernels.isa());
                    }
                }
            }
        });
    }
}
