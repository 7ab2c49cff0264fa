//! Datasets in folders, each in the layout in which its makers publish it.
//!
//! | layout | recognised by | taught from | tested with |
//! |---|---|---|---|
//! | `mvtec-ad` (`mvtec-loco`, `btad` and many others follow it) | `train`, `test` | `train/good` (or `ok`) | `test/good` (`ok`), `test/DEFECT`; masks `ground_truth/DEFECT/STEM_mask.png`, `STEM.png`, `STEM.bmp`, or a folder `STEM` of masks |
//! | `visa` | `Data/Images/Normal` | what `../split_csv/1cls.csv` says; without it nine normal images of ten | the rest and `Data/Images/Anomaly`; masks `Data/Masks/Anomaly/STEM.png`, any grey but 0 marks |
//! | `kolektor-sdd` | folders `kosNN` with `PartN_label.bmp` | images without a label of every second item | all of the other items, and the defective ones of these |
//! | `kolektor-sdd2` | `train`, `test` with `STEM_GT.png` | images of `train` without a label | `test` |
//! | `magnetic-tile` | `MT_Free/Imgs` | every second tile of `MT_Free` | the other tiles, and `MT_*/Imgs`; masks `STEM.png` beside the images |
//! | `dagm` | `Train/Label`, `Test/Label` | images of `Train` without a label | `Test`; labels `Label/STEM_label.PNG` |
//! | `aitex` | `NODefect_images`, `Defect_images` | every second strip of `NODefect_images`, cut into squares | squares of the others, and the defective squares of `Defect_images`; `Mask_images/STEM_mask.png`; a category a fabric |
//! | `rsdds` | `Rail surface images`, `GroundTruth` | the squares without a defect of every second rail | the squares of the others, and the defective ones of these |
//! | `nanotwice` | `Normal`, `Anomalous/images` | `Normal`, cut into squares | `Anomalous/images`, cut into squares; masks `Anomalous/gt/STEM_gt.png` or `STEM.png` |
//! | `pairs` | folders `good` (`ok`, `normal`) and `bad` (`defect`, `ng`, `ko`, `anomaly`) | the first two thirds of the good images | the rest; masks, where there are some, `mask/STEM.png` or `STEM_mask.png` |
//!
//! AITEX, RSDDs and NanoTWICE have no whole good image to test with, or strips sixteen times as long as wide; both are why their
//! images are cut into squares, as the papers do that report on them.

mod files;
mod labelled;
mod mvtec;
mod pairs;
mod squares;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use jidoka_capture::images::Image;
use jidoka_prepare::Roi;

use crate::Error;
use crate::teach::Parts;

pub(super) use files::marked;
use files::{folders, refuse};

/// An image file, or a rectangle of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// The file.
    pub path: PathBuf,
    /// What of it; none for all.
    pub crop: Option<Roi>,
}

impl Picture {
    /// All of a file.
    pub fn whole(path: PathBuf) -> Picture {
        Picture { path, crop: None }
    }

    /// The pixels.
    ///
    /// # Errors
    /// Where the file cannot be read or is smaller than the rectangle.
    pub fn read(&self) -> Result<Image, Error> {
        files::read(&self.path, self.crop)
    }

    /// Its place below `folder`, with the rectangle where there is one: `strip.png#256,0,256,256`.
    pub fn name(&self, folder: &Path) -> String {
        let path = self.path.strip_prefix(folder).unwrap_or(&self.path).display().to_string();
        match self.crop {
            None => path,
            Some(Roi { x, y, width, height }) => format!("{path}#{x},{y},{width},{height}"),
        }
    }
}

/// One test image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// The image.
    pub picture: Picture,
    /// The kind of defect; none for a good part.
    pub defect: Option<String>,
    /// Masks whose union is the defect, where there are some; the picture's rectangle is that of its masks too.
    pub masks: Vec<PathBuf>,
}

