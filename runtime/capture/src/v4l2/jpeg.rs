//! Motion JPEG: a picture a frame, decoded into a buffer that is kept.
//!
//! The decoder (zune-jpeg) takes memory for its rows and components with every picture, whatever it decodes into, so that
//! motion JPEG is not loop-clean; sources that use it say so.

use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

/// Decodes a JPEG picture of this size into RGB. False: it is no such picture, or not a whole one.
///
/// Strictly: half a picture filled up with grey would be judged as if it were the part.
pub(super) fn decode(jpeg: &[u8], (width, height): (u32, u32), out: &mut [u8]) -> bool {
    let options = DecoderOptions::new_fast()
        .set_strict_mode(true)
        .set_max_width(width as usize)
        .set_max_height(height as usize)
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(jpeg), options);
    if decoder.decode_headers().is_err() {
        return false;
    }
    let size = decoder.info().map(|info| (u32::from(info.width), u32::from(info.height)));
    let fits = size == Some((width, height)) && decoder.output_buffer_size() == Some(out.len());
    fits && is_ended(jpeg) && decoder.decode_into(out).is_ok()
}

/// Whether an end-of-image marker is there, before whatever padding the camera adds. Without one, the transfer was cut.
fn is_ended(jpeg: &[u8]) -> bool {
    let end = jpeg.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    let tail = &jpeg[end.saturating_sub(1024)..end];
    tail.windows(2).any(|pair| pair == [0xff, 0xd9])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encode(pixels: &[u8], width: u32, height: u32) -> Vec<u8> {
        use image::ImageEncoder;
        let mut jpeg = Vec::new();
        let encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut jpeg, 95);
        encoder.write_image(pixels, width, height, image::ExtendedColorType::Rgb8).expect("encodes");
        jpeg
    }

    #[test]
    fn pictures_decode_and_anything_else_is_damaged() {
        let pixels = [90, 120, 200].repeat(16 * 8);
        let jpeg = encode(&pixels, 16, 8);
        let mut out = vec![0; pixels.len()];
        assert!(decode(&jpeg, (16, 8), &mut out));
        assert!(out.iter().zip(&pixels).all(|(a, b)| a.abs_diff(*b) <= 6), "{:?}", &out[..6]);
        let padded = [jpeg.clone(), vec![0; 5000]].concat();
        assert!(decode(&padded, (16, 8), &mut out), "cameras pad their buffers");
        assert!(!decode(&jpeg, (8, 16), &mut out), "another size");
        assert!(!decode(&jpeg[..jpeg.len() / 3], (16, 8), &mut out), "cut off");
        assert!(!decode(&[], (16, 8), &mut out));
        assert!(!decode(&[0xff; 100], (16, 8), &mut out));
    }

    #[test]
    fn no_cut_of_a_picture_counts_as_whole_and_no_damage_panics() {
        let pixels: Vec<u8> = (0..64 * 48 * 3).map(|i| (i * i / 7) as u8).collect();
        let jpeg = encode(&pixels, 64, 48);
        let mut out = vec![0; pixels.len()];
        assert!(decode(&jpeg, (64, 48), &mut out));
        for cut in (0..jpeg.len() - 2).step_by(7) {
            assert!(!decode(&jpeg[..cut], (64, 48), &mut out), "cut at {cut} of {}", jpeg.len());
        }
        for at in (0..jpeg.len()).step_by(5) {
            let mut damaged = jpeg.clone();
            damaged[at] ^= 0x55;
            // Not every flipped bit can be noticed; none may panic.
            let _ = decode(&damaged, (64, 48), &mut out);
        }
    }
}
