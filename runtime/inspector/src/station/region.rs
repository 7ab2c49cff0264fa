//! The region of interest belongs to the model: one that is taught from a part of the image has never seen the rest.

use jidoka_capture::{Geometry, Roi};
use jidoka_models::contract::Region;

/// In words, what is wrong with inspecting `roi` of frames of this geometry by a model that was taught from `taught`; `None`
/// where they are the same part of the frame, or where the model does not say.
pub fn mismatch(taught: Option<Region>, geometry: Geometry, roi: Option<Roi>) -> Option<String> {
    let whole = Roi { x: 0, y: 0, width: geometry.width, height: geometry.height };
    let inspected = roi.unwrap_or(whole);
    let stated = match taught? {
        // The whole of an image of whatever size: photographs may have more pixels than the camera's frames.
        Region::Whole => whole,
        Region::Rectangle { x, y, width, height } => Roi { x, y, width, height },
    };
    if stated == inspected {
        return None;
    }
    let taught_from = if stated == whole { "whole images".to_owned() } else { format!("the region {}", words(stated)) };
    let here = if inspected == whole { "the whole frame".into() } else { format!("the region {}", words(inspected)) };
    let keys = if stated == whole { "no [roi]".to_owned() } else { format!("[roi] {}", keys(stated)) };
    let teach = if roi.is_none() { "--roi left out".into() } else { format!("--roi {}", numbers(inspected)) };
    Some(format!(
        "the model was taught from {taught_from} and would inspect {here}\n  expected: {keys}\n  try: that; or teach with \
         {teach}; or [model] any_roi = true, where the pictures that it was taught from were cut before"
    ))
}

fn words(roi: Roi) -> String {
    format!("{}x{} at {},{}", roi.width, roi.height, roi.x, roi.y)
}

fn numbers(roi: Roi) -> String {
    format!("{},{},{},{}", roi.x, roi.y, roi.width, roi.height)
}

fn keys(roi: Roi) -> String {
    format!("x = {}, y = {}, width = {}, height = {}", roi.x, roi.y, roi.width, roi.height)
}

#[cfg(test)]
mod tests {
    use super::*;
    use jidoka_capture::PixelFormat;

    #[test]
    fn only_the_region_that_was_taught_is_accepted() {
        let geometry = Geometry::new(640, 480, PixelFormat::Grey);
        let part = |x, y, width, height| Some(Roi { x, y, width, height });
        let taught = |x, y, width, height| Some(Region::Rectangle { x, y, width, height });
        let check = |taught, roi, words: &[&str]| {
            let found = mismatch(taught, geometry, roi);
            match &found {
                None => assert!(words.is_empty(), "{taught:?} and {roi:?} were accepted"),
                Some(text) => {
                    assert!(!words.is_empty(), "{taught:?} and {roi:?} were refused: {text}");
                    words.iter().for_each(|word| assert!(text.contains(word), "{word} is not in\n{text}"));
                }
            }
        };
        check(None, None, &[]);
        check(None, part(1, 2, 3, 4), &[]);
        check(Some(Region::Whole), None, &[]);
        check(Some(Region::Whole), part(0, 0, 640, 480), &[]);
        check(taught(8, 4, 100, 90), part(8, 4, 100, 90), &[]);
        check(taught(0, 0, 640, 480), None, &[]);
        check(
            taught(8, 4, 100, 90),
            None,
            &["region 100x90 at 8,4", "the whole frame", "x = 8, y = 4, width = 100, height = 90", "--roi left out"],
        );
        check(taught(8, 4, 100, 90), part(8, 5, 100, 90), &["100x90 at 8,5", "--roi 8,5,100,90"]);
        check(Some(Region::Whole), part(8, 4, 100, 90), &["whole images", "no [roi]", "any_roi"]);
    }
}
