//! What can be said about a graph before tract types it: inputs, sizes, operators, wiring, constants.

use super::qlinear::label;
use super::sizes::{self, MAX_ELEMENTS};
use crate::model::ReadOptions;
use crate::onnx::{GraphProto, ModelProto, TensorProto, ValueInfoProto, tensor_shape_proto::dimension, type_proto};
use crate::{Error, onnx};
use std::collections::{HashMap, HashSet};
use tract_onnx::prelude::DatumType;

/// Checks the message and closes the input's size.
pub(super) fn check(model: &str, proto: &mut ModelProto, options: &ReadOptions) -> Result<(), Error> {
    let fail = |place: &str, detail: String| Error::Invalid { model: model.into(), place: place.into(), detail };
    for set in &proto.opset_import {
        if (set.domain.is_empty() || set.domain == "ai.onnx") && set.version < 7 {
            return Err(fail("opset_import", format!("opset {} is too old; expected 7 or later", set.version)));
        }
    }
    let Some(graph) = proto.graph.as_mut() else { return Err(fail("graph", "there is none".into())) };
    constants(model, graph)?;
    close_input(model, graph, options)?;
    super::qlinear::translate(graph);
    operators(model, graph)?;
    sizes::told(model, graph)?;
    wiring(model, graph)
}

fn constants(model: &str, graph: &GraphProto) -> Result<(), Error> {
    for tensor in &graph.initializer {
        constant(tensor).map_err(|detail| Error::Invalid {
            model: model.into(),
            place: format!("constant `{}`", tensor.name),
            detail,
        })?;
    }
    let attributes = graph.node.iter().flat_map(|n| n.attribute.iter().map(move |a| (n, a)));
    for (node, attribute) in attributes {
        if let Some(tensor) = &attribute.t {
            constant(tensor).map_err(|detail| Error::Invalid {
                model: model.into(),
                place: format!("node `{}` attribute `{}`", node.name, attribute.name),
                detail,
            })?;
        }
    }
    Ok(())
}

/// A tensor's sizes agree with the data that it carries.
fn constant(tensor: &TensorProto) -> Result<(), String> {
    let elements = elements(&tensor.dims)?;
    let kind = onnx::tensor_proto::DataType::try_from(tensor.data_type)
        .map_err(|_| format!("its data type {} is none of ONNX's", tensor.data_type))?;
    // data_location 1: the bytes lie in another file, whose size tract checks.
    if tensor.data_location == Some(1) || kind == onnx::tensor_proto::DataType::String {
        return Ok(());
    }
    let dt = DatumType::try_from(kind).map_err(|_| format!("its data type {kind:?} is not supported"))?;
    let typed = [
        tensor.float_data.len(),
        tensor.int32_data.len(),
        tensor.int64_data.len(),
        tensor.double_data.len(),
        tensor.uint64_data.len(),
    ];
    let held = if tensor.raw_data.is_empty() {
        typed.into_iter().max().unwrap_or(0)
    } else {
        tensor.raw_data.len() / dt.size_of()
    };
    if held != elements {
        return Err(format!("its shape {:?} needs {elements} elements but the file holds {held}", tensor.dims));
    }
    Ok(())
}

fn elements(dims: &[i64]) -> Result<usize, String> {
    let mut product = 1usize;
    for dim in dims {
        let size = usize::try_from(*dim).map_err(|_| format!("its shape {dims:?} has a negative size"))?;
        product = product
            .checked_mul(size)
            .filter(|p| *p <= MAX_ELEMENTS)
            .ok_or_else(|| format!("its shape {dims:?} has more than {MAX_ELEMENTS} elements"))?;
    }
    Ok(product)
}

fn close_input(model: &str, graph: &mut GraphProto, options: &ReadOptions) -> Result<(), Error> {
    let constants: HashSet<_> = graph.initializer.iter().map(|i| i.name.clone()).collect();
    let mut inputs: Vec<&mut ValueInfoProto> =
        graph.input.iter_mut().filter(|i| !constants.contains(&i.name)).collect();
    let [input] = &mut inputs[..] else {
        return Err(Error::Inputs {
            model: model.into(),
            found: inputs.iter().map(|i| format!("`{}`", i.name)).collect(),
        });
    };
    let name = input.name.clone();
    let fail =
        |detail: &str| Error::Invalid { model: model.into(), place: format!("input `{name}`"), detail: detail.into() };
    let shape = match input.r#type.as_mut().and_then(|t| t.value.as_mut()) {
        Some(type_proto::Value::TensorType(t)) => t.shape.as_mut().ok_or_else(|| fail("it has no shape"))?,
        _ => return Err(fail("it has no tensor type")),
    };
    let given: Vec<Option<i64>> = shape
        .dim
        .iter()
        .map(|d| match &d.value {
            Some(dimension::Value::DimValue(v)) if *v > 0 => Some(*v),
            _ => None,
        })
        .collect();
    let text = || {
        let dims = shape.dim.iter().map(|d| match &d.value {
            Some(dimension::Value::DimValue(v)) => v.to_string(),
            Some(dimension::Value::DimParam(p)) => p.clone(),
            None => "?".into(),
        });
        dims.collect::<Vec<_>>().join(", ")
    };
    let closed: Vec<i64> = match &options.input_shape {
        Some(asked) if asked.len() != given.len() || asked.contains(&0) => {
            return Err(Error::InputSize { model: model.into(), input: name, dims: text(), asked: asked.clone() });
        }
        Some(asked) => asked.iter().map(|d| *d as i64).collect(),
        None => {
            let batch_closed = given.iter().enumerate().map(|(axis, dim)| dim.or((axis == 0).then_some(1)));
            batch_closed.collect::<Option<_>>().ok_or_else(|| Error::DynamicInput {
                model: model.into(),
                input: name.clone(),
                dims: text(),
            })?
        }
    };
    elements(&closed).map_err(|detail| fail(&detail))?;
    for (dim, size) in shape.dim.iter_mut().zip(closed) {
        dim.value = Some(dimension::Value::DimValue(size));
    }
    Ok(())
}

