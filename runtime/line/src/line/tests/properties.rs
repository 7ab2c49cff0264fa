//! I2, I3 and I5 over random lines: random gaps, verdicts absent, late, stale, doubled, and an actuator thread that oversleeps.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// One part to come.
#[derive(Clone, Copy, Debug)]
struct Planned {
    gap_us: u64,
    /// From the trigger to the verdict; `None` for a verdict that never comes.
    verdict_us: Option<u64>,
    judgement: Judgement,
    stale: bool,
    doubled: bool,
    /// How long the actuator thread oversleeps around this part.
    oversleep_us: u64,
    /// The trigger never reaches the line.
    lost: bool,
}

fn planned() -> impl Strategy<Value = Planned> {
    let judgement = prop_oneof![3 => Just(Judgement::Pass), 2 => Just(Judgement::Reject), 1 => Just(Judgement::Missed)];
    let verdict =
        prop_oneof![6 => (1_000u64..90_000).prop_map(Some), 1 => (90_000u64..200_000).prop_map(Some), 1 => Just(None)];
    let gap = prop_oneof![5 => 50_000u64..70_000, 1 => 5_000u64..50_000];
    let oversleep = prop_oneof![8 => Just(0u64), 1 => 0u64..3_000, 1 => 0u64..60_000];
    let rare = || prop::bool::weighted(0.05);
    (gap, verdict, judgement, rare(), rare(), oversleep, rare()).prop_map(
        |(gap_us, verdict_us, judgement, stale, doubled, oversleep_us, lost)| Planned {
            gap_us,
            verdict_us,
            judgement,
            stale,
            doubled,
            oversleep_us,
            lost,
        },
    )
}

/// When things happen: at, part, trigger or verdict.
fn schedule(parts: &[Planned]) -> (Vec<(u64, usize, bool)>, Vec<u64>) {
    let (mut at, mut events, mut triggers) = (1_000_000, Vec::new(), Vec::new());
    for (id, part) in parts.iter().enumerate() {
        at += part.gap_us;
        triggers.push(at);
        if !part.lost {
            events.push((at, id, false));
            if let Some(after) = part.verdict_us {
                events.push((at + after, id, true));
            }
        }
    }
    events.sort_by_key(|event| event.0);
    (events, triggers)
}

fn run(parts: &[Planned]) -> (Rig, Vec<u64>) {
    let (events, triggers) = schedule(parts);
    let mut rig = Rig::new(|config| config.stale_after = Span::from_millis(500));
    for (at, id, is_verdict) in events {
        let part = parts[id];
        rig.run_to(at);
        *rig.clock.borrow_mut() += part.oversleep_us;
        let now = rig.now();
        let triggered = Part::new(PartId(id as u64), Micros::new(triggers[id]));
        if !is_verdict {
            rig.line.on_trigger(triggered, now);
        } else {
            let captured_at = if part.stale { Micros::ZERO } else { triggered.captured_at };
            let subject = Subject::Part(triggered);
            let verdict = Verdict { subject, captured_at, ..verdict(id as u64, 0, part.judgement) };
            rig.line.on_verdict(verdict, now);
            if part.doubled {
                rig.line.on_verdict(verdict, now);
            }
        }
        rig.poll();
    }
    let end = rig.now().as_u64();
    rig.run_to(end + 10_000_000);
    (rig, triggers)
}

proptest! {
    #[test]
    fn every_part_leaves_once_and_no_neighbour_is_touched(parts in prop::collection::vec(planned(), 1..40)) {
        let (rig, triggers) = run(&parts);
        let counters = *rig.line.counters();
        prop_assert!(rig.line.table().is_empty());
        prop_assert_eq!(counters.notes_lost, 0);

        let mut left: BTreeMap<u64, Departure> = BTreeMap::new();
        for departure in &rig.departures {
            prop_assert!(left.insert(departure.part.id.0, *departure).is_none(), "part {} left twice", departure.part.id.0);
        }
        prop_assert_eq!(counters.triggered, counters.passed + counters.rejected + counters.missed);
        let edges = rig.edges.borrow();
        let edges: Vec<_> = edges.iter().filter(|edge| edge.1 == Signal::Reject).skip_while(|edge| !edge.2).collect();
        let pulses: Vec<_> = edges.chunks(2).map(|pair| (pair[0].0, pair[1].0)).collect();
        prop_assert_eq!(counters.pulses as usize, pulses.len());

        for (id, part) in parts.iter().enumerate() {
            let opens = triggers[id] + 100_000;
            let closes = opens + 20_000;
            let touched = |sides: u64| pulses.iter().any(|(on, off)| *on < closes + sides && opens < *off + sides);
            match left.get(&(id as u64)) {
                None => prop_assert!(part.lost, "part {} never left", id),
                Some(Departure { outcome: Outcome::Pass, .. }) => {
                    prop_assert!(part.judgement == Judgement::Pass && !part.stale && part.verdict_us.is_some(), "part {} escaped", id);
                    // Half the clear space on each side: what the actuator's tolerance allows.
                    prop_assert!(!touched(2_000), "part {} passed and was touched", id);
                }
                Some(Departure { outcome: Outcome::Reject { .. }, .. }) => {
                    prop_assert!(touched(0), "part {} was rejected by no pulse", id);
                }
                Some(Departure { outcome: Outcome::Missed, .. }) => {
                    prop_assert!(rig.line.alarms().has(Alarm::MissedPart));
                }
            }
        }
    }

    #[test]
    fn stopped_at_any_moment_the_outputs_are_safe(parts in prop::collection::vec(planned(), 1..12), at in 1_000_000u64..1_600_000) {
        let (events, triggers) = schedule(&parts);
        let mut rig = Rig::new(|_| {});
        for (when, id, is_verdict) in events {
            if when > at {
                break;
            }
            rig.run_to(when);
            let part = Part::new(PartId(id as u64), Micros::new(triggers[id]));
            let now = rig.now();
            match is_verdict {
                false => rig.line.on_trigger(part, now),
                true => rig.line.on_verdict(Verdict { subject: Subject::Part(part), ..verdict(0, 0, parts[id].judgement) }, now),
            }
            rig.poll();
        }
        rig.run_to(at);
        rig.line.safe();
        rig.take();
        let counters = *rig.line.counters();
        prop_assert_eq!(rig.line.levels(), Levels::NONE);
        prop_assert_eq!(counters.triggered, counters.passed + counters.rejected + counters.missed);
    }
}
