//! Counting the frames that the driver numbered and never gave.

/// The driver's frame numbers, as far as they can be trusted.
#[derive(Default)]
pub(crate) struct Sequence {
    last: Option<u32>,
}

/// A larger step is a new stream, not a loss: nobody loses that many frames between two.
const LARGEST_GAP: u32 = 1 << 16;

impl Sequence {
    /// How many frames were lost before this one.
    ///
    /// vivid and some UVC cameras begin again at 0 after a replug, some drivers number every frame 0, and all of them
    /// wrap around: a number that did not rise a little is a new beginning.
    pub fn lost_before(&mut self, number: u32) -> u64 {
        let step = self.last.map_or(1, |last| number.wrapping_sub(last));
        self.last = Some(number);
        if (2..LARGEST_GAP).contains(&step) { u64::from(step) - 1 } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(numbers: &[u32], expected: &[u64]) {
        let mut sequence = Sequence::default();
        let lost: Vec<u64> = numbers.iter().map(|&number| sequence.lost_before(number)).collect();
        assert_eq!(lost, expected, "{numbers:?}");
    }

    #[test]
    fn gaps_are_lost_frames_and_restarts_are_not() {
        check(&[0, 1, 2], &[0, 0, 0]);
        check(&[5, 6, 9, 10], &[0, 0, 2, 0]);
        check(&[1000, 0, 1], &[0, 0, 0]);
        check(&[0, 0, 0], &[0, 0, 0]);
        check(&[u32::MAX - 1, u32::MAX, 0, 2], &[0, 0, 0, 1]);
        check(&[3, 4_000_000, 4_000_002], &[0, 0, 1]);
    }
}
