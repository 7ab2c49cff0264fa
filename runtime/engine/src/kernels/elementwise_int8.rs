//! Between `f32` planes and `i8` quads, and element by element on quads.
//!
//! All arithmetic is single float operations in a fixed order without fused multiply-add, so results are bit-identical on
//! every instruction set. Rows are walked cell by cell; grids with one pitch may be given as one long row.

use super::Kernels;
use super::conv_int8::put_cells;
use super::simd::Simd;
use crate::layout::{Grid, LANES, Planes, Quads, SLACK_CELLS};

/// What an `i8` stands for: `(value - zero) * scale`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    /// Size of a step.
    pub scale: f32,
    /// The value that stands for 0.
    pub zero: i8,
}

/// The range of results: -128 to 127, or from the zero point on after relu.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bytes {
    /// Least result.
    pub low: i8,
    /// Greatest result.
    pub high: i8,
}

impl Bytes {
    /// Everything.
    pub const ALL: Bytes = Bytes { low: -128, high: 127 };
}

/// A row of `count` cells from `a` (and `b`) to `dst`, with the factors and bounds of an operation. The meaning of the
/// pointers is the operation's.
pub(super) struct Row {
    pub a: *const i8,
    pub b: *const i8,
    pub dst: *mut i8,
    /// Elements from one of the four planes to the next, where planes are involved.
    pub plane: usize,
    pub count: usize,
    pub arithmetic: Arithmetic,
}

/// Numbers of an operation: `clamp(round((a - a_zero) * a_factor [+ (b - b_zero) * b_factor])) + zero`.
#[derive(Clone, Copy)]
pub(super) struct Arithmetic {
    pub a_zero: i32,
    pub a_factor: f32,
    pub b_zero: i32,
    pub b_factor: f32,
    /// Bounds before the zero point is added.
    pub low: f32,
    pub high: f32,
    pub zero: i32,
}

impl Arithmetic {
    /// One input, in steps of `input`, to steps of `output`.
    fn unary(input: Scale, output: Scale, range: Bytes) -> Self {
        let zero = i32::from(output.zero);
        Arithmetic {
            a_zero: i32::from(input.zero),
            a_factor: input.scale / output.scale,
            b_zero: 0,
            b_factor: 0.0,
            low: (i32::from(range.low) - zero) as f32,
            high: (i32::from(range.high) - zero) as f32,
            zero,
        }
    }
}

/// A row of an operation.
pub(super) type Core = unsafe fn(&Row);

/// What an instruction set gives for these operations.
#[derive(Clone, Copy)]
pub(super) struct Cores {
    pub quantise: Core,
    pub dequantise: Core,
    pub rescale: Core,
    pub add: Core,
}

/// Rounds, clamps and moves to the zero point.
#[inline(always)]
unsafe fn finish<S: Simd>(value: S::F, arithmetic: &Arithmetic) -> S::I {
    // SAFETY: the caller's.
    unsafe {
        let value = S::min(S::splat(arithmetic.high), S::max(S::splat(arithmetic.low), value));
        S::add_i(S::round(value), S::splat_i(arithmetic.zero))
    }
}

/// The bytes of a vector of cells, one channel a vector.
#[inline(always)]
pub(super) unsafe fn channels<S: Simd>(cells: S::I) -> [S::I; 4] {
    // SAFETY: the caller's.
    unsafe { [S::byte::<0>(cells), S::byte::<1>(cells), S::byte::<2>(cells), S::byte::<3>(cells)] }
}

