//! A tiny tree of each layout, and what is wrong with the ones that are not whole.

use std::path::Path;

use jidoka_capture::images::encode_png;
use jidoka_prepare::{FrameView, PixelFormat};

use super::*;

/// A folder that files are put into.
struct Tree(tempfile::TempDir);

impl Tree {
    fn new() -> Tree {
        Tree(tempfile::tempdir().unwrap())
    }

    fn root(&self) -> &Path {
        self.0.path()
    }

    /// A grey picture of this size whose left `marked` columns are white.
    fn put(&self, path: &str, (width, height): (u32, u32), marked: u32) -> &Tree {
        let pixel = |i: u32| if i % width < marked { 255 } else { (i % 7) as u8 };
        self.write(path, (width, height), &(0..width * height).map(pixel).collect::<Vec<u8>>())
    }

    fn write(&self, path: &str, (width, height): (u32, u32), data: &[u8]) -> &Tree {
        let path = self.root().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        // What it is called does not matter to the decoder: it looks at the content.
        let png = encode_png(&FrameView::packed(data, width, height, PixelFormat::Grey)).unwrap();
        std::fs::write(path, png).unwrap();
        self
    }

    /// Several pictures of 8x8 pixels; `{}` in the path is 0, 1, ...
    fn several(&self, path: &str, count: usize, marked: u32) -> &Tree {
        (0..count).for_each(|i| {
            self.put(&path.replace("{}", &i.to_string()), (8, 8), marked);
        });
        self
    }

    fn find(&self) -> Category {
        let mut found = find(self.root(), None).unwrap();
        assert_eq!(found.len(), 1);
        found.remove(0)
    }

    /// The words that the refusal has to hold.
    fn refused(&self, words: &[&str]) {
        let text = find(self.root(), None).unwrap_err().to_string();
        for word in words {
            assert!(text.contains(word), "`{word}` is not in: {text}");
        }
    }
}

/// Layout, images to teach from, good test images, defective ones, and how many of those have masks.
fn check(category: &Category, layout: Layout, train: usize, good: usize, defective: usize, masked: usize) {
    let (bad, fine): (Vec<&Sample>, Vec<&Sample>) = category.test.iter().partition(|s| s.defect.is_some());
    assert_eq!(category.layout, layout);
    assert_eq!((category.train.len(), fine.len(), bad.len()), (train, good, defective), "{layout:?}");
    assert_eq!(bad.iter().filter(|s| !s.masks.is_empty()).count(), masked, "{layout:?}");
    assert!(fine.iter().all(|s| s.masks.is_empty()), "{layout:?}: a good image has a mask");
    assert!(category.train.iter().all(|p| category.test.iter().all(|s| s.picture != *p)), "taught and tested with");
    for picture in category.train.iter().chain(category.test.iter().map(|s| &s.picture)) {
        picture.read().unwrap();
    }
}

#[test]
fn mvtec_and_its_followers_are_read() {
    let ad = Tree::new();
    ad.several("train/good/{}.png", 5, 0).several("test/good/{}.png", 2, 0).several("test/hole/{}.png", 3, 0);
    ad.several("ground_truth/hole/{}_mask.png", 3, 2);
    check(&ad.find(), Layout::MvtecAd, 5, 2, 3, 3);

    let loco = Tree::new();
    loco.several("train/good/00{}.png", 5, 0).several("test/good/00{}.png", 2, 0);
    loco.several("test/logical_anomalies/00{}.png", 2, 0).several("ground_truth/logical_anomalies/000/00{}.png", 2, 1);
    loco.put("ground_truth/logical_anomalies/001/000.png", (8, 8), 1).several("validation/good/{}.png", 2, 0);
    let found = loco.find();
    check(&found, Layout::MvtecAd, 5, 2, 2, 2);
    assert_eq!(found.test[2].masks.len(), 2);

    let btad = Tree::new();
    btad.several("train/ok/{}.png", 5, 0).several("test/ok/{}.png", 1, 0).several("test/ko/{}.png", 2, 0);
    btad.several("ground_truth/ko/{}.bmp", 2, 2);
    check(&btad.find(), Layout::MvtecAd, 5, 1, 2, 2);
}

