//! What runs: one step a node, each with its offsets, strides and packed weights.

mod border;
mod cast;
mod chain;
mod conv;
mod copy;
mod depthwise;
mod foreign;
mod int8;
mod matmul;
mod matvec;
mod moves_int8;
mod nearest;
mod norm;
mod pool;
mod reduce;
mod resize;
mod select;
mod walk;

pub(crate) use chain::{MAX_CODE, MAX_INPUTS, apply_to_all};

use crate::RunError;
use crate::gemm::Tiles;
use crate::graph::{Node, Op};
use crate::kernels::{Kernels, Number};
use crate::memory::{Memory, Slot};
use crate::plan::Place;
use crate::pool::Pool;
use crate::team::{MAX_THREADS, Piecework, Team};
use std::sync::Arc;
use tract_onnx::prelude::Tensor;

/// Something that runs. Allocates nothing, except for a node of tract's.
pub(crate) trait Step: Send {
    /// Runs once.
    fn run(&mut self, memory: &mut Memory, context: &Context) -> Result<(), RunError>;
}

/// What a step has while it runs.
pub(crate) struct Context<'a> {
    /// Working memory, the step's until it returns.
    pub scratch: Slot,
    pub team: &'a Team,
    /// Where nodes of tract's allocate.
    pub pool: Option<&'a Pool>,
}

impl Context<'_> {
    /// Gives each member of the team its channels of `out`: those between two `cuts`, each `plane` elements long.
    fn share<T: Number + Send>(
        &self,
        out: &mut [T],
        cuts: &[usize],
        plane: usize,
        work: &(dyn Fn(usize, &mut [T]) + Sync),
    ) {
        self.share_with::<T, u8>(out, cuts, plane, &mut [], 0, &|part, piece, _| work(part, piece));
    }

    /// As `share`, and each member gets `each` elements of `scratch` besides.
    fn share_with<T: Number + Send, S: Number + Send>(
        &self,
        out: &mut [T],
        cuts: &[usize],
        plane: usize,
        scratch: &mut [S],
        each: usize,
        work: &Piecework<'_, T, S>,
    ) {
        // More members than a board has cores is no use, so the bounds fit on the stack.
        let mut bounds = [0; MAX_THREADS + 1];
        let bounds = &mut bounds[..cuts.len()];
        for (bound, cut) in bounds.iter_mut().zip(cuts) {
            *bound = cut * plane;
        }
        self.team.share(out, bounds, scratch, each, work);
    }
}

/// A step with what reports say of it.
pub(crate) struct Planned {
    pub name: String,
    pub label: String,
    /// Which kernel, and how the work is cut.
    pub detail: String,
    /// Multiply-accumulates.
    pub macs: u64,
    /// Bytes of inputs, outputs and weights.
    pub bytes_moved: u64,
    pub step: Box<dyn Step>,
    pub scratch_bytes: usize,
    pub scratch: Slot,
}

/// What is shared while steps are built.
pub(crate) struct Build {
    pub tiles: Tiles,
    pub threads: usize,
}

impl Build {
    pub fn new(kernels: Kernels, threads: usize) -> Build {
        Build { tiles: Tiles::new(kernels), threads }
    }
}

/// What a builder answers with.
pub(super) struct Made {
    pub step: Box<dyn Step>,
    pub scratch_bytes: usize,
    pub detail: String,
    pub macs: u64,
}

impl Made {
    fn simple(step: impl Step + 'static) -> Made {
        Made { step: Box::new(step), scratch_bytes: 0, detail: String::new(), macs: 0 }
    }
}

/// The operand that the step of `op` keeps packed, so that the arena need not hold it; `constants` are its inputs' values where
/// they are known.
pub(crate) fn kept_operand(op: &Op, constants: &[Option<&Arc<Tensor>>]) -> Option<usize> {
    if matches!(op, Op::MatMul(_)) { matmul::kept_operand(constants) } else { None }
}

/// Makes the step of a node.
pub(crate) fn build(
    build: &Build,
    node: &Node,
    inputs: &[Place],
    outputs: &[Place],
    constants: Vec<Option<Arc<Tensor>>>,
) -> Result<Planned, String> {
    let out = &outputs[0];
    let made = match &node.op {
        Op::Conv(conv) if depthwise::fits(conv) => depthwise::build(build, conv, inputs, out)?,
        Op::Conv(conv) => conv::build(build, conv, inputs, out)?,
        Op::Pool(pool) => pool::build(build, pool, &inputs[0], out)?,
        Op::Chain(chain) => chain::build(chain, inputs, out)?,
        Op::MatMul(product) => matmul::build(build, product, inputs, out, &constants)?,
        Op::Reduce { kind, axes } => reduce::build(*kind, axes, &inputs[0], out)?,
        Op::RmsNorm { axis, eps } => norm::build(*axis, *eps, &inputs[0], out)?,
        Op::Softmax { axes } => reduce::softmax(axes, &inputs[0], out)?,
        Op::Resize(resize) => resize::build(resize, &inputs[0], out)?,
        Op::Copy(copy) => copy::build(copy, inputs, out)?,
        Op::Cast => cast::build(&inputs[0], out)?,
        Op::Tract(node_of_tract) => foreign::build(&node.name, node_of_tract, inputs, outputs)?,
        Op::Nearest(search) => nearest::build(build, search, &inputs[0], outputs)?,
        Op::NearestInt8(search) => nearest::among_bytes(build, search, &inputs[0], outputs)?,
        Op::Arg { axis, greatest, last } => select::arg(*axis, *greatest, *last, &inputs[0], out)?,
        Op::Top { axis, largest } => select::top(*axis, *largest, &inputs[0], outputs)?,
        Op::Take(take) => select::take(&node.name, *take, inputs, out)?,
        Op::Quantise(scale) => int8::quantise(build, *scale, &inputs[0], out)?,
        Op::Dequantise(scale) => int8::dequantise(build, *scale, &inputs[0], out)?,
        Op::ConvInt8(_) | Op::AddInt8(_) | Op::PoolInt8(_) | Op::Rescale(..) => {
            int8::build(build, &node.op, inputs, out)?
        }
        Op::TableInt8(table) => moves_int8::table(*table, &inputs[0], out)?,
        Op::ConcatInt8(parts) => moves_int8::concat(parts, inputs, out)?,
        Op::ResizeInt8(resize) => moves_int8::resize(build, resize, &inputs[0], out)?,
        Op::Reshape => return Err("it has no step".into()),
    };
    let bytes_moved = inputs.iter().chain(outputs).map(Place::dense_bytes).sum::<usize>() + node.op.weight_bytes();
    Ok(Planned {
        name: node.name.clone(),
        label: node.op.label(),
        detail: made.detail,
        macs: made.macs,
        bytes_moved: bytes_moved as u64,
        step: made.step,
        scratch_bytes: made.scratch_bytes,
        scratch: Slot::default(),
    })
}

/// The step that fills a value's padding after it was written, if it has padding.
pub(crate) fn border(name: &str, place: &Place) -> Option<Planned> {
    let made = border::build(place)?;
    Some(Planned {
        name: name.to_string(),
        label: "border".into(),
        detail: made.detail,
        macs: 0,
        bytes_moved: 0,
        step: made.step,
        scratch_bytes: 0,
        scratch: Slot::default(),
    })
}

/// Checks a rank-4 `f32` place and gives its planes.
fn planes(place: &Place) -> Result<crate::layout::Planes, String> {
    place.planes.ok_or_else(|| format!("expected an image, got {:?} of shape {:?}", place.dtype, place.shape))
}
