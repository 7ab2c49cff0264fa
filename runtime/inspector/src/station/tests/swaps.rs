//! Recipes swapped while parts are on their way: none is lost, each keeps the label and the judge that it was triggered under.

use jidoka_line::{Departure, Micros, RecipeId};

use super::stage::World::{Ask, Frame, FramesUntilAnswered, PartsUntilAnswered, Wait};
use super::stage::{BAD_GREY, GOOD_GREY, Told, belt, check};
use super::*;

/// A threshold under which a good part is bad: what a recipe says of a part tells which one judged it.
const STRICT: (&str, &str) = ("[inputs]", "[recipe.strict.model]\nthreshold = 0.05\n\n[inputs]");

fn departures(told: &Told) -> Vec<Departure> {
    let left = told.notes.iter().filter_map(|note| match note.what {
        What::Left(departure) => Some(departure),
        _ => None,
    });
    left.collect()
}

/// When the line took each recipe.
fn swaps(told: &Told) -> Vec<(Micros, RecipeId)> {
    let swaps = told.notes.iter().filter_map(|note| match note.what {
        What::Recipe(id) => Some((note.at, id)),
        _ => None,
    });
    swaps.collect()
}

/// Every part is labelled with the recipe that was in use when it was triggered and was judged by that one; `grey` good parts
/// pass by the first and are rejected by the second.
fn none_is_mislabelled(told: &Told, parts: usize) {
    let (left, swaps) = (departures(told), swaps(told));
    let mut numbers: Vec<u64> = left.iter().map(|departure| departure.part.id.0).collect();
    numbers.sort_unstable();
    let first = numbers[0];
    assert_eq!(numbers, (first..first + parts as u64).collect::<Vec<_>>(), "every part leaves, and once");
    for departure in &left {
        let passed = departure.outcome == Outcome::Pass;
        assert_eq!(passed, departure.recipe == RecipeId(1), "judged by another recipe than its own: {departure:?}");
        assert!(matches!(departure.why, Why::Good | Why::Score), "a verdict was disbelieved: {departure:?}");
        assert!(departure.evidence.is_some(), "{departure:?}");
    }
    for (at, id) in &swaps {
        let in_flight = |departure: &&Departure| departure.part.captured_at < *at && departure.recipe != *id;
        assert!(left.iter().filter(in_flight).count() >= 2, "no part was on its way at {at:?}: {left:?}");
    }
}

#[test]
fn parts_in_flight_are_neither_lost_nor_mislabelled_by_a_swap_there_and_back() {
    let mut steps = belt(&[GOOD_GREY; 4]);
    for (count, name) in (1..).zip(["recipe strict", "recipe default", "recipe strict"]) {
        steps.extend([Ask(name), PartsUntilAnswered(count, GOOD_GREY)]);
        steps.extend(belt(&[GOOD_GREY; 4]));
    }
    let told = check(&[STRICT], &steps);
    assert_eq!(swaps(&told).len(), 3, "{:?}", told.answers);
    none_is_mislabelled(&told, told.run.chip.edges_of("sensor").len() / 2);
    // Each answer says how long the line was without the recipe; how long that is on which machine is for a bench to say.
    assert!(told.answers.iter().all(|answer| answer.contains("\"swap_us\":")), "{:?}", told.answers);
}

#[test]
fn where_every_frame_is_a_part_a_swap_falls_between_two_of_them() {
    let free =
        [STRICT, ("sensor = \"sensor\"\n", ""), ("source = \"sensor\"\ndebounce_ms = 0.5", "source = \"frames\"")];
    let frames = |count| std::iter::repeat_n([Frame(GOOD_GREY), Wait(70)], count).flatten();
    let mut steps: Vec<_> = frames(4).collect();
    steps.extend([Ask("recipe strict"), FramesUntilAnswered(1, GOOD_GREY)]);
    steps.extend(frames(4));
    let told = check(&free, &steps);
    none_is_mislabelled(&told, told.run.seen);
    assert_eq!(swaps(&told).len(), 1, "{:?}", told.answers);
    let word = told.run.word();
    assert!(word.starts_with("pppp") && word.ends_with('r') && !word.contains("rp"), "{word}");
    let bad = check(&free, &[Frame(BAD_GREY), Wait(70)]);
    assert_eq!(bad.run.word(), "r");
}
