//! Depthwise convolution of `i8` quads (NC4HW4), requantised in the epilogue.
//!
//! Four channels lie side by side in a cell, so sums lie in the order of the bytes: lane `4 * position + channel`. A
//! [`Depth`] computes some rows of four positions; sums are exact and the epilogue is that of [`super::conv_int8`], so results
//! are bit-identical on every instruction set.

use super::aligned::Aligned;
use super::conv_int8::Finish;
use super::window::{Call, Shape, Window};
use super::{Kernels, Requantise};
use crate::layout::{LANES, Quads};

/// Positions of a tile.
pub(super) const POSITIONS: usize = 4;

/// The int8 depthwise tile of one instruction set.
///
/// # Safety
/// Only within functions compiled for the set, on a CPU that has it.
pub(super) trait Depth {
    /// Rows of outputs in a tile.
    const ROWS: usize;
    /// How the weights lie.
    const PACKING: Packing;

    /// `ROWS` rows of `tile.count` outputs whose first tap is at `tile.src`, [`POSITIONS`] at a time;
    /// [`SLACK_CELLS`](crate::layout::SLACK_CELLS) may be read past the last tap.
    unsafe fn rows<const K: usize, const STRIDE: usize, const ROWS: usize>(tile: &Tile);
}

/// Some rows of outputs of four channels, and their weights.
pub(super) struct Tile {
    pub src: *const i8,
    /// Bytes from one row to the next.
    pub src_pitch: usize,
    pub dst: *mut i8,
    pub dst_pitch: usize,
    pub count: usize,
    pub weights: *const i8,
    pub bias: *const i32,
    pub scale: *const f32,
    pub finish: Finish,
}

impl Tile {
    /// Where the next [`POSITIONS`] begin: the last ones overlap those before them rather than running over the edge.
    #[inline(always)]
    pub fn position(&self, x: usize) -> Option<usize> {
        (x < self.count).then(|| x.min(self.count.saturating_sub(POSITIONS)))
    }

    /// The cells under the first tap of position `x`.
    #[inline(always)]
    pub unsafe fn cells(&self, row: usize, x: usize) -> *const i8 {
        // SAFETY: the caller's: they exist.
        unsafe { self.src.add(row * self.src_pitch + x * LANES) }
    }

    /// Stores the bytes of [`POSITIONS`] of a row, or those that exist of a shorter one.
    #[inline(always)]
    pub unsafe fn put(&self, row: usize, x: usize, bytes: [u8; 16]) {
        // SAFETY: the caller's: the positions exist.
        unsafe {
            let to = self.dst.add(row * self.dst_pitch + x * LANES).cast::<u8>();
            if self.count >= POSITIONS {
                to.cast::<[u8; 16]>().write_unaligned(bytes);
            } else {
                std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, self.count * LANES);
            }
        }
    }
}

/// How the weights of four channels lie and what the instruction set demands of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packing {
    /// `[row][column / 4][channel][column % 4]`, for dot products along a row, instead of `[row][column][channel]`.
    pub dot: bool,
    /// What is added to every activation (to make it unsigned), taken back in the bias.
    pub shift: i32,
    /// Whether weights of -128 are right.
    pub takes_least: bool,
}

impl Packing {
    /// Bytes of the weights of four channels.
    fn bytes(&self, [rows, columns]: [usize; 2]) -> usize {
        rows * if self.dot { columns.next_multiple_of(4) } else { columns } * LANES
    }

    /// Place of the weight of (row, column, channel).
    fn place(&self, columns: usize, i: usize, j: usize, channel: usize) -> usize {
        if self.dot {
            return ((i * columns.div_ceil(4) + j / 4) * LANES + channel) * 4 + j % 4;
        }
        (i * columns + j) * LANES + channel
    }
}

/// What an instruction set gives for this operation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Core {
    pub packing: Packing,
    pub run: unsafe fn(&DepthCall<'_>),
}

/// A depthwise convolution packed for one instruction set.
#[derive(Clone, Debug)]
pub struct DepthwiseInt8 {
    window: Window,
    channels: usize,
    core: Core,
    weights: Aligned<i8>,
    bias: Aligned<i32>,
    scale: Aligned<f32>,
    finish: Finish,
}

