//! Greedy k-center selection, pruned without changing what it takes, and a pool of features whose size does not depend on the
//! number of images.
//!
//! k-center (Gonzalez 1985; for memory banks Roth et al. 2022): again and again take the point that is farthest from all that
//! were taken. The union of k-center selections of parts is a core set of the whole (Indyk et al. 2014, composable core-sets),
//! so a part of the pool that overflows is replaced by its own selection.
//!
//! A cross-validation needs one selection of everything and one without each fold. The latter begin with the former: the
//! centres of other folds stay, the points that lost theirs look for the nearest one left, and the greedy course goes on until
//! the bank is full again. Centres are still farther from each other than the points between them are from their centre, which is
//! all that Gonzalez's bound of twice the optimum needs, and the folds together cost what two selections do.

/// Rows of `depth` features, kept apart by fold, at most `capacity` in all.
#[derive(Clone, Debug)]
pub(super) struct Pool {
    depth: usize,
    fold_rows: usize,
    image_rows: usize,
    /// Orthogonal, `[depth, depth]`; its columns are directions, those in which the rows differ most first.
    axes: Vec<f32>,
    folds: Vec<Vec<f32>>,
    /// The selection from all folds, once they are complete.
    whole: Option<Selection>,
}

impl Pool {
    /// Rows that all folds together may hold: 64 Ki rows of 64 features are 16 MiB.
    const CAPACITY: usize = 1 << 16;
    /// An image never contributes fewer rows than this, if it has them.
    const LEAST_ROWS: usize = 256;

    /// A pool for `images` images in `folds` folds that will have to give `bank` rows. `axes` `[D,D]` is orthogonal; the sooner
    /// its columns tell rows apart, the less work there is.
    pub fn new(axes: &[f32], folds: usize, images: usize, bank: usize) -> Pool {
        let capacity = Pool::CAPACITY.max(4 * bank);
        Pool {
            depth: axes.len().isqrt(),
            fold_rows: capacity / folds.max(1),
            // Few large pictures: more candidates of one than four banks' worth cost hours and change nothing.
            image_rows: (capacity / images.max(1)).min(4 * bank).max(Pool::LEAST_ROWS),
            axes: axes.to_vec(),
            folds: vec![Vec::new(); folds],
            whole: None,
        }
    }

    /// Adds an image's features, rows of `depth`, to a fold.
    pub fn add(&mut self, fold: usize, rows: &[f32]) {
        self.whole = None;
        let depth = self.depth;
        if rows.len() / depth > self.image_rows {
            let some = select(rows, &self.axes, self.image_rows);
            self.folds[fold].extend(some);
        } else {
            self.folds[fold].extend_from_slice(rows);
        }
        if self.folds[fold].len() / depth > self.fold_rows {
            self.folds[fold] = select(&self.folds[fold], &self.axes, self.fold_rows / 2);
        }
    }

    /// Selects `bank` rows from all folds, from which the selections without one of them then begin. To be called when all
    /// images were added.
    pub fn settle(&mut self, bank: usize) {
        let along = self.folds.iter().flat_map(|rows| turned(rows, &self.axes)).collect();
        let mut whole = Selection::begin(along, self.depth);
        whole.extend(bank);
        self.whole = Some(whole);
    }

    /// At most `bank` rows that cover all folds but one. The pool must have been settled for as many.
    pub fn bank(&self, without: Option<usize>, bank: usize) -> Vec<f32> {
        let Some(whole) = &self.whole else { return Vec::new() };
        let Some(fold) = without else { return self.rows(&whole.centres) };
        let first = self.folds[..fold].iter().map(|rows| rows.len() / self.depth).sum();
        let left_out = first..first + self.folds[fold].len() / self.depth;
        let mut selection = whole.without(left_out);
        selection.extend(bank);
        self.rows(&selection.centres)
    }

    /// The rows of these places, counted through all folds.
    fn rows(&self, places: &[u32]) -> Vec<f32> {
        let all: Vec<&[f32]> = self.folds.iter().flat_map(|rows| rows.chunks_exact(self.depth)).collect();
        places.iter().flat_map(|&place| all[place as usize].iter().copied()).collect()
    }
}

