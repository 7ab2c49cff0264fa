//! What somebody who has never seen the program types first, and what it must say to that.

use std::path::Path;

use serde_json::Value;

use crate::common::{check, check_error, jidoka, json_lines, text};
use crate::flow::{count, render, station, teach};

/// The small model of these tests, from whatever `source` says.
fn teach_from(path: &Path, source: &[&str]) -> Value {
    let small = ["teach", "--out", "m.onnx", "--size", "64", "--bank", "16", "--method", "padim", "--json"];
    json_lines(&check(path, &[&small[..], source].concat(), 0).stdout).remove(0)
}

#[test]
fn of_what_is_recorded_every_frame_is_taught() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path();
    render(&path.join("good"), 0, 12, 0.0);
    assert_eq!(teach_from(path, &["--camera", "good", "--parts", "12"])["images"], 12);
    check(path, &["record", "good", "--out", "twelve.frames"], 0);
    assert_eq!(teach_from(path, &["--camera", "twelve.frames"])["images"], 12);
    station(path, "");
    let text = std::fs::read_to_string(path.join("station.toml")).expect("reads");
    let replay = text
        .replace(
            "source = \"synthetic\"\nwidth = 320\nheight = 240\nfirst_part = 12\nfps = 20\n",
            "source = \"replay\"\npath = \"good\"\n",
        )
        .replace("defect_percent = 30\n", "");
    std::fs::write(path.join("replay.toml"), replay).expect("writes");
    assert_eq!(teach_from(path, &["--config", "replay.toml"])["images"], 12);
    check_error(path, &["teach", "--out", "m.onnx"], 2, &["--good", "--camera", "--config"]);
}

#[test]
fn the_demo_shows_as_few_parts_as_are_asked_for() {
    let folder = tempfile::tempdir().expect("a folder");
    for parts in ["1", "8"] {
        let arguments = ["demo", "--parts", parts, "--good", "5", "--json"];
        let output = jidoka(folder.path(), &arguments).output().expect("the program starts");
        // A model of five good parts may let a bad one go; that is an exit code of its own.
        assert!(matches!(output.status.code(), Some(0 | 1)), "{parts}: {}", text(&output.stderr));
        let demo = json_lines(&output.stdout).remove(0);
        assert_eq!((demo["parts"].to_string(), &demo["cut_short"]), (parts.to_owned(), &false.into()), "{demo}");
    }
}

#[test]
fn a_demo_that_is_stopped_says_so_and_counts_what_went_all_the_way() {
    let folder = tempfile::tempdir().expect("a folder");
    let arguments = ["demo", "--parts", "1000000", "--good", "5", "--json", "-v"];
    let mut child = jidoka(folder.path(), &arguments)
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("the program starts");
    let said = std::io::BufReader::new(child.stderr.take().expect("its messages"));
    let mut said = std::io::BufRead::lines(said).map_while(Result::ok);
    // Said when the loop has begun: from here on the signal is watched.
    assert!(said.any(|line| line.contains("real-time:")), "the loop did not begin");
    let sent = std::process::Command::new("kill").args(["-TERM", &child.id().to_string()]).status().expect("kill");
    assert!(sent.success());
    std::thread::spawn(move || said.for_each(drop));
    let output = child.wait_with_output().expect("it ends");
    let demo = json_lines(&output.stdout).remove(0);
    assert_eq!(
        (&demo["cut_short"], &demo["missed"], &demo["disagreements"]),
        (&true.into(), &0.into(), &0.into()),
        "{demo}"
    );
    let page = std::fs::read_to_string(folder.path().join("jidoka-demo.html")).expect("the report");
    assert!(page.contains("CUT SHORT"), "the report does not say that it was cut short");
}

