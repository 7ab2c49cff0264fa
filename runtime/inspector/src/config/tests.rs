//! What is accepted, and what each refusal says.

use super::*;

mod line;

const GOOD: &str = r#"
[station]
name = "capper"

[camera]
source = "v4l2"
device = "/dev/video0"
width = 640
height = 480
format = "YUYV"

[model]
path = "capper.onnx"

[reject]
delay_ms = 400
pulse_ms = 60
pitch_ms = 120
tolerance_ms = 12.5

[outputs]
reject = "lab/LAB0"
ready = "lab/LAB1"
active_low = ["reject"]
"#;

/// Replaces `from` by `to` in a good file and compares the refusal's text, without the file's name.
fn check(from: &str, to: &str, expected: &[&str]) {
    assert!(GOOD.contains(from), "the good file does not hold {from:?}");
    let text = GOOD.replacen(from, to, 1);
    let Err(refused) = Config::parse("capper.toml", &text) else { panic!("{to:?} was accepted") };
    let message = refused.to_string();
    for words in expected {
        assert!(message.contains(words), "{to:?} gives:\n{message}\nwhich does not say {words:?}");
    }
    assert!(message.starts_with("capper.toml"), "{message}");
    assert!(message.contains("expected: "), "{message}");
}

#[test]
fn a_good_file_is_read_whole() {
    let config = Config::parse("plant/capper.toml", GOOD).expect("accepted");
    assert_eq!(config.station.name, "capper");
    assert_eq!(config.model.path, Path::new("plant/capper.onnx"));
    assert_eq!((config.reject.delay_us, config.reject.pulse_us, config.reject.pitch_us), (400_000, 60_000, 120_000));
    let SourceConfig::V4l2(camera) = &config.camera.source else { panic!("not v4l2") };
    assert_eq!((camera.size, camera.format), (Some((640, 480)), Some(jidoka_capture::PixelFormat::Yuyv)));
    let reject = WireChoice { signal: "reject", address: "lab/LAB0".into(), active_low: true, safe_on: false };
    let ready = WireChoice { signal: "ready", address: "lab/LAB1".into(), active_low: false, safe_on: false };
    assert_eq!(config.outputs.wires, [reject, ready]);
}

#[test]
fn unknown_keys_are_refused_with_the_nearest_known_one() {
    check("pulse_ms = 60", "puls_ms = 60", &["capper.toml:17: [reject] puls_ms is not a known key", "try: pulse_ms"]);
    check("device =", "devise =", &[":7: [camera] devise is not a known key", "try: device"]);
    check("[outputs]", "[output]", &[":21: [output] is not a known table", "try: [outputs]"]);
    check("name = \"capper\"", "pulse_ms = 3", &[":3: [station] pulse_ms", "try: pulse_ms belongs under [reject]"]);
    check("[station]\nname", "zzz = 1\n[station]\nname", &[":2: [zzz] is not a known table", "[camera]"]);
}

#[test]
fn values_out_of_range_or_of_the_wrong_kind_name_line_and_range() {
    check("pulse_ms = 60", "pulse_ms = -3", &[":17: [reject] pulse_ms = -3 is out of range", "expected: 0.1 to 60000"]);
    check("pulse_ms = 60", "pulse_ms = \"60\"", &[":17: [reject] pulse_ms is text", "a number, 0.1 to 60000"]);
    check("delay_ms = 400", "delay_ms = nan", &[":16: [reject] delay_ms is nan, with which nothing can be compared"]);
    check("width = 640", "width = 640.5", &[":8: [camera] width = 640.5", "a whole number"]);
    check("format = \"YUYV\"", "format = \"YUY2\"", &[":10: [camera] format", "\"GREY\" or", "try: format = \"YUYV\""]);
    check("source = \"v4l2\"", "source = \"v4l\"", &[":6: [camera] source", "try: source = \"v4l2\""]);
    check("[model]", "[[model]]", &["model is a list, not a table", "expected: a table: [model]"]);
    check("path = \"capper.onnx\"", "path = \"\"", &[":13: [model] path is empty"]);
    check("path = \"capper.onnx\"", "path = ", &[":13: not TOML"]);
    check("[\"reject\"]", "[\"regect\"]", &["active_low names \"regect\"", "\"heartbeat\""]);
    check("[\"reject\"]", "[1]", &["active_low is a list"]);
}

#[test]
fn a_public_key_has_to_be_one() {
    let with = |key: &str| format!("path = \"capper.onnx\"\npublic_key = \"{key}\"");
    check("path = \"capper.onnx\"", &with("capper.pub"), &[":14: [model] public_key", "begins with RW", "model keys"]);
    // The key that minisign's own releases are signed with.
    let key = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";
    let text = GOOD.replace("path = \"capper.onnx\"", &with(key));
    let config = Config::parse("c", &text).expect("accepted");
    assert_eq!(config.recipes[0].model.public_key.as_ref().map(ToString::to_string).as_deref(), Some(key));
}

#[test]
fn what_is_missing_is_named_with_an_example() {
    check("device = \"/dev/video0\"", "", &["[camera] device is missing", "try: device = \"/dev/video0\""]);
    check("path = \"capper.onnx\"", "", &["[model] path is missing"]);
    check("pitch_ms = 120", "", &["[reject] pitch_ms is missing", "pitch_mm = 60 and belt_mm_per_s = 500"]);
    check("height = 480", "", &["width and height belong together"]);
    check("reject = \"lab/LAB0\"", "", &["[outputs] reject is missing", "backend = \"sim\""]);
    check("[reject]", "[roi]\nx = 3\n[reject]", &["[roi] width is missing", "[roi] height is missing"]);
}

