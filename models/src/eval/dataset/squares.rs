//! Layouts whose images are cut into squares: AITEX, RSDDs, NanoTWICE.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jidoka_capture::PixelFormat;
use jidoka_capture::images::Image;
use jidoka_prepare::Roi;

use super::files::{base, every_mask_has_its_image, folders, images_in, marked, read, refuse, stem};
use super::{Category, Layout, Picture, Sample};
use crate::Error;

/// Side of the squares of AITEX and NanoTWICE, in pixels; those of RSDDs are as wide as the rail.
const SIDE: u32 = 256;

/// Squares that cover an image of this size, the last of a row or column moved in where they do not come out even.
fn squares(width: u32, height: u32, side: u32) -> Vec<Roi> {
    let side = side.min(width).min(height);
    let places = |length: u32| {
        let count = length.div_ceil(side);
        (0..count).map(move |i| (i * side).min(length - side))
    };
    places(height).flat_map(|y| places(width).map(move |x| Roi { x, y, width: side, height: side })).collect()
}

/// An image's squares; those that hold a mark of the masks are defective.
fn cut(path: &Path, masks: &[PathBuf], side: Option<u32>, layout: Layout) -> Result<Vec<Sample>, Error> {
    let image = read(path, None)?;
    let least = layout.least_mark();
    let marks = |mask: &PathBuf| -> Result<Vec<bool>, Error> { Ok(marked(&mask_of(mask, &image)?, least).collect()) };
    let marks = masks.iter().map(marks).collect::<Result<Vec<_>, _>>()?;
    let mut samples = Vec::new();
    for roi in squares(image.width, image.height, side.unwrap_or(image.width.min(image.height))) {
        let inside = |mask: &Vec<bool>| {
            (roi.y..roi.y + roi.height).any(|y| {
                let line = (y * image.width + roi.x) as usize;
                mask[line..line + roi.width as usize].contains(&true)
            })
        };
        let defective = marks.iter().any(inside);
        samples.push(Sample {
            picture: Picture { path: path.to_owned(), crop: Some(roi) },
            defect: defective.then(|| "defect".to_owned()),
            masks: if defective { masks.to_vec() } else { Vec::new() },
        });
    }
    Ok(samples)
}

fn mask_of(path: &Path, image: &Image) -> Result<Image, Error> {
    let mask = read(path, None)?;
    if (mask.width, mask.height) != (image.width, image.height) {
        let reason = format!(
            "the mask is {}x{} and its image {}x{}; expected one size",
            mask.width, mask.height, image.width, image.height
        );
        return Err(refuse(path, reason));
    }
    Ok(mask)
}

/// Whether a square shows nothing: strips of AITEX are filled up with one flat colour.
fn is_flat(picture: &Picture) -> Result<bool, Error> {
    let image = picture.read()?;
    let channels = if image.format == PixelFormat::Grey { 1 } else { 3 };
    let first = image.data[..channels].to_vec();
    Ok(image.data.chunks_exact(channels).all(|pixel| pixel == first))
}

/// One category for each fabric, whose number ends the names of its images: `0106_030_03.png` shows fabric 03.
pub(super) fn aitex(folder: &Path, name: &str) -> Result<Vec<Category>, Error> {
    let fabric = |path: &Path| stem(path).rsplit('_').next().unwrap_or_default().to_owned();
    let mut whole = folders(&folder.join("NODefect_images"))?;
    whole.push(folder.join("NODefect_images"));
    let mut fabrics: BTreeMap<String, (Vec<Picture>, Vec<Sample>)> = BTreeMap::new();
    let mut strips = BTreeMap::<String, usize>::new();
    for place in &whole {
        for strip in images_in(place)? {
            let (train, test) = fabrics.entry(fabric(&strip)).or_default();
            let number = strips.entry(fabric(&strip)).or_default();
            *number += 1;
            for sample in cut(&strip, &[], Some(SIDE), Layout::Aitex)? {
                if is_flat(&sample.picture)? {
                    continue;
                }
                if *number % 2 == 1 {
                    train.push(sample.picture);
                } else {
                    test.push(sample);
                }
            }
        }
    }
    aitex_defects(folder, fabric, &mut fabrics)?;
    let category = |(fabric, (train, test)): (String, (Vec<Picture>, Vec<Sample>))| {
        let name = format!("{name}/{fabric}");
        Category { name, folder: folder.to_owned(), layout: Layout::Aitex, train, test }
    };
    // A fabric without good strips (one is published) cannot be taught.
    Ok(fabrics.into_iter().filter(|(_, (train, _))| !train.is_empty()).map(category).collect())
}

