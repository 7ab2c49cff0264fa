//! The worker team: threads that share a step, each with a fixed part of it.
//!
//! A worker spins briefly for the next step, since steps follow each other within microseconds, then parks. The parts are
//! fixed when the plan is made and no result depends on who computes it, so outputs are the same whatever the number of
//! threads. A team of one is a plain call.

use std::cell::UnsafeCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};

/// Turns of the spin before a worker parks, or the caller yields.
const SPINS: usize = 20_000;

/// The most workers that make sense on a board.
pub(crate) const MAX_THREADS: usize = 64;

/// What the members do: called with the number of the part.
type Work<'a> = dyn Fn(usize) + Sync + 'a;

/// The same, with a piece of the output and of the scratch.
pub(crate) type Piecework<'a, T, S> = dyn Fn(usize, &mut [T], &mut [S]) + Sync + 'a;

struct Shared {
    /// Counts the jobs; a change means that there is one.
    epoch: AtomicUsize,
    /// The job. Written by the caller while all workers wait, read by them until `remaining` is 0.
    job: UnsafeCell<Option<&'static Work<'static>>>,
    /// Workers that are not done with the job.
    remaining: AtomicUsize,
    parked: Vec<AtomicBool>,
    panicked: AtomicBool,
    stop: AtomicBool,
}

// SAFETY: `job` is written only by the owner of the team between jobs, and published by `epoch`.
unsafe impl Sync for Shared {}
// SAFETY: the job is `Sync`, so it may be called from any thread; the rest is `Send`.
unsafe impl Send for Shared {}

/// The caller and its workers.
pub(crate) struct Team {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
}

impl Team {
    /// A team of `threads`, the caller included.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn new(threads: usize) -> std::io::Result<Team> {
        let helpers = threads.clamp(1, MAX_THREADS) - 1;
        let shared = Arc::new(Shared {
            epoch: AtomicUsize::new(0),
            job: UnsafeCell::new(None),
            remaining: AtomicUsize::new(0),
            parked: (0..helpers).map(|_| AtomicBool::new(false)).collect(),
            panicked: AtomicBool::new(false),
            stop: AtomicBool::new(false),
        });
        let mut team = Team { shared, workers: Vec::with_capacity(helpers) };
        for index in 0..helpers {
            let shared = team.shared.clone();
            let name = format!("engine-{}", index + 1);
            team.workers.push(thread::Builder::new().name(name).spawn(move || serve(&shared, index))?);
        }
        Ok(team)
    }

    /// Members, the caller included.
    pub fn size(&self) -> usize {
        self.workers.len() + 1
    }

    /// Calls `work` with every part number below [`Team::size`], each on a member of its own, and returns when all are done.
    ///
    /// # Panics
    /// When a member panicked.
    pub fn run(&self, work: &Work<'_>) {
        if self.workers.is_empty() {
            return work(0);
        }
        // SAFETY: the reference is used only until `remaining` is 0, which is awaited below, also when `work(0)` panics.
        let job = unsafe { std::mem::transmute::<&Work<'_>, &'static Work<'static>>(work) };
        // SAFETY: all workers wait for the next epoch; nobody reads the job.
        unsafe { *self.shared.job.get() = Some(job) };
        self.shared.remaining.store(self.workers.len(), Ordering::Relaxed);
        self.shared.epoch.fetch_add(1, Ordering::SeqCst);
        for (worker, parked) in self.workers.iter().zip(&self.shared.parked) {
            if parked.load(Ordering::SeqCst) {
                worker.thread().unpark();
            }
        }
        let mine = catch_unwind(AssertUnwindSafe(|| work(0)));
        let mut spins = 0;
        while self.shared.remaining.load(Ordering::Acquire) > 0 {
            spins += 1;
            if spins < SPINS { std::hint::spin_loop() } else { thread::yield_now() }
        }
        if let Err(panic) = mine {
            std::panic::resume_unwind(panic);
        }
        assert!(!self.shared.panicked.load(Ordering::Relaxed), "a worker panicked");
    }

    /// Cuts `out` at `bounds` (as many as members, and one more) and gives each member its piece, and `each` elements of
    /// `scratch`.
    ///
    /// # Panics
    /// When the bounds do not ascend within `out`, or are too few, when there is too little scratch, or a member panicked.
    pub fn share<T: Send, S: Send>(
        &self,
        out: &mut [T],
        bounds: &[usize],
        scratch: &mut [S],
        each: usize,
        work: &Piecework<'_, T, S>,
    ) {
        assert!(bounds.len() == self.size() + 1 && bounds.is_sorted() && bounds[self.size()] <= out.len());
        assert!(scratch.len() >= each * self.size());
        let (base, scratch) = (Base(out.as_mut_ptr()), Base(scratch.as_mut_ptr()));
        self.run(&|part| {
            let (from, to) = (bounds[part], bounds[part + 1]);
            // SAFETY: the bounds were checked to ascend within `out`, so the pieces are apart, as are those of the scratch;
            // both are borrowed until all are done.
            let (piece, own) = unsafe {
                (
                    std::slice::from_raw_parts_mut(base.at(from), to - from),
                    std::slice::from_raw_parts_mut(scratch.at(part * each), each),
                )
            };
            if !piece.is_empty() {
                work(part, piece, own);
            }
        });
    }
}

