//! Bad input of every kind: one clear message, the right exit code, nothing energised.

use crate::common::{check, check_error, json_lines, text};
use crate::flow::{render, station, teach};

const STATION: &str = r#"
[camera]
source = "synthetic"

[model]
path = "none.onnx"

[reject]
delay_ms = 400
pulse_ms = 20
pitch_ms = 50

[outputs]
backend = "sim"
"#;

#[test]
fn a_bad_configuration_is_refused_with_file_line_and_key() {
    let folder = tempfile::tempdir().expect("a folder");
    let cases: [(&str, &str, &[&str]); 6] = [
        ("pulse_ms = 20", "puls_ms = 20", &["bad.toml:10: [reject] puls_ms is not a known key", "try: pulse_ms"]),
        (
            "pulse_ms = 20",
            "pulse_ms = 90",
            &["bad.toml:10: [reject] pulse_ms = 90 ms reaches the next part", "expected:"],
        ),
        ("source = \"synthetic\"", "source = \"webcam\"", &["bad.toml:3: [camera] source", "\"v4l2\""]),
        ("[camera]", "[camera", &["bad.toml:2: not TOML"]),
        ("backend = \"sim\"", "backend = \"gpio\"", &["[outputs] reject is missing"]),
        ("delay_ms = 400", "delay_ms = -1", &["bad.toml:9: [reject] delay_ms = -1 is out of range", "0.1 to 600000"]),
    ];
    for (from, to, words) in cases {
        std::fs::write(folder.path().join("bad.toml"), STATION.replacen(from, to, 1)).expect("writes");
        for command in ["check", "run"] {
            check_error(folder.path(), &[command, "bad.toml"], 2, words);
        }
    }
}

#[test]
fn what_is_missing_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("good.toml"), STATION).expect("writes");
    check_error(folder.path(), &["run", "absent.toml"], 4, &["absent.toml: cannot read"]);
    check_error(folder.path(), &["run", "good.toml"], 4, &["good.toml: [model] path", "none.onnx"]);
    check_error(folder.path(), &["infer", "absent.onnx", "x.png"], 4, &["absent.onnx"]);
    check_error(folder.path(), &["teach", "--good", "absent", "--out", "m.onnx"], 4, &["absent"]);
    check_error(folder.path(), &["camera", "grab", "/dev/video99", "--out", "x.png"], 4, &["/dev/video99"]);
    check_error(folder.path(), &["board", "show", "raspbery-pi-5"], 2, &["did you mean \"raspberry-pi-5\"?"]);
    std::fs::create_dir(folder.path().join("empty")).expect("makes a folder");
    check_error(folder.path(), &["teach", "--good", "empty", "--out", "m.onnx"], 4, &["empty", "no images"]);
    assert!(!folder.path().join("m.onnx").exists());
}

#[test]
fn a_file_that_is_no_model_is_refused_as_one() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, bytes) in [("empty.onnx", &b""[..]), ("text.onnx", b"this is not a model"), ("zeros.onnx", &[0; 4096])] {
        std::fs::write(folder.path().join(name), bytes).expect("writes");
        check_error(folder.path(), &["infer", name, "x.png"], 3, &[name]);
        check_error(folder.path(), &["model", "inspect", name], 3, &[name]);
    }
}

#[test]
fn bad_usage_is_two_and_help_is_zero() {
    let folder = tempfile::tempdir().expect("a folder");
    check(folder.path(), &["frobnicate"], 2);
    check(folder.path(), &["teach"], 2);
    check(folder.path(), &["teach", "--good", ".", "--out", "m", "--false-reject", "half"], 2);
    let help = text(&check(folder.path(), &["--help"], 0).stdout);
    assert!(help.contains("Exit codes:") && help.contains("jidoka demo"), "{help}");
    for command in
        ["demo", "teach", "infer", "run", "check", "bench", "eval", "model", "camera", "board", "sim", "recipe"]
    {
        let help = text(&check(folder.path(), &[command, "--help"], 0).stdout);
        assert!(help.contains("Examples:"), "{command} has no examples:\n{help}");
    }
}

#[test]
fn every_key_of_the_configuration_can_be_listed() {
    let folder = tempfile::tempdir().expect("a folder");
    let keys = text(&check(folder.path(), &["check", "--keys"], 0).stdout);
    for word in ["[reject]", "pulse_ms", "0.1 to 60000", "default 1000"] {
        assert!(keys.contains(word), "{word} is not in\n{keys}");
    }
}

