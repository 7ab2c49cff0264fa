//! Quantised graphs against what onnxruntime gave for them: within one step, and on bytes.
//!
//! `scripts/onnx/int8_goldens.py` makes the files.

mod common;

use common::ours;
use jidoka_engine::onnx::decode;
use jidoka_engine::{Isa, Options};
use std::path::{Path, PathBuf};

/// Graphs whose operator runs on floats, between a dequantisation and a quantisation.
const ON_FLOATS: [&str; 6] = ["average_pool_without_pads", "mul", "matmul", "matmul_columns", "gemm", "qlinear_matmul"];

fn golden() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let entries = std::fs::read_dir(&folder).expect("the folder of golden files");
    let mut files: Vec<PathBuf> = entries.map(|e| e.expect("an entry").path()).collect();
    files.retain(|f| f.extension().is_some_and(|e| e == "onnx"));
    files.sort();
    files
}

fn floats(path: &Path) -> Vec<f32> {
    let bytes = std::fs::read(path).expect("the numbers beside a graph");
    bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
}

fn check(path: &Path) {
    let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
    let proto = decode(&name, &std::fs::read(path).expect("a graph")).expect("a model");
    let step: f32 = proto.metadata_props[0].value.parse().expect("the step");
    let numbers = floats(&path.with_extension("bin"));
    let model = jidoka_engine::Model::from_bytes(&name, &jidoka_engine::onnx::encode(&proto)).expect("it reads");
    let (input, want) = numbers.split_at(model.inputs()[0].len());
    let run = |options: &Options| ours(&proto, input, options);
    let (session, got) = run(&Options { strict: true, ..Options::default() });
    assert_eq!(got[0].len(), want.len(), "{name}");
    let most = got[0].iter().zip(want).map(|(g, w)| (g - w).abs()).fold(0.0, f32::max);
    assert!(most <= step * 1.01, "{name}: {most} apart, a step is {step}");
    let differ = got[0].iter().zip(want).filter(|(g, w)| (*g - *w).abs() > step * 0.5).count();
    assert!(differ * 20 <= want.len() + 19, "{name}: {differ} of {} differ", want.len());
    let kinds: Vec<String> = session.report().steps.into_iter().map(|s| s.kind).collect();
    let own = |k: &&String| !["quantise", "dequantise", "border"].contains(&k.as_str());
    let on_bytes = kinds.iter().filter(own).all(|k| k.ends_with("int8"));
    assert_eq!(on_bytes, !ON_FLOATS.contains(&name.as_str()), "{name}: {kinds:?}");
    if on_bytes {
        for isa in Isa::list_available() {
            assert_eq!(run(&Options { isa: Some(isa), ..Options::default() }).1, got, "{name} {isa}");
        }
        assert_eq!(run(&Options { threads: 3, ..Options::default() }).1, got, "{name} with 3 threads");
    }
}

#[test]
fn quantised_graphs_give_onnxruntimes_bytes() {
    let files = golden();
    assert!(files.len() >= 30, "{} golden files", files.len());
    for file in files {
        check(&file);
    }
}
