//! Packed 10- and 12-bit samples (MIPI CSI-2), unpacked a line at a time into a small store.

use crate::kernels::{Kernels, Lines};

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
    pub fn lines(
        &mut self,
        packed: Lines<'_>,
        (first, count): (usize, usize),
        fresh: bool,
        kernels: &Kernels,
    ) -> Lines<'_> {
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
            (kernels.unpack)(line, self.packing, words);
        }
        (self.first, self.count) = (first, count);
        Lines { data: &self.words, stride }
    }
}

/// Which byte of the packed line has the high bits of sample `k`, where each group's last byte has `shift` bits of every sample.
#[cfg_attr(not(any(target_arch = "x86_64", target_arch = "aarch64")), allow(dead_code, reason = "for the fast ways"))]
pub(crate) const fn sample_byte(shift: usize, k: usize) -> usize {
    let group = 8 / shift;
    k / group * (group + 1) + k % group
}

/// Which byte has its low bits.
#[cfg_attr(not(any(target_arch = "x86_64", target_arch = "aarch64")), allow(dead_code, reason = "for the fast ways"))]
pub(crate) const fn low_bits_byte(shift: usize, k: usize) -> usize {
    let group = 8 / shift;
    k / group * (group + 1) + group
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every set of inner loops, on samples at the beginning, in the middle and at the end of what its blocks cover.
    fn check(packing: Packing, group: &[u8], expected: &[u16]) {
        for kernels in Kernels::all() {
            for groups in [1, 2, 7, 8, 9, 40] {
                // Other groups around it, and nothing behind the last.
                for at in 0..groups {
                    let mut packed = vec![0x5a; groups * group.len()];
                    packed[at * group.len()..][..group.len()].copy_from_slice(group);
                    let mut words = vec![0; 2 * groups * expected.len()];
                    (kernels.unpack)(&packed, packing, &mut words);
                    let samples: Vec<u16> = words.chunks(2).map(|w| u16::from_le_bytes([w[0], w[1]])).collect();
                    let found = &samples[at * expected.len()..][..expected.len()];
                    assert_eq!(found, expected, "{}, group {at} of {groups}", kernels.name);
                }
            }
        }
    }

    #[test]
    fn packed_samples_come_apart() {
        check(Packing::Ten, &[0x80, 0x01, 0xff, 0x00, 0b11_10_01_00], &[0x200, 0x005, 0x3fe, 0x003]);
        check(Packing::Twelve, &[0x80, 0x01, 0xc5], &[0x805, 0x01c]);
    }
}
