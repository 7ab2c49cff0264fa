//! Recipes at run time: prepared on another thread, swapped between two frames, the old one given back.
//!
//! The loop looks into its inbox once per turn; taking a recipe is moving a box. Frames of parts that were triggered under the
//! recipe before are still judged by it, so both are kept until no such part can come any more. Where a recipe changes the
//! camera's controls, parts that are exposed meanwhile are not inspected and so rejected: nobody knows which settings their
//! frames were taken with.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use heapless::spsc::{Consumer, Producer};
use jidoka_line::{Recipe, RecipeId};

use super::views::View;
use crate::os::clock;

/// All that one recipe needs in the loop.
pub struct Active {
    /// What looks at each frame.
    pub first: View,
    /// More looks at it.
    pub more: Vec<View>,
    /// What the line needs to know of it.
    pub recipe: Recipe,
}

/// What the preparing thread puts into the loop's inbox.
pub enum Offer {
    /// The camera's controls are about to change.
    Blind,
    /// From now on this one; frames older than `sees_from` are not to be judged.
    Swap {
        /// The recipe.
        active: Box<Active>,
        /// When it was put into the inbox.
        offered_at: Duration,
        /// From when on the camera has its settings.
        sees_from: Duration,
    },
}

/// What the loop gives back.
pub enum Returned {
    /// A recipe was taken.
    Taken {
        /// Which.
        id: RecipeId,
        /// From the offer to the swap.
        took: Duration,
    },
    /// One that is used no more, to be freed where time does not matter.
    Retired(Box<Active>),
}

/// Recipes on their way to the loop.
pub type OfferQueue = heapless::spsc::Queue<Offer, 4>;
/// Recipes on their way back.
pub type ReturnQueue = heapless::spsc::Queue<Returned, 8>;

/// The loop's end.
pub struct Wardrobe<'q> {
    current: Box<Active>,
    previous: Option<(Box<Active>, Duration)>,
    inbox: Consumer<'q, Offer>,
    outbox: Producer<'q, Returned>,
    /// Frames exposed before this are not judged.
    blind_until: Duration,
    /// How long the one before may still be asked for.
    keep: Duration,
    /// Where swaps are written down.
    registry: Option<Registry>,
}

impl<'q> Wardrobe<'q> {
    /// With this recipe, and `keep` as the longest that a part is on its way.
    pub fn new(
        current: Box<Active>,
        inbox: Consumer<'q, Offer>,
        outbox: Producer<'q, Returned>,
        keep: Duration,
        registry: Option<Registry>,
    ) -> Wardrobe<'q> {
        Wardrobe { current, previous: None, inbox, outbox, blind_until: Duration::ZERO, keep, registry }
    }

    /// The recipe in use.
    pub fn current(&mut self) -> &mut Active {
        &mut self.current
    }

    /// Whether the recipe of this number is still here.
    pub fn has(&self, id: RecipeId) -> bool {
        let previous = self.previous.as_ref().map(|(active, _)| active.recipe.id);
        self.current.recipe.id == id || previous == Some(id)
    }

    /// The one of this number, where it is still here.
    pub fn of(&mut self, id: RecipeId) -> Option<&mut Active> {
        if self.current.recipe.id == id {
            return Some(&mut self.current);
        }
        self.previous.as_mut().map(|(active, _)| &mut **active).filter(|active| active.recipe.id == id)
    }

    /// Whether a frame of this moment may be judged.
    pub fn sees(&self, captured_at: Duration) -> bool {
        captured_at >= self.blind_until
    }

    /// Takes what has been offered; gives the line's recipe where it is another one now. Moves boxes and nothing else.
    pub fn look(&mut self, now: Duration) -> Option<Recipe> {
        if self.previous.as_ref().is_some_and(|(_, since)| now > *since + self.keep) {
            self.retire();
        }
        // A place in the outbox for the one that may have to go and for the answer, or the offer waits for the next turn.
        if self.outbox.capacity() - self.outbox.len() < 2 {
            return None;
        }
        match self.inbox.dequeue()? {
            Offer::Blind => self.blind_until = Duration::MAX,
            Offer::Swap { active, offered_at, sees_from } => {
                self.retire();
                self.blind_until = sees_from;
                let old = std::mem::replace(&mut self.current, active);
                self.previous = Some((old, now));
                let recipe = self.current.recipe;
                let took = now.saturating_sub(offered_at);
                // Before the line is told, so that whoever writes down that the recipe changed finds it.
                self.registry.iter().for_each(|registry| registry.swapped(took));
                let _ = self.outbox.enqueue(Returned::Taken { id: recipe.id, took });
                return Some(recipe);
            }
        }
        None
    }

    fn retire(&mut self) {
        if let Some((old, since)) = self.previous.take()
            && let Err(Returned::Retired(old)) = self.outbox.enqueue(Returned::Retired(old))
        {
            // No room: it stays until there is.
            self.previous = Some((old, since));
        }
    }
}

/// What logs and telemetry say of a recipe.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Known {
    /// Its name.
    pub name: String,
    /// Its views, the first one first.
    pub views: Vec<KnownView>,
}

/// What logs and telemetry say of a view.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KnownView {
    /// Its name.
    pub name: String,
    /// Its model's file.
    pub model: String,
    /// The sha256 of that, in hexadecimal.
    pub sha256: String,
    /// The threshold.
    pub threshold: f64,
}

/// The recipes that have been in use, by their number. Shared by the preparing thread and the scribe, both of which may wait.
#[derive(Clone, Debug, Default)]
pub struct Registry(Arc<Facts>);

#[derive(Debug, Default)]
struct Facts {
    known: Mutex<std::collections::BTreeMap<u16, Known>>,
    /// How long the last swap took, in microseconds. The loop's, which waits for nobody.
    swap_us: AtomicU64,
}

impl Registry {
    /// Writes down what is known of a recipe.
    pub fn set(&self, id: RecipeId, known: Known) {
        self.lock().insert(id.0, known);
    }

    /// What is known of it.
    pub fn get(&self, id: RecipeId) -> Option<Known> {
        self.lock().get(&id.0).cloned()
    }

    /// A recipe was swapped in, so long after it had been handed over. Waits for nobody.
    pub fn swapped(&self, took: Duration) {
        self.0.swap_us.store(clock::micros(took), Ordering::Relaxed);
    }

    /// How long the last swap took, in microseconds: from handing the recipe over to the loop's taking it between two frames.
    pub fn last_swap_us(&self) -> u64 {
        self.0.swap_us.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, std::collections::BTreeMap<u16, Known>> {
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
