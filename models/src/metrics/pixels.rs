//! Metrics over the pixels of many maps, from one sorted list.

use super::{Curve, label_regions};
use crate::Error;

/// Pixels of many anomaly maps with their truth, eight bytes each.
#[derive(Clone, Debug, Default)]
pub struct Pixels {
    /// The map's value as an integer of the same order in the upper half, the number of the region (0: normal) below.
    packed: Vec<u64>,
    /// Pixels of region 1, 2, ...
    sizes: Vec<u64>,
}

/// Figures over all pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PixelFigures {
    /// Area under the ROC curve.
    pub auroc: f64,
    /// AU-PRO up to a false-positive rate of 0.3.
    pub au_pro_30: f64,
    /// AU-PRO up to a false-positive rate of 0.05.
    pub au_pro_05: f64,
    /// The greatest F1 over all thresholds.
    pub f1_max: f64,
}

/// The curves whose areas [`PixelFigures`] gives; x is the share of normal pixels that is marked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PixelCurves {
    /// y is the share of defect pixels that is marked.
    pub roc: Curve,
    /// y is the mean over the regions of the share of each that is marked.
    pub pro: Curve,
}

impl Pixels {
    /// Adds one map with its mask (true: defect), both row by row and `width` wide. Without a mask every pixel is normal.
    ///
    /// # Errors
    /// [`Error::Metric`] where the sizes differ or a value is not a number.
    pub fn add(&mut self, map: &[f32], mask: Option<&[bool]>, width: usize) -> Result<(), Error> {
        if map.iter().any(|v| v.is_nan()) {
            return Err(refuse("numbers for map values", "values that are not numbers".to_owned()));
        }
        if let Some(mask) = mask
            && (mask.len() != map.len() || width == 0 || !map.len().is_multiple_of(width))
        {
            let found = format!("{} and {} pixels, {width} a row", map.len(), mask.len());
            return Err(refuse("a map and a mask of one size", found));
        }
        self.packed.reserve(map.len());
        let Some(mask) = mask else {
            self.packed.extend(map.iter().map(|&v| pack(v, 0)));
            return Ok(());
        };
        let first = self.sizes.len() as u32;
        let (labels, regions) = label_regions(mask, width);
        self.sizes.resize(self.sizes.len() + regions as usize, 0);
        for (&value, &label) in map.iter().zip(&labels) {
            let region = if label == 0 { 0 } else { first + label };
            if region > 0 {
                self.sizes[region as usize - 1] += 1;
            }
            self.packed.push(pack(value, region));
        }
        Ok(())
    }

    /// Intersection over union of the pixels above `threshold` and the defect pixels; 0 where both are empty.
    pub fn iou_at(&self, threshold: f64) -> f64 {
        let (mut hits, mut union) = (0u64, 0u64);
        for &pixel in &self.packed {
            let (marked, defect) = (f64::from(value(pixel)) > threshold, region(pixel) > 0);
            hits += u64::from(marked && defect);
            union += u64::from(marked || defect);
        }
        if union == 0 { 0.0 } else { hits as f64 / union as f64 }
    }

    /// The curve metrics.
    ///
    /// # Errors
    /// [`Error::Metric`] without at least one defect pixel and one normal pixel.
    pub fn figures(self) -> Result<PixelFigures, Error> {
        Ok(self.figures_and_curves()?.0)
    }

    /// The curve metrics, and the curves for a drawing.
    ///
    /// # Errors
    /// As [`Pixels::figures`].
    pub fn figures_and_curves(mut self) -> Result<(PixelFigures, PixelCurves), Error> {
        let defects: u64 = self.sizes.iter().sum();
        let normal = self.packed.len() as u64 - defects;
        if defects == 0 || normal == 0 {
            let found = format!("{normal} normal and {defects} defective pixels");
            return Err(refuse("at least one normal and one defective pixel", found));
        }
        self.packed.sort_unstable_by(|a, b| b.cmp(a));
        let mut pro_30 = Integral::to(0.3);
        let mut pro_05 = Integral::to(0.05);
        let (mut hits, mut false_alarms, mut overlap) = (0u64, 0u64, 0.0f64);
        let (mut doubled, mut f1_max) = (0u128, 0.0f64);
        let mut curves = PixelCurves { roc: Curve::default(), pro: Curve::default() };
        for tie in self.packed.chunk_by(|a, b| a >> 32 == b >> 32) {
            let (hits_before, false_before) = (hits, false_alarms);
            for &pixel in tie {
                match region(pixel) {
                    0 => false_alarms += 1,
                    r => {
                        hits += 1;
                        overlap += 1.0 / self.sizes[r as usize - 1] as f64;
                    }
                }
            }
            // Twice the area of the trapezoid of this step of the ROC curve, in pixels.
            doubled += u128::from(false_alarms - false_before) * u128::from(hits_before + hits);
            f1_max = f1_max.max(2.0 * hits as f64 / (hits + false_alarms + defects) as f64);
            let fpr = false_alarms as f64 / normal as f64;
            let pro = overlap / self.sizes.len() as f64;
            pro_30.step(fpr, pro);
            pro_05.step(fpr, pro);
            curves.roc.step(fpr, hits as f64 / defects as f64);
            curves.pro.step(fpr, pro);
        }
        let figures = PixelFigures {
            auroc: doubled as f64 / 2.0 / (normal as f64 * defects as f64),
            au_pro_30: pro_30.value(),
            au_pro_05: pro_05.value(),
            f1_max,
        };
        Ok((figures, curves))
    }
}

/// The trapezoid integral of a curve from x = 0 to a limit, divided by the limit.
struct Integral {
    limit: f64,
    last: (f64, f64),
    area: f64,
}

impl Integral {
    fn to(limit: f64) -> Integral {
        Integral { limit, last: (0.0, 0.0), area: 0.0 }
    }

    fn step(&mut self, x: f64, y: f64) {
        let (x0, y0) = self.last;
        self.last = (x, y);
        if x0 >= self.limit || x <= x0 {
            return;
        }
        let end = x.min(self.limit);
        let y_end = y0 + (y - y0) * (end - x0) / (x - x0);
        self.area += (end - x0) * (y0 + y_end) / 2.0;
    }

    fn value(&self) -> f64 {
        self.area / self.limit
    }
}

/// An integer that orders as the float does (-0 equals 0), above the region's number.
fn pack(value: f32, region: u32) -> u64 {
    let bits = (value + 0.0).to_bits();
    let key = if bits >> 31 == 0 { bits | 0x8000_0000 } else { !bits };
    u64::from(key) << 32 | u64::from(region)
}

fn value(packed: u64) -> f32 {
    let key = (packed >> 32) as u32;
    f32::from_bits(if key >> 31 == 1 { key & 0x7fff_ffff } else { !key })
}

fn region(packed: u64) -> u32 {
    packed as u32
}

fn refuse(needs: &'static str, found: String) -> Error {
    Error::Metric { metric: "a pixel metric", needs, found }
}
