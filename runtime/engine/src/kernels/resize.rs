//! Bilinear and nearest-neighbour resizing of `f32` planes.
//!
//! Which cells an output lies between is worked out once per axis ([`Axis`]), so every coordinate rule of ONNX's Resize is the
//! same kernel: two source rows are blended, then neighbouring columns of the blend.

use super::Kernels;
use super::simd::Simd;
use crate::layout::Planes;

/// Along one axis: between which source cells each output lies, and how far from the first.
#[derive(Clone, Debug, Default)]
pub struct Axis {
    low: Vec<i32>,
    high: Vec<i32>,
    fraction: Vec<f32>,
}

impl Axis {
    /// Outputs at the source coordinates `at`, in cells of `size`; beyond the edges the edge goes on. A coordinate that is
    /// whole takes that cell alone, so nearest-neighbour resizing is whole coordinates.
    ///
    /// # Panics
    /// When `size` is 0.
    #[must_use]
    pub fn new(size: usize, at: impl IntoIterator<Item = f32>) -> Axis {
        assert!(size > 0, "nothing to resize");
        let last = (size - 1) as f32;
        let mut axis = Axis::default();
        for coordinate in at {
            let inside = coordinate.clamp(0.0, last);
            let low = inside.floor();
            axis.low.push(low as i32);
            axis.high.push((low + 1.0).min(last) as i32);
            axis.fraction.push(inside - low);
        }
        axis
    }

    /// Outputs.
    #[must_use]
    pub fn len(&self) -> usize {
        self.low.len()
    }

    /// Whether there is no output.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.low.is_empty()
    }

    /// One past the last source cell.
    fn end(&self) -> usize {
        self.high.iter().chain(&self.low).max().map_or(0, |&last| last as usize + 1)
    }
}

/// One output row.
pub(super) struct Row<'a> {
    low: *const f32,
    high: *const f32,
    fraction: f32,
    /// Source cells of a row.
    width: usize,
    /// The blend of both rows; `width` cells and a vector more.
    blend: *mut f32,
    columns: &'a Axis,
    dst: *mut f32,
}

