//! Stations whose parts are triggered by the machine's camera or by the belt, from the wires to how each part leaves.

use jidoka_line::Alarm;

use super::stage::World::{Back, Belt, Burst, Frame, FrameAtEdge, Lose, Silent, Wait};
use super::stage::{BAD_GREY, GOOD_GREY, Told, World, check};
use super::*;

/// The file's changes for a camera that the machine triggers.
const CAMERA: [(&str, &str); 2] =
    [("sensor = \"sensor\"\n", ""), ("source = \"sensor\"\ndebounce_ms = 0.5", "source = \"camera\"")];

#[test]
fn every_frame_of_a_triggered_camera_is_a_part_and_silence_is_no_fault() {
    let part = |grey| [Frame(grey), Wait(70)];
    let steps = [&part(GOOD_GREY)[..], &[Silent(20)], &part(BAD_GREY), &part(GOOD_GREY)].concat();
    let told = check(&CAMERA, &steps);
    assert_eq!((told.run.word().as_str(), told.run.pulses()), ("prp", 1));
    assert!(!told.raised(Alarm::FrameDeadline), "nobody knows when the machine triggers next");
    let ready = told.run.chip.edges_of("ready");
    assert_eq!(ready.len(), 2, "Ready from the start to the end: {ready:?}");
}

#[test]
fn silence_of_a_triggered_camera_is_a_fault_where_the_file_says_after_how_long() {
    let changes = [CAMERA[0], CAMERA[1], ("timeout_ms = 60000", "timeout_ms = 200")];
    let told = check(&changes, &[Frame(GOOD_GREY), Wait(1000)]);
    assert!(told.raised(Alarm::FrameDeadline));
}

#[test]
fn a_frame_that_a_triggered_camera_lost_is_a_part_missed_with_an_alarm() {
    let steps = [Frame(GOOD_GREY), Wait(70), Lose(2), Frame(BAD_GREY), Wait(70)];
    let told = check(&CAMERA, &steps);
    let counters = told.run.ended.acted.as_ref().expect("no panic").counters;
    assert_eq!((counters.triggered, counters.passed, counters.rejected, counters.missed), (4, 1, 1, 2));
    assert!(told.raised(Alarm::LostTrigger));
    assert!(!told.run.chip.edges_of("missed").is_empty(), "the PLC is told");
}

/// Parts every 20 mm of belt, a millimetre a count, ejected so far on.
fn on_the_belt(eject_mm: u32, stall_ms: u32, steps: &[World]) -> Told {
    let encoder = format!(
        "[encoder]\nmm_per_count = 1\nfastest_mm_per_s = 600\nreversal_mm = 5\nstall_ms = {stall_ms}\n\n[trigger]\nframe_tolerance_ms = 9"
    );
    let placing = format!("delay_mm = {eject_mm}\npulse_mm = 10\npitch_mm = 20");
    let changes = [
        ("sensor = \"sensor\"", "encoder_a = \"encoder_a\"\nencoder_b = \"encoder_b\""),
        ("[trigger]", encoder.as_str()),
        ("source = \"sensor\"\ndebounce_ms = 0.5", "source = \"encoder\"\nevery_mm = 20"),
        ("delay_ms = 700\npulse_ms = 20\npitch_ms = 60", placing.as_str()),
        ("[station]", "[policy]\nstale_ms = 60000\n[deadlines]\ninference_ms = 60000\nactuation_ms = 60000\n[station]"),
    ];
    check(&changes, steps)
}

/// The belt brings a part of this brightness, and its frame comes when the actuator has seen it.
fn at(grey: u8) -> [World; 3] {
    [Belt(20), Wait(60), FrameAtEdge(grey)]
}

#[test]
fn the_belt_triggers_a_part_every_so_many_millimetres() {
    let steps = [&at(GOOD_GREY)[..], &at(BAD_GREY), &[Belt(140)]].concat();
    let told = on_the_belt(60, 200, &steps);
    let word = told.run.word();
    // Those that came after have no frame and are rejected where they get that far.
    assert!(word.starts_with("pr") && word.len() >= 2, "{word} {:?}", told.run.left);
    let (on, turns) = (told.run.chip.edges_of("reject")[0].at, turns(&told));
    let counts = turns.iter().filter(|at| **at <= on).count();
    assert!(counts >= 100, "triggered at 40 mm, ejected 60 mm on, and not after {counts} mm");
}

#[test]
fn a_belt_that_runs_backwards_triggers_nothing_twice_acts_on_nothing_and_alarms() {
    let steps =
        [&at(BAD_GREY)[..], &[Belt(2), Back(12), Wait(60), Belt(12), Belt(17), Wait(60), Back(8), Wait(60)]].concat();
    let told = on_the_belt(60, 200, &steps);
    assert!(told.raised(Alarm::EncoderReversal));
    let counters = told.run.ended.acted.as_ref().expect("no panic").counters;
    assert_eq!(counters.triggered, 1, "the second part is due at 40 mm, where the belt has never been");
    assert_eq!(told.run.pulses(), 0, "the part never got to its ejector: {:?}", told.run.left);
    assert_eq!(told.run.left[0].0, Outcome::Missed, "it was in flight when the station ended");
}

#[test]
fn when_the_encoder_counts_what_no_belt_can_do_the_parts_in_flight_are_missed() {
    let steps = [&at(GOOD_GREY)[..], &[Burst(500), Wait(30), Belt(1), Wait(30), Belt(1), Wait(60)]].concat();
    let told = on_the_belt(600, 20_000, &steps);
    assert!(told.raised(Alarm::EncoderSlip), "{:?}", told.notes);
    assert!(told.run.left.contains(&(Outcome::Missed, Why::TrackLost)), "{:?}", told.run.left);
    assert!(!told.run.word().contains('p'), "nobody knows where the parts were: {}", told.run.word());
}

fn turns(told: &Told) -> Vec<Duration> {
    let edges = ["encoder_a", "encoder_b"].map(|line| told.run.chip.edges_of(line)).concat();
    edges.iter().map(|edge| edge.at).collect()
}
