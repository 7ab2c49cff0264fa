//! Drawings of ROC and PRO curves, as SVG that takes its colours from the page's style sheet.

use std::fmt::Write as _;

use super::chart::{open, text};

/// A rising curve in the unit square.
pub struct Drawing<'a> {
    /// Over the drawing.
    pub title: &'a str,
    /// Along the axis to the right.
    pub x: &'a str,
    /// How far the axis to the right goes: 1, or 0.3 for PRO.
    pub to: f64,
    /// The points, from (0, 0) on.
    pub points: &'a [(f64, f64)],
}

const SIDE: f32 = 220.0;
const LEFT: f32 = 40.0;
const TOP: f32 = 30.0;

/// The curve over a grid of quarters.
pub fn curve(drawing: &Drawing<'_>) -> String {
    let across = |x: f64| LEFT + (x / drawing.to) as f32 * SIDE;
    let up = |y: f64| TOP + (1.0 - y as f32) * SIDE;
    let mut svg = open(LEFT + SIDE + 16.0, TOP + SIDE + 44.0, drawing.title);
    text(&mut svg, LEFT, TOP - 12.0, "start", "label", drawing.title);
    for quarter in 0..=4 {
        let share = f64::from(quarter) / 4.0;
        let (x, y) = (across(share * drawing.to), up(share));
        let (right, bottom) = (LEFT + SIDE, TOP + SIDE);
        let _ = write!(
            svg,
            r#"<line class="grid" x1="{x:.1}" y1="{TOP}" x2="{x:.1}" y2="{bottom}"/><line class="grid" x1="{LEFT}" y1="{y:.1}" x2="{right}" y2="{y:.1}"/>"#
        );
        text(&mut svg, LEFT - 6.0, y + 4.0, "end", "tick", &format!("{share:.2}"));
        let anchor = if quarter == 4 { "end" } else { "middle" };
        text(&mut svg, x, bottom + 16.0, anchor, "tick", &number(share * drawing.to));
    }
    text(&mut svg, LEFT + SIDE / 2.0, TOP + SIDE + 36.0, "middle", "tick", drawing.x);
    let mut line = String::new();
    for (x, y) in within(drawing.points, drawing.to) {
        let _ = write!(line, "{:.1},{:.1} ", across(x), up(y));
    }
    let _ = write!(svg, r#"<polyline class="curve" points="{}"/></svg>"#, line.trim_end());
    svg
}

/// The curve as far as `to`, where it is cut between two points.
fn within(points: &[(f64, f64)], to: f64) -> Vec<(f64, f64)> {
    let mut shown: Vec<(f64, f64)> = points.iter().copied().take_while(|point| point.0 <= to).collect();
    if let (Some(&(x0, y0)), Some(&(x1, y1))) = (shown.last(), points.get(shown.len())) {
        shown.push((to, y0 + (y1 - y0) * (to - x0) / (x1 - x0)));
    }
    shown
}

fn number(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_is_cut_where_its_axis_ends() {
        let points = [(0.0, 0.0), (0.0, 0.5), (0.2, 0.6), (0.4, 0.8), (1.0, 1.0)];
        let shown = within(&points, 0.3);
        assert_eq!(shown.len(), 4);
        assert!((shown[3].1 - 0.7).abs() < 1e-9);
        assert_eq!(within(&points, 1.0), points);
        let svg = curve(&Drawing { title: "PRO", x: "false positives", to: 0.3, points: &points });
        assert!(svg.ends_with("</svg>") && svg.contains(">0.3<") && svg.contains(">0.075<"), "{svg}");
        assert!(svg.contains("40.0,250.0 40.0,140.0 "), "{svg}");
    }
}
