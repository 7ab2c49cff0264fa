//! What a beginner should be told about the pictures before any model is to blame: near-duplicates, blur, exposure, and a scene
//! that moves or changes its light in the course of the series.
//!
//! Everything is measured on the prepared input of the model, so a blur that resizing hides does not matter and is not named.

/// Cells of the thumbnail, each way.
const THUMB: usize = 16;
/// Two pictures whose thumbnails differ nowhere by more than this (0..1) are of the same part in the same place: half a grey
/// level, which is more than sensor noise leaves of a cell's mean.
const SAME: f32 = 0.5 / 255.0;
/// A picture this much less sharp than the median one is blurred.
const BLURRED: f64 = 0.4;
/// Share of pixels that may be black or white before the exposure is named.
const CLIPPED: f64 = 0.25;
/// A picture brighter or darker than the median one by this much is named.
const APART: f64 = 0.12;
/// Pictures that the comparison of all pairs is made for; of longer series only neighbours are compared.
const PAIRS: usize = 512;
/// Differences between the first and the last third, in standard deviations within them, averaged over the picture.
const DRIFT: f64 = 2.0;
/// Pictures that are named in one sentence.
const NAMED: usize = 3;

/// What is kept of one picture.
#[derive(Clone, Debug)]
struct Look {
    thumb: Vec<f32>,
    brightness: f64,
    sharpness: f64,
    white: f64,
    black: f64,
}

/// Looks at pictures one by one; a kilobyte each.
#[derive(Clone, Debug, Default)]
pub(super) struct Quality {
    looks: Vec<Look>,
}

impl Quality {
    /// Looks at a prepared input: three planes of `height` x `width` in 0..=1.
    pub fn look(&mut self, planes: &[f32], (width, height): (usize, usize)) {
        let cells = width * height;
        let grey: Vec<f32> =
            (0..cells).map(|i| (planes[i] + planes[cells + i] + planes[2 * cells + i]) / 3.0).collect();
        let mut thumb = vec![0.0f32; THUMB * THUMB];
        let mut counts = vec![0.0f32; THUMB * THUMB];
        for y in 0..height {
            for x in 0..width {
                let cell = y * THUMB / height * THUMB + x * THUMB / width;
                thumb[cell] += grey[y * width + x];
                counts[cell] += 1.0;
            }
        }
        thumb.iter_mut().zip(&counts).for_each(|(sum, n)| *sum /= n.max(1.0));
        // The variance of the Laplacian, the usual measure of focus.
        let (mut sum, mut squares) = (0.0, 0.0);
        for y in 1..height.saturating_sub(1) {
            for x in 1..width.saturating_sub(1) {
                let at = y * width + x;
                let edge = 4.0 * grey[at] - grey[at - 1] - grey[at + 1] - grey[at - width] - grey[at + width];
                sum += f64::from(edge);
                squares += f64::from(edge * edge);
            }
        }
        let n = cells as f64;
        let share = |test: &dyn Fn(f32) -> bool| grey.iter().filter(|&&v| test(v)).count() as f64 / n;
        self.looks.push(Look {
            thumb,
            brightness: grey.iter().map(|&v| f64::from(v)).sum::<f64>() / n,
            sharpness: squares / n - (sum / n).powi(2),
            white: share(&|v| v >= 0.99),
            black: share(&|v| v <= 0.01),
        });
    }

    /// What should be said, in plain sentences; `name` is what messages call picture `index`.
    pub fn warnings(&self, name: impl Fn(usize) -> String) -> Vec<String> {
        let mut warnings = Vec::new();
        let names = |found: &[usize]| {
            let first: Vec<String> = found.iter().take(NAMED).map(|&i| name(i)).collect();
            let rest = found.len().saturating_sub(NAMED);
            if rest > 0 { format!("{} and {rest} more", first.join(", ")) } else { first.join(", ") }
        };
        let copies = self.copies();
        if !copies.is_empty() {
            let (copied, all) = (copies.len(), self.looks.len());
            warnings.push(format!(
                "{copied} of {all} images show what another one shows already ({}): they teach nothing new, and the threshold \
                 knows only {} different parts; photograph more parts, or move them a little",
                names(&copies),
                all - copied
            ));
        }
        let sharpness = median(self.looks.iter().map(|l| l.sharpness));
        let blurred = self.which(|l| l.sharpness < BLURRED * sharpness);
        if !blurred.is_empty() {
            warnings.push(format!(
                "less sharp than the others: {}; if the camera or the part moved, take these again, with a shorter exposure",
                names(&blurred)
            ));
        }
        let white = self.which(|l| l.white > CLIPPED);
        if !white.is_empty() {
            warnings.push(format!(
                "overexposed, a quarter or more is white: {}; a defect there cannot be seen: shorten the exposure, unless the \
                 white is mere background",
                names(&white)
            ));
        }
        let black = self.which(|l| l.black > CLIPPED);
        if !black.is_empty() {
            warnings.push(format!(
                "a quarter or more is black: {}; a defect there cannot be seen: more light, unless the black is mere background",
                names(&black)
            ));
        }
        let brightness = median(self.looks.iter().map(|l| l.brightness));
        let apart = self.which(|l| (l.brightness - brightness).abs() > APART);
        if !apart.is_empty() {
            warnings.push(format!(
                "much brighter or darker than the others: {}; fix exposure and white balance, automatic ones change verdicts",
                names(&apart)
            ));
        }
        if self.drift() > DRIFT {
            warnings.push(
                "the last third of the images differs from the first everywhere: the camera, the parts' place or the light moved \
                 in the meantime; if that will not happen again, take them again"
                    .to_owned(),
            );
        }
        warnings
    }

