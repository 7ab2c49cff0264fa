//! Sweeping a window over planes: what depthwise convolution and pooling share.
//!
//! [`Window`] is the geometry; [`sweep`] walks one output plane in blocks of rows by vectors, loads every input row once per
//! block and hands each tap to a [`Tap`] operation (multiply-add, maximum, sum).

use super::simd::Simd;
use crate::layout::{Grid, Pads, SLACK_CELLS};

/// Kernel size, stride and dilation of a convolution or pool, and how far it reaches over the top and left edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Window {
    /// Rows and columns of the kernel.
    pub kernel: [usize; 2],
    /// Steps down and right.
    pub stride: [usize; 2],
    /// Distance between taps.
    pub dilation: [usize; 2],
    /// Padding; `top` and `left` place the first tap, the rest follows from the output's size.
    pub pads: Pads,
}

impl Window {
    /// `size` by `size`, not dilated.
    #[must_use]
    pub fn square(size: usize, stride: usize, pads: Pads) -> Window {
        Window { kernel: [size; 2], stride: [stride; 2], dilation: [1; 2], pads }
    }

    /// Taps.
    #[must_use]
    pub fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    fn is_square(&self, size: usize, stride: usize) -> bool {
        self.kernel == [size; 2] && self.stride == [stride; 2] && self.dilation == [1; 2]
    }

    /// Which compiled body serves this window.
    pub(super) fn shape(&self) -> Shape {
        match () {
            () if self.is_square(3, 1) => Shape::Three1,
            () if self.is_square(3, 2) => Shape::Three2,
            () if self.is_square(5, 1) => Shape::Five1,
            () if self.is_square(5, 2) => Shape::Five2,
            () if self.is_square(2, 2) => Shape::Two2,
            () => Shape::Any,
        }
    }

    /// Cell index of the first tap of output (0, 0) in the source grid, and one past the last cell of any tap.
    ///
    /// # Panics
    /// When the source's padding does not hold the window's.
    pub(super) fn span(&self, source: &Grid, output: &Grid) -> (usize, usize) {
        let pads = source.pads;
        assert!(pads.top >= self.pads.top && pads.left >= self.pads.left, "{pads:?} for {self:?}");
        let first = source.cell(0, 0) - self.pads.top * source.pitch - self.pads.left;
        let down = (output.height - 1) * self.stride[0] + (self.kernel[0] - 1) * self.dilation[0];
        let right = (output.width - 1) * self.stride[1] + (self.kernel[1] - 1) * self.dilation[1];
        (first, first + down * source.pitch + right + 1)
    }
}

/// The windows with a body of their own: size, then stride.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Three1,
    Three2,
    Five1,
    Five2,
    Two2,
    Any,
}

/// A checked call: geometry and pointers of one sweep over all channels. Cells are `f32`, or four `i8`.
pub(super) struct Call<S, D> {
    pub window: Window,
    pub channels: usize,
    pub height: usize,
    pub width: usize,
    /// First tap of output (0, 0) of the first channel.
    pub src: *const S,
    pub src_pitch: usize,
    pub src_plane: usize,
    /// Output (0, 0) of the first channel.
    pub dst: *mut D,
    pub dst_pitch: usize,
    pub dst_plane: usize,
}

impl<S, D> Call<S, D> {
    /// Checks that every cell that a sweep of `channels` grids touches, the slack included, is within the slices, which hold
    /// `lanes` elements a cell.
    ///
    /// # Panics
    /// When not, or when the output is empty.
    pub fn new(
        window: &Window,
        channels: usize,
        lanes: usize,
        src: &[S],
        source: &Grid,
        dst: &mut [D],
        output: &Grid,
    ) -> Self {
        assert!(channels > 0 && output.height > 0 && output.width > 0, "empty output");
        let (first, end) = window.span(source, output);
        let src_end = (channels - 1) * source.plane + end + SLACK_CELLS;
        assert!(src.len() >= src_end * lanes, "source of {} for {src_end} cells", src.len());
        let last = output.cell(output.height - 1, output.width - 1);
        let dst_end = (channels - 1) * output.plane + last + 1;
        assert!(dst.len() >= dst_end * lanes, "output of {} for {dst_end} cells", dst.len());
        Call {
            window: *window,
            channels,
            height: output.height,
            width: output.width,
            src: src[first * lanes..].as_ptr(),
            src_pitch: source.pitch,
            src_plane: source.plane,
            dst: dst[output.cell(0, 0) * lanes..].as_mut_ptr(),
            dst_pitch: output.pitch,
            dst_plane: output.plane,
        }
    }
}

/// What happens to the cells under a window.
///
/// # Safety
/// As [`Simd`].
pub(super) trait Tap<S: Simd>: Copy {
    /// What a sum (or maximum) starts from.
    unsafe fn start(&self) -> S::F;
    /// `value` lies under tap number `tap`.
    unsafe fn tap(&self, acc: S::F, value: S::F, tap: usize) -> S::F;
    /// The output for `acc` at (y, x).
    unsafe fn finish(&self, acc: S::F, y: usize, x: usize) -> S::F;
}

