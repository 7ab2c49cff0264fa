//! How much each source sample counts in each target pixel, along one axis.
//!
//! All in integers, so that every machine has the same weights: positions are counted in units of 1/(2N) pixel, N
//! being the target's size, in which every edge and every centre is a whole number. The weights of one target pixel
//! are then rounded to 14 bits by largest remainder, so that they add up to exactly 1 and flat areas stay flat.

use crate::spec::Filter;

/// Fraction bits of a weight.
pub(crate) const WEIGHT_BITS: u32 = 14;

/// One, as a weight.
const ONE: u64 = 1 << WEIGHT_BITS;

/// The part of an axis that is resized, and what it becomes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    /// First pixel of the region.
    pub start: u32,
    /// Pixels in the region.
    pub len: u32,
    /// Pixels in the target.
    pub target: u32,
    /// Pixels that one sample covers: 2 for subsampled chroma and for a Bayer cell, else 1.
    pub sub: u32,
    /// Samples that the source has along this axis.
    pub samples: u32,
}

/// The weights of one axis: target pixel `i` is the sum over `k` of sample `first[i] + k` times `weights[i * taps + k]`.
pub(crate) struct Axis {
    /// First sample of each target pixel.
    pub first: Vec<u32>,
    /// Samples that count in each target pixel, 1..=taps.
    pub count: Vec<u32>,
    /// Weights, `taps` for each target pixel, the unused ones zero.
    pub weights: Vec<i16>,
    /// Room for weights of each target pixel.
    pub taps: usize,
    /// See [`Axis::reach`].
    reach: usize,
}

impl Axis {
    /// The weights of a window. `room` says how many places to keep for so many
    /// taps: kernels read several samples at once.
    pub fn new(window: Window, filter: Filter, room: fn(usize) -> usize) -> Axis {
        let shrinks = u64::from(window.len) >= u64::from(window.target) * u64::from(window.sub);
        let pixels: Vec<(u32, Vec<i16>)> = (0..window.target)
            .map(|i| {
                let (first, shares) = match filter {
                    Filter::Area if shrinks => area(window, i),
                    _ => triangle(window, i),
                };
                (first, quantise(&shares))
            })
            .collect();
        let longest = pixels.iter().map(|(_, weights)| weights.len()).max().unwrap_or(1);
        let taps = room(longest);
        let mut axis = Axis { first: Vec::new(), count: Vec::new(), weights: Vec::new(), taps, reach: 0 };
        for (first, weights) in pixels {
            axis.first.push(first);
            axis.count.push(weights.len() as u32);
            axis.weights.extend_from_slice(&weights);
            axis.weights.resize(axis.first.len() * taps, 0);
            axis.reach = axis.reach.max(first as usize + taps);
        }
        axis
    }

    /// The furthest end of any target pixel's places for weights: so many samples may be read.
    pub fn reach(&self) -> usize {
        self.reach
    }

    /// The same axis with positions counted from `first`, which is at or before every one of them.
    pub fn rebased(&self, first: u32) -> Axis {
        Axis {
            first: self.first.iter().map(|position| position - first).collect(),
            count: self.count.clone(),
            weights: self.weights.clone(),
            taps: self.taps,
            reach: self.reach - first as usize,
        }
    }

    /// The first sample that counts anywhere, and the one after the last.
    pub fn span(&self) -> (u32, u32) {
        let start = self.first.iter().copied().min().unwrap_or(0);
        let end = self.first.iter().zip(&self.count).map(|(first, count)| first + count).max().unwrap_or(0);
        (start, end)
    }
}

/// Shares of the samples under target pixel `i`: how much of each it covers.
fn area(window: Window, i: u32) -> (u32, Vec<u64>) {
    let [start, len, target, sub] = [window.start, window.len, window.target, window.sub].map(u64::from);
    let low = start * target + u64::from(i) * len;
    let high = low + len;
    let size = sub * target;
    let last = u64::from(window.samples) - 1;
    let from = (low / size).min(last);
    let to = ((high - 1) / size).min(last);
    let shares: Vec<u64> = (from..=to).map(|j| high.min((j + 1) * size).saturating_sub(low.max(j * size))).collect();
    (from as u32, shares)
}

