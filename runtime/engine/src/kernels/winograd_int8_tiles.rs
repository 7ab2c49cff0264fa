//! The bodies of [`super::winograd_int8`], once for each instruction set.

use super::simd::Simd;
use super::winograd_int8::{Blocks, GROUP, NUMBERS, PANEL, SIDE, WordsCall};
use crate::layout::LANES;

/// Words of a group.
const GROUP_WORDS: usize = GROUP * LANES;
/// Times 9 this is 1, modulo 2^32.
const NINTH: i32 = 954_437_177;

/// The 16-bit products of one instruction set.
///
/// # Safety
/// Only within functions compiled for the set, on a CPU that has it.
pub(crate) trait Words {
    /// The vectors of the epilogue; a panel is whole vectors of it.
    type S: Simd;
    /// Output channels of a product.
    const ROWS: usize;

    /// `B^T d` of `cells` cells (whole groups) of six rows, as words: row `i` goes to `to + i * step`.
    #[inline(always)]
    unsafe fn rows_in(rows: [*const i8; SIDE], to: *mut i16, step: usize, cells: usize) {
        for x in (0..cells * LANES).step_by(GROUP_WORDS) {
            // SAFETY: the caller's.
            let d = rows.map(|row| unsafe { row.add(x).cast::<[i8; GROUP_WORDS]>().read_unaligned() }.map(i16::from));
            for (i, number) in into_numbers(d).into_iter().enumerate() {
                // SAFETY: the caller's.
                unsafe { to.add(i * step + x).cast::<[i16; GROUP_WORDS]>().write_unaligned(number) };
            }
        }
    }

    /// `(B^T d) B` of a group of tiles, `SIZE` cells apart, from one of the six rows: number `j` goes to `to + j * step`.
    #[inline(always)]
    unsafe fn tiles_in<const SIZE: usize>(row: *const i16, to: *mut i16, step: usize) {
        let mut d = [[0i16; GROUP_WORDS]; SIDE];
        for (j, column) in d.iter_mut().enumerate() {
            for (t, cell) in column.chunks_exact_mut(LANES).enumerate() {
                // SAFETY: the caller's.
                let from = unsafe { row.add((SIZE * t + j) * LANES).cast::<[i16; LANES]>().read_unaligned() };
                cell.copy_from_slice(&from);
            }
        }
        for (j, number) in into_numbers(d).into_iter().enumerate() {
            // SAFETY: the caller's.
            unsafe { to.add(j * step).cast::<[i16; GROUP_WORDS]>().write_unaligned(number) };
        }
    }

    /// `ROWS` rows of sums of a panel, `pitch` apart: over `depth` quads of `[depth][ROWS][4]` weights and `[depth][PANEL][4]`
    /// cells.
    unsafe fn product(depth: usize, weights: *const i16, cells: *const i16, sums: *mut i32, pitch: usize);
}

/// `B^T d`, word by word.
#[inline(always)]
fn into_numbers(d: [[i16; GROUP_WORDS]; SIDE]) -> [[i16; GROUP_WORDS]; SIDE] {
    let mut numbers = [[0i16; GROUP_WORDS]; SIDE];
    for l in 0..GROUP_WORDS {
        let d = d.map(|row| row[l]);
        // What no output needs may be anything, so it wraps.
        let minus = |a: i16, factor: i16, b: i16| a.wrapping_sub(b.wrapping_mul(factor));
        let (a, b) = (minus(d[4], 4, d[2]), minus(d[3], 4, d[1]));
        let (c, e) = (minus(d[4], 1, d[2]), minus(d[3], 1, d[1]).wrapping_mul(2));
        numbers[0][l] = minus(d[4], 5, d[2]).wrapping_add(d[0].wrapping_mul(4));
        numbers[1][l] = a.wrapping_add(b);
        numbers[2][l] = a.wrapping_sub(b);
        numbers[3][l] = c.wrapping_add(e);
        numbers[4][l] = c.wrapping_sub(e);
        numbers[5][l] = minus(d[5], 5, d[3]).wrapping_add(d[1].wrapping_mul(4));
    }
    numbers
}

/// `A^T m` times the weights' divisors, which makes it 24 times too large: `SIZE` outputs.
#[inline(always)]
fn into_outputs<const SIZE: usize>(m: [&[i32; PANEL]; SIDE]) -> [[i32; PANEL]; 4] {
    let mut outputs = [[0i32; PANEL]; 4];
    for t in 0..PANEL {
        let m = m.map(|number| number[t]);
        let times = |factor: i32, a: i32| a.wrapping_mul(factor);
        let (p, q) = (times(-4, m[1].wrapping_add(m[2])), times(-4, m[1].wrapping_sub(m[2])));
        let (r, s) = (m[3].wrapping_add(m[4]), m[3].wrapping_sub(m[4]));
        let last = times(24, m[5]);
        outputs[0][t] = times(6, m[0]).wrapping_add(p).wrapping_add(r);
        outputs[1][t] = q.wrapping_add(times(2, s));
        outputs[2][t] = p.wrapping_add(times(4, r));
        if SIZE == 4 {
            outputs[3][t] = q.wrapping_add(times(8, s)).wrapping_add(last);
        } else {
            outputs[2][t] = outputs[2][t].wrapping_add(last);
        }
    }
    outputs
}

