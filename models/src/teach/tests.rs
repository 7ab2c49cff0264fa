//! Teaching end to end on pictures of a disc, with a backbone of two random convolutions.

use std::collections::BTreeMap;
use std::path::PathBuf;

use jidoka_capture::PixelFormat;
use jidoka_capture::images::Image;
use jidoka_engine::onnx;

use super::*;
use crate::graph::Builder;
use crate::random::Random;
use crate::{Check, InspectionModel, LoadOptions, Preparation};

const SIDE: usize = 64;

/// `tap8` and `tap16` by one convolution each, weights random.
fn backbone() -> Vec<u8> {
    let mut random = Random::new(9);
    let mut graph = Builder::default();
    graph.input("image", &[1, 3, SIDE, SIDE]);
    let mut conv = |source: &str, out: &str, c_in: usize, c_out: usize, side: i64, grid: usize| {
        let shape = [c_out, c_in, side as usize, side as usize];
        let weights: Vec<f32> = (0..shape.iter().product()).map(|_| random.normal() as f32 * 0.1).collect();
        let weights = graph.floats(&format!("{out}.weight"), &shape, &weights);
        let attributes = [
            ("kernel_shape", crate::graph::Attribute::Ints(&[side, side])),
            ("strides", crate::graph::Attribute::Ints(&[side, side])),
        ];
        graph.node("Conv", &[source, &weights], out, &attributes);
        graph.output(out, &[1, c_out, grid, grid]);
    };
    conv("image", "tap8", 3, 12, 8, SIDE / 8);
    conv("tap8", "tap16", 12, 16, 2, SIDE / 16);
    onnx::encode(&graph.finish("tiny", &BTreeMap::new()))
}

/// A grey disc on a dark ground, slightly moved and lit differently each time; `scratch` paints a bright bar over it.
fn disc(seed: u64, scratch: bool) -> Image {
    let mut random = Random::new(seed);
    let (cx, cy) = (31.5 + random.unit(), 31.5 + random.unit());
    let light = 150.0 + random.unit() * 10.0;
    let mut data = Vec::with_capacity(SIDE * SIDE);
    for y in 0..SIDE {
        for x in 0..SIDE {
            let r = ((x as f64 - cx).powi(2) + (y as f64 - cy).powi(2)).sqrt();
            let part = if r < 22.0 { light } else { 40.0 };
            let bar = scratch && (24..30).contains(&y) && (20..44).contains(&x);
            data.push((if bar { 250.0 } else { part } + random.normal() * 4.0).clamp(0.0, 255.0) as u8);
        }
    }
    Image { width: SIDE as u32, height: SIDE as u32, format: PixelFormat::Grey, data }
}

fn good(count: u64) -> Frames {
    Frames::new((0..count).map(|i| disc(i, false)).collect())
}

struct Bench {
    // Held so that the file lives as long as the options that name it.
    _folder: tempfile::TempDir,
    options: Options,
}

fn bench(method: Method) -> Bench {
    let folder = tempfile::tempdir().unwrap();
    let path: PathBuf = folder.path().join("tiny.onnx");
    std::fs::write(&path, backbone()).unwrap();
    let options = Options {
        method,
        size: Size::Fixed(SIDE as u32, SIDE as u32),
        bank: 256,
        backbone: Some(path),
        ..Options::default()
    };
    Bench { _folder: folder, options }
}

fn taught(method: Method, parts: &mut dyn Parts) -> Result<Taught, Error> {
    teach(parts, &bench(method).options, &mut |_| {})
}

fn score(model: &mut InspectionModel, image: &Image) -> f64 {
    Preparation::for_model(model, None).unwrap().fill("image", image, model).unwrap();
    f64::from(model.score().unwrap().score)
}

/// Teaches `method` and checks that new good parts pass and scratched ones do not.
fn check(method: Method) {
    let taught = taught(method, &mut good(30)).unwrap();
    let required = LoadOptions { golden: Check::Required, ..LoadOptions::default() };
    let mut model = InspectionModel::from_bytes("taught", &taught.onnx, &required).unwrap();
    assert_eq!(model.contract(), &taught.contract, "what was written is what is read");
    let threshold = model.threshold().unwrap();
    let mut false_rejects = 0;
    for seed in 100..120 {
        false_rejects += usize::from(score(&mut model, &disc(seed, false)) > threshold);
        let rejected = score(&mut model, &disc(seed, true));
        assert!(rejected > threshold, "{method}: scratched part {seed} scores {rejected}, threshold {threshold}");
    }
    // 0.5 % was asked for on the evidence of 30 parts; 2 of 20 would be compatible with that once in 200 seeds.
    assert!(false_rejects <= 1, "{method}: {false_rejects} of 20 good parts are rejected");
}