#[test]
fn visa_is_split_as_published_and_any_grey_marks() {
    let tree = Tree::new();
    tree.several("candle/Data/Images/Normal/{}.JPG", 20, 0).several("candle/Data/Images/Anomaly/{}.JPG", 2, 0);
    tree.write("candle/Data/Masks/Anomaly/0.png", (2, 1), &[0, 1]);
    tree.write("candle/Data/Masks/Anomaly/1.png", (2, 1), &[3, 0]);
    check(&tree.find(), Layout::Visa, 18, 2, 2, 2);

    let split = tree.root().join("split_csv");
    std::fs::create_dir(&split).unwrap();
    let rows = "object,split,label,image,mask\ncandle,train,normal,candle/Data/Images/Normal/3.JPG,\n\
                candle,test,normal,candle/Data/Images/Normal/4.JPG,\nfryum,train,normal,fryum/Data/Images/Normal/5.JPG,\n";
    std::fs::write(split.join("1cls.csv"), rows).unwrap();
    let found = tree.find();
    check(&found, Layout::Visa, 1, 19, 2, 2);
    assert!(found.train[0].path.ends_with("3.JPG"));
    let mask = Picture::whole(found.test[19].masks[0].clone()).read().unwrap();
    assert_eq!(marked(&mask, found.layout.least_mark()).collect::<Vec<_>>(), [false, true]);

    std::fs::write(split.join("1cls.csv"), "object,split\ncandle;train\n").unwrap();
    tree.refused(&["1cls.csv", "line 2", "object,split,label,image,mask"]);
}

#[test]
fn kolektor_items_stay_together_and_defects_are_never_taught() {
    let tree = Tree::new();
    for item in ["kos01", "kos02", "kos03"] {
        tree.several(&format!("{item}/Part{{}}.jpg"), 4, 0).several(&format!("{item}/Part{{}}_label.bmp"), 4, 0);
    }
    tree.put("kos01/Part2_label.bmp", (8, 8), 1).put("kos02/Part0_label.bmp", (8, 8), 1);
    check(&tree.find(), Layout::KolektorSdd, 3 + 4, 3, 2, 2);
    std::fs::remove_file(tree.root().join("kos02/Part3_label.bmp")).unwrap();
    tree.refused(&["Part3.jpg", "its mask is missing", "Part3_label.bmp"]);

    let second = Tree::new();
    second.several("train/{}.png", 6, 0).several("train/{}_GT.png", 6, 0).put("train/3_GT.png", (8, 8), 4);
    second.several("test/{}.png", 3, 0).several("test/{}_GT.png", 3, 0).put("test/1_GT.png", (8, 8), 4);
    check(&second.find(), Layout::KolektorSdd2, 5, 2, 1, 1);
    second.put("test/9_GT.png", (8, 8), 0);
    second.refused(&["9_GT.png", "a mask without its image", "test/9.*"]);
}

#[test]
fn exposures_of_a_magnetic_tile_stay_together() {
    let tree = Tree::new();
    for name in ["exp1_num_10", "exp2_num_20", "exp3_num_30", "exp1_num_40", "exp2_num_50", "exp1_num_9000"] {
        tree.put(&format!("MT_Free/Imgs/{name}.jpg"), (8, 8), 0).put(&format!("MT_Free/Imgs/{name}.png"), (8, 8), 0);
    }
    tree.several("MT_Crack/Imgs/exp1_num_{}.jpg", 2, 0).several("MT_Crack/Imgs/exp1_num_{}.png", 2, 3);
    let found = tree.find();
    check(&found, Layout::MagneticTile, 4, 2, 2, 2);
    assert!(
        found
            .test
            .iter()
            .take(2)
            .all(|s| s.picture.path.ends_with("exp1_num_40.jpg") || s.picture.path.ends_with("exp2_num_50.jpg"))
    );
    assert_eq!(found.test[2].defect.as_deref(), Some("crack"));
    tree.put("MT_Crack/Imgs/exp6_num_7.png", (8, 8), 3);
    tree.refused(&["exp6_num_7.png", "a mask without its image"]);
}

#[test]
fn dagm_labels_say_which_images_are_defective() {
    let tree = Tree::new();
    tree.several("Class1/Train/000{}.PNG", 7, 0).put("Class1/Train/Label/0002_label.PNG", (8, 8), 3);
    tree.several("Class1/Test/000{}.PNG", 5, 0).put("Class1/Test/Label/0004_label.PNG", (8, 8), 3);
    check(&tree.find(), Layout::Dagm, 6, 4, 1, 1);
}

