//! The search in a memory bank.

use super::{Build, Context, Made, Step};
use crate::RunError;
use crate::graph::Nearest;
use crate::kernels::{Bank, Kernels, Queries, QueryNorm};
use crate::memory::{Memory, Slot};
use crate::plan::Place;

struct Run {
    kernels: Kernels,
    bank: Bank,
    queries: usize,
    steps: [usize; 2],
    norm: QueryNorm,
    from: Slot,
    to: Slot,
}

pub(super) fn build(build: &Build, nearest: &Nearest, input: &Place, out: &Place) -> Result<Made, String> {
    if !input.is_dense() || !out.is_dense() {
        return Err("an operand has padding".into());
    }
    let kernels = build.tiles.kernels;
    let bank = kernels.pack_bank(&nearest.bank, nearest.features);
    let queries = out.elements();
    if queries * nearest.features != input.elements() {
        return Err(format!("{queries} queries of {} features in {:?}", nearest.features, input.shape));
    }
    let detail = format!("{} rows of {} features, {queries} queries", bank.rows(), bank.depth());
    let macs = (bank.rows() * bank.depth() * queries) as u64;
    let scratch_bytes = bank.scratch_len() * 4;
    let norm = if nearest.add_query_norm { QueryNorm::Add } else { QueryNorm::Leave };
    let steps = [nearest.query_step, nearest.feature_step];
    let step = Run { kernels, bank, queries, steps, norm, from: input.slot, to: out.slot };
    Ok(Made { step: Box::new(step), scratch_bytes, detail, macs })
}

impl Step for Run {
    fn run(&mut self, memory: &mut Memory, context: &Context) -> Result<(), RunError> {
        let (rest, to, scratch) = memory.split_with::<f32, f32>(self.to, context.scratch);
        let [query_step, feature_step] = self.steps;
        let data = rest.read::<f32>(self.from);
        let queries = Queries { data, height: 1, width: self.queries, row_step: 0, query_step, feature_step };
        self.kernels.nearest(&self.bank, &queries, self.norm, scratch, to, None);
        Ok(())
    }
}
