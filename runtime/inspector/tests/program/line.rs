//! Talking to a station that runs, and reading what it leaves behind when it is killed.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde_json::Value;

use crate::common::{check, check_error, jidoka, json_lines, text};
use crate::flow::{station, teach};

#[test]
fn a_recipe_is_changed_from_outside_and_the_black_box_outlives_the_process() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path();
    teach(path);
    station(path, "[recipe.strict.model]\nthreshold = -1000000");
    let file = path.join("station.toml");
    let config = std::fs::read_to_string(&file).expect("reads");
    let socket = path.join("control.sock").display().to_string();
    let keys = format!("[station]\ncontrol = \"{socket}\"\nblackbox = \"black.box\"");
    let config = config.replace("[station]", &keys).replace("verdict_log = \"verdicts.jsonl\"\n", "");
    std::fs::write(&file, config).expect("writes");
    check(path, &["check", "station.toml"], 0);
    check_error(path, &["recipe", "strict", "--config", "station.toml"], 1, &["no station answers here"]);

    let run = jidoka(path, &["run", "station.toml"]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let mut station = run.expect("the program starts");
    let lines = BufReader::new(station.stdout.take().expect("its output")).lines().map_while(Result::ok);
    let mut lines = lines.map(|line| serde_json::from_str::<Value>(&line).expect("JSON"));
    let mut part = |recipe: &str| lines.by_ref().find(|line| line["event"] == "part" && line["recipe"] == recipe);
    assert!(part("default").is_some(), "no part came");
    let answer = check(path, &["recipe", "strict", "--config", "station.toml", "--json"], 0);
    assert!(json_lines(&answer.stdout)[0]["swap_us"].is_u64(), "{}", text(&answer.stdout));
    let strict = part("strict").expect("a part of the other recipe");
    assert_ne!(strict["verdict"], "pass", "{strict}");
    let there_and_back = ["recipe", "default", "strict", "--times", "3", "--control", &socket, "--json"];
    let times = json_lines(&check(path, &there_and_back, 0).stdout).remove(0);
    assert!(times["swaps"] == 6 && times["swap"]["max_us"].is_u64() && times["prepare"]["p50_us"].is_u64(), "{times}");
    assert!(
        lines.any(|line| line["event"] == "recipe" && line["swap_us"].is_u64()),
        "the log says how long a swap took"
    );
    let refused = ["recipe", "strikt", "--control", &socket];
    check_error(
        path,
        &refused,
        1,
        &["there is no recipe \"strikt\"", "expected: one of default, strict", "try: strict"],
    );
    check_error(path, &["tell", "trigger", "--control", &socket], 1, &["not triggered by command"]);
    assert!(text(&check(path, &["tell", "status", "--control", &socket], 0).stdout).contains("strict"));

    station.kill().expect("SIGKILL");
    station.wait().expect("it ends");
    let events = json_lines(&check(path, &["blackbox", "black.box", "--json"], 0).stdout);
    let of = |event: &str| events.iter().filter(|line| line["event"] == event).count();
    assert!(of("start") == 1 && of("recipe") == 7 && of("reject") >= 1 && of("pulse_on") >= 1, "{events:?}");
    let numbers: Vec<u64> = events.iter().filter_map(|line| line["number"].as_u64()).collect();
    assert!(numbers.is_sorted(), "in the order in which they happened: {numbers:?}");
    check_error(path, &["blackbox", "station.toml"], 2, &["not a black box"]);
    check_error(path, &["tell", "status", "--control", &socket], 1, &["no station answers here"]);
}

#[test]
fn the_pins_are_measured_without_a_model() {
    let folder = tempfile::tempdir().expect("a folder");
    let answer =
        json_lines(&check(folder.path(), &["bench", "--pins", "--frames", "20", "--json"], 0).stdout).remove(0);
    for figure in ["p50_us", "p99_us", "p999_us"] {
        assert!(answer["verdict_to_pin"][figure].is_u64() && answer["edge_to_pin"][figure].is_u64(), "{answer}");
    }
    assert!(answer["edge_to_pin_off"]["p50_us"].is_u64() && answer["pulse_ms"] == 25, "{answer}");
    // On a busy machine a part may be over before its edge; not all can be.
    assert_eq!(answer["allocations"], 0, "{answer}");
    for count in ["unanswered", "censored"] {
        assert!(answer[count].as_u64().is_some_and(|count| count < 20), "{answer}");
    }
}
