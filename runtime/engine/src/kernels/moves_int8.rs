//! Operations on `i8` quads that look at one byte at a time or move it: tables, concatenation, resampling.
//!
//! Written once, without an instruction set of their own: each byte is looked up or interpolated by single float operations in
//! a fixed order, so results are bit-identical everywhere. Only the inside of the output's grid is written.

use super::{Bytes, Scale};
use crate::layout::{LANES, Quads};

/// What becomes of each byte, by its bits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Table([i8; 256]);

impl std::fmt::Debug for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Table")
    }
}

impl Table {
    /// `clamp(round(f((x - from.zero) * from.scale) / to.scale) + to.zero)`, ties to even; `values` applies `f` in place to what
    /// the bytes from -128 to 127 stand for.
    #[must_use]
    pub fn new(from: Scale, to: Scale, range: Bytes, values: impl FnOnce(&mut [f32; 256])) -> Table {
        let zero = i32::from(from.zero);
        let mut reals = std::array::from_fn(|i| (i as i32 - 128 - zero) as f32 * from.scale);
        values(&mut reals);
        let (low, high) = (f32::from(range.low), f32::from(range.high));
        let mut table = [0; 256];
        for (i, real) in reals.iter().enumerate() {
            // The zero point is added to a whole number, which is exact.
            let byte = (real / to.scale).round_ties_even() + f32::from(to.zero);
            table[(i as i32 - 128) as i8 as u8 as usize] = byte.clamp(low, high) as i8;
        }
        Table(table)
    }

    /// From one scale to another: each byte's steps times the ratio of the scales.
    #[must_use]
    pub fn rescale(from: Scale, to: Scale) -> Table {
        if from == to {
            return Table(std::array::from_fn(|i| i as u8 as i8));
        }
        let factor = from.scale / to.scale;
        let one = Scale { scale: 1.0, zero: to.zero };
        Table::new(Scale { scale: factor, zero: from.zero }, one, Bytes::ALL, |_| ())
    }

    /// The byte that `byte` becomes.
    #[inline]
    #[must_use]
    pub fn of(&self, byte: i8) -> i8 {
        self.0[usize::from(byte.cast_unsigned())]
    }
}

/// Each byte by the table, to the output's channels from `first` on. What lies in the lanes behind the last channel is
/// overwritten where `first` is a multiple of a block.
///
/// # Panics
/// When sizes differ, the channels are not there, or a slice is too short.
pub fn map_int8(table: &Table, src: &[i8], source: &Quads, dst: &mut [i8], output: &Quads, first: usize) {
    let (from, into) = (&source.grid, &output.grid);
    assert_eq!((from.height, from.width), (into.height, into.width));
    assert!(first + source.channels <= output.channels);
    for y in 0..from.height {
        if first.is_multiple_of(LANES) {
            for block in 0..source.blocks() {
                let a = source.index(block * LANES, y, 0);
                let b = output.index(first + block * LANES, y, 0);
                let count = from.width * LANES;
                for (to, byte) in dst[b..b + count].iter_mut().zip(&src[a..a + count]) {
                    *to = table.of(*byte);
                }
            }
            continue;
        }
        for channel in 0..source.channels {
            let (a, b) = (source.index(channel, y, 0), output.index(first + channel, y, 0));
            for x in 0..from.width {
                dst[b + x * LANES] = table.of(src[a + x * LANES]);
            }
        }
    }
}

/// Where an output's row or column comes from: the first and second input, and the second's share.
pub type Blend = (usize, usize, f32);

/// Each output cell is the cell of the input's row and column that its own are given, by the table.
///
/// # Panics
/// When a slice is too short.
pub fn nearest_resize_int8(
    table: &Table,
    [rows, cols]: [&[usize]; 2],
    src: &[i8],
    source: &Quads,
    dst: &mut [i8],
    output: &Quads,
) {
    for block in 0..source.blocks() {
        for (y, row) in rows.iter().enumerate() {
            let line = &src[source.index(block * LANES, *row, 0)..];
            let start = output.index(block * LANES, y, 0);
            for (to, col) in dst[start..start + cols.len() * LANES].chunks_exact_mut(LANES).zip(cols.iter()) {
                for (to, byte) in to.iter_mut().zip(&line[col * LANES..(col + 1) * LANES]) {
                    *to = table.of(*byte);
                }
            }
        }
    }
}

