//! Constant subgraphs, evaluated once. tract does this too, but not where the result is large, and weights are.

use crate::graph::{Graph, ValueId};
use std::collections::HashMap;
use std::sync::Arc;
use tract_core::internal::{OutletId, TVec, Tensor, TypedModel, TypedNode};
use tract_onnx::prelude::{IntoArcTensor, IntoTValue};

/// Times that a result may be larger than what it is made from: bytes become floats, and little else grows.
const MOST_GROWTH: usize = 8;

/// The outputs of a node whose inputs are all known; None where one is not, or the outputs are out of proportion.
pub(super) fn evaluate(
    graph: &Graph,
    tract: &TypedModel,
    node: &TypedNode,
    ids: &HashMap<OutletId, ValueId>,
) -> Option<TVec<Arc<Tensor>>> {
    let known = |outlet: &OutletId| {
        let stated = tract.outlet_fact(*outlet).ok().and_then(|fact| fact.konst.clone());
        stated.or_else(|| graph.values[*ids.get(outlet)?].constant.clone())
    };
    let inputs = node.inputs.iter().map(known).collect::<Option<Vec<_>>>().filter(|inputs| !inputs.is_empty())?;
    let bytes = |count: usize, size: usize| count.checked_mul(size);
    let from: usize = inputs.iter().map(|t| bytes(t.len(), t.datum_type().size_of())).sum::<Option<usize>>()?;
    for output in &node.outputs {
        let count = output.fact.shape.as_concrete()?.iter().try_fold(1usize, |all, n| all.checked_mul(*n))?;
        if bytes(count, output.fact.datum_type.size_of())? > from.checked_mul(MOST_GROWTH)? {
            return None;
        }
    }
    let inputs = inputs.into_iter().map(IntoTValue::into_tvalue).collect();
    // What cannot be evaluated now says so when it runs.
    let outputs = node.op.eval_out_of_plan(inputs).ok().flatten()?;
    (outputs.len() == node.outputs.len()).then(|| outputs.into_iter().map(|t| t.into_arc_tensor()).collect())
}
