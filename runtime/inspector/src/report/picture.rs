//! Pictures of an inspection: the anomaly map laid over the image, as PNG.

use base64::Engine as _;
use image::{ImageEncoder, RgbImage};

/// The colours of a heat map from cold to hot: nine stops of matplotlib's *inferno* (CC0), chosen because equal steps
/// in the map look like equal steps to the eye, in print and to the colour-blind too.
const INFERNO: [[u8; 3]; 9] = [
    [0, 0, 4],
    [31, 12, 72],
    [85, 15, 109],
    [136, 34, 106],
    [186, 54, 85],
    [227, 89, 51],
    [249, 140, 10],
    [249, 201, 50],
    [252, 255, 164],
];

/// An anomaly map, row by row.
#[derive(Clone, Copy, Debug)]
pub struct Map<'a> {
    /// `width * height` values.
    pub values: &'a [f32],
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
}

/// The colour of `heat` in 0..1; outside it the end's colour.
fn colour(heat: f32) -> [f32; 3] {
    let place = heat.clamp(0.0, 1.0) * (INFERNO.len() - 1) as f32;
    let low = (place as usize).min(INFERNO.len() - 2);
    let share = place - low as f32;
    let mix = |channel: usize| {
        f32::from(INFERNO[low][channel]) * (1.0 - share) + f32::from(INFERNO[low + 1][channel]) * share
    };
    [mix(0), mix(1), mix(2)]
}

impl Map<'_> {
    /// The map at a point of 0..1 in both directions, bilinear.
    fn at(&self, across: f32, down: f32) -> f32 {
        let place = |share: f32, size: usize| {
            let place = (share * size as f32 - 0.5).clamp(0.0, (size - 1) as f32);
            let low = place as usize;
            (low, (low + 1).min(size - 1), place - low as f32)
        };
        let (left, right, x) = place(across, self.width);
        let (top, bottom, y) = place(down, self.height);
        let value = |column: usize, row: usize| self.values[row * self.width + column];
        let upper = value(left, top) * (1.0 - x) + value(right, top) * x;
        let lower = value(left, bottom) * (1.0 - x) + value(right, bottom) * x;
        upper * (1.0 - y) + lower * y
    }
}

/// Lays `map` over `image` (which it covers whole). `limit` is the value at which a place is as odd as the threshold:
/// it gets the colour at two thirds of the scale, what is at or below a third of it shows the bare image.
pub fn overlay(image: &RgbImage, map: &Map<'_>, limit: f32) -> RgbImage {
    let mut picture = image.clone();
    if map.values.len() != map.width * map.height || map.values.is_empty() {
        return picture;
    }
    let (width, height) = (picture.width() as f32, picture.height() as f32);
    let scale = 1.0 / (limit.max(f32::MIN_POSITIVE) * 1.5);
    for (x, y, pixel) in picture.enumerate_pixels_mut() {
        let heat = map.at((x as f32 + 0.5) / width, (y as f32 + 0.5) / height) * scale;
        let weight = ((heat - 0.22) / 0.45).clamp(0.0, 0.72);
        let hot = colour(heat);
        for (channel, value) in pixel.0.iter_mut().enumerate() {
            *value = (f32::from(*value) * (1.0 - weight) + hot[channel] * weight).round() as u8;
        }
    }
    picture
}

/// `image` as the bytes of a PNG file.
pub fn png(image: &RgbImage) -> Result<Vec<u8>, image::ImageError> {
    let mut bytes = Vec::new();
    image::codecs::png::PngEncoder::new(&mut bytes).write_image(
        image.as_raw(),
        image.width(),
        image.height(),
        image::ExtendedColorType::Rgb8,
    )?;
    Ok(bytes)
}

/// `image` as a `data:` address, to stand inside a page.
pub fn data_uri(image: &RgbImage) -> Result<String, image::ImageError> {
    Ok(format!("data:image/png;base64,{}", base64::engine::general_purpose::STANDARD.encode(png(image)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grey(size: u32) -> RgbImage {
        RgbImage::from_pixel(size, size, image::Rgb([120, 120, 120]))
    }

    #[test]
    fn a_cold_map_leaves_the_image_and_a_hot_spot_shows_where_it_is() {
        let mut values = vec![0.0; 64];
        let image = grey(64);
        let cold = overlay(&image, &Map { values: &values, width: 8, height: 8 }, 1.0);
        assert_eq!(cold, image);

        values[8 * 2 + 6] = 1.5; // column 6, row 2 of 8: pixels 48..56, 16..24
        let hot = overlay(&image, &Map { values: &values, width: 8, height: 8 }, 1.0);
        assert_ne!(hot.get_pixel(52, 20), image.get_pixel(52, 20));
        assert_eq!(hot.get_pixel(8, 56), image.get_pixel(8, 56));
    }

    #[test]
    fn a_map_that_does_not_fit_its_own_size_is_left_out() {
        let image = grey(4);
        assert_eq!(overlay(&image, &Map { values: &[1.0; 3], width: 2, height: 2 }, 0.1), image);
    }

    #[test]
    fn the_png_reads_back_as_the_image() {
        let image = overlay(&grey(16), &Map { values: &[2.0; 4], width: 2, height: 2 }, 1.0);
        let read = image::load_from_memory(&png(&image).expect("encodes")).expect("decodes").to_rgb8();
        assert_eq!(read, image);
        assert!(data_uri(&image).expect("encodes").starts_with("data:image/png;base64,iVBOR"));
    }
}
