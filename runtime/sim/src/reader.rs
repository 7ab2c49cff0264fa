//! Who reads what the line did: the scribe, who writes the log to the disk, and the gateway. They only read; a reader that stalls
//! loses records, which are counted, and never holds up the line.

use std::collections::VecDeque;

/// How often a reader looks.
const PERIOD_US: u64 = 20_000;

/// One reader behind its bounded queue.
#[derive(Debug)]
pub(crate) struct Reader {
    queue: VecDeque<u64>,
    capacity: usize,
    stalled_until: u64,
    looked_at: u64,
    offered: u64,
    read: u64,
    /// What found no room.
    lost: u64,
    /// The number of the last record that was read.
    last: Option<u64>,
    /// Records that the reader missed, by their numbers.
    gaps: u64,
}

impl Reader {
    pub(crate) fn new(capacity: usize) -> Reader {
        Reader {
            queue: VecDeque::with_capacity(capacity),
            capacity,
            stalled_until: 0,
            looked_at: 0,
            offered: 0,
            read: 0,
            lost: 0,
            last: None,
            gaps: 0,
        }
    }

    pub(crate) fn stall(&mut self, until: u64) {
        self.stalled_until = self.stalled_until.max(until);
    }

    /// The next record, at `now`: kept where there is room.
    pub(crate) fn offer(&mut self, now: u64) {
        if now >= self.stalled_until && now >= self.looked_at + PERIOD_US {
            self.looked_at = now;
            self.drain();
        }
        if self.queue.len() < self.capacity {
            self.queue.push_back(self.offered);
        } else {
            self.lost += 1;
        }
        self.offered += 1;
    }

    fn drain(&mut self) {
        while let Some(number) = self.queue.pop_front() {
            let due = self.last.map_or(0, |last| last + 1);
            self.gaps += number.saturating_sub(due);
            self.last = Some(number);
            self.read += 1;
        }
    }

    /// Whether each record was read, waits, or was counted as lost; and whether the reader sees no more gaps than were counted.
    pub(crate) fn accounts_for_all(&self) -> bool {
        self.offered == self.read + self.queue.len() as u64 + self.lost && self.gaps <= self.lost
    }
}
