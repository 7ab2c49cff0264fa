//! `[reject]`, `[eject1]`, `[eject2]`: times or distances from the file, and the line's arithmetic on them.
//!
//! One set of keys for every ejector, in milliseconds for a line that tracks by time and in millimetres for one that
//! tracks by encoder. Which of the two it is shows from `delay_ms` or `delay_mm`; both together are refused.

use jidoka_line::{Axis, RejectPlacing, RejectTiming, Slot, Span, TimingError, TimingErrors};

use super::problem::Problem;
use super::reader::Reader;
use super::{Ejector, Reject, Sums};

/// What an ejector's table holds, before it is known which axis it is meant for.
struct Raw {
    section: &'static str,
    delay_ms: Option<f64>,
    pulse_ms: Option<f64>,
    pitch_ms: Option<f64>,
    least_ms: Option<f64>,
    part_ms: Option<f64>,
    delay_mm: Option<f64>,
    pulse_mm: Option<f64>,
    pitch_mm: Option<f64>,
    least_mm: Option<f64>,
    part_mm: Option<f64>,
    slip_mm: Option<f64>,
    belt_mm_per_s: Option<f64>,
    belt_percent: f64,
    lag_ms: f64,
    tolerance_ms: f64,
    verdict_ms: f64,
    confirm_ms: Option<f64>,
}

/// Reads `[reject]` and refuses what could hit a neighbour, with the sums. `fastest_um_per_s` is the belt's, where there is
/// an encoder.
pub fn read(reader: &mut Reader<'_>, fastest_um_per_s: Option<u64>) -> Reject {
    let (raw, alarm_after, longest_on) = {
        let mut table = reader.section("reject");
        let raw = keys(&mut table, "reject");
        let alarm_after =
            table.count("alarm_after", 0..=10_000, Some(0), "rejects in a row that raise the alarm; 0: never");
        let help = "longest that an ejector stays on whatever the belt does; absent: no limit of its own";
        (raw, alarm_after, table.optional_number("longest_on_ms", 1.0..=600_000.0, help))
    };
    let ejector = ejector(reader, &raw, fastest_um_per_s);
    Reject {
        slot: ejector.slot,
        sums: ejector.sums,
        delay_us: ejector.delay_us,
        pulse_us: ejector.pulse_us,
        pitch_us: ejector.pitch_us,
        alarm_after,
        confirm: raw.confirm_ms.is_some(),
        longest_on_us: longest_on.map(|ms| span(ms).as_micros()),
    }
}

/// Reads `[eject1]` or `[eject2]`; `None` where the file has no such table.
pub fn read_other(reader: &mut Reader<'_>, section: &'static str, fastest_um_per_s: Option<u64>) -> Option<Ejector> {
    let (raw, present) = {
        let mut table = reader.section(section);
        (keys(&mut table, section), table.is_present())
    };
    present.then(|| ejector(reader, &raw, fastest_um_per_s))
}

fn keys(table: &mut super::reader::Section<'_, '_>, section: &'static str) -> Raw {
    let help = "longest time from trigger to verdict that is planned for; 0: not checked";
    let verdict_ms = table.number("verdict_within_ms", 0.0..=600_000.0, Some(0.0), help);
    let ms = 0.1..=600_000.0;
    let mm = 0.1..=100_000.0;
    Raw {
        section,
        verdict_ms,
        delay_ms: table.optional_number("delay_ms", ms.clone(), "from the trigger to the ejector acting on that part"),
        pulse_ms: table.optional_number("pulse_ms", 0.1..=60_000.0, "how long the ejector acts"),
        pitch_ms: table.optional_number("pitch_ms", ms, "smallest time between two parts"),
        least_ms: table.optional_number(
            "least_pulse_ms",
            0.1..=60_000.0,
            "shortest action that still removes a part; absent: half of pulse_ms",
        ),
        part_ms: table.optional_number("part_ms", 0.0..=60_000.0, "how long a part takes to pass a point"),
        delay_mm: table.optional_number("delay_mm", mm.clone(), "by encoder: from the trigger's place to the ejector"),
        pulse_mm: table.optional_number("pulse_mm", mm.clone(), "by encoder: over what distance the ejector acts"),
        pitch_mm: table.optional_number("pitch_mm", mm.clone(), "smallest distance between two parts ..."),
        least_mm: table.optional_number(
            "least_pulse_mm",
            mm,
            "by encoder: shortest action that still removes a part; absent: half of pulse_mm",
        ),
        part_mm: table.optional_number("part_mm", 0.0..=100_000.0, "by encoder: the length of a part"),
        slip_mm: table.optional_number(
            "slip_mm",
            0.0..=10_000.0,
            "by encoder: how far a part may have slipped when it reaches the ejector",
        ),
        belt_mm_per_s: table.optional_number(
            "belt_mm_per_s",
            0.1..=100_000.0,
            "... and the belt's speed, where the delay is a time",
        ),
        belt_percent: table.number(
            "belt_tolerance_percent",
            0.0..=50.0,
            Some(0.0),
            "by how much the belt is fast or slow, where the delay is a time",
        ),
        lag_ms: table.number("lag_ms", 0.0..=10_000.0, Some(0.0), "from the line switching to the ejector acting"),
        tolerance_ms: table.number(
            "tolerance_ms",
            0.0..=10_000.0,
            Some(0.0),
            "by how much the ejector is early or late",
        ),
        confirm_ms: table.optional_number(
            "confirm_within_ms",
            1.0..=60_000.0,
            "how long after its window the confirmation input may take to see the part",
        ),
    }
}

