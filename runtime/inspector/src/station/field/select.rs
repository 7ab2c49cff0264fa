//! Recipe select lines: a binary number that has to stand still before it counts.

use jidoka_line::{Micros, Span};

use crate::config::RecipeChoice;

/// What the select lines ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// This recipe, by its place among the recipes.
    Recipe(u16),
    /// A number that no recipe has.
    Nothing,
}

/// The select lines.
pub struct Select {
    /// Each number that a recipe has, with the recipe's place.
    known: Vec<(u32, u16)>,
    debounce: Span,
    number: u32,
    /// When the number last changed, until it has been taken.
    changed_at: Option<Micros>,
    asked: Option<u32>,
}

impl Select {
    /// Lines with these levels, lowest bit first, which count as just set.
    pub fn new(recipes: &[RecipeChoice], debounce: Span, levels: impl Iterator<Item = bool>) -> Select {
        let known = recipes.iter().enumerate().filter_map(|(place, recipe)| Some((recipe.select?, place as u16)));
        let number = levels.enumerate().fold(0, |number, (bit, level)| number | u32::from(level) << bit);
        Select { known: known.collect(), debounce, number, changed_at: Some(Micros::ZERO), asked: None }
    }

    /// Takes a line's edge.
    pub fn on_edge(&mut self, bit: u8, active: bool, at: Micros) {
        let mask = 1_u32 << bit;
        self.number = if active { self.number | mask } else { self.number & !mask };
        self.changed_at = Some(at);
    }

    /// What is asked for, once the number has stood still; each number once.
    pub fn poll(&mut self, now: Micros) -> Option<Asked> {
        self.changed_at.take_if(|at| now >= *at + self.debounce)?;
        if self.asked.replace(self.number) == Some(self.number) {
            return None;
        }
        let known = self.known.iter().find(|(number, _)| *number == self.number);
        Some(known.map_or(Asked::Nothing, |(_, place)| Asked::Recipe(*place)))
    }

    /// When the number will have stood still.
    pub fn deadline(&self) -> Option<Micros> {
        self.changed_at.map(|at| at + self.debounce)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn select(levels: [bool; 2]) -> Select {
        let known = vec![(0, 0), (2, 1)];
        Select { known, ..Select::new(&[], Span::from_millis(5), levels.into_iter()) }
    }

    #[test]
    fn a_number_counts_when_it_has_stood_still_and_only_once() {
        let (mut select, ms) = (select([false, false]), |ms: u64| Micros::new(ms * 1_000));
        assert_eq!(select.poll(ms(10)), Some(Asked::Recipe(0)), "the levels at start are a request");
        select.on_edge(0, true, ms(20));
        select.on_edge(1, true, ms(21));
        select.on_edge(0, false, ms(22));
        assert_eq!((select.poll(ms(26)), select.deadline()), (None, Some(ms(27))));
        assert_eq!(select.poll(ms(27)), Some(Asked::Recipe(1)));
        select.on_edge(0, true, ms(30));
        select.on_edge(0, false, ms(31));
        assert_eq!(select.poll(ms(40)), None, "a glitch asks for nothing new");
        select.on_edge(0, true, ms(50));
        assert_eq!(select.poll(ms(60)), Some(Asked::Nothing));
    }
}
