//! Eigenvectors of a small symmetric matrix, and random rotations.

use crate::random::Random;

/// Sweeps of Jacobi's method; it converges quadratically and needs six to ten for a hundred rows.
const SWEEPS: usize = 30;

/// Eigenvalues of a symmetric `n` x `n` matrix, greatest first, and the eigenvectors as rows in the same order. Cyclic Jacobi
/// rotations (Golub and Van Loan, section 8.5): exact to rounding and the same on every machine.
pub(super) fn spectrum(matrix: &[f64], n: usize) -> (Vec<f64>, Vec<f64>) {
    let mut a = matrix.to_vec();
    let mut vectors: Vec<f64> = (0..n * n).map(|k| f64::from(u8::from(k / n == k % n))).collect();
    let total: f64 = a.iter().map(|v| v * v).sum();
    for _ in 0..SWEEPS {
        let off: f64 = (0..n * n).filter(|k| k / n != k % n).map(|k| a[k] * a[k]).sum();
        if off <= 1e-22 * total {
            break;
        }
        for p in 0..n {
            for q in p + 1..n {
                rotate(&mut a, &mut vectors, n, p, q);
            }
        }
    }
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&i, &j| a[j * n + j].total_cmp(&a[i * n + i]));
    let values = order.iter().map(|&i| a[i * n + i]).collect();
    let rows = order.iter().flat_map(|&i| vectors[i * n..][..n].iter().copied()).collect();
    (values, rows)
}

/// Makes element (p, q) zero. `vectors` holds the eigenvectors as rows.
fn rotate(a: &mut [f64], vectors: &mut [f64], n: usize, p: usize, q: usize) {
    let pivot = a[p * n + q];
    if pivot == 0.0 {
        return;
    }
    let theta = (a[q * n + q] - a[p * n + p]) / (2.0 * pivot);
    let t = theta.signum() / (theta.abs() + (theta * theta + 1.0).sqrt());
    // signum of zero is one in Rust, as the method wants.
    let c = 1.0 / (t * t + 1.0).sqrt();
    let s = t * c;
    for k in 0..n {
        let (x, y) = (a[k * n + p], a[k * n + q]);
        a[k * n + p] = c * x - s * y;
        a[k * n + q] = s * x + c * y;
    }
    for k in 0..n {
        let (x, y) = (a[p * n + k], a[q * n + k]);
        a[p * n + k] = c * x - s * y;
        a[q * n + k] = s * x + c * y;
    }
    for k in 0..n {
        let (x, y) = (vectors[p * n + k], vectors[q * n + k]);
        vectors[p * n + k] = c * x - s * y;
        vectors[q * n + k] = s * x + c * y;
    }
}

/// A random orthogonal `n` x `n` matrix: Gaussian rows, made orthogonal one after the other (Gram and Schmidt, twice, which is
/// enough).
pub(super) fn rotation(n: usize, random: &mut Random) -> Vec<f64> {
    let mut rows: Vec<Vec<f64>> = Vec::with_capacity(n);
    while rows.len() < n {
        let mut row: Vec<f64> = (0..n).map(|_| random.normal()).collect();
        for _ in 0..2 {
            for earlier in &rows {
                let dot: f64 = row.iter().zip(earlier).map(|(a, b)| a * b).sum();
                row.iter_mut().zip(earlier).for_each(|(a, b)| *a -= dot * b);
            }
        }
        let length = row.iter().map(|v| v * v).sum::<f64>().sqrt();
        // A row within the span of the others is drawn again.
        if length > 1e-6 {
            rows.push(row.iter().map(|v| v / length).collect());
        }
    }
    rows.concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spectrum_rebuilds_the_matrix() {
        for (n, seed) in [(1, 1), (2, 2), (7, 3), (24, 4)] {
            let mut random = Random::new(seed);
            let half: Vec<f64> = (0..n * n).map(|_| random.normal()).collect();
            let matrix: Vec<f64> =
                (0..n * n).map(|k| (0..n).map(|i| half[i * n + k / n] * half[i * n + k % n]).sum::<f64>()).collect();
            let (values, vectors) = spectrum(&matrix, n);
            assert!(values.is_sorted_by(|a, b| a >= b), "seed {seed}: {values:?}");
            for (k, expected) in matrix.iter().enumerate() {
                let (i, j) = (k / n, k % n);
                let rebuilt: f64 = (0..n).map(|e| values[e] * vectors[e * n + i] * vectors[e * n + j]).sum();
                assert!((rebuilt - expected).abs() < 1e-9 * values[0].max(1.0), "seed {seed}, ({i},{j})");
            }
        }
    }

    #[test]
    fn a_rotation_keeps_lengths() {
        let n = 12;
        let rows = rotation(n, &mut Random::new(8));
        for i in 0..n {
            for j in 0..n {
                let dot: f64 = (0..n).map(|k| rows[i * n + k] * rows[j * n + k]).sum();
                let expected = f64::from(u8::from(i == j));
                assert!((dot - expected).abs() < 1e-12, "({i},{j}): {dot}");
            }
        }
    }
}
