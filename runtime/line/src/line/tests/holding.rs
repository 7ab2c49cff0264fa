//! A camera that goes and comes back holds the line, and nothing else does so for ever.

use std::string::String;

use proptest::prelude::*;

use super::*;
use crate::CameraLoss;
use crate::alarm::Deadlines;
use Judgement::Pass;

/// A part every 50 ms whose verdict comes 30 ms after it, while `events` happen; the outcomes by a letter a part, the first one
/// lowercase for those that were held.
fn check(free_running: bool, events: &[(u64, LineEvent)], expected: &str) -> Rig {
    let ms = Span::from_millis;
    let mut rig = Rig::new(|config| {
        config.deadlines = Deadlines { frame: ms(200), ..Deadlines::default() };
        config.free_running = free_running;
    });
    let mut events = events.iter().peekable();
    for id in 0..expected.len() as u64 {
        for at in [0, 30].map(|after| id * 50 + after) {
            while let Some((when, event)) = events.next_if(|(when, _)| *when <= at) {
                rig.event(*when, |line, now| line.on_event(*event, now));
            }
            if at % 50 == 0 {
                rig.trigger(at, id);
                rig.event(at, |line, now| line.on_frame(now));
            } else {
                rig.verdict(at, id, id * 50, Pass);
            }
        }
    }
    rig.run_to(3_000_000);
    let letter = |outcome: &(u64, char, Why)| if outcome.2 == Why::Held { 'h' } else { outcome.1 };
    let seen: String = rig.outcomes().iter().map(letter).collect();
    assert_eq!(seen, expected);
    rig
}

const GONE: LineEvent = LineEvent::CameraLost(CameraLoss::Gone);
const FROZEN: LineEvent = LineEvent::CameraLost(CameraLoss::Frozen);
const BACK: LineEvent = LineEvent::CameraBack;

#[test]
fn a_camera_that_is_away_holds_the_line_until_it_is_back() {
    for free_running in [true, false] {
        let rig = check(free_running, &[(90, GONE), (190, BACK)], "pphhpp");
        let ready: Vec<_> = rig.pulses(Signal::Ready).into_iter().take(2).collect();
        assert_eq!((ready[0], ready[1].0), ((0, 90), 190), "Ready is off while it is away");
        assert_eq!((rig.raised(Alarm::CameraLost), rig.raised(Alarm::CameraFrozen)), (1, 0));
    }
}

#[test]
fn a_camera_that_is_known_to_be_away_is_not_late() {
    let mut rig = Rig::new(|config| config.deadlines.frame = Span::from_millis(200));
    rig.event(0, |line, now| line.on_frame(now));
    rig.event(100, |line, now| line.on_event(GONE, now));
    rig.trigger(150, 0);
    rig.run_to(5_000_000);
    assert_eq!((rig.raised(Alarm::CameraLost), rig.raised(Alarm::FrameDeadline)), (1, 0));
    rig.event(5_000, |line, now| line.on_event(BACK, now));
    assert_eq!(rig.line.mode(), Mode::Running);
    rig.run_to(5_200_000);
    assert_eq!(rig.raised(Alarm::FrameDeadline), 1, "from when it is back, it owes frames");
}

#[test]
fn a_frame_that_cannot_be_inspected_is_a_frame_all_the_same() {
    let ms = Span::from_millis;
    let mut rig = Rig::new(|config| {
        config.deadlines = Deadlines { frame: ms(200), inference: ms(50), ..Deadlines::default() };
    });
    rig.event(0, |line, now| line.on_frame(now));
    rig.verdict(10, 0, 0, Pass);
    for at in 1..10 {
        rig.event(at * 100, |line, now| line.on_event(LineEvent::FrameUnfit, now));
    }
    assert_eq!((rig.raised(Alarm::FrameDeadline), rig.raised(Alarm::InferenceDeadline)), (0, 0));
    rig.run_to(1_100_000);
    assert_eq!(rig.raised(Alarm::FrameDeadline), 1);
}

