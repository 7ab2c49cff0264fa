//! The station with the machine around it: what is sensed, shown, confirmed, swapped and gated.

use super::stage::World::{Ask, Await, Belt, Empty, Part, PartsUntil, Set, Tell, Wait};
use super::stage::{BAD_GREY, GOOD_GREY, belt, check};
use super::*;

#[test]
fn a_sensor_triggers_parts_and_frames_find_them() {
    let mut steps = belt(&[GOOD_GREY, BAD_GREY]);
    steps.extend([Empty, Wait(70), Part(GOOD_GREY), Wait(70)]);
    let seen = check(&[], &steps);
    assert_eq!((seen.run.word().as_str(), seen.run.pulses()), ("prp", 1));
    let inspected = seen.run.ended.inspected.expect("no panic");
    assert_eq!((inspected.frames, inspected.empty_frames), (3, 1), "a frame without a part is not judged");
    let (on, edge) = (seen.run.chip.edges_of("reject")[0].at, seen.run.chip.edges_of("sensor")[2].at);
    assert!(on >= edge + Duration::from_millis(700), "the window counts from the kernel's time of the edge");
    let entries = jidoka_line::blackbox::read(&seen.blackbox).count();
    assert!(entries >= 7, "{entries} events in the black box");
}

#[test]
fn a_part_that_bounces_is_one_part_and_one_without_a_frame_is_rejected() {
    let mut steps = vec![Set("sensor", true), Set("sensor", false), Wait(5)];
    steps.extend(belt(&[GOOD_GREY]));
    steps.extend([Set("sensor", true), Wait(5), Set("sensor", false), Wait(70)]);
    let seen = check(&[], &steps);
    let acted = seen.run.ended.acted.as_ref().expect("no panic");
    // A busy machine may sleep long enough between the two edges of the bounce to make a part of it.
    assert_eq!(seen.run.left.last(), Some(&(seen.run.left.last().expect("left").0, Why::Absent)));
    assert!(seen.run.word().ends_with("pr"), "{}", seen.run.word());
    assert!(acted.field.bounces + acted.counters.triggered >= 3);
}

#[test]
fn energised_to_pass_the_gate_opens_for_good_parts_alone() {
    let wiring = [("backend = \"sim\"", "backend = \"sim\"\nwiring = \"energise-to-pass\"")];
    let seen = check(&wiring, &belt(&[GOOD_GREY, BAD_GREY, GOOD_GREY]));
    assert_eq!(seen.run.word(), "prp");
    let edges = seen.run.chip.edges_of("reject");
    assert_eq!(edges.len(), 4, "two openings: {edges:?}");
    let sensor = seen.run.chip.edges_of("sensor");
    for (opening, part) in edges.chunks(2).zip([0, 4]) {
        assert!(opening[0].at >= sensor[part].at + Duration::from_millis(700), "{edges:?} {sensor:?}");
        assert_eq!((opening[0].level, opening[1].level), (PinState::High, PinState::Low));
    }
}

#[test]
fn results_are_shown_and_acknowledge_clears_the_alarm() {
    let changes = [
        ("sensor = \"sensor\"", "sensor = \"sensor\"\nacknowledge = \"button\"\nconfirm = \"confirm\""),
        ("pitch_ms = 60", "pitch_ms = 60\nconfirm_within_ms = 30\nalarm_after = 1"),
        ("backend = \"sim\"", "backend = \"sim\"\nresult_hold_ms = 40\nactive_low = [\"fail\"]"),
    ];
    let steps = [
        Part(BAD_GREY),
        Await("reject", true),
        Set("confirm", true),
        Wait(4),
        Set("confirm", false),
        Await("alarm", true),
        Set("button", true),
        Await("alarm", false),
        Set("button", false),
    ];
    let seen = check(&changes, &steps);
    assert_eq!(seen.run.word(), "r", "the part was seen to leave");
    let fail: Vec<PinState> = seen.run.chip.edges_of("fail").iter().map(|edge| edge.level).collect();
    assert_eq!(fail[fail.len() - 2..], [PinState::Low, PinState::High], "active low: {fail:?}");
    assert!(seen.notes.iter().any(|note| note.what == What::Acknowledged));
    assert!(!seen.run.chip.edges_of("result_valid").is_empty());
}

