//! How activations lie in memory: the contract between the plan, the steps and the kernels.
//!
//! Both layouts are grids of *cells* with the padding inside. A cell is one `f32` ([`Planes`], one grid a channel) or four
//! `i8` ([`Quads`], one grid a block of four channels, also called NC4HW4). A grid has rows of `pitch` cells:
//!
//! ```text
//!            left  width        gap
//!  top       . . | . . . . . | .        padding rows
//!  height    . . | a b c d e | .        row y starts at (top + y) * pitch + left
//!            . . | f g h i j | .        what is right of row y is left of row y + 1
//!  bottom    . . | . . . . . | .
//!            SLACK                      readable, content undefined
//! ```
//!
//! Because the padding is inside, a convolution with stride 1 reads, for each tap, a *contiguous run* of cells that may span
//! rows; the positions in the gap give garbage that the step overwrites with padding afterwards.
//!
//! Rules that kernels may rely on and must keep:
//! - the whole buffer starts at a multiple of [`ALIGN_BYTES`]; rows and grids have no alignment of their own;
//! - reading up to [`SLACK_CELLS`] cells past the end of any grid is allowed, also for the last one;
//! - a kernel writes only cells with `y < height` and `x < width`, unless its documentation says otherwise; whoever owns the
//!   step fills the padding (with 0.0, or with the zero point for `i8`) after the kernel has written the inside;
//! - in the last block of [`Quads`], lanes beyond `channels` may hold anything that is initialised; weights for them are 0;
//! - `i8` is the only byte type inside: an unsigned ONNX tensor with zero point z is stored as value - 128, zero point z - 128.

/// Alignment of every buffer in the arena.
pub const ALIGN_BYTES: usize = 64;

/// Cells that may be read past the end of a grid.
pub const SLACK_CELLS: usize = 32;

/// Channels in a cell of [`Quads`].
pub const LANES: usize = 4;

/// Padding around the inside, in cells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Pads {
    /// Rows above.
    pub top: usize,
    /// Cells left of a row.
    pub left: usize,
    /// Rows below.
    pub bottom: usize,
    /// Cells right of a row.
    pub right: usize,
}

impl Pads {
    /// The same on all sides.
    #[must_use]
    pub fn all(n: usize) -> Pads {
        Pads { top: n, left: n, bottom: n, right: n }
    }

    /// The larger of the two on each side: what serves both.
    #[must_use]
    pub fn union(self, other: Pads) -> Pads {
        Pads {
            top: self.top.max(other.top),
            left: self.left.max(other.left),
            bottom: self.bottom.max(other.bottom),
            right: self.right.max(other.right),
        }
    }
}

/// One grid of cells with padding inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Grid {
    /// Rows inside.
    pub height: usize,
    /// Cells in a row inside.
    pub width: usize,
    /// Padding.
    pub pads: Pads,
    /// Cells from one row to the next.
    pub pitch: usize,
    /// Cells from one grid to the next, slack included.
    pub plane: usize,
}

impl Grid {
    /// The tightest grid: the gap between rows is the larger of the left and right padding.
    #[must_use]
    pub fn new(height: usize, width: usize, pads: Pads) -> Grid {
        Grid::with_pitch(height, width, pads, width + pads.left.max(pads.right))
    }

    /// A grid whose rows are `pitch` cells apart, for a kernel that wants two grids to share a pitch.
    ///
    /// # Panics
    /// When the pitch does not hold the row and its padding.
    #[must_use]
    pub fn with_pitch(height: usize, width: usize, pads: Pads, pitch: usize) -> Grid {
        assert!(pitch >= width + pads.left.max(pads.right), "pitch {pitch} for width {width} and {pads:?}");
        let rows = pads.top + height + pads.bottom;
        let cells = rows * pitch + pads.left + pads.right;
        let plane = if pads == Pads::default() && pitch == width {
            // Dense, so that a buffer without padding is also a plain row-major tensor.
            height * width
        } else {
            (cells + SLACK_CELLS).next_multiple_of(16)
        };
        Grid { height, width, pads, pitch, plane }
    }

