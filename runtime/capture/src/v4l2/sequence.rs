//! Counting the frames that the driver numbered and never gave, and whose fault that was.

use std::time::Duration;

/// The driver's frame numbers, as far as they can be trusted.
#[derive(Default)]
pub(crate) struct Sequence {
    last: Option<(u32, Duration)>,
}

/// Frames that are missing before one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lost {
    /// All of them.
    pub all: u64,
    /// Those of them for which the driver had no buffer: we were too slow, or had too few.
    pub starved: u64,
}

/// A larger step is a new stream, not a loss: nobody loses that many frames between two.
const LARGEST_GAP: u32 = 1 << 16;

impl Sequence {
    /// How many frames were lost before this one.
    ///
    /// vivid and some UVC cameras begin again at 0 after a replug, some drivers number every frame 0, and all of them
    /// wrap around: a number that did not rise a little is a new beginning.
    ///
    /// Drivers fill buffers in the order in which they get them. A frame that was lost before the buffer of the next one
    /// was given to the driver was therefore lost for want of a buffer; one lost later was lost by camera, cable or driver.
    pub fn lost_before(&mut self, number: u32, captured_at: Duration, queued_at: Duration) -> Lost {
        let Some((last, last_at)) = self.last.replace((number, captured_at)) else { return Lost::default() };
        let step = number.wrapping_sub(last);
        if !(2..LARGEST_GAP).contains(&step) {
            return Lost::default();
        }
        let span = captured_at.saturating_sub(last_at);
        let at = |lost: u32| last_at + span * lost / step;
        // The times rise, so that those before the buffer came are the first ones.
        let starved = (1..step).take_while(|&lost| at(lost) < queued_at).count() as u64;
        Lost { all: u64::from(step) - 1, starved }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn check(numbers: &[u32], expected: &[u64]) {
        let mut sequence = Sequence::default();
        let lost: Vec<u64> =
            numbers.iter().map(|&number| sequence.lost_before(number, MS, Duration::ZERO).all).collect();
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

    #[test]
    fn a_loss_is_ours_where_the_driver_had_no_buffer() {
        let starved = |queued_at: Duration| {
            let mut sequence = Sequence::default();
            sequence.lost_before(10, 100 * MS, Duration::ZERO);
            sequence.lost_before(14, 140 * MS, queued_at)
        };
        assert_eq!(starved(Duration::ZERO), Lost { all: 3, starved: 0 }, "a buffer was there all the time");
        assert_eq!(starved(90 * MS), Lost { all: 3, starved: 0 });
        assert_eq!(starved(115 * MS), Lost { all: 3, starved: 1 });
        assert_eq!(starved(139 * MS), Lost { all: 3, starved: 3 });
    }
}
