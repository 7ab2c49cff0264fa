//! A model made ready to run: one input slot, a plan, output views.

use crate::model::{DType, TensorInfo};
use crate::options::Isa;
use crate::view::{Data, View};
use crate::{Error, Model, Options, RunError};
use std::sync::Arc;
use tract_core::plan::SimplePlan;
use tract_onnx::prelude::{TValue, Tensor, TypedFact, TypedOp, tvec};

type Plan = Arc<SimplePlan<TypedFact, Box<dyn TypedOp>>>;

/// A model that is ready to run, again and again, on one thread at a time.
pub struct Session {
    inputs: Vec<TensorInfo>,
    outputs: Vec<TensorInfo>,
    input: Tensor,
    results: Vec<TValue>,
    plan: Plan,
    isa: Isa,
}

impl Session {
    /// Plans the model.
    ///
    /// # Errors
    /// [`Error::Isa`] for an instruction set that is not there, [`Error::Strict`] when the options are strict and a node
    /// has no static step, [`Error::Invalid`] when the graph cannot be planned.
    pub fn new(model: &Model, options: &Options) -> Result<Session, Error> {
        let isa = options.resolve_isa()?;
        let fail = |e: tract_onnx::prelude::TractError| Error::Invalid {
            model: model.name.clone(),
            place: "plan".into(),
            detail: format!("{e:#}"),
        };
        let optimised = (*model.graph).clone().into_optimized().map_err(fail)?;
        let info = &model.inputs[0];
        let dt = model.graph.input_fact(0).map_err(fail)?.datum_type;
        let input = Tensor::zero_dt(dt, &info.shape).map_err(fail)?;
        let plan = SimplePlan::new(optimised).map_err(fail)?;
        let mut session = Session {
            inputs: model.inputs.clone(),
            outputs: model.outputs.clone(),
            input,
            results: Vec::new(),
            plan,
            isa,
        };
        session.run().map_err(|e| Error::Invalid {
            model: model.name.clone(),
            place: "first run".into(),
            detail: e.to_string(),
        })?;
        Ok(session)
    }

    /// The input's name, shape and element type.
    #[must_use]
    pub fn input_info(&self) -> &TensorInfo {
        &self.inputs[0]
    }

    /// The outputs' names, shapes and element types.
    #[must_use]
    pub fn outputs(&self) -> &[TensorInfo] {
        &self.outputs
    }

    /// The kernel family in use.
    #[must_use]
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// The image input in row-major order, if it takes 32-bit floats. It keeps what was written until the next write.
    pub fn input_f32(&mut self) -> Option<&mut [f32]> {
        // SAFETY: the element type was checked, and the tensor is plain, owned and dense.
        (self.inputs[0].dtype == DType::F32).then(|| unsafe { self.input.as_slice_mut_unchecked::<f32>() })
    }

    /// The image input in row-major order, if it takes bytes.
    pub fn input_u8(&mut self) -> Option<&mut [u8]> {
        // SAFETY: the element type was checked, and the tensor is plain, owned and dense.
        (self.inputs[0].dtype == DType::U8).then(|| unsafe { self.input.as_slice_mut_unchecked::<u8>() })
    }

    /// Runs the plan on what the input holds.
    ///
    /// # Errors
    /// [`RunError::Step`] when an operator that runs through tract fails; the outputs are then undefined.
    pub fn run(&mut self) -> Result<(), RunError> {
        let results = self.plan.run(tvec!(self.input.clone().into()));
        let results = results.map_err(|e| RunError::Step { node: "graph".into(), detail: format!("{e:#}") })?;
        self.results = results.into_iter().collect();
        Ok(())
    }

    /// An output of the last run.
    ///
    /// # Panics
    /// When `index` is not below the number of outputs.
    #[must_use]
    pub fn output(&self, index: usize) -> View<'_> {
        let tensor = &self.results[index];
        let info = &self.outputs[index];
        View { info, data: Data::from_bytes(info.dtype, tensor.as_bytes()) }
    }

    /// An output by its name.
    #[must_use]
    pub fn output_named(&self, name: &str) -> Option<View<'_>> {
        self.outputs.iter().position(|o| o.name == name).map(|index| self.output(index))
    }
}
