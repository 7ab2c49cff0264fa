//! What the readers of all layouts share: listing, decoding, messages.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use jidoka_capture::CaptureError;
use jidoka_capture::PixelFormat;
use jidoka_capture::images::{self, Image};
use jidoka_prepare::Roi;

use super::Sample;
use crate::Error;

/// An [`Error::Dataset`].
pub(super) fn refuse(path: &Path, reason: impl Into<String>) -> Error {
    Error::Dataset { path: path.to_owned(), reason: reason.into() }
}

/// The folders in a folder, in the order of their names.
pub(super) fn folders(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let entries = std::fs::read_dir(folder).map_err(|e| Error::io(folder, "read", e))?;
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(|e| Error::io(folder, "read", e))?.path();
        if path.is_dir() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// The images in a folder; none where it holds none. One that holds only TIFF files says so, since somebody put them there.
pub(super) fn images_in(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    match images::list(folder) {
        Ok(found) => Ok(found),
        Err(CaptureError::NoImages { .. }) => {
            let entries = std::fs::read_dir(folder).map_err(|e| Error::io(folder, "read", e))?;
            let tiff = |p: &Path| p.extension().is_some_and(|e| e.to_string_lossy().to_lowercase().starts_with("tif"));
            if entries.flatten().any(|entry| tiff(&entry.path())) {
                let reason = "its images are TIFF files; expected PNG, JPEG or BMP\n  try: mogrify -format png *.tif";
                return Err(refuse(folder, reason));
            }
            Ok(Vec::new())
        }
        Err(error) => Err(error.into()),
    }
}

/// The name of a file without its ending.
pub(super) fn stem(path: &Path) -> String {
    path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default()
}

/// The name of a folder or file.
pub(super) fn base(path: &Path) -> String {
    path.file_name().map_or_else(|| path.display().to_string(), |n| n.to_string_lossy().into_owned())
}

/// What people call a category in `folder` when `root` was asked for.
pub(super) fn name_below(folder: &Path, root: &Path) -> String {
    match folder.strip_prefix(root) {
        Ok(below) if !below.as_os_str().is_empty() => below.display().to_string(),
        _ => base(folder),
    }
}

/// A file's pixels, or those of a rectangle.
pub(super) fn read(path: &Path, crop: Option<Roi>) -> Result<Image, Error> {
    let image = images::decode(path)?;
    let Some(roi) = crop else { return Ok(image) };
    let inside = |from: u32, length: u32, all: u32| from.checked_add(length).is_some_and(|end| end <= all);
    if !(inside(roi.x, roi.width, image.width) && inside(roi.y, roi.height, image.height)) {
        let Roi { x, y, width, height } = roi;
        let reason = format!(
            "it is {}x{}; expected room for the rectangle {x},{y},{width},{height}, as its image or mask has",
            image.width, image.height
        );
        return Err(refuse(path, reason));
    }
    let channels = if image.format == PixelFormat::Grey { 1 } else { 3 };
    let line = image.width as usize * channels;
    let from = roi.y as usize * line + roi.x as usize * channels;
    let data = (0..roi.height as usize)
        .flat_map(|row| image.data[from + row * line..][..roi.width as usize * channels].iter().copied())
        .collect();
    Ok(Image { width: roi.width, height: roi.height, format: image.format, data })
}

/// Whether each pixel of a mask is marked.
pub(in super::super) fn marked(mask: &Image, least: u8) -> impl Iterator<Item = bool> {
    let channels = if mask.format == PixelFormat::Grey { 1 } else { 3 };
    mask.data.chunks_exact(channels).map(move |pixel| pixel.iter().any(|&v| v >= least))
}

/// Refuses masks to which no image of the test belongs: `folder` holds them, `name` gives the name of the image that one
/// belongs to, `where_image` says where that should be.
pub(super) fn every_mask_has_its_image(
    masks: &[PathBuf],
    test: &[Sample],
    image_of: impl Fn(&Path) -> String,
    where_image: &str,
) -> Result<(), Error> {
    let used: BTreeSet<&PathBuf> = test.iter().flat_map(|s| &s.masks).collect();
    match masks.iter().find(|mask| !used.contains(mask)) {
        None => Ok(()),
        Some(mask) => {
            Err(refuse(mask, format!("a mask without its image; expected {where_image}/{}.*", image_of(mask))))
        }
    }
}
