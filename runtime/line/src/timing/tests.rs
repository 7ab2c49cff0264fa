use std::string::ToString;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::part::Travel;
use crate::time::Micros;

fn ms(millis: f64) -> Span {
    Span::from_micros((millis * 1_000.0) as u64)
}

/// A pitch of 120 ms, 12.5 ms of actuator tolerance, half a second to the ejector.
fn capper(pulse_ms: f64) -> RejectTiming {
    RejectTiming { tolerance: ms(12.5), ..RejectTiming::new(ms(500.0), ms(pulse_ms), ms(120.0)) }
}

#[track_caller]
fn check(timing: RejectTiming, expected: &[&str]) {
    let found: Vec<_> = match timing.check() {
        Ok(_) => Vec::new(),
        Err(errors) => errors.iter().map(ToString::to_string).collect(),
    };
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.contains(expected), "expected {expected:?} in {found:?}");
    }
}

#[test]
fn the_longest_safe_pulse_is_the_pitch_minus_both_tolerances() {
    check(capper(95.0), &[]);
    check(capper(95.001), &["expected: pulse <= 95 ms (pitch 120 ms, minus 2 x 12.5 ms, minus 2 x 0 ms)"]);
    check(capper(180.0), &["pulse = 180 ms reaches the next part"]);
}

#[test]
fn belt_speed_tolerance_counts_over_the_whole_delay() {
    // 2 % of 500 ms is 10 ms on each side.
    let timing = |pulse| RejectTiming { speed_tolerance_permille: 20, ..capper(pulse) };
    check(timing(75.0), &[]);
    check(timing(76.0), &["expected: pulse <= 75 ms"]);
    check(timing(44.0), &["expected: pulse >= 45 ms (2 x 12.5 ms + 2 x 10 ms)"]);
}

#[test]
fn a_part_longer_than_the_pulse_needs_room_too() {
    let timing = |pulse| RejectTiming { length: ms(80.0), ..capper(pulse) };
    check(timing(80.0), &[]);
    check(timing(60.0), &[]);
    let long = |pulse| RejectTiming { length: ms(110.0), ..capper(pulse) };
    check(long(80.0), &[]);
    check(long(81.0), &["expected: pulse <= 80 ms"]);
}

#[test]
fn a_verdict_must_be_possible_before_the_window_opens() {
    let timing = |delay| RejectTiming { lag: ms(8.0), verdict_within: ms(40.0), delay: ms(delay), ..capper(50.0) };
    check(timing(48.0), &[]);
    check(timing(47.0), &["expected: delay >= 48 ms (8 ms + 40 ms)"]);
}

#[test]
fn parts_in_flight_must_fit() {
    check(RejectTiming::new(ms(6_000.0), ms(50.0), ms(100.0)), &[]);
    check(RejectTiming::new(ms(6_200.0), ms(50.0), ms(100.0)), &[]);
    check(RejectTiming::new(ms(6_300.0), ms(50.0), ms(100.0)), &["65 parts would be in flight"]);
}

#[test]
fn everything_wrong_is_said_together() {
    check(RejectTiming::new(ms(0.0), ms(0.0), ms(0.0)), &["pulse = 0 ms is out of range", "pitch = 0 ms"]);
    let timing = RejectTiming { verdict_within: ms(900.0), speed_tolerance_permille: 300, ..capper(100.0) };
    check(timing, &["reaches the next part", "may miss its own part", "over before the verdict"]);
}

#[test]
fn an_encoder_line_is_reckoned_in_millimetres() {
    let placing = RejectPlacing {
        delay_um: 250_000,
        pulse_um: 40_000,
        least_pulse_um: 0,
        lag: ms(8.0),
        tolerance: ms(5.0),
        fastest_um_per_s: 1_000_000,
        slip_um: 1_000,
        pitch_um: 60_000,
        length_um: 0,
        verdict_within: ms(100.0),
        confirm_within: None,
    };
    let slot = placing.check().unwrap();
    // 8 ms of lag at 1 m/s are 8 mm: half of it is taken off, half of it counts as tolerance.
    assert_eq!(slot.window(Travel(0)).opens, Travel(246_000));
    let errors = RejectPlacing { pulse_um: 50_000, ..placing }.check().unwrap_err();
    assert!(errors.to_string().contains("expected: pulse <= 40 mm (pitch 60 mm, minus 2 x 5 mm, minus 2 x 5 mm)"));
}

proptest! {
    /// The arithmetic keeps its promise: whatever passes the check, two parts a pitch apart do not conflict, and the pulse
    /// that the error proposes is accepted.
    #[test]
    fn what_is_accepted_does_not_conflict(
        delay in 0u64..2_000_000, pulse in 0u64..200_000, pitch in 0u64..300_000,
        tolerance in 0u64..20_000, length in 0u64..200_000, permille in 0u32..50,
    ) {
        let span = Span::from_micros;
        let timing = RejectTiming {
            tolerance: span(tolerance),
            length: span(length),
            speed_tolerance_permille: permille,
            ..RejectTiming::new(span(delay), span(pulse), span(pitch))
        };
        match timing.check() {
            Ok(slot) => {
                let window = |at: u64| slot.window(Travel::of_time(Micros::new(at)));
                let (one, two) = (window(1_000_000), window(1_000_000 + pitch));
                prop_assert!(!one.conflicts(&two) && !two.conflicts(&one));
                // Widened by what can go wrong, the pulse ends before the neighbour, drifting the other way, begins.
                let sides = (tolerance + timing.drift().as_micros()) as i64;
                let reach = pulse.max(length) as i64;
                let neighbour = two.opens.0 + pulse as i64 / 2 - reach / 2 - sides;
                prop_assert!(one.closes.0 + sides <= neighbour);
            }
            Err(errors) => {
                let proposed = errors.iter().find_map(|error| match error {
                    TimingError::ReachesNeighbour { most, .. } if most.value >= LEAST => Some(most.value),
                    _ => None,
                });
                if let (Some(most), 1) = (proposed, errors.iter().count()) {
                    let still = RejectTiming { pulse: span(most), ..timing }.check();
                    let reaches = |errors: TimingErrors| errors.iter().any(|e| matches!(e, TimingError::ReachesNeighbour { .. }));
                    prop_assert!(!still.is_err_and(reaches), "pulse = {} was proposed", most);
                }
            }
        }
    }

    #[test]
    fn no_value_panics(values in prop::array::uniform9(any::<u64>()), permille in any::<u32>()) {
        let [delay, pulse, least_pulse, lag, tolerance, pitch, length, verdict_within, confirm] = values.map(Span::from_micros);
        let _ = RejectTiming {
            delay, pulse, least_pulse, lag, tolerance, speed_tolerance_permille: permille, pitch, length, verdict_within,
            confirm_within: Some(confirm),
        }.check();
        let [delay_um, pulse_um, least_pulse_um, fastest_um_per_s, slip_um, pitch_um, length_um, ..] = values;
        let _ = RejectPlacing {
            delay_um, pulse_um, least_pulse_um, lag, tolerance, fastest_um_per_s, slip_um, pitch_um, length_um, verdict_within,
            confirm_within: None,
        }.check();
    }
}
