//! What the tests of several crates need: an allocator that counts.
//!
//! A dev-dependency only: nothing that ships may depend on it. It has no dependencies of its own, so that every crate can use it.
//! What must not live here: anything that knows a crate of this workspace.
//!
//! Relies on: the system's allocator.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// Counts each thread's allocations; everything else is the system's allocator. A test declares it as its own:
///
/// ```
/// use jidoka_test_support::{Counting, allocations};
///
/// #[global_allocator]
/// static ALLOCATOR: Counting = Counting;
///
/// let before = allocations();
/// drop(std::hint::black_box(Box::new(1)));
/// assert_eq!(allocations() - before, 1);
/// ```
pub struct Counting;

thread_local! {
    static TAKEN: Cell<u64> = const { Cell::new(0) };
}

/// How often this thread has taken memory so far; always 0 where [`Counting`] is not the global allocator.
pub fn allocations() -> u64 {
    TAKEN.with(Cell::get)
}

fn count() {
    // Gone only while the thread ends.
    let _ = TAKEN.try_with(|taken| taken.set(taken.get() + 1));
}

// SAFETY: every call is passed on to the system's allocator unchanged; the counter is thread-local and takes no memory.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps GlobalAlloc's contract, which is the system's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps GlobalAlloc's contract, which is the system's.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller keeps GlobalAlloc's contract, which is the system's.
        unsafe { System.realloc(block, layout, size) }
    }
}
