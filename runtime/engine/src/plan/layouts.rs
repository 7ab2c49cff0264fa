//! Which value carries padding.
//!
//! A convolution or pool wants its padding to lie in its input. Where everyone who touches that value can step over padding,
//! the value simply has it; where someone cannot (a reshape, a fallback, the caller), or where two readers want different
//! things in the padding, a padded copy is made.

use crate::graph::{Copy, Graph, Node, Op, Part, PoolKind, Value, ValueId};
use crate::layout::Pads;
use crate::model::DType;

/// Padding, and what it is filled with.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Layout {
    pub pads: Pads,
    pub fill: f32,
}

/// The layout of every value. Adds copies to the graph where needed.
pub(super) fn assign(graph: &mut Graph) -> Vec<Layout> {
    let plain = |v: &Value| Layout { pads: Pads::default(), fill: v.zero.map_or(0.0, f32::from) };
    let mut layouts: Vec<Layout> = graph.values.iter().map(plain).collect();
    let mut copies: Vec<(usize, Node)> = Vec::new();
    for value in 0..graph.values.len() {
        let free = steps_over_padding(graph, value);
        for fill in [layouts[value].fill, f32::NEG_INFINITY] {
            let readers: Vec<usize> = (0..graph.nodes.len())
                .filter(|n| graph.nodes[*n].inputs.first() == Some(&value))
                .filter(|n| wish(graph, &graph.nodes[*n]).is_some_and(|w| w.fill == fill))
                .collect();
            let wishes = readers.iter().filter_map(|n| wish(graph, &graph.nodes[*n]));
            let pads = wishes.fold(Pads::default(), |all, w| all.union(w.pads));
            if pads == Pads::default() {
                continue;
            }
            if free && fill == layouts[value].fill {
                layouts[value] = Layout { pads, fill };
                continue;
            }
            let (name, shape) = (graph.values[value].name.clone(), graph.values[value].shape.clone());
            let padded = graph.add_value(&name, &shape, DType::F32);
            layouts.push(Layout { pads, fill });
            copies.push((readers[0], copy(&name, &shape, value, padded)));
            for reader in readers {
                graph.nodes[reader].inputs[0] = padded;
            }
        }
    }
    align_residuals(graph, &mut layouts, &mut copies);
    copies.sort_by_key(|(before, _)| std::cmp::Reverse(*before));
    for (before, node) in copies {
        graph.nodes.insert(before, node);
    }
    layouts
}

/// A residual lies as the output that it is added to, summands of bytes as each other: both take the padding of both, or a copy is made.
fn align_residuals(graph: &mut Graph, layouts: &mut Vec<Layout>, copies: &mut Vec<(usize, Node)>) {
    let pair = |n: usize| {
        let node = &graph.nodes[n];
        match node.op {
            Op::Conv(_) => Some((n, *node.inputs.get(1)?, node.outputs[0])),
            Op::AddInt8(_) => Some((n, node.inputs[1], node.inputs[0])),
            _ => None,
        }
    };
    let pairs: Vec<(usize, ValueId, ValueId)> = (0..graph.nodes.len()).filter_map(pair).collect();
    let mut changed = true;
    while changed {
        changed = false;
        for (_, residual, output) in &pairs {
            let pads = layouts[*residual].pads.union(layouts[*output].pads);
            for value in [*residual, *output] {
                if layouts[value].pads != pads && steps_over_padding(graph, value) {
                    layouts[value].pads = pads;
                    changed = true;
                }
            }
        }
    }
    for (node, residual, output) in pairs {
        if layouts[residual].pads == layouts[output].pads {
            continue;
        }
        let (name, shape) = (graph.values[residual].name.clone(), graph.values[residual].shape.clone());
        let aligned = graph.add_value(&name, &shape, DType::F32);
        layouts.push(layouts[output]);
        copies.push((node, copy(&name, &shape, residual, aligned)));
        graph.nodes[node].inputs[1] = aligned;
    }
}

/// The padding that a node wants in its first input.
fn wish(graph: &Graph, node: &Node) -> Option<Layout> {
    let layout = match &node.op {
        Op::Conv(conv) => Layout { pads: conv.window.pads, fill: 0.0 },
        // After relu, zero is as good as -inf: no padding is greater than what lies inside.
        Op::Pool(pool) if pool.kind == PoolKind::Max && !never_negative(graph, node.inputs[0]) => {
            Layout { pads: pool.window.pads, fill: f32::NEG_INFINITY }
        }
        Op::Pool(pool) => Layout { pads: pool.window.pads, fill: 0.0 },
        Op::ConvInt8(conv) => Layout { pads: conv.window.pads, fill: f32::from(conv.from.zero) },
        Op::PoolInt8(pool) => Layout { pads: pool.window.pads, fill: f32::from(pool.from.zero) },
        _ => return None,
    };
    (layout.pads != Pads::default()).then_some(layout)
}

fn never_negative(graph: &Graph, value: ValueId) -> bool {
    let producer = graph.nodes.iter().find(|n| n.outputs.contains(&value));
    producer.is_some_and(|n| matches!(&n.op, Op::Conv(conv) if conv.clamp.low >= 0.0))
}

/// Whether everyone who touches a value takes strides.
fn steps_over_padding(graph: &Graph, value: ValueId) -> bool {
    let outside = graph.inputs.contains(&value) || graph.outputs.contains(&value);
    let strided = |node: &Node| match node.op {
        Op::MatMul(_) | Op::Reshape | Op::Tract(_) | Op::Nearest(_) => false,
        // Its queries may have padding, its results may not.
        Op::NearestInt8(_) => !node.outputs.contains(&value),
        _ => true,
    };
    let mut touching = graph.nodes.iter().filter(|n| n.inputs.contains(&value) || n.outputs.contains(&value));
    !outside && graph.values[value].constant.is_none() && touching.all(strided)
}

fn copy(name: &str, shape: &[usize], from: ValueId, to: ValueId) -> Node {
    let part = Part {
        input: 0,
        sizes: shape.to_vec(),
        from_axes: (0..shape.len()).map(Some).collect(),
        from_steps: vec![1; shape.len()],
        from: vec![0; shape.len()],
        to_axes: (0..shape.len()).collect(),
        to: vec![0; shape.len()],
    };
    let op = Op::Copy(Copy { parts: vec![part], fill: None });
    Node { name: format!("{name}.padded"), op, inputs: vec![from], outputs: vec![to] }
}
