//! The camera's commands, and what is recorded against what was live.

use crate::common::{check, check_error, json_lines};
use crate::flow::{count, station, teach};
use serde_json::Value;

/// What a verdict is, without when it was.
fn verdicts(log: &[Value]) -> Vec<String> {
    let mut parts: Vec<(u64, String)> = count(log, "part")
        .map(|line| {
            let what = ["part", "verdict", "why", "score", "model"].map(|key| line[key].to_string());
            (line["part"].as_u64().expect("a number"), what.join(" "))
        })
        .collect();
    parts.sort();
    parts.into_iter().map(|(_, what)| what).collect()
}

/// A picture of one brightness.
pub fn write_even(file: &std::path::Path, value: u8, (width, height): (u32, u32)) {
    let data = vec![value; (width * height) as usize];
    let image = jidoka_capture::images::Image { width, height, format: jidoka_capture::PixelFormat::Grey, data };
    std::fs::write(file, jidoka_capture::images::encode_png(&image.view()).expect("encodes")).expect("writes");
}

#[test]
fn live_and_replayed_frames_give_the_same_verdicts_to_the_byte() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path();
    teach(path);
    station(path, "");
    check(path, &["run", "station.toml", "--frames", "10"], 0);
    let live = verdicts(&json_lines(&std::fs::read(path.join("verdicts.jsonl")).expect("a log")));
    assert_eq!(live.len(), 10);
    assert!(live.iter().all(|line| !line.contains("null")), "every part was scored: {live:#?}");

    let recorded =
        check(path, &["record", "--config", "station.toml", "--out", "ten.frames", "--frames", "10", "--json"], 0);
    assert_eq!(json_lines(&recorded.stdout)[0]["frames"], 10);
    let text = std::fs::read_to_string(path.join("station.toml")).expect("reads");
    let replay = text
        .replace(
            "source = \"synthetic\"\nwidth = 320\nheight = 240\nfirst_part = 12\n",
            "source = \"replay\"\npath = \"ten.frames\"\n",
        )
        .replace("defect_percent = 30\n", "")
        .replace("verdicts.jsonl", "replayed.jsonl");
    std::fs::write(path.join("replay.toml"), replay).expect("writes");
    check(path, &["run", "replay.toml"], 0);
    let replayed = verdicts(&json_lines(&std::fs::read(path.join("replayed.jsonl")).expect("a log")));
    assert_eq!(live, replayed);

    // A recording is not written over.
    check_error(path, &["record", "--config", "station.toml", "--out", "ten.frames"], 4, &["ten.frames"]);
}

#[test]
fn a_camera_is_measured_focused_and_photographed() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path();
    let measured = check(path, &["camera", "check", "synthetic", "--frames", "20", "--json"], 0);
    let found = json_lines(&measured.stdout).remove(0);
    assert_eq!((&found["frames"], &found["lost"], &found["loop_clean"]), (&20.into(), &0.into(), &true.into()));
    let histogram: f64 = found["histogram_percent"].as_array().expect("classes").iter().filter_map(Value::as_f64).sum();
    assert!((histogram - 100.0).abs() < 1e-6, "{found}");

    let lines = json_lines(&check(path, &["camera", "focus", "synthetic", "--frames", "3", "--json"], 0).stdout);
    assert_eq!(lines.len(), 3);
    assert!(
        lines
            .iter()
            .all(|line| line["sharpness"].as_f64() > Some(0.0) && line["best"].as_f64() >= line["sharpness"].as_f64())
    );

    check(path, &["camera", "snapshot", "synthetic", "--out", "frame.png"], 0);
    let image = jidoka_capture::images::decode(&path.join("frame.png")).expect("a picture");
    assert_eq!((image.width, image.height), (640, 480));
    // What cannot be divided by is refused at once, not when the station starts.
    write_even(&path.join("dark.png"), 9, (320, 240));
    check_error(path, &["camera", "white", "dark.png", "--out", "white.png"], 2, &["too dark"]);
    write_even(&path.join("even.png"), 200, (320, 240));
    check(path, &["camera", "white", "even.png", "--out", "white.png"], 0);
    check_error(path, &["camera", "show", "/dev/null"], 4, &["/dev/null", "not a video device"]);
    check_error(path, &["camera", "set", "/dev/null", "gain"], 2, &["gain=10"]);
    check_error(path, &["camera", "check", "/dev/video99"], 4, &["/dev/video99", "no such camera"]);
}