#[test]
fn a_frozen_camera_says_so_and_one_that_is_told_twice_is_lost_once() {
    let rig = check(false, &[(40, FROZEN), (60, FROZEN), (110, GONE), (160, BACK), (170, BACK)], "phhhpp");
    assert_eq!((rig.raised(Alarm::CameraFrozen), rig.raised(Alarm::CameraLost)), (1, 1));
    let modes = rig.notes.iter().filter(|note| matches!(note.what, What::Mode(_))).count();
    assert_eq!(modes, 3, "running, holding, running: {:?}", rig.notes);
}

#[test]
fn a_held_line_asks_for_one_part_after_the_back_off_and_rejects_it() {
    let ms = Span::from_millis;
    let deadlines = Deadlines { inference: ms(50), backoff: ms(100), ..Deadlines::default() };
    for free_running in [false, true] {
        let mut rig = Rig::new(|config| (config.deadlines, config.free_running) = (deadlines, free_running));
        rig.trigger(0, 0);
        rig.event(1, |line, now| line.on_frame(now));
        rig.run_to(1_000_000);
        assert_eq!(rig.raised(Alarm::InferenceDeadline), 1);
        let asks = !free_running;
        assert_eq!(rig.line.levels().has(Signal::Ready), asks, "frames that come by themselves need not be asked for");
        rig.event(1_000, |line, now| line.on_event(GONE, now));
        assert!(!rig.line.levels().has(Signal::Ready), "nothing is asked of a camera that is away");
        rig.event(1_010, |line, now| line.on_event(BACK, now));
        assert_eq!(rig.line.levels().has(Signal::Ready), asks);
        rig.trigger(1_100, 1);
        assert!(!rig.line.levels().has(Signal::Ready), "one part is enough");
        rig.event(1_110, |line, now| line.on_frame(now));
        rig.verdict(1_130, 1, 1_100, Pass);
        assert_eq!(rig.line.mode(), Mode::Running);
        rig.run_to(3_000_000);
        assert_eq!(rig.outcomes(), [(0, 'r', Why::Absent), (1, 'r', Why::Held)]);
        let ready = rig.pulses(Signal::Ready);
        assert!(
            !asks || ready.iter().any(|(on, _)| (150..=152).contains(on)),
            "on when the back-off is over: {ready:?}"
        );
    }
}

#[test]
fn a_missed_deadline_holds_on_when_the_camera_is_back() {
    let ms = Span::from_millis;
    let mut rig = Rig::new(|config| {
        config.deadlines = Deadlines { inference: ms(50), backoff: ms(100), ..Deadlines::default() };
    });
    rig.trigger(0, 0);
    rig.event(1, |line, now| line.on_frame(now));
    rig.event(10, |line, now| line.on_event(GONE, now));
    rig.run_to(60_000);
    assert_eq!(rig.raised(Alarm::InferenceDeadline), 1);
    rig.event(200, |line, now| line.on_event(BACK, now));
    assert!(matches!(rig.line.mode(), Mode::Holding { .. }), "nothing was inspected since the deadline");
    rig.trigger(210, 1);
    rig.verdict(220, 1, 210, Pass);
    assert_eq!(rig.line.mode(), Mode::Running);
}

#[test]
fn a_watchdog_is_fed_while_the_camera_is_looked_for() {
    let mut rig = Rig::new(|_| {});
    rig.event(10, |line, now| line.on_event(GONE, now));
    assert!(rig.line.is_idle(), "a reset does not plug it in");
    rig.trigger(20, 0);
    assert!(!rig.line.is_idle(), "a part is in flight");
    let mut stopped = Rig::new(|_| {});
    stopped.event(10, |line, now| line.on_event(LineEvent::Stop, now));
    stopped.event(20, |line, now| line.on_event(GONE, now));
    assert!(!stopped.line.is_idle() && stopped.raised(Alarm::CameraLost) == 0);
}

