//! Triggers, ejectors, handshake and recipes: what goes together, and what each refusal says.

use jidoka_line::{Axis, Wiring};

use super::*;

/// A file by which a sensor, an encoder and three ejectors make sense.
const WHOLE: &str = r#"
[station]
recipe = "red"
select = 0

[camera]
source = "v4l2"
device = "/dev/video0"
controls = { exposure = 10 }

[model]
path = "red.onnx"

[inputs]
sensor = "lab/IN0"
encoder_a = "lab/IN1"
encoder_b = "lab/IN2"
confirm = "lab/IN3"
acknowledge = "lab/IN4"
recipe_select = ["lab/IN5", "lab/IN6"]
active_low = ["sensor"]

[encoder]
mm_per_count = 0.25
fastest_mm_per_s = 500

[trigger]
source = "sensor"
delay_mm = 40
longest_mm = 30
frame_tolerance_ms = 20

[strobe]
lead_ms = 0.5
width_ms = 4

[reject]
delay_mm = 300
pulse_mm = 20
pitch_mm = 60
slip_mm = 2
lag_ms = 4
confirm_within_ms = 60

[eject1]
delay_mm = 500
pulse_mm = 20
pitch_mm = 60

[policy]
hysteresis = 0.1
area_pixels = 30
area_level = 0.7
rework_from = 0.4
sample_to = "eject1"
regions = [{ x = 0, y = 0, width = 10, height = 10, level = 0.5 }]

[golden]
samples = ["good", "bad"]
holds_minutes = 480

[alarms]
rate_most = 10
rate_of = 50
stop_line_on = ["missed_part", "encoder_slip"]

[watchdog]
device = "/dev/watchdog"

[outputs]
reject = "lab/OUT0"
eject1 = "lab/OUT1"
strobe = "lab/OUT2"
camera_trigger = "lab/OUT3"
line_stop = "lab/OUT4"
safe_on = ["line_stop"]
wiring = "energise-to-pass"

[recipe.blue]
select = 2
[recipe.blue.model]
path = "blue.onnx"
[recipe.blue.reject]
delay_mm = 310
[recipe.blue.camera]
controls = { exposure = 20 }
"#;

/// As the parent's `check`, on the whole file.
fn check_whole(from: &str, to: &str, expected: &[&str]) {
    assert!(WHOLE.contains(from), "the file does not hold {from:?}");
    let Err(refused) = Config::parse("w.toml", &WHOLE.replacen(from, to, 1)) else { panic!("{to:?} was accepted") };
    let message = refused.to_string();
    for words in expected {
        assert!(message.contains(words), "{to:?} gives:\n{message}\nwhich does not say {words:?}");
    }
    assert!(message.contains("expected: "), "{message}");
}

#[test]
fn a_whole_line_is_read() {
    let config = Config::parse("plant/w.toml", WHOLE).unwrap_or_else(|refused| panic!("{refused}"));
    assert_eq!(config.reject.slot.axis(), Axis::Distance);
    // 300 mm at 500 mm/s.
    assert_eq!((config.reject.delay_us, config.reject.pulse_us, config.reject.pitch_us), (600_000, 40_000, 120_000));
    assert_eq!(config.trigger.source, Source::Sensor);
    assert_eq!((config.trigger.delay, config.trigger.longest), (40_000, Some(30_000)));
    assert!(config.trigger.check_sequence && config.trigger.strobe.is_some());
    assert_eq!(config.outputs.wiring, Wiring::EnergiseToPass);
    let safe: Vec<_> = config.outputs.wires.iter().filter(|wire| wire.safe_on).map(|wire| wire.signal).collect();
    assert_eq!(safe, ["line_stop"]);
    let low: Vec<_> = config.inputs.wires.iter().filter(|wire| wire.active_low).map(|wire| wire.name).collect();
    assert_eq!(low, ["sensor"]);
    assert_eq!(config.line_policy.golden.as_ref().map(|golden| golden.samples.len()), Some(2));
}

#[test]
fn a_recipe_says_only_what_is_different() {
    let config = Config::parse("plant/w.toml", WHOLE).unwrap_or_else(|refused| panic!("{refused}"));
    let [red, blue] = &config.recipes[..] else { panic!("{} recipes", config.recipes.len()) };
    assert_eq!((red.name.as_str(), red.select, blue.name.as_str(), blue.select), ("red", Some(0), "blue", Some(2)));
    assert_eq!(blue.model.path, Path::new("plant/blue.onnx"));
    assert_eq!((red.reject.delay_us, blue.reject.delay_us), (600_000, 620_000));
    assert_eq!(blue.policy, red.policy);
    assert_eq!((&red.controls[0].1, &blue.controls[0].1), (&10, &20));
    assert!(blue.others[0].is_some());
}

