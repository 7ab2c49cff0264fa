//! What happens to parts, case by case.

use super::*;
use crate::alarm::RejectRate;
use crate::golden::{Golden, GoldenPlan};
use crate::outputs::Wiring;
use crate::verdict::EjectorId;
use crate::{Deadlines, RejectLimits};

use Judgement::{Pass, Reject};

/// Parts as (trigger ms, verdict ms, judgement), in order, to outcomes and reject pulses.
#[track_caller]
fn check(parts: &[(u64, u64, Judgement)], outcomes: &[(u64, char, Why)], pulses: &[(u64, u64)]) {
    let mut rig = Rig::new(|_| {});
    let mut steps: Vec<(u64, u64, Option<Judgement>, u64)> = Vec::new();
    for (id, (from, at, judgement)) in parts.iter().enumerate() {
        steps.push((*from, id as u64, None, *from));
        steps.push((*at, id as u64, Some(*judgement), *from));
    }
    steps.sort_by_key(|step| step.0);
    for (at, id, judgement, from) in steps {
        match judgement {
            None => rig.trigger(at, id),
            Some(_) if at == u64::MAX => {}
            Some(judgement) => rig.verdict(at, id, from, judgement),
        }
    }
    rig.run_to(10_000_000);
    assert_eq!(rig.outcomes(), outcomes);
    assert_eq!(rig.pulses(Signal::Reject), pulses);
    assert!(rig.line.table().is_empty());
}

#[test]
fn a_bad_part_is_rejected_in_its_window_and_a_good_one_is_not() {
    check(&[(0, 30, Pass), (50, 80, Reject)], &[(0, 'p', Why::Good), (1, 'r', Why::Score)], &[(150, 170)]);
}

#[test]
fn a_part_without_a_verdict_is_rejected() {
    check(&[(0, u64::MAX, Pass)], &[(0, 'r', Why::Absent)], &[(100, 120)]);
}

#[test]
fn a_late_verdict_rejects_while_the_window_is_open() {
    check(&[(0, 110, Reject)], &[(0, 'r', Why::Late)], &[(100, 120)]);
    check(&[(0, 110, Pass)], &[(0, 'r', Why::Late)], &[(100, 120)]);
}

#[test]
fn a_bad_second_verdict_wins_while_there_is_time() {
    let mut rig = Rig::new(|_| {});
    rig.trigger(0, 0);
    rig.verdict(20, 0, 0, Pass);
    rig.verdict(110, 0, 0, Reject);
    rig.run_to(1_000_000);
    assert_eq!(rig.pulses(Signal::Reject), [(110, 120)]);
    let mut rig = Rig::new(|_| {});
    rig.trigger(0, 0);
    rig.verdict(20, 0, 0, Pass);
    rig.verdict(116, 0, 0, Reject);
    rig.run_to(1_000_000);
    assert_eq!(rig.outcomes(), [(0, 'm', Why::WindowGone)], "4 ms are left of the window, 5 are needed");
    assert_eq!(rig.pulses(Signal::Reject), []);
    assert_eq!(rig.raised(Alarm::MissedPart), 1);
}

#[test]
fn a_part_that_comes_to_be_known_after_its_window_is_missed() {
    let mut rig = Rig::new(|config| config.stop_on = Alarms::NONE.with(Alarm::MissedPart));
    rig.event(130, |line, now| line.on_trigger(Part::new(PartId(0), Micros::new(1_000)), now));
    assert_eq!(rig.outcomes(), [(0, 'm', Why::WindowGone)]);
    assert!(rig.line.levels().has(Signal::LineStop) && !rig.line.levels().has(Signal::Ready));
    rig.event(131, |line, now| line.acknowledge(now));
    assert!(!rig.line.levels().has(Signal::LineStop) && rig.line.levels().has(Signal::Ready));
}

#[test]
fn parts_too_close_to_tell_apart_are_both_rejected_by_one_pulse() {
    let expected = [(0, 'r', Why::TooClose), (1, 'r', Why::TooClose)];
    check(&[(0, 30, Pass), (15, 45, Pass)], &expected, &[(100, 135)]);
    check(&[(0, 30, Pass), (24, 54, Pass)], &[(0, 'p', Why::Good), (1, 'p', Why::Good)], &[]);
}