/// Bilinear: columns first, then rows, each as `first * (1 - share) + second * share` in floats; rounded once, ties to even.
///
/// # Panics
/// When a slice is too short.
pub fn linear_resize_int8(
    (from, to): (Scale, Scale),
    [rows, cols]: [&[Blend]; 2],
    src: &[i8],
    source: &Quads,
    dst: &mut [i8],
    output: &Quads,
) {
    let (zero, factor, out_zero) = (f32::from(from.zero), from.scale / to.scale, f32::from(to.zero));
    for block in 0..source.blocks() {
        for (y, (upper, lower, down)) in rows.iter().enumerate() {
            let upper = &src[source.index(block * LANES, *upper, 0)..];
            let lower = &src[source.index(block * LANES, *lower, 0)..];
            let start = output.index(block * LANES, y, 0);
            for (to, (left, right, share)) in
                dst[start..start + cols.len() * LANES].chunks_exact_mut(LANES).zip(cols.iter())
            {
                let cell = |line: &[i8], at: usize, lane: usize| f32::from(line[at * LANES + lane]);
                for (lane, to) in to.iter_mut().enumerate() {
                    let across =
                        |line: &[i8]| cell(line, *left, lane) * (1.0 - share) + cell(line, *right, lane) * share;
                    let value = across(upper) * (1.0 - down) + across(lower) * down;
                    let byte = ((value - zero) * factor).round_ties_even() + out_zero;
                    *to = byte.clamp(-128.0, 127.0) as i8;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::check::Random;
    use crate::layout::{Grid, Pads};

    #[test]
    fn a_table_is_its_definition() {
        let (from, to) = (Scale { scale: 0.05, zero: -3 }, Scale { scale: 0.031, zero: 20 });
        let range = Bytes { low: -20, high: 127 };
        let table = Table::new(from, to, range, |values| values.iter_mut().for_each(|v| *v = v.abs()));
        for byte in -128..=127i8 {
            let real = ((f32::from(byte) + 3.0) * 0.05).abs();
            let wanted = ((real / 0.031).round_ties_even() + 20.0).clamp(-20.0, 127.0);
            assert_eq!(f32::from(table.of(byte)), wanted, "{byte}");
        }
        assert!((-128..=127i8).all(|b| Table::rescale(from, from).of(b) == b));
    }

    #[test]
    fn channels_land_where_they_belong() {
        let table = Table::rescale(Scale { scale: 0.5, zero: 1 }, Scale { scale: 1.0, zero: -2 });
        for seed in 0..30 {
            let mut random = Random::new(seed);
            let grid = Grid::new(random.within(1, 4), random.within(1, 9), Pads::all(random.within(0, 1)));
            let wide = Grid::new(grid.height, grid.width, Pads::all(random.within(0, 2)));
            let parts: Vec<Quads> = (0..3).map(|_| Quads { channels: random.within(1, 9), grid }).collect();
            let output = Quads { channels: parts.iter().map(|p| p.channels).sum(), grid: wide };
            let mut dst = vec![0; output.bytes()];
            let mut first = 0;
            let sources: Vec<Vec<i8>> = parts.iter().map(|p| random.bytes(p.bytes())).collect();
            for (part, src) in parts.iter().zip(&sources) {
                map_int8(&table, src, part, &mut dst, &output, first);
                first += part.channels;
            }
            let mut channel = 0;
            for (part, src) in parts.iter().zip(&sources) {
                for c in 0..part.channels {
                    for (y, x) in (0..grid.height).flat_map(|y| (0..grid.width).map(move |x| (y, x))) {
                        let wanted = table.of(src[part.index(c, y, x)]);
                        assert_eq!(dst[output.index(channel + c, y, x)], wanted, "seed {seed} {c} {y} {x}");
                    }
                }
                channel += part.channels;
            }
        }
    }

    #[test]
    fn halfway_between_two_bytes_rounds_to_even() {
        let grid = |width| Grid::new(1, width, Pads::default());
        let (source, output) = (Quads { channels: 1, grid: grid(2) }, Quads { channels: 1, grid: grid(3) });
        let mut src = vec![0; source.bytes()];
        (src[0], src[LANES]) = (10, 13);
        let mut dst = vec![0; output.bytes()];
        let same = Scale { scale: 0.1, zero: 0 };
        let cols = [(0, 1, 0.0), (0, 1, 0.5), (1, 1, 0.0)];
        linear_resize_int8((same, same), [&[(0, 0, 0.0)], &cols], &src, &source, &mut dst, &output);
        assert_eq!([dst[0], dst[LANES], dst[2 * LANES]], [10, 12, 13]);
        let table = Table::rescale(same, same);
        nearest_resize_int8(&table, [&[0], &[1, 0, 1]], &src, &source, &mut dst, &output);
        assert_eq!([dst[0], dst[LANES], dst[2 * LANES]], [13, 10, 13]);
    }
}
