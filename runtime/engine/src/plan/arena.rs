//! Offsets: each value gets a place in the arena that nobody else uses while it lives.
//!
//! Greedy by size, as in Pisarchyk and Lee, "Efficient Memory Management for Deep Neural Net Inference" (2020): the largest
//! value first, at the lowest offset that no value with an overlapping life occupies.

use super::Place;
use crate::graph::{Graph, Node, Op, ValueId};
use crate::layout::ALIGN_BYTES;
use crate::memory::Slot;
use crate::steps;

/// Offsets for all values.
pub(super) struct Offsets {
    /// By root value; others are empty.
    pub slots: Vec<Slot>,
    /// The slots of constants that steps read as operands.
    pub constants: Vec<Option<Slot>>,
    /// Bytes in all.
    pub bytes: usize,
    /// When each root value is alive.
    pub lives: Vec<Life>,
}

impl Offsets {
    /// Room at the end.
    pub fn append(&mut self, bytes: usize) -> Slot {
        let slot = Slot { offset: self.bytes, bytes };
        self.bytes += bytes.next_multiple_of(ALIGN_BYTES);
        slot
    }
}

/// For each value the value whose memory it shares: a reshape's output is its input.
pub(super) fn roots(graph: &Graph) -> Vec<ValueId> {
    let mut roots: Vec<ValueId> = (0..graph.values.len()).collect();
    for node in graph.nodes.iter().filter(|n| matches!(n.op, Op::Reshape)) {
        roots[node.outputs[0]] = roots[node.inputs[0]];
    }
    roots
}

/// A root value's life, in node numbers, both ends included.
#[derive(Clone, Copy)]
pub(super) struct Life {
    pub root: ValueId,
    pub first: usize,
    pub last: usize,
    bytes: usize,
}

pub(super) fn assign(graph: &Graph, roots: &[ValueId], places: &[Place]) -> Offsets {
    let mut offsets = Offsets {
        slots: vec![Slot::default(); graph.values.len()],
        constants: vec![None; graph.values.len()],
        bytes: 0,
        lives: lives(graph, roots, places),
    };
    offsets.lives.sort_by_key(|l| std::cmp::Reverse(l.bytes));
    let mut placed: Vec<(usize, usize, Slot)> = Vec::new();
    for life in offsets.lives.clone() {
        let mut neighbours: Vec<Slot> =
            placed.iter().filter(|(f, l, _)| *f <= life.last && life.first <= *l).map(|p| p.2).collect();
        neighbours.sort_by_key(|s| s.offset);
        let mut offset = 0;
        for slot in neighbours {
            if offset + life.bytes <= slot.offset {
                break;
            }
            offset = offset.max((slot.offset + slot.bytes).next_multiple_of(ALIGN_BYTES));
        }
        let slot = Slot { offset, bytes: life.bytes };
        offsets.bytes = offsets.bytes.max((offset + life.bytes).next_multiple_of(ALIGN_BYTES));
        offsets.slots[life.root] = slot;
        placed.push((life.first, life.last, slot));
    }
    for value in graph.nodes.iter().flat_map(|node| reads(graph, node)).chain(graph.outputs.iter().copied()) {
        let root = roots[value];
        if graph.values[root].constant.is_some() && offsets.constants[root].is_none() {
            offsets.constants[root] = Some(offsets.slots[root]);
        }
    }
    offsets
}

/// The inputs that a node's step reads from the arena: all but a constant that it packs once and keeps.
fn reads<'a>(graph: &'a Graph, node: &'a Node) -> impl Iterator<Item = ValueId> + 'a {
    let constants: Vec<_> = node.inputs.iter().map(|v| graph.values[*v].constant.as_ref()).collect();
    let kept = steps::kept_operand(&node.op, &constants);
    node.inputs.iter().enumerate().filter(move |(index, _)| Some(*index) != kept).map(|(_, value)| *value)
}

fn lives(graph: &Graph, roots: &[ValueId], places: &[Place]) -> Vec<Life> {
    let end = graph.nodes.len();
    let mut lives: Vec<Option<Life>> = (0..graph.values.len()).map(|_| None).collect();
    let mut touch = |value: ValueId, at: usize| {
        let root = roots[value];
        let life = lives[root].get_or_insert(Life { root, first: at, last: at, bytes: 0 });
        life.first = life.first.min(at);
        life.last = life.last.max(at);
        life.bytes = life.bytes.max(places[value].bytes().next_multiple_of(ALIGN_BYTES));
    };
    for (at, node) in graph.nodes.iter().enumerate() {
        for value in reads(graph, node).chain(node.outputs.iter().copied()) {
            touch(value, at);
            // What is known beforehand or written by the caller must survive from one run to the next.
            if graph.values[roots[value]].constant.is_some() {
                touch(value, 0);
                touch(value, end);
            }
        }
    }
    for value in graph.inputs.iter().chain(&graph.outputs) {
        touch(*value, 0);
        touch(*value, end);
    }
    lives.into_iter().flatten().collect()
}
