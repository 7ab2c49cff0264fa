//! A folder of good and a folder of bad images, perhaps one of masks: what people have who sorted their own pictures.

use std::path::{Path, PathBuf};

use super::files::{every_mask_has_its_image, images_in, refuse, stem};
use super::{Category, Layout, Picture, Sample};
use crate::Error;

const GOOD: [&str; 3] = ["good", "ok", "normal"];
const BAD: [&str; 6] = ["bad", "defect", "defective", "ng", "ko", "anomaly"];
const MASKS: [&str; 3] = ["mask", "masks", "ground_truth"];

/// The folder that has one of the names, whatever their case.
fn one_of(folder: &Path, names: &[&str]) -> Option<PathBuf> {
    let below = super::folders(folder).ok()?;
    below.into_iter().find(|f| names.iter().any(|n| super::files::base(f).eq_ignore_ascii_case(n)))
}

pub(super) fn is_here(folder: &Path) -> bool {
    one_of(folder, &GOOD).is_some() && one_of(folder, &BAD).is_some()
}

pub(super) fn read(folder: &Path, name: String) -> Result<Category, Error> {
    let (Some(good), Some(bad)) = (one_of(folder, &GOOD), one_of(folder, &BAD)) else {
        return Err(refuse(folder, "expected a folder `good` and a folder `bad`"));
    };
    let mut train = images_in(&good)?;
    // In the order of their names: pictures taken one after the other may show the same part and stay together.
    let rest = train.split_off((train.len() * 2).div_ceil(3));
    let mut test: Vec<Sample> = rest
        .into_iter()
        .map(|path| Sample { picture: Picture::whole(path), defect: None, masks: Vec::new() })
        .collect();
    let place = one_of(folder, &MASKS);
    let masks = place.as_deref().map(images_in).transpose()?.unwrap_or_default();
    let image_of = |mask: &Path| {
        let name = stem(mask);
        name.strip_suffix("_mask").unwrap_or(&name).to_owned()
    };
    for image in images_in(&bad)? {
        let own: Vec<PathBuf> = masks.iter().filter(|mask| image_of(mask) == stem(&image)).cloned().collect();
        if let (Some(place), true) = (&place, own.is_empty()) {
            let expected = place.join(format!("{}.png", stem(&image)));
            return Err(refuse(&image, format!("its mask is missing; expected {}", expected.display())));
        }
        test.push(Sample { picture: Picture::whole(image), defect: Some("bad".to_owned()), masks: own });
    }
    every_mask_has_its_image(&masks, &test, image_of, &bad.display().to_string())?;
    let train = train.into_iter().map(Picture::whole).collect();
    Ok(Category { name, folder: folder.to_owned(), layout: Layout::Pairs, train, test })
}
