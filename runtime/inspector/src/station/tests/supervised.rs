//! The watchdog of a whole station: fed by completed inspections and by a proven idle, and by nothing else.

use super::stage::World::{self, Hang, PartsUntilFed, SilentUntilFed};
use super::stage::{BAD_GREY, GOOD_GREY, belt, check};

/// Runs these steps; how often the watchdog was fed while the loop hung.
fn fed_hanging(steps: &[World]) -> u64 {
    let told = check(&[], steps);
    let (meals, fed_hanging) = told.meals;
    assert_eq!(meals.last(), Some(&b'V'), "an orderly end disarms it");
    assert!(meals.len() > 2, "it was fed before and after: {meals:?}");
    fed_hanging
}

#[test]
fn inspections_feed_the_watchdog_and_a_loop_that_hangs_does_not() {
    let mut steps = vec![PartsUntilFed(GOOD_GREY), Hang { owing: false }, PartsUntilFed(BAD_GREY)];
    steps.extend(belt(&[GOOD_GREY]));
    assert_eq!(fed_hanging(&steps), 0, "the actuator and the scribe live, the loop does not");
}

#[test]
fn an_inspection_that_hangs_with_a_part_in_flight_does_not_feed_the_watchdog() {
    let steps = [PartsUntilFed(GOOD_GREY), Hang { owing: true }, PartsUntilFed(GOOD_GREY)];
    assert_eq!(fed_hanging(&steps), 0);
}

#[test]
fn a_camera_that_has_nothing_to_show_feeds_the_watchdog_while_the_line_owes_nothing() {
    let steps = [SilentUntilFed, SilentUntilFed, Hang { owing: false }, SilentUntilFed];
    assert_eq!(fed_hanging(&steps), 0, "idle is proven by a loop that lives");
}