/// Everything a compiled body needs, checked.
pub(super) struct DepthCall<'a> {
    packed: &'a DepthwiseInt8,
    call: Call<i8, i8>,
    first_block: usize,
}

impl DepthCall<'_> {
    /// `count` outputs of block `c` from (y, x) on.
    #[inline(always)]
    unsafe fn tile(&self, c: usize, y: usize, x: usize, count: usize) -> Tile {
        let (call, packed) = (&self.call, self.packed);
        let [down, right] = call.window.stride;
        let block = self.first_block + c;
        // SAFETY: the caller's: block c and output (y, x) exist, and the block's weights.
        unsafe {
            Tile {
                src: call.src.add((c * call.src_plane + y * down * call.src_pitch + x * right) * LANES),
                src_pitch: call.src_pitch * LANES,
                dst: call.dst.add((c * call.dst_plane + y * call.dst_pitch + x) * LANES),
                dst_pitch: call.dst_pitch * LANES,
                count,
                weights: packed.weights.as_ptr().add(block * packed.core.packing.bytes(call.window.kernel)),
                bias: packed.bias.as_ptr().add(block * LANES),
                scale: packed.scale.as_ptr().add(block * LANES),
                finish: packed.finish,
            }
        }
    }
}

/// All blocks of a call under a window with a body of its own.
///
/// # Safety
/// As [`Depth`]; `call` is checked.
#[inline(always)]
pub(super) unsafe fn depthwise<D: Depth>(call: &DepthCall<'_>) {
    // SAFETY: the caller's.
    unsafe {
        match call.call.window.shape() {
            Shape::Three1 => sweep::<D, 3, 1>(call),
            Shape::Three2 => sweep::<D, 3, 2>(call),
            Shape::Five1 => sweep::<D, 5, 1>(call),
            Shape::Five2 => sweep::<D, 5, 2>(call),
            Shape::Two2 | Shape::Any => any(call),
        }
    }
}

#[inline(always)]
unsafe fn sweep<D: Depth, const K: usize, const STRIDE: usize>(call: &DepthCall<'_>) {
    let Call { channels, height, width, .. } = call.call;
    // SAFETY: the caller's: the tiles cover outputs that exist.
    unsafe {
        for c in 0..channels {
            let mut y = 0;
            while y < height {
                let rows = match D::ROWS {
                    4 if height >= 4 => 4,
                    2.. if height >= 2 => 2,
                    _ => 1,
                };
                // The last rows overlap those before them rather than running over the edge.
                y = y.min(height - rows);
                let tile = call.tile(c, y, 0, width);
                match rows {
                    4 => D::rows::<K, STRIDE, 4>(&tile),
                    2 => D::rows::<K, STRIDE, 2>(&tile),
                    _ => D::rows::<K, STRIDE, 1>(&tile),
                }
                y += rows;
            }
        }
    }
}

/// All blocks under any window, cell by cell; the weights lie `[row][column][channel]`.
unsafe fn any(call: &DepthCall<'_>) {
    let Call { channels, height, width, ref window, .. } = call.call;
    for (c, y, x) in (0..channels).flat_map(|c| (0..height).flat_map(move |y| (0..width).map(move |x| (c, y, x)))) {
        // SAFETY: the caller's: (c, y, x) is an output and its taps are within the checked span.
        unsafe {
            let tile = call.tile(c, y, x, 1);
            let mut sums = *tile.bias.cast::<[i32; 4]>();
            for i in 0..window.kernel[0] {
                for j in 0..window.kernel[1] {
                    let cell = tile.src.add(i * window.dilation[0] * tile.src_pitch + j * window.dilation[1] * LANES);
                    let weights = tile.weights.add((i * window.kernel[1] + j) * LANES);
                    for (r, sum) in sums.iter_mut().enumerate() {
                        *sum += i32::from(*cell.add(r)) * i32::from(*weights.add(r));
                    }
                }
            }
            let mut bytes = [0; 16];
            put_scalar(&tile, &sums, &mut bytes);
            tile.put(0, 0, bytes);
        }
    }
}

