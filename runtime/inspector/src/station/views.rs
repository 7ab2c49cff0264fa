//! Views: several looks at one part, each with a region, a model and a limit of its own.
//!
//! A part is as bad as its worst view: missed where one of them could not be judged, rejected where one rejects, and passed only
//! where all pass. Every view is judged, whatever the others said, so that the log tells all that is wrong with a part.

use std::time::Duration;

use jidoka_capture::FrameView;
use jidoka_line::policy::{MapView, Policy};
use jidoka_line::{Judgement, Micros, ModelDigest, RecipeId, Score, Subject, Verdict, Why};
use jidoka_models::{InspectionModel, Outcome};
use jidoka_prepare::Preparer;

use super::inspect;
use crate::alloc::{self, Stage};
use crate::os::clock;

/// Most views of one part.
pub const MAX_VIEWS: usize = jidoka_telemetry::MAX_VIEWS;

/// One look at a part's frame.
pub struct View {
    /// Frame to engine input.
    pub preparer: Preparer,
    /// The engine and what its outputs mean.
    pub model: InspectionModel,
    /// Scores to verdicts.
    pub judge: Judge,
    /// Whether the last frame could be prepared.
    fits: bool,
}

/// Who judges.
pub struct Judge {
    /// Scores and maps to judgements.
    pub policy: Policy,
    /// A score at or over this is a reject.
    pub limit: f32,
    /// First bytes of the model's digest.
    pub model: ModelDigest,
}

/// What one view said of a part.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ViewSaid {
    /// What was decided.
    pub judgement: Judgement,
    /// Why.
    pub why: Why,
    /// The score; not a number where there is none.
    pub score: f32,
    /// First bytes of the model's digest.
    pub model: ModelDigest,
    /// By how much the score is over the limit.
    over: f32,
}

/// What the views said of a part.
#[derive(Clone, Copy, Debug)]
pub struct Said {
    each: [ViewSaid; MAX_VIEWS],
    count: usize,
    worst: usize,
}

impl View {
    /// A look that has seen nothing yet.
    pub fn new(preparer: Preparer, model: InspectionModel, judge: Judge) -> View {
        View { preparer, model, judge, fits: false }
    }

    /// Writes the frame into the engine's input.
    pub fn prepare(&mut self, frame: &FrameView<'_>) {
        self.fits = inspect::prepare(&mut self.preparer, frame, &mut self.model).is_ok();
    }
}

impl Judge {
    /// What the model's answer means; where there is none, the part was not inspected.
    fn judge(&mut self, outcome: Result<Outcome<'_>, Why>) -> ViewSaid {
        let Judge { policy, limit, model } = self;
        let (judgement, why, score) = match outcome {
            Err(why) => (Judgement::Missed, why, f32::NAN),
            Ok(outcome) => {
                let map = outcome.map.map(|map| MapView { values: map.values, width: map.width as u32 });
                let (judgement, why) = policy.judge(Score(outcome.score), map);
                (judgement, why, outcome.score)
            }
        };
        ViewSaid { judgement, why, score, model: *model, over: score - *limit }
    }

    /// A part that nobody has looked at.
    pub fn not_seen(&self, why: Why) -> ViewSaid {
        ViewSaid { judgement: Judgement::Missed, why, score: f32::NAN, model: self.model, over: f32::NAN }
    }
}

impl ViewSaid {
    /// What some view said, of no model in particular.
    #[cfg(test)]
    pub fn of(judgement: Judgement, why: Why, score: f32) -> ViewSaid {
        ViewSaid { judgement, why, score, model: ModelDigest::default(), over: score }
    }

    /// How bad it is: the greater, the worse.
    fn rank(&self) -> (u8, f32) {
        let kind = match self.judgement {
            Judgement::Pass => 0,
            Judgement::Divert(_) => 1,
            Judgement::Reject => 2,
            Judgement::Missed => 3,
        };
        (kind, self.over)
    }

    fn is_worse_than(&self, other: &ViewSaid) -> bool {
        let ((kind, over), (other_kind, other_over)) = (self.rank(), other.rank());
        kind > other_kind || kind == other_kind && over > other_over
    }

