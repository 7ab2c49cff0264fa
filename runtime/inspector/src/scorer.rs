//! Scoring single images outside the loop: for `infer`, and for the pictures of a report.

use image::RgbImage;
use jidoka_capture::images::Image;
use jidoka_capture::{Geometry, PixelFormat, Roi};
use jidoka_models::InspectionModel;
use jidoka_prepare::{Corrections, Fit, Preparer};

use crate::config::Limit;
use crate::error::Error;
use crate::report::picture::{self, Map};
use crate::station::{inspect, open};

/// A score and what it means.
#[derive(Clone, Copy, Debug)]
pub struct Scored {
    /// The score.
    pub score: f32,
    /// The score from 0 to 1, 0.5 at the threshold as taught, where the model holds a calibration.
    pub normalised: Option<f64>,
    /// Whether the part passes.
    pub passes: bool,
}

/// A model with a preparation that follows the images' sizes.
pub struct Scorer {
    model: InspectionModel,
    plan: Option<(Geometry, Preparer)>,
    roi: Option<Roi>,
    corrections: Corrections,
    /// A part is rejected where its score is greater.
    pub threshold: f64,
}

impl Scorer {
    /// Judges by this limit what lies in `roi`, or in the region that the model was taught from, with the corrections that it was
    /// taught with.
    pub fn new(model: InspectionModel, limit: Limit, roi: Option<Roi>) -> Result<Scorer, Error> {
        let threshold = open::threshold_of(&model, limit)?;
        let contract = model.contract();
        let (roi, corrections) = (roi.or(contract.region()), contract.corrections(model.name())?.unwrap_or_default());
        Ok(Scorer { model, plan: None, roi, corrections, threshold })
    }

    /// What errors call the model.
    pub fn model_name(&self) -> &str {
        self.model.name()
    }

    /// Scores one image; `name` is what errors call it.
    pub fn score(&mut self, name: &str, image: &Image) -> Result<Scored, Error> {
        let geometry = image.geometry();
        let preparer = match &mut self.plan {
            Some((planned, preparer)) if *planned == geometry => preparer,
            plan => {
                let spec = open::spec(&self.model, geometry, self.roi);
                let preparer = Preparer::corrected(&spec, &self.corrections).map_err(|error| {
                    let own = self.roi.is_some() && self.roi == self.model.contract().region();
                    if !own {
                        return Error::from(error);
                    }
                    Error::Usage(format!(
                        "{name}: {error}\n  {} was taught from that region\n  try: --roi 0,0,{},{} for a picture that was cut to it",
                        self.model.name(),
                        geometry.width,
                        geometry.height
                    ))
                })?;
                &mut plan.insert((geometry, preparer)).1
            }
        };
        inspect::prepare(preparer, &image.view(), &mut self.model)
            .map_err(|error| jidoka_models::Error::Frame { name: name.to_owned(), error })?;
        let name = self.model.name().to_owned();
        let outcome = self.model.score().map_err(|error| jidoka_models::Error::Run { name, error })?;
        // Judged by "<=", so that a score that is not a number passes nothing.
        let score = outcome.score;
        let normalised = self.model.contract().normalise(f64::from(score));
        Ok(Scored { score, normalised, passes: f64::from(score) <= self.threshold })
    }

    /// The image that was scored last, bare and with its anomaly map over it; `None` where the model has no map.
    pub fn overlay(&mut self, image: &Image) -> Result<Option<(RgbImage, RgbImage)>, Error> {
        let bare = self.seen(image);
        let limit = self.model.contract().threshold.as_ref().map_or(self.threshold, |stated| stated.pixel);
        // Run again rather than kept: a picture is made of a few parts, a score of every one.
        let name = self.model.name().to_owned();
        let outcome = self.model.score().map_err(|error| jidoka_models::Error::Run { name, error })?;
        let Some(map) = outcome.map else { return Ok(None) };
        let map = Map { values: map.values, width: map.width, height: map.height };
        let laid = picture::overlay(&bare, &map, limit as f32);
        Ok(Some((bare, laid)))
    }

    /// What the map covers: the region of the image, at its own resolution where it was only stretched, otherwise as the
    /// model saw it.
    fn seen(&mut self, image: &Image) -> RgbImage {
        let whole = to_rgb(image);
        match &self.plan {
            Some((_, preparer)) if preparer.spec().fit != Fit::Stretch => self.input_picture().unwrap_or(whole),
            _ => match self.roi {
                Some(roi) => image::imageops::crop_imm(&whole, roi.x, roi.y, roi.width, roi.height).to_image(),
                None => whole,
            },
        }
    }

    /// The model's input as a picture.
    fn input_picture(&mut self) -> Option<RgbImage> {
        let input = self.model.input();
        let (plane, channels) = ((input.width * input.height) as usize, input.channels as usize);
        let data: Vec<u8> = if let Some(values) = self.model.input_f32() {
            let value = |pixel: usize, channel: usize| values[channel.min(channels - 1) * plane + pixel];
            (0..plane * 3).map(|at| (value(at / 3, at % 3) * 255.0).round() as u8).collect()
        } else {
            let values = self.model.input_u8()?;
            (0..plane * 3).map(|at| values[at / 3 * channels + (at % 3).min(channels - 1)]).collect()
        };
        RgbImage::from_raw(input.width, input.height, data)
    }
}

/// The image in colour.
pub fn to_rgb(image: &Image) -> RgbImage {
    let data = match image.format {
        PixelFormat::Rgb24 => image.data.clone(),
        _ => image.data.iter().flat_map(|value| [*value; 3]).collect(),
    };
    RgbImage::from_raw(image.width, image.height, data).unwrap_or_default()
}