/// The `count` rows that greedy k-center takes, beginning with the row that is farthest from the mean. Fewer where fewer differ.
/// Depends on nothing but its arguments.
fn select(rows: &[f32], axes: &[f32], count: usize) -> Vec<f32> {
    let depth = axes.len().isqrt();
    let mut selection = Selection::begin(turned(rows, axes), depth);
    selection.extend(count);
    selection.centres.iter().flat_map(|&c| rows[c as usize * depth..][..depth].iter().copied()).collect()
}

/// Rows along the axes: distances stay what they are, but the first few features tell most of them.
fn turned(rows: &[f32], axes: &[f32]) -> Vec<f32> {
    let depth = axes.len().isqrt();
    let mut along = vec![0.0; rows.len()];
    for (row, out) in rows.chunks_exact(depth).zip(along.chunks_exact_mut(depth)) {
        for (&value, axis) in row.iter().zip(axes.chunks_exact(depth)) {
            out.iter_mut().zip(axis).for_each(|(sum, &a)| *sum += value * a);
        }
    }
    along
}

/// A k-center selection, as far as it went.
#[derive(Clone, Debug)]
struct Selection {
    depth: usize,
    /// The points, rows of `depth`.
    points: std::sync::Arc<[f32]>,
    /// The places of the points that were taken, in the order in which they were.
    centres: Vec<u32>,
    /// For each point the squared distance to its nearest centre; below zero where the point is left out.
    distance: Vec<f32>,
    /// For each point which centre that is, counted in `centres`.
    nearest: Vec<u32>,
}

/// What a point that is left out has for a distance: less than any, so that it is never the farthest, and never nearer to another
/// centre.
const LEFT_OUT: f32 = -1.0;

impl Selection {
    /// Takes the point that is farthest from the mean.
    fn begin(points: Vec<f32>, depth: usize) -> Selection {
        let mean = mean(&points, depth);
        let count = points.len() / depth;
        let first = farthest(points.chunks_exact(depth).map(|p| squared_distance(p, &mean)));
        let distance: Vec<f32> = match points.chunks_exact(depth).nth(first) {
            Some(centre) => points.chunks_exact(depth).map(|p| squared_distance(p, centre)).collect(),
            None => Vec::new(),
        };
        let centres = if count == 0 { Vec::new() } else { vec![first as u32] };
        Selection { depth, points: points.into(), centres, distance, nearest: vec![0; count] }
    }

    fn point(&self, place: u32) -> &[f32] {
        &self.points[place as usize * self.depth..][..self.depth]
    }

    /// Goes on until there are `count` centres or all points are centres' equals.
    fn extend(&mut self, count: usize) {
        self.centres.truncate(count);
        let mut apart = Vec::with_capacity(count);
        while self.centres.len() < count {
            let next = farthest(self.distance.iter().copied());
            if self.distance.get(next).is_none_or(|&d| d <= 0.0) {
                break;
            }
            let centre = &self.points[next * self.depth..][..self.depth];
            // A point cannot be nearer to the new centre than to its own where these two are more than twice as far apart
            // (triangle inequality; a quarter of the squared distance).
            apart.clear();
            apart.extend(self.centres.iter().map(|&c| squared_distance(self.point(c), centre) / 4.0));
            let number = self.centres.len() as u32;
            let points = self.points.chunks_exact(self.depth);
            for ((point, distance), nearest) in points.zip(&mut self.distance).zip(&mut self.nearest) {
                if apart[*nearest as usize] < *distance
                    && let Some(less) = nearer(point, centre, *distance)
                {
                    (*distance, *nearest) = (less, number);
                }
            }
            (self.distance[next], self.nearest[next]) = (0.0, number);
            self.centres.push(next as u32);
        }
    }