    /// The verdict for the line, on a frame of `sequence` taken at `captured_at`.
    pub fn verdict(&self, subject: Subject, recipe: RecipeId, sequence: u32, captured_at: Duration) -> Verdict {
        Verdict {
            subject,
            judgement: self.judgement,
            why: self.why,
            score: Score(self.score),
            sequence,
            model: self.model,
            recipe,
            captured_at: Micros::from_duration(captured_at),
            decided_at: Micros::from_duration(clock::now()),
        }
    }
}

impl Said {
    /// What one view said, where there is only one.
    pub fn one(said: ViewSaid) -> Said {
        Said { each: [said; MAX_VIEWS], count: 1, worst: 0 }
    }

    fn and(&mut self, said: ViewSaid) {
        let Some(place) = self.each.get_mut(self.count) else { return };
        *place = said;
        if said.is_worse_than(&self.each[self.worst]) {
            self.worst = self.count;
        }
        self.count += 1;
    }

    /// Each view's, the first one first.
    pub fn each(&self) -> &[ViewSaid] {
        &self.each[..self.count]
    }

    /// Which view is the worst.
    pub fn worst_place(&self) -> usize {
        self.worst
    }

    /// What that one said: it is the part's verdict.
    pub fn worst(&self) -> &ViewSaid {
        &self.each[self.worst]
    }
}

/// Time that judging took.
#[derive(Clone, Copy, Debug, Default)]
pub struct JudgeLaps {
    /// The networks.
    pub infer: Duration,
    /// Scores against limits.
    pub judge: Duration,
}

/// Runs and judges every view of a part; `sees` is whether the camera had the settings that the views were taught with.
pub fn judge<'v>(first: &'v mut View, more: &'v mut [View], sees: bool) -> (Said, JudgeLaps) {
    let mut laps = JudgeLaps::default();
    let mut said = Said::one(look(first, sees, &mut laps));
    for view in more {
        let next = look(view, sees, &mut laps);
        said.and(next);
    }
    (said, laps)
}

fn look(view: &mut View, sees: bool, laps: &mut JudgeLaps) -> ViewSaid {
    alloc::enter(Stage::Infer);
    let began = clock::now();
    let outcome = match (sees, view.fits) {
        (false, _) => Err(Why::Held),
        (true, false) => Err(Why::BadFrame),
        (true, true) => view.model.score().map_err(|_| Why::Engine),
    };
    let inferred = clock::now();
    alloc::enter(Stage::Judge);
    let said = view.judge.judge(outcome);
    laps.infer += inferred - began;
    laps.judge += clock::now() - inferred;
    said
}

#[cfg(test)]
mod tests {
    use super::*;
    use jidoka_line::EjectorId;

    fn said(letter: char, over: f32) -> ViewSaid {
        let judgement = match letter {
            'p' => Judgement::Pass,
            'd' => Judgement::Divert(EjectorId(1)),
            'r' => Judgement::Reject,
            _ => Judgement::Missed,
        };
        ViewSaid::of(judgement, Why::Good, over)
    }

    #[test]
    fn a_part_is_as_bad_as_its_worst_view() {
        for (views, worst) in
            [("p", 0), ("pp", 0), ("pr", 1), ("rp", 0), ("pdp", 1), ("drp", 1), ("prm", 2), ("mr", 0), ("pppppppr", 7)]
        {
            let mut letters = views.chars().map(|letter| said(letter, 0.0));
            let mut all = Said::one(letters.next().expect("one at least"));
            letters.for_each(|said| all.and(said));
            assert_eq!((all.worst_place(), all.each().len()), (worst, views.len()), "{views}");
        }
    }

    #[test]
    fn of_equals_the_one_furthest_over_its_limit_counts() {
        for (overs, worst) in [([0.1, 0.3, 0.2], 1), ([0.3, 0.1, 0.3], 0), ([-0.3, -0.2, f32::NAN], 1)] {
            let mut all = Said::one(said('r', overs[0]));
            overs[1..].iter().for_each(|&over| all.and(said('r', over)));
            assert_eq!(all.worst_place(), worst, "{overs:?}");
        }
    }
}
