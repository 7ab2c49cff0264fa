//! An `If` whose condition follows from the input's size is decided before the graph is typed.

mod common;

use common::{Net, Random, int, ints, ours};
use jidoka_engine::onnx::{AttributeProto, GraphProto, NodeProto, ValueInfoProto, attribute_proto::AttributeType};
use jidoka_engine::{Model, Options, onnx};

/// A branch that applies one operator to the outer tensor `x`.
fn branch(name: &str, op: &str, x: &str, attribute: Vec<AttributeProto>) -> AttributeProto {
    let node = NodeProto {
        name: "inner".into(),
        op_type: op.into(),
        input: vec![x.into()],
        output: vec!["inner_out".into()],
        attribute,
        ..Default::default()
    };
    let output = vec![ValueInfoProto { name: "inner_out".into(), ..Default::default() }];
    let graph = GraphProto { name: name.into(), node: vec![node], output, ..Default::default() };
    AttributeProto { name: name.into(), r#type: AttributeType::Graph as i32, g: Some(graph), ..Default::default() }
}

/// As CFLOW's exports: does this axis have length one? Then squeeze it, else leave it.
fn net(axis: i64) -> Net {
    let mut net = Net::new(3, &[1, 3, 6, 5]);
    let shape = net.node("Shape", &["image"], vec![]);
    let which = net.constant_i64(&[axis]);
    let length = net.node("Gather", &[&shape, &which], vec![int("axis", 0)]);
    let one = net.constant_i64(&[1]);
    let is_one = net.node("Equal", &[&length, &one], vec![]);
    let negative = net.node("Neg", &["image"], vec![]);
    let then = branch("then_branch", "Flatten", &negative, vec![int("axis", 1)]);
    let other = branch("else_branch", "Abs", &negative, vec![]);
    let chosen = net.node("If", &[&is_one], vec![then, other]);
    let out = net.node("Relu", &[&chosen], vec![]);
    net.output(&out);
    net
}

#[test]
fn the_branch_follows_from_the_input_size() {
    let input = Random(5).floats(3 * 6 * 5, 1.0);
    let (session, got) = ours(&net(0).model(), &input, &Options { strict: true, ..Options::default() });
    assert_eq!(session.outputs()[0].shape, [1, 90]);
    assert_eq!(got[0], input.iter().map(|v| (-v).max(0.0)).collect::<Vec<_>>());
    let (session, got) = ours(&net(2).model(), &input, &Options { strict: true, ..Options::default() });
    assert_eq!(session.outputs()[0].shape, [1, 3, 6, 5]);
    assert_eq!(got[0], input.iter().map(|v| v.abs()).collect::<Vec<_>>());
}

#[test]
fn a_condition_that_depends_on_the_image_is_refused_or_runs_but_never_panics() {
    let mut net = Net::new(3, &[1, 3, 6, 5]);
    let sum = net.node("ReduceSum", &["image"], vec![int("keepdims", 0)]);
    let zero = net.constant(&[], &[0.0]);
    let positive = net.node("Greater", &[&sum, &zero], vec![]);
    let then = branch("then_branch", "Flatten", "image", vec![int("axis", 1)]);
    let other = branch("else_branch", "Transpose", "image", vec![ints("perm", &[0, 1, 3, 2])]);
    let out = net.node("If", &[&positive], vec![then, other]);
    net.output(&out);
    if let Err(error) = Model::from_bytes("part.onnx", &onnx::encode(&net.model())) {
        assert!(error.to_string().contains("part.onnx"), "{error}");
    }
}