/// Four rows of floats to cells. `a` is the first of them, `plane` apart.
///
/// # Safety
/// As [`Simd`]; the row's pointers are good for `count` cells and the reads for a vector more.
#[inline(always)]
pub(super) unsafe fn quantise<S: Simd>(row: &Row) {
    for x in (0..row.count).step_by(S::LANES) {
        // SAFETY: the caller's.
        unsafe {
            let scale = S::splat(row.arithmetic.a_factor);
            let mut bytes = [S::splat_i(0); 4];
            for (r, byte) in bytes.iter_mut().enumerate() {
                let value = S::load(row.a.cast::<f32>().add(r * row.plane + x));
                *byte = finish::<S>(S::div(value, scale), &row.arithmetic);
            }
            put_cells::<S>(row.dst.add(x * LANES), S::cells(bytes), row.count - x);
        }
    }
}

/// Cells to four rows of floats. `dst` is the first of them, `plane` apart; of the planes only `b_zero` are written.
///
/// # Safety
/// As [`quantise`].
#[inline(always)]
pub(super) unsafe fn dequantise<S: Simd>(row: &Row) {
    for x in (0..row.count).step_by(S::LANES) {
        // SAFETY: the caller's.
        unsafe {
            let cells = S::load_i(row.a.add(x * LANES).cast());
            let zero = S::splat_i(row.arithmetic.a_zero.wrapping_neg());
            for (r, byte) in channels::<S>(cells).into_iter().enumerate().take(row.arithmetic.b_zero as usize) {
                let value = S::mul(S::to_f(S::add_i(byte, zero)), S::splat(row.arithmetic.a_factor));
                let to = row.dst.cast::<f32>().add(r * row.plane + x);
                if row.count - x >= S::LANES {
                    S::store(to, value);
                } else {
                    S::store_first(to, value, row.count - x);
                }
            }
        }
    }
}

/// Cells to cells of another scale.
///
/// # Safety
/// As [`quantise`].
#[inline(always)]
pub(super) unsafe fn rescale<S: Simd>(row: &Row) {
    for x in (0..row.count).step_by(S::LANES) {
        // SAFETY: the caller's.
        unsafe {
            let mut bytes = channels::<S>(S::load_i(row.a.add(x * LANES).cast()));
            for byte in &mut bytes {
                *byte = finish::<S>(term::<S>(*byte, row.arithmetic.a_zero, row.arithmetic.a_factor), &row.arithmetic);
            }
            put_cells::<S>(row.dst.add(x * LANES), S::cells(bytes), row.count - x);
        }
    }
}

/// The sum of two rows of cells.
///
/// # Safety
/// As [`quantise`].
#[inline(always)]
pub(super) unsafe fn add<S: Simd>(row: &Row) {
    let arithmetic = &row.arithmetic;
    for x in (0..row.count).step_by(S::LANES) {
        // SAFETY: the caller's.
        unsafe {
            let mut bytes = channels::<S>(S::load_i(row.a.add(x * LANES).cast()));
            let others = channels::<S>(S::load_i(row.b.add(x * LANES).cast()));
            for (byte, other) in bytes.iter_mut().zip(others) {
                let a = term::<S>(*byte, arithmetic.a_zero, arithmetic.a_factor);
                let b = term::<S>(other, arithmetic.b_zero, arithmetic.b_factor);
                *byte = finish::<S>(S::add(a, b), arithmetic);
            }
            put_cells::<S>(row.dst.add(x * LANES), S::cells(bytes), row.count - x);
        }
    }
}

/// `(value - zero) * factor`.
#[inline(always)]
unsafe fn term<S: Simd>(value: S::I, zero: i32, factor: f32) -> S::F {
    // SAFETY: the caller's.
    unsafe { S::mul(S::to_f(S::add_i(value, S::splat_i(-zero))), S::splat(factor)) }
}

/// Elements of a slice of `grids` grids of `lanes` elements a cell, up to the last inside cell, plus `slack` cells.
fn extent(grids: usize, grid: &Grid, lanes: usize, slack: usize) -> usize {
    ((grids - 1) * grid.plane + grid.cell(0, 0) + grid.sweep() + slack) * lanes
}

