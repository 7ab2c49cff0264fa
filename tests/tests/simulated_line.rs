//! The simulated line: hours of parts and faults against the product's own line code, and, as the test of that test,
//! deliberate bugs that it has to find.
//!
//! Every run is decided by its seed. A failure prints the seed, the shift, the fewest parts that show it, and what happened.

use jidoka_sim::{Bug, Fault, SimConfig, Stats, hunt, lines, picture, run};

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

/// Every kind of fault happens on some line: none is left out by mistake.
#[test]
fn every_kind_of_fault_happens() {
    let mut seen = std::collections::BTreeSet::new();
    for (name, config) in lines() {
        let config = SimConfig { fault_permille: 100, shift_parts: 1_000, ..config };
        let stats = run(&config, 0.5, 8).unwrap_or_else(|errors| panic!("{name}: {errors}"));
        check(name, &stats);
        seen.extend(stats.faults_by_kind.keys().copied());
    }
    let never: Vec<Fault> = Fault::ALL.into_iter().filter(|fault| !seen.contains(fault)).collect();
    assert!(never.is_empty(), "these faults never happened: {never:?}");
}

/// The mutation check: each deliberate bug must be found, on one of the lines, by a promise that it breaks; and the table in the
/// documents names each of them.
#[test]
fn each_deliberate_bug_is_caught() {
    let table = include_str!("../../docs/SIMULATION.md");
    let found = hunt(7);
    let missed: Vec<Bug> = found.iter().filter(|(_, found)| found.is_none()).map(|(bug, _)| *bug).collect();
    assert!(missed.is_empty(), "not caught: {missed:?}");
    for (bug, found) in found {
        let row = format!("| `{bug:?}` | {} |", found.map_or("", |found| found.line));
        assert!(
            table.contains(&row),
            "docs/SIMULATION.md lacks `{row}`; the example `bugs` of jidoka-sim prints the table"
        );
    }
}