/// Every operator, also in the branches of an `If`, is one that tract knows.
fn operators(model: &str, graph: &GraphProto) -> Result<(), Error> {
    let known = tract_onnx::onnx().op_register;
    let mut graphs = vec![graph];
    while let Some(graph) = graphs.pop() {
        for node in &graph.node {
            if !known.0.contains_key(&node.op_type) {
                let domain = if node.domain.is_empty() { String::new() } else { format!("{}.", node.domain) };
                return Err(Error::UnsupportedOp {
                    model: model.into(),
                    node: label(node),
                    op: format!("{domain}{}", node.op_type),
                });
            }
            if let Some(what) = misread(node) {
                return Err(Error::UnsupportedOp { model: model.into(), node: label(node), op: what });
            }
            graphs.extend(node.attribute.iter().filter_map(|a| a.g.as_ref()));
        }
    }
    Ok(())
}

/// An operator in a form that tract takes for another: it would run and give something else.
fn misread(node: &onnx::NodeProto) -> Option<String> {
    let attribute = |name: &str| node.attribute.iter().find(|a| a.name == name);
    let backwards = || attribute("direction").is_some_and(|a| a.s != b"forward");
    match node.op_type.as_str() {
        op @ ("RNN" | "GRU" | "LSTM") if backwards() => Some(format!("{op} with a direction other than forward")),
        "SpaceToDepth" if attribute("mode").is_some_and(|a| a.s == b"CRD") => Some("SpaceToDepth in CRD mode".into()),
        "Attention" => Some("Attention".into()),
        _ => None,
    }
}

/// Every tensor has one producer, every input is produced, nothing waits for itself.
pub(super) fn wiring(model: &str, graph: &GraphProto) -> Result<(), Error> {
    let fail = |place: String, detail: String| Error::Invalid { model: model.into(), place, detail };
    let outer = graph.initializer.iter().map(|i| &i.name).chain(graph.input.iter().map(|i| &i.name));
    let mut ready: HashSet<&str> = outer.map(String::as_str).collect();
    let mut producer: HashMap<&str, usize> = HashMap::new();
    for (index, node) in graph.node.iter().enumerate() {
        for output in node.output.iter().filter(|o| !o.is_empty()) {
            if ready.contains(output.as_str()) || producer.insert(output, index).is_some() {
                return Err(fail(format!("node `{}`", label(node)), format!("the tensor `{output}` exists already")));
            }
        }
    }
    let mut waiting = vec![0usize; graph.node.len()];
    let mut users: HashMap<&str, Vec<usize>> = HashMap::new();
    for (index, node) in graph.node.iter().enumerate() {
        for input in node.input.iter().filter(|i| !i.is_empty() && !ready.contains(i.as_str())) {
            if !producer.contains_key(input.as_str()) {
                return Err(fail(
                    format!("node `{}`", label(node)),
                    format!("its input `{input}` is produced by no node"),
                ));
            }
            waiting[index] += 1;
            users.entry(input).or_default().push(index);
        }
    }
    let mut free: Vec<usize> = (0..graph.node.len()).filter(|i| waiting[*i] == 0).collect();
    let mut done = 0;
    while let Some(index) = free.pop() {
        done += 1;
        for output in graph.node[index].output.iter().filter(|o| !o.is_empty()) {
            ready.insert(output);
            for user in users.get(output.as_str()).into_iter().flatten() {
                waiting[*user] -= 1;
                if waiting[*user] == 0 {
                    free.push(*user);
                }
            }
        }
    }
    if done != graph.node.len() {
        let stuck = graph.node.iter().enumerate().find(|(i, _)| waiting[*i] > 0).map(|(_, n)| label(n));
        return Err(fail(
            format!("node `{}`", stuck.unwrap_or_default()),
            "it waits for its own output (a cycle)".into(),
        ));
    }
    if graph.output.is_empty() {
        return Err(fail("graph".into(), "it has no output".into()));
    }
    match graph.output.iter().find(|o| !ready.contains(o.name.as_str())) {
        Some(output) => Err(fail(format!("output `{}`", output.name), "it is produced by no node".into())),
        None => Ok(()),
    }
}
