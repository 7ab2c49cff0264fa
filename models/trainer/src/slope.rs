//! For the tests of backward passes: a gradient is compared with finite differences.

use jidoka_models::random::Random;

/// Numbers with mean 0 and variance 1.
pub fn numbers(seed: u64, count: usize) -> Vec<f32> {
    let mut random = Random::new(seed);
    (0..count).map(|_| random.normal() as f32).collect()
}

/// The sum of products.
pub fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
}

/// Checks `grad` against differences of `value` around `at`, each number by itself.
pub fn holds(at: &[f32], grad: &[f32], mut value: impl FnMut(&[f32]) -> f64) {
    const STEP: f32 = 1e-2;
    assert_eq!(at.len(), grad.len());
    let scale = grad.iter().fold(1e-3f32, |m, g| m.max(g.abs()));
    let mut moved = at.to_vec();
    for (i, &found) in grad.iter().enumerate() {
        moved[i] = at[i] + STEP;
        let above = value(&moved);
        moved[i] = at[i] - STEP;
        let below = value(&moved);
        moved[i] = at[i];
        let expected = ((above - below) / f64::from(2.0 * STEP)) as f32;
        assert!((found - expected).abs() < 0.02 * scale, "number {i}: {found}, by differences {expected}");
    }
}
