use std::vec::Vec;

use super::*;

const LIMITS: EncoderLimits = EncoderLimits {
    um: 500,
    per_counts: 4,
    fastest_um_per_s: 1_000_000,
    reversal_um: 2_000,
    least_pitch_um: 50_000,
    stall: Span::from_millis(200),
};

#[test]
fn quadrature_counts_both_ways_and_notices_missed_edges() {
    let mut decoder = Quadrature::new(false, false);
    let forward = [(true, false), (true, true), (false, true), (false, false)];
    assert!(forward.iter().all(|(a, b)| decoder.step(*a, *b) == 1));
    let backward = [(false, true), (true, true), (true, false), (false, false)];
    assert!(backward.iter().all(|(a, b)| decoder.step(*a, *b) == -1));
    assert_eq!(decoder.step(false, false), 0);
    assert_eq!((decoder.step(true, true), decoder.illegal), (0, 1));
}

#[test]
fn position_does_not_drift_with_odd_ratios() {
    let mut encoder = Encoder::new(EncoderLimits { um: 1_000, per_counts: 3, ..LIMITS });
    for count in 1..=3_000u64 {
        let _ = encoder.count(1, Micros::new(count * 1_000));
    }
    assert_eq!(encoder.position(), Micrometres(1_000_000));
}

#[test]
fn speed_follows_the_belt_and_a_standing_belt_has_none() {
    let mut encoder = Encoder::new(LIMITS);
    for count in 0..1_000u64 {
        assert_eq!(encoder.count(1, Micros::new(count * 250)), None);
    }
    assert!((490_000..=510_000).contains(&encoder.speed_um_per_s()), "{}", encoder.speed_um_per_s());
    encoder.poll(Micros::new(1_000_000));
    assert_eq!(encoder.speed_um_per_s(), 0);
}

#[test]
fn reversal_is_alarmed_once_and_vibration_is_not() {
    let mut encoder = Encoder::new(LIMITS);
    let mut alarms = Vec::new();
    let mut at = 0;
    for steps in [100, -10, 10, -20, -20, 40, 1] {
        at += 100_000;
        alarms.push(encoder.count(steps, Micros::new(at)));
    }
    let reversal = Some(Alarm::EncoderReversal);
    assert_eq!(alarms, [None, None, None, reversal, None, None, None]);
}

#[test]
fn parts_that_come_while_the_encoder_stands_mean_slip() {
    let mut encoder = Encoder::new(LIMITS);
    assert_eq!(encoder.on_part(Micros::new(0)), None);
    let _ = encoder.count(500, Micros::new(100_000));
    assert_eq!(encoder.on_part(Micros::new(100_000)), None);
    let _ = encoder.count(10, Micros::new(200_000));
    assert_eq!(encoder.on_part(Micros::new(200_000)), Some(Alarm::EncoderSlip));
}

#[test]
fn counting_faster_than_the_belt_can_run_means_slip() {
    let mut encoder = Encoder::new(LIMITS);
    let _ = encoder.count(1, Micros::new(0));
    assert_eq!(encoder.count(2_000, Micros::new(100_000)), Some(Alarm::EncoderSlip));
}

#[test]
fn running_back_and_forth_triggers_nothing_twice() {
    let mut trigger = DistanceTrigger::new(1_000, Micrometres(0), PartId(0));
    let mut parts = Vec::new();
    for position in [0, 900, 1_100, 500, 1_100, 900, 3_050] {
        while let Some(part) = trigger.poll(Micrometres(position), Micros::ZERO) {
            parts.push((part.id.0, part.position.0));
        }
    }
    assert_eq!(parts, [(0, 0), (1, 1_000), (2, 2_000), (3, 3_000)]);
}
