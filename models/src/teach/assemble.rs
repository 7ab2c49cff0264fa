//! The last step of every method: a graph becomes a file that says what it is, and a report.

use jidoka_engine::onnx;

use super::inputs::Inputs;
use super::threshold::{Calibrated, parts_to_prove};
use super::{Options, Report, Taught};
use crate::Error;
use crate::contract::{Contract, Input, Method, Provenance};
use crate::corrections::Carried;
use crate::graph::{Backbone, Builder};
use crate::inspection::{Check, InspectionModel, LoadOptions};
use crate::preparation::words;

/// From so many times smaller on a picture's shrinking is mentioned.
const MUCH_SMALLER: f64 = 3.0;

/// What a course found, apart from the graph.
pub(super) struct Findings<'a, 'p> {
    pub options: &'a Options,
    pub backbone: &'a Backbone,
    pub inputs: &'a Inputs<'p>,
    pub method: Method,
    /// Rows of the memory bank, 0 where there is none.
    pub bank: usize,
    /// Index and score of each held-out part, in the order in which they were calibrated.
    pub held_out: Vec<(usize, f64)>,
    pub calibrated: &'a Calibrated,
}

impl Findings<'_, '_> {
    /// The graph with all that belongs to it.
    pub fn assemble(&self, graph: Builder) -> Result<Taught, Error> {
        let mut contract = self.contract()?;
        let mut message = graph.finish(self.method.name(), &contract.to_metadata());
        // The graph has to exist and run before it is known what its test image scores.
        let skip = LoadOptions {
            engine: jidoka_engine::Options { threads: self.options.threads, ..Default::default() },
            golden: Check::Skip,
            ..LoadOptions::default()
        };
        let mut model = InspectionModel::from_bytes("the taught model", &onnx::encode(&message), &skip)?;
        contract.golden = Some(model.make_golden(self.options.seed)?);
        message.metadata_props = contract
            .to_metadata()
            .into_iter()
            .map(|(key, value)| onnx::StringStringEntryProto { key, value })
            .collect();
        Ok(Taught { onnx: onnx::encode(&message), contract, report: self.report() })
    }

    fn contract(&self) -> Result<Contract, Error> {
        let (fit, filter) = words(self.options.fit, self.options.filter);
        let (width, height) = self.inputs.size;
        Ok(Contract {
            method: self.method,
            input: Some(Input { width, height, channels: 3, fit, filter }),
            roi: Some(self.options.roi.into()),
            corrections: Some(Carried::of(&self.options.corrections)?),
            threshold: Some(self.calibrated.threshold.clone()),
            calibration: Some(self.calibrated.calibration.clone()),
            provenance: Provenance {
                program: format!("jidoka {}", env!("CARGO_PKG_VERSION")),
                backbone: self.backbone.name.clone(),
                backbone_sha256: self.backbone.sha256.clone(),
                images: self.inputs.count(),
                images_sha256: self.inputs.sha256.clone(),
                seed: self.options.seed,
                bank: self.bank,
            },
            golden: None,
        })
    }

    fn report(&self) -> Report {
        let mut named: Vec<(String, f64)> =
            self.held_out.iter().map(|&(index, score)| (self.inputs.name(index), score)).collect();
        named.sort_by(|a, b| b.1.total_cmp(&a.1));
        Report {
            method: self.method,
            images: self.inputs.count(),
            skipped: self.inputs.skipped.clone(),
            bank: self.bank,
            size: self.inputs.size,
            threshold: self.calibrated.threshold.clone(),
            calibration: self.calibrated.calibration.clone(),
            held_out: named,
            candidates: Vec::new(),
            training: None,
            warnings: self.warnings(),
        }
    }

    fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        let rate = self.options.false_reject;
        let needed = parts_to_prove(rate);
        let scored = self.held_out.len();
        if scored < needed {
            warnings.push(format!(
                "{scored} parts cannot prove a false-reject rate of {:.2} %: {} of them above the threshold is compatible with \
                 up to {:.1} % (95 % confidence); the threshold rests on the shape of their scores; {needed} parts would prove it",
                rate * 100.0,
                self.calibrated.threshold.above,
                self.calibrated.threshold.bound_95 * 100.0,
            ));
        }
        for &place in &self.calibrated.far_out {
            warnings.push(format!(
                "{} looks unlike the other good parts; if it is a bad part remove it and teach again, if it is good add more like it",
                self.inputs.name(self.held_out[place].0)
            ));
        }
        let (width, height) = self.inputs.size;
        if self.inputs.sizes.len() > 1 {
            warnings.push(format!(
                "the images have {} different sizes; each is brought to {width}x{height} by itself",
                self.inputs.sizes.len(),
            ));
        }
        if let Some(times) = self.shrunk() {
            warnings.push(format!(
                "each side of the images is made {times:.1} times smaller, so that a flaw of {:.0} pixels becomes one; --roi for the \
                 part of them that matters or a larger --size (own: every pixel) would show it",
                times.round()
            ));
        }
        if !self.inputs.skipped.is_empty() {
            warnings.push(format!("{} images could not be used", self.inputs.skipped.len()));
        }
        warnings.extend(self.inputs.quality.warnings(|index| self.inputs.name(index)));
        warnings
    }

    /// How many times smaller a side of the largest image is made, where that is a lot.
    fn shrunk(&self) -> Option<f64> {
        let pixels = |(width, height): (u32, u32)| f64::from(width) * f64::from(height);
        let seen = match self.options.roi.filter(|_| !self.options.prepared) {
            Some(roi) => pixels((roi.width, roi.height)),
            None => self.inputs.sizes.iter().map(|&size| pixels(size)).fold(0.0, f64::max),
        };
        let times = (seen / pixels(self.inputs.size)).sqrt();
        (times >= MUCH_SMALLER).then_some(times)
    }
}
