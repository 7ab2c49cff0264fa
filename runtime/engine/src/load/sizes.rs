//! No tensor is larger than a machine can hold: told by a constant, or found when the graph is typed.
//!
//! A size that a file asks for is a number anyone can write. tract allocates what it is told to, and an allocation that fails
//! ends the process, so such numbers are refused before tract sees them, and once more before it folds what it typed.

use super::constants;
use super::qlinear::label;
use crate::Error;
use crate::onnx::{GraphProto, NodeProto, TensorProto};
use std::collections::HashMap;
use tract_onnx::prelude::{TractResult, TypedModel};

/// No activation or constant of an edge model is larger (elements).
pub(super) const MAX_ELEMENTS: usize = 1 << 30;

/// A shape, a list of scales or of pads has no more entries than this.
const MAX_RANK: i64 = 64;

/// Refuses nodes whose constants ask for more than [`MAX_ELEMENTS`], by name; branches of an `If` included.
pub(super) fn told(model: &str, graph: &GraphProto) -> Result<(), Error> {
    let mut known: HashMap<&str, Vec<f64>> = HashMap::new();
    let mut nodes: Vec<&NodeProto> = Vec::new();
    let mut graphs = vec![graph];
    while let Some(graph) = graphs.pop() {
        known.extend(graph.initializer.iter().filter_map(|t| Some((t.name.as_str(), numbers(t)?))));
        for node in &graph.node {
            if let Some(value) = constant_node(node) {
                known.extend(node.output.first().map(|name| (name.as_str(), value)));
            }
            graphs.extend(node.attribute.iter().filter_map(|a| a.g.as_ref()));
            nodes.push(node);
        }
    }
    let too_many = |asked: &f64| *asked > MAX_ELEMENTS as f64;
    match nodes.into_iter().find_map(|node| Some((node, asked(node, &known).filter(too_many)?))) {
        None => Ok(()),
        Some((node, asked)) => Err(Error::Invalid {
            model: model.into(),
            place: format!("node `{}`", label(node)),
            detail: format!("its constants ask for {asked:.3e} elements; at most {MAX_ELEMENTS} are expected"),
        }),
    }
}

/// Refuses a typed graph with a tensor of more than [`MAX_ELEMENTS`]. Sizes that depend on the data are refused elsewhere.
pub(super) fn typed(graph: &TypedModel) -> TractResult<()> {
    for node in &graph.nodes {
        for output in &node.outputs {
            let Some(shape) = output.fact.shape.as_concrete() else { continue };
            let volume = shape.iter().try_fold(1usize, |product, dim| product.checked_mul(*dim));
            if volume.is_none_or(|volume| volume > MAX_ELEMENTS) {
                return Err(tract_core::internal::anyhow!(
                    "the node `{}` has an output of {shape:?}; at most {MAX_ELEMENTS} elements are expected",
                    node.name
                ));
            }
        }
    }
    Ok(())
}

/// The elements that a node's constants alone ask for; none where they ask for nothing.
fn asked(node: &NodeProto, known: &HashMap<&str, Vec<f64>>) -> Option<f64> {
    let input = |index: usize| known.get(node.input.get(index)?.as_str());
    let list = |index: usize, attribute: &str| {
        input(index).cloned().or_else(|| {
            let found = node.attribute.iter().find(|a| a.name == attribute)?;
            let ints = found.ints.iter().map(|v| *v as f64);
            Some(ints.chain(found.floats.iter().map(|v| f64::from(*v))).collect())
        })
    };
    // -1 and 0 stand for sizes that follow from others.
    let product = |sizes: &[f64]| sizes.iter().map(|size| size.max(1.0)).product::<f64>();
    match node.op_type.as_str() {
        "ConstantOfShape" => Some(product(input(0)?)),
        "Expand" | "Reshape" | "Tile" | "OneHot" => Some(product(input(1)?)),
        "Upsample" => Some(product(&list(1, "scales")?)),
        // Scales moved from the second input to the third with opset 11; a region of interest is never as large.
        "Resize" => (1..4).filter_map(|index| Some(product(input(index)?))).reduce(f64::max),
        "Pad" => Some(list(1, "pads")?.iter().map(|pad| pad.abs()).fold(0.0, f64::max)),
        "Range" => {
            let [start, limit, delta] = [0, 1, 2].map(|index| input(index).and_then(|v| v.first()));
            Some(((limit? - start?) / delta?).max(0.0))
        }
        _ => None,
    }
}

/// What a `Constant` node holds, in each of the ways it may.
fn constant_node(node: &NodeProto) -> Option<Vec<f64>> {
    if node.op_type != "Constant" {
        return None;
    }
    node.attribute.iter().find_map(|a| match a.name.as_str() {
        "value" => numbers(a.t.as_ref()?),
        "value_int" => Some(vec![a.i as f64]),
        "value_float" => Some(vec![f64::from(a.f)]),
        "value_ints" => Some(a.ints.iter().map(|v| *v as f64).collect()),
        "value_floats" => Some(a.floats.iter().map(|v| f64::from(*v)).collect()),
        _ => None,
    })
}

/// A short constant's numbers, of the types that sizes and scales have.
fn numbers(tensor: &TensorProto) -> Option<Vec<f64>> {
    let held = tensor.dims.iter().try_fold(1i64, |product, dim| product.checked_mul(*dim));
    if held.is_none_or(|held| held > MAX_RANK) {
        return None;
    }
    let real = || Some(constants::floats(tensor)?.into_iter().map(f64::from).collect());
    let short = || Some(constants::int32s(tensor)?.into_iter().map(f64::from).collect());
    let long = || Some(constants::int64s(tensor)?.into_iter().map(|value| value as f64).collect());
    real().or_else(short).or_else(long)
}
