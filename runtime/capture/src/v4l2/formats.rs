//! V4L2's names for pixel formats and colour spaces, and ours.

use jidoka_prepare::{BayerDepth, BayerOrder, Encoding, Matrix, PixelFormat, Range};

/// A four-character code.
pub(crate) type Code = [u8; 4];

/// V4L2's code for each format that can be prepared, the most useful first, and whether each plane has a buffer of its
/// own.
const CODES: &[(&Code, PixelFormat, bool)] = &[
    (b"GREY", PixelFormat::Grey, false),
    (b"YUYV", PixelFormat::Yuyv, false),
    (b"UYVY", PixelFormat::Uyvy, false),
    (b"NV12", PixelFormat::Nv12, false),
    (b"NM12", PixelFormat::Nv12, true),
    (b"NV21", PixelFormat::Nv21, false),
    (b"NM21", PixelFormat::Nv21, true),
    (b"YU12", PixelFormat::Yu12, false),
    (b"YM12", PixelFormat::Yu12, true),
    (b"RGB3", PixelFormat::Rgb24, false),
    (b"BGR3", PixelFormat::Bgr24, false),
    (b"XB24", PixelFormat::Rgbx32, false),
    (b"AB24", PixelFormat::Rgbx32, false),
    (b"XR24", PixelFormat::Bgrx32, false),
    (b"AR24", PixelFormat::Bgrx32, false),
    (b"BGR4", PixelFormat::Bgrx32, false),
    (b"BX24", PixelFormat::Xrgb32, false),
    (b"BA24", PixelFormat::Xrgb32, false),
    (b"RGB4", PixelFormat::Xrgb32, false),
    (b"Y10 ", PixelFormat::Y10, false),
    (b"Y12 ", PixelFormat::Y12, false),
    (b"Y16 ", PixelFormat::Y16, false),
    (b"Y10P", PixelFormat::Y10P, false),
    (b"Y12P", PixelFormat::Y12P, false),
    (b"RGGB", PixelFormat::Bayer(BayerOrder::Rggb, BayerDepth::Bits8), false),
    (b"GRBG", PixelFormat::Bayer(BayerOrder::Grbg, BayerDepth::Bits8), false),
    (b"GBRG", PixelFormat::Bayer(BayerOrder::Gbrg, BayerDepth::Bits8), false),
    (b"BA81", PixelFormat::Bayer(BayerOrder::Bggr, BayerDepth::Bits8), false),
    (b"RG10", PixelFormat::Bayer(BayerOrder::Rggb, BayerDepth::Bits10), false),
    (b"BA10", PixelFormat::Bayer(BayerOrder::Grbg, BayerDepth::Bits10), false),
    (b"GB10", PixelFormat::Bayer(BayerOrder::Gbrg, BayerDepth::Bits10), false),
    (b"BG10", PixelFormat::Bayer(BayerOrder::Bggr, BayerDepth::Bits10), false),
    (b"RG12", PixelFormat::Bayer(BayerOrder::Rggb, BayerDepth::Bits12), false),
    (b"BA12", PixelFormat::Bayer(BayerOrder::Grbg, BayerDepth::Bits12), false),
    (b"GB12", PixelFormat::Bayer(BayerOrder::Gbrg, BayerDepth::Bits12), false),
    (b"BG12", PixelFormat::Bayer(BayerOrder::Bggr, BayerDepth::Bits12), false),
    (b"RG16", PixelFormat::Bayer(BayerOrder::Rggb, BayerDepth::Bits16), false),
    (b"GR16", PixelFormat::Bayer(BayerOrder::Grbg, BayerDepth::Bits16), false),
    (b"GB16", PixelFormat::Bayer(BayerOrder::Gbrg, BayerDepth::Bits16), false),
    (b"BYR2", PixelFormat::Bayer(BayerOrder::Bggr, BayerDepth::Bits16), false),
    (b"pRAA", PixelFormat::Bayer(BayerOrder::Rggb, BayerDepth::Packed10), false),
    (b"pgAA", PixelFormat::Bayer(BayerOrder::Grbg, BayerDepth::Packed10), false),
    (b"pGAA", PixelFormat::Bayer(BayerOrder::Gbrg, BayerDepth::Packed10), false),
    (b"pBAA", PixelFormat::Bayer(BayerOrder::Bggr, BayerDepth::Packed10), false),
    (b"pRCC", PixelFormat::Bayer(BayerOrder::Rggb, BayerDepth::Packed12), false),
    (b"pgCC", PixelFormat::Bayer(BayerOrder::Grbg, BayerDepth::Packed12), false),
    (b"pGCC", PixelFormat::Bayer(BayerOrder::Gbrg, BayerDepth::Packed12), false),
    (b"pBCC", PixelFormat::Bayer(BayerOrder::Bggr, BayerDepth::Packed12), false),
];

