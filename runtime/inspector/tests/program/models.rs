//! Models as files: evaluated on a folder, signed, imported, compared.

use std::path::Path;

use serde_json::Value;

use crate::common::{check, check_error, json_lines, text};
use crate::flow::{render, station, teach};

/// A folder of rendered parts, good and bad ones apart.
fn sorted(folder: &Path) {
    render(&folder.join("set/good"), 0, 15, 0.0);
    render(&folder.join("set/bad"), 400, 4, 1.0);
}

#[test]
fn an_evaluation_leaves_a_page_that_stands_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path();
    sorted(path);
    let arguments = ["eval", "set", "--method", "padim", "--size", "64", "--report", "page.html", "--json"];
    let figures = json_lines(&check(path, &arguments, 0).stdout).remove(0);
    assert_eq!((&figures["n_train"], &figures["n_good"], &figures["n_defect"]), (&10.into(), &5.into(), &4.into()));
    let page = std::fs::read_to_string(path.join("page.html")).expect("the page");
    for words in
        ["ROC, image level", "Defective parts that scored lowest", "polyline", "data:image/png;base64", "good&#x2f;"]
    {
        assert!(page.contains(words), "the page does not hold {words:?}");
    }
    assert!(!page.replace("http://www.w3.org/2000/svg", "").contains("http"), "the page refers to something outside");

    check_error(path, &["eval", "set", "--layout", "dagm"], 4, &["set", "layout `dagm`", "Train/Label"]);
    render(&path.join("set/mask"), 400, 3, 1.0);
    check_error(path, &["eval", "set"], 4, &["003.png", "its mask is missing"]);
}

#[test]
fn a_station_that_demands_a_signature_runs_nothing_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path();
    teach(path);
    let keys = ["model", "keys", "--out", "plant", "--no-password", "--json"];
    let keys = json_lines(&check(path, &keys, 0).stdout).remove(0);
    station(path, "");
    let key = keys["public_key"].as_str().expect("a key");
    let toml = std::fs::read_to_string(path.join("station.toml")).expect("reads");
    let toml = toml.replace("[model]", &format!("[model]\npublic_key = \"{key}\""));
    std::fs::write(path.join("station.toml"), toml).expect("writes");
    for command in ["check", "run"] {
        check_error(path, &[command, "station.toml"], 3, &["m.onnx", "not signed", "jidoka model sign"]);
    }
    check(path, &["model", "sign", "m.onnx", "--key", "plant.key"], 0);
    check(path, &["check", "station.toml"], 0);
    check(path, &["model", "verify", "m.onnx", "--public-key", "plant.pub"], 0);

    // The same parts and another seed: a good model, and not the one that was signed.
    let again = ["teach", "--good", "good", "--out", "m.onnx", "--size", "128", "--bank", "64", "--seed", "1"];
    check(path, &again, 0);
    for command in ["check", "run"] {
        check_error(path, &[command, "station.toml"], 3, &["m.onnx", "its signature does not hold"]);
    }
    check_error(
        path,
        &["model", "keys", "--out", "plant", "--no-password"],
        1,
        &["plant.key", "over one that is there"],
    );
}

#[test]
fn a_model_is_imported_with_a_threshold_of_its_own_and_agrees_with_what_it_was() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path();
    render(&path.join("good"), 0, 12, 0.0);
    // Imported models are resized to by this filter.
    let taught =
        ["teach", "--good", "good", "--out", "m.onnx", "--size", "128", "--bank", "64", "--filter", "triangle"];
    check(path, &taught, 0);
    render(&path.join("held-out"), 100, 8, 0.0);
    let import =
        ["model", "import", "m.onnx", "--out", "i.onnx", "--good", "held-out", "--false-reject", "1%", "--json"];
    let imported = json_lines(&check(path, &import, 0).stdout).remove(0);
    assert_eq!((&imported["images"], &imported["threshold"]["held_out"]), (&8.into(), &8.into()));
    check(path, &["model", "verify", "i.onnx"], 0);
    render(&path.join("mixed"), 200, 8, 0.5);
    let diff = json_lines(&check(path, &["model", "diff", "m.onnx", "i.onnx", "mixed", "--json"], 0).stdout).remove(0);
    assert_eq!(diff["images"], Value::from(8));
    assert!(diff["correlation"].as_f64().expect("a number") > 0.999, "{diff}");
    std::fs::write(path.join("none.onnx"), b"nothing").expect("writes");
    check_error(path, &["model", "import", "none.onnx", "--out", "x.onnx"], 3, &["none.onnx"]);
    assert!(!path.join("x.onnx").exists(), "half a model was written");
    let said = text(&check(path, &["model", "import", "m.onnx", "--out", "j.onnx"], 0).stdout);
    assert!(said.contains("--good gives one"), "{said}");
}

#[test]
fn a_model_that_keeps_no_parts_leaves_none_of_the_one_before() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path();
    teach(path);
    assert!(path.join("m.onnx.parts").exists());
    let again = ["teach", "--good", "good", "--out", "m.onnx", "--size", "64", "--method", "padim", "--no-keep"];
    check(path, &again, 0);
    assert!(!path.join("m.onnx.parts").exists(), "--add would bring the old model back");
    check_error(
        path,
        &["teach", "--good", "good", "--out", "m.onnx", "--add"],
        2,
        &["m.onnx.parts", "nothing can be added"],
    );
}
