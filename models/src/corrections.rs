//! The corrections that a model was taught with, as its file carries them: with the pictures, so that the model gives the same
//! verdict wherever it is used.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jidoka_capture::images;
use jidoka_prepare::{Align, Corrections, FrameView, Picture};
use serde::{Deserialize, Serialize};

use crate::Error;

/// What was put right in every image that a model was taught from. Neither member: nothing was.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Carried {
    /// The frame of an evenly white target: a PNG file in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub white: Option<String>,
    /// How parts were brought to one place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub align: Option<CarriedAlign>,
}

/// See [`Align`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CarriedAlign {
    /// The frame with the part where it should lie: a PNG file in base64.
    pub template: String,
    /// How far a part may lie off, in pixels of the camera.
    pub max_shift_px: u32,
    /// How far it may be turned, in degrees.
    pub max_degrees: f32,
    /// How well it must match, 0 to 1.
    pub least_match: f32,
}

impl Carried {
    /// What a model that is taught with `corrections` carries.
    ///
    /// # Errors
    /// Where a picture cannot be encoded.
    pub fn of(corrections: &Corrections) -> Result<Carried, Error> {
        let align = corrections.align.as_ref().map(|align| {
            let Align { template, max_shift_px, max_degrees, least_match } = align;
            let (max_shift_px, max_degrees, least_match) = (*max_shift_px, *max_degrees, *least_match);
            Ok::<_, Error>(CarriedAlign { template: pack(template)?, max_shift_px, max_degrees, least_match })
        });
        Ok(Carried { white: corrections.white.as_ref().map(pack).transpose()?, align: align.transpose()? })
    }

    /// The corrections themselves.
    ///
    /// # Errors
    /// What is wrong with a picture.
    pub fn unpack(&self) -> Result<Corrections, String> {
        let align = self.align.as_ref().map(|align| {
            let CarriedAlign { template, max_shift_px, max_degrees, least_match } = align;
            let (max_shift_px, max_degrees, least_match) = (*max_shift_px, *max_degrees, *least_match);
            Ok::<_, String>(Align {
                template: unpack("align.template", template)?,
                max_shift_px,
                max_degrees,
                least_match,
            })
        });
        let white = self.white.as_ref().map(|white| unpack("white", white));
        Ok(Corrections { white: white.transpose()?, align: align.transpose()? })
    }
}

fn pack(picture: &Picture) -> Result<String, Error> {
    let Picture { width, height, format, data } = picture;
    let png = images::encode_png(&FrameView::packed(data, *width, *height, *format))?;
    Ok(STANDARD.encode(png))
}

fn unpack(what: &str, text: &str) -> Result<Picture, String> {
    let png = STANDARD.decode(text).map_err(|error| format!("{what} is not base64: {error}"))?;
    let images::Image { width, height, format, data } =
        images::decode_bytes(&png).map_err(|error| format!("{what} is not a picture: {error}"))?;
    Ok(Picture { width, height, format, data })
}

/// How `used` differs from what was `taught`, in words; `None` where the two put the same right.
pub fn difference(taught: &Corrections, used: &Corrections) -> Option<String> {
    let between = |name: &str, taught: bool, used: bool, same: bool| match (taught, used, same) {
        (true, false, _) => Some(format!("it was taught with [{name}], and here there is none")),
        (false, true, _) => Some(format!("it was taught without [{name}], and here there is one")),
        (true, true, false) => Some(format!("it was taught with another [{name}]")),
        _ => None,
    };
    let white = between("flat_field", taught.white.is_some(), used.white.is_some(), taught.white == used.white);
    white.or_else(|| between("align", taught.align.is_some(), used.align.is_some(), taught.align == used.align))
}

#[cfg(test)]
mod tests {
    use super::*;
    use jidoka_prepare::PixelFormat;

    fn picture(format: PixelFormat, bytes: usize) -> Picture {
        Picture { width: 5, height: 3, format, data: (0..bytes).map(|i| (i * 17 % 251) as u8).collect() }
    }

    fn example() -> Corrections {
        let template = picture(PixelFormat::Rgb24, 45);
        let align = Align { template, max_shift_px: 12, max_degrees: 2.5, least_match: 0.1 };
        Corrections { white: Some(picture(PixelFormat::Grey, 15)), align: Some(align) }
    }

    #[test]
    fn what_is_carried_is_what_was_taught_with() {
        for corrections in [Corrections::default(), example(), Corrections { align: None, ..example() }] {
            let carried = Carried::of(&corrections).expect("encodes");
            let text = serde_json::to_string(&carried).expect("serialises");
            let read: Carried = serde_json::from_str(&text).expect("parses");
            assert_eq!(read.unpack().expect("whole"), corrections);
            assert_eq!(difference(&corrections, &read.unpack().expect("whole")), None);
        }
    }

    #[test]
    fn each_difference_is_named() {
        let (all, none) = (example(), Corrections::default());
        let mut other = example();
        other.align.as_mut().expect("there").max_shift_px = 13;
        for (taught, used, words) in [
            (&all, &none, "with [flat_field], and here there is none"),
            (&none, &all, "without [flat_field], and here there is one"),
            (&all, &Corrections { align: None, ..example() }, "with [align], and here there is none"),
            (&all, &other, "with another [align]"),
        ] {
            let said = difference(taught, used).expect("they differ");
            assert!(said.contains(words), "{said}");
        }
    }

    #[test]
    fn a_damaged_picture_is_named() {
        let mut carried = Carried::of(&example()).expect("encodes");
        carried.white = Some("iVBORw0KGgo=".into());
        assert!(carried.unpack().expect_err("refused").starts_with("white is not a picture"));
        carried.white = Some("?".into());
        assert!(carried.unpack().expect_err("refused").starts_with("white is not base64"));
    }
}