/// A JPEG picture in each buffer: what USB cameras offer for sizes that do not fit the bus otherwise. It is decoded to
/// RGB24, which takes time and memory, so that it is used only where the camera has nothing better.
pub(crate) const MOTION_JPEG: Code = *b"MJPG";

/// Our format for a code.
pub(crate) fn format_of(code: Code) -> Option<PixelFormat> {
    CODES.iter().find(|(known, ..)| **known == code).map(|(_, format, _)| *format)
}

/// V4L2's codes for a format, those with one buffer first, or those with a buffer a plane.
pub(crate) fn codes_of(format: PixelFormat, apart_first: bool) -> impl Iterator<Item = Code> {
    let with = move |apart| CODES.iter().filter(move |(_, known, is_apart)| *known == format && *is_apart == apart);
    with(apart_first).chain(with(!apart_first)).map(|(code, ..)| **code)
}

/// Every code that can be prepared, the most useful first.
pub(crate) fn codes() -> impl Iterator<Item = Code> {
    CODES.iter().map(|(code, ..)| **code)
}

/// A code as text; a big-endian variant has its top bit set.
pub(crate) fn code_text(code: Code) -> String {
    let [a, b, c, d] = code;
    let text: String =
        [a, b, c, d & 0x7f].map(|byte| if byte.is_ascii_graphic() { byte as char } else { ' ' }).iter().collect();
    let text = text.trim_end().to_string();
    if d & 0x80 != 0 { text + "-BE" } else { text }
}

/// What YUV codes mean, by the driver's words (`V4L2_MAP_YCBCR_ENC_DEFAULT` and `V4L2_MAP_QUANTIZATION_DEFAULT`).
pub(crate) fn encoding_of(colorspace: u32, ycbcr_encoding: u32, quantization: u32) -> Encoding {
    const JPEG: u32 = 7;
    const REC709: u32 = 3;
    let matrix = match ycbcr_encoding {
        0 if colorspace == REC709 => Matrix::Bt709,
        // 2: BT.709, 4: the same with a wider gamut, 6 and 7: BT.2020, whose weights are nearer to BT.709.
        2 | 4 | 6 | 7 => Matrix::Bt709,
        _ => Matrix::Bt601,
    };
    let range = match quantization {
        1 => Range::Full,
        2 => Range::Limited,
        _ if colorspace == JPEG => Range::Full,
        _ => Range::Limited,
    };
    Encoding { matrix, range }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_has_a_code_and_every_code_is_known_once() {
        for format in PixelFormat::all() {
            let code = codes_of(format, false).next();
            assert_eq!(code.and_then(format_of), Some(format), "{format}");
        }
        for code in codes() {
            assert_eq!(codes().filter(|other| *other == code).count(), 1, "{}", code_text(code));
        }
        assert_eq!(format_of(*b"MJPG"), None);
    }

    #[test]
    fn codes_are_readable() {
        assert_eq!(code_text(*b"Y10 "), "Y10");
        assert_eq!(code_text([b'Y', b'1', b'6', b' ' | 0x80]), "Y16-BE");
        assert_eq!(code_text([0, 1, 2, 3]), "");
    }

    #[test]
    fn colour_spaces_are_read_as_v4l2_says() {
        let check = |words: (u32, u32, u32), matrix, range| {
            assert_eq!(encoding_of(words.0, words.1, words.2), Encoding { matrix, range }, "{words:?}");
        };
        check((8, 0, 0), Matrix::Bt601, Range::Limited);
        check((7, 0, 0), Matrix::Bt601, Range::Full);
        check((3, 0, 0), Matrix::Bt709, Range::Limited);
        check((3, 1, 1), Matrix::Bt601, Range::Full);
        check((1, 2, 2), Matrix::Bt709, Range::Limited);
    }
}
