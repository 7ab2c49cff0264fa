//! Whole graphs, named and random: ours agrees with tract's own run, whatever was fused, laid out or reused.

mod common;
#[path = "common/nets.rs"]
mod nets;

use common::{Random, check, ours};
use jidoka_engine::Options;

#[test]
fn mobilenet_v2_agrees() {
    let session = check("MobileNetV2", &nets::mobilenet_v2(64, 7), &[1, 3, 64, 64], 1);
    assert!(session.fallbacks().is_empty(), "{:?}", session.fallbacks());
}

#[test]
fn resnet18_agrees() {
    let session = check("ResNet18", &nets::resnet18(48), &[1, 3, 48, 48], 2);
    assert!(session.fallbacks().is_empty(), "{:?}", session.fallbacks());
}

#[test]
fn pdn_small_agrees() {
    let session = check("PDN-S", &nets::pdn_small(40), &[1, 3, 40, 40], 3);
    assert!(session.fallbacks().is_empty(), "{:?}", session.fallbacks());
}

#[test]
fn the_memory_bank_is_searched_without_the_distance_matrix() {
    let session = check("bank", &nets::memory_bank(24, 301, 12), &[1, 3, 12, 12], 4);
    assert!(session.fallbacks().is_empty(), "{:?}", session.fallbacks());
    let report = session.report();
    assert!(report.steps.iter().any(|s| s.kind == "nearest"), "{report}");
    assert!(!report.steps.iter().any(|s| s.kind == "matmul"), "{report}");
}

#[test]
fn two_hundred_random_graphs_agree() {
    let mut fallbacks = 0;
    for seed in 0..200 {
        let (proto, shape) = nets::random(seed);
        fallbacks += check("random graph", &proto, &shape, seed).fallbacks().len();
    }
    assert_eq!(fallbacks, 0);
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let graphs = [
        ("MobileNetV2", nets::mobilenet_v2(48, 4), 48),
        ("ResNet18", nets::resnet18(40), 40),
        ("PDN-S", nets::pdn_small(40), 40),
    ];
    for (name, proto, size) in graphs {
        let input = Random(8).floats(3 * size * size, 1.0);
        let run = |threads| ours(&proto, &input, &Options { threads, ..Options::default() }).1;
        let want = run(1);
        for threads in [2, 3] {
            assert!(run(threads) == want, "{name} with {threads} threads");
        }
    }
}
