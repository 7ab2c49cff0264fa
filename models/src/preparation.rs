//! From a decoded image to a model's input, the same way in teaching, evaluation and `infer`.

use jidoka_capture::images::Image;
use jidoka_prepare::{Channels, Corrections, Filter, Fit, Geometry, Preparer, Roi, Spec};

use crate::contract::Input;
use crate::{Error, ImageInput, InspectionModel};

/// Prepares images of any size; the plan for the last geometry is kept.
pub struct Preparation {
    input: ImageInput,
    roi: Option<Roi>,
    fit: Fit,
    filter: Filter,
    corrections: Corrections,
    plan: Option<(Geometry, Preparer)>,
}

impl Preparation {
    /// For images that a model of this input takes.
    pub fn new(input: ImageInput, roi: Option<Roi>, fit: Fit, filter: Filter) -> Preparation {
        Preparation { input, roi, fit, filter, corrections: Corrections::default(), plan: None }
    }

    /// The same with corrections: flat field, alignment.
    #[must_use]
    pub fn corrected(self, corrections: Corrections) -> Preparation {
        Preparation { corrections, plan: None, ..self }
    }

    /// As the model states it, region and corrections included; `roi` instead of its region. A model that states nothing takes
    /// whole images, stretched, with the filter that anomalib trains on.
    ///
    /// # Errors
    /// Where a picture that the model carries is damaged.
    pub fn for_model(model: &InspectionModel, roi: Option<Roi>) -> Result<Preparation, Error> {
        let contract = model.contract();
        let (fit, filter) = contract.input.as_ref().map_or((Fit::Stretch, Filter::Triangle), stated);
        let corrections = contract.corrections(model.name())?.unwrap_or_default();
        let preparation = Preparation::new(model.input(), roi.or(contract.region()), fit, filter);
        Ok(preparation.corrected(corrections))
    }

    /// Writes `image` into the model's input.
    ///
    /// # Errors
    /// Where the region of interest does not lie in the image, or the image cannot be prepared; `name` is what errors call it.
    pub fn fill(&mut self, name: &str, image: &Image, model: &mut InspectionModel) -> Result<(), Error> {
        if let Some(input) = model.input_f32() {
            self.fill_f32(name, image, input)
        } else if let Some(input) = model.input_u8() {
            self.fill_u8(name, image, input)
        } else {
            Ok(())
        }
    }

    /// Writes `image` as u8 pixels.
    pub(crate) fn fill_u8(&mut self, name: &str, image: &Image, pixels: &mut [u8]) -> Result<(), Error> {
        let plan = self.plan(image)?;
        plan.write_u8(&image.view(), pixels).map_err(|error| Error::Frame { name: name.to_owned(), error })
    }

    /// Writes `image` as f32 planes.
    pub(crate) fn fill_f32(&mut self, name: &str, image: &Image, input: &mut [f32]) -> Result<(), Error> {
        let plan = self.plan(image)?;
        plan.write_f32(&image.view(), input).map_err(|error| Error::Frame { name: name.to_owned(), error })
    }

    fn plan(&mut self, image: &Image) -> Result<&mut Preparer, Error> {
        let geometry = image.geometry();
        if self.plan.as_ref().is_none_or(|(planned, _)| *planned != geometry) {
            let spec = Spec {
                roi: self.roi,
                channels: if self.input.channels == 1 { Channels::Grey } else { Channels::Rgb },
                fit: self.fit,
                filter: self.filter,
                ..Spec::new(geometry, self.input.width, self.input.height)
            };
            self.plan = Some((geometry, Preparer::corrected(&spec, &self.corrections)?));
        }
        match &mut self.plan {
            Some((_, plan)) => Ok(plan),
            None => unreachable!("the plan was just made"),
        }
    }
}

/// The fit and filter that a contract states.
fn stated(input: &Input) -> (Fit, Filter) {
    let fit = match input.fit.as_str() {
        "crop" => Fit::Crop,
        "pad" => Fit::Pad(0),
        _ => Fit::Stretch,
    };
    let filter = if input.filter == "triangle" { Filter::Triangle } else { Filter::Area };
    (fit, filter)
}

/// The contract's words for a fit and a filter.
pub(crate) fn words(fit: Fit, filter: Filter) -> (String, String) {
    let fit = match fit {
        Fit::Stretch => "stretch",
        Fit::Crop => "crop",
        Fit::Pad(_) => "pad",
    };
    let filter = match filter {
        Filter::Area => "area",
        Filter::Triangle => "triangle",
    };
    (fit.to_owned(), filter.to_owned())
}