#[test]
fn the_text_alone_can_be_checked_where_the_devices_are_not() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("good.toml"), STATION).expect("writes");
    let out = text(&check(folder.path(), &["check", "good.toml", "--text-only"], 0).stdout);
    assert!(out.contains("acts 400 ms after the trigger, for 20 ms; parts 50 ms apart"), "{out}");
    assert!(out.contains("were not looked at") && !out.contains("would run"), "{out}");
}

#[test]
fn a_model_inspects_the_region_that_it_was_taught_from() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path();
    render(&path.join("good"), 0, 12, 0.0);
    let whole = ["teach", "--good", "good", "--out", "m.onnx", "--size", "64", "--bank", "16", "--method", "padim"];
    check(path, &[&whole[..], &["--roi", "40,20,200,200"]].concat(), 0);
    station(path, "");
    for command in ["check", "run"] {
        let words =
            ["m.onnx", "the region 200x200 at 40,20", "the whole frame", "x = 40, y = 20, width = 200, height = 200"];
        check_error(path, &[command, "station.toml"], 2, &words);
    }
    let text = std::fs::read_to_string(path.join("station.toml")).expect("reads");
    let other = format!("{text}\n[roi]\nx = 41\ny = 20\nwidth = 200\nheight = 200\n");
    for (changed, code) in [
        (other.clone(), 2),
        (other.replace("x = 41", "x = 40"), 0),
        (other.replace("[model]", "[model]\nany_roi = true"), 0),
    ] {
        std::fs::write(path.join("station.toml"), changed).expect("writes");
        check(path, &["check", "station.toml"], code);
    }

    // Where nobody says otherwise, single images are seen as they were taught.
    let score = |more: &[&str]| {
        let lines =
            json_lines(&check(path, &[&["infer", "m.onnx", "good/003.png", "--json"], more].concat(), 0).stdout);
        lines[0]["score"].to_string()
    };
    assert_eq!(score(&[]), score(&["--roi", "40,20,200,200"]));
    assert_ne!(score(&[]), score(&["--roi", "0,0,320,240"]));
    std::fs::create_dir(path.join("cut")).expect("makes a folder");
    crate::camera::write_even(&path.join("cut/small.png"), 90, (100, 100));
    check_error(
        path,
        &["infer", "m.onnx", "cut"],
        2,
        &["small.png", "was taught from that region", "--roi 0,0,100,100"],
    );
    check(path, &["infer", "m.onnx", "cut", "--roi", "0,0,100,100"], 0);
}

#[test]
fn what_run_would_trip_over_is_found_by_check() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path();
    teach(path);
    station(path, "");
    let text_of = |from: &str, to: &str| {
        let text = std::fs::read_to_string(path.join("station.toml")).expect("reads");
        assert!(text.contains(from), "{from}");
        std::fs::write(path.join("changed.toml"), text.replacen(from, to, 1)).expect("writes");
    };
    for (from, to, words) in [
        ("\"verdicts.jsonl\"", "\"absent/verdicts.jsonl\"", ["absent", "verdict log"]),
        ("[camera]", "blackbox = \"absent/box\"\n[camera]", ["absent", "black box"]),
        ("[model]", "[watchdog]\ndevice = \"/dev/no-such-dog\"\n[model]", ["/dev/no-such-dog", "watchdog"]),
    ] {
        text_of(from, to);
        check_error(path, &["check", "changed.toml"], 4, &words);
    }
    // A threshold far from everything that the model has seen is allowed and said.
    for (threshold, words) in [("500", "may let bad parts pass"), ("-5", "rejects every good part")] {
        text_of("path = \"m.onnx\"", &format!("path = \"m.onnx\"\nthreshold = {threshold}"));
        check_error(path, &["check", "changed.toml"], 0, &[words, "its own threshold"]);
    }
    // A station over photographs names those that it cannot show.
    std::fs::write(path.join("good/broken.png"), b"not an image").expect("writes");
    text_of(
        "source = \"synthetic\"\nwidth = 320\nheight = 240\nfirst_part = 12",
        "source = \"replay\"\npath = \"good\"",
    );
    let text = std::fs::read_to_string(path.join("changed.toml")).expect("reads").replace("defect_percent = 30\n", "");
    std::fs::write(path.join("changed.toml"), text).expect("writes");
    let found = check(path, &["check", "changed.toml"], 0);
    assert!(crate::common::text(&found.stderr).contains("broken.png"));
    assert!(crate::common::text(&found.stdout).contains("12 frames (1 that do not decode are skipped)"));
}