#[test]
fn a_good_part_before_the_ejector_is_not_hit_for_one_that_comes_too_close() {
    // The second becomes known (late) when the first is already passing: its window begins only when the first is clear.
    let mut rig = Rig::new(|_| {});
    rig.trigger(0, 0);
    rig.verdict(30, 0, 0, Pass);
    rig.event(110, |line, now| line.on_trigger(Part::new(PartId(1), Micros::new(10_000)), now));
    rig.run_to(1_000_000);
    assert_eq!(rig.outcomes(), [(0, 'p', Why::Good), (1, 'r', Why::TooClose)]);
    assert_eq!(rig.pulses(Signal::Reject), [(124, 130)]);
}

#[test]
fn a_lost_trigger_shows_as_a_gap_in_the_numbers() {
    let mut rig = Rig::new(|_| {});
    rig.trigger(0, 7);
    rig.trigger(200, 10);
    rig.run_to(1_000_000);
    let counters = rig.line.counters();
    assert_eq!((counters.triggered, counters.missed, counters.rejected), (4, 2, 2));
    assert_eq!(rig.raised(Alarm::LostTrigger), 1);
}

#[test]
fn a_verdict_stands_in_for_its_own_lost_trigger() {
    let mut rig = Rig::new(|_| {});
    rig.verdict(30, 0, 10, Reject);
    rig.run_to(1_000_000);
    assert_eq!(rig.pulses(Signal::Reject), [(110, 130)]);
    assert_eq!(rig.line.counters().missed, 0);
}

#[test]
fn a_repeated_trigger_is_ignored() {
    let mut rig = Rig::new(|_| {});
    rig.trigger(0, 0);
    rig.trigger(10, 0);
    rig.run_to(1_000_000);
    assert_eq!(rig.outcomes().len(), 1);
    assert_eq!(rig.line.counters().duplicated, 1);
}

#[test]
fn a_stale_verdict_or_one_of_another_recipe_rejects() {
    let mut rig = Rig::new(|config| config.stale_after = Span::from_millis(40));
    rig.trigger(0, 0);
    rig.verdict(41, 0, 0, Pass);
    rig.trigger(200, 1);
    rig.event(210, |line, now| line.on_verdict(Verdict { recipe: RecipeId(2), ..verdict(1, 200, Pass) }, now));
    rig.run_to(1_000_000);
    assert_eq!(rig.outcomes(), [(0, 'r', Why::Stale), (1, 'r', Why::Stale)]);
}

#[test]
fn a_pass_without_a_score_and_a_bad_frame_reject() {
    let mut rig = Rig::new(|_| {});
    rig.trigger(0, 0);
    rig.event(10, |line, now| line.on_verdict(Verdict { score: Score(f32::NAN), ..verdict(0, 0, Pass) }, now));
    rig.trigger(50, 1);
    rig.verdict(60, 1, 50, Judgement::Missed);
    rig.run_to(1_000_000);
    assert_eq!(rig.outcomes(), [(0, 'r', Why::NoScore), (1, 'r', Why::BadFrame)]);
}

#[test]
fn n_of_m_frames_decide() {
    let two_of_three = |config: &mut LineConfig| config.quorum = Quorum { frames: 3, rejects: 2 };
    for (frames, expected) in [
        (&[Pass, Pass][..], ('p', Why::Good)),
        (&[Pass, Reject, Pass], ('p', Why::Good)),
        (&[Pass, Reject, Reject], ('r', Why::Score)),
        (&[Pass], ('r', Why::TooFewFrames)),
        (&[Pass, Reject], ('r', Why::TooFewFrames)),
        (&[], ('r', Why::Absent)),
    ] {
        let mut rig = Rig::new(two_of_three);
        rig.trigger(0, 0);
        for (index, judgement) in frames.iter().enumerate() {
            rig.verdict(10 + 10 * index as u64, 0, 0, *judgement);
        }
        rig.run_to(1_000_000);
        assert_eq!(rig.outcomes(), [(0, expected.0, expected.1)], "{frames:?}");
    }
}

