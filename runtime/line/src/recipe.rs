//! What the line needs to know of a recipe: its number, where its windows lie, when its light flashes.

use crate::MAX_EJECTORS;
use crate::part::{Axis, Part};
use crate::time::Span;
use crate::verdict::{EjectorId, RecipeId};
use crate::window::{RejectWindow, Slot};

/// Camera trigger and light of one part. The light goes on `delay` axis units after the trigger, the camera is exposed `lead`
/// later, and both go off `width` after the light went on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Strobe {
    /// From the trigger to the light, in axis units (microseconds or micrometres).
    pub delay: i64,
    /// From the light to the camera's trigger.
    pub lead: Span,
    /// How long the light stays on.
    pub width: Span,
}

/// The windows of one part, one an ejector.
pub(crate) type Windows = [Option<RejectWindow>; MAX_EJECTORS];

/// One product's timing on this line.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Recipe {
    /// Its number.
    pub id: RecipeId,
    /// Light and camera trigger, where the line drives them.
    pub strobe: Option<Strobe>,
    reject: Slot,
    others: [Option<Slot>; MAX_EJECTORS - 1],
}

/// Why an ejector cannot be added to a recipe.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RecipeError {
    /// Its windows are scheduled on time and the reject ejector's on distance, or the other way round.
    OtherAxis(EjectorId),
    /// Its number is not 1 or 2.
    NoSuchEjector(EjectorId),
}

impl core::fmt::Display for RecipeError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            RecipeError::OtherAxis(ejector) => {
                let number = ejector.0;
                write!(
                    f,
                    "ejector {number} and the reject ejector are scheduled differently\n  expected: both in time or both in distance"
                )
            }
            RecipeError::NoSuchEjector(ejector) => {
                write!(f, "there is no ejector {}\n  expected: 1 or 2 (0 is the reject ejector)", ejector.0)
            }
        }
    }
}

impl core::error::Error for RecipeError {}

impl Recipe {
    /// A recipe with one ejector.
    pub const fn new(id: RecipeId, reject: Slot) -> Recipe {
        Recipe { id, strobe: None, reject, others: [None; MAX_EJECTORS - 1] }
    }

    /// Adds an ejector (number 1 or 2).
    ///
    /// # Errors
    /// Where the number is not 1 or 2, or the slot is scheduled on another axis than the reject ejector's.
    pub fn with_ejector(mut self, ejector: EjectorId, slot: Slot) -> Result<Recipe, RecipeError> {
        if slot.axis() != self.reject.axis() {
            return Err(RecipeError::OtherAxis(ejector));
        }
        let index = usize::from(ejector.0).wrapping_sub(1);
        let place = self.others.get_mut(index).ok_or(RecipeError::NoSuchEjector(ejector))?;
        *place = Some(slot);
        Ok(self)
    }

    /// What its windows are scheduled on.
    pub const fn axis(&self) -> Axis {
        self.reject.axis()
    }

    /// Whether a part of this recipe and one of `other` can be in flight together: on the same axis, with the same ejectors.
    pub fn can_mix(&self, other: &Recipe) -> bool {
        let same = |(mine, other): (&Option<Slot>, &Option<Slot>)| mine.is_some() == other.is_some();
        self.axis() == other.axis() && self.others.iter().zip(other.others.iter()).all(same)
    }

    pub(crate) fn slot(&self, ejector: EjectorId) -> Option<&Slot> {
        match ejector.0 {
            0 => Some(&self.reject),
            number => self.others.get(usize::from(number) - 1)?.as_ref(),
        }
    }

    pub(crate) fn windows(&self, part: &Part) -> Windows {
        let from = part.travel(self.axis());
        core::array::from_fn(|index| self.slot(EjectorId(index as u8)).map(|slot| slot.window(from)))
    }
}