fn ejector(reader: &mut Reader<'_>, raw: &Raw, fastest_um_per_s: Option<u64>) -> Ejector {
    let by_time = [
        ("delay_ms", raw.delay_ms),
        ("pulse_ms", raw.pulse_ms),
        ("pitch_ms", raw.pitch_ms),
        ("least_pulse_ms", raw.least_ms),
        ("part_ms", raw.part_ms),
        ("belt_mm_per_s", raw.belt_mm_per_s),
    ];
    let by_distance = [
        ("delay_mm", raw.delay_mm),
        ("pulse_mm", raw.pulse_mm),
        ("least_pulse_mm", raw.least_mm),
        ("part_mm", raw.part_mm),
        ("slip_mm", raw.slip_mm),
    ];
    let distance = raw.delay_mm.is_some();
    let odd = if distance { &by_time[..] } else { &by_distance[..] };
    for (key, _) in odd.iter().copied().filter(|(_, value)| value.is_some()) {
        let (is, other) = if distance { ("a distance", "delay_mm") } else { ("a time", "delay_ms") };
        let what = format!("[{}] {key} does not go with {other}: the delay is {is}", raw.section);
        let expected = "delay, pulse and pitch all in ms, or all in mm";
        let problem = Problem::new(reader.line(raw.section, key), what, expected);
        reader.refuse(problem);
    }
    if distance { placed(reader, raw, fastest_um_per_s) } else { timed(reader, raw) }
}

/// A required number that may stand under another name: refused where it is missing.
fn required(reader: &mut Reader<'_>, raw: &Raw, key: &str, value: Option<f64>, hint: &str) -> f64 {
    value.unwrap_or_else(|| {
        let what = format!("[{}] {key} is missing", raw.section);
        reader.refuse(Problem::new(None, what, format!("{key} = a number")).hint(hint));
        1.0
    })
}

fn timed(reader: &mut Reader<'_>, raw: &Raw) -> Ejector {
    let delay_ms = required(reader, raw, "delay_ms", raw.delay_ms, "delay_ms = 400, or delay_mm with an [encoder]");
    let pulse_ms = required(reader, raw, "pulse_ms", raw.pulse_ms, "pulse_ms = 40");
    let pitch_ms = pitch(reader, raw);
    let timing = RejectTiming {
        least_pulse: span(raw.least_ms.unwrap_or(pulse_ms / 2.0)),
        lag: span(raw.lag_ms),
        tolerance: span(raw.tolerance_ms),
        speed_tolerance_permille: (raw.belt_percent * 10.0).round() as u32,
        length: span(raw.part_ms.unwrap_or(0.0)),
        verdict_within: span(raw.verdict_ms),
        confirm_within: raw.confirm_ms.map(span),
        ..RejectTiming::new(span(delay_ms), span(pulse_ms), span(pitch_ms))
    };
    Ejector {
        slot: slot(reader, raw.section, timing.check()),
        sums: Sums::Time(timing),
        delay_us: timing.delay.as_micros(),
        pulse_us: timing.pulse.as_micros(),
        pitch_us: timing.pitch.as_micros(),
    }
}

