//! The golden-sample check: before a shift, known parts go over the line and must get the verdicts they are known for. Until
//! they have, the line is not Ready and rejects everything.

use heapless::Vec;

use crate::time::{Micros, Span};
use crate::verdict::Judgement;

/// Most golden samples in one check.
pub const MAX_GOLDEN: usize = 16;

/// What a golden sample is known to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Golden {
    /// Must pass.
    Good,
    /// Must not pass.
    Bad,
}

/// Which samples come, in which order, and how long a passed check holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GoldenPlan {
    /// The samples in the order in which they are laid on the belt.
    pub samples: Vec<Golden, MAX_GOLDEN>,
    /// How long a passed check holds; [`Span::MAX`] for as long as the line runs.
    pub holds: Span,
}

/// What one verdict did to the gate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Step {
    /// Not part of a check.
    None,
    /// As expected, more to come.
    Next,
    /// As expected, and the last: the gate is open.
    Opened,
    /// Not as expected: the check begins again.
    Wrong,
}

/// Open while a check holds.
#[derive(Clone, Debug)]
pub(crate) struct Gate {
    plan: Option<GoldenPlan>,
    matched: usize,
    open_until: Option<Micros>,
}

impl Gate {
    pub(crate) const fn new(plan: Option<GoldenPlan>) -> Gate {
        Gate { plan, matched: 0, open_until: None }
    }

    pub(crate) fn is_open(&self, now: Micros) -> bool {
        self.plan.is_none() || self.open_until.is_some_and(|until| now < until)
    }

    /// When an open gate closes by itself.
    pub(crate) fn closes(&self) -> Option<Micros> {
        self.open_until.filter(|until| until.as_u64() < u64::MAX)
    }

    /// Closes an overdue gate; true when it just did.
    pub(crate) fn lapse(&mut self, now: Micros) -> bool {
        self.open_until.take_if(|until| now >= *until).is_some()
    }

    /// Begins a new check at once (shift start, new recipe).
    pub(crate) fn close(&mut self) {
        self.open_until = None;
        self.matched = 0;
    }

    pub(crate) fn judged(&mut self, judgement: Judgement, now: Micros) -> Step {
        let Some(plan) = &self.plan else { return Step::None };
        if self.open_until.is_some() {
            return Step::None;
        }
        let Some(expected) = plan.samples.get(self.matched) else {
            // A plan without samples has nothing to prove.
            self.open_until = Some(now + plan.holds);
            return Step::Opened;
        };
        let passed = judgement == Judgement::Pass;
        if passed != (*expected == Golden::Good) {
            self.matched = 0;
            return Step::Wrong;
        }
        self.matched += 1;
        if self.matched < plan.samples.len() {
            return Step::Next;
        }
        self.matched = 0;
        self.open_until = Some(now + plan.holds);
        Step::Opened
    }
}