fn aitex_defects(
    folder: &Path,
    fabric: impl Fn(&Path) -> String,
    fabrics: &mut BTreeMap<String, (Vec<Picture>, Vec<Sample>)>,
) -> Result<(), Error> {
    let masks = images_in(&folder.join("Mask_images"))?;
    let image_of = |mask: &Path| stem(mask).split("_mask").next().unwrap_or_default().to_owned();
    let mut all = Vec::new();
    for strip in images_in(&folder.join("Defect_images"))? {
        let own: Vec<PathBuf> = masks.iter().filter(|mask| image_of(mask) == stem(&strip)).cloned().collect();
        if own.is_empty() {
            // Two strips are published without a mask: what is wrong with them is not known to the pixel.
            log::warn!("{}: passed over, since no mask in Mask_images says where its defect is", strip.display());
            continue;
        }
        let samples = cut(&strip, &own, Some(SIDE), Layout::Aitex)?;
        if let Some((_, test)) = fabrics.get_mut(&fabric(&strip)) {
            test.extend(samples.iter().filter(|s| s.defect.is_some()).cloned());
        }
        // All of a strip's masks belong to it, whether or not a square holds a mark of each.
        all.extend(samples.into_iter().map(|s| Sample { masks: own.clone(), ..s }));
    }
    every_mask_has_its_image(&masks, &all, image_of, &folder.join("Defect_images").display().to_string())
}

pub(super) fn rsdds(folder: &Path, name: String) -> Result<Category, Error> {
    let place = folder.join("Rail surface images");
    let masks = images_in(&folder.join("GroundTruth"))?;
    let (mut train, mut test, mut all) = (Vec::new(), Vec::new(), Vec::new());
    for (number, rail) in images_in(&place)?.into_iter().enumerate() {
        let mask = masks.iter().find(|mask| stem(mask) == stem(&rail)).cloned();
        let mask = mask.ok_or_else(|| {
            let expected = folder.join("GroundTruth").join(base(&rail));
            refuse(&rail, format!("its mask is missing; expected {}", expected.display()))
        })?;
        all.push(Sample { picture: Picture::whole(rail.clone()), defect: None, masks: vec![mask.clone()] });
        for sample in cut(&rail, &[mask], None, Layout::Rsdds)? {
            if sample.defect.is_none() && number % 2 == 0 {
                train.push(sample.picture);
            } else {
                test.push(sample);
            }
        }
    }
    every_mask_has_its_image(&masks, &all, stem, &place.display().to_string())?;
    Ok(Category { name, folder: folder.to_owned(), layout: Layout::Rsdds, train, test })
}

pub(super) fn nanotwice(folder: &Path, name: String) -> Result<Category, Error> {
    let mut train = Vec::new();
    for image in images_in(&folder.join("Normal"))? {
        train.extend(cut(&image, &[], Some(SIDE), Layout::NanoTwice)?.into_iter().map(|s| s.picture));
    }
    let place = folder.join("Anomalous/images");
    let masks = images_in(&folder.join("Anomalous/gt"))?;
    let image_of = |mask: &Path| stem(mask).trim_end_matches("_gt").to_owned();
    let (mut test, mut all) = (Vec::new(), Vec::new());
    for image in images_in(&place)? {
        let mask = masks.iter().find(|mask| image_of(mask) == stem(&image)).cloned();
        let mask = mask.ok_or_else(|| {
            let expected = folder.join("Anomalous/gt").join(format!("{}_gt.png", stem(&image)));
            refuse(&image, format!("its mask is missing; expected {}", expected.display()))
        })?;
        all.push(Sample { picture: Picture::whole(image.clone()), defect: None, masks: vec![mask.clone()] });
        test.extend(cut(&image, &[mask], Some(SIDE), Layout::NanoTwice)?);
    }
    every_mask_has_its_image(&masks, &all, image_of, &place.display().to_string())?;
    Ok(Category { name, folder: folder.to_owned(), layout: Layout::NanoTwice, train, test })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn squares_cover_an_image_and_stay_inside_it() {
        for (width, height, side, expected) in
            [(4096, 256, 256, 16), (160, 1000, 160, 7), (1024, 700, 256, 12), (40, 90, 256, 3)]
        {
            let found = squares(width, height, side);
            assert_eq!(found.len(), expected, "{width}x{height}");
            assert!(found.iter().all(|r| r.x + r.width <= width && r.y + r.height <= height), "{found:?}");
            let last = found.last().unwrap();
            assert_eq!((last.x + last.width, last.y + last.height), (width, height));
        }
    }
}
