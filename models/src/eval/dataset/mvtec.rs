//! MVTec AD, and what is laid out like it: MVTec LOCO, BTAD, VisA as many convert it.

use std::path::{Path, PathBuf};

use super::files::{base, every_mask_has_its_image, folders, images_in, refuse, stem};
use super::{Category, Layout, Picture, Sample};
use crate::Error;

pub(super) fn read(folder: &Path, name: String) -> Result<Category, Error> {
    let train_folder = ["good", "ok"].iter().map(|n| folder.join("train").join(n)).find(|f| f.is_dir());
    let train_folder = train_folder
        .ok_or_else(|| refuse(&folder.join("train"), "expected a folder `good` (or `ok`) with good parts"))?;
    let train = images_in(&train_folder)?.into_iter().map(Picture::whole).collect();
    let mut test = Vec::new();
    for kind in folders(&folder.join("test"))? {
        let defect = base(&kind);
        let good = defect == "good" || defect == "ok";
        let truth = folder.join("ground_truth").join(&defect);
        let first = test.len();
        for path in images_in(&kind)? {
            let masks = if good || !truth.is_dir() { Vec::new() } else { masks(&truth, &path)? };
            test.push(Sample { picture: Picture::whole(path), defect: (!good).then(|| defect.clone()), masks });
        }
        if !good && truth.is_dir() {
            every_mask_has_its_image(&all_masks(&truth)?, &test[first..], image_of, &kind.display().to_string())?;
        }
    }
    if test.is_empty() {
        return Err(refuse(&folder.join("test"), "no images; expected folders `good` and one for each kind of defect"));
    }
    Ok(Category { name, folder: folder.to_owned(), layout: Layout::MvtecAd, train, test })
}

/// The masks of one defective image.
fn masks(truth: &Path, image: &Path) -> Result<Vec<PathBuf>, Error> {
    let stem = stem(image);
    let names = [format!("{stem}_mask.png"), format!("{stem}.png"), format!("{stem}.bmp")];
    if let Some(mask) = names.iter().map(|n| truth.join(n)).find(|m| m.is_file()) {
        return Ok(vec![mask]);
    }
    let several = truth.join(&stem);
    if several.is_dir() {
        return images_in(&several);
    }
    Err(refuse(image, format!("its mask is missing; expected {}", truth.join(&names[0]).display())))
}

fn all_masks(truth: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut all = images_in(truth)?;
    for several in folders(truth)? {
        all.extend(images_in(&several)?);
    }
    Ok(all)
}

/// The name of the image that a mask belongs to, by the rules of [`masks`].
fn image_of(mask: &Path) -> String {
    let name = stem(mask);
    match (name.strip_suffix("_mask"), mask.parent().map(base)) {
        (Some(image), _) => image.to_owned(),
        // LOCO's masks lie in a folder of the image's name and are numbered.
        (None, Some(folder)) if folder.parse::<u32>().is_ok() => folder,
        _ => name,
    }
}
