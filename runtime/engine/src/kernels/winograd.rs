//! 3x3 and 4x4 convolution with stride 1 by Winograd's minimal filtering: a quarter of the multiplications.
//!
//! Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (2016). The input is cut into tiles of 6x6 that overlap
//! by two (or three); each becomes 36 numbers (`B^T d B`), each of the 36 is a matrix product over the channels, and 36 sums
//! become 4x4 outputs (or 3x3; `A^T m A`): F(4x4, 3x3) and F(3x3, 4x4), which share their points (0, 1, -1, 2, -2, infinity)
//! and so `B`. Costs about two digits of precision against the direct sum, which f32 has to spare. The bodies are in
//! [`super::winograd_tiles`].

use super::aligned::Aligned;
use super::{Clamp, Kernels, Window};
use crate::layout::{Grid, Planes, SLACK_CELLS};

/// Numbers of a transformed tile.
pub(super) const NUMBERS: usize = 36;
/// Tiles that are computed together, at most (but at least one row of them).
const BLOCK_TILES: usize = 64;
/// The most lanes of any set.
pub(super) const LANES: usize = 16;

/// A convolution packed for the kernels of one instruction set and one source layout.
#[derive(Clone, Debug)]
pub struct Winograd {
    pub(super) window: Window,
    pub(super) source: Planes,
    pub(super) channels: usize,
    tile_rows: usize,
    /// `[36][channels / tile_rows][source channels][tile_rows]`.
    pub(super) weights: Aligned<f32>,
    pub(super) bias: Aligned<f32>,
    pub(super) clamp: Clamp,
}

impl Winograd {
    /// Output channels.
    #[must_use]
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Bytes of the packed weights.
    #[must_use]
    pub fn bytes(&self) -> usize {
        4 * (self.weights.len() + self.bias.len())
    }

    pub(super) fn padded(&self) -> usize {
        self.channels.next_multiple_of(self.tile_rows)
    }

    /// Floats of working memory for outputs of this size.
    #[must_use]
    pub fn scratch_len(&self, output: &Grid) -> usize {
        let blocks = self.blocks(output);
        NUMBERS * (number_step(self.source.channels, &blocks) + number_step(self.padded(), &blocks) + blocks.pitch)
            + 12 * blocks.half
            + LANES
    }

    fn blocks(&self, output: &Grid) -> Blocks {
        Blocks::new(output, 7 - self.window.kernel[0])
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
    /// Floats for the tiles of a block, with room for the vectors that run over its end.
    pub pitch: usize,
    /// Floats for every second column of a row, with the same room.
    pub half: usize,
}

impl Blocks {
    /// Of tiles of `size` by `size` outputs.
    fn new(output: &Grid, size: usize) -> Blocks {
        let (across, down) = (output.width.div_ceil(size), output.height.div_ceil(size));
        let most = (BLOCK_TILES / across.max(1)).clamp(1, down.max(1));
        // Blocks of like size rather than full ones and a rest.
        let rows = down.div_ceil(down.div_ceil(most).max(1));
        // The matrix product computes up to two vectors beyond the last tile.
        let pitch = (rows * across).next_multiple_of(LANES) + 2 * LANES;
        Blocks { across, down, rows, pitch, half: 2 * across.next_multiple_of(LANES) + 4 * LANES }
    }
}

/// Everything a compiled body needs, checked.
pub(super) struct WinogradCall<'a> {
    pub packed: &'a Winograd,
    pub blocks: Blocks,
    pub src: *const f32,
    pub dst: *mut f32,
    pub residual: *const f32,
    pub output: Grid,
    /// Panels of two vectors of tiles `[36][panels][source channels][panel]`, then products `[36][padded channels][pitch]`, then one channel's
    /// numbers `[36][pitch]`, then rows of columns.
    pub scratch: *mut f32,
}

impl WinogradCall<'_> {
    /// Floats from one of the 36 numbers to the next, before and after the products.
    pub fn steps(&self) -> (usize, usize) {
        (number_step(self.packed.source.channels, &self.blocks), number_step(self.packed.padded(), &self.blocks))
    }

    pub fn products(&self) -> usize {
        NUMBERS * self.steps().0
    }

    pub fn numbers(&self) -> usize {
        self.products() + NUMBERS * self.steps().1
    }

    pub fn columns(&self) -> usize {
        self.numbers() + NUMBERS * self.blocks.pitch
    }
}