    fn which(&self, test: impl Fn(&Look) -> bool) -> Vec<usize> {
        (0..self.looks.len()).filter(|&i| test(&self.looks[i])).collect()
    }

    /// Pictures of which an earlier one is a near-duplicate.
    fn copies(&self) -> Vec<usize> {
        let same = |a: &Look, b: &Look| a.thumb.iter().zip(&b.thumb).all(|(x, y)| (x - y).abs() <= SAME);
        let reach = if self.looks.len() <= PAIRS { PAIRS } else { 1 };
        let earlier = |i: usize| i.saturating_sub(reach)..i;
        (0..self.looks.len()).filter(|&i| earlier(i).any(|j| same(&self.looks[i], &self.looks[j]))).collect()
    }

    /// How far the first and the last third lie apart, in standard deviations within them, averaged over the cells.
    fn drift(&self) -> f64 {
        let third = self.looks.len() / 3;
        if third < 4 {
            return 0.0;
        }
        let moments = |looks: &[Look], cell: usize| {
            let n = looks.len() as f64;
            let mean = looks.iter().map(|l| f64::from(l.thumb[cell])).sum::<f64>() / n;
            (mean, looks.iter().map(|l| (f64::from(l.thumb[cell]) - mean).powi(2)).sum::<f64>() / (n - 1.0))
        };
        let apart = (0..THUMB * THUMB).map(|cell| {
            let (first, spread) = moments(&self.looks[..third], cell);
            let (last, later) = moments(&self.looks[self.looks.len() - third..], cell);
            (first - last).abs() / ((spread + later) / 2.0).sqrt().max(f64::from(SAME))
        });
        apart.sum::<f64>() / (THUMB * THUMB) as f64
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    const SIDE: usize = 64;

    /// Noise around stripes, shifted by `shift` pixels and raised by `light`.
    fn picture(seed: u64, shift: usize, light: f32, contrast: f32) -> Vec<f32> {
        let mut random = Random::new(seed);
        let mut plane = Vec::new();
        for _ in 0..SIDE {
            for x in 0..SIDE {
                let stripe = if ((x + shift) / 8).is_multiple_of(2) { 0.4 } else { 0.4 + 0.2 * contrast };
                plane.push((stripe + light + 0.02 * contrast * random.normal() as f32).clamp(0.0, 1.0));
            }
        }
        plane.repeat(3)
    }

    /// Looks at the pictures and checks that exactly the words asked for are said.
    fn check(pictures: &[Vec<f32>], expected: &[&str]) {
        let mut quality = Quality::default();
        pictures.iter().for_each(|p| quality.look(p, (SIDE, SIDE)));
        let found = quality.warnings(|i| format!("part-{i}.png"));
        assert_eq!(found.len(), expected.len(), "{found:?}");
        found.iter().zip(expected).for_each(|(text, word)| assert!(text.contains(word), "`{word}` is not in: {text}"));
    }

    fn series() -> Vec<Vec<f32>> {
        (0..15).map(|i| picture(i, (i * 7 % 16) as usize, 0.01 * (i % 3) as f32, 1.0)).collect()
    }

    #[test]
    fn an_ordinary_series_is_not_talked_about() {
        check(&series(), &[]);
    }

    #[test]
    fn each_fault_is_named_with_its_picture() {
        let with = |picture: Vec<f32>| {
            let mut all = series();
            all[5] = picture;
            all
        };
        check(&with(series().remove(4)), &["part-5.png"]);
        check(&with(picture(40, 3, 0.0, 0.3)), &["less sharp than the others: part-5.png"]);
        check(&with(picture(41, 3, 0.7, 1.0)), &["less sharp", "overexposed", "brighter"]);
        check(&with(picture(42, 3, -0.3, 1.0)), &["brighter or darker than the others: part-5.png"]);
    }

    #[test]
    fn light_that_changes_in_the_course_of_the_series_is_noticed() {
        let drifting: Vec<_> = (0..15).map(|i| picture(i, 0, 0.005 * i as f32, 1.0)).collect();
        check(&drifting, &["last third"]);
    }
}
