//! The simulated line: hours of parts and faults against the product's own line code, and, as the test of that test,
//! deliberate bugs that it has to find.
//!
//! Every run is decided by its seed. A failure prints the seed, the shift, the fewest parts that show it, and what happened.

use jidoka_line::{Quorum, RejectTiming, Span, Wiring};
use jidoka_sim::{Bug, SimConfig, Stats, Trigger, picture, run, run_with_bug};

/// The lines that are simulated: each way to trigger, to wire, and to decide.
fn lines() -> Vec<(&'static str, SimConfig)> {
    let example = SimConfig::example();
    let frames = |frames, rejects| SimConfig { quorum: Quorum { frames, rejects }, ..example.clone() };
    let ms = Span::from_millis;
    // As tight as the arithmetic allows: windows and clear spaces fill the whole pitch.
    let tight = RejectTiming { pulse: ms(42), pitch: ms(60), confirm_within: Some(ms(18)), ..example.timing };
    vec![
        ("sensor", example.clone()),
        ("free running", SimConfig { trigger: Trigger::FreeRun, ..example.clone() }),
        ("encoder", SimConfig { trigger: Trigger::Encoder, ..example.clone() }),
        ("energise to pass", SimConfig { wiring: Wiring::EnergiseToPass, ..example.clone() }),
        ("both frames", frames(2, 1)),
        ("two of three frames", frames(3, 2)),
        ("tight", SimConfig { timing: tight, ..example.clone() }),
    ]
}

#[track_caller]
fn check(name: &str, stats: &Stats) {
    if let Some(failure) = &stats.failure {
        let story = failure.story.join("\n");
        let (seed, shift, parts, what) = (failure.seed, failure.shift, failure.parts, &failure.what);
        panic!("{name}: {:?}: {what}\nseed {seed}, shift {shift}, {parts} parts:\n{story}", failure.violation);
    }
    assert_eq!((stats.escapes, stats.wrong_parts, stats.violations), (0, 0, 0), "{name}");
    let left = stats.passed + stats.rejected + stats.missed;
    assert!(left <= stats.parts && stats.parts - left <= stats.stranded + stats.faults, "{name}: {stats:?}");
}

#[test]
fn every_part_leaves_once_and_no_bad_one_escapes_whatever_goes_wrong() {
    for (name, config) in lines() {
        let stats = run(&config, 1.0, 1).unwrap_or_else(|errors| panic!("{name}: {errors}"));
        check(name, &stats);
        assert!(stats.faults > 100 && stats.bad > 500 && stats.rejected > stats.bad / 2, "{name}: {stats:?}");
    }
}

#[test]
fn many_faults_at_once_are_no_worse() {
    for (name, config) in lines() {
        let config = SimConfig { fault_permille: 200, ..config };
        check(name, &run(&config, 0.5, 2).unwrap_or_else(|errors| panic!("{name}: {errors}")));
    }
}

#[test]
fn without_faults_exactly_the_bad_parts_are_rejected() {
    for (name, config) in lines() {
        let config = SimConfig { fault_permille: 0, ..config };
        let stats = run(&config, 0.5, 3).unwrap_or_else(|errors| panic!("{name}: {errors}"));
        check(name, &stats);
        assert_eq!((stats.false_rejects, stats.missed, stats.stranded), (0, 0, 0), "{name}");
        assert_eq!((stats.rejected, stats.passed), (stats.bad, stats.parts - stats.bad), "{name}");
    }
}

#[test]
fn the_same_seed_gives_the_same_world() {
    let config = SimConfig::example();
    let once = run(&config, 0.2, 4).expect("the example's timing is right");
    let again = run(&config, 0.2, 4).expect("the example's timing is right");
    let other = run(&config, 0.2, 5).expect("the example's timing is right");
    assert_eq!(once, again);
    assert_ne!((once.faults, once.rejected), (other.faults, other.rejected));
}

#[test]
fn the_picture_shows_parts_and_pulses() {
    let svg = picture(&SimConfig::example(), 6, 10.0, 10.0).expect("the example's timing is right");
    assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
    assert!(svg.matches("<circle").count() >= 60 && svg.matches("<rect").count() >= 60);
}

/// The mutation check: each deliberate bug must be found, on one of the lines, by a promise that it breaks.
#[test]
fn each_deliberate_bug_is_caught() {
    let mut missed = Vec::new();
    for bug in Bug::ALL {
        let mut caught = None;
        for (name, config) in lines() {
            // More bad parts and more faults than usual, so that a bug has every chance to do harm.
            let config = SimConfig { bad_permille: 200, fault_permille: 60, ..config };
            let stats = run_with_bug(&config, 0.3, 7, Some(bug)).unwrap_or_else(|errors| panic!("{name}: {errors}"));
            if let Some(failure) = stats.failure {
                caught = Some((name, failure));
                break;
            }
        }
        match caught {
            Some((name, failure)) => {
                println!("{bug:?}: {name}: {:?} after {} parts: {}", failure.violation, failure.parts, failure.what);
            }
            None => missed.push(bug),
        }
    }
    assert!(missed.is_empty(), "not caught: {missed:?}");
}

/// A thousand hours at ten parts a second; minutes of CPU even when optimised, so only on request:
/// `cargo test --release -p jidoka-tests --test simulated_line -- --ignored`.
#[test]
#[ignore = "a thousand line-hours: minutes of CPU in release"]
fn a_thousand_hours() {
    let lines = lines();
    let hours = 1_000.0 / lines.len() as f64;
    for (index, (name, config)) in lines.into_iter().enumerate() {
        let stats = run(&config, hours, 100 + index as u64).unwrap_or_else(|errors| panic!("{name}: {errors}"));
        println!("{name}: {} h, {} parts, {} faults", stats.hours, stats.parts, stats.faults);
        check(name, &stats);
    }
}
