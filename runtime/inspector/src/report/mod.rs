//! The report: one HTML file with everything in it, that can be mailed, opened offline, and printed.
//!
//! Here is how a run is shown, not what happened in it: numbers come in as [`Content`].

pub mod chart;
pub mod curves;
pub mod evaluation;
pub mod picture;

use serde::Serialize;

/// A figure at the head of the page.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    /// The number, as it is to be read.
    pub value: String,
    /// What it counts.
    pub label: String,
    /// `fine`, `poor`, or empty.
    pub mood: &'static str,
}

/// One inspected part with its map.
#[derive(Clone, Debug, Serialize)]
pub struct Picture {
    /// What it is called.
    pub name: String,
    /// The camera's picture, a `data:` address.
    pub image: String,
    /// The same with the map over it.
    pub overlay: String,
    /// `pass` or `reject`.
    pub verdict: &'static str,
    /// What it really is.
    pub truth: String,
    /// The score, as it is to be read.
    pub score: String,
}

/// A row of the latency table, in milliseconds as they are to be read.
#[derive(Clone, Debug, Serialize)]
pub struct StageRow {
    /// The stage.
    pub name: String,
    /// Half took at most this.
    pub p50: String,
    /// 99 in 100 took at most this.
    pub p99: String,
    /// The longest.
    pub max: String,
}

/// A line of "what it was made with".
#[derive(Clone, Debug, Serialize)]
pub struct Fact {
    /// What.
    pub name: &'static str,
    /// Its value.
    pub value: String,
}

/// All that the page shows, in its order.
#[derive(Clone, Debug, Serialize)]
pub struct Content {
    /// The heading.
    pub title: String,
    /// One sentence under it.
    pub lead: String,
    /// The figures.
    pub figures: Vec<Figure>,
    /// What the threshold was chosen for.
    pub threshold_note: String,
    /// The histogram, as [`chart::histogram`] draws it.
    pub histogram: String,
    /// What the timeline shows.
    pub timeline_note: String,
    /// The timeline, as [`chart::timeline`] draws it.
    pub timeline: String,
    /// Pictures.
    pub gallery: Vec<Picture>,
    /// How latency was measured.
    pub latency_note: String,
    /// Latency by stage, the total last.
    pub stages: Vec<StageRow>,
    /// Versions, seeds, sizes.
    pub facts: Vec<Fact>,
    /// The last line.
    pub footer: String,
}

/// The page as text. Everything but the drawings and the pictures, which this program makes, is escaped.
pub fn render(content: &Content) -> Result<String, minijinja::Error> {
    fill("page.html", include_str!("page.html"), content)
}

/// A page's template, with the style sheet and the gallery that all pages share.
fn fill(name: &str, template: &str, content: &impl Serialize) -> Result<String, minijinja::Error> {
    let mut environment = minijinja::Environment::new();
    environment.add_template("style.css", include_str!("style.css"))?;
    environment.add_template("gallery.html", include_str!("gallery.html"))?;
    environment.add_template(name, template)?;
    environment.get_template(name)?.render(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(title: &str) -> Content {
        Content {
            title: title.into(),
            lead: String::new(),
            figures: vec![Figure { value: "0".into(), label: "escapes".into(), mood: "fine" }],
            threshold_note: String::new(),
            histogram: chart::histogram(&chart::Scores { good: &[0.1], defective: &[0.9], threshold: 0.5 }),
            timeline_note: String::new(),
            timeline: chart::timeline(&[]),
            gallery: vec![],
            latency_note: String::new(),
            stages: vec![],
            facts: vec![],
            footer: String::new(),
        }
    }

    #[test]
    fn the_page_needs_nothing_from_outside() {
        let page = render(&content("A run")).expect("renders");
        assert!(page.contains("<title>A run</title>") && page.contains("</svg>"));
        let without_names = page.replace("http://www.w3.org/2000/svg", "");
        assert!(!without_names.contains("http"), "the page refers to something outside itself");
    }

    #[test]
    fn text_cannot_become_markup() {
        let page = render(&content("<script>alert(1)</script>")).expect("renders");
        assert!(!page.contains("<script>"));
    }
}