#[test]
fn an_ejected_part_that_is_not_seen_to_leave_is_missed() {
    let changes = [
        ("sensor = \"sensor\"", "sensor = \"sensor\"\nconfirm = \"confirm\""),
        ("pitch_ms = 60", "pitch_ms = 60\nconfirm_within_ms = 30"),
    ];
    let seen = check(&changes, &belt(&[BAD_GREY]));
    assert_eq!(seen.run.left[0], (Outcome::Missed, Why::Unconfirmed));
}

#[test]
fn parts_go_to_rework_and_samples_where_their_ejectors_are() {
    let changes = [
        ("[inputs]", "[policy]\nrework_from = 0.3\n\n[inputs]"),
        (
            "[outputs]",
            "[eject1]\ndelay_ms = 800\npulse_ms = 20\npitch_ms = 60\n[eject2]\ndelay_ms = 900\npulse_ms = 20\npitch_ms = 60\n[outputs]",
        ),
    ];
    // 100/255 lies between rework_from and the threshold.
    let mut steps = belt(&[GOOD_GREY, 100, BAD_GREY]);
    steps.push(Tell("sample"));
    steps.extend(belt(&[GOOD_GREY, GOOD_GREY]));
    let seen = check(&changes, &steps);
    let pulses = |line: &str| seen.run.chip.edges_of(line).len() / 2;
    assert_eq!((pulses("reject"), pulses("eject1"), pulses("eject2")), (1, 1, 1));
    let why: Vec<Why> = seen.run.left.iter().map(|(_, why)| *why).collect();
    assert_eq!(why.iter().filter(|why| **why == Why::Sample).count(), 1, "{why:?}");
}

#[test]
fn the_strobe_leads_the_exposure() {
    let changes = [
        ("[reject]", "delay_ms = 30\n[strobe]\nlead_ms = 5\nwidth_ms = 12\n\n[reject]"),
        ("backend = \"sim\"", "backend = \"sim\"\nstrobe = \"strobe\"\ncamera_trigger = \"camera_trigger\""),
    ];
    let seen = check(&changes, &[Part(GOOD_GREY), Await("camera_trigger", false), Wait(5)]);
    let (light, camera) = (seen.run.chip.edges_of("strobe"), seen.run.chip.edges_of("camera_trigger"));
    assert_eq!((light.len(), camera.len()), (2, 2), "{light:?} {camera:?}");
    let sensor = seen.run.chip.edges_of("sensor")[0].at;
    assert!(light[0].at >= sensor + Duration::from_millis(30));
    assert!(camera[0].at >= light[0].at + Duration::from_millis(4), "{light:?} {camera:?}");
    // The frame came before the exposure: it cannot be this part's.
    assert_eq!(seen.run.left[0].1, Why::Absent);
}

#[test]
fn an_encoder_tracks_the_part_however_long_the_belt_stands() {
    let changes = [
        ("sensor = \"sensor\"", "sensor = \"sensor\"\nencoder_a = \"encoder_a\"\nencoder_b = \"encoder_b\""),
        ("[trigger]", "[encoder]\nmm_per_count = 1\nfastest_mm_per_s = 2000\n\n[trigger]\nframe_tolerance_ms = 8"),
        ("delay_ms = 700\npulse_ms = 20\npitch_ms = 60", "delay_mm = 60\npulse_mm = 20\npitch_mm = 60"),
        ("[station]", "[policy]\nstale_ms = 60000\n[station]"),
    ];
    let steps = [Belt(3), Part(BAD_GREY), Belt(40), Wait(300), Belt(15), Wait(50), Belt(30)];
    let seen = check(&changes, &steps);
    assert_eq!((seen.run.word().as_str(), seen.run.pulses()), ("r", 1));
    let mut encoder = [seen.run.chip.edges_of("encoder_a"), seen.run.chip.edges_of("encoder_b")].concat();
    encoder.sort_by_key(|edge| edge.at);
    let reject = seen.run.chip.edges_of("reject");
    let counts = |at: Duration| encoder.iter().filter(|edge| edge.at <= at).count();
    let (on, off) = (counts(reject[0].at), counts(reject[1].at));
    assert!(on >= 63 && off >= 83, "on after {on} counts, off after {off}");
}

