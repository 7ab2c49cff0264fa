//! 3x3 and 4x4 convolution of `i8` quads (NC4HW4) with stride 1 by Winograd's filtering, exactly: a quarter of the products.
//!
//! The transforms of [`super::winograd`], F(4x4, 3x3) and F(3x3, 4x4), in integers. The inputs' is whole and stays within 12800,
//! that of the weights without its divisors within 28800: both are 16-bit. The divisors are left to the outputs, which come out
//! 576 = 9 * 64 times too large. All sums wrap at 32 bits, so they are right modulo 2^32; there 9 has an inverse, and what is
//! left is 64 times the direct sum, which a shift gives to the bit as long as it is less than 2^25. That holds for whatever
//! input where a channel's weights are less than 2^18 in sum of magnitudes, which packing checks.
//!
//! The bodies are in [`super::winograd_int8_tiles`]. It pays where 16-bit products are as fast as 8-bit ones: before VNNI and `sdot`.

use std::ops::Range;

use super::aligned::Aligned;
use super::conv_int8::Finish;
use super::{Kernels, Requantise, Window};
use crate::layout::{Grid, LANES, Quads, SLACK_CELLS};

/// Numbers of a transformed tile, and those in a row.
pub(super) const NUMBERS: usize = 36;
pub(super) const SIDE: usize = 6;
/// Tiles of a panel: what a product takes at a time.
pub(super) const PANEL: usize = 8;
/// Tiles, or cells of a row, that are transformed together.
pub(super) const GROUP: usize = 4;
/// Tiles that are computed together, at most (but at least one row of them).
const BLOCK_TILES: usize = 64;
/// What a channel's weights may be in sum of magnitudes.
const MOST_WEIGHT: i32 = 1 << 18;

/// A convolution packed for one instruction set and one source layout.
#[derive(Clone, Debug)]
pub struct WinogradInt8 {
    pub(super) window: Window,
    pub(super) source: Quads,
    channels: usize,
    core: Core,
    /// `[36][channels / rows][quads][rows][4]`.
    pub(super) weights: Aligned<i16>,
    pub(super) bias: Aligned<i32>,
    pub(super) scale: Aligned<f32>,
    pub(super) finish: Finish,
}

/// What an instruction set gives for this operation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Core {
    pub rows: usize,
    pub run: unsafe fn(&WordsCall<'_>),
}

impl WinogradInt8 {
    /// Output channels.
    #[must_use]
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Output channels of which work that is split may get a multiple.
    #[must_use]
    pub fn unit_channels(&self) -> usize {
        let rows = self.core.rows;
        (1..=LANES).map(|n| n * rows).find(|rows| rows.is_multiple_of(LANES)).unwrap_or(LANES * rows)
    }

    /// Bytes of working memory for outputs of this size.
    #[must_use]
    pub fn scratch_bytes(&self, output: &Grid) -> usize {
        let blocks = self.blocks(output);
        let words = NUMBERS * (self.depth() + 1) * blocks.tiles * LANES + SIDE * blocks.row_words;
        2 * words + 4 * NUMBERS * self.padded() * blocks.tiles
    }

    fn blocks(&self, output: &Grid) -> Blocks {
        Blocks::new(output, 7 - self.window.kernel[0])
    }

    pub(super) fn depth(&self) -> usize {
        self.source.blocks()
    }

    /// Channels in whole products and whole quads.
    pub(super) fn padded(&self) -> usize {
        self.channels.next_multiple_of(self.core.rows).max(self.channels.next_multiple_of(LANES))
    }

    /// Channels in whole products: the rows of the packed weights.
    pub(super) fn padded_rows(&self) -> usize {
        self.channels.next_multiple_of(self.core.rows)
    }
}

/// How the tiles of an output are taken together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Blocks {
    /// Tiles in a row, and rows of tiles.
    pub across: usize,
    pub down: usize,
    /// Rows of tiles in a block.
    pub rows: usize,
    /// Tiles of a block, in whole panels, with room for a group that runs over the end.
    pub tiles: usize,
    /// Words of one of the six rows of a row of tiles.
    pub row_words: usize,
}

impl Blocks {
    fn new(output: &Grid, size: usize) -> Blocks {
        let (across, down) = (output.width.div_ceil(size), output.height.div_ceil(size));
        let most = (BLOCK_TILES / across.max(1)).clamp(1, down.max(1));
        // Blocks of like size rather than full ones and a rest.
        let rows = down.div_ceil(down.div_ceil(most).max(1));
        let tiles = (rows * across + GROUP).next_multiple_of(PANEL);
        Blocks { across, down, rows, tiles, row_words: (size * (across + GROUP) + SIDE + GROUP) * LANES }
    }
}

/// `G g G^T` of a kernel of `size` by `size`, without its divisors: powers of the points 0, 1, -1, 2, -2, infinity.
fn transformed(kernel: &[i8], size: usize) -> [i16; NUMBERS] {
    const POINTS: [i32; SIDE - 1] = [0, 1, -1, 2, -2];
    let g = |n: usize, i: usize| POINTS.get(n).map_or(i32::from(i + 1 == size), |point| point.pow(i as u32));
    let mut numbers = [0; NUMBERS];
    for (n, number) in numbers.iter_mut().enumerate() {
        let terms = kernel.iter().enumerate();
        let sum: i32 = terms.map(|(k, &w)| g(n / SIDE, k / size) * i32::from(w) * g(n % SIDE, k % size)).sum();
        *number = sum as i16;
    }
    numbers
}

