//! One camera, two regions of its frames, a model for each: taught, checked, run and logged.

use std::path::Path;

use serde_json::Value;

use crate::common::{check, check_error, json_lines, text};
use crate::flow::{count, station};

/// The left half of the frame is the first view, the right half another one.
const REGIONS: &str = "
[roi]
width = 160
height = 240

[[view]]
name = \"right\"
model = \"right.onnx\"
roi = [160, 0, 160, 240]
";

/// Writes `name`, which is the station's configuration with the views and these changes.
fn with_views(folder: &Path, name: &str, changes: &[(&str, &str)]) {
    station(folder, REGIONS);
    let mut config = std::fs::read_to_string(folder.join("station.toml")).expect("reads");
    config = config.replace("path = \"m.onnx\"", "path = \"left.onnx\"\nview = \"left\"");
    for (from, to) in changes {
        assert!(config.contains(from), "{from}");
        config = config.replace(from, to);
    }
    std::fs::write(folder.join(name), config).expect("writes");
}

fn teach(folder: &Path, view: &str, out: &str) -> Value {
    let arguments =
        ["teach", "--config", "good.toml", "--view", view, "--parts", "12", "--pause-ms", "0", "--out", out];
    let size = ["--size", "64", "--bank", "64", "--json"];
    json_lines(&check(folder, &[&arguments[..], &size].concat(), 0).stdout).remove(0)
}

fn run(folder: &Path, name: &str) -> Vec<Value> {
    let _ = std::fs::remove_file(folder.join("verdicts.jsonl"));
    check(folder, &["run", name, "--frames", "10"], 0);
    json_lines(&std::fs::read(folder.join("verdicts.jsonl")).expect("a log"))
}

#[test]
fn a_part_is_as_bad_as_its_worst_view() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path();
    with_views(path, "good.toml", &[("defect_percent = 30", "defect_percent = 0")]);
    assert_eq!(teach(path, "left", "left.onnx")["images"], 12);
    teach(path, "right", "right.onnx");
    check_error(path, &["teach", "--config", "good.toml", "--view", "top", "--out", "x.onnx"], 2, &["left, right"]);

    with_views(path, "views.toml", &[]);
    let said = text(&check(path, &["check", "views.toml"], 0).stdout);
    assert!(said.contains("view left") && said.contains("view right"), "{said}");
    let log = run(path, "views.toml");
    let start = count(&log, "start").next().expect("a start");
    assert_eq!((&start["views"][0]["name"], &start["views"][1]["name"]), (&"left".into(), &"right".into()), "{start}");
    let parts: Vec<&Value> = count(&log, "part").collect();
    assert_eq!(parts.len(), 10);
    for part in parts {
        let views = part["views"].as_object().expect("what each view said");
        assert!(views.keys().eq(["left", "right"]), "{part}");
        let rejects = views.values().any(|view| view["verdict"] == "reject");
        assert_eq!(part["verdict"], if rejects { "reject" } else { "pass" }, "{part}");
        let worst = &views[part["view"].as_str().expect("a name")];
        assert_eq!((&worst["score"], &worst["model"]), (&part["score"], &part["model"]), "{part}");
        assert!(!rejects || worst["verdict"] == "reject", "{part}");
    }
    let end = count(&log, "end").next().expect("the counts");
    assert_eq!(end["allocations"], 0, "{end}");

    // Each view can reject by itself, whatever the other says.
    for (limits, verdict, worst) in [
        (["1e6", "1e6"], "pass", None),
        (["1e6", "-1e6"], "reject", Some("right")),
        (["-1e6", "1e6"], "reject", Some("left")),
    ] {
        let left = format!("view = \"left\"\nthreshold = {}", limits[0]);
        let right = format!("model = \"right.onnx\"\nthreshold = {}", limits[1]);
        with_views(path, "limits.toml", &[("view = \"left\"", &left), ("model = \"right.onnx\"", &right)]);
        for part in count(&run(path, "limits.toml"), "part") {
            assert_eq!(part["verdict"], verdict, "{part}");
            assert!(worst.is_none_or(|worst| part["view"] == worst), "{part}");
        }
    }
}

#[test]
fn views_that_cannot_be_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path();
    let refuse = |from: &str, to: &str, words: &[&str]| {
        with_views(path, "bad.toml", &[(from, to)]);
        check_error(path, &["check", "bad.toml", "--text-only"], 2, words);
    };
    refuse("name = \"right\"", "name = \"left\"", &["[view] name = \"left\" stands twice"]);
    refuse("model = \"right.onnx\"\n", "", &["bad.toml:", "[view] model is missing"]);
    refuse("roi = [160, 0, 160, 240]", "roi = [160, 0, 0, 240]", &["[view] roi is no rectangle"]);
    refuse("roi = [160", "rio = [160", &["[view] rio is not a known key", "one of name, model, roi"]);
    refuse("[[view]]", "[view]", &["view is not a list of tables", "[[view]]"]);
    let more: String = (0..7).map(|k| format!("[[view]]\nname = \"v{k}\"\nmodel = \"m.onnx\"\n")).collect();
    refuse("[[view]]", &format!("{more}[[view]]"), &["9 views", "at most 8"]);
    with_views(
        path,
        "recipe.toml",
        &[("[[view]]", "[[recipe.other.view]]\nname = \"top\"\nmodel = \"top.onnx\"\n[[view]]")],
    );
    check(path, &["check", "recipe.toml", "--text-only"], 0);
}
