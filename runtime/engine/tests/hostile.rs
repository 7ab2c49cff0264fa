//! Bytes from outside never panic the caller, and each error names what is wrong.

mod common;

use common::{Net, Random, ints, string};
use jidoka_engine::onnx::{self, tensor_shape_proto::dimension::Value, type_proto};
use jidoka_engine::{Error, Model, Options, ReadOptions, Session};

fn good() -> onnx::ModelProto {
    let mut net = Net::new(5, &[1, 3, 8, 8]);
    let x = net.conv("image", 3, 4, [3, 3], 1, [1; 4], 1);
    let x = net.node("Relu", &[&x], vec![]);
    net.output(&x);
    net.model()
}

fn refused(proto: &onnx::ModelProto, words: &[&str]) -> Error {
    let error = Model::from_bytes("part.onnx", &onnx::encode(proto)).expect_err("must be refused");
    let text = error.to_string();
    for word in ["part.onnx"].iter().chain(words) {
        assert!(text.contains(word), "`{word}` is not in: {text}");
    }
    error
}

fn set_dim(proto: &mut onnx::ModelProto, axis: usize, value: Option<Value>) {
    let kind = proto.graph.as_mut().unwrap().input[0].r#type.as_mut().unwrap().value.as_mut().unwrap();
    let type_proto::Value::TensorType(tensor) = kind;
    tensor.shape.as_mut().unwrap().dim[axis].value = value;
}

#[test]
fn a_truncated_file_is_no_model() {
    let bytes = onnx::encode(&good());
    for length in [0, 1, 7, bytes.len() / 3, bytes.len() / 2, bytes.len() - 1] {
        let error = Model::from_bytes("part.onnx", &bytes[..length]).expect_err("truncated");
        assert!(error.to_string().contains("part.onnx"), "{error}");
    }
    assert!(matches!(Model::from_bytes("x", b"\x89PNG\r\n\x1a\n"), Err(Error::NotOnnx { .. })));
}

#[test]
fn a_missing_file_is_named() {
    let error = Model::read(std::path::Path::new("/nowhere/part.onnx")).expect_err("missing");
    assert!(matches!(&error, Error::Read { .. }) && error.to_string().contains("/nowhere/part.onnx"), "{error}");
}

#[test]
fn no_or_two_inputs_are_refused() {
    let mut proto = good();
    let second = onnx::ValueInfoProto { name: "mask".into(), ..proto.graph.as_ref().unwrap().input[0].clone() };
    proto.graph.as_mut().unwrap().input.push(second);
    assert!(matches!(refused(&proto, &["image", "mask"]), Error::Inputs { .. }));
    proto.graph.as_mut().unwrap().input.clear();
    refused(&proto, &["0 inputs"]);
}

#[test]
fn open_sizes_are_refused_unless_given() {
    let mut proto = good();
    set_dim(&mut proto, 0, Some(Value::DimParam("batch".into())));
    let model = Model::from_bytes("part.onnx", &onnx::encode(&proto)).expect("an open batch is 1");
    assert_eq!(model.inputs()[0].shape, [1, 3, 8, 8]);
    set_dim(&mut proto, 2, Some(Value::DimParam("height".into())));
    assert!(matches!(refused(&proto, &["image", "height"]), Error::DynamicInput { .. }));
    let bytes = onnx::encode(&proto);
    let options = ReadOptions { input_shape: Some(vec![1, 3, 16, 12]) };
    let model = Model::from_bytes_with("part.onnx", &bytes, &options).expect("given");
    assert_eq!(model.outputs()[0].shape, [1, 4, 16, 12]);
    let options = ReadOptions { input_shape: Some(vec![3, 16]) };
    assert!(matches!(Model::from_bytes_with("x", &bytes, &options), Err(Error::InputSize { .. })));
}

#[test]
fn an_unknown_operator_is_named_with_its_node() {
    let mut proto = good();
    proto.graph.as_mut().unwrap().node[1].op_type = "Frobnicate".into();
    assert!(matches!(refused(&proto, &["Frobnicate", "relu"]), Error::UnsupportedOp { .. }));
}

#[test]
fn bad_wiring_is_named() {
    let mut proto = good();
    proto.graph.as_mut().unwrap().node[1].input[0] = "nothing".into();
    refused(&proto, &["nothing"]);
    let mut proto = good();
    let last = proto.graph.as_ref().unwrap().node[1].output[0].clone();
    proto.graph.as_mut().unwrap().node[0].input[0] = last;
    refused(&proto, &["cycle"]);
    let mut proto = good();
    proto.graph.as_mut().unwrap().output[0].name = "elsewhere".into();
    refused(&proto, &["elsewhere"]);
}