#[test]
fn what_cannot_be_written_is_refused_before_the_work_and_nothing_else_is_overwritten() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path();
    check_error(
        path,
        &["demo", "--report", "nosuch/r.html"],
        4,
        &["--report nosuch/r.html", "no folder nosuch", "try: mkdir"],
    );
    // The folder of good parts is not there either: the output is looked at first.
    check_error(
        path,
        &["teach", "--good", "absent", "--out", "nosuch/m.onnx"],
        4,
        &["--out nosuch/m.onnx", "try: mkdir"],
    );
    check_error(path, &["teach", "--good", "absent", "--out", "."], 4, &["is a folder"]);
    station(path, "");
    let before = std::fs::read(path.join("station.toml")).expect("reads");
    let words = ["station.toml", "no model", "try: --out station.onnx"];
    check_error(path, &["teach", "--good", "absent", "--out", "station.toml"], 2, &words);
    assert_eq!(std::fs::read(path.join("station.toml")).expect("reads"), before);
    let names = std::fs::read_dir(path).expect("lists").map(|entry| entry.expect("an entry").file_name());
    assert_eq!(names.collect::<Vec<_>>(), ["station.toml"], "something was left behind");
}

#[test]
fn a_run_ends_with_its_counts_and_without_an_alarm() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path();
    teach(path);
    station(path, "");
    let file = path.join("station.toml");
    let text_of = std::fs::read_to_string(&file).expect("reads");
    // The way to the ejector is longer than the camera may be silent: at the end nobody is, the work is done.
    std::fs::write(&file, text_of.replace("fps = 20", "fps = 20\ntimeout_ms = 400")).expect("writes");
    let run = json_lines(&check(path, &["run", "station.toml", "--frames", "6", "--json"], 0).stdout);
    let [summary] = run.as_slice() else { panic!("one object, not {run:?}") };
    let of = |key: &str| summary[key].as_u64().unwrap_or_else(|| panic!("no {key} in {summary}"));
    assert_eq!((of("parts"), of("parts")), (6, of("passes") + of("rejects") + of("missed")), "{summary}");
    assert!(of("p50_us") <= of("p99_us") && summary["allocs_per_frame"].is_number(), "{summary}");
    let log = json_lines(&std::fs::read(path.join("verdicts.jsonl")).expect("a log"));
    assert_eq!(count(&log, "alarm").count(), 0, "{log:#?}");
    let table = text(&check(path, &["run", "station.toml", "--frames", "3"], 0).stdout);
    for word in ["parts", "rejects", "missed", "exposure to verdict", "verdicts.jsonl"] {
        assert!(table.contains(word), "no {word} in\n{table}");
    }
}

#[test]
fn a_slip_in_a_number_is_not_taken_for_another_number() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path();
    let teach = ["teach", "--good", "good", "--out", "m.onnx"];
    check_error(path, &[&teach[..], &["--false-reject", "0.5"]].concat(), 2, &["50 % of the good parts", "0.5%"]);
    for number in ["nan", "inf"] {
        check_error(
            path,
            &["infer", "m.onnx", "x.png", "--threshold", number],
            2,
            &["--threshold", "expected a number"],
        );
    }
    render(&path.join("good"), 0, 6, 0.0);
    let words = ["--roi", "50x50 at 900,900", "good/000.png", "320x240", "expected:", "try:"];
    let output = check(path, &[&teach[..], &["--roi", "900,900,50,50"]].concat(), 2);
    let said = text(&output.stderr);
    assert!(words.iter().all(|word| said.contains(word)) && said.matches("000.png").count() == 1, "{said}");
    assert!(!said.contains("001.png"), "{said}");
    std::fs::write(path.join("good/broken.png"), b"no picture").expect("writes");
    let said =
        text(&check(path, &[&teach[..], &["--size", "64", "--bank", "16", "--method", "padim"]].concat(), 0).stderr);
    assert_eq!(said.matches("broken.png").count(), 1, "{said}");
}

