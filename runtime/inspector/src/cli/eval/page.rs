//! The page of `jidoka eval --report`.

use std::path::Path;

use image::RgbImage;
use jidoka_models::InspectionModel;
use jidoka_models::eval::{Category, Evaluation, Figures, Scored};
use jidoka_models::metrics::{Ranked, f1_max};

use super::Args;
use crate::config::Limit;
use crate::error::Error;
use crate::report::chart::{self, Scores};
use crate::report::curves::{Drawing, curve};
use crate::report::evaluation::{Content, Group, Section, render};
use crate::report::picture::data_uri;
use crate::report::{Fact, Figure, Picture};
use crate::scorer::Scorer;

/// Pictures of each kind and category.
const MOST: usize = 6;
/// Longest side of a picture in pixels; enough for a card, small enough to mail.
const SIDE: u32 = 224;

/// The page as it grows.
#[derive(Default)]
pub struct Page {
    table: Vec<Vec<String>>,
    sections: Vec<Section>,
}

impl Page {
    /// Adds a category. The model is the one that scored it: the pictures that are shown are scored by it again.
    pub fn add(&mut self, category: &Category, model: InspectionModel, found: &Evaluation) -> Result<(), Error> {
        let ranked: Vec<Ranked> =
            found.scored.iter().map(|s| Ranked { score: s.score, defect: s.sample.defect.is_some() }).collect();
        let (threshold, threshold_note) = match model.threshold() {
            Some(own) => (own, "A part beyond the threshold is rejected; it is the model's own."),
            None => (
                f64::from(f1_max(&ranked)?.1),
                "The model states no threshold; the one that is drawn has the greatest F1 on these very parts.",
            ),
        };
        let scores =
            |defect: bool| -> Vec<f32> { ranked.iter().filter(|r| r.defect == defect).map(|r| r.score).collect() };
        let (good, defective) = (scores(false), scores(true));
        let histogram = Scores { good: &good, defective: &defective, threshold: threshold as f32 };
        let histogram = chart::histogram(&histogram);
        let figures = &found.figures;
        self.sections.push(Section {
            name: figures.category.clone(),
            note: format!(
                "{} ({}), {} good parts to teach from; tested with {} good and {} defective ones.",
                figures.method,
                category.layout.name(),
                figures.n_train,
                figures.n_good,
                figures.n_defect
            ),
            figures: cards(figures),
            threshold_note: threshold_note.into(),
            histogram,
            curves: drawings(found),
            groups: groups(category, model, found, threshold)?,
        });
        Ok(())
    }

    /// Adds a row of the table of all categories, or its heads.
    pub fn row(&mut self, cells: impl IntoIterator<Item = impl Into<String>>) {
        self.table.push(cells.into_iter().map(Into::into).collect());
    }

    /// Writes the page.
    pub fn write(self, args: &Args, file: &Path) -> Result<(), Error> {
        let fact = |name, value: String| Fact { name, value };
        let taught = match &args.model {
            Some(model) => format!("not taught here: {}", model.display()),
            None => format!("method {}, seed 0{}", args.method, if args.int8 { ", int8" } else { "" }),
        };
        let content = Content {
            title: "Evaluation".into(),
            lead: "Image level says whether a part is bad, pixel level where. Every figure is of parts that the model never \
                   saw."
                .into(),
            table: self.table,
            sections: self.sections,
            facts: vec![fact("dataset", args.folder.display().to_string()), fact("model", taught)],
            footer: format!("Made by jidoka {} with `jidoka eval`.", env!("CARGO_PKG_VERSION")),
        };
        let html = render(&content).map_err(|error| Error::Report(error.to_string()))?;
        Ok(jidoka_models::write_atomic(file, html.as_bytes())?)
    }
}