/// Runs `each(grid number, a's cell, dst's cell, cells)` over the rows of `grids` grids; as one row where the pitch is one.
fn rows(grids: usize, from: &Grid, to: &Grid, mut each: impl FnMut(usize, usize, usize, usize)) {
    for g in 0..grids {
        for y in 0..to.height {
            each(g, g * from.plane + from.cell(y, 0), g * to.plane + to.cell(y, 0), to.width);
        }
    }
}

impl Kernels {
    /// `clamp(round(x / scale) + zero)` of every channel, ties to even, as ONNX's QuantizeLinear. In the last block, lanes
    /// without a channel repeat the last channel. Writes only inside the grid.
    ///
    /// # Panics
    /// When shapes differ, there is no channel, or a slice is too short.
    pub fn quantise(&self, to: Scale, src: &[f32], source: &Planes, dst: &mut [i8], output: &Quads) {
        let (from, into) = (&source.grid, &output.grid);
        assert_eq!((source.channels, from.height, from.width), (output.channels, into.height, into.width));
        assert!(source.channels > 0 && src.len() >= extent(source.channels, from, 1, SLACK_CELLS));
        assert!(dst.len() >= extent(output.blocks(), into, LANES, 0));
        let mut arithmetic = Arithmetic::unary(Scale { scale: 1.0, zero: 0 }, to, Bytes::ALL);
        arithmetic.a_factor = to.scale;
        for block in 0..output.blocks() {
            let first = block * LANES;
            let whole = source.channels - first >= LANES;
            for y in 0..from.height {
                let row = Row {
                    a: src[source.index(first, y, 0)..].as_ptr().cast(),
                    b: std::ptr::null(),
                    dst: dst[output.index(first, y, 0)..].as_mut_ptr(),
                    plane: if whole { from.plane } else { 0 },
                    count: from.width,
                    arithmetic,
                };
                // SAFETY: the table's instruction set is there; the asserts cover rows and slack. A block that is not whole
                // reads its first channel four times.
                unsafe { (self.elementwise_int8.quantise)(&row) }
                if !whole {
                    self.quantise_rest(&row, source.channels - first, from.plane);
                }
            }
        }
    }

    /// The channels of a block that is not whole, one by one.
    fn quantise_rest(&self, row: &Row, channels: usize, plane: usize) {
        for r in 1..channels {
            for x in 0..row.count {
                // SAFETY: `quantise` checked that channel r has this row, and the row of cells exists.
                unsafe {
                    let value = *row.a.cast::<f32>().add(r * plane + x) / row.arithmetic.a_factor;
                    let value = value.clamp(row.arithmetic.low, row.arithmetic.high).round_ties_even() as i32;
                    *row.dst.add(x * LANES + r) = (value + row.arithmetic.zero) as i8;
                }
            }
        }
    }

    /// `(x - zero) * scale` of every channel. Writes only inside the grid.
    ///
    /// # Panics
    /// As [`Kernels::quantise`].
    pub fn dequantise(&self, from: Scale, src: &[i8], source: &Quads, dst: &mut [f32], output: &Planes) {
        let (grid, into) = (&source.grid, &output.grid);
        assert_eq!((source.channels, grid.height, grid.width), (output.channels, into.height, into.width));
        assert!(source.channels > 0 && src.len() >= extent(source.blocks(), grid, LANES, SLACK_CELLS));
        assert!(dst.len() >= extent(output.channels, into, 1, 0));
        let mut arithmetic = Arithmetic::unary(from, Scale { scale: 1.0, zero: 0 }, Bytes::ALL);
        for block in 0..source.blocks() {
            let first = block * LANES;
            arithmetic.b_zero = (source.channels - first).min(LANES) as i32;
            for y in 0..grid.height {
                let row = Row {
                    a: src[source.index(first, y, 0)..].as_ptr(),
                    b: std::ptr::null(),
                    dst: dst[output.index(first, y, 0)..].as_mut_ptr().cast(),
                    plane: into.plane,
                    count: grid.width,
                    arithmetic,
                };
                // SAFETY: the table's instruction set is there; the asserts cover rows and slack.
                unsafe { (self.elementwise_int8.dequantise)(&row) }
            }
        }
    }

