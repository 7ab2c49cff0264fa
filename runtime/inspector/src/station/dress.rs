//! What one recipe needs in the loop: its views, each with a model that agrees with the configuration.

use jidoka_capture::{Geometry, Roi};
use jidoka_line::RecipeId;
use jidoka_line::policy::{AreaLimit, Limits, Policy, RegionLimit, Rework};
use jidoka_models::InspectionModel;
use jidoka_models::corrections::difference;
use jidoka_prepare::{CorrectionError, Corrections, Fit, Preparer, Spec, SpecError};

use super::open;
use super::recipes::{Active, Known, KnownView};
use super::region;
use super::views::{Judge, View};
use crate::config::{Config, ModelChoice, RecipeChoice, ViewChoice};
use crate::error::Error;

/// The recipe at `place`, whose first view's model is `model`, for frames of `geometry`.
pub fn active(
    config: &Config,
    place: usize,
    model: InspectionModel,
    geometry: Geometry,
) -> Result<(Active, Known), Error> {
    let choice = &config.recipes[place];
    let corrections = open::corrections(&config.seeing)?;
    let dressing = Dressing { config, geometry, corrections };
    let (first, known) = dressing.view(model, &choice.model, choice.roi, Some(choice))?;
    let (mut more, mut views) = (Vec::new(), vec![known]);
    for ViewChoice { model, roi } in &choice.views {
        let key = format!("[view] {}: model", model.view);
        let loaded = open::model(model).map_err(|error| error.named(&config.file, key))?;
        let (view, known) = dressing.view(loaded, model, *roi, None)?;
        more.push(view);
        views.push(known);
    }
    let recipe = open::line_recipe(config, choice, RecipeId(place as u16 + 1))?;
    Ok((Active { first, more, recipe }, Known { name: choice.name.clone(), views }))
}

/// What all views of a station share.
struct Dressing<'a> {
    config: &'a Config,
    geometry: Geometry,
    corrections: Corrections,
}

impl Dressing<'_> {
    /// A view of `roi` by `model`; `rules` are the recipe's for its first view, any other has its threshold alone.
    fn view(
        &self,
        model: InspectionModel,
        choice: &ModelChoice,
        roi: Option<Roi>,
        rules: Option<&RecipeChoice>,
    ) -> Result<(View, KnownView), Error> {
        let mismatch = region::mismatch(model.contract().roi, self.geometry, roi).filter(|_| !choice.any_roi);
        if let Some(wrong) = mismatch.or_else(|| agrees(&model, &self.corrections).err()) {
            return Err(Error::Usage(format!("{}: view {}: {}: {wrong}", self.config.file, choice.view, model.name())));
        }
        let spec = Spec { raw: self.config.seeing.raw, ..open::spec(&model, self.geometry, roi) };
        let threshold = open::threshold_of(&model, choice.limit)?;
        if let Some(doubt) = open::doubt(&model, choice.limit) {
            log::warn!("view {}: {}: {doubt}", choice.view, model.name());
        }
        let limits = match rules {
            Some(rules) => limits(&model, rules, &spec, threshold)?,
            None => Limits::threshold(open::just_above(threshold)),
        };
        let known = KnownView {
            name: choice.view.clone(),
            model: choice.path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            sha256: model.sha256().to_owned(),
            threshold,
        };
        let key = if rules.is_some() { "[roi]" } else { "[view] roi" };
        let preparer = Preparer::corrected(&spec, &self.corrections).map_err(|error| match error {
            CorrectionError::Spec(SpecError::Roi { .. }) => Error::from(error).named(&self.config.file, key),
            _ => error.into(),
        })?;
        let judge = judge(&model, limits)?;
        Ok((View::new(preparer, model, judge), known))
    }
}

/// A model that is shown frames that were put right otherwise than those that it was taught from sees parts that it has never
/// seen: what it says of them means nothing.
fn agrees(model: &InspectionModel, used: &Corrections) -> Result<(), String> {
    let taught = model.contract().corrections(model.name()).map_err(|error| error.to_string())?;
    match taught.and_then(|taught| difference(&taught, used)) {
        None => Ok(()),
        Some(how) => Err(format!(
            "the model would not see what it was taught: {how}\n  expected: the same [flat_field] and [align]\n  try: the \
             settings that it was taught with, or teach it again with this configuration"
        )),
    }
}

/// Who judges with `model` and these limits.
pub fn judge(model: &InspectionModel, limits: Limits) -> Result<Judge, Error> {
    let limit = limits.threshold;
    let policy = Policy::new(limits).map_err(|error| {
        Error::Usage(format!("{}: {error}\n  try: another threshold, or other [policy] limits", model.name()))
    })?;
    Ok(Judge { policy, limit, model: open::digest(model.sha256()) })
}

/// What scores and maps are held against, as the recipe says.
fn limits(model: &InspectionModel, choice: &RecipeChoice, spec: &Spec, threshold: f64) -> Result<Limits, Error> {
    let wrong = |error: String| Error::Usage(format!("recipe {}: {}: {error}", choice.name, model.name()));
    let rules = &choice.policy;
    let map = model.map_size();
    if map.is_none() && (rules.area_pixels.is_some() || !rules.regions.is_empty()) {
        let what = "[policy] area_pixels and regions need an anomaly map, and the model has none";
        return Err(wrong(format!("{what}\n  expected: a model with an anomaly_map output, or a threshold alone")));
    }
    let mut limits = Limits::threshold(open::just_above(threshold));
    limits.hysteresis = rules.hysteresis;
    limits.rework = rules.rework_from.map(|from| Rework { from, ejector: rules.rework_to });
    limits.area = rules.area_pixels.zip(rules.area_level).map(|(pixels, level)| AreaLimit { pixels, level });
    for row in &rules.regions {
        let region = region(row, map.unwrap_or_default(), spec).map_err(wrong)?;
        // The configuration has refused more than fit.
        let _ = limits.regions.push(region);
    }
    Ok(limits)
}

/// A rectangle of the frame as one of the anomaly map; partly covered map pixels belong to it.
fn region(row: &[f64; 5], map: (usize, usize), spec: &Spec) -> Result<RegionLimit, String> {
    let [x, y, width, height, level] = *row;
    let whole = Roi { x: 0, y: 0, width: spec.source.width, height: spec.source.height };
    let roi = spec.roi.unwrap_or(whole);
    if spec.fit != Fit::Stretch {
        return Err("[policy] regions need a model whose input is the whole region, stretched".into());
    }
    let along = |from: f64, length: f64, start: u32, side: u32, pixels: usize| {
        let scale = pixels as f64 / f64::from(side);
        let (first, last) = ((from - f64::from(start)) * scale, (from + length - f64::from(start)) * scale);
        let inside = length > 0.0 && from >= f64::from(start) && from + length <= f64::from(start + side);
        inside.then(|| (first.floor() as u32, last.ceil() as u32 - first.floor() as u32))
    };
    let sides = along(x, width, roi.x, roi.width, map.0).zip(along(y, height, roi.y, roi.height, map.1));
    let Some(((x, width), (y, height))) = sides else {
        return Err(format!(
            "[policy] regions: {x}, {y}, {width} x {height} is not within the inspected region\n  expected: within {}, {}, {} x {}",
            roi.x, roi.y, roi.width, roi.height
        ));
    };
    Ok(RegionLimit { x, y, width, height, level: level as f32 })
}