#[test]
fn a_recipe_is_swapped_without_losing_a_part() {
    let changes = [("[inputs]", "[recipe.strict.model]\nthreshold = 0.05\n\n[inputs]")];
    let mut steps = belt(&[GOOD_GREY, GOOD_GREY]);
    steps.extend([Ask("recipe strict"), PartsUntil("fail", GOOD_GREY)]);
    steps.extend(belt(&[GOOD_GREY; 2]));
    steps.extend([Tell("status"), Tell("recipe strickt"), Wait(70)]);
    let seen = check(&changes, &steps);
    let word = seen.run.word();
    let sensed = seen.run.chip.edges_of("sensor").len() / 2;
    assert_eq!(word.len(), sensed, "every part leaves: {word}");
    assert!(word.starts_with("pp") && word.ends_with("rrr") && !word.contains("rp"), "{word}");
    // Judged by the recipe that each was triggered under: not one verdict was disbelieved.
    assert!(seen.run.left.iter().all(|(_, why)| matches!(why, Why::Good | Why::Score)), "{:?}", seen.run.left);
    for words in ["\"swap_us\":", "\"recipes\":[\"default\",\"strict\"]", "no recipe \"strickt\"", "try: strict"] {
        assert!(seen.answers.iter().any(|answer| answer.contains(words)), "nobody says {words}: {:?}", seen.answers);
    }
}

#[test]
fn select_lines_change_the_recipe_and_those_that_name_none_keep_it_and_alarm() {
    let changes = [
        ("[station]", "[station]\nselect = 0"),
        ("sensor = \"sensor\"", "sensor = \"sensor\"\nrecipe_select = [\"s0\", \"s1\"]"),
        ("[inputs]", "[recipe.strict]\nselect = 2\n[recipe.strict.model]\nthreshold = 0.05\n\n[inputs]"),
    ];
    let mut steps = belt(&[GOOD_GREY]);
    steps.extend([Set("s1", true), PartsUntil("fail", GOOD_GREY)]);
    steps.extend([Set("s0", true), Await("alarm", true)]);
    steps.extend(belt(&[GOOD_GREY]));
    let seen = check(&changes, &steps);
    let word = seen.run.word();
    assert!(word.starts_with('p') && word.ends_with("rr") && !word.contains("rp"), "{word}");
    assert!(seen.notes.iter().any(|note| note.what == What::Raised(jidoka_line::Alarm::UnknownRecipe)));
}

#[test]
fn golden_samples_gate_ready() {
    let changes = [("[station]", "[golden]\nsamples = [\"good\", \"bad\"]\n\n[station]")];
    let mut steps = belt(&[GOOD_GREY, BAD_GREY]);
    steps.push(Await("ready", true));
    steps.extend(belt(&[GOOD_GREY]));
    let seen = check(&changes, &steps);
    assert_eq!(seen.run.word(), "rrp", "nothing passes before the check has");
    let ready = seen.run.chip.edges_of("ready")[0].at;
    assert!(ready > seen.run.chip.edges_of("sensor")[2].at, "Ready waits for both samples");
}

#[test]
fn a_command_triggers_a_part() {
    let changes =
        [("sensor = \"sensor\"\n", ""), ("source = \"sensor\"", "source = \"software\"\nframe_tolerance_ms = 29")];
    let seen =
        check(&changes, &[Tell("trigger"), Empty, Wait(5), Tell("acknowledge"), Tell("shift"), Tell("nonsense")]);
    // The frame that came with the command shows its part; on a busy machine it may come too late to be it.
    assert_eq!(seen.run.word(), "r");
    assert!(matches!(seen.run.left[0].1, Why::Score | Why::Absent), "{:?}", seen.run.left);
    assert!(seen.answers[3].contains("not a known request"), "{:?}", seen.answers);
}