/// One category: good parts to teach from, and a test.
#[derive(Clone, Debug)]
pub struct Category {
    /// For people: the folder's name, with its parent's where a whole dataset was read.
    pub name: String,
    /// The category's folder.
    pub folder: PathBuf,
    /// How it is laid out.
    pub layout: Layout,
    /// Good parts to teach from.
    pub train: Vec<Picture>,
    /// Images to test with, good ones first.
    pub test: Vec<Sample>,
}

/// Pictures to teach from.
#[derive(Clone, Debug)]
pub struct Pictures(
    /// The pictures, in order.
    pub Vec<Picture>,
);

impl Parts for Pictures {
    fn count(&self) -> usize {
        self.0.len()
    }

    fn name(&self, index: usize) -> String {
        self.0[index].name(Path::new(""))
    }

    fn read(&mut self, index: usize) -> Result<Image, Error> {
        self.0[index].read()
    }
}

/// How a dataset is laid out; the table is at the head of this module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// MVTec AD, MVTec LOCO, BTAD and those that follow them.
    MvtecAd,
    /// VisA.
    Visa,
    /// KolektorSDD.
    KolektorSdd,
    /// KolektorSDD2.
    KolektorSdd2,
    /// Magnetic-tile defects.
    MagneticTile,
    /// DAGM 2007.
    Dagm,
    /// AITEX fabrics.
    Aitex,
    /// RSDDs rail surfaces.
    Rsdds,
    /// NanoTWICE nanofibres.
    NanoTwice,
    /// A folder of good and one of bad images.
    Pairs,
}

impl Layout {
    /// In the order in which a folder is tried: the most general last.
    const ALL: [Layout; 10] = [
        Layout::KolektorSdd2,
        Layout::Dagm,
        Layout::MvtecAd,
        Layout::Visa,
        Layout::KolektorSdd,
        Layout::MagneticTile,
        Layout::Aitex,
        Layout::Rsdds,
        Layout::NanoTwice,
        Layout::Pairs,
    ];

    /// The words for layouts; `mvtec-loco` and `btad` are laid out as `mvtec-ad`.
    pub const NAMES: [&str; 12] = [
        "mvtec-ad",
        "mvtec-loco",
        "btad",
        "visa",
        "kolektor-sdd",
        "kolektor-sdd2",
        "magnetic-tile",
        "dagm",
        "aitex",
        "rsdds",
        "nanotwice",
        "pairs",
    ];

    /// The layout that a word stands for.
    pub fn named(word: &str) -> Option<Layout> {
        match word {
            "mvtec-loco" | "btad" => Some(Layout::MvtecAd),
            _ => Layout::ALL.into_iter().find(|layout| layout.name() == word),
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Layout::MvtecAd => "mvtec-ad",
            Layout::Visa => "visa",
            Layout::KolektorSdd => "kolektor-sdd",
            Layout::KolektorSdd2 => "kolektor-sdd2",
            Layout::MagneticTile => "magnetic-tile",
            Layout::Dagm => "dagm",
            Layout::Aitex => "aitex",
            Layout::Rsdds => "rsdds",
            Layout::NanoTwice => "nanotwice",
            Layout::Pairs => "pairs",
        }
    }

