use std::vec::Vec;

use super::*;

const LIMITS: SensorLimits = SensorLimits {
    debounce: Span::from_micros(500),
    hold_off: Span::from_millis(20),
    longest: Some(60_000),
    axis: Axis::Time,
};

/// Edges at these microseconds, alternately on and off, to what is sensed by the end.
#[track_caller]
fn check(edges_us: &[u64], expected: &[(u64, Option<i64>)]) {
    let mut sensor = Sensor::new(LIMITS, PartId(0));
    let mut sensed: Vec<(u64, Option<i64>)> = Vec::new();
    let mut take = |sensor: &mut Sensor, now: Micros| {
        while let Some(event) = sensor.poll(now) {
            match event {
                Sensed::Part(part) => {
                    assert_eq!(part.id.0 as usize, sensed.len(), "numbers are consecutive");
                    sensed.push((part.captured_at.as_u64(), None));
                }
                Sensed::Merged { id, extra } => sensed[id.0 as usize].1 = Some(extra),
            }
        }
    };
    for (index, at) in edges_us.iter().enumerate() {
        let at = Micros::new(*at);
        take(&mut sensor, at);
        sensor.on_edge(Edge { active: index % 2 == 0, at, position: Micrometres(0) });
    }
    take(&mut sensor, Micros::new(u64::MAX));
    assert_eq!(sensed, expected);
}

#[test]
fn a_part_has_the_time_of_its_edge() {
    check(&[10_000, 40_000], &[(10_000, None)]);
}

#[test]
fn bounce_makes_no_part_and_no_second_part() {
    check(&[10_000, 10_100], &[]);
    check(&[10_000, 10_100, 10_200, 40_000, 40_100, 40_200], &[(10_000, None)]);
    check(&[10_000, 10_100, 10_700, 40_000], &[(10_700, None)]);
}

#[test]
fn an_edge_within_the_hold_off_is_the_same_part() {
    check(&[10_000, 20_000, 25_000, 40_000], &[(10_000, None)]);
    check(&[10_000, 20_000, 31_000, 40_000], &[(10_000, None), (31_000, None)]);
}

#[test]
fn a_part_too_long_to_be_one_is_merged() {
    check(&[10_000, 70_000], &[(10_000, None)]);
    check(&[10_000, 95_000], &[(10_000, Some(25_000))]);
}

#[track_caller]
fn check_free_run(frames: &[(u32, u64)], expected: &[(u64, u64)]) {
    let mut numbering = FreeRun::new(PartId(0), Span::from_micros(100));
    let mut parts = Vec::new();
    for (sequence, at) in frames {
        parts
            .extend(numbering.on_frame(*sequence, Micros::new(*at)).map(|part| (part.id.0, part.captured_at.as_u64())));
    }
    assert_eq!(parts, expected);
}

#[test]
fn frames_that_were_not_delivered_are_parts_too() {
    check_free_run(&[(5, 100), (6, 200)], &[(0, 100), (1, 200)]);
    check_free_run(&[(5, 100), (8, 400)], &[(0, 100), (1, 200), (2, 300), (3, 400)]);
}

#[test]
fn a_frame_out_of_order_is_not_a_second_part() {
    check_free_run(&[(5, 100), (7, 300), (6, 200), (8, 400)], &[(0, 100), (1, 200), (2, 300), (3, 400)]);
}

#[test]
fn a_replugged_camera_begins_a_new_stream_and_loses_no_part() {
    check_free_run(&[(500, 100), (0, 400)], &[(0, 100), (1, 200), (2, 300), (3, 400)]);
}

#[test]
fn a_long_gap_leaves_numbers_out_for_the_line_to_count() {
    let parts: Vec<_> = {
        let mut numbering = FreeRun::new(PartId(0), Span::from_micros(100));
        let _ = numbering.on_frame(0, Micros::new(100)).count();
        numbering.on_frame(1_000, Micros::new(100_100)).collect()
    };
    assert_eq!(parts.len(), crate::MAX_PARTS / 2 + 1);
    assert_eq!(parts.last().map(|part| (part.id.0, part.captured_at.as_u64())), Some((1_000, 100_100)));
}
