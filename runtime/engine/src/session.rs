//! A model made ready to run: one input slot, a plan, output views.

use crate::kernels::{Isa, Kernels};
use crate::model::{DType, TensorInfo};
use crate::plan::{self, Plan};
use crate::pool::{self, Pool};
use crate::report::{Report, StepReport};
use crate::steps::Context;
use crate::team::Team;
use crate::view::{Data, View};
use crate::{Error, Model, Options, RunError, fuse, lower};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A model that is ready to run, again and again, on one thread at a time.
///
/// All memory is taken when it is made. [`Session::run`] allocates nothing, unless the model has nodes that run through
/// tract ([`Session::fallbacks`]): those allocate from a pool that is set aside here where the process has installed
/// [`Pooled`](crate::Pooled), and from the process's allocator where it has not.
pub struct Session {
    input: TensorInfo,
    outputs: Vec<TensorInfo>,
    plan: Plan,
    isa: Isa,
    team: Team,
    /// Where nodes that run through tract allocate, if there are any and [`Pooled`](crate::Pooled) is installed.
    pool: Option<Pool>,
}

impl Session {
    /// Plans the model and runs it once on zeros, so that what can fail fails here.
    ///
    /// # Errors
    /// [`Error::Isa`] for an instruction set that is not there, [`Error::Strict`] when the options are strict and a node
    /// has no static step, [`Error::Invalid`] when the graph cannot be planned.
    pub fn new(model: &Model, options: &Options) -> Result<Session, Error> {
        // What the checks let through and the plan cannot hold is an error of the model's, not the end of the process.
        catch_unwind(AssertUnwindSafe(|| Session::plan(model, options))).unwrap_or_else(|_| {
            let detail = "the engine could not plan it; a model that others run is worth a report".to_string();
            Err(Error::Invalid { model: model.name.clone(), place: "plan".into(), detail })
        })
    }

    fn plan(model: &Model, options: &Options) -> Result<Session, Error> {
        let isa = options.resolve_isa()?;
        let fail = |place: &str, detail: String| Error::Invalid {
            model: model.name.clone(),
            place: place.to_string(),
            detail,
        };
        let team = Team::new(options.threads).map_err(|e| fail("threads", e.to_string()))?;
        let mut graph = lower::lower(model)?;
        fuse::fuse(&mut graph);
        let plan = plan::plan(graph, Kernels::new(isa)?, team.size()).map_err(|detail| fail("plan", detail))?;
        if options.strict && !plan.fallbacks.is_empty() {
            return Err(Error::Strict { model: model.name.clone(), nodes: plan.fallbacks });
        }
        let input = model.inputs[0].clone();
        let mut session = Session { input, outputs: model.outputs.clone(), plan, isa, team, pool: None };
        let (first, need) = pool::measured(|| session.run());
        first.map_err(|e| fail("first run", e.to_string()))?;
        if !session.plan.fallbacks.is_empty() && need.allocations > 0 {
            session.pool = Pool::reserve(need);
            session.run().map_err(|e| fail("second run", e.to_string()))?;
        }
        Ok(session)
    }

    /// The input's name, shape and element type.
    #[must_use]
    pub fn input_info(&self) -> &TensorInfo {
        &self.input
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

    /// The nodes that run through tract and allocate, each as `op node-name`.
    #[must_use]
    pub fn fallbacks(&self) -> &[String] {
        &self.plan.fallbacks
    }

    /// The plan as data.
    #[must_use]
    pub fn report(&self) -> Report {
        let steps = self.plan.steps.iter().map(|s| StepReport {
            name: s.name.clone(),
            kind: s.label.clone(),
            detail: s.detail.clone(),
            macs: s.macs,
            bytes_moved: s.bytes_moved,
        });
        Report {
            steps: steps.collect(),
            fallbacks: self.plan.fallbacks.clone(),
            arena_bytes: self.arena_bytes(),
            regions: self.plan.regions.clone(),
            pool_bytes: self.pool_bytes(),
            isa: self.isa.to_string(),
        }
    }

    /// Bytes of the arena: input, outputs, everything in between, and working memory. Weights are not in it.
    #[must_use]
    pub fn arena_bytes(&self) -> usize {
        self.plan.memory.bytes()
    }

    /// Bytes set aside for the nodes that run through tract; 0 where there is no need or [`Pooled`](crate::Pooled) is not
    /// installed.
    #[must_use]
    pub fn pool_bytes(&self) -> usize {
        self.pool.as_ref().map_or(0, Pool::bytes)
    }

    /// The image input in row-major order, if it takes 32-bit floats. It keeps what was written until the next write.
    pub fn input_f32(&mut self) -> Option<&mut [f32]> {
        (self.input.dtype == DType::F32).then(|| self.plan.memory.write(self.plan.input))
    }

    /// The image input in row-major order, if it takes bytes.
    pub fn input_u8(&mut self) -> Option<&mut [u8]> {
        (self.input.dtype == DType::U8).then(|| self.plan.memory.write(self.plan.input))
    }

    /// Runs the plan on what the input holds.
    ///
    /// # Errors
    /// [`RunError::Step`] when an operator that runs through tract fails; the outputs are then undefined.
    pub fn run(&mut self) -> Result<(), RunError> {
        self.run_with(|_| ())
    }

    /// As [`Session::run`], and calls `finished` with its number after each step of [`Session::report`], for a profile.
    ///
    /// # Errors
    /// As [`Session::run`].
    pub fn run_with(&mut self, mut finished: impl FnMut(usize)) -> Result<(), RunError> {
        for (index, planned) in self.plan.steps.iter_mut().enumerate() {
            let context = Context { scratch: planned.scratch, team: &self.team, pool: self.pool.as_ref() };
            planned.step.run(&mut self.plan.memory, &context)?;
            finished(index);
        }
        Ok(())
    }

    /// An output of the last run.
    ///
    /// # Panics
    /// When `index` is not below the number of outputs.
    #[must_use]
    pub fn output(&self, index: usize) -> View<'_> {
        let info = &self.outputs[index];
        let bytes = self.plan.memory.read::<u8>(self.plan.outputs[index]);
        View { info, data: Data::from_bytes(info.dtype, bytes) }
    }

    /// An output by its name.
    #[must_use]
    pub fn output_named(&self, name: &str) -> Option<View<'_>> {
        self.outputs.iter().position(|o| o.name == name).map(|index| self.output(index))
    }
}