/// Everything a compiled body needs, checked.
pub(crate) struct WordsCall<'a> {
    pub packed: &'a WinogradInt8,
    pub blocks: Blocks,
    pub src: *const i8,
    pub dst: *mut i8,
    pub output: Grid,
    /// Output channels to compute, and the first of them.
    pub channels: usize,
    pub first_channel: usize,
    /// Panels `[36][panels][quads][PANEL][4]` of words, then sums `[36][channels][tiles]`, then one quad's numbers
    /// `[36][tiles][4]`, then its six rows.
    pub scratch: *mut i8,
}

impl Kernels {
    /// Whether this instruction set gains by [`Kernels::winograd_int8`].
    #[must_use]
    pub fn gains_by_winograd_int8(&self) -> bool {
        self.winograd_int8_pays
    }

    /// Packs what [`Kernels::pack_conv_int8`] does. None where the window is another than 3x3 or 4x4 with stride 1, or the
    /// weights are too large to be sure of every sum.
    ///
    /// # Panics
    /// When the lengths do not fit.
    #[must_use]
    pub fn pack_winograd_int8(
        &self,
        window: &Window,
        source: &Quads,
        input_zero: i8,
        weights: &[i8],
        bias: &[i32],
        requantise: &Requantise<'_>,
    ) -> Option<WinogradInt8> {
        let (size, terms) = (window.kernel[0], source.channels * window.taps());
        assert!(terms > 0 && weights.len().is_multiple_of(terms), "weights of {terms} a channel");
        let channels = weights.len() / terms;
        assert!(bias.len() == channels && requantise.scale.len() == channels, "a bias and scale for each channel");
        let magnitude = |kernels: &[i8]| kernels.iter().map(|w| i32::from(*w).abs()).sum::<i32>();
        if *window != Window::square(size, 1, window.pads)
            || !(3..=4).contains(&size)
            || weights.chunks_exact(terms).any(|kernels| magnitude(kernels) >= MOST_WEIGHT)
        {
            return None;
        }
        let mut packed = WinogradInt8 {
            window: *window,
            source: *source,
            channels,
            core: self.winograd_int8_core,
            weights: Aligned::zeroed(0),
            bias: Aligned::zeroed(0),
            scale: Aligned::zeroed(0),
            finish: requantise.finish(),
        };
        let (rows, depth, padded) = (packed.core.rows, packed.depth(), packed.padded());
        (packed.bias, packed.scale) = (Aligned::zeroed(padded), Aligned::zeroed(padded));
        packed.scale[..channels].copy_from_slice(requantise.scale);
        let mut words = Aligned::zeroed(NUMBERS * packed.padded_rows() * depth * LANES);
        for (k, kernel) in weights.chunks_exact(window.taps()).enumerate() {
            let (m, c) = (k / source.channels, k % source.channels);
            for (n, number) in transformed(kernel, size).into_iter().enumerate() {
                let tile = (n * packed.padded_rows() + m / rows * rows) * depth;
                words[(tile + c / LANES * rows + m % rows) * LANES + c % LANES] = number;
            }
        }
        for (m, kernels) in weights.chunks_exact(terms).enumerate() {
            let sum: i32 = kernels.iter().map(|&w| i32::from(w)).sum();
            packed.bias[m] = bias[m].wrapping_sub(sum * i32::from(input_zero));
        }
        packed.weights = words;
        Some(packed)
    }

    /// As [`Kernels::conv_int8`], but writes only inside the grid, and needs [`WinogradInt8::scratch_bytes`], aligned.
    ///
    /// # Panics
    /// When a slice is too short for its grids (see [`crate::layout`]), the source's padding for the window, or `channels`
    /// does not start on a product.
    pub fn winograd_int8(
        &self,
        packed: &WinogradInt8,
        src: &[i8],
        scratch: &mut [i8],
        dst: &mut [i8],
        output: &Grid,
        channels: Range<usize>,
    ) {
        if channels.is_empty() || output.height * output.width == 0 {
            return;
        }
        assert!(channels.start.is_multiple_of(packed.core.rows) && channels.end <= packed.channels);
        assert!(channels.start.is_multiple_of(LANES), "channels from within a quad");
        let (first, end) = packed.window.span(&packed.source.grid, output);
        let end = (packed.source.blocks() - 1) * packed.source.grid.plane + end + SLACK_CELLS;
        assert!(src.len() >= end * LANES, "source of {} for {end} cells", src.len());
        assert!(scratch.len() >= packed.scratch_bytes(output) && scratch.as_ptr().cast::<i32>().is_aligned());
        let from = output.cell(0, 0);
        let dst_end = (channels.len().div_ceil(LANES) - 1) * output.plane + from + output.sweep();
        assert!(dst.len() >= dst_end * LANES, "output of {} for {dst_end} cells", dst.len());
        let call = WordsCall {
            packed,
            blocks: packed.blocks(output),
            src: src[first * LANES..].as_ptr(),
            dst: dst[from * LANES..].as_mut_ptr(),
            output: *output,
            channels: channels.len(),
            first_channel: channels.start,
            scratch: scratch.as_mut_ptr(),
        };
        // SAFETY: `packed` was made by kernels whose instruction set is there; the asserts cover source, scratch and output.
        unsafe { (packed.core.run)(&call) }
    }
}
