//! Matrix products on the micro-kernels. Operands are packed each time, constant ones once.

use super::{Build, Context, Made, Step, matvec};
use crate::RunError;
use crate::gemm::{Epilogue, PANEL_SLACK, Target, Tile};
use crate::graph::{MatMul, Strides};
use crate::kernels::{Aligned, Clamp};
use crate::memory::{Memory, Slot};
use crate::plan::Place;
use std::sync::Arc;
use tract_onnx::prelude::Tensor;

/// Bytes of B that are packed at a time, so that they stay in the second-level cache.
const BLOCK_BYTES: usize = 256 << 10;

struct Run {
    tile: Tile,
    product: MatMul,
    /// A packed beforehand, one block a batch entry.
    packed: Vec<Aligned<f32>>,
    a: Slot,
    b: Slot,
    c: Slot,
    /// Columns of B packed at a time.
    block: usize,
}

/// The operand that becomes A and is packed beforehand: the first that is known.
pub(super) fn kept_operand(constants: &[Option<&Arc<Tensor>>]) -> Option<usize> {
    constants.iter().position(|constant| constant.is_some_and(|tensor| floats(tensor).is_some()))
}

fn floats(tensor: &Tensor) -> Option<&[f32]> {
    tensor.as_plain_ram()?.as_slice::<f32>().ok()
}

pub(super) fn build(
    build: &Build,
    product: &MatMul,
    inputs: &[Place],
    out: &Place,
    constants: &[Option<Arc<Tensor>>],
) -> Result<Made, String> {
    if inputs.iter().chain([out]).any(|p| !p.is_dense()) {
        return Err("an operand has padding".into());
    }
    let mut product = product.clone();
    let mut places = [&inputs[0], &inputs[1]];
    let kept = kept_operand(&[constants[0].as_ref(), constants[1].as_ref()]);
    // C' = B' A': a constant B becomes A, so that it is packed once; likewise a B that is wider than A is high.
    if kept == Some(1) || kept.is_none() && product.n > 4 * product.m && product.m < 8 {
        product = transposed(&product);
        places.swap(0, 1);
    }
    let MatMul { m, n, k, .. } = product;
    if m == 0 || n == 0 || k == 0 {
        return Err("an empty product".into());
    }
    let values = kept.and_then(|operand| floats(constants[operand].as_ref()?));
    if let Some(made) = values.and_then(|v| matvec::build(build, &product, v, places[1].slot, out.slot)) {
        return Ok(made);
    }
    let tile = build.tiles.pick(m, n, k);
    let batches: usize = product.batch.iter().product();
    let mut packed = Vec::new();
    if let Some(values) = values {
        for entry in 0..batches {
            let start = offset(&product.batch, &product.a, entry);
            packed.push(tile.pack_a(m, k, |i, p| values[start + i * product.a.row + p * product.a.col]));
        }
    }
    let block = (BLOCK_BYTES / 4 / (k * tile.nr)).max(1) * tile.nr;
    let block = block.min(n.next_multiple_of(tile.nr));
    let a_len = if packed.is_empty() { tile.packed_len(m, k) + PANEL_SLACK } else { 0 };
    let scratch_bytes = (a_len + block * k + PANEL_SLACK) * 4;
    let macs = (batches * m * n * k) as u64;
    let detail = format!("{m}x{n}x{k} {}", tile.name);
    let step = Run { tile, packed, a: places[0].slot, b: places[1].slot, c: out.slot, block, product };
    Ok(Made { step: Box::new(step), scratch_bytes, detail, macs })
}

fn transposed(product: &MatMul) -> MatMul {
    let flip = |s: &Strides| Strides { batch: s.batch.clone(), row: s.col, col: s.row };
    MatMul {
        m: product.n,
        n: product.m,
        k: product.k,
        batch: product.batch.clone(),
        a: flip(&product.b),
        b: flip(&product.a),
        c: flip(&product.c),
    }
}

/// Where a batch entry starts.
pub(super) fn offset(sizes: &[usize], strides: &Strides, mut entry: usize) -> usize {
    let mut offset = 0;
    for (size, stride) in sizes.iter().zip(&strides.batch).rev() {
        offset += entry % size * stride;
        entry /= size;
    }
    offset
}

impl Step for Run {
    fn run(&mut self, memory: &mut Memory, context: &Context) -> Result<(), RunError> {
        let MatMul { m, n, k, batch, a, b, c } = &self.product;
        let (m, n, k) = (*m, *n, *k);
        let (rest, to, scratch) = memory.split_with::<f32, f32>(self.c, context.scratch);
        let right = rest.read::<f32>(self.b);
        let a_len = if self.packed.is_empty() { self.tile.packed_len(m, k) + PANEL_SLACK } else { 0 };
        let (scratch_a, scratch_b) = scratch.split_at_mut(a_len);
        for entry in 0..batch.iter().product() {
            let [at_a, at_b, at_c] = [a, b, c].map(|s| offset(batch, s, entry));
            let left: &[f32] = match self.packed.get(entry) {
                Some(packed) => packed,
                None => {
                    let values = rest.read::<f32>(self.a);
                    self.tile.pack_a_into(scratch_a, m, k, |i, p| values[at_a + i * a.row + p * a.col]);
                    scratch_a
                }
            };
            for first in (0..n).step_by(self.block) {
                let count = self.block.min(n - first);
                let at = |p: usize, j: usize| right[at_b + p * b.row + (first + j) * b.col];
                self.tile.pack_b_into(scratch_b, count, k, at);
                let target = Target { start: at_c + first * c.col, row: c.row, col: c.col };
                let epilogue = Epilogue { bias: None, residual: None, clamp: Clamp::NONE };
                self.tile.multiply([m, count, k], left, scratch_b, to, target, &epilogue);
            }
        }
        Ok(())
    }
}
