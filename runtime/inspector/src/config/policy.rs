//! `[policy]`, `[golden]`, `[alarms]`, `[deadlines]`: when a part is bad, and when the line calls for help.

use jidoka_line::alarm::Alarm;
use jidoka_line::golden::{Golden, GoldenPlan, MAX_GOLDEN};
use jidoka_line::policy::MAX_REGIONS;
use jidoka_line::{Alarms, EjectorId, Quorum, RejectRate, Span};

use super::problem::Problem;
use super::reader::Reader;
use super::timing::span;

/// How scores and maps become judgements. Part of a recipe.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PolicyChoice {
    /// After a reject, the next part passes only this far under the threshold.
    pub hysteresis: f32,
    /// More than so many pixels of the map ...
    pub area_pixels: Option<u32>,
    /// ... over this reject.
    pub area_level: Option<f32>,
    /// From this score up to the threshold a part goes to `rework_to`.
    pub rework_from: Option<f32>,
    /// The ejector for rework.
    pub rework_to: EjectorId,
    /// Rectangles of the camera's frame (x, y, width, height, level) with a limit of their own.
    pub regions: Vec<[f64; 5]>,
}

/// What of the verdict policy belongs to the line and not to a recipe.
#[derive(Clone, Debug)]
pub struct LinePolicy {
    /// How many frames of a part decide.
    pub quorum: Quorum,
    /// A verdict about a frame older than this is stale; `None`: as old as the way to the ejector.
    pub stale: Option<Span>,
    /// Where samples that are asked for go.
    pub sample_to: EjectorId,
    /// Golden samples at shift start.
    pub golden: Option<GoldenPlan>,
}

/// When counts over parts call for help, and which alarms stop the line.
#[derive(Clone, Copy, Debug)]
pub struct AlarmChoice {
    /// Rejects among the last parts.
    pub rate: Option<RejectRate>,
    /// Alarms that assert line-stop until acknowledged.
    pub stop_on: Alarms,
}

/// Deadlines of the stages; `None`: the line's way from trigger to ejector.
#[derive(Clone, Copy, Debug)]
pub struct DeadlineChoice {
    /// From a frame to its verdict.
    pub inference: Option<Span>,
    /// From a promised edge to the actuator being there.
    pub actuation: Option<Span>,
    /// First back-off.
    pub backoff: Span,
    /// Longest back-off.
    pub backoff_most: Span,
}

const EJECTORS: [(&str, EjectorId); 3] = [("reject", EjectorId(0)), ("eject1", EjectorId(1)), ("eject2", EjectorId(2))];

/// Reads the part of `[policy]` that belongs to a recipe, and the part that does not.
pub fn policy(reader: &mut Reader<'_>) -> (PolicyChoice, LinePolicy) {
    let mut table = reader.section("policy");
    let level = -1e9..=1e9;
    let help = "after a reject, parts pass only this far under the threshold, until one does";
    let hysteresis = table.number("hysteresis", 0.0..=1e9, Some(0.0), help) as f32;
    let help = "reject where more than so many pixels of the anomaly map ...";
    let area_pixels = table.optional_count("area_pixels", 0..=100_000_000, help);
    let area_level = table.optional_number("area_level", level.clone(), "... are over this");
    let help = "scores from here up to the threshold go to rework_to";
    let rework_from = table.optional_number("rework_from", level, help);
    let rework_to = table.choice("rework_to", &EJECTORS, Some("eject1"), "the ejector for rework");
    let sample_to = table.choice("sample_to", &EJECTORS, Some("eject2"), "the ejector for samples that are asked for");
    let help = "rectangles of the frame, in pixels, in which no map value may be over level";
    let regions = table.rows("regions", ["x", "y", "width", "height", "level"], help);
    let frames = table.count("frames", 1..=32, Some(1), "how many frames are taken of each part ...");
    let rejects = table.count("rejects", 1..=32, Some(1), "... and how many bad ones make it bad");
    let help = "a verdict about a frame older than this is not believed; absent: trigger to ejector";
    let stale_ms = table.optional_number("stale_ms", 1.0..=600_000.0, help);
    drop(table);
    let at = |reader: &Reader<'_>, key| reader.line("policy", key);
    if area_pixels.is_some() != area_level.is_some() {
        let line = at(reader, "area_pixels").or(at(reader, "area_level"));
        let what = "[policy] area_pixels and area_level belong together";
        reader.refuse(Problem::new(line, what, "both, or neither").hint("area_pixels = 40 and area_level = 0.8"));
    }
    if rejects > frames {
        let what = format!("[policy] rejects = {rejects} can never be reached with frames = {frames}");
        reader.refuse(Problem::new(at(reader, "rejects"), what, format!("at most {frames}")));
    }
    if regions.len() > MAX_REGIONS {
        let what = format!("[policy] regions holds {} rectangles", regions.len());
        reader.refuse(Problem::new(at(reader, "regions"), what, format!("at most {MAX_REGIONS}")));
    }
    let choice = PolicyChoice {
        hysteresis,
        area_pixels,
        area_level: area_level.map(|level| level as f32),
        rework_from: rework_from.map(|level| level as f32),
        rework_to,
        regions,
    };
    let quorum = Quorum { frames: frames as u8, rejects: rejects as u8 };
    (choice, LinePolicy { quorum, stale: stale_ms.map(span), sample_to, golden: golden(reader) })
}

