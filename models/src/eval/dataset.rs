//! Datasets in folders.
//!
//! | layout | good for teaching | test |
//! |---|---|---|
//! | MVTec AD (and what follows it: BTAD, MVTec LOCO, the evaluation sets here) | `train/good` (BTAD: `train/ok`) | `test/good` (`ok`), `test/DEFECT`, `ground_truth/DEFECT/STEM_mask.png` (BTAD: `STEM.png` or `.bmp`; LOCO: a folder `STEM/` of masks) |

use std::path::{Path, PathBuf};

use jidoka_capture::images;

use crate::Error;

/// One test image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// The image.
    pub path: PathBuf,
    /// The kind of defect; none for a good part.
    pub defect: Option<String>,
    /// Masks whose union is the defect, where there are some.
    pub masks: Vec<PathBuf>,
}

/// One category: good parts to teach from, and a test.
#[derive(Clone, Debug)]
pub struct Category {
    /// For people: the folder's name, with its parent's where a whole dataset was read.
    pub name: String,
    /// The category's folder.
    pub folder: PathBuf,
    /// Good parts to teach from.
    pub train: Vec<PathBuf>,
    /// Images to test with, good ones first.
    pub test: Vec<Sample>,
}

/// The categories in `folder`: itself, if it is one, or those up to two levels below.
///
/// # Errors
/// [`Error::Dataset`] naming the folder and what was expected where there is no category, or a category is empty.
pub fn find(folder: &Path) -> Result<Vec<Category>, Error> {
    if is_category(folder) {
        return Ok(vec![read(folder, folder)?]);
    }
    let mut found = Vec::new();
    for below in folders(folder)? {
        if is_category(&below) {
            found.push(read(&below, folder)?);
            continue;
        }
        for deeper in folders(&below)?.into_iter().filter(|f| is_category(f)) {
            found.push(read(&deeper, folder)?);
        }
    }
    if found.is_empty() {
        return Err(refuse(
            folder,
            "no dataset here; expected a category in MVTec layout (train/good, test/good, test/DEFECT, \
             ground_truth/DEFECT/STEM_mask.png), or a folder of such categories",
        ));
    }
    Ok(found)
}

fn is_category(folder: &Path) -> bool {
    folder.join("train").is_dir() && folder.join("test").is_dir()
}

fn read(folder: &Path, root: &Path) -> Result<Category, Error> {
    let name = match folder.strip_prefix(root) {
        Ok(below) if !below.as_os_str().is_empty() => below.display().to_string(),
        _ => folder.file_name().map_or_else(|| folder.display().to_string(), |n| n.to_string_lossy().into_owned()),
    };
    let train_folder = good_folder(&folder.join("train"))
        .ok_or_else(|| refuse(&folder.join("train"), "expected a folder `good` (or `ok`) with good parts"))?;
    let train = images::list(&train_folder)?;
    let mut test = Vec::new();
    for kind in folders(&folder.join("test"))? {
        let defect = kind.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let good = is_good(&defect);
        for path in images::list(&kind)? {
            let masks = if good { Vec::new() } else { masks(folder, &defect, &path)? };
            test.push(Sample { path, defect: (!good).then(|| defect.clone()), masks });
        }
    }
    test.sort_by_key(|sample| sample.defect.is_some());
    if test.is_empty() {
        return Err(refuse(&folder.join("test"), "no images; expected folders `good` and one for each kind of defect"));
    }
    Ok(Category { name, folder: folder.to_owned(), train, test })
}

fn is_good(name: &str) -> bool {
    name == "good" || name == "ok"
}

fn good_folder(train: &Path) -> Option<PathBuf> {
    ["good", "ok"].iter().map(|n| train.join(n)).find(|f| f.is_dir())
}

/// The masks of one defective image: empty where the category has no ground truth at all.
fn masks(folder: &Path, defect: &str, image: &Path) -> Result<Vec<PathBuf>, Error> {
    let truth = folder.join("ground_truth").join(defect);
    if !truth.is_dir() {
        return Ok(Vec::new());
    }
    let stem = image.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
    let names = [format!("{stem}_mask.png"), format!("{stem}.png"), format!("{stem}.bmp")];
    if let Some(mask) = names.iter().map(|n| truth.join(n)).find(|m| m.is_file()) {
        return Ok(vec![mask]);
    }
    let several = truth.join(&stem);
    if several.is_dir() {
        return Ok(images::list(&several)?);
    }
    Err(refuse(image, &format!("its mask is missing; expected {}", truth.join(&names[0]).display())))
}

fn folders(folder: &Path) -> Result<Vec<PathBuf>, Error> {
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

fn refuse(path: &Path, reason: &str) -> Error {
    Error::Dataset { path: path.to_owned(), reason: reason.to_owned() }
}