    /// `clamp(round((x - from.zero) * (from.scale / to.scale)) + to.zero)`: what a concatenation does to an input of another
    /// scale, or an activation. Writes only inside the grid.
    ///
    /// # Panics
    /// As [`Kernels::quantise`].
    pub fn rescale_int8(
        &self,
        (from, to): (Scale, Scale),
        range: Bytes,
        src: &[i8],
        source: &Quads,
        dst: &mut [i8],
        output: &Quads,
    ) {
        let (grid, into) = (&source.grid, &output.grid);
        assert_eq!((source.channels, grid.height, grid.width), (output.channels, into.height, into.width));
        assert!(source.channels > 0 && src.len() >= extent(source.blocks(), grid, LANES, SLACK_CELLS));
        assert!(dst.len() >= extent(output.blocks(), into, LANES, 0));
        let arithmetic = Arithmetic::unary(from, to, range);
        rows(source.blocks(), grid, into, |_, at, out, count| {
            let (a, dst) = (src[at * LANES..].as_ptr(), dst[out * LANES..].as_mut_ptr());
            let row = Row { a, b: std::ptr::null(), dst, plane: 0, count, arithmetic };
            // SAFETY: the table's instruction set is there; the asserts cover rows and slack.
            unsafe { (self.elementwise_int8.rescale)(&row) }
        });
    }

