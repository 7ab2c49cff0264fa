//! Parts that a sensor triggers: matching frames, encoder distance, light, merged parts, recipes in flight.

use super::*;
use crate::outputs::Signal;
use crate::part::Micrometres;
use crate::recipe::Strobe;
use crate::timing::RejectPlacing;

/// A frame taken at `captured_ms` that says nothing about which part it shows.
fn frame(sequence: u32, captured_ms: u64) -> Verdict {
    Verdict { subject: Subject::Frame, sequence, ..verdict(0, captured_ms, Judgement::Pass) }
}

fn matching(config: &mut LineConfig) {
    config.free_running = false;
    config.matching = Matching {
        offset: Span::from_millis(5),
        tolerance: Span::from_millis(8),
        check_sequence: true,
        arrives_within: Span::from_millis(30),
    };
}

#[test]
fn a_frame_belongs_to_the_part_that_was_in_view() {
    let mut rig = Rig::new(matching);
    rig.trigger(0, 0);
    rig.trigger(50, 1);
    rig.event(70, |line, now| line.on_verdict(frame(7, 57), now));
    rig.event(75, |line, now| line.on_verdict(frame(6, 3), now));
    rig.event(80, |line, now| line.on_verdict(frame(8, 30), now));
    rig.run_to(1_000_000);
    assert_eq!(rig.outcomes(), [(0, 'p', Why::Good), (1, 'p', Why::Good)]);
    assert_eq!(rig.line.counters().orphaned, 1);
}

#[test]
fn a_frame_that_fits_by_time_but_not_by_number_is_believed_for_neither() {
    let mut rig = Rig::new(matching);
    rig.trigger(0, 0);
    rig.event(20, |line, now| line.on_verdict(frame(6, 5), now));
    rig.trigger(50, 1);
    rig.trigger(100, 2);
    // The second part's frame with a timestamp one pitch ahead.
    rig.event(110, |line, now| line.on_verdict(frame(7, 105), now));
    rig.run_to(1_000_000);
    assert_eq!(rig.outcomes(), [(0, 'p', Why::Good), (1, 'r', Why::Absent), (2, 'r', Why::Mismatch)]);
    assert_eq!(rig.line.counters().mismatched, 1);
}

#[test]
fn a_frame_from_the_future_or_too_old_is_not_plausible() {
    let matching = Matching { arrives_within: Span::from_millis(30), ..Matching::default() };
    for (captured_ms, arrived_ms, expected) in
        [(100, 100, true), (100, 130, true), (100, 131, false), (101, 100, false)]
    {
        let (captured_at, arrived_at) = (Micros::new(captured_ms * 1_000), Micros::new(arrived_ms * 1_000));
        assert_eq!(matching.is_plausible(captured_at, arrived_at), expected, "{captured_ms} {arrived_ms}");
    }
}

/// 100 mm to the ejector, 20 mm pulse, 50 mm pitch, at up to 1 m/s.
fn placed() -> Recipe {
    let placing = RejectPlacing {
        delay_um: 100_000,
        pulse_um: 20_000,
        least_pulse_um: 5_000,
        lag: Span::ZERO,
        tolerance: Span::from_millis(2),
        fastest_um_per_s: 1_000_000,
        slip_um: 0,
        pitch_um: 50_000,
        length_um: 0,
        verdict_within: Span::ZERO,
        confirm_within: None,
    };
    Recipe::new(RecipeId(1), placing.check().unwrap())
}

impl Rig {
    fn belt(&mut self, at_ms: u64, position_mm: i64, speed_mm_per_s: u64) {
        let (position, speed) = (Micrometres(position_mm * 1_000), speed_mm_per_s * 1_000);
        self.event(at_ms, |line, now| line.on_encoder(position, speed, now));
    }

    fn trigger_at(&mut self, at_ms: u64, id: u64, position_mm: i64) {
        let position = Micrometres(position_mm * 1_000);
        self.event(at_ms, |line, now| line.on_trigger(Part { id: PartId(id), captured_at: now, position }, now));
    }
}

#[test]
fn by_encoder_the_window_waits_for_the_belt() {
    let mut rig = Rig::new(|config| {
        config.recipe = placed();
        config.longest_on = Some(Span::from_millis(500));
    });
    rig.belt(0, 0, 1_000);
    rig.trigger_at(0, 0, 0);
    assert_eq!(rig.deadline, Some(Micros::new(100_000)), "an estimate from the speed");
    rig.belt(50, 50, 0);
    assert_eq!(rig.deadline, None, "a belt that stands opens no window");
    rig.belt(5_000, 99, 100);
    rig.belt(5_010, 100, 0);
    rig.run_to(6_000_000);
    assert_eq!(rig.pulses(Signal::Reject), [(5_010, 5_510)], "the ejector rests though the belt stopped in the window");
    assert_eq!(rig.outcomes(), [], "the part may not be in front of it yet");
    rig.belt(7_000, 110, 1_000);
    rig.belt(7_010, 120, 1_000);
    assert_eq!(rig.pulses(Signal::Reject), [(5_010, 5_510), (7_000, 7_010)]);
    assert_eq!(rig.outcomes(), [(0, 'r', Why::Absent)]);
}