fn golden(reader: &mut Reader<'_>) -> Option<GoldenPlan> {
    let mut table = reader.section("golden");
    let help =
        "known parts that go over the line first, such as [\"good\", \"bad\"]; until each got its verdict, not Ready";
    let names = table.texts("samples", help);
    let help = "how long a passed check holds; absent: until the recipe changes";
    let holds = table.optional_number("holds_minutes", 1.0..=100_000.0, help);
    drop(table);
    let mut samples = heapless::Vec::new();
    for name in &names {
        let sample = match name.as_str() {
            "good" => Some(Golden::Good),
            "bad" => Some(Golden::Bad),
            _ => None,
        };
        if sample.is_none_or(|sample| samples.push(sample).is_err()) {
            let what = format!("[golden] samples: \"{name}\", of {}", names.len());
            let expected = format!("\"good\" and \"bad\", at most {MAX_GOLDEN}");
            reader.refuse(Problem::new(reader.line("golden", "samples"), what, expected));
            break;
        }
    }
    if names.is_empty() && holds.is_some() {
        let what = "[golden] holds_minutes without samples";
        reader.refuse(Problem::new(reader.line("golden", "holds_minutes"), what, "samples = [\"good\", \"bad\"]"));
    }
    let holds = holds.map_or(Span::MAX, |minutes| Span::from_micros((minutes * 60e6) as u64));
    (!samples.is_empty()).then_some(GoldenPlan { samples, holds })
}

/// Reads `[alarms]`.
pub fn alarms(reader: &mut Reader<'_>) -> AlarmChoice {
    let mut table = reader.section("alarms");
    let most = table.optional_count("rate_most", 0..=127, "more rejects than this ...");
    let of = table.optional_count("rate_of", 1..=128, "... among so many parts raise the alarm");
    let words =
        table.texts("stop_line_on", "alarms that assert line_stop until acknowledged, such as [\"missed_part\"]");
    drop(table);
    let at = reader.line("alarms", "rate_most").or(reader.line("alarms", "rate_of"));
    let rate = match (most, of) {
        (Some(most), Some(of)) if most < of => Some(RejectRate { most: most as u8, of: of as u8 }),
        (None, None) => None,
        (Some(most), Some(of)) => {
            let what = format!("[alarms] rate_most = {most} can never be exceeded among rate_of = {of}");
            reader.refuse(Problem::new(at, what, format!("less than {of}")));
            None
        }
        _ => {
            let what = "[alarms] rate_most and rate_of belong together";
            reader.refuse(Problem::new(at, what, "both, or neither").hint("rate_most = 10 and rate_of = 50"));
            None
        }
    };
    let mut stop_on = Alarms::NONE;
    for word in &words {
        match Alarm::ALL.into_iter().find(|alarm| alarm.name() == word) {
            Some(alarm) => stop_on = stop_on.with(alarm),
            None => {
                let what = format!("[alarms] stop_line_on names \"{word}\", which is no alarm");
                let known = Alarm::ALL.map(|alarm| format!("\"{}\"", alarm.name())).join(", ");
                reader.refuse(Problem::new(reader.line("alarms", "stop_line_on"), what, format!("some of {known}")));
            }
        }
    }
    AlarmChoice { rate, stop_on }
}

/// Reads `[deadlines]`.
pub fn deadlines(reader: &mut Reader<'_>) -> DeadlineChoice {
    let mut table = reader.section("deadlines");
    let ms = 1.0..=600_000.0;
    let help = "from a frame to its verdict; absent: the way from trigger to ejector";
    let inference = table.optional_number("inference_ms", ms.clone(), help);
    let help = "from a planned edge to the actuator being there; absent: the way from trigger to ejector";
    let actuation = table.optional_number("actuation_ms", ms.clone(), help);
    let help = "how long the line is held after the first missed deadline; doubles with each further one";
    let backoff_ms = table.number("backoff_ms", ms.clone(), Some(100.0), help);
    let most_ms = table.number("backoff_most_ms", ms, Some(10_000.0), "the longest that the line is held");
    drop(table);
    if most_ms < backoff_ms {
        let what = format!("[deadlines] backoff_most_ms = {most_ms} is less than backoff_ms = {backoff_ms}");
        reader.refuse(Problem::new(reader.line("deadlines", "backoff_most_ms"), what, format!("{backoff_ms} or more")));
    }
    let (backoff, backoff_most) = (span(backoff_ms), span(most_ms));
    DeadlineChoice { inference: inference.map(span), actuation: actuation.map(span), backoff, backoff_most }
}
