//! The two drawings of the report, as SVG that takes its colours from the page's style sheet.

use std::fmt::Write as _;

/// The scores of a run: parts known to be good, parts known to be defective, and the threshold between them.
pub struct Scores<'a> {
    /// Scores of good parts.
    pub good: &'a [f32],
    /// Scores of defective parts.
    pub defective: &'a [f32],
    /// At or above it a part is rejected.
    pub threshold: f32,
}

const WIDTH: f32 = 860.0;

/// Good parts upward, defective parts downward, one bar a bin, the threshold across both.
pub fn histogram(scores: &Scores<'_>) -> String {
    const BINS: usize = 56;
    const HALF: f32 = 120.0;
    const LEFT: f32 = 16.0;
    const TOP: f32 = 34.0;
    let span = WIDTH - 2.0 * LEFT;
    let all = scores.good.iter().chain(scores.defective).copied().filter(|score| score.is_finite());
    let low = all.clone().fold(scores.threshold, f32::min);
    let high = all.fold(scores.threshold, f32::max);
    // A little air at both ends; a run in which all scores are equal still gets an axis.
    let (low, high) = (low - (high - low) * 0.02 - 1e-6, high + (high - low) * 0.02 + 1e-6);
    let across = |score: f32| LEFT + (score - low) / (high - low) * span;
    let count = |values: &[f32]| {
        let mut bins = [0_usize; BINS];
        for value in values.iter().filter(|value| value.is_finite()) {
            bins[(((value - low) / (high - low) * BINS as f32) as usize).min(BINS - 1)] += 1;
        }
        bins
    };
    let axis = TOP + HALF;
    let mut svg = open(WIDTH, TOP + 2.0 * HALF + 44.0, "Histogram of scores");
    for (values, class, sign) in [(scores.good, "good", -1.0), (scores.defective, "bad", 1.0)] {
        let bins = count(values);
        let tallest = bins.iter().copied().max().unwrap_or(0).max(1);
        for (index, parts) in bins.iter().enumerate().filter(|(_, parts)| **parts > 0) {
            let height = (*parts as f32 / tallest as f32 * (HALF - 12.0)).max(1.5);
            let x = LEFT + index as f32 * span / BINS as f32;
            let y = if sign < 0.0 { axis - height } else { axis };
            let from = low + index as f32 * (high - low) / BINS as f32;
            let to = from + (high - low) / BINS as f32;
            let _ = write!(
                svg,
                r#"<rect class="{class}" x="{:.1}" y="{y:.1}" width="{:.1}" height="{height:.1}" rx="1.5"><title>{parts} {} with a score of {from:.3} to {to:.3}</title></rect>"#,
                x + 0.75,
                span / BINS as f32 - 1.5,
                if sign < 0.0 { "good" } else { "defective" },
            );
        }
    }
    let limit = across(scores.threshold);
    let _ = write!(
        svg,
        r#"<line class="axis" x1="{LEFT}" y1="{axis}" x2="{:.1}" y2="{axis}"/><line class="limit" x1="{limit:.1}" y1="{}" x2="{limit:.1}" y2="{:.1}"/>"#,
        WIDTH - LEFT,
        TOP - 10.0,
        axis + HALF,
    );
    let (anchor, nudge) = if limit > WIDTH * 0.7 { ("end", -7.0) } else { ("start", 7.0) };
    text(&mut svg, limit + nudge, TOP - 2.0, anchor, "limit-text", &format!("threshold {:.3}", scores.threshold));
    text(&mut svg, LEFT, TOP - 16.0, "start", "label", &format!("{} good parts", scores.good.len()));
    let defective = format!("{} defective parts", scores.defective.len());
    text(&mut svg, LEFT, axis + HALF + 4.0, "start", "label", &defective);
    for tick in 0..=4 {
        let score = low + (high - low) * tick as f32 / 4.0;
        let anchor = ["start", "middle", "middle", "middle", "end"][tick];
        text(&mut svg, across(score), axis + HALF + 30.0, anchor, "tick", &format!("{score:.2}"));
    }
    svg.push_str("</svg>");
    svg
}

/// One bar of a timeline.
#[derive(Clone, Debug)]
pub struct Span {
    /// What happens in it.
    pub name: &'static str,
    /// Its beginning, in milliseconds from the exposure.
    pub from_ms: f32,
    /// Its end, in milliseconds from the exposure.
    pub to_ms: f32,
    /// The style class: `frame`, `work`, `wait` or `pulse`.
    pub class: &'static str,
}

