//! Values as people write them on a command line.

use clap::builder::PossibleValue;
use clap::{Args, ValueEnum};
use jidoka_capture::Roi;
use jidoka_models::teach::Size;
use jidoka_prepare::{Filter, Fit};

/// A share: `0.5%` or `0.005`.
pub fn share(text: &str) -> Result<f64, String> {
    let (number, scale) = match text.trim().strip_suffix('%') {
        Some(number) => (number, 0.01),
        None => (text, 1.0),
    };
    match number.trim().parse::<f64>() {
        Ok(value) if value.is_finite() && (0.0..=1.0).contains(&(value * scale)) => Ok(value * scale),
        _ => Err("expected a share such as 0.5% or 0.005".into()),
    }
}

/// A share of good parts that may be rejected: `0.5%` or `0.005`. Who writes `0.5` means half a percent: a bare number that large
/// is refused.
pub fn rate(text: &str) -> Result<f64, String> {
    let value = share(text)?;
    if value >= 0.2 && !text.trim().ends_with('%') {
        return Err(format!(
            "that would be {} % of the good parts; expected a share such as 0.5% or 0.005; try {}% if you mean percent",
            value * 100.0,
            text.trim()
        ));
    }
    Ok(value)
}

/// A score: any number that can be compared with one.
pub fn score(text: &str) -> Result<f32, String> {
    match text.trim().parse::<f32>() {
        Ok(value) if value.is_finite() => Ok(value),
        _ => Err("expected a number such as 0.5; with no other could a score be compared".into()),
    }
}

/// A sensitivity: strictly between 0 and 1.
pub fn sensitivity(text: &str) -> Result<f64, String> {
    match text.trim().parse::<f64>() {
        Ok(value) if (0.01..=0.99).contains(&value) => Ok(value),
        _ => Err("expected a number from 0.01 to 0.99; 0.5 is the model's own threshold".into()),
    }
}

/// A rectangle in pixels: `x,y,width,height`.
pub fn roi(text: &str) -> Result<Roi, String> {
    let numbers: Option<Vec<u32>> = text.split(',').map(|number| number.trim().parse().ok()).collect();
    match numbers.as_deref() {
        Some(&[x, y, width, height]) if width > 0 && height > 0 => Ok(Roi { x, y, width, height }),
        _ => Err("expected x,y,width,height in pixels, such as 120,80,400,400".into()),
    }
}

/// A size in pixels: `256` or `320x256` (width x height).
pub fn size(text: &str) -> Result<(u32, u32), String> {
    let (width, height) = text.split_once('x').unwrap_or((text, text));
    match (width.trim().parse(), height.trim().parse()) {
        (Ok(width), Ok(height)) if width > 0 && height > 0 => Ok((width, height)),
        _ => Err("expected a size in pixels such as 256 or 320x256".into()),
    }
}

/// The size of a model's input: `own` or a [`size`].
pub fn input_size(text: &str) -> Result<Size, String> {
    if text == "own" {
        return Ok(Size::Own);
    }
    size(text).map(|(width, height)| Size::Fixed(width, height)).map_err(|error| format!("{error}, or own"))
}

/// How an image is brought to the model's input.
#[derive(Args, Clone, Copy, Debug)]
pub struct Preparation {
    /// The part of each image that matters: x,y,width,height in pixels [default: what the model was taught from]
    #[arg(long, value_parser = roi, value_name = "X,Y,W,H")]
    pub roi: Option<Roi>,
}

/// [`Fit`] as a word.
#[derive(Clone, Copy, Debug)]
pub struct FitWord(pub Fit);

impl ValueEnum for FitWord {
    fn value_variants<'a>() -> &'a [Self] {
        &[FitWord(Fit::Stretch), FitWord(Fit::Crop), FitWord(Fit::Pad(0))]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(match self.0 {
            Fit::Stretch => PossibleValue::new("stretch").help("width and height are scaled independently"),
            Fit::Crop => PossibleValue::new("crop").help("the largest centred part of the model's shape"),
            Fit::Pad(_) => PossibleValue::new("pad").help("the whole image with black borders"),
        })
    }
}

/// [`Filter`] as a word.
#[derive(Clone, Copy, Debug)]
pub struct FilterWord(pub Filter);

impl ValueEnum for FilterWord {
    fn value_variants<'a>() -> &'a [Self] {
        &[FilterWord(Filter::Area), FilterWord(Filter::Triangle)]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(match self.0 {
            Filter::Area => PossibleValue::new("area").help("the mean of what a pixel covers"),
            Filter::Triangle => PossibleValue::new("triangle").help("what Pillow's and torchvision's resize do"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_sizes_and_rectangles() {
        assert_eq!((share("0.5%"), share("0.005")), (Ok(0.005), Ok(0.005)));
        assert_eq!((size("256"), size("320x240")), (Ok((256, 256)), Ok((320, 240))));
        assert_eq!(roi("1, 2,3,4"), Ok(Roi { x: 1, y: 2, width: 3, height: 4 }));
        for bad in ["", "half", "150%", "-1%", "nan", "inf"] {
            assert!(share(bad).is_err(), "{bad}");
        }
        assert_eq!((rate("0.5%"), rate("50%"), rate("0.005")), (Ok(0.005), Ok(0.5), Ok(0.005)));
        assert!(rate("0.5").is_err_and(|error| error.contains("50 %") && error.contains("0.5%")));
        for bad in ["nan", "inf", "-inf", "1e99", "x"] {
            assert!(score(bad).is_err(), "{bad}");
        }
        for bad in ["", "0", "12x", "x", "1x2x3", "-4"] {
            assert!(size(bad).is_err(), "{bad}");
        }
        for bad in ["1,2,3", "1,2,0,4", "a,b,c,d", "1,2,3,4,5"] {
            assert!(roi(bad).is_err(), "{bad}");
        }
    }
}
