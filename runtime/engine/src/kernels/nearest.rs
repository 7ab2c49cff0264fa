//! Nearest neighbour in a memory bank: the least squared distance from each query to any row, without the distance matrix.
//!
//! `|q - b|² = |q|² + |b|² - 2 q·b`, so the nearest row is the one with the greatest `q·b - |b|²/2`. The bank is packed in
//! panels of as many rows as a tile is high, transposed, each panel headed by its `-|b|²/2`, which is what a tile's
//! accumulators start from; what remains of a tile in the end is one running maximum per query and lane. Queries are packed in
//! blocks of a tile's width. Sums run in the order of the features, so all sets with fused multiply-add agree to the bit.

use super::Kernels;
use super::aligned::Aligned;
use super::simd::Simd;

/// A memory bank packed for the kernels of one instruction set.
#[derive(Clone, Debug)]
pub struct Bank {
    rows: usize,
    depth: usize,
    tile: Tile,
    panels: Aligned<f32>,
}

/// How many rows and queries a tile holds, and how many lanes its maxima have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tile {
    /// Bank rows.
    pub rows: usize,
    /// Queries.
    pub queries: usize,
    /// Running maxima per query.
    pub lanes: usize,
}

/// Where the features of the queries lie: query `y * width + x` has feature `k` at
/// `y * row_step + x * query_step + k * feature_step`.
///
/// A matrix `[queries][features]` is one row with `query_step` = features; channel planes have `row_step` = pitch and
/// `feature_step` = plane.
#[derive(Clone, Copy, Debug)]
pub struct Queries<'a, T> {
    /// The features, from the first query's first on.
    pub data: &'a [T],
    /// Rows of queries.
    pub height: usize,
    /// Queries in a row.
    pub width: usize,
    /// Elements from one row of queries to the next.
    pub row_step: usize,
    /// Elements from one query to the next.
    pub query_step: usize,
    /// Elements from one feature to the next.
    pub feature_step: usize,
}

impl<'a, T> Queries<'a, T> {
    /// A matrix `[queries][features]` without gaps.
    #[must_use]
    pub fn matrix(data: &'a [T], features: usize) -> Self {
        Queries {
            data,
            height: 1,
            width: data.len() / features.max(1),
            row_step: 0,
            query_step: features,
            feature_step: 1,
        }
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.height * self.width
    }

    /// One past the last element that is read.
    pub(super) fn end(&self, depth: usize) -> usize {
        if self.count() == 0 || depth == 0 {
            return 0;
        }
        (self.height - 1) * self.row_step + (self.width - 1) * self.query_step + (depth - 1) * self.feature_step + 1
    }

    /// Index of a query's first feature.
    #[inline]
    pub(super) fn start(&self, query: usize) -> usize {
        query / self.width * self.row_step + query % self.width * self.query_step
    }
}

/// Whether the squared length of the query is part of the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueryNorm {
    /// Results are squared distances.
    Add,
    /// Results lack `|q|²`; the caller adds it or compares results of one query only.
    Leave,
}

/// One tile: `depth`, panel, query block, running maxima `[queries][lanes]`, their row numbers, the panel's first row number.
pub(super) type TileCore = unsafe fn(usize, *const f32, *const f32, *mut f32, *mut f32, f32);

/// What an instruction set gives for this operation.
#[derive(Clone, Copy)]
pub(super) struct Cores {
    pub tile: Tile,
    pub least: TileCore,
    pub least_with_index: TileCore,
}

/// Bytes of packed queries that are searched together, so that the bank streams from memory once per such chunk while the
/// chunk stays in the second-level cache.
const CHUNK_BYTES: usize = 128 << 10;

impl Bank {
    fn pack(rows: &[f32], depth: usize, tile: Tile) -> Bank {
        let count = rows.len() / depth;
        let panel = tile.rows * (depth + 1);
        let mut panels = Aligned::zeroed(count.div_ceil(tile.rows) * panel);
        for (p, out) in panels.chunks_exact_mut(panel).enumerate() {
            let (head, body) = out.split_at_mut(tile.rows);
            for r in 0..tile.rows {
                let Some(row) = rows.chunks_exact(depth).nth(p * tile.rows + r) else {
                    // A row that does not exist is never nearest.
                    head[r] = f32::NEG_INFINITY;
                    continue;
                };
                head[r] = -0.5 * row.iter().map(|x| x * x).sum::<f32>();
                for (k, &x) in row.iter().enumerate() {
                    body[k * tile.rows + r] = x;
                }
            }
        }
        Bank { rows: count, depth, tile, panels }
    }