/// The epilogue, one channel at a time.
unsafe fn put_scalar(tile: &Tile, sums: &[i32; 4], bytes: &mut [u8]) {
    for (r, (&sum, byte)) in sums.iter().zip(bytes).enumerate() {
        // SAFETY: there are four scales.
        let product = sum as f32 * unsafe { *tile.scale.add(r) };
        let rounded = product.clamp(tile.finish.low, tile.finish.high).round_ties_even() as i32;
        *byte = (rounded + tile.finish.zero) as u8;
    }
}

/// Products one by one.
pub(super) struct PortableDepth;

impl Depth for PortableDepth {
    const ROWS: usize = 1;
    const PACKING: Packing = Packing { dot: false, shift: 0, takes_least: true };

    #[inline(always)]
    unsafe fn rows<const K: usize, const STRIDE: usize, const ROWS: usize>(tile: &Tile) {
        for (o, x) in (0..ROWS).flat_map(|o| (0..tile.count).step_by(POSITIONS).map(move |x| (o, x))) {
            let x = tile.position(x).unwrap_or(0);
            let mut bytes = [0; 16];
            for p in 0..POSITIONS.min(tile.count) {
                // SAFETY: the trait's.
                unsafe {
                    let mut sums = *tile.bias.cast::<[i32; 4]>();
                    for i in 0..K {
                        let row = tile.cells(o * STRIDE + i, (x + p) * STRIDE);
                        for (j, weights) in (0..K).zip((0..).map(|j| tile.weights.add((i * K + j) * LANES))) {
                            for (r, sum) in sums.iter_mut().enumerate() {
                                *sum += i32::from(*row.add(j * LANES + r)) * i32::from(*weights.add(r));
                            }
                        }
                    }
                    put_scalar(tile, &sums, &mut bytes[p * LANES..]);
                }
            }
            // SAFETY: the trait's.
            unsafe { tile.put(o, x, bytes) };
        }
    }
}

impl Kernels {
    /// Packs `weights` (`[channels][taps]`) of a depthwise convolution whose input (padding included) has the zero point
    /// `input_zero`; `bias` has the scale of the sums.
    ///
    /// # Panics
    /// When the lengths do not fit.
    #[must_use]
    pub fn pack_depthwise_int8(
        &self,
        window: &Window,
        input_zero: i8,
        weights: &[i8],
        bias: &[i32],
        requantise: &Requantise<'_>,
    ) -> DepthwiseInt8 {
        let (channels, taps) = (bias.len(), window.taps());
        assert!(channels > 0 && weights.len() == channels * taps, "{taps} weights for each bias");
        assert_eq!(requantise.scale.len(), channels, "a scale for each channel");
        let has_body = !matches!(window.shape(), Shape::Two2 | Shape::Any);
        let takes_all = self.depthwise_int8_core.packing.takes_least || !weights.contains(&i8::MIN);
        let core = if has_body && takes_all { self.depthwise_int8_core } else { self.depthwise_int8_exact };
        let block_bytes = core.packing.bytes(window.kernel);
        let padded = channels.next_multiple_of(LANES);
        let mut packed = Aligned::zeroed(padded / LANES * block_bytes);
        let mut biases = Aligned::zeroed(padded);
        let mut scale = Aligned::zeroed(padded);
        scale[..channels].copy_from_slice(requantise.scale);
        for (c, kernel) in weights.chunks_exact(taps).enumerate() {
            let block = &mut packed[c / LANES * block_bytes..];
            for (tap, &weight) in kernel.iter().enumerate() {
                let (i, j) = (tap / window.kernel[1], tap % window.kernel[1]);
                block[core.packing.place(window.kernel[1], i, j, c % LANES)] = weight;
            }
            let sum: i32 = kernel.iter().map(|&w| i32::from(w)).sum();
            biases[c] = bias[c].wrapping_sub(sum * (i32::from(input_zero) + core.packing.shift));
        }
        DepthwiseInt8 {
            window: *window,
            channels,
            core,
            weights: packed,
            bias: biases,
            scale,
            finish: requantise.finish(),
        }
    }