/// Shares of the samples around the centre of target pixel `i`: they fall off linearly to zero one target pixel away
/// (one source sample away where the target is finer). Samples outside the region do not count, as if it had been cut
/// out before.
fn triangle(window: Window, i: u32) -> (u32, Vec<u64>) {
    let [start, len, target, sub] = [window.start, window.len, window.target, window.sub].map(i64::from);
    let centre = 2 * start * target + (2 * i64::from(i) + 1) * len;
    let spacing = 2 * sub * target;
    let support = spacing.max(2 * len);
    let last = i64::from(window.samples) - 1;
    let region_from = (start / sub).min(last);
    let region_to = ((start + len - 1) / sub).min(last);
    let nearest = (centre / spacing).clamp(region_from, region_to);
    let reach = support / spacing + 1;
    let share = |j: i64| (support - ((2 * j + 1) * sub * target - centre).abs()).max(0) as u64;
    let mut from = (nearest - reach).max(region_from);
    let mut to = (nearest + reach).min(region_to);
    while from < nearest && share(from) == 0 {
        from += 1;
    }
    while to > nearest && share(to) == 0 {
        to -= 1;
    }
    (from as u32, (from..=to).map(share).collect())
}

/// Shares as 14-bit weights that add up to exactly one. What rounding down leaves over goes to the largest remainders,
/// the first of equals.
fn quantise(shares: &[u64]) -> Vec<i16> {
    let total: u64 = shares.iter().sum();
    if total == 0 {
        // The last line of an odd-sized mosaic has no sample of its own; its neighbour stands in.
        let mut weights = vec![0; shares.len()];
        weights[shares.len() - 1] = ONE as i16;
        return weights;
    }
    let mut weights: Vec<i16> = shares.iter().map(|share| (share * ONE / total) as i16).collect();
    let given: u64 = weights.iter().map(|&weight| weight as u64).sum();
    let mut order: Vec<usize> = (0..shares.len()).collect();
    order.sort_by_key(|&k| (std::cmp::Reverse(shares[k] * ONE % total), k));
    for &k in order.iter().take((ONE - given) as usize) {
        weights[k] += 1;
    }
    weights
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(window: (u32, u32, u32, u32, u32), filter: Filter, expected: &[(u32, &[i16])]) {
        let (start, len, target, sub, samples) = window;
        let axis = Axis::new(Window { start, len, target, sub, samples }, filter, |taps| taps);
        for (i, (first, weights)) in expected.iter().enumerate() {
            let count = axis.count[i] as usize;
            let got = &axis.weights[i * axis.taps..i * axis.taps + count];
            assert_eq!((axis.first[i], got), (*first, *weights), "{window:?} {filter:?}, pixel {i}");
        }
        assert_eq!(axis.first.len(), expected.len());
    }

    #[test]
    fn weights_are_what_the_filters_say() {
        let one = 16384;
        check((0, 3, 3, 1, 3), Filter::Area, &[(0, &[one]), (1, &[one]), (2, &[one])]);
        check((0, 3, 3, 1, 3), Filter::Triangle, &[(0, &[one]), (1, &[one]), (2, &[one])]);
        check((0, 4, 2, 1, 4), Filter::Area, &[(0, &[8192, 8192]), (2, &[8192, 8192])]);
        check((1, 3, 2, 1, 9), Filter::Area, &[(1, &[10923, 5461]), (2, &[5461, 10923])]);
        // Twice as large: bilinear, clamped at the ends.
        check((0, 2, 4, 1, 2), Filter::Area, &[(0, &[one]), (0, &[12288, 4096]), (0, &[4096, 12288]), (1, &[one])]);
        // Half as large with a triangle: 1/8, 3/8, 3/8, 1/8, cut off at the ends.
        check((0, 4, 2, 1, 4), Filter::Triangle, &[(0, &[7022, 7022, 2340]), (1, &[2340, 7022, 7022])]);
        // Chroma: two pixels a sample, a region that begins inside a sample.
        check((1, 3, 1, 2, 2), Filter::Area, &[(0, &[5461, 10923])]);
        // A mosaic of odd size: the last line has no cell.
        check((2, 1, 1, 2, 1), Filter::Area, &[(0, &[one])]);
    }

    #[test]
    fn weights_always_add_up_to_one() {
        for filter in [Filter::Area, Filter::Triangle] {
            for (start, len, target, sub, samples) in [
                (0, 1280, 256, 1, 1280),
                (7, 613, 37, 2, 320),
                (3, 5, 64, 1, 9),
                (0, 16384, 1, 1, 16384),
                (5, 1, 9, 2, 3),
            ] {
                let axis = Axis::new(Window { start, len, target, sub, samples }, filter, |taps| taps + 3);
                for (i, weights) in axis.weights.chunks(axis.taps).enumerate() {
                    let sum: i32 = weights.iter().map(|&w| i32::from(w)).sum();
                    assert_eq!(sum, 16384, "pixel {i} of {start}+{len} to {target}");
                    assert!(axis.first[i] + axis.count[i] <= samples);
                }
            }
        }
    }
}
