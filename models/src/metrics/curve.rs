//! A curve for a drawing: as many points as an eye can tell, never the millions that a figure is computed from.

/// A step shorter than this in both directions is not a point of its own.
const RESOLUTION: f64 = 1.0 / 400.0;

/// A rising curve from (0, 0), thinned to points that a drawing can tell apart.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Curve {
    points: Vec<(f64, f64)>,
    /// The newest point, which may be too near to the last one to be drawn.
    newest: (f64, f64),
}

impl Curve {
    /// Goes on to a point; neither coordinate may be less than before.
    pub fn step(&mut self, x: f64, y: f64) {
        let last = self.points.last().copied().unwrap_or((0.0, 0.0));
        // Where the curve turns within a step that is drawn, its corner is drawn too.
        if x - last.0 >= RESOLUTION || y - last.1 >= RESOLUTION {
            if self.newest != last {
                self.points.push(self.newest);
            }
            self.points.push((x, y));
        }
        self.newest = (x, y);
    }

    /// The points, from the first step to the last.
    pub fn points(&self) -> impl Iterator<Item = (f64, f64)> {
        let rest = (self.points.last() != Some(&self.newest)).then_some(self.newest);
        std::iter::once((0.0, 0.0)).chain(self.points.iter().copied()).chain(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_curve_is_thinned_and_keeps_its_corners_and_its_end() {
        let mut curve = Curve::default();
        (1..=100_000).for_each(|i| curve.step(0.0, f64::from(i) / 100_000.0 * 0.5));
        curve.step(0.7, 0.5);
        (1..=100_000)
            .for_each(|i| curve.step(0.7 + f64::from(i) / 100_000.0 * 0.3, 0.5 + f64::from(i) / 100_000.0 * 0.5));
        let points: Vec<(f64, f64)> = curve.points().collect();
        assert!((100..2000).contains(&points.len()), "{} points", points.len());
        assert!(points.contains(&(0.0, 0.5)) && points.contains(&(0.7, 0.5)));
        assert_eq!((points[0], points[points.len() - 1]), ((0.0, 0.0), (1.0, 1.0)));
        assert!(points.is_sorted_by(|a, b| a.0 <= b.0 && a.1 <= b.1));
    }
}