#[test]
fn what_is_put_right_in_frames_is_taught_and_inspected_alike() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path();
    station(path, "");
    check(path, &["camera", "snapshot", "--config", "station.toml", "--skip", "0", "--out", "place.png"], 0);
    // An even white frame changes nothing, and goes the whole way all the same.
    write_even(&path.join("white.png"), 210, (320, 240));
    let text = std::fs::read_to_string(path.join("station.toml")).expect("reads");
    let good = text.replace("defect_percent = 30", "defect_percent = 0\nseed = 5");
    let corrections = "\n[flat_field]\nwhite = \"white.png\"\n[align]\ntemplate = \"place.png\"\nmax_shift_px = 12\nmax_degrees = 3\nleast_match = 0.05\n";
    std::fs::write(path.join("good.toml"), format!("{good}{corrections}")).expect("writes");
    let arguments = [
        "teach",
        "--config",
        "good.toml",
        "--parts",
        "12",
        "--pause-ms",
        "0",
        "--out",
        "m.onnx",
        "--size",
        "128",
        "--bank",
        "64",
        "--json",
    ];
    let taught = json_lines(&check(path, &arguments, 0).stdout).remove(0);
    assert_eq!((&taught["images"], &taught["skipped"]), (&12.into(), &0.into()), "{taught}");
    check(path, &["run", "good.toml", "--frames", "12"], 0);
    let log = json_lines(&std::fs::read(path.join("verdicts.jsonl")).expect("a log"));
    let parts: Vec<&Value> = count(&log, "part").collect();
    // The very frames that were taught: none is further from them than the threshold.
    assert!(parts.len() == 12 && parts.iter().all(|part| part["verdict"] == "pass"), "{parts:#?}");
    let end = count(&log, "end").next().expect("the counts");
    assert_eq!(end["allocations"], 0, "{end}");

    // The model carries what was put right: outside of the station it says the same of the same frame, to the bit.
    check(path, &["camera", "snapshot", "--config", "good.toml", "--skip", "0", "--out", "first.png"], 0);
    let inferred = json_lines(&check(path, &["infer", "m.onnx", "first.png", "--json"], 0).stdout).remove(0);
    let first = parts.iter().find(|part| part["part"] == 1).expect("the first part");
    let score = |line: &Value| line["score"].as_f64().map(|score| score as f32);
    assert_eq!(score(&inferred), score(first), "{inferred} {first}");
    std::fs::write(path.join("plain.toml"), &good).expect("writes");
    check_error(
        path,
        &["check", "plain.toml"],
        2,
        &["taught with [flat_field], and here there is none", "teach it again"],
    );
    std::fs::write(path.join("region.toml"), format!("{good}\n[roi]\nwidth = 300\nheight = 200\n")).expect("writes");
    let arguments = ["teach", "--config", "region.toml", "--parts", "12", "--pause-ms", "0", "--out", "r.onnx"];
    check(path, &[&arguments[..], &["--size", "128", "--bank", "64"]].concat(), 0);
    std::fs::write(path.join("other.toml"), good.replace("m.onnx", "r.onnx")).expect("writes");
    check_error(
        path,
        &["check", "other.toml"],
        2,
        &["taught from the region 300x200 at 0,0", "the whole frame", "[roi]"],
    );

    let refuse = |name: &str, from: &str, to: &str, words: &[&str]| {
        let text = std::fs::read_to_string(path.join("good.toml")).expect("reads").replace(from, to);
        std::fs::write(path.join(name), text).expect("writes");
        check_error(path, &["check", name], if name == "size.toml" { 4 } else { 2 }, words);
    };
    refuse("shift.toml", "max_shift_px = 12", "max_shift_px = -1", &["max_shift_px", "0 to 16384"]);
    refuse("template.toml", "template = \"place.png\"\n", "", &["template is missing"]);
    refuse("raw.toml", "[align]", "[raw]\nblack_level = 16\n[align]", &["[raw] corrects raw sensor formats"]);
    refuse("size.toml", "width = 320\nheight = 240", "width = 336\nheight = 240", &["template", "320x240", "336x240"]);
}
