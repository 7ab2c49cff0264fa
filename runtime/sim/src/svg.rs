//! A picture of a stretch of a shift: one row each for parts, exposures, verdicts, windows and pulses, time to the right; ten
//! seconds a strip, the strips one below the other.

use std::collections::HashMap;
use std::fmt::Write;

use jidoka_line::{Outcome, RejectTiming};

use crate::trace::{Happening, Trace};

const WIDTH: f64 = 1_600.0;
const LEFT: f64 = 110.0;
const ROWS: [(&str, f64); 6] = [
    ("parts", 70.0),
    ("exposures", 120.0),
    ("verdicts", 170.0),
    ("windows", 230.0),
    ("pulses", 280.0),
    ("left as", 330.0),
];
const HEIGHT: f64 = 390.0;
const GOOD: &str = "#2a7f62";
const BAD: &str = "#c8382e";
const MISSED: &str = "#b8860b";
/// A pulse's colour, by ejector.
const EJECTORS: [&str; 3] = [BAD, MISSED, "#3b6ea8"];
const INK: &str = "#333";

/// How much one strip shows; more, and parts a tenth of a second apart run into each other.
const STRIP_S: f64 = 10.0;

/// Draws `seconds` seconds from `from` seconds after the shift began.
pub(crate) fn draw(trace: &Trace, timing: &RejectTiming, from: f64, seconds: f64) -> String {
    let mut happenings = trace.happenings().to_vec();
    happenings.sort_by_key(|(at, _)| *at);
    let strips = (seconds / STRIP_S).ceil().max(1.0) as usize;
    let height = HEIGHT * strips as f64;
    let style = "font-family='sans-serif' font-size='13'";
    let mut svg = format!(
        "<svg xmlns='http://www.w3.org/2000/svg' width='{WIDTH}' height='{height}' viewBox='0 0 {WIDTH} {height}' {style}>\n\
         <rect width='{WIDTH}' height='{height}' fill='white'/>\n"
    );
    for strip in 0..strips {
        let since = strip as f64 * STRIP_S;
        svg += &format!("<g transform='translate(0 {})'>\n", strip as f64 * HEIGHT);
        svg += &draw_strip(&happenings, timing, from + since, (seconds - since).min(STRIP_S));
        svg += "</g>\n";
    }
    svg + "</svg>\n"
}

fn draw_strip(happenings: &[(u64, Happening)], timing: &RejectTiming, from: f64, seconds: f64) -> String {
    // The clock of a shift begins at one second.
    let from_us = 1e6 + from * 1e6;
    let until_us = from_us + seconds * 1e6;
    let scale = (WIDTH - LEFT - 20.0) / (until_us - from_us).max(1.0);
    let mut picture = Picture { from_us, until_us, scale, svg: String::new() };
    picture.frame(from, seconds);
    let mut bad: HashMap<u64, bool> = HashMap::new();
    let mut pulse_since = HashMap::new();
    for (at, happening) in happenings {
        let at = *at as f64;
        match happening {
            Happening::Part { ordinal, bad: is_bad } => {
                bad.insert(*ordinal, *is_bad);
                picture.part(at, *ordinal, *is_bad, timing);
            }
            Happening::Exposure { ordinal } => {
                let colour = if bad.get(ordinal) == Some(&true) { BAD } else { GOOD };
                picture.tick(at, ROWS[1].1, colour);
            }
            Happening::Verdict { pass, .. } => picture.tick(at, ROWS[2].1, if *pass { GOOD } else { BAD }),
            Happening::Pulse { ejector, on: true } => {
                pulse_since.insert(*ejector, at);
            }
            Happening::Pulse { ejector, on: false } => {
                if let Some(since) = pulse_since.remove(ejector) {
                    picture.bar(since, at, ROWS[4].1, EJECTORS[*ejector % EJECTORS.len()], 1.0);
                }
            }
            Happening::Left { departure } => {
                let (colour, letter) = match departure.outcome {
                    Outcome::Pass => (GOOD, "p"),
                    Outcome::Reject { .. } => (BAD, "r"),
                    Outcome::Missed => (MISSED, "m"),
                };
                picture.text(at, ROWS[5].1 + 5.0, letter, colour);
            }
            Happening::Fault(fault) => picture.fault(at, &format!("{fault:?}")),
            Happening::Violation | Happening::Hit { .. } => {}
        }
    }
    picture.svg
}