/// A pointer that the members may share: each touches a piece of its own.
struct Base<T>(*mut T);
// SAFETY: see `Team::share`.
unsafe impl<T: Send> Sync for Base<T> {}

impl<T> Base<T> {
    /// # Safety
    /// `index` is within what the pointer points at.
    unsafe fn at(&self, index: usize) -> *mut T {
        // SAFETY: the caller's promise.
        unsafe { self.0.add(index) }
    }
}

impl Drop for Team {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.shared.epoch.fetch_add(1, Ordering::SeqCst);
        for worker in self.workers.drain(..) {
            worker.thread().unpark();
            // A worker's panic was reported when it happened.
            let _ = worker.join();
        }
    }
}

fn serve(shared: &Shared, index: usize) {
    let mut seen = 0;
    loop {
        let mut spins = 0;
        loop {
            let epoch = shared.epoch.load(Ordering::SeqCst);
            if epoch != seen {
                seen = epoch;
                break;
            }
            spins += 1;
            if spins < SPINS {
                std::hint::spin_loop();
            } else {
                // Announce first, look again, then sleep: a job that comes in between unparks, and park returns at once.
                shared.parked[index].store(true, Ordering::SeqCst);
                if shared.epoch.load(Ordering::SeqCst) == seen {
                    thread::park();
                }
                shared.parked[index].store(false, Ordering::SeqCst);
            }
        }
        if shared.stop.load(Ordering::SeqCst) {
            return;
        }
        // SAFETY: the caller wrote the job before the epoch and keeps it until `remaining` is 0.
        if let Some(job) = unsafe { *shared.job.get() }
            && catch_unwind(AssertUnwindSafe(|| job(index + 1))).is_err()
        {
            shared.panicked.store(true, Ordering::Relaxed);
        }
        shared.remaining.fetch_sub(1, Ordering::Release);
    }
}

/// Cuts `count` things into as many even ranges as there are members, at multiples of `unit`, and gives the ends.
pub(crate) fn cut(count: usize, unit: usize, members: usize) -> Vec<usize> {
    let units = count.div_ceil(unit);
    (0..=members).map(|part| (part * units / members * unit).min(count)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_is_done_once_every_time() {
        for threads in [1, 2, 3] {
            let team = Team::new(threads).unwrap();
            let mut out = vec![0u32; 10];
            for round in 1..200 {
                let bounds = cut(10, 3, team.size());
                team.share(&mut out, &bounds, &mut [0u8; 0], 0, &|_, piece, _| piece.iter_mut().for_each(|v| *v += 1));
                assert_eq!(out, [round; 10], "{threads} threads");
            }
        }
    }

    #[test]
    fn cuts_are_even_and_whole() {
        assert_eq!(cut(10, 4, 2), [0, 4, 10]);
        assert_eq!(cut(3, 4, 2), [0, 0, 3]);
        assert_eq!(cut(16, 4, 2), [0, 8, 16]);
        assert_eq!(cut(7, 1, 1), [0, 7]);
    }

    #[test]
    fn a_workers_panic_reaches_the_caller() {
        let team = Team::new(2).unwrap();
        let work = |part: usize| assert!(part == 0, "on purpose");
        assert!(catch_unwind(AssertUnwindSafe(|| team.run(&work))).is_err());
    }
}
