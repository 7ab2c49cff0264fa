//! Packed 10- and 12-bit samples (MIPI CSI-2), unpacked a line at a time into a small store.

use crate::kernels::Lines;

/// How samples are packed: high bytes first, then a byte with the low bits of the group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Packing {
    /// Four samples in five bytes.
    Ten,
    /// Two samples in three bytes.
    Twelve,
}

/// The last few lines as 16-bit words. Target lines share source lines at their borders, so that a line is mostly
/// unpacked once.
pub(crate) struct Unpacked {
    packing: Packing,
    samples: usize,
    words: Vec<u8>,
    first: usize,
    count: usize,
}

impl Unpacked {
    /// Room for `lines` lines of `samples` samples.
    pub fn new(packing: Packing, samples: usize, lines: usize) -> Unpacked {
        Unpacked { packing, samples, words: vec![0; 2 * samples * lines], first: 0, count: 0 }
    }

    /// Lines `first..first + count` as little-endian words. `fresh` forgets what was unpacked before.
    pub fn lines(&mut self, packed: Lines<'_>, first: usize, count: usize, fresh: bool) -> Lines<'_> {
        let stride = 2 * self.samples;
        let known = if fresh { 0..0 } else { self.first..self.first + self.count };
        let mut done = 0;
        if known.contains(&first) {
            done = count.min(known.end - first);
            let from = (first - known.start) * stride;
            self.words.copy_within(from..from + done * stride, 0);
        }
        for k in done..count {
            let line = &packed.data[(first + k) * packed.stride..];
            let words = &mut self.words[k * stride..(k + 1) * stride];
            match self.packing {
                Packing::Ten => ten(line, words),
                Packing::Twelve => twelve(line, words),
            }
        }
        (self.first, self.count) = (first, count);
        Lines { data: &self.words, stride }
    }
}

fn ten(packed: &[u8], words: &mut [u8]) {
    for (words, group) in words.chunks_mut(8).zip(packed.chunks(5)) {
        for (k, word) in words.chunks_exact_mut(2).enumerate() {
            let low = group[4] >> (2 * k) & 3;
            word.copy_from_slice(&(u16::from(group[k]) << 2 | u16::from(low)).to_le_bytes());
        }
    }
}

fn twelve(packed: &[u8], words: &mut [u8]) {
    for (words, group) in words.chunks_mut(4).zip(packed.chunks(3)) {
        for (k, word) in words.chunks_exact_mut(2).enumerate() {
            let low = group[2] >> (4 * k) & 15;
            word.copy_from_slice(&(u16::from(group[k]) << 4 | u16::from(low)).to_le_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_samples_come_apart() {
        let mut words = [0; 8];
        ten(&[0x80, 0x01, 0xff, 0x00, 0b11_10_01_00], &mut words);
        let samples: Vec<u16> = words.chunks(2).map(|w| u16::from_le_bytes([w[0], w[1]])).collect();
        assert_eq!(samples, [0x200, 0x005, 0x3fe, 0x003]);
        let mut words = [0; 4];
        twelve(&[0x80, 0x01, 0xc5], &mut words);
        assert_eq!(words, [0x05, 0x08, 0x1c, 0x00]);
    }
}