#[test]
fn patchcore_passes_good_parts_and_rejects_scratched_ones() {
    check(Method::PatchcoreLite);
}

#[test]
fn padim_passes_good_parts_and_rejects_scratched_ones() {
    check(Method::Padim);
    check(Method::PadimFull);
}

#[test]
fn mahalanobis_passes_good_parts_and_rejects_scratched_ones() {
    check(Method::Mahalanobis);
}

#[test]
fn the_map_is_highest_where_the_scratch_is() {
    let taught = taught(Method::PatchcoreLite, &mut good(12)).unwrap();
    let mut model = InspectionModel::from_bytes("taught", &taught.onnx, &LoadOptions::default()).unwrap();
    Preparation::for_model(&model, None).unwrap().fill("image", &disc(7, true), &mut model).unwrap();
    let outcome = model.score().unwrap();
    let map = outcome.map.unwrap();
    let at = map.values.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).unwrap().0;
    let (row, column) = (at / map.width, at % map.width);
    assert!((14..42).contains(&row) && (10..54).contains(&column), "the peak is at row {row} column {column}");
    assert_eq!(outcome.score, map.values[at], "the score is the greatest value of the map");
}

#[test]
fn the_same_images_and_seed_give_the_same_file() {
    let bench = bench(Method::PatchcoreLite);
    let once = teach(&mut good(8), &bench.options, &mut |_| {}).unwrap().onnx;
    let again = teach(&mut good(8), &bench.options, &mut |_| {}).unwrap().onnx;
    assert!(once == again, "two courses over the same images differ");
    let other = Options { seed: 1, ..bench.options.clone() };
    assert!(once != teach(&mut good(8), &other, &mut |_| {}).unwrap().onnx, "the seed has no effect");
}

#[test]
fn the_report_counts_and_names_what_was_skipped_and_says_what_the_data_can_prove() {
    struct Broken(Frames);
    impl Parts for Broken {
        fn count(&self) -> usize {
            self.0.count()
        }
        fn name(&self, index: usize) -> String {
            format!("part-{index}.png")
        }
        fn read(&mut self, index: usize) -> Result<Image, Error> {
            match index {
                3 => Err(Error::Dataset { path: "part-3.png".into(), reason: "not an image".to_owned() }),
                _ => self.0.read(index),
            }
        }
    }
    let report = taught(Method::PatchcoreLite, &mut Broken(good(9))).unwrap().report;
    assert_eq!((report.images, report.skipped.len()), (8, 1));
    assert!(report.skipped[0].name == "part-3.png" && report.skipped[0].reason.contains("not an image"));
    assert_eq!(report.held_out.len(), 8);
    assert!(report.warnings.iter().any(|w| w.contains("598 parts would prove it")), "{:?}", report.warnings);
    assert!(report.bank > 0 && report.bank <= 256);
}

#[test]
fn too_few_blank_or_identical_images_are_told_apart() {
    let text = taught(Method::PatchcoreLite, &mut good(4)).unwrap_err().to_string();
    assert!(text.contains("4 usable images of 4") && text.contains("at least 5"), "{text}");
    let black = Image { data: vec![0; SIDE * SIDE], ..disc(0, false) };
    let text = taught(Method::PatchcoreLite, &mut Frames::new(vec![black; 6])).unwrap_err().to_string();
    assert!(text.contains("lens cap"), "{text}");
    // A still picture is no mistake: the threshold then is what sensor noise needs.
    let still = taught(Method::PatchcoreLite, &mut Frames::new(vec![disc(0, false); 6])).unwrap();
    assert!(still.report.threshold.score > 0.0 && still.report.threshold.basis.contains("noise"));
}

#[test]
fn auto_reports_every_method_and_takes_the_best() {
    let bench = bench(Method::PatchcoreLite);
    let options = Options { auto: true, ..bench.options.clone() };
    let report = teach(&mut good(12), &options, &mut |_| {}).unwrap().report;
    assert_eq!(report.candidates.len(), Method::COMPARED.len());
    let highest = report.candidates.iter().fold(0.0f64, |m, c| m.max(c.auroc));
    let chosen = report.candidates.iter().find(|c| c.method == report.method).unwrap();
    assert!(chosen.auroc >= highest - 0.001, "{:?}", report.candidates);
}

#[test]
fn settings_out_of_range_are_named() {
    let bench = bench(Method::PatchcoreLite);
    let base = &bench.options;
    for (options, key) in [
        (Options { size: Size::Fixed(100, 64), ..base.clone() }, "size"),
        (Options { backbone: Some("edge-x".into()), ..base.clone() }, "backbone"),
        (Options { size: Size::Fixed(1024, 512), method: Method::PadimFull, ..base.clone() }, "size"),
        (Options { false_reject: 0.0, ..base.clone() }, "false-reject"),
        (Options { false_reject: f64::NAN, ..base.clone() }, "false-reject"),
        (Options { bank: 0, ..base.clone() }, "bank"),
        (Options { method: Method::Imported, ..base.clone() }, "method"),
        (Options { threads: 0, ..base.clone() }, "threads"),
    ] {
        let text = teach(&mut good(5), &options, &mut |_| {}).unwrap_err().to_string();
        assert!(text.starts_with(key), "{text}");
    }
}