    /// Rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Features of a row.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// Bytes of the packed form.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.panels.len() * 4
    }

    fn chunk_queries(&self) -> usize {
        let block_bytes = self.tile.queries * self.depth * 4;
        (CHUNK_BYTES / block_bytes).max(1) * self.tile.queries
    }

    /// Floats of working memory that a search needs.
    #[must_use]
    pub fn scratch_len(&self) -> usize {
        self.chunk_queries() * (self.depth + 2 * self.tile.lanes + 1)
    }
}

impl Kernels {
    /// Packs `rows`, a matrix `[rows][depth]`, for [`Kernels::nearest`] of these kernels.
    ///
    /// # Panics
    /// When `depth` is 0 or does not divide the length, or there is no row, or more than 2^24.
    #[must_use]
    pub fn pack_bank(&self, rows: &[f32], depth: usize) -> Bank {
        assert!(depth > 0 && rows.len().is_multiple_of(depth) && !rows.is_empty());
        assert!(rows.len() / depth <= 1 << 24, "row numbers are kept as f32");
        Bank::pack(rows, depth, self.nearest_cores.tile)
    }

    /// For each query the least squared distance to any row of the bank, and on demand which row (the first of equals).
    ///
    /// A query with a NaN gets NaN. Allocates nothing.
    ///
    /// # Panics
    /// When a slice is too short ([`Bank::scratch_len`] for `scratch`), or the bank was packed for other kernels.
    pub fn nearest(
        &self,
        bank: &Bank,
        queries: &Queries<'_, f32>,
        norm: QueryNorm,
        scratch: &mut [f32],
        least: &mut [f32],
        mut index: Option<&mut [u32]>,
    ) {
        let tile = bank.tile;
        assert_eq!(tile, self.nearest_cores.tile, "bank of other kernels");
        assert!(queries.data.len() >= queries.end(bank.depth));
        assert!(least.len() >= queries.count() && scratch.len() >= bank.scratch_len());
        assert!(index.as_ref().is_none_or(|i| i.len() >= queries.count()));
        let chunk = bank.chunk_queries();
        let (packed, rest) = scratch.split_at_mut(chunk * bank.depth);
        let (norms, rest) = rest.split_at_mut(chunk);
        let (best, rows) = rest.split_at_mut(chunk * tile.lanes);
        let rows = &mut rows[..chunk * tile.lanes];
        for first in (0..queries.count()).step_by(chunk) {
            let count = chunk.min(queries.count() - first);
            pack_queries(queries, first, count, bank, packed, norms);
            best.fill(f32::NEG_INFINITY);
            self.sweep(bank, count, packed, best, rows, index.is_some());
            for q in 0..count {
                let lanes = q * tile.lanes..(q + 1) * tile.lanes;
                let (score, row) = greatest(&best[lanes.clone()], &rows[lanes]);
                least[first + q] = match norm {
                    QueryNorm::Add => norms[q] - 2.0 * score,
                    QueryNorm::Leave => -2.0 * score,
                };
                if let Some(index) = index.as_deref_mut() {
                    index[first + q] = row;
                }
            }
        }
    }

    /// Every panel against every block of the chunk.
    fn sweep(&self, bank: &Bank, count: usize, packed: &[f32], best: &mut [f32], rows: &mut [f32], with_index: bool) {
        let Tile { rows: mr, queries: nq, lanes } = bank.tile;
        let core = if with_index { self.nearest_cores.least_with_index } else { self.nearest_cores.least };
        let blocks = count.div_ceil(nq);
        assert!(packed.len() >= blocks * nq * bank.depth && rows.len() >= blocks * nq * lanes);
        assert!(best.len() >= blocks * nq * lanes);
        for (p, panel) in bank.panels.chunks_exact(mr * (bank.depth + 1)).enumerate() {
            for b in 0..blocks {
                // SAFETY: the table's instruction set is there (`Kernels` is only made for such); a panel holds its head and
                // `depth` rows of `mr`; the asserts above cover the block and its maxima.
                unsafe {
                    core(
                        bank.depth,
                        panel.as_ptr(),
                        packed.as_ptr().add(b * nq * bank.depth),
                        best.as_mut_ptr().add(b * nq * lanes),
                        rows.as_mut_ptr().add(b * nq * lanes),
                        (p * mr) as f32,
                    );
                }
            }
        }
    }
}