fn placed(reader: &mut Reader<'_>, raw: &Raw, fastest_um_per_s: Option<u64>) -> Ejector {
    let Some(fastest_um_per_s) = fastest_um_per_s else {
        let what = format!("[{}] delay_mm needs an encoder, and there is none", raw.section);
        let expected = "[inputs] encoder_a and [encoder] mm_per_count and fastest_mm_per_s";
        let problem = Problem::new(reader.line(raw.section, "delay_mm"), what, expected);
        reader.refuse(problem.hint("delay_ms, where the belt runs at a steady speed"));
        let sums = Sums::Time(stand_in_timing());
        return Ejector { slot: stand_in(), sums, delay_us: 1, pulse_us: 1, pitch_us: 1 };
    };
    let pulse_mm = required(reader, raw, "pulse_mm", raw.pulse_mm, "pulse_mm = 20");
    let pitch_mm = required(reader, raw, "pitch_mm", raw.pitch_mm, "pitch_mm = 60");
    if raw.belt_percent > 0.0 {
        let what = format!("[{}] belt_tolerance_percent does not go with delay_mm: the encoder measures", raw.section);
        let problem = Problem::new(reader.line(raw.section, "belt_tolerance_percent"), what, "slip_mm");
        reader.refuse(problem);
    }
    let um = |mm: f64| (mm * 1000.0).round() as u64;
    let placing = RejectPlacing {
        delay_um: um(raw.delay_mm.unwrap_or_default()),
        pulse_um: um(pulse_mm),
        least_pulse_um: um(raw.least_mm.unwrap_or(pulse_mm / 2.0)),
        lag: span(raw.lag_ms),
        tolerance: span(raw.tolerance_ms),
        fastest_um_per_s,
        slip_um: um(raw.slip_mm.unwrap_or(0.0)),
        pitch_um: um(pitch_mm),
        length_um: um(raw.part_mm.unwrap_or(0.0)),
        verdict_within: span(raw.verdict_ms),
        confirm_within: raw.confirm_ms.map(span),
    };
    let us = |um: u64| um.saturating_mul(1_000_000) / fastest_um_per_s.max(1);
    Ejector {
        slot: slot(reader, raw.section, placing.check()),
        sums: Sums::Distance(placing),
        delay_us: us(placing.delay_um),
        pulse_us: us(placing.pulse_um),
        pitch_us: us(placing.pitch_um),
    }
}

/// Milliseconds as a span.
pub fn span(ms: f64) -> Span {
    Span::from_micros((ms * 1000.0).round() as u64)
}

/// The pitch as a time, given as one or as a distance and a speed; never both.
fn pitch(reader: &mut Reader<'_>, raw: &Raw) -> f64 {
    let (ms, mm, belt_mm_per_s) = (raw.pitch_ms, raw.pitch_mm, raw.belt_mm_per_s);
    match (ms, mm, belt_mm_per_s) {
        (Some(ms), None, None) => return ms,
        (None, Some(mm), Some(speed)) => return mm / speed * 1000.0,
        _ => {}
    }
    let what = match (ms, mm, belt_mm_per_s) {
        (None, None, None) => "pitch_ms is missing",
        (Some(_), _, _) => "says the pitch twice",
        (None, Some(_), None) => "pitch_mm needs belt_mm_per_s beside it",
        _ => "belt_mm_per_s needs pitch_mm beside it",
    };
    let at = ["pitch_mm", "belt_mm_per_s", "pitch_ms"].iter().find_map(|key| reader.line(raw.section, key));
    let expected = "pitch_ms, or pitch_mm and belt_mm_per_s";
    reader.refuse(
        Problem::new(at, format!("[{}] {what}", raw.section), expected)
            .hint("pitch_ms = 120, or pitch_mm = 60 and belt_mm_per_s = 500"),
    );
    1.0
}

/// Does the line's arithmetic; turns each of its refusals into ours, with key and line.
fn slot(reader: &mut Reader<'_>, section: &'static str, checked: Result<Slot, TimingErrors>) -> Slot {
    match checked {
        Ok(slot) => slot,
        Err(errors) => {
            // Keys that were missing or out of range have been refused already; sums over their stand-ins would
            // only add noise.
            if reader.is_clean_in(section) {
                for error in errors.iter() {
                    let problem = explain(reader, section, error);
                    reader.refuse(problem);
                }
            }
            stand_in()
        }
    }
}