    /// Whether the grid is a plain row-major matrix.
    #[must_use]
    pub fn is_dense(&self) -> bool {
        self.pitch == self.width && self.plane == self.height * self.width
    }

    /// Cell index of (y, x), relative to the grid's start.
    #[inline]
    #[must_use]
    pub fn cell(&self, y: usize, x: usize) -> usize {
        (self.pads.top + y) * self.pitch + self.pads.left + x
    }

    /// Cells from the first inside cell to one past the last, gaps included: what a contiguous sweep covers.
    #[must_use]
    pub fn sweep(&self) -> usize {
        if self.height == 0 { 0 } else { (self.height - 1) * self.pitch + self.width }
    }
}

/// `f32` activations: `[channels]` grids of one `f32` a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Planes {
    /// Channels (of all images of the batch, one after the other).
    pub channels: usize,
    /// The grid of one channel.
    pub grid: Grid,
}

impl Planes {
    /// Index of the element (c, y, x).
    #[inline]
    #[must_use]
    pub fn index(&self, c: usize, y: usize, x: usize) -> usize {
        c * self.grid.plane + self.grid.cell(y, x)
    }

    /// Elements of a buffer that holds this, slack included.
    #[must_use]
    pub fn elements(&self) -> usize {
        self.channels * self.grid.plane + SLACK_CELLS
    }
}

/// `i8` activations: `[channels / 4]` grids of four `i8` a cell (NC4HW4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Quads {
    /// Channels; the last block may be partly used.
    pub channels: usize,
    /// The grid of one block of four channels.
    pub grid: Grid,
}

impl Quads {
    /// Blocks of four channels.
    #[must_use]
    pub fn blocks(&self) -> usize {
        self.channels.div_ceil(LANES)
    }

    /// Byte index of the element (c, y, x).
    #[inline]
    #[must_use]
    pub fn index(&self, c: usize, y: usize, x: usize) -> usize {
        (c / LANES * self.grid.plane + self.grid.cell(y, x)) * LANES + c % LANES
    }

    /// Bytes of a buffer that holds this, slack included.
    #[must_use]
    pub fn bytes(&self) -> usize {
        (self.blocks() * self.grid.plane + SLACK_CELLS) * LANES
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn inside_cells_are_apart_and_padding_is_no_inside_cell() {
        for (h, w, pads) in [
            (1, 1, Pads::default()),
            (5, 7, Pads::all(1)),
            (3, 2, Pads { top: 0, left: 2, bottom: 3, right: 1 }),
            (4, 4, Pads { top: 1, left: 0, bottom: 0, right: 3 }),
        ] {
            let planes = Planes { channels: 3, grid: Grid::new(h, w, pads) };
            let mut inside = HashSet::new();
            for c in 0..3 {
                for y in 0..h {
                    for x in 0..w {
                        assert!(inside.insert(planes.index(c, y, x)), "{h}x{w} {pads:?}");
                    }
                }
            }
            // Every padded tap of every cell stays in the buffer and meets either the right cell or padding.
            for c in 0..3i64 {
                for y in -(pads.top as i64)..(h + pads.bottom) as i64 {
                    for x in -(pads.left as i64)..(w + pads.right) as i64 {
                        let base = planes.index(c as usize, 0, 0) as i64;
                        let at = usize::try_from(base + y * planes.grid.pitch as i64 + x).unwrap();
                        assert!(at < planes.elements());
                        let is_inside = (0..h as i64).contains(&y) && (0..w as i64).contains(&x);
                        assert_eq!(inside.contains(&at), is_inside, "{h}x{w} {pads:?} at {c} {y} {x}");
                    }
                }
            }
        }
    }

    #[test]
    fn quads_interleave_four_channels() {
        let quads = Quads { channels: 6, grid: Grid::new(2, 3, Pads::all(1)) };
        assert_eq!(quads.blocks(), 2);
        assert_eq!(quads.index(1, 0, 0), quads.index(0, 0, 0) + 1);
        assert_eq!(quads.index(4, 0, 0), quads.grid.plane * LANES + quads.grid.cell(0, 0) * LANES);
        assert!(quads.index(5, 1, 2) < quads.bytes());
    }
}
