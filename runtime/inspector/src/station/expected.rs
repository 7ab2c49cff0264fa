//! Which frames are wanted: the actuator knows the parts, the loop has the frames.
//!
//! Where parts are triggered outside the camera, the actuator writes down for each part which timestamp its frame must bear and
//! which recipe it belongs to, and the loop looks its frames up. One writer, one reader, no waiting: a place is one atomic word,
//! and a part's place is its number modulo the most parts that can be in flight. An old entry fits no new frame, because its
//! time has gone by.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jidoka_line::{FrameDue, MAX_PARTS, Micros, PartId, RecipeId, Span};

/// Bits of a word that hold the time: 8.9 years of microseconds.
const TIME_BITS: u32 = 48;

/// One place. The number of the part stands beside: it is for the log alone, so that the two may differ for an instant.
#[derive(Default)]
struct Place {
    /// The recipe above, the time below; 0 for none.
    due: AtomicU64,
    part: AtomicU64,
}

/// The frames that are wanted.
pub struct Expected {
    places: [Place; MAX_PARTS],
    tolerance: Span,
    /// How long after a frame's time the actuator may come to know of a part that it shows.
    known_within: Span,
}

/// What the loop is to do with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// It shows this part, to be judged by this recipe.
    Yes(PartId, RecipeId),
    /// It shows none.
    No,
    /// It shows none that is known yet; look again soon.
    NotYet,
}

impl Expected {
    /// No part. `tolerance`: by how much a frame's time may be off; `known_after`: how long after its trigger the actuator knows
    /// of a part, over the time that the frame comes after its trigger.
    pub fn new(tolerance: Span, known_after: Span) -> Expected {
        // A thread that is woken takes its time, on a busy machine more than on an idle one.
        const SLACK: Span = Span::from_millis(5);
        let places = std::array::from_fn(|_| Place::default());
        Expected { places, tolerance, known_within: tolerance + known_after + SLACK }
    }

    /// Writes down a part. The actuator's, and idempotent.
    pub fn publish(&self, due: &FrameDue) {
        let place = &self.places[due.part.0 as usize % MAX_PARTS];
        let word = u64::from(due.recipe.0) << TIME_BITS | (due.at.as_u64() & ((1 << TIME_BITS) - 1));
        if place.due.load(Ordering::Relaxed) != word {
            place.part.store(due.part.0, Ordering::Relaxed);
            place.due.store(word, Ordering::Release);
        }
    }

    /// Whether a frame with this timestamp is wanted, at `now`.
    pub fn look_up(&self, captured_at: Duration, now: Duration) -> Wanted {
        let captured_at = Micros::from_duration(captured_at);
        let mut best: Option<(Span, PartId, RecipeId)> = None;
        for place in &self.places {
            let word = place.due.load(Ordering::Acquire);
            if word == 0 {
                continue;
            }
            let off = captured_at.distance(Micros::new(word & ((1 << TIME_BITS) - 1)));
            if off <= self.tolerance && best.is_none_or(|(nearest, ..)| off < nearest) {
                let part = PartId(place.part.load(Ordering::Relaxed));
                best = Some((off, part, RecipeId((word >> TIME_BITS) as u16)));
            }
        }
        match best {
            Some((_, part, recipe)) => Wanted::Yes(part, recipe),
            None if Micros::from_duration(now) < captured_at + self.known_within => Wanted::NotYet,
            None => Wanted::No,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_wanted_by_the_nearest_part_and_its_recipe() {
        let ms = Duration::from_millis;
        let expected = Expected::new(Span::from_millis(10), Span::from_millis(2));
        for (part, recipe, at_ms) in [(1, 1, 1_000), (2, 2, 1_015), (65, 3, 2_000)] {
            let at = Micros::new(at_ms * 1_000);
            expected.publish(&FrameDue { part: PartId(part), recipe: RecipeId(recipe), at });
        }
        for (captured_ms, now_ms, wanted) in [
            (1_004, 1_100, Wanted::No), // part 65 has taken the place of part 1
            (1_008, 1_010, Wanted::Yes(PartId(2), RecipeId(2))),
            (1_995, 2_000, Wanted::Yes(PartId(65), RecipeId(3))),
            (3_000, 3_016, Wanted::NotYet),
            (3_000, 3_017, Wanted::No),
        ] {
            assert_eq!(expected.look_up(ms(captured_ms), ms(now_ms)), wanted, "{captured_ms}");
        }
    }
}