impl WordsCall<'_> {
    /// Words from one number to the next.
    fn step(&self) -> usize {
        self.packed.depth() * self.blocks.tiles * LANES
    }

    fn words(&self) -> *mut i16 {
        self.scratch.cast()
    }

    /// Where the sums of number `n` and channel `m` begin.
    unsafe fn sums(&self, n: usize, m: usize) -> *mut i32 {
        let place = (n * self.packed.padded() + m) * self.blocks.tiles;
        // SAFETY: within the scratch, which holds the sums of all numbers and channels behind the words.
        unsafe { self.words().add(NUMBERS * self.step()).cast::<i32>().add(place) }
    }

    /// Where one quad's numbers lie, and its rows.
    unsafe fn quad(&self) -> (*mut i16, *mut i16) {
        // SAFETY: behind the sums.
        unsafe {
            let numbers = self.sums(NUMBERS, 0).cast::<i16>();
            (numbers, numbers.add(NUMBERS * self.blocks.tiles * LANES))
        }
    }
}

/// The whole convolution, block by block.
///
/// # Safety
/// As [`Words`]; `call` is checked.
#[inline(always)]
pub(super) unsafe fn winograd<W: Words>(call: &WordsCall<'_>) {
    // SAFETY: the caller's.
    unsafe {
        match call.packed.window.kernel[0] {
            3 => blocks::<W, 4>(call),
            _ => blocks::<W, 3>(call),
        }
    }
}

#[inline(always)]
unsafe fn blocks<W: Words, const SIZE: usize>(call: &WordsCall<'_>) {
    let (packed, Blocks { across, down, rows, .. }) = (call.packed, call.blocks);
    let depth = packed.depth();
    for first in (0..down).step_by(rows) {
        let tiles = rows.min(down - first) * across;
        // SAFETY: the caller's: channels and tiles exist; panels and products are whole in scratch and weights.
        unsafe {
            take_in::<W, SIZE>(call, first, tiles);
            for number in 0..NUMBERS {
                let of_number = packed.weights.as_ptr().add(number * packed.padded_rows() * depth * LANES);
                for m in (0..call.channels).step_by(W::ROWS) {
                    let weights = of_number.add((call.first_channel + m) * depth * LANES);
                    for x in (0..tiles).step_by(PANEL) {
                        let cells = call.words().add(number * call.step() + x * depth * LANES);
                        W::product(depth, weights, cells, call.sums(number, m).add(x), call.blocks.tiles);
                    }
                }
            }
            for m in (0..call.channels).step_by(LANES) {
                give_out::<W, SIZE>(call, first, tiles, m);
            }
        }
    }
}

/// The numbers of all tiles of a block, in panels.
#[inline(always)]
unsafe fn take_in<W: Words, const SIZE: usize>(call: &WordsCall<'_>, first: usize, tiles: usize) {
    let (packed, Blocks { across, row_words, .. }) = (call.packed, call.blocks);
    let (grid, depth) = (&packed.source.grid, packed.depth());
    // What lies below the last row that an output needs is not read; what is read in its stead reaches no output.
    let last_row = call.output.height + packed.window.kernel[0] - 2;
    let cells = (SIZE * across + SIDE - SIZE).next_multiple_of(GROUP);
    let of_number = call.blocks.tiles * LANES;
    for block in 0..packed.source.blocks() {
        // SAFETY: the caller's: the rows exist, and columns beyond the last are within the slack; the scratch has room for
        // a group that runs over the end of a row of tiles, which the next row, or nothing, overwrites.
        unsafe {
            let (numbers, rows) = call.quad();
            let src = call.src.add(block * grid.plane * LANES);
            for row in 0..tiles / across {
                let from = |i: usize| src.add((SIZE * (first + row) + i).min(last_row) * grid.pitch * LANES);
                W::rows_in([0, 1, 2, 3, 4, 5].map(from), rows, row_words, cells);
                for t in (0..across).step_by(GROUP) {
                    for i in 0..SIDE {
                        let from = rows.add(i * row_words + SIZE * t * LANES);
                        let to = numbers.add(SIDE * i * of_number + (row * across + t) * LANES);
                        W::tiles_in::<SIZE>(from, to, of_number);
                    }
                }
            }
            for number in 0..NUMBERS {
                for x in (0..tiles).step_by(PANEL) {
                    let from = numbers.add(number * of_number + x * LANES).cast::<[i16; PANEL * LANES]>();
                    let to = call.words().add(number * call.step() + (x * depth + block * PANEL) * LANES);
                    to.cast::<[i16; PANEL * LANES]>().write_unaligned(from.read_unaligned());
                }
            }
        }
    }
}