/// Copies `count` queries from `first` on into blocks `[depth][tile.queries]`, and their squared lengths. The last block is
/// filled up with its last query.
fn pack_queries(
    queries: &Queries<'_, f32>,
    first: usize,
    count: usize,
    bank: &Bank,
    packed: &mut [f32],
    norms: &mut [f32],
) {
    let (nq, depth) = (bank.tile.queries, bank.depth);
    for q in 0..count.next_multiple_of(nq) {
        let source = &queries.data[queries.start(first + q.min(count - 1))..];
        let block = &mut packed[q / nq * nq * depth + q % nq..];
        let mut norm = 0.0;
        for k in 0..depth {
            let x = source[k * queries.feature_step];
            block[k * nq] = x;
            norm += x * x;
        }
        norms[q] = norm;
    }
}

/// The greatest of the lanes and its row, the lowest of equals. A NaN wins.
fn greatest(scores: &[f32], rows: &[f32]) -> (f32, u32) {
    let mut best = (scores[0], rows[0]);
    for (&score, &row) in scores.iter().zip(rows).skip(1) {
        if score.is_nan() || score > best.0 || (score == best.0 && row < best.1) {
            best = (score, row);
        }
    }
    (best.0, best.1 as u32)
}

/// A tile of `MV` vectors of rows by `2 * PAIRS` queries.
///
/// # Safety
/// As [`Simd`]; `panel` holds `depth + 1` times `MV * LANES` floats, `queries` `depth` times `2 * PAIRS`, `best` (and `rows`
/// with `INDEX`) `2 * PAIRS * LANES`.
#[inline(always)]
pub(super) unsafe fn tile<S: Simd, const MV: usize, const PAIRS: usize, const INDEX: bool>(
    depth: usize,
    panel: *const f32,
    queries: *const f32,
    best: *mut f32,
    rows: *mut f32,
    first_row: f32,
) {
    // SAFETY: the offsets stay within what the contract says is there.
    unsafe {
        let mut acc = [[[S::splat(0.0); MV]; 2]; PAIRS];
        for pair in &mut acc {
            for lane in pair {
                for (v, a) in lane.iter_mut().enumerate() {
                    *a = S::load(panel.add(v * S::LANES));
                }
            }
        }
        let (mut b, mut q) = (panel, queries);
        for _ in 0..depth {
            b = b.add(MV * S::LANES);
            let mut row = [S::splat(0.0); MV];
            for (v, r) in row.iter_mut().enumerate() {
                *r = S::load(b.add(v * S::LANES));
            }
            for (j, pair) in acc.iter_mut().enumerate() {
                let values = S::load_pair(q.add(2 * j));
                // Row by row within a lane: with sixteen registers there is one to spare for the query.
                for v in 0..MV {
                    pair[0][v] = S::fma_pair::<0>(pair[0][v], row[v], values);
                }
                for v in 0..MV {
                    pair[1][v] = S::fma_pair::<1>(pair[1][v], row[v], values);
                }
            }
            q = q.add(2 * PAIRS);
        }
        for (j, pair) in acc.iter().enumerate() {
            for (l, lane) in pair.iter().enumerate() {
                let at = (2 * j + l) * S::LANES;
                let mut score = S::load(best.add(at));
                if INDEX {
                    let mut row = S::load(rows.add(at));
                    for (v, &a) in lane.iter().enumerate() {
                        let number = S::add(S::splat(first_row), S::load(NUMBERS.as_ptr().add(v * S::LANES)));
                        row = S::select_gt(a, score, number, row);
                        score = S::max(score, a);
                    }
                    S::store(rows.add(at), row);
                } else {
                    for &a in lane {
                        score = S::max(score, a);
                    }
                }
                S::store(best.add(at), score);
            }
        }
    }
}

