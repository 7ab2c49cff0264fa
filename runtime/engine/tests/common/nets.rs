//! The named graphs, with random weights, and random graphs.

use crate::common::{Net, Random, int, ints, string};
use jidoka_engine::onnx::ModelProto;

/// MobileNetV2 (Sandler et al., 2018) without its last layers where `width` is small.
pub fn mobilenet_v2(size: usize, stages: usize) -> ModelProto {
    let mut net = Net::new(1, &[1, 3, size, size]);
    let x = net.conv("image", 3, 32, [3, 3], 2, [1; 4], 1);
    let mut x = net.relu6(&x);
    let mut ci = 32;
    let rows =
        [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)];
    for (expand, co, repeat, first_stride) in rows.into_iter().take(stages) {
        for index in 0..repeat {
            let stride = if index == 0 { first_stride } else { 1 };
            let hidden = ci * expand;
            let mut y = x.clone();
            if expand != 1 {
                y = net.conv(&y, ci, hidden, [1, 1], 1, [0; 4], 1);
                y = net.relu6(&y);
            }
            y = net.conv(&y, hidden, hidden, [3, 3], stride, [1; 4], hidden);
            y = net.relu6(&y);
            y = net.conv(&y, hidden, co, [1, 1], 1, [0; 4], 1);
            x = if index > 0 { net.node("Add", &[&y, &x], vec![]) } else { y };
            ci = co;
        }
    }
    if stages == 7 {
        x = net.conv(&x, 320, 1280, [1, 1], 1, [0; 4], 1);
        x = net.relu6(&x);
        x = net.node("GlobalAveragePool", &[&x], vec![]);
        x = net.node("Flatten", &[&x], vec![int("axis", 1)]);
        let (w, b) = (net.noise(&[1000, 1280], 0.03), net.noise(&[1000], 0.1));
        x = net.node("Gemm", &[&x, &w, &b], vec![int("transB", 1)]);
    }
    net.output(&x);
    net.model()
}

/// ResNet18 (He et al., 2015) to layer3; the outputs are those of layer2 and layer3.
pub fn resnet18(size: usize) -> ModelProto {
    let mut net = Net::new(2, &[1, 3, size, size]);
    let x = net.conv("image", 3, 64, [7, 7], 2, [3; 4], 1);
    let x = net.node("Relu", &[&x], vec![]);
    let pool = vec![ints("kernel_shape", &[3, 3]), ints("strides", &[2, 2]), ints("pads", &[1; 4])];
    let mut x = net.node("MaxPool", &[&x], pool);
    let mut ci = 64;
    for (co, first_stride) in [(64, 1), (128, 2), (256, 2)] {
        for index in 0..2 {
            let stride = if index == 0 { first_stride } else { 1 };
            let y = net.conv(&x, ci, co, [3, 3], stride, [1; 4], 1);
            let y = net.node("Relu", &[&y], vec![]);
            let y = net.conv(&y, co, co, [3, 3], 1, [1; 4], 1);
            let skip =
                if stride == 1 && ci == co { x.clone() } else { net.conv(&x, ci, co, [1, 1], stride, [0; 4], 1) };
            let sum = net.node("Add", &[&y, &skip], vec![]);
            x = net.node("Relu", &[&sum], vec![]);
            ci = co;
        }
        if co > 64 {
            net.output(&x);
        }
    }
    net.model()
}

/// The small patch description network of EfficientAD (Batzner et al., 2023).
pub fn pdn_small(size: usize) -> ModelProto {
    let mut net = Net::new(3, &[1, 3, size, size]);
    let pool = || {
        vec![
            ints("kernel_shape", &[2, 2]),
            ints("strides", &[2, 2]),
            ints("pads", &[0; 4]),
            int("count_include_pad", 1),
        ]
    };
    let x = net.conv("image", 3, 128, [4, 4], 1, [0; 4], 1);
    let x = net.node("Relu", &[&x], vec![]);
    let x = net.node("AveragePool", &[&x], pool());
    let x = net.conv(&x, 128, 256, [4, 4], 1, [0; 4], 1);
    let x = net.node("Relu", &[&x], vec![]);
    let x = net.node("AveragePool", &[&x], pool());
    let x = net.conv(&x, 256, 256, [3, 3], 1, [0; 4], 1);
    let x = net.node("Relu", &[&x], vec![]);
    let x = net.conv(&x, 256, 384, [4, 4], 1, [0; 4], 1);
    net.output(&x);
    net.model()
}

