//! A node without a step: tract runs it. It allocates, from the session's pool where there is one, and is listed as a fallback.

use super::{Context, Made, Step};
use crate::RunError;
use crate::graph::Foreign;
use crate::kernels::Number;
use crate::memory::{Memory, Slot};
use crate::plan::Place;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use tract_core::internal::{
    DatumType, DatumTypeExt, SpecialOps, TValue, Tensor, TractResult, TypedModel, TypedSimplePlan, tvec,
};

struct Run {
    name: String,
    plan: Arc<TypedSimplePlan>,
    inputs: Vec<(Place, DatumType)>,
    outputs: Vec<Place>,
}

pub(super) fn build(name: &str, foreign: &Foreign, inputs: &[Place], outputs: &[Place]) -> Result<Made, String> {
    let make = || -> TractResult<(Arc<TypedSimplePlan>, Vec<DatumType>)> {
        let mut model = TypedModel::default();
        let mut wires = tvec![];
        let mut types = vec![];
        for (index, fact) in foreign.inputs.iter().enumerate() {
            let wire = match &fact.konst {
                Some(constant) => model.add_const(format!("constant{index}"), constant.clone())?,
                None => {
                    types.push(fact.datum_type);
                    model.add_source(format!("input{index}"), fact.datum_type.fact(fact.shape.clone()))?
                }
            };
            wires.push(wire);
        }
        let outlets = model.wire_node(name, foreign.op.clone(), &wires)?;
        model.select_output_outlets(&outlets)?;
        Ok((TypedSimplePlan::new(model.into_optimized()?)?, types))
    };
    let made = catch_unwind(AssertUnwindSafe(make)).map_err(|_| "tract gave up on it".to_string())?;
    let (plan, types) = made.map_err(|e| format!("{e:#}"))?;
    let inputs = inputs.iter().cloned().zip(types).collect();
    Ok(Made::simple(Run { name: name.to_string(), plan, inputs, outputs: outputs.to_vec() }))
}

impl Step for Run {
    fn run(&mut self, memory: &mut Memory, context: &Context) -> Result<(), RunError> {
        match context.pool {
            Some(pool) => pool.within(|| self.eval(memory)),
            None => self.eval(memory),
        }
    }
}

impl Run {
    fn eval(&self, memory: &mut Memory) -> Result<(), RunError> {
        let fail = |detail: String| RunError::Step { node: self.name.clone(), detail };
        let mut inputs = tvec![];
        for (place, dt) in &self.inputs {
            let bytes = memory.read::<u8>(Slot { bytes: place.dense_bytes(), ..place.slot });
            // SAFETY: the bytes are elements of this type in order; every supported type takes any bits that were written
            // as that type.
            let tensor = unsafe { Tensor::from_raw_dt(*dt, &place.shape, bytes) };
            inputs.push(TValue::from(tensor.map_err(|e| fail(format!("{e:#}")))?));
        }
        let results = catch_unwind(AssertUnwindSafe(|| self.plan.run(inputs)))
            .map_err(|_| fail("tract gave up on it".into()))?
            .map_err(|e| fail(format!("{e:#}")))?;
        for (place, result) in self.outputs.iter().zip(results) {
            if result.shape() != place.shape {
                return Err(fail(format!("its size {:?} is not {:?}", result.shape(), place.shape)));
            }
            let out = memory.write::<u8>(Slot { bytes: place.dense_bytes(), ..place.slot });
            copy_bytes(out, result.as_bytes());
        }
        Ok(())
    }
}

fn copy_bytes<T: Number>(to: &mut [T], from: &[T]) {
    to.copy_from_slice(from);
}
