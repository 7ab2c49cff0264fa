//! `[reject]`: times and distances from the file, and the line's arithmetic on them.

use jidoka_line::{RejectTiming, Slot, Span, TimingError};

use super::Reject;
use super::problem::Problem;
use super::reader::Reader;

const SECTION: &str = "reject";

/// Reads `[reject]` and refuses what could hit a neighbour, with the sums.
pub fn read(reader: &mut Reader<'_>) -> Reject {
    let mut table = reader.section(SECTION);
    let delay_ms =
        table.number("delay_ms", 0.1..=600_000.0, None, "from the exposure to the ejector acting on that part");
    let pulse_ms = table.number("pulse_ms", 0.1..=60_000.0, None, "how long the ejector acts");
    let pitch_ms = table.optional_number("pitch_ms", 0.1..=600_000.0, "smallest time between two parts");
    let pitch_mm = table.optional_number("pitch_mm", 0.1..=100_000.0, "or: smallest distance between two parts ...");
    let belt = table.optional_number("belt_mm_per_s", 0.1..=100_000.0, "... and the belt's speed");
    let help = "shortest action that still removes a part; absent: half of pulse_ms";
    let least_ms = table.optional_number("least_pulse_ms", 0.1..=60_000.0, help);
    let lag_ms = table.number("lag_ms", 0.0..=10_000.0, Some(0.0), "from the line switching to the ejector acting");
    let tolerance_ms =
        table.number("tolerance_ms", 0.0..=10_000.0, Some(0.0), "by how much the ejector is early or late");
    let belt_percent =
        table.number("belt_tolerance_percent", 0.0..=50.0, Some(0.0), "by how much the belt is fast or slow");
    let part_ms =
        table.number("part_ms", 0.0..=60_000.0, Some(0.0), "how long a part takes to pass a point; 0: unknown");
    let help = "longest time from exposure to verdict that is planned for; 0: not checked";
    let verdict_ms = table.number("verdict_within_ms", 0.0..=600_000.0, Some(0.0), help);
    let alarm_after =
        table.count("alarm_after", 0..=10_000, Some(0), "rejects in a row that raise the alarm; 0: never");
    drop(table);

    let pitch_ms = pitch(reader, pitch_ms, pitch_mm, belt);
    let span = |ms: f64| Span::from_micros((ms * 1000.0).round() as u64);
    let timing = RejectTiming {
        least_pulse: span(least_ms.unwrap_or(pulse_ms / 2.0)),
        lag: span(lag_ms),
        tolerance: span(tolerance_ms),
        speed_tolerance_permille: (belt_percent * 10.0).round() as u32,
        length: span(part_ms),
        verdict_within: span(verdict_ms),
        ..RejectTiming::new(span(delay_ms), span(pulse_ms), span(pitch_ms))
    };
    Reject {
        slot: slot(reader, &timing),
        delay_us: timing.delay.as_micros(),
        pulse_us: timing.pulse.as_micros(),
        pitch_us: timing.pitch.as_micros(),
        alarm_after,
    }
}

/// The pitch as a time, given as one or as a distance and a speed; never both.
fn pitch(reader: &mut Reader<'_>, ms: Option<f64>, mm: Option<f64>, belt_mm_per_s: Option<f64>) -> f64 {
    match (ms, mm, belt_mm_per_s) {
        (Some(ms), None, None) => return ms,
        (None, Some(mm), Some(speed)) => return mm / speed * 1000.0,
        _ => {}
    }
    let what = match (ms, mm, belt_mm_per_s) {
        (None, None, None) => "[reject] pitch_ms is missing",
        (Some(_), _, _) => "[reject] says the pitch twice",
        (None, Some(_), None) => "[reject] pitch_mm needs belt_mm_per_s beside it",
        _ => "[reject] belt_mm_per_s needs pitch_mm beside it",
    };
    let at = ["pitch_mm", "belt_mm_per_s", "pitch_ms"].iter().find_map(|key| reader.line(SECTION, key));
    let expected = "pitch_ms, or pitch_mm and belt_mm_per_s";
    reader.refuse(Problem::new(at, what, expected).hint("pitch_ms = 120, or pitch_mm = 60 and belt_mm_per_s = 500"));
    1.0
}

