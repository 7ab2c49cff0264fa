//! The demo's report: what happened, put into the page's words.

use jidoka_capture::Truth;
use jidoka_line::{Judgement, What};

use super::Run;
use super::pictures::gallery;
use super::truth::{self, Tally};
use crate::error::Error;
use crate::report::chart::{self, Scores, Span};
use crate::report::{self, Content, Fact, Figure, StageRow};
use crate::station::record::Seen;
use crate::station::stop::Reason;
use crate::stats::Summary;

/// The page as HTML.
pub fn html(run: &Run, tally: &Tally) -> Result<String, Error> {
    report::render(&content(run, tally)?).map_err(|error| Error::Report(error.to_string()))
}

/// Latency by stage, in the order of the flow, the total last.
pub fn stages(run: &Run) -> Vec<(&'static str, Summary)> {
    let Some(inspected) = &run.ended.inspected else { return vec![] };
    let mut stages = vec![
        ("prepare", inspected.prepare.summary()),
        ("infer", inspected.infer.summary()),
        ("judge", inspected.judge.summary()),
    ];
    if let Some(acted) = &run.ended.acted {
        stages.push(("ejector edge, late by", acted.lateness.summary()));
    }
    stages.push(("exposure to verdict", inspected.total.summary()));
    stages
}

/// Allocations a frame in the sealed loop.
pub fn allocations_per_frame(run: &Run) -> f64 {
    let frames = run.ended.inspected.as_ref().map_or(0, |inspected| inspected.sealed_frames);
    run.ended.allocations.total() as f64 / frames.max(1) as f64
}

fn content(run: &Run, tally: &Tally) -> Result<Content, Error> {
    let gallery = gallery(run)?;
    let scores = |good: bool| -> Vec<f32> {
        run.seen.iter().filter(|seen| seen.truth.is_some_and(Truth::is_good) == good).map(|seen| seen.score).collect()
    };
    let (good, defective) = (scores(true), scores(false));
    let histogram = chart::histogram(&Scores { good: &good, defective: &defective, threshold: run.threshold as f32 });
    let total = run.ended.inspected.as_ref().map(|inspected| inspected.total.summary()).unwrap_or_default();
    let threshold = &run.taught.report.threshold;
    let (timeline, timeline_note) = timeline(run);
    Ok(Content {
        title: "Inspection report".into(),
        lead: cut_short(run, tally).map_or(String::new(), |cut| format!("CUT SHORT: {cut}. "))
            + &format!(
                "{} rendered parts on a belt that brought one every {:.0} ms. The model was taught from {} good parts in \
             {:.1} s on this machine; no defect was shown to it.",
                tally.parts,
                run.rhythm.interval.as_secs_f64() * 1e3,
                run.taught.report.images,
                run.teach_seconds
            ),
        figures: figures(run, tally, &total),
        threshold_note: format!(
            "It was chosen from good parts alone, so that about {:.1} % of them would be rejected.",
            threshold.false_reject * 100.0
        ),
        histogram,
        timeline_note,
        timeline,
        gallery: gallery.pictures,
        latency_note:
            "Measured in the loop that runs on a real line: from the exposure (the driver's timestamp) to the \
                       verdict in the actuator's hands. The last row but one is how late the ejector's edge came."
                .into(),
        stages: stages(run).into_iter().map(stage_row).collect(),
        facts: facts(run, tally, gallery.differing),
        footer: format!("Made by jidoka {} with `jidoka demo --seed {}`.", env!("CARGO_PKG_VERSION"), run.show.seed),
    })
}

/// What there is to say of a demo that was stopped before its end.
pub fn cut_short(run: &Run, tally: &Tally) -> Option<String> {
    (run.ended.reason != Reason::Done).then(|| {
        let (parts, wanted, cut_off) = (tally.parts, run.show.parts, tally.cut_off);
        format!("stopped after {parts} of {wanted} parts; {cut_off} more were on their way and are not counted")
    })
}

fn figures(run: &Run, tally: &Tally, total: &Summary) -> Vec<Figure> {
    let figure = |value: String, label: &str, mood| Figure { value, label: label.into(), mood };
    let mood = |fine: bool| if fine { "fine" } else { "poor" };
    let good = tally.parts - tally.defective;
    let plausible = truth::plausible_false_rejects(good, run.show.false_reject);
    let allocations = allocations_per_frame(run);
    vec![
        figure(tally.parts.to_string(), "parts inspected", ""),
        figure(tally.rejects.to_string(), "ejected", ""),
        figure(tally.escapes.to_string(), "bad parts that escaped", mood(tally.escapes == 0)),
        figure(tally.false_rejects.to_string(), "good parts ejected", mood(tally.false_rejects <= plausible)),
        figure(format!("{:.1} ms", total.p50_us as f64 / 1e3), "median, exposure to verdict", ""),
        figure(format!("{:.1} ms", total.p99_us as f64 / 1e3), "99 in 100 within", ""),
        figure(format!("{allocations:.0}"), "allocations a frame", mood(allocations == 0.0)),
    ]
}

