//! Einsums that are matrix products.

use super::{Lowered, Site};
use crate::graph::{MatMul, Op, Strides};
use crate::model::DType;
use tract_core::ops::einsum::EinSum;
use tract_core::tract_data::prelude::DatumType;

/// One index of the einsum: its size and its stride in A, B and C (0 where it does not run).
#[derive(Clone, Copy, Debug)]
struct Index {
    size: usize,
    a: usize,
    b: usize,
    c: usize,
}

pub(super) fn lower(site: &Site) -> Lowered {
    let op = site.node.op_as::<EinSum>()?;
    let values = [*site.inputs.first()?, *site.inputs.get(1)?, *site.outputs.first()?];
    let plain = site.inputs.len() == 2 && op.q_params.is_none() && op.operating_dt == DatumType::F32;
    if !plain || values.iter().any(|v| v.dtype != DType::F32) {
        return None;
    }
    let mut kinds: [Vec<Index>; 4] = Default::default();
    for axis in op.axes.iter_all_axes() {
        let mut strides = [0; 3];
        let mut size = 1;
        for (slot, positions) in axis.inputs.iter().chain(&axis.outputs).enumerate() {
            // A diagonal, or an axis of size 1 that broadcasts.
            let [position] = positions[..] else {
                if positions.is_empty() {
                    continue;
                }
                return None;
            };
            let shape = &values[slot].shape;
            strides[slot] = if shape[position] == 1 { 0 } else { shape[position + 1..].iter().product() };
            size = size.max(shape[position]);
        }
        if size == 1 {
            continue;
        }
        let index = Index { size, a: strides[0], b: strides[1], c: strides[2] };
        let kind = match (index.a > 0, index.b > 0, index.c > 0) {
            (true, false, true) => 0,
            (false, true, true) => 1,
            (true, true, false) => 2,
            (true, true, true) => 3,
            _ => return None,
        };
        kinds[kind].push(index);
    }
    let [m, n, k, mut batch] = kinds.map(merge);
    let m = main(m, &mut batch);
    let n = main(n, &mut batch);
    if k.len() > 1 {
        return None;
    }
    let k = k.first().copied().unwrap_or(Index { size: 1, a: 0, b: 0, c: 0 });
    let strides =
        |of: fn(&Index) -> usize, row: usize, col: usize| Strides { batch: batch.iter().map(of).collect(), row, col };
    let product = MatMul {
        m: m.size,
        n: n.size,
        k: k.size,
        batch: batch.iter().map(|i| i.size).collect(),
        a: strides(|i| i.a, m.a, k.a),
        b: strides(|i| i.b, k.b, n.b),
        c: strides(|i| i.c, m.c, n.c),
    };
    Some((Op::MatMul(product), vec![0, 1]))
}

/// Joins indices that are one index in every operand.
fn merge(mut indices: Vec<Index>) -> Vec<Index> {
    indices.sort_by_key(|i| std::cmp::Reverse((i.c, i.a, i.b)));
    let mut merged: Vec<Index> = Vec::new();
    for index in indices {
        let inside = |outer: usize, inner: usize| outer == inner * index.size;
        match merged.last_mut() {
            Some(last) if inside(last.a, index.a) && inside(last.b, index.b) && inside(last.c, index.c) => {
                *last = Index { size: last.size * index.size, ..index };
            }
            _ => merged.push(index),
        }
    }
    merged
}

/// The longest index becomes the matrix's; the others repeat the product.
fn main(mut indices: Vec<Index>, batch: &mut Vec<Index>) -> Index {
    let Some(longest) = (0..indices.len()).max_by_key(|i| indices[*i].size) else {
        return Index { size: 1, a: 0, b: 0, c: 0 };
    };
    let main = indices.remove(longest);
    batch.append(&mut indices);
    main
}
