//! A preparation takes no memory once it is planned.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use jidoka_prepare::{FrameView, Geometry, PixelFormat, Preparer, Spec};

struct Counting;

thread_local! {
    static TAKEN: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: every call is passed on to the system's allocator unchanged; the counter is thread-local and takes no memory.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        TAKEN.with(|taken| taken.set(taken.get() + 1));
        // SAFETY: the caller keeps GlobalAlloc's contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps GlobalAlloc's contract.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn preparing_takes_no_memory_in_any_format() {
    for format in PixelFormat::all() {
        let spec = Spec::new(Geometry::new(70, 50, format), 32, 32);
        let data = vec![100; spec.source.frame_bytes(format.packed_stride(70))];
        let (mut bytes, mut floats) = (vec![0; spec.target_len()], vec![0.0; spec.target_len()]);
        let mut preparer = Preparer::new(&spec).expect("a valid spec");
        let view = FrameView::packed(&data, 70, 50, format);
        let short = FrameView { data: &data[1..], ..view };
        let before = TAKEN.with(Cell::get);
        for _ in 0..3 {
            preparer.write_u8(&view, &mut bytes).expect("prepares");
            preparer.write_f32(&view, &mut floats).expect("prepares");
            assert!(preparer.write_u8(&short, &mut bytes).is_err());
        }
        assert_eq!(TAKEN.with(Cell::get) - before, 0, "allocations for {format}");
    }
    let before = TAKEN.with(Cell::get);
    drop(vec![1u8; 3]);
    assert_eq!(TAKEN.with(Cell::get) - before, 1, "the counter counts");
}