    /// What a folder in this layout holds.
    fn expected(self) -> &'static str {
        match self {
            Layout::MvtecAd => "train/good, test/good, test/DEFECT and ground_truth/DEFECT/STEM_mask.png",
            Layout::Visa => "Data/Images/Normal, Data/Images/Anomaly and Data/Masks/Anomaly",
            Layout::KolektorSdd => "folders kos01, kos02, ... with Part0.jpg and Part0_label.bmp",
            Layout::KolektorSdd2 => "train and test with STEM.png and STEM_GT.png",
            Layout::MagneticTile => "MT_Free/Imgs and MT_DEFECT/Imgs with STEM.jpg and STEM.png",
            Layout::Dagm => "Train, Train/Label, Test and Test/Label with STEM_label.PNG",
            Layout::Aitex => "NODefect_images, Defect_images and Mask_images",
            Layout::Rsdds => "`Rail surface images` and `GroundTruth`",
            Layout::NanoTwice => "Normal, Anomalous/images and Anomalous/gt",
            Layout::Pairs => "a folder `good` and a folder `bad` of images, perhaps one `mask`",
        }
    }

    /// The least grey value of a mask that marks a defect: masks of VisA hold the number of the kind of defect.
    pub(super) fn least_mark(self) -> u8 {
        if self == Layout::Visa { 1 } else { 128 }
    }

    fn is_here(self, folder: &Path) -> bool {
        let has = |names: &[&str]| names.iter().all(|name| folder.join(name).is_dir());
        match self {
            Layout::MvtecAd => has(&["train", "test"]),
            Layout::Visa => has(&["Data/Images/Normal"]),
            Layout::KolektorSdd => labelled::is_kolektor(folder),
            Layout::KolektorSdd2 => has(&["train", "test"]) && labelled::is_kolektor2(&folder.join("train")),
            Layout::MagneticTile => has(&["MT_Free/Imgs"]),
            Layout::Dagm => has(&["Train/Label", "Test/Label"]),
            Layout::Aitex => has(&["NODefect_images", "Defect_images"]),
            Layout::Rsdds => has(&["Rail surface images", "GroundTruth"]),
            Layout::NanoTwice => has(&["Normal", "Anomalous/images"]),
            Layout::Pairs => pairs::is_here(folder),
        }
    }

    fn read(self, folder: &Path, name: String) -> Result<Vec<Category>, Error> {
        let found = match self {
            Layout::MvtecAd => mvtec::read(folder, name)?,
            Layout::Visa => labelled::visa(folder, name)?,
            Layout::KolektorSdd => labelled::kolektor(folder, name)?,
            Layout::KolektorSdd2 => labelled::kolektor2(folder, name)?,
            Layout::MagneticTile => labelled::magnetic_tile(folder, name)?,
            Layout::Dagm => labelled::dagm(folder, name)?,
            Layout::Aitex => return squares::aitex(folder, &name),
            Layout::Rsdds => squares::rsdds(folder, name)?,
            Layout::NanoTwice => squares::nanotwice(folder, name)?,
            Layout::Pairs => pairs::read(folder, name)?,
        };
        Ok(vec![found])
    }
}

/// The categories in `folder`: itself, if it is one, or those up to two levels below. With `layout`, only folders laid out
/// like that count.
///
/// # Errors
/// [`Error::Dataset`] naming the folder and what was expected where there is no category, a category is empty, or images and
/// masks do not belong together.
pub fn find(folder: &Path, layout: Option<Layout>) -> Result<Vec<Category>, Error> {
    let mut found = Vec::new();
    collect(folder, folder, layout, 2, &mut found)?;
    if found.is_empty() {
        let expected = match layout {
            Some(layout) => format!("layout `{}`: {}", layout.name(), layout.expected()),
            None => {
                let all = Layout::ALL.map(|l| format!("\n  {:<14} {}", l.name(), l.expected()));
                format!("a folder, or folders below it, laid out like one of these{}", all.concat())
            }
        };
        return Err(refuse(folder, format!("no dataset here; expected {expected}")));
    }
    for category in &mut found {
        category.test.sort_by_key(|sample| sample.defect.is_some());
        if category.train.is_empty() || category.test.is_empty() {
            let what = if category.train.is_empty() { "no good image to teach from" } else { "no image to test with" };
            let reason = format!(
                "category `{}` has {what}; expected {} (layout `{}`)",
                category.name,
                category.layout.expected(),
                category.layout.name()
            );
            return Err(refuse(&category.folder, reason));
        }
    }
    Ok(found)
}

fn collect(
    folder: &Path,
    root: &Path,
    layout: Option<Layout>,
    depth: usize,
    found: &mut Vec<Category>,
) -> Result<(), Error> {
    let wanted = |l: &Layout| layout.is_none_or(|only| only == *l) && l.is_here(folder);
    if let Some(here) = Layout::ALL.into_iter().find(wanted) {
        found.extend(here.read(folder, files::name_below(folder, root))?);
    } else if depth > 0 {
        for below in folders(folder)? {
            collect(&below, root, layout, depth - 1, found)?;
        }
    }
    Ok(())
}
