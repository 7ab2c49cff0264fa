//! Ours against tract's own run: every operator with a step, on ugly shapes.

mod common;

use common::{Net, check, float, int, ints, string};

fn one(label: &str, shape: &[usize], build: impl Fn(&mut Net) -> String) {
    let mut net = Net::new(7, shape);
    let out = build(&mut net);
    net.output(&out);
    let session = check(label, &net.model(), shape, 7);
    assert!(session.fallbacks().is_empty(), "{label} falls back: {:?}", session.fallbacks());
}

#[test]
fn convolutions_of_all_geometries() {
    type Case = (usize, usize, [usize; 2], [usize; 2], usize, [usize; 4], usize, usize);
    let cases: &[Case] = &[
        // in, out, image, kernel, stride, pads, group, dilation
        (3, 8, [9, 11], [3, 3], 1, [1, 1, 1, 1], 1, 1),
        (1, 1, [1, 1], [1, 1], 1, [0, 0, 0, 0], 1, 1),
        (5, 7, [13, 17], [3, 5], 2, [1, 2, 0, 1], 1, 1),
        (4, 6, [12, 12], [3, 3], 1, [2, 2, 2, 2], 2, 2),
        (16, 33, [7, 7], [1, 1], 1, [0, 0, 0, 0], 1, 1),
        (16, 16, [14, 14], [1, 1], 2, [0, 0, 0, 0], 1, 1),
        (8, 8, [10, 6], [3, 3], 1, [1, 1, 1, 1], 8, 1),
        (8, 8, [11, 7], [5, 5], 2, [2, 2, 2, 2], 8, 1),
        (6, 12, [8, 8], [3, 3], 1, [0, 0, 0, 0], 6, 1),
        (3, 64, [33, 33], [7, 7], 2, [3, 3, 3, 3], 1, 1),
        (64, 64, [14, 14], [3, 3], 1, [1, 1, 1, 1], 1, 1),
        (2, 3, [5, 31], [4, 1], 3, [3, 0, 1, 0], 1, 1),
    ];
    for (ci, co, hw, k, stride, pads, group, dilation) in cases {
        let label = format!("{ci}->{co} {hw:?} k{k:?} s{stride} p{pads:?} g{group} d{dilation}");
        one(&label, &[1, *ci, hw[0], hw[1]], |net| {
            net.conv_dilated("image", *ci, *co, *k, *stride, *pads, *group, *dilation)
        });
    }
}

#[test]
fn convolutions_of_a_batch() {
    one("batch", &[3, 4, 6, 5], |net| {
        let x = net.conv("image", 4, 6, [3, 3], 1, [1; 4], 1);
        let x = net.node("Relu", &[&x], vec![]);
        net.conv(&x, 6, 6, [3, 3], 1, [1; 4], 6)
    });
}

#[test]
fn padding_is_shared_by_readers() {
    one("residual", &[1, 8, 9, 9], |net| {
        let x = net.conv("image", 8, 8, [3, 3], 1, [1; 4], 1);
        let x = net.relu6(&x);
        let y = net.conv(&x, 8, 8, [5, 5], 1, [2; 4], 1);
        let z = net.conv(&x, 8, 8, [1, 1], 1, [0; 4], 1);
        let sum = net.node("Add", &[&y, &z], vec![]);
        let sum = net.node("Add", &[&sum, &x], vec![]);
        let sum = net.node("Relu", &[&sum], vec![]);
        net.conv(&sum, 8, 4, [3, 3], 2, [1; 4], 1)
    });
}

#[test]
fn pools() {
    for include in [0, 1] {
        for (k, s, pads) in [(2, 2, [0; 4]), (3, 1, [1; 4]), (3, 2, [1, 0, 1, 1]), (5, 3, [2; 4]), (7, 1, [3; 4])] {
            one(&format!("average {k} {s} {pads:?} {include}"), &[1, 5, 13, 9], |net| {
                let attributes = vec![
                    ints("kernel_shape", &[k, k]),
                    ints("strides", &[s, s]),
                    ints("pads", &pads),
                    int("count_include_pad", include),
                ];
                net.node("AveragePool", &["image"], attributes)
            });
            one(&format!("max {k} {s} {pads:?}"), &[1, 5, 13, 9], |net| {
                let attributes = vec![ints("kernel_shape", &[k, k]), ints("strides", &[s, s]), ints("pads", &pads)];
                net.node("MaxPool", &["image"], attributes)
            });
        }
    }
    one("max after relu", &[1, 4, 12, 12], |net| {
        let x = net.conv("image", 4, 8, [3, 3], 2, [1; 4], 1);
        let x = net.node("Relu", &[&x], vec![]);
        net.node("MaxPool", &[&x], vec![ints("kernel_shape", &[3, 3]), ints("strides", &[2, 2]), ints("pads", &[1; 4])])
    });
    one("global", &[1, 5, 7, 3], |net| net.node("GlobalAveragePool", &["image"], vec![]));
    one("global max", &[1, 5, 7, 3], |net| net.node("GlobalMaxPool", &["image"], vec![]));
}