/// Floats of one number of a block's tiles, in all channels. One line more, lest the 36 lines of a tile fall into one set of
/// the cache.
fn number_step(channels: usize, blocks: &Blocks) -> usize {
    channels * blocks.pitch + LANES
}

/// A body: the whole convolution.
pub(super) type Core = unsafe fn(&WinogradCall<'_>);

/// `G g G^T` of a kernel of `size` by `size`: powers of the points, over what `B` leaves to divide by.
fn transformed(kernel: &[f32], size: usize) -> [f64; NUMBERS] {
    const POINTS: [(f64, f64); 5] = [(0.0, 4.0), (1.0, -6.0), (-1.0, -6.0), (2.0, 24.0), (-2.0, 24.0)];
    let g = |n: usize, i: usize| match POINTS.get(n) {
        Some((point, divisor)) => point.powi(i as i32) / divisor,
        None => f64::from(u8::from(i + 1 == size)),
    };
    let mut numbers = [0.0; NUMBERS];
    for (n, number) in numbers.iter_mut().enumerate() {
        for (k, &weight) in kernel.iter().enumerate() {
            *number += g(n / 6, k / size) * f64::from(weight) * g(n % 6, k % size);
        }
    }
    numbers
}

impl Kernels {
    /// Packs `weights` (`[channels][source channels][rows][columns]`) and `bias` (one a channel, or none) of a convolution under
    /// `window`, which is 3x3 or 4x4 with stride 1, whose input lies as `source` says.
    ///
    /// # Panics
    /// When the lengths do not fit, or the window is another.
    #[must_use]
    pub fn pack_winograd(
        &self,
        window: &Window,
        source: &Planes,
        weights: &[f32],
        bias: &[f32],
        clamp: Clamp,
    ) -> Winograd {
        let (depth, taps, size) = (source.channels, window.taps(), window.kernel[0]);
        assert!(*window == Window::square(size, 1, window.pads) && (3..=4).contains(&size), "{window:?}");
        assert!(depth > 0 && weights.len().is_multiple_of(taps * depth), "weights of {depth} x {taps} a channel");
        let channels = weights.len() / (taps * depth);
        assert!(bias.is_empty() || bias.len() == channels, "{} biases for {channels} channels", bias.len());
        let rows = self.winograd_cores.tile_rows;
        let padded = channels.next_multiple_of(rows);
        let mut packed = Aligned::zeroed(NUMBERS * padded * depth);
        for (k, kernel) in weights.chunks_exact(taps).enumerate() {
            let (m, c) = (k / depth, k % depth);
            for (number, value) in transformed(kernel, size).into_iter().enumerate() {
                packed[(number * padded + m / rows * rows) * depth + c * rows + m % rows] = value as f32;
            }
        }
        let mut biases = Aligned::zeroed(padded);
        biases[..bias.len()].copy_from_slice(bias);
        Winograd { window: *window, source: *source, channels, tile_rows: rows, weights: packed, bias: biases, clamp }
    }

    /// The convolution, into `dst`; `residual` is added before the clamp and lies as `dst`. Writes only inside the grid.
    ///
    /// # Panics
    /// When a slice is too short for its planes (see [`crate::layout`]) or [`Winograd::scratch_len`], the source's padding for
    /// the window, or the convolution was packed for other kernels.
    pub fn winograd(
        &self,
        packed: &Winograd,
        src: &[f32],
        residual: Option<&[f32]>,
        scratch: &mut [f32],
        dst: &mut [f32],
        output: &Grid,
    ) {
        assert_eq!(packed.tile_rows, self.winograd_cores.tile_rows, "packed for other kernels");
        if packed.channels == 0 || output.height * output.width == 0 {
            return;
        }
        let (first, end) = packed.window.span(&packed.source.grid, output);
        let end = (packed.source.channels - 1) * packed.source.grid.plane + end + SLACK_CELLS;
        assert!(src.len() >= end, "source of {} for {end} cells", src.len());
        assert!(scratch.len() >= packed.scratch_len(output));
        let from = output.cell(0, 0);
        let dst_end = (packed.channels - 1) * output.plane + from + output.sweep();
        assert!(dst.len() >= dst_end && residual.is_none_or(|r| r.len() >= dst_end), "output for {dst_end} cells");
        let call = WinogradCall {
            packed,
            blocks: packed.blocks(output),
            src: src[first..].as_ptr(),
            dst: dst[from..].as_mut_ptr(),
            residual: residual.map_or(std::ptr::null(), |r| r[from..].as_ptr()),
            output: *output,
            scratch: scratch.as_mut_ptr(),
        };
        // SAFETY: the table's instruction set is there; the asserts cover source, scratch and output.
        unsafe { (self.winograd_cores.run)(&call) }
    }
}

/// What an instruction set gives for this operation.
#[derive(Clone, Copy)]
pub(super) struct Cores {
    pub tile_rows: usize,
    pub run: Core,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::check::{Random, every_isa};
    use crate::layout::Pads;

    fn check(kernels: &Kernels, seed: u64) {
        let mut random = Random::new(seed);
        let (height, width) = (random.within(1, 19), random.within(1, 75));
        let (depth, channels) = (random.within(1, 9), random.within(1, 11));
        let (size, pad) = (random.within(3, 4), random.within(0, 1));
        let window = Window::square(size, 1, Pads::all(pad));
        let reach = size - 1;
        let inside = |outputs: usize| (outputs + reach).saturating_sub(2 * pad).max(1);
        let pads = Pads { bottom: 2, right: 2, ..Pads::all(1) };
        let source = Planes { channels: depth, grid: Grid::new(inside(height), inside(width), pads) };
        let output = Planes { channels, grid: Grid::new(height, width, Pads::all(random.within(0, 2))) };
        // Outside the taps lie values that must not be met.
        let mut src = vec![f32::NAN; source.elements()];
        let (first, _) = window.span(&source.grid, &output.grid);
        for c in 0..depth {
            for (y, x) in (0..height + reach).flat_map(|y| (0..width + reach).map(move |x| (y, x))) {
                src[c * source.grid.plane + first + y * source.grid.pitch + x] = random.float();
            }
        }
        let (weights, bias) = (random.floats(channels * depth * size * size), random.floats(channels));
        let residual = seed.is_multiple_of(2).then(|| random.floats(output.elements()));
        let winograd = kernels.pack_winograd(&window, &source, &weights, &bias, Clamp::RELU);
        let mut scratch = vec![f32::NAN; winograd.scratch_len(&output.grid)];
        const MARK: f32 = 777.0;
        let mut dst = vec![MARK; output.elements()];
        kernels.winograd(&winograd, &src, residual.as_deref(), &mut scratch, &mut dst, &output.grid);
        for (m, y, x) in (0..channels).flat_map(|m| (0..height).flat_map(move |y| (0..width).map(move |x| (m, y, x)))) {
            let at = output.index(m, y, x);
            let mut sum = f64::from(bias[m]) + residual.as_ref().map_or(0.0, |r| f64::from(r[at]));
            let taps = size * size;
            for k in 0..taps * depth {
                let (c, tap) = (k / taps, k % taps);
                let cell = first + (y + tap / size) * source.grid.pitch + x + tap % size;
                sum += f64::from(src[c * source.grid.plane + cell]) * f64::from(weights[m * taps * depth + k]);
            }
            let label = format!("{} seed {seed} {size}x{size} on {height}x{width} {m} {y} {x}", kernels.isa());
            assert!((f64::from(dst[at]) - sum.max(0.0)).abs() < 1e-4, "{label}: {} for {}", dst[at], sum.max(0.0));
            dst[at] = MARK;
        }
        assert!(dst.iter().all(|&v| v == MARK), "{} seed {seed}: wrote outside its grid", kernels.isa());
    }

    #[test]
    fn winograd_is_the_convolution_on_random_geometry() {
        every_isa(|kernels| (0..40).for_each(|seed| check(kernels, seed)));
    }
}
