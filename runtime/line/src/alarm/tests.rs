use super::*;

#[track_caller]
fn check(limits: RejectLimits, parts: &str, expected: Alarms) {
    let mut counter = RejectCounter::default();
    let raised = parts.chars().map(|part| counter.count(part == 'x', &limits)).last().unwrap_or_default();
    assert_eq!(raised, expected, "{parts}");
}

#[test]
fn rejects_in_a_row_are_counted_to_the_limit() {
    let limits = RejectLimits { consecutive: 3, rate: None };
    check(limits, "xx", Alarms::NONE);
    check(limits, "xx.xx", Alarms::NONE);
    check(limits, ".xxx", Alarms::NONE.with(Alarm::ConsecutiveRejects));
    check(RejectLimits::default(), "xxxxxxxx", Alarms::NONE);
}

#[test]
fn the_rate_is_over_the_last_parts_only() {
    let limits = RejectLimits { consecutive: 0, rate: Some(RejectRate { most: 2, of: 5 }) };
    check(limits, "x.x..", Alarms::NONE);
    check(limits, "x.x.x", Alarms::NONE.with(Alarm::RejectRate));
    check(limits, "xx....x", Alarms::NONE);
}