/// A body: one output row.
pub(super) type Core = unsafe fn(&Row<'_>);

/// Blends two rows, then neighbouring columns.
///
/// # Safety
/// As [`Simd`]; the rows hold `width` cells and readable slack, `dst` as many as there are columns.
#[inline(always)]
pub(super) unsafe fn row<S: Simd>(row: &Row<'_>) {
    // SAFETY: the caller's; the blend's end is padded by a vector.
    unsafe {
        let fraction = S::splat(row.fraction);
        for x in (0..row.width).step_by(S::LANES) {
            let (low, high) = (S::load(row.low.add(x)), S::load(row.high.add(x)));
            S::store(row.blend.add(x), blend::<S>(low, high, fraction));
        }
        let Axis { low, high, fraction } = row.columns;
        let count = low.len();
        let mut x = 0;
        while x + S::LANES <= count {
            let (mut lows, mut highs) = ([0.0f32; 16], [0.0f32; 16]);
            for i in 0..S::LANES {
                lows[i] = *row.blend.add(*low.get_unchecked(x + i) as usize);
                highs[i] = *row.blend.add(*high.get_unchecked(x + i) as usize);
            }
            let (lows, highs) = (S::load(lows.as_ptr()), S::load(highs.as_ptr()));
            S::store(row.dst.add(x), blend::<S>(lows, highs, S::load(fraction.as_ptr().add(x))));
            x += S::LANES;
        }
        for x in x..count {
            let (a, b) = (*row.blend.add(low[x] as usize), *row.blend.add(high[x] as usize));
            *row.dst.add(x) = a + (b - a) * fraction[x];
        }
    }
}

/// `a + (b - a) * fraction`.
#[inline(always)]
unsafe fn blend<S: Simd>(a: S::F, b: S::F, fraction: S::F) -> S::F {
    // SAFETY: the caller's.
    unsafe { S::fma(S::sub(b, a), fraction, a) }
}

/// Floats that [`Kernels::resize`] needs to work in beyond the source's width.
pub const RESIZE_SLACK: usize = 16;

impl Kernels {
    /// Every channel of `source` at the outputs of `rows` and `columns`. `scratch` holds a source row and [`RESIZE_SLACK`].
    /// Writes only inside the grid.
    ///
    /// # Panics
    /// When a slice is too short for its planes, or an axis for them.
    #[allow(clippy::too_many_arguments)] // two axes, a source, an output
    pub fn resize(
        &self,
        rows: &Axis,
        columns: &Axis,
        scratch: &mut [f32],
        src: &[f32],
        source: &Planes,
        dst: &mut [f32],
        output: &Planes,
    ) {
        let (from, to) = (&source.grid, &output.grid);
        assert!(rows.end() <= from.height && columns.end() <= from.width, "an axis beyond the source");
        assert_eq!((source.channels, rows.len(), columns.len()), (output.channels, to.height, to.width));
        assert!(src.len() >= source.elements() && dst.len() >= output.elements());
        assert!(scratch.len() >= from.width + RESIZE_SLACK);
        for c in 0..source.channels {
            for y in 0..rows.len() {
                let call = Row {
                    low: src[source.index(c, rows.low[y] as usize, 0)..].as_ptr(),
                    high: src[source.index(c, rows.high[y] as usize, 0)..].as_ptr(),
                    fraction: rows.fraction[y],
                    width: from.width,
                    blend: scratch.as_mut_ptr(),
                    columns,
                    dst: dst[output.index(c, y, 0)..].as_mut_ptr(),
                };
                // SAFETY: the table's instruction set is there; the asserts cover both rows, the slack, the blend and the output.
                unsafe { (self.resize_core)(&call) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::check::{Random, every_isa};
    use crate::layout::{Grid, Pads};

    #[test]
    fn resizing_is_its_definition_on_random_sizes() {
        every_isa(|kernels| {
            for seed in 0..40 {
                let mut random = Random::new(seed);
                let (height, width) = (random.within(1, 7), random.within(1, 20));
                let (to_height, to_width) = (random.within(1, 9), random.within(1, 50));
                let channels = random.within(1, 3);
                let pads = Pads::all(random.within(0, 1));
                let source = Planes { channels, grid: Grid::new(height, width, pads) };
                let output = Planes { channels, grid: Grid::new(to_height, to_width, Pads::all(1)) };
                let half_pixel =
                    |from: usize, to: usize| (0..to).map(move |i| (i as f32 + 0.5) * from as f32 / to as f32 - 0.5);
                let src = random.floats(source.elements());
                const MARK: f32 = 777.0;
                let mut dst = vec![MARK; output.elements()];
                let mut scratch = vec![0.0; width + RESIZE_SLACK];
                let rows = Axis::new(height, half_pixel(height, to_height));
                let columns = Axis::new(width, half_pixel(width, to_width));
                kernels.resize(&rows, &columns, &mut scratch, &src, &source, &mut dst, &output);
                let clamped = |y: f32, x: f32, c: usize| -> f32 {
                    let cell = |y: f32, x: f32| {
                        let (y, x) = (y.clamp(0.0, (height - 1) as f32), x.clamp(0.0, (width - 1) as f32));
                        src[source.index(c, y as usize, x as usize)]
                    };
                    let (y0, x0) = (y.floor(), x.floor());
                    let (fy, fx) = (y - y0, x - x0);
                    let top = cell(y0, x0) * (1.0 - fx) + cell(y0, x0 + 1.0) * fx;
                    let bottom = cell(y0 + 1.0, x0) * (1.0 - fx) + cell(y0 + 1.0, x0 + 1.0) * fx;
                    top * (1.0 - fy) + bottom * fy
                };
                for c in 0..channels {
                    for (y, sy) in half_pixel(height, to_height).enumerate() {
                        for (x, sx) in half_pixel(width, to_width).enumerate() {
                            let (found, wanted) = (dst[output.index(c, y, x)], clamped(sy, sx, c));
                            let label = format!("{} seed {seed} {c} {y} {x}", kernels.isa());
                            assert!((found - wanted).abs() < 1e-5, "{label}: {found} for {wanted}");
                            dst[output.index(c, y, x)] = MARK;
                        }
                    }
                }
                assert!(dst.iter().all(|&v| v == MARK), "seed {seed}: wrote outside its grid");
            }
        });
    }

    #[test]
    fn whole_coordinates_take_the_nearest_cell() {
        let axis = Axis::new(3, [-1.0, 0.0, 1.0, 2.0, 9.0]);
        assert_eq!((&axis.low[..], &axis.fraction[..]), (&[0, 0, 1, 2, 2][..], &[0.0; 5][..]));
        assert_eq!(axis.end(), 3);
    }
}