#[test]
fn contradictions_are_refused_with_the_sums() {
    check(
        "pulse_ms = 60",
        "pulse_ms = 110",
        &[
            ":17: [reject] pulse_ms = 110 ms reaches the next part",
            "parts are 120 ms apart",
            "expected: pulse <= 95 ms",
        ],
    );
    check("pitch_ms = 120", "pitch_mm = 60", &["pitch_mm needs belt_mm_per_s"]);
    check("pitch_ms = 120", "pitch_ms = 120\npitch_mm = 60\nbelt_mm_per_s = 500", &["says the pitch twice"]);
    check(
        "pitch_ms = 120",
        "pitch_ms = 120\nverdict_within_ms = 900",
        &["is over before the verdict is there", "delay_ms = 900"],
    );
    check(
        "width = 640",
        "fps = 10\nwidth = 640",
        &[
            "fps = 10 makes a part every 100.0 ms",
            "at least 120.0 ms apart",
            "pitch_ms = 100.0 or less, fps = 8.3 or less",
        ],
    );
    check("delay_ms = 400", "delay_ms = 60000", &["parts would be in flight"]);
    check("\"lab/LAB1\"", "\"lab/LAB0\"", &["ready and reject are both \"lab/LAB0\""]);
}

#[test]
fn what_the_camera_reads_out_and_how_it_is_watched_is_read() {
    let text = GOOD.replace("width = 640", "crop = [64, 32, 640, 480]\nmemory = \"dma-heap\"\nwidth = 640");
    let text = format!(
        "{text}\n[roi]\nx = 8\nwidth = 100\nheight = 90\n[health]\nfrozen_frames = 9\non_trouble = \"count\"\n"
    );
    let config = Config::parse("c", &text).expect("accepted");
    let SourceConfig::V4l2(camera) = &config.camera.source else { panic!("not v4l2") };
    assert_eq!(camera.crop, Some(Roi { x: 64, y: 32, width: 640, height: 480 }));
    assert_eq!(camera.memory, jidoka_capture::Memory::DmaHeap);
    let watching = camera.watching.expect("a camera is watched");
    assert_eq!((watching.limits.frozen_frames, watching.withhold, watching.roi), (9, false, config.camera.roi));
    check("width = 640", "crop = [1, 2, 3]\nwidth = 640", &["[camera] crop is no rectangle", "[x, y, width, height]"]);
    check("width = 640", "crop = [1, 2, 0, 3]\nwidth = 640", &["[camera] crop is no rectangle"]);
    check("[model]", "[raw]\nblack_level = 3\n[model]", &["[raw] corrects raw sensor formats"]);
    check("[model]", "[health]\ndark_mean = 300\n[model]", &["dark_mean = 300 is out of range"]);
    check("[model]", "[align]\nmax_degrees = 3\n[model]", &["[align] template is missing", "jidoka camera snapshot"]);
}

#[test]
fn every_problem_is_reported_at_once_in_the_order_of_the_file() {
    let text = GOOD.replace("width = 640", "widht = 640").replace("pulse_ms = 60", "pulse_ms = 0");
    let refused = Config::parse("capper.toml", &text).expect_err("refused");
    let lines: Vec<_> = refused.problems.iter().filter_map(|problem| problem.line).collect();
    assert!(lines.len() >= 2 && lines.is_sorted(), "{refused}");
    assert_eq!(refused.to_string().matches("error: ").count(), refused.problems.len() - 1);
}

#[test]
fn a_pitch_in_millimetres_is_a_pitch_in_milliseconds() {
    let text = GOOD.replace("pitch_ms = 120", "pitch_mm = 60\nbelt_mm_per_s = 500");
    assert_eq!(Config::parse("c", &text).expect("accepted").reject.pitch_us, 120_000);
}

#[test]
fn every_key_has_a_meaning_and_stands_once() {
    let keys = Config::keys();
    assert!(keys.len() > 30);
    let mut names: Vec<_> = keys.iter().map(|doc| (doc.section, doc.key)).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), keys.len(), "a key is described twice");
    assert!(keys.iter().all(|doc| doc.help.len() > 5), "{keys:?}");
}

#[test]
fn hostile_text_is_refused_and_never_panics() {
    let cases = ["\0", "[", "[camera]\nsource = [[[[", "= 1", "[a]\n[a]", "camera = 3", "[reject]\ndelay_ms = 1e400"];
    for text in cases {
        assert!(Config::parse("x", text).is_err(), "{text:?} was accepted");
    }
    for cut in 0..GOOD.len() {
        let _ = Config::parse("x", &GOOD[..cut]);
    }
}

#[test]
fn the_examples_are_accepted() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/examples");
    let files = std::fs::read_dir(&folder).expect("the examples").filter_map(|entry| Some(entry.ok()?.path()));
    let files: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|end| end == "toml")).collect();
    assert!(files.len() >= 8, "{files:?}");
    for file in files {
        if let Err(error) = Config::read(&file) {
            panic!("{error}");
        }
    }
}