/// 0, 1, 2, ...: the row numbers within a panel.
static NUMBERS: [f32; 64] = {
    let mut numbers = [0.0; 64];
    let mut i = 0;
    while i < 64 {
        numbers[i] = i as f32;
        i += 1;
    }
    numbers
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::check::{Random, every_isa};

    /// The definition, in f64.
    fn reference(bank: &[f32], query: &[f32]) -> (f64, usize) {
        let distance = |row: &[f32]| -> f64 {
            let terms = row.iter().zip(query);
            terms.map(|(&b, &q)| (f64::from(b) - f64::from(q)).powi(2)).sum()
        };
        bank.chunks_exact(query.len())
            .map(distance)
            .enumerate()
            .fold((f64::INFINITY, 0), |best, (i, d)| if d < best.0 { (d, i) } else { best })
    }

    fn check(kernels: &Kernels, rows: usize, count: usize, depth: usize, seed: u64) {
        let mut random = Random::new(seed);
        let bank = random.floats(rows * depth);
        let data = random.floats(count * depth);
        let packed = kernels.pack_bank(&bank, depth);
        let mut scratch = vec![0.0; packed.scratch_len()];
        let (mut least, mut alone) = (vec![0.0; count], vec![0.0; count]);
        let mut index = vec![u32::MAX; count];
        let queries = Queries::matrix(&data, depth);
        kernels.nearest(&packed, &queries, QueryNorm::Add, &mut scratch, &mut least, Some(&mut index));
        kernels.nearest(&packed, &queries, QueryNorm::Add, &mut scratch, &mut alone, None);
        assert_eq!(least, alone, "with and without index");
        for (q, query) in data.chunks_exact(depth).enumerate() {
            let (distance, _) = reference(&bank, query);
            let label = format!("{} rows {rows} queries {count} depth {depth} seed {seed} query {q}", kernels.isa());
            let scale = 1e-5 * 4.0 * depth as f64;
            assert!((f64::from(least[q]) - distance).abs() <= scale, "{label}: {} for {distance}", least[q]);
            let found = &bank[index[q] as usize * depth..][..depth];
            let (to_found, _) = reference(found, query);
            assert!((to_found - distance).abs() <= scale, "{label}: row {}", index[q]);
        }
    }

    #[test]
    fn the_nearest_row_is_found_on_ugly_shapes() {
        every_isa(|kernels| {
            for (i, (rows, count, depth)) in
                [(1, 1, 1), (2, 3, 5), (31, 13, 7), (33, 12, 16), (64, 25, 3), (97, 50, 17), (129, 1, 64)]
                    .into_iter()
                    .enumerate()
            {
                check(kernels, rows, count, depth, i as u64);
            }
            // More queries than a chunk holds.
            check(kernels, 5, 40, 1500, 99);
        });
    }

    #[test]
    fn planes_give_what_the_matrix_gives() {
        let (height, width, pitch, plane, depth) = (3, 5, 7, 30, 6);
        let mut random = Random::new(5);
        let planes = random.floats(depth * plane);
        let bank = random.floats(40 * depth);
        let mut matrix = Vec::new();
        for q in 0..height * width {
            matrix.extend((0..depth).map(|k| planes[k * plane + q / width * pitch + q % width]));
        }
        let strided = Queries { data: &planes, height, width, row_step: pitch, query_step: 1, feature_step: plane };
        every_isa(|kernels| {
            let packed = kernels.pack_bank(&bank, depth);
            let mut scratch = vec![0.0; packed.scratch_len()];
            let mut search = |queries: &Queries<'_, f32>| {
                let mut least = vec![0.0; 15];
                kernels.nearest(&packed, queries, QueryNorm::Leave, &mut scratch, &mut least, None);
                least
            };
            assert_eq!(search(&strided), search(&Queries::matrix(&matrix, depth)));
        });
    }

    #[test]
    fn the_first_of_equal_rows_is_named_and_nan_stays() {
        every_isa(|kernels| {
            let bank = [[1.0, 2.0], [3.0, 4.0]].repeat(40).concat();
            let packed = kernels.pack_bank(&bank, 2);
            let mut scratch = vec![0.0; packed.scratch_len()];
            let (mut least, mut index) = ([0.0; 3], [9; 3]);
            let queries = [3.0, 4.0, f32::NAN, 0.0, 1.0, 2.0];
            kernels.nearest(
                &packed,
                &Queries::matrix(&queries, 2),
                QueryNorm::Add,
                &mut scratch,
                &mut least,
                Some(&mut index),
            );
            assert_eq!((least[0], least[2]), (0.0, 0.0), "{}", kernels.isa());
            assert_eq!((index[0], index[2]), (1, 0), "{}", kernels.isa());
            assert!(least[1].is_nan(), "{}: {}", kernels.isa(), least[1]);
        });
    }
}