#[test]
fn long_images_are_cut_into_squares_and_a_square_is_defective_where_its_mask_is() {
    let tree = Tree::new();
    for name in ["0001_000_04", "0002_000_04"] {
        tree.put(&format!("NODefect_images/roll/{name}.png"), (1024, 256), 0);
    }
    // Two squares of the first strip show nothing.
    tree.write("NODefect_images/roll/0001_000_04.png", (1024, 256), &flat_right(1024, 256));
    tree.put("Defect_images/0003_002_04.png", (1024, 256), 0).put(
        "Mask_images/0003_002_04_mask1.png",
        (1024, 256),
        300,
    );
    tree.put("Defect_images/0004_002_04.png", (1024, 256), 0);
    let found = tree.find();
    check(&found, Layout::Aitex, 2, 4, 2, 2);
    assert!(found.name.ends_with("/04"), "{}", found.name);
    assert_eq!(found.test[4].picture.name(tree.root()), "Defect_images/0003_002_04.png#0,0,256,256");

    let rails = Tree::new();
    for rail in 0..2 {
        rails.put(&format!("Rail surface images/rail_{rail}.jpg"), (20, 60), 0);
        let data: Vec<u8> = (0..1200).map(|i| if i < 20 * 3 { 255 } else { 0 }).collect();
        rails.write(&format!("GroundTruth/rail_{rail}.jpg"), (20, 60), &data);
    }
    check(&rails.find(), Layout::Rsdds, 2, 2, 2, 2);
    rails.put("GroundTruth/rail_1.jpg", (20, 50), 0);
    rails.refused(&["GroundTruth", "20x50", "20x60"]);

    let fibres = Tree::new();
    fibres.put("Normal/ND00.png", (300, 300), 0).put("Anomalous/images/ND05.png", (512, 256), 0);
    fibres.put("Anomalous/gt/ND05_gt.png", (512, 256), 9);
    check(&fibres.find(), Layout::NanoTwice, 4, 1, 1, 1);
    std::fs::rename(fibres.root().join("Normal/ND00.png"), fibres.root().join("Normal/ND00.tif")).unwrap();
    fibres.refused(&["Normal", "TIFF", "mogrify"]);
}

/// The right half is one grey, the left is not.
fn flat_right(width: u32, height: u32) -> Vec<u8> {
    (0..width * height).map(|i| if i % width < width / 2 { (i % 7) as u8 } else { 255 }).collect()
}

#[test]
fn a_folder_of_good_and_one_of_bad_pictures_will_do() {
    let tree = Tree::new();
    tree.several("OK/{}.png", 9, 0).several("ng/{}.png", 2, 0);
    check(&tree.find(), Layout::Pairs, 6, 3, 2, 0);
    tree.several("mask/{}_mask.png", 2, 2);
    check(&tree.find(), Layout::Pairs, 6, 3, 2, 2);
    tree.put("mask/7.png", (8, 8), 2);
    tree.refused(&["7.png", "a mask without its image", "ng/7.*"]);
    std::fs::remove_file(tree.root().join("mask/7.png")).unwrap();
    std::fs::remove_file(tree.root().join("mask/1_mask.png")).unwrap();
    tree.refused(&["ng/1.png", "its mask is missing", "mask/1.png"]);
}

#[test]
fn what_is_no_dataset_or_not_whole_is_refused_in_words() {
    let tree = Tree::new();
    tree.put("pictures/1.png", (8, 8), 0);
    tree.refused(&["no dataset here", "train/good", "kos01", "NODefect_images"]);
    let text = find(tree.root(), Some(Layout::Dagm)).unwrap_err().to_string();
    assert!(text.contains("layout `dagm`") && text.contains("Label") && !text.contains("kos01"), "{text}");

    let mvtec = Tree::new();
    mvtec.several("train/good/{}.png", 5, 0).several("test/hole/{}.png", 2, 0);
    mvtec.put("ground_truth/hole/0_mask.png", (8, 8), 1);
    mvtec.refused(&["test/hole/1.png", "its mask is missing", "1_mask.png"]);
    mvtec.put("ground_truth/hole/1_mask.png", (8, 8), 1).put("ground_truth/hole/5_mask.png", (8, 8), 1);
    mvtec.refused(&["5_mask.png", "a mask without its image", "test/hole/5.*"]);

    let empty = Tree::new();
    std::fs::create_dir_all(empty.root().join("train/good")).unwrap();
    empty.several("test/good/{}.png", 2, 0);
    empty.refused(&["no good image to teach from", "mvtec-ad"]);
}

#[test]
fn a_layout_that_is_named_is_the_only_one_looked_for() {
    let tree = Tree::new();
    tree.several("a/train/good/{}.png", 5, 0).several("a/test/good/{}.png", 2, 0);
    tree.several("b/good/{}.png", 5, 0).several("b/bad/{}.png", 2, 0);
    let names = |layout| -> Vec<String> { find(tree.root(), layout).unwrap().into_iter().map(|c| c.name).collect() };
    assert_eq!(names(None), ["a", "b"]);
    assert_eq!(names(Some(Layout::Pairs)), ["b"]);
    for name in Layout::NAMES {
        assert!(Layout::named(name).is_some(), "{name}");
    }
    assert_eq!(Layout::named("imagenet"), None);
}
