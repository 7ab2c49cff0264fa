//! What the student has to make small: the squared error of each tap, the hardest elements counted once more, since easy background
//! must not drown the part (after Batzner et al. 2024, EfficientAD).

/// Elements below this quantile of the squared errors count once only.
const HARD: f64 = 0.9;
/// Weight of the mean over the hardest beside the mean over all.
const WEIGHT: f32 = 0.5;
/// The quantile is that of about so many elements.
const SAMPLE: usize = 20_000;

/// The loss of one tap, of two; writes its gradient by the prediction to `slope`.
pub fn loss(wanted: &[f32], predicted: &[f32], slope: &mut [f32]) -> f64 {
    let error = |i: usize| predicted[i] - wanted[i];
    let every = (wanted.len() / SAMPLE).max(1);
    let mut sample: Vec<f32> = (0..wanted.len()).step_by(every).map(|i| error(i) * error(i)).collect();
    let place = ((sample.len() - 1) as f64 * HARD) as usize;
    let limit = *sample.select_nth_unstable_by(place, f32::total_cmp).1;
    let (mut all, mut hard, mut hard_count) = (0.0f64, 0.0f64, 0usize);
    for i in 0..wanted.len() {
        let square = error(i) * error(i);
        all += f64::from(square);
        if square >= limit {
            hard += f64::from(square);
            hard_count += 1;
        }
    }
    let once = 1.0 / wanted.len() as f32;
    let again = WEIGHT / hard_count.max(1) as f32;
    for (i, slope) in slope.iter_mut().enumerate() {
        let error = error(i);
        let share = if error * error >= limit { once + again } else { once };
        // The mean over two taps takes half of 2 * error.
        *slope = share * error;
    }
    (all * f64::from(once) + hard * f64::from(again)) / 2.0
}

/// The mean squared error.
pub fn squared(wanted: &[f32], predicted: &[f32]) -> f64 {
    wanted.iter().zip(predicted).map(|(w, p)| f64::from(w - p).powi(2)).sum::<f64>() / wanted.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slope::{holds, numbers};

    #[test]
    fn its_slope_is_that_of_finite_differences() {
        // One error far beyond the others, so that no small step changes which are the hardest.
        let (wanted, mut predicted) = (numbers(1, 11), numbers(1, 11));
        predicted.iter_mut().enumerate().for_each(|(i, p)| *p += if i == 4 { 3.0 } else { 0.05 * i as f32 });
        predicted[10] -= 2.0;
        let mut slope = vec![0.0; 11];
        loss(&wanted, &predicted, &mut slope);
        holds(&predicted, &slope, |predicted| loss(&wanted, predicted, &mut [0.0; 11]));
    }

    #[test]
    fn the_hardest_count_more() {
        let wanted = vec![0.0; 1000];
        let mut predicted = vec![0.1; 1000];
        predicted[..101].fill(1.0);
        let found = loss(&wanted, &predicted, &mut vec![0.0; 1000]);
        // Half of: the mean over all, and half the mean of the 101 hardest.
        let expected = ((0.899 * 0.01 + 0.101) + 0.5) / 2.0;
        assert!((found - expected).abs() < 1e-4, "{found} instead of {expected}");
        assert!(found > squared(&wanted, &predicted), "{found}");
    }
}
