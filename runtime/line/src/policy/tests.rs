use super::*;

const GOOD: (Judgement, Why) = (Judgement::Pass, Why::Good);
const BAD: (Judgement, Why) = (Judgement::Reject, Why::Score);

#[track_caller]
fn check(limits: Limits, map: Option<&[f32]>, steps: &[(f32, (Judgement, Why))]) {
    let mut policy = Policy::new(limits).unwrap();
    for (index, (score, expected)) in steps.iter().enumerate() {
        let map = map.map(|values| MapView { values, width: 4 });
        assert_eq!(policy.judge(Score(*score), map), *expected, "step {index}");
    }
}

#[test]
fn at_the_threshold_is_a_reject() {
    check(Limits::threshold(0.5), None, &[(0.499, GOOD), (0.5, BAD), (0.6, BAD), (0.0, GOOD)]);
}

#[test]
fn a_score_that_is_no_number_never_passes() {
    check(Limits::threshold(0.5), None, &[(f32::NAN, (Judgement::Reject, Why::NoScore)), (f32::INFINITY, BAD)]);
}

#[test]
fn after_a_reject_hysteresis_asks_for_a_clearly_good_part() {
    let limits = Limits { hysteresis: 0.1, ..Limits::threshold(0.5) };
    check(limits, None, &[(0.45, GOOD), (0.5, BAD), (0.45, BAD), (0.39, GOOD), (0.45, GOOD)]);
}

#[test]
fn the_band_below_the_threshold_goes_to_rework() {
    let rework = Some(Rework { from: 0.4, ejector: EjectorId(1) });
    let band = (Judgement::Divert(EjectorId(1)), Why::Band);
    check(Limits { rework, ..Limits::threshold(0.5) }, None, &[(0.39, GOOD), (0.4, band), (0.5, BAD)]);
}

#[test]
fn more_than_so_many_pixels_over_a_level_reject() {
    let area = |pixels| Limits { area: Some(AreaLimit { pixels, level: 0.8 }), ..Limits::threshold(2.0) };
    let map = [0.0, 0.9, 0.8, 0.9, f32::NAN, 0.0, 0.0, 0.0];
    check(area(3), Some(&map), &[(0.1, GOOD)]);
    check(area(2), Some(&map), &[(0.1, (Judgement::Reject, Why::Pixels))]);
    check(area(3), None, &[(0.1, (Judgement::Reject, Why::NoScore))]);
}

#[test]
fn a_region_has_its_own_limit() {
    let region = |x, y, width, height| {
        let mut limits = Limits::threshold(2.0);
        limits.regions.push(RegionLimit { x, y, width, height, level: 0.5 }).unwrap();
        limits
    };
    let map = [0.0, 0.0, 0.0, 0.0, 0.0, 0.9, 0.0, 0.0];
    check(region(0, 0, 4, 1), Some(&map), &[(0.1, GOOD)]);
    check(region(1, 1, 1, 1), Some(&map), &[(0.1, (Judgement::Reject, Why::Region))]);
    check(region(2, 1, 2, 1), Some(&map), &[(0.1, GOOD)]);
    check(region(0, 0, u32::MAX, u32::MAX), Some(&map), &[(0.1, (Judgement::Reject, Why::Region))]);
    check(region(9, 9, 1, 1), Some(&map), &[(0.1, GOOD)]);
}

#[test]
fn limits_that_cannot_work_are_refused() {
    let refused = |limits: Limits| Policy::new(limits).err();
    assert!(matches!(refused(Limits::threshold(f32::NAN)), Some(LimitsError::NotFinite("threshold", _))));
    let hysteresis = Limits { hysteresis: -0.1, ..Limits::threshold(0.5) };
    assert_eq!(refused(hysteresis), Some(LimitsError::NegativeHysteresis(-0.1)));
    let rework = Some(Rework { from: 0.5, ejector: EjectorId(1) });
    assert!(matches!(refused(Limits { rework, ..Limits::threshold(0.5) }), Some(LimitsError::EmptyBand { .. })));
}

#[test]
fn a_threshold_that_is_refused_leaves_the_old_one() {
    let mut policy = Policy::new(Limits::threshold(0.5)).unwrap();
    assert!(policy.set_threshold(f32::INFINITY).is_err());
    assert_eq!(policy.limits().threshold, 0.5);
    policy.set_threshold(0.7).unwrap();
    assert_eq!(policy.judge(Score(0.6), None), GOOD);
}