/// Four channels of a block: `A^T m A`, requantised, to where the outputs lie.
#[inline(always)]
unsafe fn give_out<W: Words, const SIZE: usize>(call: &WordsCall<'_>, first: usize, tiles: usize, m: usize) {
    let packed = call.packed;
    let (mut ty, mut tx) = (first, 0);
    // SAFETY: the caller's: sums, biases and scales of whole quads are there, and only outputs that exist are written.
    unsafe {
        let scale = packed.scale.as_ptr().add(call.first_channel + m);
        let bias = packed.bias.as_ptr().add(call.first_channel + m);
        let dst = call.dst.add(m / LANES * call.output.plane * LANES);
        for x in (0..tiles).step_by(PANEL) {
            // Of each output of a tile, four channels of a panel; then those as cells.
            let mut sums = [[[0i32; PANEL]; LANES]; 16];
            for r in 0..LANES {
                outputs_of::<SIZE>(call, m + r, x, *bias.add(r), &mut sums, r);
            }
            let mut cells = [[0i32; PANEL]; 16];
            for (cells, sums) in cells.iter_mut().zip(&sums).take(SIZE * SIZE) {
                for v in (0..PANEL).step_by(W::S::LANES) {
                    let rows = [0, 1, 2, 3].map(|r| W::S::load_i(sums[r].as_ptr().add(v)));
                    W::S::store_i(cells.as_mut_ptr().add(v), W::S::requantise(rows, scale, &packed.finish));
                }
            }
            #[allow(clippy::needless_range_loop)] // tile is a column of `cells`
            for tile in 0..PANEL.min(tiles - x) {
                let (height, width) = (call.output.height - SIZE * ty, call.output.width - SIZE * tx);
                let to = dst.add((SIZE * ty * call.output.pitch + SIZE * tx) * LANES);
                for i in 0..SIZE.min(height) {
                    for j in 0..SIZE.min(width) {
                        let at = to.add((i * call.output.pitch + j) * LANES).cast::<i32>();
                        at.write_unaligned(cells[SIZE * i + j][tile]);
                    }
                }
                tx += 1;
                if tx == call.blocks.across {
                    (ty, tx) = (ty + 1, 0);
                }
            }
        }
    }
}

/// The outputs of one channel of a panel, their bias added.
#[inline(always)]
unsafe fn outputs_of<const SIZE: usize>(
    call: &WordsCall<'_>,
    m: usize,
    x: usize,
    bias: i32,
    sums: &mut [[[i32; PANEL]; LANES]; 16],
    r: usize,
) {
    let mut half = [[[0i32; PANEL]; SIDE]; 4];
    for j in 0..SIDE {
        // SAFETY: `give_out`'s.
        let m = [0, 1, 2, 3, 4, 5].map(|i| unsafe { &*call.sums(SIDE * i + j, m).add(x).cast::<[i32; PANEL]>() });
        for (half, output) in half.iter_mut().zip(into_outputs::<SIZE>(m)) {
            half[j] = output;
        }
    }
    for i in 0..SIZE {
        let outputs = into_outputs::<SIZE>([0, 1, 2, 3, 4, 5].map(|j| &half[i][j]));
        for (j, output) in outputs.into_iter().enumerate().take(SIZE) {
            sums[SIZE * i + j][r] = output.map(|sum| (sum.wrapping_mul(NINTH) >> 6).wrapping_add(bias));
        }
    }
}

/// Products one by one.
pub(super) struct PortableWords;

impl Words for PortableWords {
    type S = super::portable::Portable;
    const ROWS: usize = 4;

    #[inline(always)]
    unsafe fn product(depth: usize, weights: *const i16, cells: *const i16, sums: *mut i32, pitch: usize) {
        for (r, t) in (0..Self::ROWS).flat_map(|r| (0..PANEL).map(move |t| (r, t))) {
            let mut sum = 0i32;
            for (d, c) in (0..depth).flat_map(|d| (0..LANES).map(move |c| (d, c))) {
                // SAFETY: the trait's.
                let (w, x) = unsafe {
                    (*weights.add((d * Self::ROWS + r) * LANES + c), *cells.add((d * PANEL + t) * LANES + c))
                };
                sum = sum.wrapping_add(i32::from(w) * i32::from(x));
            }
            // SAFETY: the trait's.
            unsafe { *sums.add(r * pitch + t) = sum };
        }
    }
}