    /// `clamp(round((a - a.zero) * (a.scale / to.scale) + (b - b.zero) * (b.scale / to.scale)) + to.zero)`; both inputs lie as
    /// `source` says. Writes only inside the grid.
    ///
    /// # Panics
    /// As [`Kernels::quantise`].
    #[allow(clippy::too_many_arguments)] // two inputs, their scales, an output
    pub fn add_int8(
        &self,
        (a_scale, b_scale, to): (Scale, Scale, Scale),
        range: Bytes,
        a: &[i8],
        b: &[i8],
        source: &Quads,
        dst: &mut [i8],
        output: &Quads,
    ) {
        let (grid, into) = (&source.grid, &output.grid);
        assert_eq!((source.channels, grid.height, grid.width), (output.channels, into.height, into.width));
        assert!(source.channels > 0 && a.len().min(b.len()) >= extent(source.blocks(), grid, LANES, SLACK_CELLS));
        assert!(dst.len() >= extent(output.blocks(), into, LANES, 0));
        let mut arithmetic = Arithmetic::unary(a_scale, to, range);
        arithmetic.b_zero = i32::from(b_scale.zero);
        arithmetic.b_factor = b_scale.scale / to.scale;
        rows(source.blocks(), grid, into, |_, at, out, count| {
            let (a, b) = (a[at * LANES..].as_ptr(), b[at * LANES..].as_ptr());
            let row = Row { a, b, dst: dst[out * LANES..].as_mut_ptr(), plane: 0, count, arithmetic };
            // SAFETY: the table's instruction set is there; the asserts cover rows and slack.
            unsafe { (self.elementwise_int8.add)(&row) }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::check::{Random, every_isa};
    use crate::layout::Pads;

    const MARK: i8 = 77;

    /// Two grids of one size with different padding.
    fn grids(random: &mut Random) -> (usize, Grid, Grid) {
        let (height, width) = (random.within(1, 5), random.within(1, 40));
        let pads = |random: &mut Random| Pads { top: random.within(0, 2), ..Pads::all(random.within(0, 2)) };
        let (a, b) = (pads(random), pads(random));
        (random.within(1, 10), Grid::new(height, width, a), Grid::new(height, width, b))
    }

    fn scale(random: &mut Random) -> Scale {
        Scale { scale: 0.01 + random.float().abs() * 0.1, zero: random.bits() as i8 }
    }

    /// Every inside element of `found` must be `expected(c, y, x)`, every cell outside untouched.
    fn check(label: &str, found: &[i8], output: &Quads, expected: impl Fn(usize, usize, usize) -> i8) {
        let mut inside = vec![false; output.blocks() * output.grid.plane];
        for c in 0..output.channels {
            for y in 0..output.grid.height {
                for x in 0..output.grid.width {
                    inside[output.index(c, y, x) / LANES] = true;
                    assert_eq!(found[output.index(c, y, x)], expected(c, y, x), "{label} at {c} {y} {x}");
                }
            }
        }
        let cells = found.chunks_exact(LANES).zip(&inside);
        assert!(cells.filter(|(_, inside)| !**inside).all(|(cell, _)| cell == [MARK; 4]), "{label}: wrote outside");
    }

    fn bounded(value: f32, zero: i8, range: Bytes) -> i8 {
        let wanted = f64::from(value.round_ties_even()) + f64::from(zero);
        wanted.clamp(f64::from(range.low), f64::from(range.high)) as i8
    }

    #[test]
    fn quantise_and_back_are_their_definitions() {
        every_isa(|kernels| {
            for seed in 0..40 {
                let label = format!("{} seed {seed}", kernels.isa());
                let mut random = Random::new(seed);
                let (channels, from, to) = grids(&mut random);
                let (planes, quads) = (Planes { channels, grid: from }, Quads { channels, grid: to });
                let scale = scale(&mut random);
                // Halves of steps too, for the ties.
                let src: Vec<f32> = (0..planes.elements())
                    .map(|_| (random.within(0, 600) as f32 - 300.0) * 0.5 * scale.scale)
                    .collect();
                let mut dst = vec![MARK; quads.bytes()];
                kernels.quantise(scale, &src, &planes, &mut dst, &quads);
                check(&label, &dst, &quads, |c, y, x| {
                    bounded(src[planes.index(c, y, x)] / scale.scale, scale.zero, Bytes::ALL)
                });
                let mut back = vec![777.0; planes.elements()];
                kernels.dequantise(scale, &dst, &quads, &mut back, &planes);
                let mut expected = vec![777.0; planes.elements()];
                for c in 0..channels {
                    for y in 0..from.height {
                        for x in 0..from.width {
                            let steps = i32::from(dst[quads.index(c, y, x)]) - i32::from(scale.zero);
                            expected[planes.index(c, y, x)] = steps as f32 * scale.scale;
                        }
                    }
                }
                assert_eq!(back, expected, "{label}");
            }
        });
    }

    #[test]
    fn sums_and_rescaled_values_are_exact() {
        every_isa(|kernels| {
            for seed in 0..40 {
                let label = format!("{} seed {seed}", kernels.isa());
                let mut random = Random::new(seed);
                let (channels, from, to) = grids(&mut random);
                let (source, output) = (Quads { channels, grid: from }, Quads { channels, grid: to });
                let (a, b) = (random.bytes(source.bytes()), random.bytes(source.bytes()));
                let (sa, sb, so) = (scale(&mut random), scale(&mut random), scale(&mut random));
                let range = Bytes { low: [-128, so.zero][random.within(0, 1)], high: 127 };
                let term = |value: i8, s: Scale| (f32::from(value) - f32::from(s.zero)) * (s.scale / so.scale);
                let mut dst = vec![MARK; output.bytes()];
                kernels.add_int8((sa, sb, so), range, &a, &b, &source, &mut dst, &output);
                check(&label, &dst, &output, |c, y, x| {
                    let at = source.index(c, y, x);
                    bounded(term(a[at], sa) + term(b[at], sb), so.zero, range)
                });
                let mut dst = vec![MARK; output.bytes()];
                kernels.rescale_int8((sa, so), range, &a, &source, &mut dst, &output);
                check(&label, &dst, &output, |c, y, x| bounded(term(a[source.index(c, y, x)], sa), so.zero, range));
            }
        });
    }
}