#[test]
fn a_part_goes_to_the_ejector_that_it_is_diverted_to() {
    let mut rig = Rig::new(|config| {
        let far = RejectTiming { delay: Span::from_millis(200), ..timing() }.check().unwrap();
        config.recipe = recipe(1).with_ejector(EjectorId(1), far).unwrap();
    });
    rig.trigger(0, 0);
    rig.verdict(30, 0, 0, Judgement::Divert(EjectorId(1)));
    rig.trigger(50, 1);
    rig.verdict(80, 1, 50, Judgement::Divert(EjectorId(2)));
    rig.event(90, |line, now| line.on_event(LineEvent::Sample(EjectorId(1)), now));
    rig.trigger(100, 2);
    rig.verdict(130, 2, 100, Pass);
    rig.run_to(1_000_000);
    assert_eq!(rig.pulses(Signal::Eject1), [(200, 220), (300, 320)]);
    assert_eq!(rig.pulses(Signal::Reject), [(150, 170)], "there is no ejector 2, so its part is rejected");
}

#[test]
fn energise_to_pass_lets_only_good_parts_through() {
    let mut rig = Rig::new(|config| config.wiring = Wiring::EnergiseToPass);
    rig.trigger(0, 0);
    rig.verdict(30, 0, 0, Pass);
    rig.trigger(50, 1);
    rig.verdict(80, 1, 50, Reject);
    rig.trigger(100, 2);
    rig.run_to(1_000_000);
    assert_eq!(rig.pulses(Signal::Reject), [(100, 120)]);
    assert_eq!(rig.line.counters().passed, 1);
}

#[test]
fn a_gate_that_an_overslept_thread_moved_too_late_counts_neither_pass_nor_reject() {
    // Good, bad: the thread sleeps through the middle of the first part's window, then with the gate open into the second's.
    for (sleeps_to_us, expected) in [
        (107_000, [(0, 'p', Why::Good), (1, 'r', Why::Score)]),
        (109_000, [(0, 'm', Why::WindowGone), (1, 'r', Why::Score)]),
    ] {
        let mut rig = Rig::new(|config| config.wiring = Wiring::EnergiseToPass);
        rig.trigger(0, 0);
        rig.verdict(30, 0, 0, Pass);
        rig.trigger(50, 1);
        rig.verdict(80, 1, 50, Reject);
        *rig.clock.borrow_mut() = sleeps_to_us;
        rig.poll();
        rig.run_to(1_000_000);
        assert_eq!(rig.outcomes(), expected, "asleep to {sleeps_to_us}");
    }
    let mut rig = Rig::new(|config| config.wiring = Wiring::EnergiseToPass);
    rig.trigger(0, 0);
    rig.verdict(30, 0, 0, Pass);
    rig.trigger(50, 1);
    rig.verdict(80, 1, 50, Reject);
    rig.run_to(105_000);
    *rig.clock.borrow_mut() = 160_000;
    rig.poll();
    rig.run_to(1_000_000);
    assert_eq!(rig.outcomes(), [(0, 'p', Why::Good), (1, 'm', Why::WindowGone)], "the gate was open for the bad part");
}

#[test]
fn the_handshake_shows_each_result_once_and_none_after_a_recipe_change() {
    let mut rig = Rig::new(|_| {});
    rig.trigger(0, 0);
    assert!(rig.line.levels().has(Signal::Busy));
    rig.verdict(30, 0, 0, Pass);
    assert!(!rig.line.levels().has(Signal::Busy));
    rig.trigger(60, 1);
    rig.event(70, |line, now| line.change_recipe(recipe(2), now));
    rig.verdict(90, 1, 60, Reject);
    rig.trigger(120, 2);
    rig.event(150, |line, now| line.on_verdict(Verdict { recipe: RecipeId(2), ..verdict(2, 120, Reject) }, now));
    rig.run_to(1_000_000);
    assert_eq!(rig.pulses(Signal::ResultValid), [(30, 50), (150, 170)]);
    assert_eq!(rig.pulses(Signal::Pass), [(30, 50)]);
    assert_eq!(rig.pulses(Signal::Fail), [(150, 170)]);
    assert_eq!(rig.outcomes()[1], (1, 'r', Why::Score), "a part in flight keeps its recipe");
}

