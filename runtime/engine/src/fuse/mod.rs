//! Joining nodes, so that a result is finished while it is still in registers and the distance matrix never exists.
//!
//! Each rule looks at one node and what produces its inputs, and either changes the graph or leaves it. The rules run until
//! none applies.

mod chain;
mod conv;
mod int8;
mod nearest;
mod separable;

use crate::graph::{Graph, Op, ValueId};

/// Joins what can be joined and drops what nobody reads.
pub(crate) fn fuse(graph: &mut Graph) {
    // Patterns of several nodes first: the pairwise rules would take them apart.
    while apply(graph, &[nearest::nearest]) {}
    while apply(graph, &[conv::stride, conv::scale, conv::clamp, conv::residual, chain::chain]) {}
    prune(graph);
    int8::fold(graph);
    while apply(graph, &[separable::separable]) {}
    // Quantisation that became arithmetic joins its neighbours.
    while apply(graph, &[chain::chain]) {}
}

/// A rule: whether it changed the graph at this node.
type Rule = fn(&mut Graph, &Ties, usize) -> bool;

/// Applies the first rule that applies anywhere.
fn apply(graph: &mut Graph, rules: &[Rule]) -> bool {
    let ties = Ties::of(graph);
    (0..graph.nodes.len()).any(|node| rules.iter().any(|rule| rule(graph, &ties, node)))
}

/// Who makes and who reads each value.
struct Ties {
    producer: Vec<Option<usize>>,
    readers: Vec<usize>,
}

impl Ties {
    fn of(graph: &Graph) -> Ties {
        let mut ties = Ties { producer: vec![None; graph.values.len()], readers: vec![0; graph.values.len()] };
        for (index, node) in graph.nodes.iter().enumerate() {
            node.outputs.iter().for_each(|v| ties.producer[*v] = Some(index));
            node.inputs.iter().for_each(|v| ties.readers[*v] += 1);
        }
        graph.outputs.iter().for_each(|v| ties.readers[*v] += 1);
        ties
    }

    /// The node that makes a value which nobody else reads.
    fn sole_producer(&self, value: ValueId) -> Option<usize> {
        self.producer[value].filter(|_| self.readers[value] == 1)
    }
}

/// Puts `node` with another operator in place of `later`, whose output it now makes.
fn replace(graph: &mut Graph, earlier: usize, later: usize, op: Op, inputs: Vec<ValueId>) {
    graph.nodes[later].name = graph.nodes[earlier].name.clone();
    graph.nodes[later].op = op;
    graph.nodes[later].inputs = inputs;
    graph.nodes.remove(earlier);
}

/// Drops nodes whose outputs nobody reads.
fn prune(graph: &mut Graph) {
    loop {
        let ties = Ties::of(graph);
        let before = graph.nodes.len();
        graph.nodes.retain(|n| n.outputs.iter().any(|v| ties.readers[*v] > 0));
        if graph.nodes.len() == before {
            return;
        }
    }
}
