//! `jidoka sim`: every example runs without a violation, the numbers add up, and the seed decides.

use std::path::Path;

use serde_json::Value;

use crate::common::{check, check_error, json_lines, text};

/// The examples of the documentation.
fn examples() -> Vec<std::path::PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/examples");
    let files = std::fs::read_dir(folder).expect("the examples").map(|entry| entry.expect("an entry").path());
    let mut files: Vec<_> = files.filter(|path| path.extension().is_some_and(|it| it == "toml")).collect();
    files.sort();
    files
}

fn simulated(folder: &Path, file: &Path, more: &[&str]) -> Value {
    let file = file.display().to_string();
    let arguments = [&["sim", file.as_str(), "--json"], more].concat();
    json_lines(&check(folder, &arguments, 0).stdout).remove(0)
}

#[test]
fn every_example_keeps_its_promises_with_faults_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let files = examples();
    assert!(files.len() >= 9, "{files:?}");
    for file in files {
        let stats = simulated(folder.path(), &file, &["--hours", "0.5", "--seed", "3"]);
        let of = |key: &str| stats[key].as_u64().unwrap_or_else(|| panic!("no {key} in {stats}"));
        assert_eq!(
            (of("seed"), of("escapes"), of("wrong_parts"), of("violations")),
            (3, 0, 0, 0),
            "{}",
            file.display()
        );
        assert!(stats["hours"].as_f64() >= Some(0.5) && of("parts") > 1_000 && of("faults") > 10, "{stats}");
        let (left, parts) = (of("passed") + of("rejected") + of("missed"), of("parts"));
        assert!(left <= parts && parts - left <= of("stranded") + of("faults"), "{}: {stats}", file.display());
        // Whatever fails rejects what it touches, so a line with every fault on loses good parts; but not most of them.
        assert!(of("rejected") > 0 && of("false_rejects") < parts / 2, "{}: {stats}", file.display());
    }
}

#[test]
fn without_faults_only_bad_parts_are_rejected_and_the_seed_decides() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = examples().into_iter().find(|path| path.ends_with("sensor.toml")).expect("the example");
    let stats = simulated(folder.path(), &file, &["--hours", "0.2", "--faults", "0%", "--seed", "5"]);
    assert_eq!((&stats["false_rejects"], &stats["missed"], &stats["faults"]), (&0.into(), &0.into(), &0.into()));
    assert_eq!((&stats["rejected"], &stats["left_out"]), (&stats["bad"], &serde_json::json!({})));
    let again = simulated(folder.path(), &file, &["--hours", "0.2", "--faults", "0%", "--seed", "5"]);
    let other = simulated(folder.path(), &file, &["--hours", "0.2", "--faults", "0%", "--seed", "6"]);
    assert_eq!(stats, again);
    assert_ne!(stats["bad"], other["bad"]);
}

#[test]
fn a_minute_is_drawn() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = examples().into_iter().find(|path| path.ends_with("rework.toml")).expect("the example");
    let out = check(folder.path(), &["sim", &file.display().to_string(), "--hours", "0", "--picture", "minute.svg"], 0);
    assert!(text(&out.stdout).contains("minute.svg"), "{}", text(&out.stdout));
    let svg = std::fs::read_to_string(folder.path().join("minute.svg")).expect("a picture");
    assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
    assert!(svg.matches("<circle").count() > 200 && svg.contains("pulses") && svg.contains("windows"), "{}", svg.len());
}

#[test]
fn what_cannot_be_simulated_is_refused_in_words() {
    let folder = tempfile::tempdir().expect("a folder");
    check_error(folder.path(), &["sim", "absent.toml"], 4, &["absent.toml: cannot read"]);
    check_error(folder.path(), &["sim", "absent.toml", "--hours=-1"], 2, &["expected hours"]);
}
