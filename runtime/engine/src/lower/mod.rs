//! tract's typed, decluttered graph → the engine's own.
//!
//! One function a family of operators, each of which either answers with an [`Op`] or with `None`, which keeps the node as a
//! [`Op::Tract`] fallback. Nodes that do not lead to an output and constants are left out.

mod arith;
mod constants;
mod conv;
mod matmul;
mod moves;
pub(crate) mod quant;
mod sample;
mod select;

use crate::Error;
use crate::graph::{Foreign, Graph, Node, Op, Value, ValueId};
use crate::model::{DType, Model};
use std::collections::HashMap;
use std::sync::Arc;
use tract_core::internal::{OutletId, TractResult, TypedFact, TypedModel, TypedNode};
use tract_core::ops::identity::Identity;
use tract_core::ops::source::TypedSource;

/// What a lowering function sees of a node.
pub(super) struct Site<'a> {
    pub node: &'a TypedNode,
    pub inputs: Vec<&'a Value>,
    pub outputs: Vec<&'a Value>,
}

/// A lowered node: the operator and which of tract's inputs it takes, in its order.
pub(super) type Lowered = Option<(Op, Vec<usize>)>;

/// Lowers the whole graph.
pub(crate) fn lower(model: &Model) -> Result<Graph, Error> {
    let tract = &*model.graph;
    let fail =
        |place: &str, detail: String| Error::Invalid { model: model.name.clone(), place: place.to_string(), detail };
    let order = tract.eval_order().map_err(|e| fail("graph", format!("{e:#}")))?;
    let mut graph = Graph::default();
    let mut ids: HashMap<OutletId, ValueId> = HashMap::new();
    for id in order {
        let node = tract.node(id);
        for (slot, outlet) in node.outputs.iter().enumerate() {
            let shape = outlet
                .fact
                .shape
                .as_concrete()
                .ok_or_else(|| fail(&node.name, format!("its size {:?} depends on the data", outlet.fact.shape)))?;
            let Some(dtype) = DType::from_tract(outlet.fact.datum_type) else {
                if outlet.fact.konst.is_some() {
                    // A shape tensor that is known: whoever reads it has it as a constant.
                    continue;
                }
                return Err(fail(&node.name, format!("its type {:?} is not supported", outlet.fact.datum_type)));
            };
            let value = graph.add_value(&node.name, shape, dtype);
            graph.values[value].constant = outlet.fact.konst.clone();
            ids.insert(OutletId::new(id, slot), value);
        }
        if node.op_is::<TypedSource>() {
            graph.inputs.push(ids[&OutletId::new(id, 0)]);
        } else if let Some(constants) = constants::evaluate(&graph, tract, node, &ids) {
            for (slot, constant) in constants.into_iter().enumerate() {
                if let Some(value) = ids.get(&OutletId::new(id, slot)) {
                    graph.values[*value].constant = Some(constant);
                }
            }
        } else if node.outputs.iter().any(|o| o.fact.konst.is_none()) {
            lower_node(&mut graph, tract, node, &mut ids).map_err(|detail| fail(&node.name, detail))?;
        }
    }
    for outlet in &tract.outputs {
        let value = ids.get(outlet).ok_or_else(|| fail("output", "it is a shape, not a tensor".into()))?;
        graph.outputs.push(*value);
    }
    Ok(graph)
}

fn lower_node(
    graph: &mut Graph,
    tract: &TypedModel,
    node: &TypedNode,
    ids: &mut HashMap<OutletId, ValueId>,
) -> Result<(), String> {
    let known: Option<Vec<ValueId>> = node.inputs.iter().map(|i| ids.get(i).copied()).collect();
    let outputs: Vec<ValueId> = (0..node.outputs.len()).map(|slot| ids[&OutletId::new(node.id, slot)]).collect();
    let facts = node.inputs.iter().map(|i| tract.outlet_fact(*i).cloned());
    let facts: Vec<TypedFact> = facts.collect::<TractResult<_>>().map_err(|e| format!("{e:#}"))?;
    if let Some(inputs) = &known {
        if node.op_is::<Identity>() {
            ids.insert(OutletId::new(node.id, 0), inputs[0]);
            return Ok(());
        }
        let site = Site {
            node,
            inputs: inputs.iter().map(|i| &graph.values[*i]).collect(),
            outputs: outputs.iter().map(|o| &graph.values[*o]).collect(),
        };
        let lowered = conv::lower(&site)
            .or_else(|| arith::lower(&site))
            .or_else(|| select::lower(&site))
            .or_else(|| moves::lower(&site))
            .or_else(|| sample::lower(&site))
            .or_else(|| matmul::lower(&site))
            .or_else(|| quant::lower(&site));
        if let Some((op, taken)) = lowered {
            let inputs = taken.into_iter().map(|i| inputs[i]).collect();
            graph.nodes.push(Node { name: node.name.clone(), op, inputs, outputs });
            return Ok(());
        }
    }
    // Constants stay inside the fallback, so only what flows is an input.
    let mut inputs = Vec::new();
    for (outlet, _) in node.inputs.iter().zip(&facts).filter(|(_, fact)| fact.konst.is_none()) {
        inputs.push(*ids.get(outlet).ok_or("it reads a shape that depends on the data")?);
    }
    let op = Op::Tract(Arc::new(Foreign { op: node.op.clone(), inputs: facts }));
    graph.nodes.push(Node { name: node.name.clone(), op, inputs, outputs });
    Ok(())
}

/// The content of a constant as `f32`s, if it is one of that type.
pub(crate) fn constant_f32(value: &Value) -> Option<Vec<f32>> {
    let tensor = value.constant.as_ref()?;
    let view = tensor.as_plain_ram()?;
    view.as_slice::<f32>().ok().map(<[f32]>::to_vec)
}
