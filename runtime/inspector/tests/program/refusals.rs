//! Bad input of every kind: one clear message, the right exit code, nothing energised.

use crate::common::{check, check_error, text};

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
    check_error(folder.path(), &["run", "good.toml"], 3, &["none.onnx"]);
    check_error(folder.path(), &["infer", "absent.onnx", "x.png"], 3, &["absent.onnx"]);
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
    for command in ["demo", "teach", "infer", "run", "check", "bench", "eval", "model", "camera", "board"] {
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
}
