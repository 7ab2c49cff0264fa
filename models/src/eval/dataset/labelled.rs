//! Layouts of whole images, each with a label or a mask of its own: VisA, KolektorSDD and SDD2, magnetic tiles, DAGM.

use std::path::{Path, PathBuf};

use super::files::{base, every_mask_has_its_image, folders, images_in, marked, read, refuse, stem};
use super::{Category, Layout, Picture, Sample};
use crate::Error;

fn category(layout: Layout, folder: &Path, name: String, train: Vec<PathBuf>, test: Vec<Sample>) -> Category {
    let train = train.into_iter().map(Picture::whole).collect();
    Category { name, folder: folder.to_owned(), layout, train, test }
}

fn good(path: PathBuf) -> Sample {
    Sample { picture: Picture::whole(path), defect: None, masks: Vec::new() }
}

fn bad(path: PathBuf, defect: &str, mask: PathBuf) -> Sample {
    Sample { picture: Picture::whole(path), defect: Some(defect.to_owned()), masks: vec![mask] }
}

/// Whether anything is marked in a mask.
fn marks(mask: &Path) -> Result<bool, Error> {
    Ok(marked(&read(mask, None)?, Layout::KolektorSdd.least_mark()).any(|m| m))
}

fn existing(mask: PathBuf, image: &Path) -> Result<PathBuf, Error> {
    if mask.is_file() {
        return Ok(mask);
    }
    Err(refuse(image, format!("its mask is missing; expected {}", mask.display())))
}

pub(super) fn visa(folder: &Path, name: String) -> Result<Category, Error> {
    let normal = images_in(&folder.join("Data/Images/Normal"))?;
    let masks = folder.join("Data/Masks/Anomaly");
    let mut test = Vec::new();
    for image in images_in(&folder.join("Data/Images/Anomaly"))? {
        let mask = existing(masks.join(format!("{}.png", stem(&image))), &image)?;
        test.push(bad(image, "anomaly", mask));
    }
    let found = images_in(&masks)?;
    let place = folder.join("Data/Images/Anomaly").display().to_string();
    every_mask_has_its_image(&found, &test, stem, &place)?;
    let taught = visa_split(folder)?;
    let mut train = Vec::new();
    for (index, image) in normal.into_iter().enumerate() {
        let is_taught = match &taught {
            Some(names) => names.contains(&base(&image)),
            None => index % 10 != 9,
        };
        if is_taught {
            train.push(image);
        } else {
            test.push(good(image));
        }
    }
    Ok(category(Layout::Visa, folder, name, train, test))
}

/// The normal images that the published one-class split teaches from, by name.
fn visa_split(folder: &Path) -> Result<Option<std::collections::BTreeSet<String>>, Error> {
    let Some(split) = folder.parent().map(|root| root.join("split_csv/1cls.csv")).filter(|f| f.is_file()) else {
        return Ok(None);
    };
    let text = std::fs::read_to_string(&split).map_err(|e| Error::io(&split, "read", e))?;
    let object = base(folder);
    let mut names = std::collections::BTreeSet::new();
    for (number, line) in text.lines().enumerate().skip(1).filter(|(_, line)| !line.trim().is_empty()) {
        let fields: Vec<&str> = line.split(',').map(str::trim).collect();
        let &[of, part, label, image, ..] = fields.as_slice() else {
            let reason = format!("line {}: expected `object,split,label,image,mask`", number + 1);
            return Err(refuse(&split, reason));
        };
        if of == object && part == "train" && label == "normal" {
            names.insert(base(Path::new(image)));
        }
    }
    Ok(Some(names))
}

pub(super) fn is_kolektor(folder: &Path) -> bool {
    folders(folder).is_ok_and(|found| found.iter().any(|f| is_item(f) && f.join("Part0_label.bmp").is_file()))
}

fn is_item(folder: &Path) -> bool {
    base(folder).strip_prefix("kos").is_some_and(|number| number.parse::<u32>().is_ok())
}

pub(super) fn kolektor(folder: &Path, name: String) -> Result<Category, Error> {
    let (mut train, mut test) = (Vec::new(), Vec::new());
    // The eight images of an item are sides of one commutator, so that items stay together.
    for (number, item) in folders(folder)?.into_iter().filter(|f| is_item(f)).enumerate() {
        for sample in labelled(&item, "_label.bmp")? {
            if sample.defect.is_none() && number % 2 == 0 {
                train.push(sample.picture.path);
            } else {
                test.push(sample);
            }
        }
    }
    Ok(category(Layout::KolektorSdd, folder, name, train, test))
}

