//! The sealed allocator: proof, in the release binary, that the loop does not allocate.
//!
//! A thread of the loop runs in one of two states. *Starting*: it may allocate as it likes. *Sealed*: every allocation
//! it makes is counted against the stage it is in; the allocation itself still succeeds, because a loop that aborts
//! half-way through a part would be worse than one that is late. What a counted allocation leads to (a figure in the
//! report, or outputs to safe) is decided by whoever reads [`Counts`]. The idea is tigerbeetle's static allocator,
//! narrowed to the threads that have a deadline: a log writer or a signal handler's thread stays in `Starting` for ever.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

/// Where in the loop a sealed thread is. Allocations are attributed to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Stage {
    /// Waiting for and receiving a frame.
    Capture = 1,
    /// Frame to engine input.
    Prepare = 2,
    /// The network.
    Infer = 3,
    /// Score against threshold.
    Judge = 4,
    /// Verdict to the actuator and to the records.
    HandOver = 5,
    /// The actuator thread: line state and pins.
    Actuate = 6,
}

impl Stage {
    /// Every stage, in the order a part meets them.
    pub const ALL: [Stage; 6] =
        [Stage::Capture, Stage::Prepare, Stage::Infer, Stage::Judge, Stage::HandOver, Stage::Actuate];

    /// The word used in tables and JSON.
    pub fn name(self) -> &'static str {
        match self {
            Stage::Capture => "capture",
            Stage::Prepare => "prepare",
            Stage::Infer => "infer",
            Stage::Judge => "judge",
            Stage::HandOver => "hand over",
            Stage::Actuate => "actuate",
        }
    }
}

/// The stage number of a thread that has not been sealed.
const STARTING: u8 = 0;

thread_local! {
    // Const-initialised and without a destructor, so reading it never allocates: it is read inside `alloc`.
    static STATE: Cell<u8> = const { Cell::new(STARTING) };
}

static COUNTS: [AtomicU64; 7] = [const { AtomicU64::new(0) }; 7];

/// Marks the calling thread as sealed, beginning in `stage`.
pub fn seal(stage: Stage) {
    STATE.set(stage as u8);
}

/// Lets the calling thread allocate again (after the last frame, before its results are gathered).
pub fn unseal() {
    STATE.set(STARTING);
}

/// Says which stage the calling thread enters. Does nothing on a thread that is not sealed.
#[inline]
pub fn enter(stage: Stage) {
    STATE.with(|state| {
        if state.get() != STARTING {
            state.set(stage as u8);
        }
    });
}

/// Allocations made by sealed threads so far in this process, by stage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts([u64; 7]);

impl Counts {
    /// The counts at this moment.
    pub fn now() -> Counts {
        let mut counts = [0; 7];
        for (count, counter) in counts.iter_mut().zip(&COUNTS) {
            *count = counter.load(Ordering::Relaxed);
        }
        Counts(counts)
    }

    /// What was added since `earlier`.
    pub fn since(&self, earlier: &Counts) -> Counts {
        let mut counts = [0; 7];
        for (index, count) in counts.iter_mut().enumerate() {
            *count = self.0[index] - earlier.0[index];
        }
        Counts(counts)
    }

    /// Allocations in one stage.
    pub fn in_stage(&self, stage: Stage) -> u64 {
        self.0[stage as usize]
    }

    /// Allocations in all stages.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// The stages that allocated, as `"infer 12, judge 1"`; `None` where none did.
    pub fn describe(&self) -> Option<String> {
        let parts: Vec<String> = Stage::ALL
            .iter()
            .filter(|stage| self.in_stage(**stage) > 0)
            .map(|stage| format!("{} {}", stage.name(), self.in_stage(*stage)))
            .collect();
        (!parts.is_empty()).then(|| parts.join(", "))
    }
}

/// The process's allocator: the system's, with the count of what sealed threads ask for.
pub struct Sealed;

#[inline]
fn count() {
    // `try_with` and not `with`: a thread's last frees may come after its locals are gone.
    let _ = STATE.try_with(|state| {
        let stage = state.get();
        if stage != STARTING {
            COUNTS[stage as usize].fetch_add(1, Ordering::Relaxed);
        }
    });
}

// SAFETY: every call is passed on unchanged to the system's allocator, which keeps the contract; counting neither
// allocates nor unwinds.
unsafe impl GlobalAlloc for Sealed {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise about `layout` is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size_bytes: usize) -> *mut u8 {
        count();
        // SAFETY: `block` came from this allocator, which is the system's, with `layout`.
        unsafe { System.realloc(block, layout, size_bytes) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: `block` came from this allocator, which is the system's, with `layout`.
        unsafe { System.dealloc(block, layout) }
    }
}

// What operators without a static step allocate comes from the pool that their session set aside, and is not counted: it
// takes constant time and asks nothing of the system.
#[global_allocator]
static ALLOCATOR: jidoka_engine::Pooled<Sealed> = jidoka_engine::Pooled(Sealed);

#[cfg(test)]
mod tests {
    use super::*;
    use std::hint::black_box;

    /// Runs `work` on a thread of its own, sealed in `stage`, and says how many allocations were seen there.
    /// Other tests do not seal `stage` at the same time, so the count is this thread's.
    fn check(stage: Stage, work: impl FnOnce() + Send + 'static) -> u64 {
        let before = Counts::now();
        std::thread::spawn(move || {
            seal(stage);
            work();
            unseal();
        })
        .join()
        .expect("the worker does not panic");
        Counts::now().since(&before).in_stage(stage)
    }

    #[test]
    fn one_allocation_that_slips_in_is_caught_and_attributed() {
        assert_eq!(check(Stage::Judge, || drop(black_box(Box::new(7_u64)))), 1);
        assert_eq!(
            check(Stage::Prepare, || {
                let mut bytes: Vec<u8> = Vec::with_capacity(8);
                bytes.extend_from_slice(&[1; 64]); // grows: a realloc
                black_box(&bytes);
            }),
            2
        );
    }

    #[test]
    fn work_without_allocation_counts_nothing() {
        let mut buffer = vec![0_u8; 4096];
        assert_eq!(check(Stage::HandOver, move || buffer.fill(black_box(3))), 0);
    }

    #[test]
    fn an_unsealed_thread_allocates_freely() {
        let before = Counts::now();
        enter(Stage::Actuate); // no effect: this thread is not sealed
        black_box(vec![1_u8; 100]);
        assert_eq!(Counts::now().since(&before).in_stage(Stage::Actuate), 0);
        assert_eq!(Counts::default().describe(), None);
    }
}