struct Picture {
    from_us: f64,
    until_us: f64,
    scale: f64,
    svg: String,
}

impl Picture {
    fn x(&self, at: f64) -> f64 {
        LEFT + (at - self.from_us) * self.scale
    }

    fn shows(&self, at: f64) -> bool {
        (self.from_us..=self.until_us).contains(&at)
    }

    fn put(&mut self, element: std::fmt::Arguments<'_>) {
        // Writing to a string does not fail.
        let _ = writeln!(self.svg, "{element}");
    }

    fn frame(&mut self, from: f64, seconds: f64) {
        for (name, y) in ROWS {
            self.put(format_args!("<text x='12' y='{:.0}' fill='{INK}'>{name}</text>", y + 5.0));
            self.put(format_args!("<line x1='{LEFT}' x2='{:.0}' y1='{y}' y2='{y}' stroke='#ddd'/>", WIDTH - 20.0));
        }
        let step = if seconds > 20.0 {
            5.0
        } else if seconds > 4.0 {
            1.0
        } else {
            0.1
        };
        let mut second = (from / step).ceil() * step;
        while second <= from + seconds {
            let x = self.x(1e6 + second * 1e6);
            self.put(format_args!("<line x1='{x:.1}' x2='{x:.1}' y1='50' y2='350' stroke='#eee'/>"));
            self.put(format_args!("<text x='{x:.1}' y='372' fill='{INK}' text-anchor='middle'>{second:.1} s</text>"));
            second += step;
        }
    }

    /// The part at the camera, and, linked to it, the window in which it is in front of the ejector.
    fn part(&mut self, at: f64, ordinal: u64, bad: bool, timing: &RejectTiming) {
        let colour = if bad { BAD } else { GOOD };
        let opens = at + timing.delay.as_micros() as f64;
        let closes = opens + timing.pulse.as_micros() as f64;
        if self.shows(at) {
            let x = self.x(at);
            let y = ROWS[0].1;
            self.put(format_args!(
                "<circle cx='{x:.1}' cy='{y}' r='4' fill='{colour}'><title>part {ordinal}</title></circle>"
            ));
            let (to, below) = (self.x(opens).min(WIDTH - 20.0), ROWS[3].1 - 8.0);
            self.put(format_args!(
                "<line x1='{x:.1}' x2='{to:.1}' y1='{y}' y2='{below}' stroke='{colour}' stroke-width='0.5' opacity='0.35'/>"
            ));
        }
        self.bar(opens, closes, ROWS[3].1, colour, 0.35);
    }

    fn bar(&mut self, since: f64, until: f64, y: f64, colour: &str, opacity: f64) {
        // What reaches over the edge of a strip is continued on the next.
        let (since, until) = (since.max(self.from_us), until.min(self.until_us));
        if since < until {
            let (x, width) = (self.x(since), ((until - since) * self.scale).max(1.0));
            let top = y - 8.0;
            self.put(format_args!(
                "<rect x='{x:.1}' y='{top}' width='{width:.1}' height='16' fill='{colour}' opacity='{opacity}'/>"
            ));
        }
    }

    fn tick(&mut self, at: f64, y: f64, colour: &str) {
        if self.shows(at) {
            let x = self.x(at);
            let (top, bottom) = (y - 8.0, y + 8.0);
            self.put(format_args!(
                "<line x1='{x:.1}' x2='{x:.1}' y1='{top}' y2='{bottom}' stroke='{colour}' stroke-width='2'/>"
            ));
        }
    }

    fn text(&mut self, at: f64, y: f64, text: &str, colour: &str) {
        if self.shows(at) {
            let x = self.x(at);
            self.put(format_args!("<text x='{x:.1}' y='{y}' fill='{colour}' text-anchor='middle'>{text}</text>"));
        }
    }

    fn fault(&mut self, at: f64, name: &str) {
        if self.shows(at) {
            let x = self.x(at);
            self.put(format_args!(
                "<line x1='{x:.1}' x2='{x:.1}' y1='40' y2='350' stroke='{MISSED}' stroke-dasharray='3 3'/>"
            ));
            self.put(format_args!("<text x='{x:.1}' y='34' fill='{MISSED}' text-anchor='middle'>{name}</text>"));
        }
    }
}