#[test]
fn arithmetic() {
    for op in [
        "Neg",
        "Abs",
        "Exp",
        "Sigmoid",
        "Tanh",
        "Erf",
        "Floor",
        "Ceil",
        "Relu",
        "HardSwish",
        "Softplus",
        "Elu",
        "Selu",
        "Celu",
        "Softsign",
        "HardSigmoid",
        "Mish",
        "Gelu",
        "Round",
        "Sign",
        "Sin",
        "Cos",
        "Tan",
        "Asin",
        "Acos",
        "Atan",
        "Sinh",
        "Cosh",
        "Asinh",
    ] {
        one(op, &[1, 3, 5, 7], |net| net.node(op, &["image"], vec![]));
    }
    for op in ["Sqrt", "Log", "Reciprocal"] {
        one(op, &[2, 3, 37], |net| {
            let half = net.constant(&[], &[1.5]);
            let x = net.node("Add", &["image", &half], vec![]);
            net.node(op, &[&x], vec![])
        });
    }
    one("leaky", &[1, 3, 5, 7], |net| net.node("LeakyRelu", &["image"], vec![float("alpha", 0.2)]));
    for op in ["Add", "Sub", "Mul", "Div"] {
        for shape in [&[1, 3, 1, 1][..], &[3, 5, 7], &[7], &[1], &[5, 1]] {
            one(&format!("{op} {shape:?}"), &[1, 3, 5, 7], |net| {
                let values: Vec<f32> = net.random.floats(shape.iter().product(), 1.0);
                let c = net.constant(shape, &values.iter().map(|v| v + 2.0).collect::<Vec<_>>());
                net.node(op, &["image", &c], vec![])
            });
            one(&format!("{op} {shape:?} left"), &[1, 3, 5, 7], |net| {
                let two = net.constant(&[], &[2.0]);
                let x = net.node("Add", &["image", &two], vec![]);
                let c = net.noise(shape, 1.0);
                net.node(op, &[&c, &x], vec![])
            });
        }
    }
    one("normalise", &[1, 3, 8, 8], |net| {
        let (mean, std) =
            (net.constant(&[1, 3, 1, 1], &[0.4, 0.5, 0.6]), net.constant(&[1, 3, 1, 1], &[0.2, 0.3, 0.4]));
        let x = net.node("Sub", &["image", &mean], vec![]);
        net.node("Div", &[&x, &std], vec![])
    });
    one("batch norm", &[1, 4, 5, 5], |net| {
        let params: Vec<String> = (0..3).map(|_| net.noise(&[4], 1.0)).collect();
        let var = net.constant(&[4], &[0.5, 1.0, 2.0, 0.1]);
        let x = net.node("Sigmoid", &["image"], vec![]);
        net.node("BatchNormalization", &[&x, &params[0], &params[1], &params[2], &var], vec![])
    });
}

/// What gives truth values, as numbers.
#[test]
fn comparisons_and_choices() {
    for op in ["Greater", "Less", "GreaterOrEqual", "LessOrEqual", "Equal"] {
        for shape in [&[1, 3, 5, 7][..], &[3, 1, 1], &[]] {
            one(&format!("{op} {shape:?}"), &[1, 3, 5, 7], |net| {
                let other = net.noise(shape, 0.5);
                let condition = net.node(op, &["image", &other], vec![]);
                let no = net.node("Not", &[&condition], vec![]);
                let both = net.node("Xor", &[&condition, &no], vec![]);
                let all = net.node("And", &[&both, &condition], vec![]);
                net.node("Cast", &[&all], vec![int("to", 1)])
            });
            one(&format!("Where {op} {shape:?}"), &[1, 3, 5, 7], |net| {
                let other = net.noise(shape, 0.5);
                let condition = net.node(op, &["image", &other], vec![]);
                let half = net.node("Sigmoid", &["image"], vec![]);
                net.node("Where", &[&condition, &half, &other], vec![])
            });
        }
    }
}

