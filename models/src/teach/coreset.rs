//! Greedy k-center selection, exact and pruned, and a pool of features whose size does not depend on the number of images.
//!
//! k-center (Gonzalez 1985; for memory banks Roth et al. 2022): again and again take the point that is farthest from all that
//! were taken. The union of k-center selections of parts is a core set of the whole (Indyk et al. 2014, composable core-sets),
//! so a part of the pool that overflows is replaced by its own selection.

/// Rows of `depth` features, kept apart by fold, at most `capacity` in all.
#[derive(Clone, Debug)]
pub(super) struct Pool {
    depth: usize,
    fold_rows: usize,
    image_rows: usize,
    folds: Vec<Vec<f32>>,
}

impl Pool {
    /// Rows that all folds together may hold: 64 Ki rows of 64 features are 16 MiB.
    const CAPACITY: usize = 1 << 16;
    /// An image never contributes fewer rows than this, if it has them.
    const LEAST_ROWS: usize = 256;

    /// A pool for `images` images in `folds` folds that will have to give `bank` rows.
    pub fn new(depth: usize, folds: usize, images: usize, bank: usize) -> Pool {
        let capacity = Pool::CAPACITY.max(4 * bank);
        Pool {
            depth,
            fold_rows: capacity / folds.max(1),
            image_rows: (capacity / images.max(1)).max(Pool::LEAST_ROWS),
            folds: vec![Vec::new(); folds],
        }
    }

    /// Adds an image's features, rows of `depth`, to a fold.
    pub fn add(&mut self, fold: usize, rows: &[f32]) {
        let depth = self.depth;
        let pool = &mut self.folds[fold];
        if rows.len() / depth > self.image_rows {
            pool.extend(select(&[rows], depth, self.image_rows));
        } else {
            pool.extend_from_slice(rows);
        }
        if pool.len() / depth > self.fold_rows {
            *pool = select(&[pool], depth, self.fold_rows / 2);
        }
    }

    /// At most `bank` rows that cover all folds but one.
    pub fn bank(&self, without: Option<usize>, bank: usize) -> Vec<f32> {
        let parts: Vec<&[f32]> = self
            .folds
            .iter()
            .enumerate()
            .filter(|(fold, _)| Some(*fold) != without)
            .map(|(_, rows)| rows.as_slice())
            .collect();
        select(&parts, self.depth, bank)
    }
}

/// The `count` rows of `parts` that greedy k-center takes, beginning with the row that is farthest from the mean. Fewer where
/// fewer differ. Depends on nothing but its arguments.
fn select(parts: &[&[f32]], depth: usize, count: usize) -> Vec<f32> {
    let points: Vec<&[f32]> = parts.iter().flat_map(|part| part.chunks_exact(depth)).collect();
    if points.is_empty() || count == 0 {
        return Vec::new();
    }
    let mean = mean(&points, depth);
    let first = farthest(points.iter().map(|p| squared_distance(p, &mean)));
    let mut centres = vec![first];
    // For each point the squared distance to its nearest centre, and which centre that is.
    let mut nearest: Vec<(f32, u32)> = points.iter().map(|p| (squared_distance(p, points[first]), 0)).collect();
    let mut apart = Vec::with_capacity(count);
    while centres.len() < count {
        let next = farthest(nearest.iter().map(|n| n.0));
        if nearest[next].0 <= 0.0 {
            break;
        }
        let centre = points[next];
        // A point cannot be nearer to the new centre than to its own where these two are more than twice as far apart
        // (triangle inequality; a quarter of the squared distance).
        apart.clear();
        apart.extend(centres.iter().map(|&c| squared_distance(points[c], centre) / 4.0));
        let number = centres.len() as u32;
        for (point, near) in points.iter().zip(&mut nearest) {
            if apart[near.1 as usize] < near.0 {
                let distance = squared_distance(point, centre);
                if distance < near.0 {
                    *near = (distance, number);
                }
            }
        }
        nearest[next] = (0.0, number);
        centres.push(next);
    }
    centres.iter().flat_map(|&c| points[c].iter().copied()).collect()
}

/// The place of the greatest value, the first of equals.
fn farthest(distances: impl Iterator<Item = f32>) -> usize {
    distances.enumerate().fold((0, f32::NEG_INFINITY), |best, (i, d)| if d > best.1 { (i, d) } else { best }).0
}

fn mean(points: &[&[f32]], depth: usize) -> Vec<f32> {
    let mut sums = vec![0.0f64; depth];
    for point in points {
        for (sum, &value) in sums.iter_mut().zip(*point) {
            *sum += f64::from(value);
        }
    }
    sums.iter().map(|s| (s / points.len() as f64) as f32).collect()
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
    use super::*;
    use crate::random::Random;

    fn cloud(count: usize, depth: usize, seed: u64) -> Vec<f32> {
        let mut random = Random::new(seed);
        (0..count * depth).map(|_| random.normal() as f32).collect()
    }

    /// k-center without any pruning.
    fn plain(points: &[f32], depth: usize, count: usize) -> Vec<f32> {
        let rows: Vec<&[f32]> = points.chunks_exact(depth).collect();
        let centre = mean(&rows, depth);
        let mut taken = vec![farthest(rows.iter().map(|p| squared_distance(p, &centre)))];
        while taken.len() < count {
            let least = |p: &&[f32]| taken.iter().map(|&c| squared_distance(p, rows[c])).fold(f32::INFINITY, f32::min);
            taken.push(farthest(rows.iter().map(least)));
        }
        taken.iter().flat_map(|&c| rows[c].to_vec()).collect()
    }

    #[test]
    fn pruning_takes_what_plain_k_center_takes() {
        for (depth, seed) in [(2, 1), (3, 2), (8, 3), (11, 4)] {
            let points = cloud(300, depth, seed);
            assert_eq!(select(&[&points], depth, 40), plain(&points, depth, 40), "depth {depth}, seed {seed}");
        }
    }

    #[test]
    fn equal_points_are_taken_once() {
        let points = [1.0, 2.0].repeat(50);
        assert_eq!(select(&[&points], 2, 10), [1.0, 2.0]);
        assert!(select(&[], 2, 10).is_empty());
    }

    #[test]
    fn the_pool_is_bounded_and_leaves_out_the_fold_asked_for() {
        let mut pool = Pool { depth: 2, fold_rows: 100, image_rows: 30, folds: vec![Vec::new(); 2] };
        for image in 0..50 {
            let mut rows = cloud(40, 2, image);
            // Fold 1 lies far away, so that its rows can be told.
            rows.iter_mut().for_each(|v| *v += if image % 2 == 1 { 1000.0 } else { 0.0 });
            pool.add(image as usize % 2, &rows);
            assert!(pool.folds.iter().all(|rows| rows.len() <= 2 * (100 + 30)), "image {image}");
        }
        assert!(pool.bank(Some(1), 20).iter().all(|v| v.abs() < 100.0));
        assert!(pool.bank(Some(0), 20).iter().all(|v| *v > 900.0));
        assert_eq!(pool.bank(None, 20).len(), 40);
    }
}
