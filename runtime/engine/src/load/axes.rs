//! tract's axis pass, without one of its suggestions.
//!
//! On CPUs for which tract has a depthwise kernel that wants the channels last (64-bit ARM), its convolutions ask for their
//! input to be turned that way, and the whole graph follows. Our kernels work on planes on every CPU, so here a convolution
//! has no wish; everything else, such as dropping axes of length one, is as in tract's own `ChangeAxes`.

use std::collections::HashSet;
use std::fmt;
use tract_core::internal::{AxisOp, OutletId, TractResult, TypedModel, TypedModelPatch};
use tract_core::ops::change_axes::AxisChange;
use tract_core::ops::cnn::Conv;
use tract_core::ops::dummy::Dummy;
use tract_core::optim::change_axes::change_axes;
use tract_core::optim::{Optimizer, OptimizerSession, TypedPass};

/// Declutters `model` and leaves images as planes.
pub(super) fn declutter(mut model: TypedModel) -> TractResult<TypedModel> {
    let mut optimizer = Optimizer::declutter();
    for pass in &mut optimizer.passes {
        if format!("{pass:?}") == "ChangeAxes" {
            *pass = Box::new(PlanesStay::default());
        }
    }
    optimizer.optimize(&mut model)?;
    Ok(model)
}

#[derive(Clone, Default)]
struct PlanesStay {
    /// Changes that were considered in this round.
    seen: HashSet<AxisChange>,
    /// Nodes before this one have nothing more to offer.
    next: usize,
}

impl fmt::Debug for PlanesStay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PlanesStay")
    }
}

impl TypedPass for PlanesStay {
    fn reset(&mut self) -> TractResult<()> {
        *self = PlanesStay::default();
        Ok(())
    }

    fn next(&mut self, _: &mut OptimizerSession, model: &TypedModel) -> TractResult<Option<TypedModelPatch>> {
        let mut explored = HashSet::new();
        let mut interfaces = model.output_outlets()?.to_vec();
        interfaces.extend(model.input_outlets()?.iter());
        for node in &model.nodes[self.next..] {
            if node.op_is::<Dummy>() {
                continue;
            }
            let mut wishes: Vec<AxisChange> = Vec::new();
            if !node.op_is::<Conv>() {
                for (place, op) in node.op.suggested_axis_changes()? {
                    wishes.push(AxisChange { outlet: place.as_outlet(node), op });
                }
            }
            for (slot, output) in node.outputs.iter().enumerate() {
                for (axis, _) in output.fact.shape.iter().enumerate().filter(|(_, length)| length.is_one()) {
                    wishes.push(AxisChange { outlet: OutletId::new(node.id, slot), op: AxisOp::Rm(axis) });
                }
            }
            for change in wishes {
                if !self.seen.insert(change.clone()) {
                    continue;
                }
                if let Some((patch, _)) = change_axes(model, &change, &interfaces, &[], &mut explored)? {
                    self.next = node.id;
                    return Ok(Some(patch));
                }
            }
        }
        Ok(None)
    }
}
