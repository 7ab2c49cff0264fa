//! Nodes without a step allocate from their session's pool: the process's allocator sees nothing.

mod common;

use common::{Net, Random, ints, ours, string};
use jidoka_engine::{Options, Pooled, Session};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counting;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    // Gone only while the thread ends.
    let _ = COUNT.try_with(|c| c.set(c.get() + 1));
}

// SAFETY: hands everything to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Pooled<Counting> = Pooled(Counting);

fn allocations(session: &mut Session, runs: usize) -> u64 {
    let before = COUNT.with(Cell::get);
    for _ in 0..runs {
        session.run().expect("runs");
    }
    COUNT.with(Cell::get) - before
}

/// A graph around an operator that has no step.
fn net(op: &str) -> Net {
    let mut net = Net::new(3, &[1, 4, 9, 8]);
    let x = net.conv("image", 4, 4, [3, 3], 1, [1; 4], 1);
    let y = match op {
        "CumSum" => {
            let axis = net.constant_i64(&[2]);
            let name = axis.clone();
            net.graph.initializer.iter_mut().find(|t| t.name == name).expect("just added").dims.clear();
            net.node(op, &[&x, &axis], vec![])
        }
        _ => {
            let attributes = vec![string("mode", "cubic"), string("coordinate_transformation_mode", "half_pixel")];
            let sizes = net.constant_i64(&[1, 4, 13, 17]);
            net.node("Resize", &[&x, "", "", &sizes], attributes)
        }
    };
    let y = net.node("Relu", &[&y], vec![]);
    let y = net.node("ReduceMax", &[&y], vec![ints("axes", &[2, 3])]);
    net.output(&y);
    net
}

#[test]
fn a_fallback_stays_within_its_pool() {
    for op in ["CumSum", "Resize"] {
        let proto = net(op).model();
        let input = Random(1).floats(4 * 9 * 8, 1.0);
        let (mut session, _) = ours(&proto, &input, &Options::default());
        assert!(!session.fallbacks().is_empty(), "{op} has a step by now: choose another operator");
        assert!(session.pool_bytes() > 0, "{op}");
        assert_eq!(allocations(&mut session, 200), 0, "{op}: {} bytes", session.pool_bytes());
    }
}

#[test]
fn static_sessions_have_no_pool() {
    let mut net = Net::new(3, &[1, 4, 9, 8]);
    let x = net.conv("image", 4, 4, [3, 3], 1, [1; 4], 1);
    net.output(&x);
    let (session, _) = ours(&net.model(), &Random(1).floats(4 * 9 * 8, 1.0), &Options::default());
    assert_eq!(session.pool_bytes(), 0);
}

#[test]
fn the_counter_counts() {
    let before = COUNT.with(Cell::get);
    std::hint::black_box(Vec::<u8>::with_capacity(10));
    assert!(COUNT.with(Cell::get) > before);
}
