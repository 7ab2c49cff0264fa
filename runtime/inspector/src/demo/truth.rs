//! Was it right? The chip's edges against what the renderer knows.

use std::collections::BTreeMap;
use std::time::Duration;

use jidoka_capture::Truth;
use jidoka_line::{Outcome, What, Why};
use jidoka_pins::SimChip;
use serde::Serialize;

use super::Run;
use crate::station::record::Seen;
use crate::station::stop::Reason;
use crate::station::verdict_log::why_word;

/// One stretch of the reject line being on, as the chip recorded it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pulse {
    /// On.
    pub from: Duration,
    /// Off.
    pub to: Duration,
}

/// The outcome, counted from the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Tally {
    /// Parts that were inspected.
    pub parts: usize,
    /// Parts that are defective in truth.
    pub defective: usize,
    /// Parts that the ejector hit.
    pub rejects: usize,
    /// Good parts that the ejector hit.
    pub false_rejects: usize,
    /// Defective parts that the ejector did not hit.
    pub escapes: usize,
    /// Parts that the line could neither pass nor reject.
    pub missed: usize,
    /// Parts that were on their way when the demo was stopped; nothing else counts them.
    pub cut_off: usize,
    /// Parts of which the wire and the line's own account differ. Not zero would be a fault of this program.
    pub disagreements: usize,
}

/// The pulses of the named line, in order.
pub fn pulses(chip: &SimChip, line: &str) -> Vec<Pulse> {
    use jidoka_pins::PinState::High;
    let mut pulses = Vec::new();
    let mut since = None;
    for edge in chip.edges_of(line) {
        match (edge.level, since) {
            (High, None) => since = Some(edge.at),
            (High, Some(_)) => {}
            (_, Some(from)) => {
                pulses.push(Pulse { from, to: edge.at });
                since = None;
            }
            (_, None) => {}
        }
    }
    pulses
}

/// Whether the ejector was on while the middle of this part's window passed it.
pub fn was_hit(seen: &Seen, delay: Duration, pulse: Duration, pulses: &[Pulse]) -> bool {
    let captured = Duration::from_micros(seen.part.captured_at.as_u64());
    let middle = captured + delay + pulse / 2;
    // Pulses are in order: the last that began before the middle is the only one that can cover it.
    let after = pulses.partition_point(|pulse| pulse.from <= middle);
    after.checked_sub(1).is_some_and(|last| pulses[last].to >= middle)
}

/// Counts.
pub fn tally(run: &Run) -> Tally {
    let pulses = pulses(&run.chip, "reject");
    let finished: Vec<&Seen> = run.seen.iter().filter(|seen| is_finished(run, seen)).collect();
    let mut tally = Tally { parts: finished.len(), cut_off: run.seen.len() - finished.len(), ..Tally::default() };
    for seen in finished {
        let hit = was_hit(seen, run.rhythm.delay, run.rhythm.pulse, &pulses);
        let good = seen.truth.is_some_and(Truth::is_good);
        tally.defective += usize::from(!good);
        tally.rejects += usize::from(hit);
        tally.false_rejects += usize::from(hit && good);
        tally.escapes += usize::from(!hit && !good);
        tally.disagreements += usize::from(hit != says_rejected(run, seen));
    }
    let missed =
        |what: &What| matches!(what, What::Left(left) if left.outcome == Outcome::Missed && left.why != Why::Stopped);
    tally.missed = run.notes.iter().filter(|note| missed(&note.what)).count();
    tally
}

/// Whether the part went all the way: where the demo was stopped, its window was over by then.
fn is_finished(run: &Run, seen: &Seen) -> bool {
    if run.ended.reason == Reason::Done {
        return true;
    }
    let stopped = run.notes.last().map_or(Duration::ZERO, |note| Duration::from_micros(note.at.as_u64()));
    Duration::from_micros(seen.part.captured_at.as_u64()) + run.rhythm.delay + run.rhythm.pulse < stopped
}

fn says_rejected(run: &Run, seen: &Seen) -> bool {
    run.notes.iter().any(|note| match note.what {
        What::Left(left) => left.part.id == seen.part.id && matches!(left.outcome, Outcome::Reject { .. }),
        _ => false,
    })
}

/// How many parts left for which reason, in the words of the verdict log.
pub fn reasons(run: &Run) -> BTreeMap<&'static str, usize> {
    let mut reasons = BTreeMap::new();
    for note in &run.notes {
        if let What::Left(left) = note.what {
            *reasons.entry(why_word(left.why)).or_default() += 1;
        }
    }
    reasons
}

/// Most false rejects among `good` parts that a true rate of `rate` would give in all but one of a thousand runs: the
/// 99.9 % point of the binomial distribution.
pub fn plausible_false_rejects(good: usize, rate: f64) -> usize {
    // Summed term by term from P(0); good is some hundreds, so neither the sum nor the terms need more care than f64 has.
    let mut term = (1.0 - rate).powi(good as i32);
    let mut sum = term;
    let mut count = 0;
    while sum < 0.999 && count < good {
        term *= (good - count) as f64 / (count + 1) as f64 * rate / (1.0 - rate);
        sum += term;
        count += 1;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::station::record::Laps;
    use crate::station::views::{Said, ViewSaid};
    use jidoka_line::{Judgement, Micros, Part, PartId, Why};
    use jidoka_pins::{Gpio, OutputSpec, SimChip};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn pulses_are_read_from_the_edges() {
        let now_ms = Arc::new(AtomicU64::new(0));
        let clock = Arc::clone(&now_ms);
        let chip = SimChip::new("sim", &["reject"], 64, move || MS(clock.load(Ordering::SeqCst)));
        let mut output = Gpio::simulated(std::slice::from_ref(&chip)).output(&OutputSpec::new("reject")).expect("free");
        for (at_ms, high) in [(10, true), (30, false), (50, true), (55, true), (60, false)] {
            now_ms.store(at_ms, Ordering::SeqCst);
            output.set(jidoka_pins::PinState::from(high)).expect("sets");
        }
        let expected = [Pulse { from: MS(10), to: MS(30) }, Pulse { from: MS(50), to: MS(60) }];
        assert_eq!(pulses(&chip, "reject"), expected);
    }

    #[test]
    fn a_part_is_hit_only_by_a_pulse_over_the_middle_of_its_window() {
        let part = Part::new(PartId(1), Micros::new(1_000_000));
        let seen = Seen {
            part,
            sequence: 0,
            truth: None,
            score: 0.0,
            judgement: Judgement::Pass,
            why: Why::Good,
            said: Said::one(ViewSaid::of(Judgement::Pass, Why::Good, 0.0)),
            laps: Laps::default(),
        };
        // The window is 1400 to 1440 ms, its middle 1420 ms.
        for (from, to, hit) in [(1400, 1440, true), (1419, 1421, true), (1300, 1410, false), (1425, 1500, false)] {
            let pulses = [Pulse { from: MS(100), to: MS(120) }, Pulse { from: MS(from), to: MS(to) }];
            assert_eq!(was_hit(&seen, MS(400), MS(40), &pulses), hit, "{from} to {to}");
        }
        assert!(!was_hit(&seen, MS(400), MS(40), &[]));
    }

    #[test]
    fn the_plausible_count_follows_the_binomial_distribution() {
        assert_eq!(plausible_false_rejects(450, 0.005), 8); // P(X <= 8) = 0.9994, P(X <= 7) = 0.998
        assert_eq!(plausible_false_rejects(100, 0.0), 0);
        assert_eq!(plausible_false_rejects(0, 0.5), 0);
    }
}
