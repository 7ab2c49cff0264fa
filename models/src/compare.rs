//! Two models on the same images: do they agree?

use jidoka_capture::images::Image;
use serde::Serialize;

use crate::{Error, InspectionModel, Preparation};

/// How two models differ.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// Images that both scored.
    pub images: usize,
    /// Pearson's correlation of the scores; not a number where one model gives every image the same.
    pub correlation: f64,
    /// Images whose verdict differs, with the two scores; none where a model has no threshold.
    pub flips: Option<Vec<Flip>>,
}

/// An image that one model passes and the other rejects.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Flip {
    /// The image.
    pub image: String,
    /// The first model's score.
    pub first: f64,
    /// The second model's score.
    pub second: f64,
}

/// Scores every image by both models, each with its own preparation and threshold.
///
/// # Errors
/// Where an image cannot be prepared for a model, or an inference fails.
pub fn compare(
    first: &mut InspectionModel,
    second: &mut InspectionModel,
    images: impl Iterator<Item = (String, Image)>,
) -> Result<Difference, Error> {
    let mut preparations = [Preparation::for_model(first, None)?, Preparation::for_model(second, None)?];
    let thresholds = first.threshold().zip(second.threshold());
    let mut pairs = Vec::new();
    let mut flips = Vec::new();
    for (name, image) in images {
        let mut scores = [0.0; 2];
        for ((model, preparation), score) in
            [&mut *first, &mut *second].into_iter().zip(&mut preparations).zip(&mut scores)
        {
            preparation.fill(&name, &image, model)?;
            let outcome = model.score().map_err(|error| Error::Run { name: name.clone(), error })?;
            *score = f64::from(outcome.score);
        }
        let [a, b] = scores;
        if let Some((t, u)) = thresholds
            && (a <= t) != (b <= u)
        {
            flips.push(Flip { image: name, first: a, second: b });
        }
        pairs.push((a, b));
    }
    Ok(Difference { images: pairs.len(), correlation: correlation(&pairs), flips: thresholds.map(|_| flips) })
}

fn correlation(pairs: &[(f64, f64)]) -> f64 {
    let n = pairs.len() as f64;
    let mean = |f: fn(&(f64, f64)) -> f64| pairs.iter().map(f).sum::<f64>() / n;
    let (a, b) = (mean(|p| p.0), mean(|p| p.1));
    let (mut ab, mut aa, mut bb) = (0.0, 0.0, 0.0);
    for &(x, y) in pairs {
        ab += (x - a) * (y - b);
        aa += (x - a) * (x - a);
        bb += (y - b) * (y - b);
    }
    ab / (aa * bb).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn correlation_is_pearsons() {
        // numpy.corrcoef([1, 2, 3, 4], [2, 1, 4, 3]) is 0.6.
        let found = correlation(&[(1.0, 2.0), (2.0, 1.0), (3.0, 4.0), (4.0, 3.0)]);
        assert!((found - 0.6).abs() < 1e-12, "{found}");
        assert!((correlation(&[(1.0, -1.0), (2.0, -3.0)]) + 1.0).abs() < 1e-12);
        assert!(correlation(&[(1.0, 2.0), (1.0, 3.0)]).is_nan());
    }
}