#[test]
fn elements_by_number() {
    for (axis, last) in [(1, 0), (2, 1), (-1, 0)] {
        for op in ["ArgMax", "ArgMin"] {
            one(&format!("{op} {axis} {last}"), &[2, 5, 3, 4], |net| {
                let attributes = vec![int("axis", axis), int("keepdims", 0), int("select_last_index", last)];
                let x = net.node(op, &["image"], attributes);
                net.node("Cast", &[&x], vec![int("to", 1)])
            });
        }
    }
    for (axis, largest, k) in [(1, 1, 3), (3, 0, 1), (2, 1, 5)] {
        one(&format!("TopK {axis} {largest} {k}"), &[1, 4, 5, 7], |net| {
            let x = net.conv("image", 4, 4, [3, 3], 1, [1; 4], 1);
            let k = net.constant_i64(&[k]);
            let values = net.node("TopK", &[&x, &k], vec![int("axis", axis), int("largest", largest)]);
            net.graph.node.last_mut().expect("just added").output.push("numbers".into());
            let numbers = net.node("Cast", &["numbers"], vec![int("to", 1)]);
            net.output(&numbers);
            values
        });
    }
    for axis in [0, 1, 3] {
        one(&format!("Gather {axis}"), &[3, 4, 5, 6], |net| {
            let numbers = net.constant_i64(&[2, 0, -1, 2]);
            net.node("Gather", &["image", &numbers], vec![int("axis", axis)])
        });
    }
    one("the row of a table that is nearest", &[6, 9], |net| {
        let best = net.node("ArgMax", &["image"], vec![int("axis", 1), int("keepdims", 0)]);
        let table = net.noise(&[9, 4], 1.0);
        net.node("Gather", &[&table, &best], vec![int("axis", 0)])
    });
    one("elements of each row", &[6, 9], |net| {
        let best = net.node("ArgMax", &["image"], vec![int("axis", 1), int("keepdims", 1)]);
        net.node("GatherElements", &["image", &best], vec![int("axis", 1)])
    });
    one("points", &[6, 9], |net| {
        let best = net.node("ArgMax", &["image"], vec![int("axis", 1), int("keepdims", 1)]);
        let table = net.noise(&[6, 9, 3], 1.0);
        net.node("GatherND", &[&table, &best], vec![int("batch_dims", 1)])
    });
}

#[test]
fn normalisations() {
    one("layer norm", &[2, 5, 12], |net| {
        let (scale, bias) = (net.noise(&[12], 1.0), net.noise(&[12], 1.0));
        net.node("LayerNormalization", &["image", &scale, &bias], vec![int("axis", -1)])
    });
    one("instance norm", &[1, 5, 6, 7], |net| {
        let (scale, bias) = (net.noise(&[5], 1.0), net.noise(&[5], 1.0));
        net.node("InstanceNormalization", &["image", &scale, &bias], vec![])
    });
    one("length", &[2, 5, 12], |net| net.node("LpNormalization", &["image"], vec![int("axis", 1), int("p", 2)]));
    one("log softmax", &[2, 5, 12], |net| net.node("LogSoftmax", &["image"], vec![int("axis", 1)]));
}

#[test]
fn matrix_products() {
    one("gemm", &[5, 33], |net| {
        let (w, b) = (net.noise(&[17, 33], 0.3), net.noise(&[17], 0.3));
        net.node("Gemm", &["image", &w, &b], vec![int("transB", 1)])
    });
    one("constant right", &[2, 7, 12], |net| {
        let w = net.noise(&[12, 9], 0.3);
        net.node("MatMul", &["image", &w], vec![])
    });
    one("constant left", &[3, 12, 11], |net| {
        let w = net.noise(&[5, 12], 0.3);
        net.node("MatMul", &[&w, "image"], vec![])
    });
    one("attention", &[2, 9, 8], |net| {
        let t = net.node("Transpose", &["image"], vec![ints("perm", &[0, 2, 1])]);
        let s = net.node("MatMul", &["image", &t], vec![]);
        let s = net.node("Softmax", &[&s], vec![int("axis", -1)]);
        net.node("MatMul", &[&s, "image"], vec![])
    });
    one("einsum", &[2, 3, 4, 5], |net| {
        let w = net.noise(&[5, 6], 0.5);
        net.node("Einsum", &["image", &w], vec![string("equation", "nchw,wk->nkhc")])
    });
}