#[test]
fn constants_that_lie_about_their_size_are_named() {
    let mut proto = good();
    proto.graph.as_mut().unwrap().initializer[0].dims[0] = 5;
    refused(&proto, &["c1", "elements"]);
    for dims in [vec![-1, 3, 3, 3], vec![i64::MAX, 2, 2, 2], vec![1 << 40, 3, 3, 3]] {
        let mut proto = good();
        proto.graph.as_mut().unwrap().initializer[0].dims = dims;
        refused(&proto, &["c1"]);
    }
}

#[test]
fn shapes_that_do_not_fit_are_errors() {
    let mut net = Net::new(6, &[1, 3, 8, 8]);
    let x = net.conv("image", 5, 4, [3, 3], 1, [1; 4], 1);
    net.output(&x);
    refused(&net.model(), &[]);
    let mut net = Net::new(6, &[1, 3, 8, 8]);
    let x = net.node("Transpose", &["image"], vec![ints("perm", &[0, 1, 9, 2])]);
    net.output(&x);
    refused(&net.model(), &[]);
}

#[test]
fn sizes_that_no_machine_can_hold_are_named() {
    const HUGE: i64 = 1 << 50;
    let one_node = |make: &dyn Fn(&mut Net) -> String| {
        let mut net = Net::new(6, &[1, 3, 8, 8]);
        let x = make(&mut net);
        net.output(&x);
        refused(&net.model(), &["node", "elements"]);
    };
    one_node(&|net| {
        let scales = net.constant(&[4], &[1.0, 1.0, 2e15, 1.0]);
        net.node("Resize", &["image", "", &scales], vec![string("mode", "nearest")])
    });
    one_node(&|net| {
        let sizes = net.constant_i64(&[1, 3, HUGE, 8]);
        net.node("Resize", &["image", "", "", &sizes], vec![string("mode", "linear")])
    });
    for op in ["Expand", "Tile"] {
        one_node(&|net| {
            let sizes = net.constant_i64(&[1, 1, 1 << 20, 1 << 20]);
            net.node(op, &["image", &sizes], vec![])
        });
    }
    one_node(&|net| {
        let sizes = net.constant_i64(&[HUGE, 1]);
        let ones = net.node("ConstantOfShape", &[&sizes], vec![]);
        net.node("Add", &["image", &ones], vec![])
    });
    one_node(&|net| {
        let pads = net.constant_i64(&[0, 0, 0, 0, 0, 0, HUGE, 0]);
        net.node("Pad", &["image", &pads], vec![])
    });
    // Each asks for little, together they ask for too much: found when the graph is typed.
    one_node(&|net| {
        let sizes = net.constant_i64(&[1 << 12, 1, 1, 1]);
        let tall = net.node("Tile", &["image", &sizes], vec![]);
        let sizes = net.constant_i64(&[1, 1 << 12, 1, 1]);
        net.node("Tile", &[&tall, &sizes], vec![])
    });
}

#[test]
fn a_fallback_is_refused_by_name_when_strict() {
    let mut net = Net::new(6, &[1, 3, 8, 8]);
    let axis = net.constant_i64(&[2]);
    net.graph.initializer[0].dims.clear();
    let x = net.node("CumSum", &["image", &axis], vec![]);
    net.output(&x);
    let model = Model::from_bytes("part.onnx", &onnx::encode(&net.model())).expect("reads");
    let Err(error) = Session::new(&model, &Options { strict: true, ..Options::default() }) else {
        panic!("strict must refuse it")
    };
    assert!(error.to_string().contains("cumsum2_node"), "{error}");
    Session::new(&model, &Options::default()).expect("runs when not strict");
}

/// Flips and cuts bytes of a good file: whatever comes out, nobody panics.
#[test]
fn mangled_files_never_panic() {
    let bytes = onnx::encode(&good());
    for seed in 0..300 {
        let mut random = Random(seed);
        let mut mangled = bytes.clone();
        for _ in 0..random.range(1, 6) {
            let at = random.below(mangled.len());
            mangled[at] = random.next() as u8;
        }
        if let Ok(model) = Model::from_bytes("mangled.onnx", &mangled) {
            let _ = Session::new(&model, &Options::default());
        }
    }
}