/// One output plane.
///
/// # Safety
/// As [`Simd`]; `src` and `dst` point at the channel's first tap and first output of a checked [`Call`].
#[inline(always)]
pub(super) unsafe fn sweep<S: Simd, T: Tap<S>, const K: usize, const STRIDE: usize, const ROWS: usize>(
    call: &Call<f32, f32>,
    tap: T,
    src: *const f32,
    dst: *mut f32,
) {
    let mut y = 0;
    while y < call.height {
        // The last block of rows overlaps the one before it; fewer rows than a block go one by one.
        // SAFETY: rows y to y + ROWS (or y alone) exist; the taps are within the checked span.
        unsafe {
            if call.height >= ROWS {
                y = y.min(call.height - ROWS);
                block_row::<S, T, K, STRIDE, ROWS>(call, tap, src, dst, y);
                y += ROWS;
            } else {
                block_row::<S, T, K, STRIDE, 1>(call, tap, src, dst, y);
                y += 1;
            }
        }
    }
}

/// `ROWS` rows of outputs from row `y` on.
#[inline(always)]
unsafe fn block_row<S: Simd, T: Tap<S>, const K: usize, const STRIDE: usize, const ROWS: usize>(
    call: &Call<f32, f32>,
    tap: T,
    src: *const f32,
    dst: *mut f32,
    y: usize,
) {
    let mut x = 0;
    while x < call.width {
        // The last vector overlaps the one before it rather than running over the edge.
        if x + S::LANES > call.width && call.width >= S::LANES {
            x = call.width - S::LANES;
        }
        // SAFETY: `sweep`'s; (y, x) is an output position.
        unsafe {
            let from = src.add(y * STRIDE * call.src_pitch + x * STRIDE);
            let acc = block::<S, T, K, STRIDE, ROWS>(tap, from, call.src_pitch);
            put::<S, T, ROWS>(call, tap, acc, dst, y, x, call.width - x);
        }
        x += S::LANES;
    }
}

/// `ROWS` by `LANES` outputs whose first tap is at `from`.
#[inline(always)]
unsafe fn block<S: Simd, T: Tap<S>, const K: usize, const STRIDE: usize, const ROWS: usize>(
    tap: T,
    from: *const f32,
    pitch: usize,
) -> [S::F; ROWS] {
    // SAFETY: `sweep`'s.
    unsafe {
        let mut acc = [tap.start(); ROWS];
        for r in 0..(ROWS - 1) * STRIDE + K {
            let row = from.add(r * pitch);
            let values = taps_of_row::<S, K, STRIDE>(row);
            for (o, a) in acc.iter_mut().enumerate() {
                if r >= o * STRIDE && r < o * STRIDE + K {
                    for (i, &value) in values.iter().enumerate() {
                        *a = tap.tap(*a, value, (r - o * STRIDE) * K + i);
                    }
                }
            }
        }
        acc
    }
}

/// The cells under each of the `K` taps of a row, for `LANES` neighbouring outputs.
#[inline(always)]
unsafe fn taps_of_row<S: Simd, const K: usize, const STRIDE: usize>(row: *const f32) -> [S::F; K] {
    // SAFETY: `sweep`'s; at stride 2 the last pair reads one cell more than it uses, which the slack allows.
    unsafe {
        let mut values = [S::splat(0.0); K];
        if STRIDE == 1 {
            for (i, value) in values.iter_mut().enumerate() {
                *value = S::load(row.add(i));
            }
        } else {
            for i in (0..K).step_by(2) {
                let (even, odd) = S::load_even_odd(row.add(i));
                values[i] = even;
                if i + 1 < K {
                    values[i + 1] = odd;
                }
            }
        }
        values
    }
}

/// Stores a block, or the first `count` columns of it.
#[inline(always)]
unsafe fn put<S: Simd, T: Tap<S>, const ROWS: usize>(
    call: &Call<f32, f32>,
    tap: T,
    acc: [S::F; ROWS],
    dst: *mut f32,
    y: usize,
    x: usize,
    count: usize,
) {
    for (o, &a) in acc.iter().enumerate() {
        // SAFETY: `sweep`'s: row y + o and its `count` columns from x on exist.
        unsafe {
            let to = dst.add((y + o) * call.dst_pitch + x);
            let v = tap.finish(a, y + o, x);
            if count >= S::LANES {
                S::store(to, v);
            } else {
                S::store_first(to, v, count);
            }
        }
    }
}

/// One output plane under any window: a row of outputs at a time, tap by tap.
///
/// # Safety
/// As [`sweep`].
#[inline(always)]
pub(super) unsafe fn sweep_any<S: Simd, T: Tap<S>>(call: &Call<f32, f32>, tap: T, src: *const f32, dst: *mut f32) {
    let Window { kernel: [rows, columns], stride: [down, right], dilation, .. } = call.window;
    for y in 0..call.height {
        for x in (0..call.width).step_by(S::LANES) {
            let count = (call.width - x).min(S::LANES);
            // SAFETY: `sweep`'s; `strided` reads only what `count` outputs need.
            unsafe {
                let mut acc = tap.start();
                for i in 0..rows {
                    let row = src.add((y * down + i * dilation[0]) * call.src_pitch + x * right);
                    for j in 0..columns {
                        let value = strided::<S>(row.add(j * dilation[1]), right, count);
                        acc = tap.tap(acc, value, i * columns + j);
                    }
                }
                put::<S, T, 1>(call, tap, [acc], dst, y, x, count);
            }
        }
    }
}

/// Every `stride`th of `count` cells; lanes beyond repeat nothing in particular.
#[inline(always)]
unsafe fn strided<S: Simd>(from: *const f32, stride: usize, count: usize) -> S::F {
    // SAFETY: at stride 1 the slack allows a whole vector; else only `count` cells are read.
    unsafe {
        if stride == 1 {
            return S::load(from);
        }
        let mut cells = [0.0f32; 16];
        for (i, cell) in cells.iter_mut().enumerate().take(count) {
            *cell = *from.add(i * stride);
        }
        S::load(cells.as_ptr())
    }
}
