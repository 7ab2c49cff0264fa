//! Dequantisation that stays a node of its own.
//!
//! While it declutters, tract makes one table of bytes of `dequantise → arithmetic → quantise`. The engine folds quantisation
//! itself and needs to see the scales, so before that the operator is wrapped, which hides it from tract.

use tract_core::internal::{
    AxesMapping, AxisChangeConsequence, AxisOp, EvalContext, EvalOp, InOut, Op, StaticName, TValue, TVec, TractResult,
    TypedFact, TypedModel, TypedNode, TypedOp,
};
use tract_core::ops::quant::DequantizeLinearF32;

/// tract's operator, as it is but for the declutter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Dequantise(pub DequantizeLinearF32);

/// Wraps every dequantisation of a graph.
pub(super) fn keep(model: &mut TypedModel) {
    for node in &mut model.nodes {
        if let Some(op) = node.op_as::<DequantizeLinearF32>() {
            node.op = Box::new(Dequantise(op.clone()));
        }
    }
}

impl Op for Dequantise {
    fn name(&self) -> StaticName {
        "DequantizeLinear".into()
    }

    fn as_typed(&self) -> Option<&dyn TypedOp> {
        Some(self)
    }
}

impl EvalOp for Dequantise {
    fn eval(&self, context: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        self.0.eval(context, inputs)
    }

    fn eval_out_of_plan(&self, inputs: TVec<TValue>) -> TractResult<Option<TVec<TValue>>> {
        self.0.eval_out_of_plan(inputs)
    }
}

impl TypedOp for Dequantise {
    fn as_op(&self) -> &dyn Op {
        self
    }

    fn as_op_mut(&mut self) -> &mut dyn Op {
        self
    }

    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        self.0.output_facts(inputs)
    }

    fn axes_mapping(&self, inputs: &[&TypedFact], outputs: &[&TypedFact]) -> TractResult<AxesMapping> {
        self.0.axes_mapping(inputs, outputs)
    }

    fn change_axes(
        &self,
        model: &TypedModel,
        node: &TypedNode,
        io: InOut,
        change: &AxisOp,
    ) -> TractResult<Option<AxisChangeConsequence>> {
        self.0.change_axes(model, node, io, change)
    }
}