/// The images of a folder whose masks lie beside them: an image is good where nothing is marked in its mask.
fn labelled(folder: &Path, ending: &str) -> Result<Vec<Sample>, Error> {
    let (masks, images): (Vec<_>, Vec<_>) = images_in(folder)?.into_iter().partition(|p| base(p).ends_with(ending));
    let mut samples = Vec::new();
    for image in images {
        let mask = existing(folder.join(format!("{}{ending}", stem(&image))), &image)?;
        samples.push(bad(image, "defect", mask));
    }
    let image_of = |mask: &Path| base(mask).trim_end_matches(ending).to_owned();
    every_mask_has_its_image(&masks, &samples, image_of, &folder.display().to_string())?;
    for sample in &mut samples {
        if !marks(&sample.masks[0])? {
            *sample = good(std::mem::take(&mut sample.picture.path));
        }
    }
    Ok(samples)
}

pub(super) fn is_kolektor2(train: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(train) else { return false };
    entries.flatten().take(64).any(|entry| base(&entry.path()).ends_with("_GT.png"))
}

pub(super) fn kolektor2(folder: &Path, name: String) -> Result<Category, Error> {
    let train = labelled(&folder.join("train"), "_GT.png")?.into_iter().filter(|s| s.defect.is_none());
    let train = train.map(|s| s.picture.path).collect();
    Ok(category(Layout::KolektorSdd2, folder, name, train, labelled(&folder.join("test"), "_GT.png")?))
}

pub(super) fn magnetic_tile(folder: &Path, name: String) -> Result<Category, Error> {
    let (mut train, mut test) = (Vec::new(), Vec::new());
    for kind in folders(folder)?.into_iter().filter(|f| base(f).starts_with("MT_") && f.join("Imgs").is_dir()) {
        let defect = base(&kind)["MT_".len()..].to_lowercase();
        let place = kind.join("Imgs");
        let is_mask = |path: &PathBuf| path.extension().is_some_and(|e| e.eq_ignore_ascii_case("png"));
        let (masks, images): (Vec<_>, Vec<_>) = images_in(&place)?.into_iter().partition(is_mask);
        if defect == "free" {
            for (number, tile) in tiles(images).into_iter().enumerate() {
                if number % 2 == 0 {
                    train.extend(tile);
                } else {
                    test.extend(tile.into_iter().map(good));
                }
            }
            continue;
        }
        let first = test.len();
        for image in images {
            let mask = existing(image.with_extension("png"), &image)?;
            test.push(bad(image, &defect, mask));
        }
        every_mask_has_its_image(&masks, &test[first..], stem, &place.display().to_string())?;
    }
    Ok(category(Layout::MagneticTile, folder, name, train, test))
}

/// Images of the same tile together. A tile was photographed with up to six exposures in a row, `exp1_num_3667`,
/// `exp2_num_3696`, ...: a new one begins where the exposure does not go on.
fn tiles(images: Vec<PathBuf>) -> Vec<Vec<PathBuf>> {
    let parsed = |path: &PathBuf| -> Option<(u32, u32)> {
        let name = stem(path);
        let (exposure, number) = name.strip_prefix("exp")?.split_once("_num_")?;
        Some((number.parse().ok()?, exposure.parse().ok()?))
    };
    let mut numbered: Vec<(Option<(u32, u32)>, PathBuf)> = images.into_iter().map(|p| (parsed(&p), p)).collect();
    numbered.sort();
    let mut tiles: Vec<Vec<PathBuf>> = Vec::new();
    let mut last = None;
    for (this, path) in numbered {
        let goes_on = matches!((last, this), (Some((_, before)), Some((_, now))) if now > before);
        match tiles.last_mut() {
            Some(tile) if goes_on => tile.push(path),
            _ => tiles.push(vec![path]),
        }
        last = this;
    }
    tiles
}

pub(super) fn dagm(folder: &Path, name: String) -> Result<Category, Error> {
    let train = dagm_half(&folder.join("Train"))?.into_iter().filter(|s| s.defect.is_none());
    let train = train.map(|s| s.picture.path).collect();
    Ok(category(Layout::Dagm, folder, name, train, dagm_half(&folder.join("Test"))?))
}

fn dagm_half(folder: &Path) -> Result<Vec<Sample>, Error> {
    let labels = images_in(&folder.join("Label"))?;
    let image_of = |mask: &Path| stem(mask).trim_end_matches("_label").to_owned();
    let mut samples = Vec::new();
    for image in images_in(folder)? {
        let name = stem(&image);
        samples.push(match labels.iter().find(|label| image_of(label) == name) {
            Some(label) => bad(image, "defect", label.clone()),
            None => good(image),
        });
    }
    every_mask_has_its_image(&labels, &samples, image_of, &folder.display().to_string())?;
    Ok(samples)
}