#[test]
fn a_model_that_scores_differently_is_refused_with_the_figure() {
    let mut taught = taught(Method::Padim, &mut good(6)).unwrap();
    let golden = taught.contract.golden.as_mut().unwrap();
    golden.score *= 1.01;
    let mut message = onnx::decode("taught", &taught.onnx).unwrap();
    let json = serde_json::to_string(golden).unwrap();
    message.metadata_props.iter_mut().filter(|p| p.key == "jidoka.golden").for_each(|p| p.value = json.clone());
    let loaded = InspectionModel::from_bytes("moved.onnx", &onnx::encode(&message), &LoadOptions::default());
    let text = loaded.err().unwrap().to_string();
    assert!(text.contains("moved.onnx") && text.contains("golden check") && text.contains("the score"), "{text}");
}

#[test]
fn a_model_that_the_key_did_not_sign_is_refused() {
    use crate::signature::{make_keys, sign};
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let key = make_keys(&at("a.key"), &at("a.pub"), Some(String::new())).unwrap();
    let taught = taught(Method::Padim, &mut good(6)).unwrap();
    std::fs::write(at("m.onnx"), &taught.onnx).unwrap();
    let demanding = LoadOptions { public_key: Some(key), ..LoadOptions::default() };
    let text = InspectionModel::load(&at("m.onnx"), &demanding).err().unwrap().to_string();
    assert!(text.contains("m.onnx") && text.contains("not signed"), "{text}");
    sign(&at("m.onnx"), &at("a.key"), None).unwrap();
    InspectionModel::load(&at("m.onnx"), &demanding).unwrap();
    // One weight is another one.
    let mut bytes = taught.onnx.clone();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(at("m.onnx"), &bytes).unwrap();
    let text = InspectionModel::load(&at("m.onnx"), &demanding).err().unwrap().to_string();
    assert!(text.contains("m.onnx") && text.contains("does not hold"), "{text}");
}

#[test]
fn a_truncated_or_foreign_file_is_an_error_that_names_it() {
    let taught = taught(Method::Padim, &mut good(6)).unwrap();
    for bytes in [&taught.onnx[..taught.onnx.len() / 2], b"not a model", b"", &backbone()] {
        let text = InspectionModel::from_bytes("odd.onnx", bytes, &LoadOptions::default()).err().unwrap().to_string();
        assert!(text.contains("odd.onnx"), "{text}");
    }
    let bench = bench(Method::Padim);
    let model_as_backbone = bench.options.backbone.clone().unwrap().with_file_name("model.onnx");
    std::fs::write(&model_as_backbone, &taught.onnx).unwrap();
    let options = Options { backbone: Some(model_as_backbone), ..bench.options.clone() };
    let text = teach(&mut good(6), &options, &mut |_| {}).unwrap_err().to_string();
    assert!(text.contains("model.onnx") && text.contains("tap8"), "{text}");
}

/// A model as another tool exports it: taught here, with everything that this program wrote about it taken away.
fn foreign(folder: &std::path::Path) -> PathBuf {
    let taught = taught(Method::Padim, &mut good(12)).unwrap();
    let mut message = onnx::decode("taught", &taught.onnx).unwrap();
    message.metadata_props.clear();
    let path = folder.join("foreign.onnx");
    std::fs::write(&path, onnx::encode(&message)).unwrap();
    path
}

#[test]
fn an_imported_model_keeps_its_scores_and_gains_a_threshold_and_a_golden_check() {
    let folder = tempfile::tempdir().unwrap();
    let path = foreign(folder.path());
    let mut before = InspectionModel::load(&path, &LoadOptions::default()).unwrap();
    assert_eq!(before.threshold(), None);
    let rate = crate::ImportOptions { false_reject: 0.01, ..crate::ImportOptions::default() };
    let mut held_out = Frames::new((50..70).map(|i| disc(i, false)).collect());
    let imported = crate::import(&path, Some(&mut held_out), &rate).unwrap();
    let required = LoadOptions { golden: Check::Required, ..LoadOptions::default() };
    let mut after = InspectionModel::from_bytes("imported", &imported.onnx, &required).unwrap();
    assert_eq!((imported.images, after.contract().method), (20, Method::Imported));
    assert_eq!(score(&mut before, &disc(200, false)), score(&mut after, &disc(200, false)));
    let threshold = after.threshold().unwrap();
    assert!(score(&mut after, &disc(200, true)) > threshold, "a scratched part passes");
    let text = crate::import(&path, Some(&mut good(2)), &rate).unwrap_err().to_string();
    assert!(text.contains("2 usable images of 2"), "{text}");
}