/// Does the line's arithmetic; turns each of its refusals into ours, with key and line.
fn slot(reader: &mut Reader<'_>, timing: &RejectTiming) -> Slot {
    match timing.check() {
        Ok(slot) => slot,
        Err(errors) => {
            // Keys that were missing or out of range have been refused already; sums over their stand-ins would
            // only add noise.
            if reader.is_clean() {
                for error in errors.iter() {
                    let problem = explain(reader, error, timing);
                    reader.refuse(problem);
                }
            }
            stand_in()
        }
    }
}

fn explain(reader: &Reader<'_>, error: &TimingError, timing: &RejectTiming) -> Problem {
    let key = match error {
        TimingError::OutOfRange { field, .. } => match *field {
            "delay" => "delay_ms",
            "least_pulse" => "least_pulse_ms",
            "lag" => "lag_ms",
            "tolerance" => "tolerance_ms",
            "speed_tolerance" => "belt_tolerance_percent",
            "pitch" => "pitch_ms",
            "length" => "part_ms",
            "verdict_within" => "verdict_within_ms",
            _ => "pulse_ms",
        },
        TimingError::ReachesNeighbour { .. } | TimingError::MissesItsPart { .. } => "pulse_ms",
        TimingError::ConfirmsNeighbour { .. } => "confirm_within_ms",
        TimingError::OpensTooSoon { .. } | TimingError::TooManyInFlight { .. } => "delay_ms",
    };
    // The line's own text: what is wrong, the sum, and after "expected:" what would do.
    let text = error.to_string();
    let mut lines = text.lines();
    let what = lines.next().unwrap_or_default();
    let what = match what.split_once(" = ") {
        Some((_, rest)) if !matches!(error, TimingError::TooManyInFlight { .. }) => {
            format!("[{SECTION}] {key} = {rest}")
        }
        _ => format!("[{SECTION}] {key}: {what}"),
    };
    let mut problem = Problem::new(reader.line(SECTION, key), what, "");
    for line in lines {
        match line.trim().strip_prefix("expected: ") {
            Some(expected) => problem.expected = expected.to_owned(),
            None => problem.because.push(line.trim().to_owned()),
        }
    }
    let way_out = hint(error, timing);
    if way_out.is_empty() { problem } else { problem.hint(way_out) }
}

fn hint(error: &TimingError, timing: &RejectTiming) -> String {
    match error {
        TimingError::ReachesNeighbour { pulse, most, .. } if most.value > 0 => {
            let room_us = pulse.value - most.value + timing.pitch.as_micros();
            format!(
                "pulse_ms = {}, or pitch_ms = {} if the parts are that far apart",
                most.value * 9 / 10_000,
                room_us.div_ceil(1000)
            )
        }
        TimingError::ReachesNeighbour { .. } => "a longer pitch, or smaller tolerances".into(),
        TimingError::OpensTooSoon { least, .. } => {
            format!("delay_ms = {}: move the ejector further downstream", least.value.div_ceil(1000))
        }
        TimingError::TooManyInFlight { .. } => "an ejector nearer to the camera, or parts further apart".into(),
        TimingError::MissesItsPart { least, .. } => format!("pulse_ms = {}", least.value.div_ceil(1000)),
        TimingError::ConfirmsNeighbour { most, .. } => format!("confirm_within_ms = {}", most.value / 1000),
        TimingError::OutOfRange { .. } => String::new(),
    }
}

/// A window to stand in a configuration that will be refused.
fn stand_in() -> Slot {
    let ms = Span::from_millis;
    match RejectTiming::new(ms(100), ms(10), ms(100)).check() {
        Ok(slot) => slot,
        Err(errors) => unreachable!("the stand-in timing is sound: {errors}"),
    }
}
