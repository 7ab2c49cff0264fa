//! The page that an evaluation leaves behind.

use serde::Serialize;

use super::{Fact, Figure, Picture, fill};

/// Some pictures under a heading.
#[derive(Clone, Debug, Serialize)]
pub struct Group {
    /// The heading.
    pub title: String,
    /// One sentence under it.
    pub note: String,
    /// The pictures.
    pub pictures: Vec<Picture>,
}

/// One category.
#[derive(Clone, Debug, Serialize)]
pub struct Section {
    /// Its name.
    pub name: String,
    /// What it was taught from and tested with.
    pub note: String,
    /// The figures.
    pub figures: Vec<Figure>,
    /// What the threshold is.
    pub threshold_note: String,
    /// The histogram, as [`super::chart::histogram`] draws it.
    pub histogram: String,
    /// ROC and PRO curves, as [`super::curves::curve`] draws them.
    pub curves: Vec<String>,
    /// The pictures that are worth a look.
    pub groups: Vec<Group>,
}

/// All that the page shows, in its order.
#[derive(Clone, Debug, Serialize)]
pub struct Content {
    /// The heading.
    pub title: String,
    /// One sentence under it.
    pub lead: String,
    /// The table of all categories, its heads first.
    pub table: Vec<Vec<String>>,
    /// The categories.
    pub sections: Vec<Section>,
    /// Versions, seeds, sizes.
    pub facts: Vec<Fact>,
    /// The last line.
    pub footer: String,
}

/// The page as text. Everything but the drawings and the pictures, which this program makes, is escaped.
pub fn render(content: &Content) -> Result<String, minijinja::Error> {
    fill("evaluation.html", include_str!("evaluation.html"), content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_needs_nothing_from_outside_and_no_name_becomes_markup() {
        let picture = Picture {
            name: "test/<b>/001.png".into(),
            image: "data:image/png;base64,AA==".into(),
            overlay: "data:image/png;base64,AA==".into(),
            verdict: "pass",
            truth: "hole".into(),
            score: "1.000".into(),
        };
        let group = Group { title: "Lowest".into(), note: String::new(), pictures: vec![picture] };
        let points = [(0.0, 0.0), (0.0, 1.0), (1.0, 1.0)];
        let drawing = super::super::curves::Drawing { title: "ROC", x: "false alarms", to: 1.0, points: &points };
        let section = Section {
            name: "bottle".into(),
            note: String::new(),
            figures: vec![],
            threshold_note: String::new(),
            histogram: String::new(),
            curves: vec![super::super::curves::curve(&drawing)],
            groups: vec![group],
        };
        let content = Content {
            title: "Evaluation".into(),
            lead: String::new(),
            table: vec![vec!["category".into()], vec!["bottle".into()]],
            sections: vec![section],
            facts: vec![],
            footer: String::new(),
        };
        let page = render(&content).expect("renders");
        assert!(page.contains("<td>bottle</td>") && page.contains("polyline") && page.contains("data:image/png"));
        assert!(!page.contains("<b>/001") && page.contains("&lt;b&gt;"), "a name became markup");
        assert!(
            !page.replace("http://www.w3.org/2000/svg", "").contains("http"),
            "the page refers to something outside"
        );
    }
}