    /// The selection without some of the points: centres among them are gone, and points that had those have the nearest of the
    /// others.
    fn without(&self, left_out: std::ops::Range<usize>) -> Selection {
        let mut fewer = self.clone();
        fewer.centres.retain(|&c| !left_out.contains(&(c as usize)));
        if fewer.centres.is_empty() {
            // Nothing to begin with: the point that was farthest from what was left out is as good as any.
            let inside = |i: usize| if left_out.contains(&i) { LEFT_OUT } else { self.distance[i] };
            let first = farthest((0..self.distance.len()).map(inside));
            fewer.centres.extend((!left_out.contains(&first) && !self.distance.is_empty()).then_some(first as u32));
        }
        let mut numbers = vec![None; self.centres.len()];
        let mut kept = 0;
        for (number, &c) in numbers.iter_mut().zip(&self.centres) {
            if fewer.centres.get(kept as usize) == Some(&c) {
                *number = Some(kept);
                kept += 1;
            }
        }
        for i in 0..fewer.distance.len() {
            if left_out.contains(&i) {
                (fewer.distance[i], fewer.nearest[i]) = (LEFT_OUT, 0);
            } else if let Some(number) = numbers[self.nearest[i] as usize] {
                fewer.nearest[i] = number;
            } else {
                (fewer.distance[i], fewer.nearest[i]) = fewer.search(i as u32);
            }
        }
        fewer
    }

    /// The squared distance of a point to its nearest centre, and which that is.
    fn search(&self, place: u32) -> (f32, u32) {
        let point = self.point(place);
        self.centres.iter().zip(0..).fold((f32::INFINITY, 0), |best, (&centre, number)| {
            nearer(point, self.point(centre), best.0).map_or(best, |less| (less, number))
        })
    }
}

/// The place of the greatest value, the first of equals; 0 of none.
fn farthest(distances: impl Iterator<Item = f32>) -> usize {
    distances.enumerate().fold((0, f32::NEG_INFINITY), |best, (i, d)| if d > best.1 { (i, d) } else { best }).0
}

fn mean(points: &[f32], depth: usize) -> Vec<f32> {
    let mut sums = vec![0.0f64; depth];
    for point in points.chunks_exact(depth) {
        for (sum, &value) in sums.iter_mut().zip(point) {
            *sum += f64::from(value);
        }
    }
    let count = (points.len() / depth).max(1) as f64;
    sums.iter().map(|s| (s / count) as f32).collect()
}

/// Features after which a distance is looked at: most points are known to be too far after the first block.
const BLOCK: usize = 16;

/// The squared distance, where it is less than `limit`.
fn nearer(a: &[f32], b: &[f32], limit: f32) -> Option<f32> {
    let mut sum = 0.0;
    for (a, b) in a.chunks(BLOCK).zip(b.chunks(BLOCK)) {
        sum += squared_distance(a, b);
        if sum >= limit {
            return None;
        }
    }
    Some(sum)
}

/// Eight running sums, so that the compiler uses vector registers and every platform adds in the same order.
fn squared_distance(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0f32; 8];
    let (heads_a, tail_a) = a.as_chunks::<8>();
    let (heads_b, tail_b) = b.as_chunks::<8>();
    for (x, y) in heads_a.iter().zip(heads_b) {
        for lane in 0..8 {
            let off = x[lane] - y[lane];
            sums[lane] += off * off;
        }
    }
    let tail: f32 = tail_a.iter().zip(tail_b).map(|(x, y)| (x - y) * (x - y)).sum();
    sums.iter().sum::<f32>() + tail
}

#[cfg(test)]
mod tests {
    use super::super::spectrum::rotation;
    use super::*;
    use crate::random::Random;

    fn cloud(count: usize, depth: usize, seed: u64) -> Vec<f32> {
        let mut random = Random::new(seed);
        (0..count * depth).map(|_| random.normal() as f32).collect()
    }

    fn axes(depth: usize) -> Vec<f32> {
        rotation(depth, &mut Random::new(1)).iter().map(|&v| v as f32).collect()
    }

    /// k-center without any pruning.
    fn plain(points: &[f32], depth: usize, count: usize) -> Vec<f32> {
        let rows: Vec<&[f32]> = points.chunks_exact(depth).collect();
        let centre = mean(points, depth);
        let mut taken = vec![farthest(rows.iter().map(|p| squared_distance(p, &centre)))];
        while taken.len() < count {
            let least = |p: &&[f32]| taken.iter().map(|&c| squared_distance(p, rows[c])).fold(f32::INFINITY, f32::min);
            taken.push(farthest(rows.iter().map(least)));
        }
        taken.iter().flat_map(|&c| rows[c].to_vec()).collect()
    }

