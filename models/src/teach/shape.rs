//! The size of a model's input where none is asked for: the parts' own shape, at a fixed number of pixels.
//!
//! The backbone takes any multiple of 16, so an elongated part gets an elongated input and is never squashed, at the cost of a
//! square one.

use super::{Options, Parts};

/// Pixels of the input: 256 x 256.
const BUDGET: f64 = 65_536.0;
/// Images whose shape is looked at.
const LOOKED_AT: usize = 16;
/// Shapes within this of each other count as one.
const ALIKE: f64 = 1.15;
/// Share of the images that have to be of one shape.
const MOST: f64 = 0.8;

/// Width and height in pixels for these parts. Images that cannot be read do not count; teaching names them later.
pub(super) fn size(parts: &mut dyn Parts, options: &Options) -> (u32, u32) {
    if let Some(size) = options.size {
        return size;
    }
    let aspect = match options.roi {
        Some(roi) => f64::from(roi.width) / f64::from(roi.height.max(1)),
        None => common_aspect(parts),
    };
    fitted(aspect)
}

fn common_aspect(parts: &mut dyn Parts) -> f64 {
    let count = parts.count().min(LOOKED_AT);
    let mut aspects: Vec<f64> = (0..count)
        .filter_map(|k| parts.read(k * parts.count() / count).ok())
        .map(|image| f64::from(image.width) / f64::from(image.height.max(1)))
        .collect();
    aspects.sort_by(f64::total_cmp);
    let Some(&median) = aspects.get(aspects.len() / 2) else { return 1.0 };
    let alike = aspects.iter().filter(|&&a| a / median < ALIKE && median / a < ALIKE).count();
    // Where shapes differ no one shape is right for all; a square is as good as any.
    if alike as f64 >= MOST * aspects.len() as f64 { median } else { 1.0 }
}

/// Multiples of 16, as near to the aspect ratio (width over height) as the budget allows.
fn fitted(aspect: f64) -> (u32, u32) {
    let aspect = if aspect / ALIKE < 1.0 && aspect * ALIKE > 1.0 { 1.0 } else { aspect.clamp(1.0 / 64.0, 64.0) };
    let side = |length: f64| ((length / 16.0).round() as u32 * 16).clamp(32, 4096);
    (side((BUDGET * aspect).sqrt()), side((BUDGET / aspect).sqrt()))
}

#[cfg(test)]
mod tests {
    use super::super::Frames;
    use super::*;
    use jidoka_capture::PixelFormat;
    use jidoka_capture::images::Image;

    fn images(sizes: &[(u32, u32)]) -> Frames {
        let blank = |&(width, height): &(u32, u32)| Image {
            width,
            height,
            format: PixelFormat::Grey,
            data: vec![0; (width * height) as usize],
        };
        Frames::new(sizes.iter().map(blank).collect())
    }

    fn check(sizes: &[(u32, u32)], expected: (u32, u32)) {
        assert_eq!(size(&mut images(sizes), &Options::default()), expected, "{sizes:?}");
    }

    #[test]
    fn the_input_has_the_parts_shape_at_a_fixed_number_of_pixels() {
        check(&[(640, 480); 6], (288, 224));
        check(&[(1000, 1040); 6], (256, 256));
        check(&[(100, 400); 6], (128, 512));
        check(&[(4000, 40); 6], (2048, 32));
        check(&[(100, 400), (400, 100), (100, 400), (400, 100), (300, 300)], (256, 256));
        check(&[], (256, 256));
    }

    #[test]
    fn what_was_asked_for_or_the_region_comes_first() {
        let roi = jidoka_prepare::Roi { x: 0, y: 0, width: 200, height: 50 };
        let options = Options { roi: Some(roi), ..Options::default() };
        assert_eq!(size(&mut images(&[(640, 480); 6]), &options), (512, 128));
        let options = Options { size: Some((64, 96)), ..options };
        assert_eq!(size(&mut images(&[(640, 480); 6]), &options), (64, 96));
    }
}
