//! From the engine's graph to steps over one arena.
//!
//! [`layouts`] decides where padding lies, [`arena`] gives every value an offset, and then each node becomes a step that
//! knows its offsets, strides and packed weights.

mod arena;
mod layouts;
mod place;

pub(crate) use place::Place;

use crate::graph::{Graph, Op, ValueId};
use crate::kernels::Kernels;
use crate::memory::{Memory, Slot};
use crate::report::Region;
use crate::steps::{self, Build, Planned};

/// A graph ready to run.
pub(crate) struct Plan {
    pub memory: Memory,
    pub steps: Vec<Planned>,
    pub input: Slot,
    pub outputs: Vec<Slot>,
    /// Nodes that run through tract, as `op node-name`.
    pub fallbacks: Vec<String>,
    /// The arena, for reports.
    pub regions: Vec<Region>,
}

/// Plans a graph. The error is a message about a node.
pub(crate) fn plan(mut graph: Graph, kernels: Kernels, threads: usize) -> Result<Plan, String> {
    let layouts = layouts::assign(&mut graph);
    let roots = arena::roots(&graph);
    let places: Vec<Place> = (0..graph.values.len()).map(|v| Place::of(&graph.values[v], layouts[v])).collect();
    let build = Build::new(kernels, threads);
    let mut scratch_bytes = 0;
    let mut planned = Vec::new();
    let mut offsets = arena::assign(&graph, &roots, &places);
    let place = |v: ValueId| places[v].at(offsets.slots[roots[v]]);
    let mut first_steps = Vec::with_capacity(graph.nodes.len());
    for node in &graph.nodes {
        first_steps.push(planned.len());
        if matches!(node.op, Op::Reshape) {
            continue;
        }
        let inputs: Vec<Place> = node.inputs.iter().map(|v| place(*v)).collect();
        let outputs: Vec<Place> = node.outputs.iter().map(|v| place(*v)).collect();
        let constants = node.inputs.iter().map(|v| graph.values[*v].constant.clone()).collect();
        let made = steps::build(&build, node, &inputs, &outputs, constants)
            .map_err(|detail| format!("{} `{}`: {detail}", node.op.label(), node.name))?;
        scratch_bytes = scratch_bytes.max(made.scratch_bytes);
        planned.push(made);
        planned.extend(outputs.iter().filter_map(|o| steps::border(&node.name, o)));
    }
    let scratch = offsets.append(scratch_bytes);
    for step in &mut planned {
        step.scratch = scratch;
    }
    let mut memory = Memory::new(offsets.bytes);
    for (id, value) in graph.values.iter().enumerate() {
        if let (Some(tensor), Some(slot)) = (&value.constant, offsets.constants[id]) {
            memory.write::<u8>(slot)[..tensor.as_bytes().len()].copy_from_slice(tensor.as_bytes());
        }
    }
    let slot_of = |v: &ValueId| {
        let place = &places[*v];
        Slot { bytes: place.dense_bytes(), ..offsets.slots[roots[*v]] }
    };
    let regions = regions(&graph, &offsets, &first_steps, planned.len());
    let fallbacks = graph.nodes.iter().filter(|n| matches!(n.op, Op::Tract(_)));
    Ok(Plan {
        input: slot_of(&graph.inputs[0]),
        outputs: graph.outputs.iter().map(slot_of).collect(),
        fallbacks: fallbacks.map(|n| format!("{} `{}`", n.op.label(), n.name)).collect(),
        memory,
        steps: planned,
        regions,
    })
}

/// The values' places in the order of their offsets.
fn regions(graph: &Graph, offsets: &arena::Offsets, first_steps: &[usize], steps: usize) -> Vec<Region> {
    let step = |node: usize| first_steps.get(node).map_or(steps.saturating_sub(1), |s| *s);
    let region = |life: &arena::Life| {
        let (value, slot) = (&graph.values[life.root], offsets.slots[life.root]);
        Region {
            name: value.name.clone(),
            shape: value.shape.clone(),
            offset_bytes: slot.offset,
            size_bytes: slot.bytes,
            steps: [step(life.first), step(life.last)],
        }
    };
    let mut regions: Vec<Region> = offsets.lives.iter().map(region).collect();
    regions.sort_by_key(|r| (r.offset_bytes, r.steps));
    regions
}