#[test]
fn what_is_missing_is_named_by_its_key_with_a_way_out() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path();
    station(path, "");
    check_error(path, &["check", "station.toml"], 4, &["station.toml: [model] path: ", "m.onnx", "expected:", "try:"]);
    check_error(path, &["teach", "--good", "nosuch", "--out", "n.onnx"], 4, &["nosuch", "expected: a folder", "try:"]);
    let text_of = std::fs::read_to_string(path.join("station.toml")).expect("reads");
    let write =
        |name: &str, from: &str, to: &str| std::fs::write(path.join(name), text_of.replace(from, to)).expect("writes");
    let synthetic =
        "source = \"synthetic\"\nwidth = 320\nheight = 240\nfirst_part = 12\nfps = 20\ndefect_percent = 30\n";
    write("replay.toml", synthetic, "source = \"replay\"\npath = \"nosuch\"\n");
    check_error(
        path,
        &["camera", "check", "--config", "replay.toml"],
        4,
        &["replay.toml: [camera] path: ", "nosuch", "try:"],
    );
    check_error(
        path,
        &["camera", "check", "/dev/video99"],
        4,
        &["no such camera", "expected:", "try: `jidoka camera list`"],
    );
    // One mistake, one problem.
    write("webcam.toml", synthetic, "source = \"webcam\"\n");
    let output = check(path, &["check", "webcam.toml", "--json"], 2);
    let refused = json_lines(&output.stdout).remove(0);
    assert_eq!((&refused["ok"], refused["problems"].as_array().map(Vec::len)), (&false.into(), Some(1)), "{refused}");
    assert_eq!(refused["problems"][0]["line"], 7, "{refused}");
    write("nan.toml", "path = \"m.onnx\"", "path = \"m.onnx\"\nthreshold = nan");
    check_error(path, &["check", "nan.toml"], 2, &["threshold is nan, with which nothing can be compared"]);
    render(&path.join("good"), 0, 12, 0.0);
    teach_from(path, &["--good", "good"]);
    write("gpio.toml", "backend = \"sim\"", "reject = \"nosuch-chip/GPIO17\"");
    // Whether the chip is missing or every one is, depends on the machine; the key and the way out do not.
    check_error(path, &["check", "gpio.toml"], 4, &["gpio.toml: [outputs] ", "try: `jidoka board show`", "\"sim\""]);
    // A taught model has its size, and no features to give.
    for size in ["64", "96"] {
        let backbone = ["teach", "--good", "good", "--out", "n.onnx", "--backbone", "m.onnx", "--size", size];
        let said = text(&check(path, &backbone, 3).stderr);
        assert!(
            said.contains("m.onnx: not a backbone") && said.contains("expected:") && said.lines().count() < 5,
            "{said}"
        );
    }
    // A region that does not fit the frame is a mistake in the file, not a device that is missing.
    let far = "any_roi = true\n[roi]\nx = 900\ny = 0\nwidth = 50\nheight = 50\n";
    write("far.toml", "path = \"m.onnx\"", &format!("path = \"m.onnx\"\n{far}"));
    check_error(path, &["check", "far.toml"], 2, &["far.toml: [roi]", "320x240"]);
    assert!(json_lines(&check(path, &["camera", "list", "--json"], 0).stdout)[0].is_array());
}

#[test]
fn the_example_to_try_runs_as_its_first_lines_say() {
    let folder = tempfile::tempdir().expect("a folder");
    let examples = folder.path().join("docs/examples");
    std::fs::create_dir_all(&examples).expect("makes the folder");
    let text = include_str!("../../../../docs/examples/try.toml");
    std::fs::write(examples.join("try.toml"), text).expect("writes");
    let typed: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("#   target/release/jidoka ")).collect();
    assert_eq!(typed.len(), 2, "{typed:?}");
    for line in typed {
        // As it stands but for the number of parts, which this test need not wait for.
        let line = line.replace("--frames 50", "--frames 5");
        let arguments: Vec<&str> = line.split_whitespace().collect();
        check(folder.path(), &arguments, 0);
    }
}