#[test]
fn what_is_wrong_in_a_recipe_is_said_once_and_names_it() {
    check_whole("delay_mm = 310", "delay_mm = 0", &["delay_mm = 0 is out of range", "read for [recipe.blue]"]);
    check_whole("delay_mm = 310", "delai_mm = 310", &["delai_mm is not a known key", "try: delay_mm"]);
    check_whole("[recipe.blue.camera]", "[recipe.blue.camera]\nwidth = 640", &["width cannot change with the recipe"]);
    check_whole("[recipe.blue.model]", "[recipe.blue.modell]", &["[recipe.blue.modell] cannot change"]);
    check_whole("select = 2", "select = 4", &["select = 4 does not fit on 2 recipe_select lines"]);
    check_whole("select = 2", "select = 0", &["select = 0 is also that of recipe red"]);
    check_whole("[recipe.blue]", "[recipe.red]", &["is the name of the file's own recipe"]);
    check_whole("select = 2", "selekt = 2", &["[recipe] selekt is not a known key"]);
    check_whole("slip_mm = 2", "slip_mm = 2\ndelay_ms = 5", &["[reject] delay_ms does not go with delay_mm"]);
    let text = WHOLE.replace("pulse_mm = 20\npitch_mm = 60\nslip_mm = 2", "pulse_mm = 59\npitch_mm = 60\nslip_mm = 2");
    let refused = Config::parse("w.toml", &text).expect_err("refused");
    let reaches = refused.problems.iter().filter(|problem| problem.what.contains("reaches the next part")).count();
    assert_eq!(reaches, 1, "{refused}");
}

#[test]
fn what_needs_something_else_says_what() {
    check_whole("sensor = \"lab/IN0\"\n", "", &["source = \"sensor\" needs a sensor", "expected: [inputs] sensor"]);
    check_whole("encoder_a = \"lab/IN1\"\n", "", &["encoder_b is wired and encoder_a is not"]);
    check_whole("mm_per_count = 0.25\n", "", &["[encoder] mm_per_count is missing"]);
    check_whole("confirm = \"lab/IN3\"\n", "", &["confirm_within_ms without a sensor that confirms"]);
    check_whole("confirm_within_ms = 60\n", "", &["confirm is wired and nothing says how long"]);
    check_whole("eject1 = \"lab/OUT1\"\n", "", &["[eject1] describes an ejector that is not wired"]);
    check_whole("area_level = 0.7\n", "", &["area_pixels and area_level belong together"]);
    check_whole("rate_of = 50\n", "", &["rate_most and rate_of belong together"]);
    check_whole("source = \"sensor\"", "source = \"frames\"", &["the station cannot light or expose it"]);
    check_whole("source = \"sensor\"", "source = \"encoder\"", &["every_mm is missing"]);
}

#[test]
fn what_contradicts_itself_is_refused_with_the_sums() {
    check_whole("frame_tolerance_ms = 20", "frame_tolerance_ms = 70", &["could match a frame to two parts", "2 x 70"]);
    check_whole("width_ms = 4", "width_ms = 0.4", &["is over before the exposure begins, 0.5 ms later"]);
    check_whole("rate_most = 10", "rate_most = 60", &["rate_most = 60 can never be exceeded among rate_of = 50"]);
    check_whole("hysteresis = 0.1", "frames = 2\nrejects = 3", &["rejects = 3 can never be reached with frames = 2"]);
    check_whole("hysteresis = 0.1", "frames = 2", &["with a camera_trigger that exposes one"]);
    check_whole("safe_on = [\"line_stop\"]", "safe_on = [\"reject\"]", &["must be off while nothing inspects"]);
    check_whole("\"lab/IN3\"", "\"lab/OUT2\"", &["[inputs] confirm and strobe are both \"lab/OUT2\""]);
    check_whole(
        "stop_line_on = [\"missed_part\"",
        "stop_line_on = [\"mist\"",
        &["which is no alarm", "\"missed_part\""],
    );
    check_whole("[\"good\", \"bad\"]", "[\"good\", \"fair\"]", &["[golden] samples: \"fair\""]);
    check_whole("level = 0.5 }", "levl = 0.5 }", &["[policy] regions holds something else", "level = 1"]);
    // Two at once, in one reading.
    let text = WHOLE
        .replace("width_ms = 4", "width_ms = 0.4")
        .replace("pulse_mm = 20\npitch_mm = 60\nslip", "pulse_mm = 59\npitch_mm = 60\nslip");
    let refused = Config::parse("w.toml", &text).expect_err("refused");
    assert!(refused.problems.len() >= 2, "{refused}");
}