fn stage_row((name, times): (&'static str, Summary)) -> StageRow {
    let ms = |us: u64| format!("{:.3}", us as f64 / 1e3);
    StageRow { name: name.into(), p50: ms(times.p50_us), p99: ms(times.p99_us), max: ms(times.max_us) }
}

fn facts(run: &Run, tally: &Tally, differing: usize) -> Vec<Fact> {
    let report = &run.taught.report;
    let fact = |name, value: String| Fact { name, value };
    let agreed = if tally.disagreements == 0 {
        format!("the chip's edges and the line's own account agree on all {} parts", tally.parts)
    } else {
        format!("the chip's edges and the line's own account DIFFER on {} parts", tally.disagreements)
    };
    let again = if differing == 0 {
        "every part shown here, rendered and scored again, got the same score to the bit".into()
    } else {
        format!("{differing} of the parts shown here got ANOTHER score when scored again")
    };
    vec![
        fact("method", format!("{}, {} features in the memory bank", report.method, report.bank)),
        fact("threshold", format!("{:.4}: {}", run.threshold, report.threshold.basis)),
        fact(
            "reject window",
            format!(
                "{:.0} ms after the exposure, {:.0} ms long",
                run.rhythm.delay.as_secs_f64() * 1e3,
                run.rhythm.pulse.as_secs_f64() * 1e3
            ),
        ),
        fact("engine", format!("{} kernels, {} thread(s)", run.isa, run.show.threads)),
        fact("counted", agreed),
        fact("repeatable", again),
        fact("seed", run.show.seed.to_string()),
    ]
}

/// The time line of the first part that was rejected for its score and hit: from its exposure to the end of its pulse, the
/// last two edges as the chip recorded them.
fn timeline(run: &Run) -> (String, String) {
    let pulses = truth::pulses(&run.chip, "reject");
    let (delay, pulse) = (run.rhythm.delay, run.rhythm.pulse);
    let shown = run.seen.iter().filter(|seen| {
        seen.judgement == Judgement::Reject && truth::was_hit(seen, delay, pulse, &pulses) && fired_alone(run, seen)
    });
    let Some(seen) = shown.min_by_key(|seen| seen.part.id) else {
        return (chart::timeline(&[]), "No part was rejected in this run.".into());
    };
    let captured = std::time::Duration::from_micros(seen.part.captured_at.as_u64());
    let Some(hit) = pulses.iter().find(|pulse| pulse.to > captured + delay) else {
        return (chart::timeline(&[]), "No pulse was recorded in this run.".into());
    };
    let ms = |time: std::time::Duration| time.as_secs_f32() * 1e3;
    let laps = &seen.laps;
    let read_out = laps.total.saturating_sub(laps.prepare + laps.infer + laps.judge);
    let (on, off) = (hit.from.saturating_sub(captured), hit.to.saturating_sub(captured));
    let mut at = 0.0;
    let mut next = |name, length: f32, class| {
        let from_ms = at;
        at += length;
        Span { name, from_ms, to_ms: at, class }
    };
    let mut spans = vec![
        next("exposure, read-out", ms(read_out), "frame"),
        next("prepare", ms(laps.prepare), "work"),
        next("infer", ms(laps.infer), "work"),
        next("judge", ms(laps.judge), "work"),
    ];
    spans.push(Span { name: "to the ejector", from_ms: ms(laps.total), to_ms: ms(on), class: "wait" });
    spans.push(Span { name: "ejector on", from_ms: ms(on), to_ms: ms(off), class: "pulse" });
    let note = format!(
        "Part {} ({}): its verdict was there {:.1} ms after the exposure, {:.0} ms before it reached the ejector. The \
         ejector's edges are those that the chip recorded.",
        seen.part.id.0,
        seen.truth.map_or("unknown", Truth::name).replace('-', " "),
        ms(laps.total),
        ms(on) - ms(laps.total)
    );
    (chart::timeline(&spans), note)
}

/// Whether a pulse was fired for this part, rather than one that another part's window merged into.
fn fired_alone(run: &Run, seen: &Seen) -> bool {
    run.notes.iter().any(|note| matches!(note.what, What::PulseOn { part, .. } if part == seen.part.id))
}
