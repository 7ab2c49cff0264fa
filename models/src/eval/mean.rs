//! The mean of the figures of several seeds.

use super::Figures;

impl Figures {
    /// The mean of each figure over `runs` of one category; times are those of the slowest run. None of none.
    pub fn mean(runs: &[Figures]) -> Option<Figures> {
        let first = runs.first()?;
        let n = runs.len() as f64;
        let mean = |of: fn(&Figures) -> f64| runs.iter().map(of).sum::<f64>() / n;
        // A figure that one run lacks has no mean.
        let some = |of: fn(&Figures) -> Option<f64>| runs.iter().map(of).sum::<Option<f64>>().map(|sum| sum / n);
        let mut methods: Vec<&str> = runs.iter().map(|r| r.method.as_str()).collect();
        methods.dedup();
        Some(Figures {
            category: first.category.clone(),
            method: methods.join("/"),
            image_auroc: mean(|r| r.image_auroc),
            pixel_auroc: some(|r| r.pixel_auroc),
            au_pro_30: some(|r| r.au_pro_30),
            au_pro_05: some(|r| r.au_pro_05),
            f1_max: mean(|r| r.f1_max),
            f1: some(|r| r.f1),
            false_reject: some(|r| r.false_reject),
            false_reject_bound: some(|r| r.false_reject_bound),
            escape: some(|r| r.escape),
            pixel_f1_max: some(|r| r.pixel_f1_max),
            iou: some(|r| r.iou),
            p50_us: runs.iter().map(|r| r.p50_us).max()?,
            p99_us: runs.iter().map(|r| r.p99_us).max()?,
            seeds: runs.iter().map(|r| r.seeds).sum(),
            ..*first
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_averaged_and_one_that_a_run_lacks_is_left_out() {
        let run = |auroc, pixel, method: &str| Figures {
            image_auroc: auroc,
            pixel_auroc: Some(0.5),
            iou: pixel,
            method: method.to_owned(),
            seeds: 1,
            ..Figures::default()
        };
        let mean = Figures::mean(&[run(0.8, Some(0.1), "padim"), run(1.0, None, "mahalanobis")]).unwrap();
        assert!((mean.image_auroc - 0.9).abs() < 1e-12 && mean.pixel_auroc == Some(0.5) && mean.iou.is_none());
        assert_eq!((mean.seeds, mean.method.as_str()), (2, "padim/mahalanobis"));
        assert!(Figures::mean(&[]).is_none());
    }
}