#[test]
fn parts_whose_place_is_lost_are_missed_with_an_alarm() {
    let mut rig = Rig::new(|config| config.recipe = placed());
    rig.belt(0, 0, 1_000);
    rig.trigger_at(0, 0, 0);
    rig.event(50, |line, now| line.on_alarm(Alarm::EncoderSlip, now));
    assert_eq!(rig.outcomes(), [(0, 'm', Why::TrackLost)]);
    assert!(rig.line.alarms().has(Alarm::EncoderSlip));
}

#[test]
fn no_ejector_acts_while_the_belt_runs_backwards() {
    let mut rig = Rig::new(|config| config.recipe = placed());
    rig.trigger_at(0, 0, 0);
    for (at_ms, position_mm) in [(100, 100), (105, 105), (110, 101), (120, 60), (130, 104), (135, 106), (150, 121)] {
        rig.belt(at_ms, position_mm, 1_000);
    }
    assert_eq!(rig.pulses(Signal::Reject), [(100, 110), (135, 150)]);
    assert_eq!(rig.outcomes().len(), 1);
}

#[test]
fn the_light_leads_the_camera_and_both_end_together() {
    let mut rig = Rig::new(|config| {
        let ms = Span::from_millis;
        config.recipe.strobe = Some(Strobe { delay: 10_000, lead: ms(2), width: ms(5) });
        matching(config);
        config.matching.tolerance = ms(1);
    });
    rig.trigger(0, 0);
    rig.event(40, |line, now| line.on_verdict(frame(1, 17), now));
    rig.run_to(1_000_000);
    assert_eq!(rig.pulses(Signal::Strobe), [(10, 15)]);
    assert_eq!(rig.pulses(Signal::CameraTrigger), [(12, 15)]);
    assert_eq!(rig.outcomes(), [(0, 'p', Why::Good)], "the frame is expected 5 ms after the exposure");
}

#[test]
fn a_part_that_is_not_exposed_yet_has_no_frame() {
    let mut rig = Rig::new(|config| {
        let ms = Span::from_millis;
        config.recipe.strobe = Some(Strobe { delay: 10_000, lead: ms(2), width: ms(5) });
        matching(config);
    });
    rig.trigger(0, 0);
    let due = |rig: &Rig| rig.line.frames_due().map(|due| (due.part.0, due.at.as_u64())).collect::<Vec<_>>();
    assert_eq!(due(&rig), []);
    rig.event(5, |line, now| line.on_verdict(frame(1, 4), now));
    assert_eq!(rig.line.counters().orphaned, 1);
    rig.run_to(11_000);
    assert_eq!(due(&rig), [(0, 17_000)]);
}

#[test]
fn two_triggers_nearer_than_parts_can_be_reject_both() {
    let mut rig = Rig::new(|config| config.least_interval = Span::from_millis(70));
    for (at_ms, id) in [(0, 0), (60, 1), (130, 2)] {
        rig.trigger(at_ms, id);
        rig.verdict(at_ms + 5, id, at_ms, Judgement::Pass);
    }
    rig.run_to(1_000_000);
    assert_eq!(rig.outcomes(), [(0, 'r', Why::TooClose), (1, 'r', Why::TooClose), (2, 'p', Why::Good)]);
    assert_eq!(rig.line.counters().too_close, 1);
}

#[test]
fn parts_that_touch_are_rejected_whole_and_spare_the_next() {
    let mut rig = Rig::new(|_| {});
    rig.trigger(0, 0);
    rig.verdict(10, 0, 0, Judgement::Pass);
    rig.event(30, |line, now| line.on_merged(PartId(0), 15_000, now));
    rig.trigger(60, 1);
    rig.verdict(80, 1, 60, Judgement::Pass);
    rig.run_to(1_000_000);
    assert_eq!(rig.pulses(Signal::Reject), [(100, 135)]);
    assert_eq!(rig.outcomes(), [(0, 'r', Why::Merged), (1, 'p', Why::Good)]);
}

#[test]
fn a_part_of_a_faster_recipe_that_catches_up_takes_both_out() {
    let mut rig = Rig::new(|_| {});
    let fast = RejectTiming { delay: Span::from_millis(50), ..timing() }.check().unwrap();
    rig.trigger(0, 0);
    rig.verdict(20, 0, 0, Judgement::Pass);
    rig.event(30, |line, now| line.change_recipe(Recipe::new(RecipeId(2), fast), now));
    rig.trigger(55, 1);
    rig.run_to(1_000_000);
    assert_eq!(rig.outcomes(), [(0, 'r', Why::TooClose), (1, 'r', Why::TooClose)]);
}

#[test]
fn a_recipe_on_another_axis_keeps_the_old_one_and_alarms() {
    let mut rig = Rig::new(|_| {});
    rig.event(10, |line, now| line.on_event(LineEvent::Recipe(placed()), now));
    assert_eq!((rig.line.recipe().axis(), rig.raised(Alarm::UnknownRecipe)), (Axis::Time, 1));
    rig.event(20, |line, now| line.on_event(LineEvent::UnknownRecipe, now));
    assert_eq!(rig.line.recipe().id, RecipeId(1));
}