fn cards(figures: &Figures) -> Vec<Figure> {
    let card = |value: Option<f64>, label: &str| {
        let value = value.map_or("-".into(), |value| format!("{:.1} %", value * 100.0));
        Figure { value, label: label.into(), mood: "" }
    };
    vec![
        card(Some(figures.image_auroc), "image AUROC"),
        card(figures.pixel_auroc, "pixel AUROC"),
        card(figures.au_pro_30, "AU-PRO (0.3)"),
        card(Some(figures.f1_max), "greatest F1, image level"),
        card(figures.escape, "defects that pass"),
        card(figures.false_reject, "good parts rejected"),
    ]
}

fn drawings(found: &Evaluation) -> Vec<String> {
    let draw =
        |title: &str, x: &str, to: f64, points: Vec<(f64, f64)>| curve(&Drawing { title, x, to, points: &points });
    let mut drawings =
        vec![draw("ROC, image level", "share of good parts rejected", 1.0, found.image_roc.points().collect())];
    if let Some(pixels) = &found.pixels {
        let x = "share of normal pixels marked";
        drawings.push(draw("ROC, pixel level", x, 1.0, pixels.roc.points().collect()));
        drawings.push(draw("PRO", x, 0.3, pixels.pro.points().collect()));
    }
    drawings
}

/// What went wrong most, or came nearest to it.
fn groups(
    category: &Category,
    model: InspectionModel,
    found: &Evaluation,
    threshold: f64,
) -> Result<Vec<Group>, Error> {
    let passes = |scored: &Scored| f64::from(scored.score) <= threshold;
    let mut defects: Vec<&Scored> = found.scored.iter().filter(|s| s.sample.defect.is_some()).collect();
    let mut good: Vec<&Scored> = found.scored.iter().filter(|s| s.sample.defect.is_none()).collect();
    defects.sort_by(|a, b| a.score.total_cmp(&b.score));
    good.sort_by(|a, b| b.score.total_cmp(&a.score));
    let missed = defects.iter().filter(|s| passes(s)).count();
    let alarms = good.iter().filter(|s| !passes(s)).count();
    let mut scorer = Scorer::new(model, Limit::Score(threshold as f32), None)?;
    let mut pictures = |chosen: &[&Scored]| -> Result<Vec<Picture>, Error> {
        chosen.iter().take(MOST).filter_map(|s| picture(category, &mut scorer, s, passes(s)).transpose()).collect()
    };
    let groups = vec![
        Group {
            title: "Defective parts that scored lowest".into(),
            note: format!("{missed} of {} are not above the threshold: those are misses.", defects.len()),
            pictures: pictures(&defects)?,
        },
        Group {
            title: "Good parts that scored highest".into(),
            note: format!("{alarms} of {} are above the threshold: those are false alarms.", good.len()),
            pictures: pictures(&good)?,
        },
    ];
    Ok(groups)
}

/// A part with its map laid over it; none where the model has no map.
fn picture(category: &Category, scorer: &mut Scorer, scored: &Scored, passes: bool) -> Result<Option<Picture>, Error> {
    let name = scored.sample.picture.name(&category.folder);
    let image = scored.sample.picture.read()?;
    scorer.score(&name, &image)?;
    let Some((bare, laid)) = scorer.overlay(&image)? else { return Ok(None) };
    let uri = |picture| data_uri(&small(picture)).map_err(|error| Error::Report(error.to_string()));
    Ok(Some(Picture {
        name,
        image: uri(bare)?,
        overlay: uri(laid)?,
        verdict: if passes { "pass" } else { "reject" },
        truth: scored.sample.defect.as_ref().map_or("good".into(), |defect| defect.replace('_', " ")),
        score: format!("{:.3}", scored.score),
    }))
}

/// At most [`SIDE`] pixels long, in its own shape; never enlarged.
fn small(picture: RgbImage) -> RgbImage {
    let longest = picture.width().max(picture.height());
    if longest <= SIDE {
        return picture;
    }
    let side = |length: u32| (length * SIDE / longest).max(1);
    let (width, height) = (side(picture.width()), side(picture.height()));
    image::imageops::resize(&picture, width, height, image::imageops::FilterType::Triangle)
}
