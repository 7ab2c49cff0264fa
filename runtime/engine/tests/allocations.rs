//! The promise of the static plan: a run allocates nothing.

mod common;
#[path = "common/nets.rs"]
mod nets;

use jidoka_engine::{Options, Session};
use jidoka_test_support::{Counting, allocations};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations_of(session: &mut Session) -> u64 {
    let before = allocations();
    for _ in 0..3 {
        session.run().expect("runs");
        std::hint::black_box(session.output(0).as_f32());
    }
    allocations() - before
}

#[test]
fn a_run_allocates_nothing() {
    for (name, proto, size) in [
        ("MobileNetV2", nets::mobilenet_v2(32, 7), 32),
        ("ResNet18", nets::resnet18(32), 32),
        ("PDN-S", nets::pdn_small(40), 40),
        ("memory bank", nets::memory_bank(16, 100, 10), 10),
    ] {
        let input = common::Random(9).floats(3 * size * size, 1.0);
        for threads in [1, 2] {
            let options = Options { threads, strict: true, ..Options::default() };
            let (mut session, _) = common::ours(&proto, &input, &options);
            assert_eq!(allocations_of(&mut session), 0, "{name}, {threads} threads");
        }
    }
}

#[test]
fn random_graphs_allocate_nothing() {
    for seed in 1000..1030 {
        let (proto, shape) = nets::random(seed);
        let input = common::Random(seed).floats(shape.iter().product(), 1.0);
        let (mut session, _) = common::ours(&proto, &input, &Options { strict: true, ..Options::default() });
        assert_eq!(allocations_of(&mut session), 0, "seed {seed}");
    }
}

#[test]
fn the_counter_counts() {
    let before = allocations();
    std::hint::black_box(Vec::<u8>::with_capacity(10));
    assert!(allocations() > before);
}
