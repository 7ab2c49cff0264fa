//! Elementwise arithmetic after elementwise arithmetic.

use super::Ties;
use crate::graph::{Chain, Graph, Instr, Op};
use crate::model::DType;
use crate::steps::{MAX_CODE, MAX_INPUTS};

/// Puts the chain that alone feeds this one, at the same shape, in front of it.
pub(super) fn chain(graph: &mut Graph, ties: &Ties, node: usize) -> bool {
    let Op::Chain(later) = &graph.nodes[node].op else { return false };
    let shape = &graph.values[graph.nodes[node].outputs[0]].shape;
    for (slot, value) in graph.nodes[node].inputs.iter().enumerate() {
        // Bytes are rounded and clamped when they are written, truth values only when they are none.
        let exact = matches!(graph.values[*value].dtype, DType::F32 | DType::Bool);
        let same = exact && graph.values[*value].shape == *shape;
        let Some(producer) = ties.sole_producer(*value).filter(|_| same) else { continue };
        let Op::Chain(earlier) = &graph.nodes[producer].op else { continue };
        let (before, after) = (&graph.nodes[producer].inputs, &graph.nodes[node].inputs);
        let inputs = before.len() + after.len() - 1;
        if inputs > MAX_INPUTS || earlier.code.len() + later.code.len() > MAX_CODE {
            continue;
        }
        let joined = join(earlier, before.len(), later, after.len(), slot);
        let mut all = before.clone();
        all.extend(after.iter().enumerate().filter(|(i, _)| *i != slot).map(|(_, v)| *v));
        super::replace(graph, producer, node, Op::Chain(joined), all);
        return true;
    }
    false
}

/// The code of both: the earlier's inputs, then the later's without `slot`, then the earlier's results, then the later's.
fn join(earlier: &Chain, before: usize, later: &Chain, after: usize, slot: usize) -> Chain {
    let inputs = before + after - 1;
    let first = |reg: usize| if reg < before { reg } else { reg - before + inputs };
    let second = |reg: usize| match reg {
        r if r == slot => inputs + earlier.code.len() - 1,
        r if r < slot => before + r,
        r if r < after => before + r - 1,
        r => r - after + inputs + earlier.code.len(),
    };
    let code = earlier.code.iter().map(|i| moved(*i, first)).chain(later.code.iter().map(|i| moved(*i, second)));
    Chain { code: code.collect() }
}

fn moved(instr: Instr, reg: impl Fn(usize) -> usize) -> Instr {
    match instr {
        Instr::Unary(op, a) => Instr::Unary(op, reg(a)),
        Instr::Binary(op, a, b) => Instr::Binary(op, reg(a), reg(b)),
        Instr::Scalar(op, a, c) => Instr::Scalar(op, reg(a), c),
        Instr::ScalarLeft(op, c, a) => Instr::ScalarLeft(op, c, reg(a)),
        Instr::Select(c, a, b) => Instr::Select(reg(c), reg(a), reg(b)),
    }
}
