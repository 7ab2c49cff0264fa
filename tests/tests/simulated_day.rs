//! Twenty-four hours of every fault on a simulated line take no more memory than two, and leave none behind.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicI64, Ordering};

use jidoka_sim::{lines, run};

/// Counts bytes that are held, and the most that ever were.
struct Holding;

static HELD: AtomicI64 = AtomicI64::new(0);
static MOST: AtomicI64 = AtomicI64::new(0);

// SAFETY: every call is passed on to the system's allocator unchanged; the counters take no memory.
unsafe impl GlobalAlloc for Holding {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let held = HELD.fetch_add(layout.size() as i64, Ordering::Relaxed) + layout.size() as i64;
        MOST.fetch_max(held, Ordering::Relaxed);
        // SAFETY: the caller keeps GlobalAlloc's contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size() as i64, Ordering::Relaxed);
        // SAFETY: the caller keeps GlobalAlloc's contract.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Holding = Holding;

/// The most bytes that a run held at once, and those that it left behind.
fn simulate(hours: f64) -> (i64, i64) {
    let (name, config) = lines().into_iter().next().expect("there are lines");
    let before = HELD.load(Ordering::Relaxed);
    MOST.store(before, Ordering::Relaxed);
    let (parts, faults) = {
        let stats = run(&config, hours, 7).expect("the line is sound");
        assert!(stats.failure.is_none(), "seed 7: a promise was broken");
        (stats.parts, stats.faults)
    };
    let (most, left) = (MOST.load(Ordering::Relaxed) - before, HELD.load(Ordering::Relaxed) - before);
    println!("{name}: {hours} h, {parts} parts, {faults} faults: at most {most} bytes held, {left} left");
    (most, left)
}

/// In one test, because memory is the whole process's.
#[test]
fn a_day_of_faults_takes_no_more_memory_than_two_hours() {
    // What is taken once is taken before counting.
    simulate(0.1);
    let (short, day) = (simulate(2.0), simulate(24.0));
    // Which parts are in flight when most is held differs from run to run; what a day's 870,000 parts left behind would be far more.
    assert!(day.0 <= 2 * short.0, "the most held: {} bytes in two hours, {} in a day", short.0, day.0);
    assert_eq!((short.1, day.1), (0, 0), "bytes left behind");
}
