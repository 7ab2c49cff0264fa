//! Products of a known matrix, mostly triangular, with a vector, one for each of many entries: the whitening of a Gaussian a position.
//!
//! Every matrix is read once a frame, so that reading it is what this costs: what is zero above the diagonal is not stored. A column at a
//! time is scaled and added, four columns a turn; a row's sum always runs over the columns in order, whatever the number of threads.

use super::{Build, Context, Made, Step};
use crate::RunError;
use crate::graph::MatMul;
use crate::kernels::Aligned;
use crate::memory::{Memory, Slot};
use crate::team::cut;

use super::matmul::offset;

/// Columns that are added in one turn.
const TOGETHER: usize = 4;
/// Matrices are stored so where no more than this share of their elements is left.
const WORTH: f64 = 0.75;

/// `TOGETHER` columns of a matrix from row `first` on: above it all of them are zero. `at` is where the first one begins.
#[derive(Clone, Copy)]
struct Columns {
    at: usize,
    first: usize,
}

struct Run {
    product: MatMul,
    values: Aligned<f32>,
    /// For each entry, for each turn.
    columns: Vec<Columns>,
    turns: usize,
    b: Slot,
    c: Slot,
    /// Entries between which the team shares the work.
    cuts: Vec<usize>,
}

/// A step for `product`, whose A is `values`, where it is of this kind.
pub(super) fn build(build: &Build, product: &MatMul, values: &[f32], b: Slot, c: Slot) -> Option<Made> {
    let MatMul { m, n, k, .. } = *product;
    if n != 1 || m == 1 || product.c.row != 1 {
        return None;
    }
    let entries: usize = product.batch.iter().product();
    // C has to be the vectors one after the other.
    if (0..entries).any(|entry| offset(&product.batch, &product.c, entry) != entry * m) {
        return None;
    }
    let turns = k.div_ceil(TOGETHER);
    let (mut packed, mut columns) = (Vec::new(), Vec::with_capacity(entries * turns));
    for entry in 0..entries {
        let start = offset(&product.batch, &product.a, entry);
        let at = |i: usize, p: usize| if p < k { values[start + i * product.a.row + p * product.a.col] } else { 0.0 };
        for turn in (0..k).step_by(TOGETHER) {
            let zero = |&i: &usize| (turn..turn + TOGETHER).all(|p| at(i, p) == 0.0);
            let first = (0..m).take_while(zero).count();
            columns.push(Columns { at: packed.len(), first });
            (turn..turn + TOGETHER).for_each(|p| packed.extend((first..m).map(|i| at(i, p))));
        }
        if entry == 0 && packed.len() as f64 > WORTH * (m * k) as f64 {
            return None;
        }
    }
    let cuts = cut(entries, 1, build.threads);
    let detail = format!("{m}x{k} triangular");
    let macs = packed.len() as u64;
    let values = Aligned::copied(&packed);
    let step = Run { product: product.clone(), values, columns, turns, b, c, cuts };
    Some(Made { step: Box::new(step), scratch_bytes: 0, detail, macs })
}

impl Step for Run {
    fn run(&mut self, memory: &mut Memory, context: &Context) -> Result<(), RunError> {
        let (rest, to) = memory.split::<f32>(self.c);
        let right = rest.read::<f32>(self.b);
        let (m, k) = (self.product.m, self.product.k);
        let this = &*self;
        context.share(to, &this.cuts, m, &|part, piece| {
            for (entry, y) in (this.cuts[part]..).zip(piece.chunks_exact_mut(m)) {
                let start = offset(&this.product.batch, &this.product.b, entry);
                let x = |p: usize| if p < k { right[start + p * this.product.b.row] } else { 0.0 };
                y.fill(0.0);
                for (turn, columns) in this.columns[entry * this.turns..][..this.turns].iter().enumerate() {
                    let height = m - columns.first;
                    let values = &this.values[columns.at..][..TOGETHER * height];
                    let factors = std::array::from_fn(|j| x(turn * TOGETHER + j));
                    add(&mut y[columns.first..], values, factors);
                }
            }
        });
        Ok(())
    }
}

/// `y += sum of columns by factors`; `columns` holds one after the other.
fn add(y: &mut [f32], columns: &[f32], factors: [f32; TOGETHER]) {
    let height = y.len();
    let (a, rest) = columns.split_at(height);
    let (b, rest) = rest.split_at(height);
    let (c, d) = rest.split_at(height);
    let columns = a.iter().zip(b).zip(c).zip(d);
    for (y, (((a, b), c), d)) in y.iter_mut().zip(columns) {
        *y = *y + a * factors[0] + b * factors[1] + c * factors[2] + d * factors[3];
    }
}