#[test]
fn an_import_takes_the_normalisation_into_the_graph() {
    let folder = tempfile::tempdir().unwrap();
    let path = foreign(folder.path());
    let options = crate::ImportOptions { imagenet: true, ..crate::ImportOptions::default() };
    let imported = crate::import(&path, None, &options).unwrap().onnx;
    let mut with = InspectionModel::from_bytes("imported", &imported, &LoadOptions::default()).unwrap();
    let mut without = InspectionModel::load(&path, &LoadOptions::default()).unwrap();
    let plane = SIDE * SIDE;
    let (mean, deviation) = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);
    for (i, value) in with.input_f32().unwrap().iter_mut().enumerate() {
        *value = (i % 97) as f32 / 97.0;
    }
    for (i, value) in without.input_f32().unwrap().iter_mut().enumerate() {
        *value = ((i % 97) as f32 / 97.0 - mean[i / plane]) / deviation[i / plane];
    }
    let (found, expected) = (with.score().unwrap().score, without.score().unwrap().score);
    assert!((found - expected).abs() < 1e-4 * expected.abs(), "{found} instead of {expected}");
}

#[test]
fn an_import_makes_one_file_of_a_model_in_two_whose_size_is_open() {
    let folder = tempfile::tempdir().unwrap();
    let path = foreign(folder.path());
    let options = crate::ImportOptions::default();
    let alone = crate::import(&path, None, &options).unwrap().onnx;

    let mut message = onnx::decode("foreign", &std::fs::read(&path).unwrap()).unwrap();
    let graph = message.graph.as_mut().unwrap();
    let mut weights = b"something of another model".to_vec();
    for tensor in &mut graph.initializer {
        let entries = [("location", "weights.bin".to_owned()), ("offset", weights.len().to_string())];
        let length = ("length", tensor.raw_data.len().to_string());
        weights.append(&mut tensor.raw_data);
        let entry = |(key, value): (&str, String)| onnx::StringStringEntryProto { key: key.to_owned(), value };
        tensor.external_data = entries.into_iter().chain([length]).map(entry).collect();
    }
    let image = graph.input.iter_mut().find(|i| i.name == "image").unwrap();
    let Some(onnx::type_proto::Value::TensorType(tensor)) = image.r#type.as_mut().unwrap().value.as_mut() else {
        panic!("a tensor")
    };
    tensor.shape.as_mut().unwrap().dim[2..].iter_mut().for_each(|side| side.value = None);
    std::fs::write(&path, onnx::encode(&message)).unwrap();
    let fails = |expected: &str| {
        let text = crate::import(&path, None, &options).unwrap_err().to_string();
        assert!(text.contains("foreign.onnx") && text.contains(expected), "{text}");
    };
    fails("weights.bin");
    std::fs::write(folder.path().join("weights.bin"), &weights[..weights.len() - 1]).unwrap();
    fails("bytes, not");
    std::fs::write(folder.path().join("weights.bin"), &weights).unwrap();
    let gathered = crate::import(&path, None, &options).unwrap().onnx;
    let load = |onnx: &[u8]| InspectionModel::from_bytes("imported", onnx, &LoadOptions::default()).unwrap();
    assert_eq!(score(&mut load(&gathered), &disc(3, true)), score(&mut load(&alone), &disc(3, true)));

    message.graph.as_mut().unwrap().initializer[0].external_data[0].value = "../weights.bin".to_owned();
    std::fs::write(&path, onnx::encode(&message)).unwrap();
    fails("own folder");
}

#[test]
fn a_model_agrees_with_itself_and_differs_from_another() {
    let pictures = || (0..12).map(|i| (format!("picture {i}"), disc(300 + i, i % 3 == 0)));
    let load = |onnx: &[u8]| InspectionModel::from_bytes("taught", onnx, &LoadOptions::default()).unwrap();
    let padim = taught(Method::Padim, &mut good(12)).unwrap().onnx;
    let bank = taught(Method::PatchcoreLite, &mut good(12)).unwrap().onnx;
    let same = crate::compare(&mut load(&padim), &mut load(&padim), pictures()).unwrap();
    assert_eq!((same.images, same.flips), (12, Some(Vec::new())));
    assert!((same.correlation - 1.0).abs() < 1e-9);
    let other = crate::compare(&mut load(&padim), &mut load(&bank), pictures()).unwrap();
    assert!(other.correlation > 0.5 && other.correlation < 1.0 - 1e-9, "{other:?}");
}
