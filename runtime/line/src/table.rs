//! The table of parts in flight: one record a part, each in one explicit state, in the order in which parts were triggered.

use heapless::Vec;

use crate::MAX_PARTS;
use crate::event::Evidence;
use crate::part::{Axis, Part, PartId, Travel};
use crate::recipe::{Recipe, Windows};
use crate::time::Micros;
use crate::verdict::{EjectorId, PulseId, RecipeId, Why};
use crate::window::RejectWindow;

/// Where a part is between trigger and leaving.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// No verdict yet.
    Waiting,
    /// Judged good; no window will open for it.
    Passing,
    /// To be ejected; its window has not opened yet.
    Ejecting {
        /// By which ejector.
        ejector: EjectorId,
    },
    /// Being ejected.
    Firing {
        /// By which ejector.
        ejector: EjectorId,
        /// By which pulse.
        pulse: PulseId,
        /// Since when.
        since: Micros,
    },
    /// Ejected; the confirmation input has not seen it yet.
    Confirming {
        /// By which ejector.
        ejector: EjectorId,
        /// By which pulse.
        pulse: PulseId,
        /// Until when it must be seen.
        until: Micros,
    },
}

/// How many frames of a part were judged, and how.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Votes {
    /// Good.
    pub passes: u8,
    /// Not good.
    pub rejects: u8,
}

/// One part in flight.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Record {
    /// The part.
    pub part: Part,
    /// The recipe it was triggered under.
    pub recipe: RecipeId,
    /// Its state.
    pub state: State,
    /// Why it is in it.
    pub why: Why,
    /// Frames judged so far.
    pub votes: Votes,
    /// What the last verdict rested on.
    pub evidence: Option<Evidence>,
    /// Where the light goes on for it, until it has.
    pub(crate) strobe_at: Option<Travel>,
    /// When the light went on for it.
    pub(crate) lit_at: Option<Micros>,
    /// On an energise-to-pass line: the gate was opened for it in time.
    pub(crate) let_through: bool,
    /// The last pulse that was fired at it.
    pub(crate) pulse: Option<PulseId>,
    /// Where the belt stood when the ejector was given a rest in the middle of the window.
    pub(crate) rested_at: Option<Travel>,
    /// How often the confirmation input has seen it leave.
    pub(crate) seen: u8,
    /// When its verdict came.
    pub(crate) shown_at: Option<Micros>,
    pub(crate) windows: Windows,
}

impl Record {
    pub(crate) fn new(part: Part, recipe: &Recipe) -> Record {
        let from = part.travel(recipe.axis());
        Record {
            part,
            recipe: recipe.id,
            state: State::Waiting,
            why: Why::Absent,
            votes: Votes::default(),
            evidence: None,
            strobe_at: recipe.strobe.map(|strobe| from.plus(strobe.delay)),
            lit_at: None,
            let_through: false,
            pulse: None,
            rested_at: None,
            seen: 0,
            shown_at: None,
            windows: recipe.windows(&part),
        }
    }

    /// The window at `ejector`.
    pub fn window(&self, ejector: EjectorId) -> Option<&RejectWindow> {
        self.windows.get(usize::from(ejector.0))?.as_ref()
    }

    /// Where the reject window opens: from there on a part without a verdict is rejected.
    pub fn due(&self) -> Travel {
        self.window(EjectorId::REJECT).map_or(Travel(i64::MIN), |window| window.opens)
    }

    /// Where nothing on the axis can concern it any more: past every window and the clear space after it.
    pub fn clear(&self) -> Travel {
        let ends = self.windows.iter().flatten().map(|window| window.closes.plus(window.gap));
        ends.max().unwrap_or(Travel(i64::MIN))
    }

    /// Whether `here` has reached any of its windows.
    pub(crate) fn has_begun(&self, here: Travel) -> bool {
        self.windows.iter().flatten().any(|window| here >= window.opens)
    }

    /// A deliberate bug: the windows are those of the part behind.
    #[cfg(feature = "mutants")]
    pub(crate) fn put_off(&mut self) {
        for window in self.windows.iter_mut().flatten() {
            let by = window.closes.past(window.opens) + window.gap;
            for place in [&mut window.opens, &mut window.closes, &mut window.fire_by, &mut window.gate_by] {
                *place = place.plus(by);
            }
        }
    }

    #[cfg(not(feature = "mutants"))]
    pub(crate) const fn put_off(&mut self) {}

    /// How many parts the confirmation input will see: two where two touched.
    pub(crate) fn expects(&self) -> u8 {
        if self.why == Why::Merged { 2 } else { 1 }
    }

    pub(crate) fn conflicts(&self, other: &Record) -> bool {
        let mut pairs = self.windows.iter().zip(other.windows.iter());
        pairs.any(|pair| matches!(pair, (Some(mine), Some(other)) if mine.conflicts(other)))
    }

    /// Sends it to the reject ejector, unless it is on the way to an ejector already.
    pub(crate) fn reject(&mut self, why: Why) {
        if matches!(self.state, State::Waiting | State::Passing) {
            self.state = State::Ejecting { ejector: EjectorId::REJECT };
            self.why = why;
        }
    }
}

/// The parts in flight, first triggered first.
#[derive(Clone, Default, Debug)]
pub struct Table {
    records: Vec<Record, MAX_PARTS>,
}

impl Table {
    pub(crate) const fn new() -> Table {
        Table { records: Vec::new() }
    }

    /// Each record, in the order of their triggers.
    pub fn iter(&self) -> core::slice::Iter<'_, Record> {
        self.records.iter()
    }

    /// How many parts are in flight.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Whether no more fit.
    pub fn is_full(&self) -> bool {
        self.records.is_full()
    }

    /// The record at `index`.
    pub fn get(&self, index: usize) -> Option<&Record> {
        self.records.get(index)
    }

    pub(crate) fn get_mut(&mut self, index: usize) -> Option<&mut Record> {
        self.records.get_mut(index)
    }

    /// Where the part is in the table.
    pub(crate) fn find(&self, id: PartId) -> Option<usize> {
        self.records.iter().position(|record| record.part.id == id)
    }

    /// Puts a record behind all that were triggered before it on the axis, and returns its index.
    pub(crate) fn insert(&mut self, record: Record, axis: Axis) -> Option<usize> {
        let from = record.part.travel(axis);
        let after = self.records.iter().rposition(|other| other.part.travel(axis) <= from);
        let index = after.map_or(0, |before| before + 1);
        self.records.insert(index, record).ok().map(|()| index)
    }

    pub(crate) fn remove(&mut self, index: usize) -> Option<Record> {
        // `Vec::remove` panics past the end; the check makes that path unreachable.
        (index < self.records.len()).then(|| self.records.remove(index))
    }
}
