//! Choosing the branch of an `If` whose condition is known before the graph is typed.
//!
//! Exporters leave such conditions where the traced code looked at a shape (CFLOW's graphs ask whether an axis has length one).
//! The branches may then differ in rank, which no static typing accepts. With the input's size closed, the condition is a
//! constant: what leads to it is typed by itself, and where that gives a truth value the branch takes the `If`'s place.

use super::qlinear::{label, names};
use crate::onnx::{GraphProto, ModelProto, NodeProto, ValueInfoProto};
use std::collections::{HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use tract_onnx::prelude::{InferenceModelExt, TractResult};

/// An `If` in an `If` in an `If` ... is no model.
const MAX_ROUNDS: usize = 16;

/// Puts branches in place of every `If` that can be decided; whether the graph changed.
pub(super) fn choose(proto: &mut ModelProto, dir: Option<&Path>) -> bool {
    let mut changed = false;
    for _ in 0..MAX_ROUNDS {
        let Some(graph) = &proto.graph else { break };
        let conditions: Vec<String> =
            graph.node.iter().filter(|n| n.op_type == "If").filter_map(|n| n.input.first().cloned()).collect();
        if conditions.is_empty() {
            break;
        }
        let known: HashMap<String, bool> =
            conditions.into_iter().filter_map(|name| evaluate(proto, &name, dir).map(|holds| (name, holds))).collect();
        let Some(graph) = proto.graph.as_mut().filter(|_| !known.is_empty()) else { break };
        let mut names = names(graph);
        let mut nodes = Vec::with_capacity(graph.node.len());
        for node in std::mem::take(&mut graph.node) {
            let holds = node.input.first().filter(|_| node.op_type == "If").and_then(|name| known.get(name));
            match holds.and_then(|holds| branch(&node, *holds)) {
                Some(branch) if branch.output.len() == node.output.len() => {
                    inline(&node, branch, &mut names, &mut nodes, graph);
                    changed = true;
                }
                _ => nodes.push(node),
            }
        }
        graph.node = nodes;
    }
    changed
}

fn branch(node: &NodeProto, holds: bool) -> Option<GraphProto> {
    let name = if holds { "then_branch" } else { "else_branch" };
    node.attribute.iter().find(|a| a.name == name)?.g.clone()
}

/// The truth value of a tensor, if it is a constant.
fn evaluate(proto: &ModelProto, name: &str, dir: Option<&Path>) -> Option<bool> {
    let graph = proto.graph.as_ref()?;
    let producer: HashMap<&str, usize> =
        graph.node.iter().enumerate().flat_map(|(i, n)| n.output.iter().map(move |o| (o.as_str(), i))).collect();
    let (mut wanted, mut needed) = (vec![name], HashSet::new());
    while let Some(name) = wanted.pop() {
        if let Some(node) = producer.get(name)
            && needed.insert(*node)
        {
            // What an undecided branch gives is not known either.
            if graph.node[*node].attribute.iter().any(|a| a.g.is_some()) {
                return None;
            }
            wanted.extend(graph.node[*node].input.iter().map(String::as_str));
        }
    }
    let node: Vec<NodeProto> =
        graph.node.iter().enumerate().filter(|(i, _)| needed.contains(i)).map(|(_, n)| n.clone()).collect();
    let read: HashSet<&str> = node.iter().flat_map(|n| n.input.iter().map(String::as_str)).chain([name]).collect();
    let constants = graph.initializer.iter().filter(|i| read.contains(i.name.as_str()));
    let part = GraphProto {
        initializer: constants.cloned().collect(),
        input: graph.input.clone(),
        node,
        output: vec![ValueInfoProto { name: name.to_string(), ..Default::default() }],
        ..Default::default()
    };
    let opset_import = proto.opset_import.clone();
    let part = ModelProto { graph: Some(part), opset_import, ir_version: proto.ir_version, ..Default::default() };
    let work = || -> TractResult<Option<bool>> {
        let parsed = tract_onnx::onnx().with_ignore_value_info(true).parse(&part, dir.and_then(Path::to_str))?;
        let typed = parsed.model.into_typed()?.into_decluttered()?;
        let fact = typed.outlet_fact(typed.outputs[0])?;
        let Some(value) = &fact.konst else { return Ok(None) };
        Ok(value.cast_to::<bool>()?.try_as_plain_ram()?.as_slice::<bool>()?.first().copied())
    };
    catch_unwind(AssertUnwindSafe(work)).ok()?.ok()?
}

/// Adds a branch's nodes and constants; its outputs get the names of the `If`'s.
fn inline(
    node: &NodeProto,
    branch: GraphProto,
    names: &mut HashSet<String>,
    nodes: &mut Vec<NodeProto>,
    graph: &mut GraphProto,
) {
    let base = label(node);
    let own = branch.node.iter().flat_map(|n| n.output.iter()).chain(branch.initializer.iter().map(|i| &i.name));
    let mut renamed: HashMap<String, String> = HashMap::new();
    for name in own.filter(|n| !n.is_empty()) {
        let mut new = format!("{base}.{name}");
        while !names.insert(new.clone()) {
            new.push('_');
        }
        renamed.insert(name.clone(), new);
    }
    for mut constant in branch.initializer {
        rename(&mut constant.name, &renamed);
        graph.initializer.push(constant);
    }
    for mut inner in branch.node {
        inner.output.iter_mut().for_each(|o| rename(o, &renamed));
        rename_inputs(&mut inner, &renamed);
        inner.name = format!("{base}.{}", inner.name);
        nodes.push(inner);
    }
    for (outer, inner) in node.output.iter().zip(branch.output).filter(|(outer, _)| !outer.is_empty()) {
        let mut from = inner.name;
        rename(&mut from, &renamed);
        nodes.push(NodeProto {
            name: format!("{base}.{outer}"),
            op_type: "Identity".into(),
            input: vec![from],
            output: vec![outer.clone()],
            ..Default::default()
        });
    }
}

fn rename(name: &mut String, renamed: &HashMap<String, String>) {
    if let Some(new) = renamed.get(name) {
        name.clone_from(new);
    }
}

/// What a node reads, also from within its own branches.
fn rename_inputs(node: &mut NodeProto, renamed: &HashMap<String, String>) {
    node.input.iter_mut().for_each(|i| rename(i, renamed));
    for graph in node.attribute.iter_mut().filter_map(|a| a.g.as_mut()) {
        graph.node.iter_mut().for_each(|n| rename_inputs(n, renamed));
        graph.output.iter_mut().for_each(|o| rename(&mut o.name, renamed));
    }
}
