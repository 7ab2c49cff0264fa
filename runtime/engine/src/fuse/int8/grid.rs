//! Finding the bytes that a channel's weights were made from.

/// How far a weight may be from a whole number of steps: dequantising rounds to `f32`, which is much less.
const TOLERANCE: f32 = 1e-4;

/// The bytes and the step with `weight = byte * step`, if there are such.
///
/// The largest weight is some whole number of steps, usually 127, which symmetric quantisation gives: every one that a byte
/// holds is tried. -128 comes last, since some instruction sets have no fast product with it, and what needs half of it or
/// less is on that grid too.
pub(in crate::fuse) fn on_grid(weights: &[f32]) -> Option<(Vec<i8>, f32)> {
    let most = weights.iter().fold(0.0f32, |m, w| m.max(w.abs()));
    if !most.is_finite() {
        return None;
    }
    if most == 0.0 {
        return Some((vec![0; weights.len()], 1.0));
    }
    (1..=127).rev().chain([128]).find_map(|steps| {
        let step = most / steps as f32;
        let bytes = weights.iter().map(|w| {
            let byte = (w / step).round_ties_even();
            let near = (w / step - byte).abs() <= TOLERANCE && (-128.0..=127.0).contains(&byte);
            near.then_some(byte as i8)
        });
        bytes.collect::<Option<Vec<i8>>>().map(|bytes| (bytes, step))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[i8], step: f32) {
        let weights: Vec<f32> = bytes.iter().map(|b| f32::from(*b) * step).collect();
        let (found, found_step) = on_grid(&weights).expect("on a grid");
        for (w, b) in weights.iter().zip(&found) {
            assert!((w - f32::from(*b) * found_step).abs() <= w.abs() * 1e-6, "{bytes:?} {step}");
        }
    }

    #[test]
    fn bytes_are_found_again() {
        check(&[127, -3, 0, 55, 1], 0.013);
        check(&[-128, 127, 64, 1], 1.7e-4);
        check(&[0, 0], 1.0);
        check(&[5, -7, 3, 2, 1], 0.3);
        check(&[100, 99, -98, 13], 2.5);
    }

    #[test]
    fn the_least_byte_is_used_where_nothing_else_will_do() {
        let found = |bytes: &[i8]| on_grid(&bytes.iter().map(|b| f32::from(*b) * 0.02).collect::<Vec<_>>()).unwrap().0;
        assert_eq!(found(&[-64, 3, 7]), [-64, 3, 7]);
        assert_eq!(found(&[-32, 1, 5, 31]).iter().min(), Some(&-96));
        assert_eq!(found(&[-128, 3, 7]), [-128, 3, 7]);
    }

    #[test]
    fn floats_are_on_no_grid() {
        assert!(on_grid(&[0.123_456, 0.654_321, -0.777_77, 0.918_273, 0.111_119]).is_none());
        assert!(on_grid(&[f32::NAN, 1.0]).is_some_and(|_| false) || on_grid(&[f32::INFINITY]).is_none());
    }
}
