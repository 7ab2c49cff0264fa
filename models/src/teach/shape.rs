//! The size of a model's input: the parts' own shape, at a fixed number of pixels or at every pixel that they have.
//!
//! The backbone takes any multiple of 16, so an elongated part gets an elongated input and is never squashed, at the cost of a
//! square one; and a large picture goes through it in one pass, at every pixel, without being cut into tiles.

use super::{Options, Parts};

/// Pixels of the input: 256 x 256.
const BUDGET: f64 = 65_536.0;
/// Least and most pixels of a side.
const SIDE: (u32, u32) = (32, 4096);
/// Images whose shape is looked at.
const LOOKED_AT: usize = 16;
/// Shapes within this of each other count as one.
const ALIKE: f64 = 1.15;
/// Share of the images that have to be of one shape.
const MOST: f64 = 0.8;

/// The size of a model's input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Size {
    /// The parts' shape at about 65,536 pixels: what 256x256 costs.
    #[default]
    Usual,
    /// The parts' own size, every pixel of it: where flaws are a few pixels of a large picture.
    Own,
    /// Width and height in pixels, multiples of 16 from 32 to 4096.
    Fixed(u32, u32),
}

impl Size {
    /// Whether an input can have this size.
    pub(super) fn is_possible(self) -> bool {
        let side = |v: u32| (SIDE.0..=SIDE.1).contains(&v) && v.is_multiple_of(16);
        !matches!(self, Size::Fixed(width, height) if !(side(width) && side(height)))
    }
}

/// Width and height in pixels for these parts. Images that cannot be read do not count; teaching names them later.
pub(super) fn size(parts: &mut dyn Parts, options: &Options) -> (u32, u32) {
    let seen = |parts: &mut dyn Parts| match options.roi {
        Some(roi) => vec![(roi.width, roi.height)],
        None => sizes(parts),
    };
    match options.size {
        Size::Fixed(width, height) => (width, height),
        Size::Usual => fitted(common_aspect(&seen(parts))),
        Size::Own => own(&seen(parts)),
    }
}

/// Sizes of some of the images.
fn sizes(parts: &mut dyn Parts) -> Vec<(u32, u32)> {
    let count = parts.count().min(LOOKED_AT);
    let image = |k: usize| parts.read(k * parts.count() / count).ok();
    (0..count).filter_map(image).map(|image| (image.width, image.height)).collect()
}

/// The size in the middle, to the next multiples of 16.
fn own(sizes: &[(u32, u32)]) -> (u32, u32) {
    let middle = |side: fn(&(u32, u32)) -> u32| {
        let mut sides: Vec<u32> = sizes.iter().map(side).collect();
        sides.sort_unstable();
        (sides.get(sides.len() / 2).copied().unwrap_or(256).saturating_add(8) / 16 * 16).clamp(SIDE.0, SIDE.1)
    };
    (middle(|s| s.0), middle(|s| s.1))
}

fn common_aspect(sizes: &[(u32, u32)]) -> f64 {
    let mut aspects: Vec<f64> =
        sizes.iter().map(|&(width, height)| f64::from(width) / f64::from(height.max(1))).collect();
    aspects.sort_by(f64::total_cmp);
    let Some(&median) = aspects.get(aspects.len() / 2) else { return 1.0 };
    let alike = aspects.iter().filter(|&&a| a / median < ALIKE && median / a < ALIKE).count();
    // Where shapes differ no one shape is right for all; a square is as good as any.
    if alike as f64 >= MOST * aspects.len() as f64 { median } else { 1.0 }
}

/// Multiples of 16, as near to the aspect ratio (width over height) as the budget allows.
fn fitted(aspect: f64) -> (u32, u32) {
    let aspect = if aspect / ALIKE < 1.0 && aspect * ALIKE > 1.0 { 1.0 } else { aspect.clamp(1.0 / 64.0, 64.0) };
    let side = |length: f64| ((length / 16.0).round() as u32 * 16).clamp(SIDE.0, SIDE.1);
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
        let own = Options { size: Size::Own, ..options.clone() };
        assert_eq!(size(&mut images(&[(640, 480); 6]), &own), (208, 48));
        let options = Options { size: Size::Fixed(64, 96), ..options };
        assert_eq!(size(&mut images(&[(640, 480); 6]), &options), (64, 96));
    }

    #[test]
    fn the_own_size_is_that_of_most_parts_within_what_an_input_can_have() {
        let own = Options { size: Size::Own, ..Options::default() };
        for (parts, expected) in [
            (vec![(1920, 1080); 6], (1920, 1088)),
            (vec![(100, 200), (640, 480), (640, 480)], (640, 480)),
            (vec![(10, 9000)], (32, 4096)),
            (vec![], (256, 256)),
        ] {
            assert_eq!(size(&mut images(&parts), &own), expected, "{parts:?}");
        }
    }
}