/// One row a span, one time axis, from the exposure on the left to the end of the pulse on the right.
pub fn timeline(spans: &[Span]) -> String {
    const ROW: f32 = 34.0;
    const LEFT: f32 = 150.0;
    const RIGHT: f32 = 96.0;
    const TOP: f32 = 14.0;
    let end_ms = spans.iter().map(|span| span.to_ms).fold(1e-3, f32::max);
    let across = |ms: f32| LEFT + ms / end_ms * (WIDTH - LEFT - RIGHT);
    let bottom = TOP + spans.len() as f32 * ROW;
    let mut svg = open(WIDTH, bottom + 30.0, "From exposure to pulse");
    let step_ms = round_step(end_ms / 6.0);
    for tick in 0..=(end_ms / step_ms) as usize {
        let ms = tick as f32 * step_ms;
        let x = across(ms);
        let _ = write!(svg, r#"<line class="grid" x1="{x:.1}" y1="{TOP}" x2="{x:.1}" y2="{bottom:.1}"/>"#);
        text(&mut svg, x, bottom + 18.0, "middle", "tick", &format!("{} ms", trim(ms)));
    }
    for (row, span) in spans.iter().enumerate() {
        let y = TOP + row as f32 * ROW;
        let (from, to) = (across(span.from_ms), across(span.to_ms));
        text(&mut svg, LEFT - 12.0, y + ROW * 0.5 + 4.0, "end", "label", span.name);
        let _ = write!(
            svg,
            r#"<rect class="{}" x="{from:.1}" y="{:.1}" width="{:.1}" height="{:.1}" rx="3"><title>{}: {:.3} to {:.3} ms</title></rect>"#,
            span.class,
            y + 8.0,
            (to - from).max(2.0),
            ROW - 16.0,
            span.name,
            span.from_ms,
            span.to_ms,
        );
        let length = format!("{} ms", trim(span.to_ms - span.from_ms));
        text(&mut svg, to.max(from + 2.0) + 8.0, y + ROW * 0.5 + 4.0, "start", "value", &length);
    }
    svg.push_str("</svg>");
    svg
}

/// 1, 2 or 5 times a power of ten, at or above `rough`.
fn round_step(rough: f32) -> f32 {
    let power = 10_f32.powf(rough.max(1e-6).log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|factor| factor * power).find(|step| *step >= rough).unwrap_or(10.0 * power)
}

/// Three figures at most, without idle zeros.
fn trim(value: f32) -> String {
    let text = if value >= 100.0 {
        format!("{value:.0}")
    } else if value >= 10.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    };
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

pub(super) fn open(width: f32, height: f32, title: &str) -> String {
    format!(
        r#"<svg viewBox="0 0 {width} {height}" role="img" aria-label="{title}" xmlns="http://www.w3.org/2000/svg">"#
    )
}

pub(super) fn text(svg: &mut String, x: f32, y: f32, anchor: &str, class: &str, words: &str) {
    let _ = write!(svg, r#"<text class="{class}" x="{x:.1}" y="{y:.1}" text-anchor="{anchor}">{words}</text>"#);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_is_in_a_bar() {
        let good: Vec<f32> = (0..400).map(|part| 0.2 + (part % 37) as f32 * 0.004).collect();
        let defective = [0.9, 1.4, 1.45, 2.0];
        let svg = histogram(&Scores { good: &good, defective: &defective, threshold: 0.5 });
        let parts_in = |word: &str| -> usize {
            svg.split("<title>")
                .skip(1)
                .filter(|title| title.split(" with").next().is_some_and(|head| head.ends_with(word)))
                .map(|title| title.split(' ').next().expect("a count").parse::<usize>().expect("a number"))
                .sum()
        };
        assert_eq!(parts_in("good"), 400);
        assert_eq!(parts_in("defective"), 4);
        assert!(svg.contains("threshold 0.500"));
    }

    #[test]
    fn an_empty_or_flat_run_still_draws() {
        for scores in [vec![], vec![0.3; 5], vec![f32::NAN]] {
            let svg = histogram(&Scores { good: &scores, defective: &[], threshold: 0.3 });
            assert!(svg.ends_with("</svg>") && !svg.contains("NaN"), "{svg}");
        }
    }

    #[test]
    fn a_timeline_has_a_row_a_span_and_round_ticks() {
        let spans = [
            Span { name: "exposure", from_ms: 0.0, to_ms: 2.0, class: "frame" },
            Span { name: "pulse", from_ms: 480.0, to_ms: 520.0, class: "pulse" },
        ];
        let svg = timeline(&spans);
        assert_eq!(svg.matches("<rect").count(), 2);
        assert!(svg.contains(">100 ms<") && svg.contains(">40 ms<"), "{svg}");
    }
}