/// A memory bank's search as `jidoka teach` writes it, behind a small convolution.
pub fn memory_bank(depth: usize, rows: usize, side: usize) -> ModelProto {
    let mut net = Net::new(4, &[1, 3, side, side]);
    let features = net.conv("image", 3, depth, [3, 3], 1, [1; 4], 1);
    let bank = net.random.floats(rows * depth, 1.0);
    let transposed: Vec<f32> =
        (0..depth).flat_map(|d| (0..rows).map(move |m| (m, d))).map(|(m, d)| -2.0 * bank[m * depth + d]).collect();
    let norms: Vec<f32> = bank.chunks(depth).map(|row| row.iter().map(|b| b * b).sum()).collect();
    let bank = net.constant(&[depth, rows], &transposed);
    let norms = net.constant(&[1, rows], &norms);
    let flat = net.constant_i64(&[depth as i64, (side * side) as i64]);
    let planes = net.node("Reshape", &[&features, &flat], vec![]);
    let queries = net.node("Transpose", &[&planes], vec![ints("perm", &[1, 0])]);
    let products = net.node("MatMul", &[&queries, &bank], vec![]);
    let partial = net.node("Add", &[&products, &norms], vec![]);
    let least = net.node("ReduceMin", &[&partial], vec![ints("axes", &[1]), int("keepdims", 1)]);
    let squares = net.node("Mul", &[&queries, &queries], vec![]);
    let axis = net.constant_i64(&[1]);
    let lengths = net.node("ReduceSum", &[&squares, &axis], vec![int("keepdims", 1)]);
    let squared = net.node("Add", &[&least, &lengths], vec![]);
    let positive = net.node("Relu", &[&squared], vec![]);
    let distance = net.node("Sqrt", &[&positive], vec![]);
    let shape = net.constant_i64(&[1, 1, side as i64, side as i64]);
    let map = net.node("Reshape", &[&distance, &shape], vec![]);
    let sizes = net.constant_i64(&[1, 1, 4 * side as i64, 4 * side as i64]);
    let map = net.node("Resize", &[&map, "", "", &sizes], vec![string("mode", "linear")]);
    net.output(&map);
    let axes = vec![ints("axes", &[1, 2, 3]), int("keepdims", 0)];
    let score = net.node("ReduceMax", &[&map], axes);
    net.output(&score);
    net.model()
}

/// A random graph: convolutions, pools, arithmetic and moves in a row with branches. Answers with its input's shape too.
pub fn random(seed: u64) -> (ModelProto, Vec<usize>) {
    let mut random = Random(seed);
    let (c, h, w) = (random.range(1, 9), random.range(5, 24), random.range(5, 24));
    let shape = vec![1, c, h, w];
    let mut net = Net::new(seed ^ 0xabcd, &shape);
    // What may be read: name, channels, height, width.
    let mut pool = vec![("image".to_string(), c, h, w)];
    for _ in 0..random.range(3, 9) {
        let (x, c, h, w) = pool[pool.len() - 1 - random.below(pool.len().min(3))].clone();
        let next = grow(&mut net, &mut random, &pool, &x, [c, h, w]);
        pool.extend(next);
    }
    let last = pool[pool.len() - 1].0.clone();
    net.output(&last);
    if pool.len() > 3 {
        let middle = pool[pool.len() / 2].0.clone();
        if middle != last {
            net.output(&middle);
        }
    }
    (net.model(), shape)
}

type Named = (String, usize, usize, usize);

fn grow(net: &mut Net, random: &mut Random, pool: &[Named], x: &str, [c, h, w]: [usize; 3]) -> Option<Named> {
    match random.below(12) {
        0..=3 => {
            let k = [[1, 1], [3, 3], [5, 5], [1, 3], [2, 2]][random.below(5)];
            let stride = random.range(1, 2);
            let pads = if random.below(3) == 0 {
                [k[0] / 2, 0, 0, k[1] / 2]
            } else {
                [k[0] / 2, k[1] / 2, k[0] / 2, k[1] / 2]
            };
            let (ph, pw) = (h + pads[0] + pads[2], w + pads[1] + pads[3]);
            if ph < k[0] || pw < k[1] {
                return None;
            }
            let depthwise = random.below(3) == 0;
            let co = if depthwise { c } else { random.range(1, 20) };
            let y = net.conv(x, c, co, k, stride, pads, if depthwise { c } else { 1 });
            Some((y, co, (ph - k[0]) / stride + 1, (pw - k[1]) / stride + 1))
        }
        4 => Some((net.node("Relu", &[x], vec![]), c, h, w)),
        5 => Some((net.relu6(x), c, h, w)),
        6 => {
            let same: Vec<&Named> = pool.iter().filter(|p| (p.1, p.2, p.3) == (c, h, w)).collect();
            let other = same[random.below(same.len())].0.clone();
            Some((net.node("Add", &[x, &other], vec![]), c, h, w))
        }
        7 if h > 2 && w > 2 => {
            let op = ["MaxPool", "AveragePool"][random.below(2)];
            let attributes = vec![ints("kernel_shape", &[3, 3]), ints("strides", &[2, 2]), ints("pads", &[1; 4])];
            Some((net.node(op, &[x], attributes), c, (h - 1) / 2 + 1, (w - 1) / 2 + 1))
        }
        8 => {
            let same: Vec<&Named> = pool.iter().filter(|p| (p.2, p.3) == (h, w)).collect();
            let (other, more, ..) = same[random.below(same.len())].clone();
            Some((net.node("Concat", &[x, &other], vec![int("axis", 1)]), c + more, h, w))
        }
        9 if h < 40 && w < 40 => {
            let sizes = net.constant_i64(&[1, c as i64, 2 * h as i64, w as i64 + 3]);
            let mode = ["nearest", "linear"][random.below(2)];
            let attributes = vec![
                string("mode", mode),
                string("coordinate_transformation_mode", "asymmetric"),
                string("nearest_mode", "floor"),
            ];
            Some((net.node("Resize", &[x, "", "", &sizes], attributes), c, 2 * h, w + 3))
        }
        10 => {
            let factor = net.noise(&[1, c, 1, 1], 1.0);
            Some((net.node("Mul", &[x, &factor], vec![]), c, h, w))
        }
        _ => Some((net.node(["Sigmoid", "Tanh", "HardSwish", "Abs"][random.below(4)], &[x], vec![]), c, h, w)),
    }
}