#[test]
fn the_heartbeat_moves_with_completed_inspections_only() {
    let mut rig = Rig::new(|_| {});
    rig.trigger(0, 0);
    rig.trigger(60, 1);
    rig.verdict(70, 1, 60, Judgement::Missed);
    rig.run_to(1_000_000);
    assert_eq!(rig.pulses(Signal::Heartbeat), []);
    rig.trigger(1_100, 2);
    rig.verdict(1_110, 2, 1_100, Reject);
    assert_eq!(rig.pulses(Signal::Heartbeat), [(1_110, u64::MAX)]);
}

#[test]
fn rejects_in_a_row_and_their_rate_raise_alarms() {
    let mut rig = Rig::new(|config| {
        config.limits = RejectLimits { consecutive: 3, rate: Some(RejectRate { most: 3, of: 6 }) };
    });
    let part = |rig: &mut Rig, id: u64, judgement| {
        rig.trigger(id * 50, id);
        rig.verdict(id * 50 + 20, id, id * 50, judgement);
        rig.run_to((id * 50 + 40) * 1_000);
    };
    for (id, judgement) in [Reject, Reject, Pass, Reject, Reject, Pass, Pass, Pass].into_iter().enumerate() {
        part(&mut rig, id as u64, judgement);
    }
    assert_eq!((rig.raised(Alarm::ConsecutiveRejects), rig.raised(Alarm::RejectRate)), (0, 1));
    rig.event(600, |line, now| line.acknowledge(now));
    for id in 12..17 {
        part(&mut rig, id, Reject);
    }
    rig.run_to(2_000_000);
    assert_eq!(rig.raised(Alarm::ConsecutiveRejects), 1);
}

#[test]
fn an_ejected_part_must_be_seen_to_leave() {
    let mut rig = Rig::new(|config| {
        let confirm_within = Some(Span::from_millis(30));
        let slot = RejectTiming { confirm_within, ..timing() }.check().unwrap();
        config.recipe = Recipe::new(RecipeId(1), slot);
    });
    rig.trigger(0, 0);
    rig.verdict(30, 0, 0, Reject);
    rig.trigger(60, 1);
    rig.verdict(80, 1, 60, Reject);
    rig.event(125, |line, now| line.on_confirm(now));
    rig.run_to(1_000_000);
    assert_eq!(rig.outcomes(), [(0, 'r', Why::Score), (1, 'm', Why::Unconfirmed)]);
    assert_eq!((rig.raised(Alarm::Unconfirmed), rig.raised(Alarm::MissedPart)), (1, 1));
    assert_eq!(rig.raised(Alarm::UnexpectedConfirm), 0);
    rig.event(1_100, |line, now| line.on_confirm(now));
    assert_eq!(rig.raised(Alarm::UnexpectedConfirm), 1);
}

#[test]
fn golden_samples_gate_ready_and_until_then_everything_is_rejected() {
    let samples = [Golden::Good, Golden::Bad].into_iter().collect();
    let plan = GoldenPlan { samples, holds: Span::from_millis(1_000) };
    let mut rig = Rig::new(|config| config.golden = Some(plan));
    for (index, judgement) in [Pass, Pass, Pass, Reject, Pass].into_iter().enumerate() {
        let (id, at) = (index as u64, 50 * index as u64);
        assert_eq!(rig.line.levels().has(Signal::Ready), id == 4, "before part {id}");
        rig.trigger(at, id);
        rig.verdict(at + 20, id, at, judgement);
    }
    rig.run_to(1_169_000);
    assert!(rig.line.levels().has(Signal::Ready));
    rig.run_to(1_170_000);
    assert!(!rig.line.levels().has(Signal::Ready), "the check holds for a second");
    assert_eq!(rig.outcomes().last(), Some(&(4, 'p', Why::Good)));
    assert!(rig.outcomes().iter().take(4).all(|left| left.1 == 'r'));
    assert_eq!(rig.raised(Alarm::GoldenSample), 1, "the second sample was to be rejected");
}

#[test]
fn silence_after_the_last_frame_is_no_alarm() {
    let ms = Span::from_millis;
    let mut rig = Rig::new(|config| {
        config.deadlines = Deadlines { frame: ms(80), ..Deadlines::default() };
        config.free_running = true;
    });
    rig.trigger(0, 0);
    rig.event(10, |line, now| line.on_frame(now));
    rig.verdict(30, 0, 0, Pass);
    rig.event(40, |line, _| line.no_more_frames());
    rig.run_to(5_000_000);
    assert_eq!((rig.line.mode(), rig.raised(Alarm::FrameDeadline)), (Mode::Running, 0));
    assert_eq!(rig.outcomes().last().map(|left| left.1), Some('p'), "the part in flight left as it would have");
}