    /// The greatest distance of a row to the bank.
    fn radius(rows: &[f32], bank: &[f32], depth: usize) -> f32 {
        let least = |p: &[f32]| bank.chunks_exact(depth).map(|c| squared_distance(p, c)).fold(f32::INFINITY, f32::min);
        rows.chunks_exact(depth).map(least).fold(0.0, f32::max).sqrt()
    }

    #[test]
    fn pruning_takes_what_plain_k_center_takes() {
        for (depth, seed) in [(2, 1), (3, 2), (8, 3), (11, 4), (40, 5)] {
            let points = cloud(300, depth, seed);
            assert_eq!(select(&points, &axes(depth), 40), plain(&points, depth, 40), "depth {depth}, seed {seed}");
        }
    }

    #[test]
    fn equal_points_are_taken_once() {
        let points = [1.0, 2.0].repeat(50);
        assert_eq!(select(&points, &axes(2), 10), [1.0, 2.0]);
        assert!(select(&[], &axes(2), 10).is_empty());
    }

    #[test]
    fn a_bank_without_a_fold_covers_the_others_as_well_as_one_that_was_selected_from_them_alone() {
        let depth = 6;
        let mut pool = Pool::new(&axes(depth), 5, 5, 60);
        let images: Vec<Vec<f32>> = (0..5).map(|image| cloud(200, depth, image)).collect();
        images.iter().enumerate().for_each(|(fold, rows)| pool.add(fold, rows));
        pool.settle(60);
        assert_eq!(pool.bank(None, 60), select(&images.concat(), &axes(depth), 60));
        for fold in 0..5 {
            let others: Vec<f32> = (0..5).filter(|&i| i != fold).flat_map(|i| images[i].clone()).collect();
            let bank = pool.bank(Some(fold), 60);
            assert_eq!(bank.len(), 60 * depth);
            let left_out: Vec<&[f32]> = images[fold].chunks_exact(depth).collect();
            assert!(bank.chunks_exact(depth).all(|row| !left_out.contains(&row)), "fold {fold} is in its own bank");
            let (shared, alone) = (radius(&others, &bank, depth), radius(&others, &plain(&others, depth, 60), depth));
            assert!(shared < 1.05 * alone, "fold {fold}: radius {shared} where a selection of its own has {alone}");
        }
    }

    #[test]
    fn a_fold_that_held_every_centre_can_be_left_out() {
        let mut pool = Pool::new(&axes(2), 2, 2, 1);
        pool.add(0, &[5.0, 5.1, 5.1, 5.0]);
        pool.add(1, &[9.0, 9.0, 1.0, 1.0]);
        pool.settle(1);
        assert!(pool.bank(None, 1) == [1.0, 1.0] || pool.bank(None, 1) == [9.0, 9.0]);
        assert!(pool.bank(Some(1), 1).iter().all(|v| (5.0..=5.1).contains(v)));
        assert_eq!(pool.bank(Some(1), 1).len(), 2);
    }

    #[test]
    fn the_pool_is_bounded_and_leaves_out_the_fold_asked_for() {
        let mut pool = Pool { fold_rows: 100, image_rows: 30, ..Pool::new(&axes(2), 2, 50, 20) };
        for image in 0..50 {
            let mut rows = cloud(40, 2, image);
            // Fold 1 lies far away, so that its rows can be told.
            rows.iter_mut().for_each(|v| *v += if image % 2 == 1 { 1000.0 } else { 0.0 });
            pool.add(image as usize % 2, &rows);
            assert!(pool.folds.iter().all(|rows| rows.len() <= 2 * (100 + 30)), "image {image}");
        }
        pool.settle(20);
        assert!(pool.bank(Some(1), 20).iter().all(|v| v.abs() < 100.0));
        assert!(pool.bank(Some(0), 20).iter().all(|v| *v > 900.0));
        assert_eq!(pool.bank(None, 20).len(), 40);
    }
}