#[test]
fn moves() {
    one("transpose", &[2, 3, 4, 5], |net| net.node("Transpose", &["image"], vec![ints("perm", &[0, 2, 3, 1])]));
    one("flatten", &[1, 3, 4, 5], |net| {
        let x = net.conv("image", 3, 4, [3, 3], 1, [1; 4], 1);
        net.node("Flatten", &[&x], vec![int("axis", 1)])
    });
    one("concat", &[1, 3, 4, 5], |net| {
        let x = net.conv("image", 3, 4, [3, 3], 1, [1; 4], 1);
        let y = net.node("Concat", &[&x, "image", &x], vec![int("axis", 1)]);
        net.conv(&y, 11, 2, [3, 3], 1, [1; 4], 1)
    });
    one("slice", &[1, 6, 9, 9], |net| {
        let [s, e, a] = [[1, 2, 0], [4, 9, 7], [1, 2, 3]].map(|v| net.constant_i64(&v));
        net.node("Slice", &["image", &s, &e, &a], vec![])
    });
    for mode in ["constant", "reflect", "edge"] {
        one(mode, &[1, 2, 6, 5], |net| {
            let pads = net.constant_i64(&[0, 0, 2, 1, 0, 0, 1, 3]);
            let x = net.node("Pad", &["image", &pads], vec![string("mode", mode)]);
            net.conv(&x, 2, 3, [3, 3], 1, [0; 4], 1)
        });
    }
    one("expand", &[1, 3, 1, 5], |net| {
        let shape = net.constant_i64(&[2, 3, 4, 5]);
        net.node("Expand", &["image", &shape], vec![])
    });
    one("reshape", &[1, 4, 6, 6], |net| {
        let shape = net.constant_i64(&[1, 2, 2, 36]);
        let x = net.node("Reshape", &["image", &shape], vec![]);
        let x = net.node("Transpose", &[&x], vec![ints("perm", &[0, 2, 1, 3])]);
        let back = net.constant_i64(&[1, 4, 6, 6]);
        let x = net.node("Reshape", &[&x, &back], vec![]);
        net.conv(&x, 4, 4, [3, 3], 1, [1; 4], 1)
    });
}

#[test]
fn resampling() {
    for mode in ["nearest", "linear"] {
        for (coordinates, rounding) in [
            ("half_pixel", "round_prefer_ceil"),
            ("align_corners", "floor"),
            ("asymmetric", "floor"),
            ("pytorch_half_pixel", "floor"),
        ] {
            for size in [[14, 10], [7, 5], [20, 13], [3, 9]] {
                one(&format!("{mode} {coordinates} {size:?}"), &[1, 3, 7, 5], |net| {
                    let sizes = net.constant_i64(&[1, 3, size[0], size[1]]);
                    let attributes = vec![
                        string("mode", mode),
                        string("coordinate_transformation_mode", coordinates),
                        string("nearest_mode", rounding),
                    ];
                    net.node("Resize", &["image", "", "", &sizes], attributes)
                });
            }
        }
    }
}

#[test]
fn reductions() {
    for op in ["ReduceMean", "ReduceMax", "ReduceMin", "ReduceSum", "ReduceL2", "ReduceSumSquare", "ReduceProd"] {
        for axes in [&[1][..], &[2, 3], &[3], &[1, 2, 3], &[0, 2]] {
            for keep in [0, 1] {
                one(&format!("{op} {axes:?} {keep}"), &[2, 3, 5, 7], |net| {
                    if op == "ReduceSum" {
                        let axes = net.constant_i64(axes);
                        net.node(op, &["image", &axes], vec![int("keepdims", keep)])
                    } else {
                        net.node(op, &["image"], vec![ints("axes", axes), int("keepdims", keep)])
                    }
                });
            }
        }
    }
    for axis in [1, 2, -1] {
        one(&format!("softmax {axis}"), &[2, 5, 3, 4], |net| net.node("Softmax", &["image"], vec![int("axis", axis)]));
    }
}