#[test]
fn a_missed_deadline_holds_the_line_until_an_inspection_after_the_back_off() {
    let ms = Span::from_millis;
    let deadlines = Deadlines { frame: ms(80), backoff: ms(200), backoff_most: ms(300), ..Deadlines::default() };
    let mut rig = Rig::new(|config| {
        config.deadlines = deadlines;
        config.free_running = false;
    });
    rig.trigger(0, 0);
    rig.run_to(79_000);
    assert_eq!(rig.line.mode(), Mode::Running);
    rig.run_to(80_000);
    assert!(matches!(rig.line.mode(), Mode::Holding { until } if until == Micros::new(280_000)));
    assert!(rig.line.alarms().has(Alarm::FrameDeadline) && !rig.line.levels().has(Signal::Ready));
    rig.trigger(200, 1);
    rig.event(210, |line, now| line.on_frame(now));
    rig.verdict(230, 1, 200, Pass);
    assert!(matches!(rig.line.mode(), Mode::Holding { .. }), "the back-off is not over");
    rig.trigger(300, 2);
    rig.event(310, |line, now| line.on_frame(now));
    rig.verdict(330, 2, 300, Pass);
    assert_eq!(rig.line.mode(), Mode::Running);
    rig.trigger(350, 3);
    rig.event(360, |line, now| line.on_frame(now));
    rig.verdict(370, 3, 350, Pass);
    rig.run_to(1_000_000);
    let held = |id| (id, 'r', Why::Held);
    assert_eq!(rig.outcomes(), [(0, 'r', Why::Absent), held(1), held(2), (3, 'p', Why::Good)]);
}

#[test]
fn an_actuator_thread_that_comes_too_late_is_noticed_and_its_part_missed() {
    let mut rig = Rig::new(|config| config.deadlines.actuation = Span::from_millis(3));
    rig.trigger(0, 0);
    rig.verdict(30, 0, 0, Reject);
    *rig.clock.borrow_mut() = 118_000;
    rig.poll();
    assert_eq!(rig.outcomes(), [(0, 'm', Why::WindowGone)]);
    assert_eq!(rig.raised(Alarm::ActuationDeadline), 1);
    assert_eq!(rig.pulses(Signal::Reject), []);
}

#[test]
fn more_parts_than_fit_are_missed_with_an_alarm() {
    let mut rig = Rig::new(|_| {});
    let now = Micros::new(1_000);
    for id in 0..crate::MAX_PARTS as u64 + 3 {
        rig.line.on_trigger(Part::new(PartId(id), now), now);
    }
    rig.take();
    assert_eq!(rig.outcomes().iter().filter(|left| left.2 == Why::NoRoom).count(), 3);
    assert_eq!(rig.raised(Alarm::TableFull), 1);
    rig.poll();
    assert!(!rig.line.levels().has(Signal::Ready));
}

#[test]
fn stopping_and_dropping_leave_the_outputs_safe_and_account_for_every_part() {
    let mut rig = Rig::new(|_| {});
    rig.trigger(0, 0);
    rig.trigger(50, 1);
    rig.run_to(110_000);
    assert!(rig.line.levels().has(Signal::Reject));
    rig.line.safe();
    rig.take();
    assert!(!rig.line.levels().has(Signal::Reject) && !rig.line.levels().has(Signal::Ready));
    assert_eq!(rig.outcomes(), [(0, 'm', Why::Stopped), (1, 'm', Why::Stopped)]);
    rig.trigger(200, 2);
    assert_eq!(rig.outcomes().last(), Some(&(2, 'm', Why::Stopped)));

    let mut rig = Rig::new(|_| {});
    rig.trigger(0, 0);
    rig.run_to(110_000);
    let edges = rig.edges.clone();
    let unwound = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
        let _line = rig.line;
        panic!("in the actuator thread");
    }));
    assert!(unwound.is_err());
    let last = edges.borrow().iter().rev().find(|edge| edge.1 == Signal::Reject).copied();
    assert_eq!(last, Some((110_000, Signal::Reject, false)));
}