    /// The depthwise convolution of `source`'s channels, which are those of `packed` from `first_channel` on. Writes only
    /// inside `output`'s grid.
    ///
    /// # Panics
    /// When a slice is too short for its grids (see [`crate::layout`]), the source's padding for the window, `first_channel`
    /// does not start a block of four, or there are fewer channels than `source` has.
    pub fn depthwise_int8(
        &self,
        packed: &DepthwiseInt8,
        first_channel: usize,
        src: &[i8],
        source: &Quads,
        dst: &mut [i8],
        output: &Quads,
    ) {
        assert_eq!(source.channels, output.channels);
        assert!(first_channel.is_multiple_of(LANES) && first_channel + source.channels <= packed.channels);
        let call = Call::new(&packed.window, source.blocks(), LANES, src, &source.grid, dst, &output.grid);
        let call = DepthCall { packed, call, first_block: first_channel / LANES };
        // SAFETY: `packed` was made by kernels whose instruction set is there; `Call::new` checked the extents.
        unsafe { (packed.core.run)(&call) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::check::{Random, every_isa};
    use crate::kernels::conv_int8_tests::requantised;
    use crate::kernels::window_tests::Case;

    fn check(kernels: &Kernels, case: &Case, least: i8) {
        let mut random = Random::new(case.seed ^ 17);
        let channels = case.source.channels;
        let source = Quads { channels, grid: case.source.grid };
        let output = Quads { channels, grid: case.output.grid };
        let taps = case.window.taps();
        let weights: Vec<i8> = random.bytes(channels * taps).into_iter().map(|w| w.max(least)).collect();
        let bias: Vec<i32> = (0..channels).map(|_| random.within(0, 4000) as i32 - 2000).collect();
        let scale: Vec<f32> = (0..channels).map(|_| (random.float() + 1.5) / (60.0 * taps as f32)).collect();
        let (input_zero, zero) = (random.bits() as i8, random.bits() as i8);
        let low = if random.within(0, 1) == 0 { zero } else { -128 };
        let requantise = Requantise { scale: &scale, zero, low, high: 127 };
        let src = random.bytes(source.bytes());
        let packed = kernels.pack_depthwise_int8(&case.window, input_zero, &weights, &bias, &requantise);
        const MARK: i8 = 77;
        let mut dst = vec![MARK; output.bytes()];
        kernels.depthwise_int8(&packed, 0, &src, &source, &mut dst, &output);
        let mut inside = vec![false; output.bytes() / LANES];
        for c in 0..channels {
            for y in 0..output.grid.height {
                for x in 0..output.grid.width {
                    let mut sum = bias[c];
                    for (tap, cell) in case.taps(y, x).into_iter().enumerate() {
                        let at = (c / LANES * source.grid.plane + cell) * LANES + c % LANES;
                        sum += (i32::from(src[at]) - i32::from(input_zero)) * i32::from(weights[c * taps + tap]);
                    }
                    let label = format!("{} seed {} {:?} {c} {y} {x}", kernels.isa(), case.seed, case.window);
                    assert_eq!(dst[output.index(c, y, x)], requantised(sum, scale[c], &requantise), "{label}");
                    inside[output.index(c, y, x) / LANES] = true;
                }
            }
        }
        let cells = dst.chunks_exact(LANES).zip(&inside);
        assert!(cells.filter(|(_, inside)| !**inside).all(|(cell, _)| cell == [MARK; 4]), "seed {}", case.seed);
    }

    #[test]
    fn int8_depthwise_is_exact_on_random_geometry() {
        every_isa(|kernels| {
            for seed in 0..120 {
                check(kernels, &Case::random(seed, &[3, 5, 3, 5, 7, 2]), -127);
            }
        });
    }

    #[test]
    fn depthwise_weights_of_minus_128_are_exact_too() {
        every_isa(|kernels| {
            for seed in 200..220 {
                check(kernels, &Case::random(seed, &[3, 5]), -128);
            }
        });
    }
}
