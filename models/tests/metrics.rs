//! The metrics agree with scikit-learn and scipy (`golden/make.py`) to 1e-9, and with brute force on random data.

use jidoka_models::metrics::{Pixels, Ranked, auroc, f1_at, f1_max, roc};
use proptest::prelude::*;
use serde_json::Value;

const TOLERANCE: f64 = 1e-9;

fn check(what: &str, found: f64, expected: &Value) {
    let expected = expected.as_f64().unwrap_or_else(|| panic!("{what} is in the file"));
    assert!((found - expected).abs() < TOLERANCE, "{what}: {found} where scikit-learn has {expected}");
}

fn golden() -> Value {
    serde_json::from_str(include_str!("golden/metrics.json")).expect("the golden file is JSON")
}

fn floats(value: &Value) -> Vec<f32> {
    value.as_array().expect("a list").iter().map(|v| v.as_f64().expect("a number") as f32).collect()
}

#[test]
fn image_metrics_are_those_of_scikit_learn() {
    for case in golden()["image"].as_array().expect("cases") {
        let truth = floats(&case["truth"]);
        let ranked: Vec<Ranked> =
            floats(&case["scores"]).iter().zip(&truth).map(|(&score, &t)| Ranked { score, defect: t > 0.5 }).collect();
        check("AUROC", auroc(&ranked).unwrap(), &case["auroc"]);
        let (best, threshold) = f1_max(&ranked).unwrap();
        check("F1-max", best, &case["f1_max"]);
        let just_below = f64::from(threshold) - 1e-6;
        assert!((f1_at(&ranked, just_below) - best).abs() < TOLERANCE, "F1 at its own threshold");
    }
}

#[test]
fn pixel_metrics_are_those_of_scikit_learn_and_scipy() {
    for case in golden()["pixel"].as_array().expect("cases") {
        let side = case["side"].as_u64().expect("a side") as usize;
        let mut pixels = Pixels::default();
        let maps = case["maps"].as_array().expect("maps");
        for (map, mask) in maps.iter().zip(case["masks"].as_array().expect("masks")) {
            let mask: Vec<bool> = mask.as_str().expect("a string").bytes().map(|b| b == b'1').collect();
            let empty = !mask.contains(&true);
            pixels.add(&floats(map), (!empty).then_some(&mask[..]), side).unwrap();
        }
        check("IoU", pixels.iou_at(case["threshold"].as_f64().expect("a number")), &case["iou"]);
        let figures = pixels.figures().unwrap();
        check("pixel AUROC", figures.auroc, &case["auroc"]);
        check("pixel F1-max", figures.f1_max, &case["f1_max"]);
        check("AU-PRO(0.3)", figures.au_pro_30, &case["au_pro_30"]);
        check("AU-PRO(0.05)", figures.au_pro_05, &case["au_pro_05"]);
    }
}

#[test]
fn a_metric_without_both_classes_or_with_broken_scores_is_refused() {
    let one = |score, defect| Ranked { score, defect };
    for (ranked, word) in [
        (vec![], "0 good and 0 defective"),
        (vec![one(1.0, true)], "0 good"),
        (vec![one(1.0, false)], "0 defective"),
        (vec![one(f32::NAN, true), one(1.0, false)], "not numbers"),
    ] {
        let text = auroc(&ranked).unwrap_err().to_string();
        assert!(text.contains(word), "{text}");
        assert!(f1_max(&ranked).is_err());
    }
    let mut pixels = Pixels::default();
    assert!(pixels.add(&[f32::NAN], None, 1).is_err());
    assert!(pixels.add(&[1.0, 2.0], Some(&[true]), 2).is_err());
    pixels.add(&[1.0, 2.0], None, 2).unwrap();
    assert!(pixels.figures().unwrap_err().to_string().contains("0 defective pixels"));
}

proptest! {
    #[test]
    fn auroc_is_the_share_of_pairs_in_order(
        values in proptest::collection::vec((-4i8..4, any::<bool>()), 2..40)
    ) {
        let ranked: Vec<Ranked> =
            values.iter().map(|&(v, defect)| Ranked { score: f32::from(v) / 2.0, defect }).collect();
        let good: Vec<f32> = ranked.iter().filter(|r| !r.defect).map(|r| r.score).collect();
        let bad: Vec<f32> = ranked.iter().filter(|r| r.defect).map(|r| r.score).collect();
        prop_assume!(!good.is_empty() && !bad.is_empty());
        let mut sum = 0.0;
        for b in &bad {
            for g in &good {
                sum += if b > g { 1.0 } else if b == g { 0.5 } else { 0.0 };
            }
        }
        let expected = sum / (good.len() * bad.len()) as f64;
        prop_assert!((auroc(&ranked).unwrap() - expected).abs() < TOLERANCE);
        // The curve that is drawn has that area: so few steps are all drawn.
        let points: Vec<(f64, f64)> = roc(&ranked).unwrap().points().collect();
        let area: f64 = points.windows(2).map(|p| (p[1].0 - p[0].0) * (p[0].1 + p[1].1) / 2.0).sum();
        prop_assert!((area - expected).abs() < TOLERANCE, "{area} instead of {expected}");
        // One pixel a map is the same question.
        let mut pixels = Pixels::default();
        for r in &ranked {
            pixels.add(&[r.score], Some(&[r.defect]), 1).unwrap();
        }
        prop_assert!((pixels.figures().unwrap().auroc - expected).abs() < TOLERANCE);
    }
}