#[test]
fn a_watchdog_is_fed_while_a_held_line_waits_for_a_part_and_not_while_frames_should_come() {
    for free_running in [false, true] {
        let ms = Span::from_millis;
        let mut rig = Rig::new(|config| {
            config.deadlines = Deadlines { frame: ms(200), backoff: ms(100), ..Deadlines::default() };
            config.free_running = free_running;
        });
        rig.event(0, |line, now| line.on_frame(now));
        rig.trigger(1, 0);
        rig.run_to(150_000);
        assert!(!rig.line.is_idle(), "a frame is owed");
        rig.run_to(5_000_000);
        assert!(matches!(rig.line.mode(), Mode::Holding { .. }));
        assert_eq!(rig.line.is_idle(), !free_running, "a reset may wake a camera that ought to run, and feeds no part");
        rig.trigger(6_000, 1);
        assert!(!rig.line.is_idle(), "the part that was asked for is in flight");
    }
}

#[test]
fn silence_of_a_camera_that_is_triggered_is_a_fault_where_a_limit_is_set() {
    for (silence, alarms) in [(Span::MAX, 0), (Span::from_millis(500), 1)] {
        let mut rig = Rig::new(|config| {
            config.deadlines.silence = silence;
            config.free_running = false;
        });
        for (id, at) in [0, 300, 600].into_iter().enumerate() {
            rig.trigger(at, id as u64);
            rig.event(at, |line, now| line.on_frame(now));
            rig.verdict(at + 20, id as u64, at, Pass);
        }
        rig.run_to(1_099_000);
        assert_eq!(rig.raised(Alarm::FrameDeadline), 0, "parts come often enough");
        rig.run_to(9_000_000);
        assert_eq!(rig.raised(Alarm::FrameDeadline), alarms, "once, with {silence:?}");
        assert!(rig.line.levels().has(Signal::Ready), "a held line asks for a part");
        rig.trigger(9_100, 3);
        rig.event(9_100, |line, now| line.on_frame(now));
        rig.verdict(9_120, 3, 9_100, Pass);
        assert_eq!(rig.line.mode(), Mode::Running);
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Lost(CameraLoss),
    Back,
    Acknowledge,
    Part { judged: bool },
}

fn step() -> impl Strategy<Value = (u64, Step)> {
    let loss = prop_oneof![Just(CameraLoss::Gone), Just(CameraLoss::Frozen)];
    let step = prop_oneof![
        1 => loss.prop_map(Step::Lost),
        1 => Just(Step::Back),
        1 => Just(Step::Acknowledge),
        4 => prop::bool::weighted(0.8).prop_map(|judged| Step::Part { judged }),
    ];
    (50u64..150, step)
}

proptest! {
    #[test]
    fn ready_is_off_and_nothing_passes_while_the_camera_is_away(steps in prop::collection::vec(step(), 1..60)) {
        let mut rig = Rig::new(|_| {});
        let (mut now_ms, mut lost, mut parts) = (0, false, Vec::new());
        for (gap_ms, step) in steps {
            now_ms += gap_ms;
            match step {
                Step::Lost(loss) => {
                    rig.event(now_ms, |line, now| line.on_event(LineEvent::CameraLost(loss), now));
                    lost = true;
                    prop_assert!(rig.line.alarms().has(loss.alarm()));
                }
                Step::Back => {
                    rig.event(now_ms, |line, now| line.on_event(BACK, now));
                    lost = false;
                }
                Step::Acknowledge => rig.event(now_ms, |line, now| line.acknowledge(now)),
                Step::Part { judged } => {
                    let id = parts.len() as u64;
                    parts.push((lost, judged));
                    rig.trigger(now_ms, id);
                    if judged {
                        rig.verdict(now_ms + 20, id, now_ms, Pass);
                    }
                }
            }
            prop_assert_eq!(rig.line.levels().has(Signal::Ready), !lost);
        }
        rig.run_to((now_ms + 1_000) * 1_000);
        let outcomes = rig.outcomes();
        prop_assert_eq!(outcomes.len(), parts.len());
        for (id, outcome, why) in outcomes {
            let (held, judged) = parts[id as usize];
            prop_assert_eq!(outcome == 'p', judged && !held, "part {} {:?}", id, why);
        }
    }
}
