//! Whole graphs, named and random: ours agrees with tract's own run, whatever was fused, laid out or reused.

mod common;
#[path = "common/nets.rs"]
mod nets;

use common::{Net, Random, check, int, ints, ours};
use jidoka_engine::Options;

#[test]
fn mobilenet_v2_agrees() {
    let session = check("MobileNetV2", &nets::mobilenet_v2(64, 7), &[1, 3, 64, 64], 1);
    assert!(session.fallbacks().is_empty(), "{:?}", session.fallbacks());
    // The last layer's weights are 5 MB; its step keeps them packed.
    assert!(session.arena_bytes() < 1 << 20, "{}", session.report());
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

#[test]
fn a_blur_is_done_as_two_passes() {
    let gaussian = |taps: usize| -> Vec<f32> {
        (0..taps).map(|tap| (-0.5 * ((tap as f32 - (taps / 2) as f32) / 2.0).powi(2)).exp()).collect()
    };
    let product = |column: &[f32], row: &[f32]| -> Vec<f32> {
        column.iter().flat_map(|a| row.iter().map(move |b| a * b)).collect()
    };
    let blur = |[height, width]: [usize; 2], channels: usize, stride, dilation, pads: [usize; 4], change: f32| {
        let mut net = Net::new(5, &[1, channels, 40, 36]);
        let one = product(&gaussian(height), &gaussian(width));
        let mut kernels: Vec<f32> = (0..channels).flat_map(|c| one.iter().map(move |w| w * (c as f32 - 0.5))).collect();
        kernels[1] += change;
        let (weights, bias) = (net.constant(&[channels, 1, height, width], &kernels), net.noise(&[channels], 0.1));
        let attributes = vec![
            ints("kernel_shape", &[height as i64, width as i64]),
            ints("strides", &[stride; 2]),
            ints("dilations", &[dilation; 2]),
            ints("pads", &pads.map(|p| p as i64)),
            int("group", channels as i64),
        ];
        let blurred = net.node("Conv", &["image", &weights, &bias], attributes);
        let out = net.relu6(&blurred);
        net.output(&out);
        (net.model(), vec![1, channels, 40, 36])
    };
    for (index, (kernel, channels, stride, dilation, pads)) in [
        ([33, 33], 1, 1, 1, [16; 4]),
        ([9, 7], 3, 1, 1, [4, 3, 4, 3]),
        ([9, 7], 3, 2, 1, [0, 5, 2, 1]),
        ([7, 9], 2, 1, 2, [3, 0, 1, 4]),
    ]
    .into_iter()
    .enumerate()
    {
        let taps = |change| {
            let (proto, shape) = blur(kernel, channels, stride, dilation, pads, change);
            let report = check("blur", &proto, &shape, index as u64).report();
            (report.steps.iter().filter(|s| s.kind == "depthwise").count(), report.macs())
        };
        let ((passes, few), (whole, many)) = (taps(0.0), taps(0.01));
        assert_eq!((passes, whole), (2, 1), "{kernel:?}");
        assert!(few < many, "{kernel:?}: {few} for {many}");
    }
}