fn explain(reader: &Reader<'_>, section: &'static str, error: &TimingError) -> Problem {
    let (name, axis) = match error {
        TimingError::OutOfRange { field, value, .. } => (*field, value.axis),
        TimingError::ReachesNeighbour { pulse, .. } | TimingError::MissesItsPart { pulse, .. } => ("pulse", pulse.axis),
        TimingError::ConfirmsNeighbour { pulse, .. } => ("confirm_within", pulse.axis),
        TimingError::OpensTooSoon { delay, .. } => ("delay", delay.axis),
        TimingError::TooManyInFlight { reach, .. } => ("delay", reach.axis),
    };
    let key = key_of(name, axis);
    // The line's own text: what is wrong, the sum, and after "expected:" what would do.
    let text = error.to_string();
    let mut lines = text.lines();
    let what = lines.next().unwrap_or_default();
    let what = match what.split_once(" = ") {
        Some((_, rest)) if !matches!(error, TimingError::TooManyInFlight { .. }) => {
            format!("[{section}] {key} = {rest}")
        }
        _ => format!("[{section}] {key}: {what}"),
    };
    let mut problem = Problem::new(reader.line(section, key), what, "");
    for line in lines {
        match line.trim().strip_prefix("expected: ") {
            Some(expected) => problem.expected = expected.to_owned(),
            None => problem.because.push(line.trim().to_owned()),
        }
    }
    let way_out = hint(error);
    if way_out.is_empty() { problem } else { problem.hint(way_out) }
}

/// The file's key for a name of the line's arithmetic.
fn key_of(name: &str, axis: Axis) -> &'static str {
    match (name, axis) {
        ("lag", _) => "lag_ms",
        ("tolerance", _) => "tolerance_ms",
        ("verdict_within", _) => "verdict_within_ms",
        ("confirm_within", _) => "confirm_within_ms",
        ("delay", Axis::Time) => "delay_ms",
        ("least_pulse", Axis::Time) => "least_pulse_ms",
        ("speed_tolerance", Axis::Time) => "belt_tolerance_percent",
        ("pitch", Axis::Time) => "pitch_ms",
        ("length", Axis::Time) => "part_ms",
        (_, Axis::Time) => "pulse_ms",
        ("delay", Axis::Distance) => "delay_mm",
        ("least_pulse", Axis::Distance) => "least_pulse_mm",
        ("speed_tolerance", Axis::Distance) => "slip_mm",
        ("pitch", Axis::Distance) => "pitch_mm",
        ("length", Axis::Distance) => "part_mm",
        (_, Axis::Distance) => "pulse_mm",
    }
}

fn hint(error: &TimingError) -> String {
    let unit = |axis| if axis == Axis::Time { "ms" } else { "mm" };
    match error {
        TimingError::ReachesNeighbour { pulse, pitch, most, .. } if most.value > 0 => {
            let (room, unit) = (pulse.value - most.value + pitch.value, unit(pulse.axis));
            format!(
                "pulse_{unit} = {}, or pitch_{unit} = {} if the parts are that far apart",
                most.value * 9 / 10_000,
                room.div_ceil(1000)
            )
        }
        TimingError::ReachesNeighbour { .. } => "a longer pitch, or smaller tolerances".into(),
        TimingError::OpensTooSoon { least, .. } => {
            let unit = unit(least.axis);
            format!("delay_{unit} = {}: move the ejector further downstream", least.value.div_ceil(1000))
        }
        TimingError::TooManyInFlight { .. } => "an ejector nearer to the camera, or parts further apart".into(),
        TimingError::MissesItsPart { least, .. } => {
            format!("pulse_{} = {}", unit(least.axis), least.value.div_ceil(1000))
        }
        TimingError::ConfirmsNeighbour { most, .. } if most.axis == Axis::Time => {
            format!("confirm_within_ms = {}", most.value / 1000)
        }
        TimingError::ConfirmsNeighbour { .. } => "a confirmation sensor nearer to the ejector".into(),
        TimingError::OutOfRange { .. } => String::new(),
    }
}

fn stand_in_timing() -> RejectTiming {
    let ms = Span::from_millis;
    RejectTiming::new(ms(100), ms(10), ms(100))
}

/// A window to stand in a configuration that will be refused.
fn stand_in() -> Slot {
    match stand_in_timing().check() {
        Ok(slot) => slot,
        Err(errors) => unreachable!("the stand-in timing is sound: {errors}"),
    }
}
