//! Taking over a model that was made elsewhere: its outputs stay as they are, it gains a threshold, a calibration and a golden
//! check.

use std::path::Path;

use jidoka_engine::onnx::{self, StringStringEntryProto};

use crate::Error;
use crate::contract::{Contract, Input, Method, Provenance};
use crate::inspection::{Check, InspectionModel, LoadOptions};
use crate::preparation::Preparation;
use crate::teach::{self, Parts, calibrate_scores};

/// What importing made.
#[derive(Clone, Debug)]
pub struct Imported {
    /// The model with its metadata as the bytes of an ONNX file.
    pub onnx: Vec<u8>,
    /// What the file now says about itself.
    pub contract: Contract,
    /// Good parts that were scored.
    pub images: usize,
}

/// Adds metadata to a model that anomalib or another tool exported.
///
/// `good` are good parts that the model was *not* trained on: they are held out by nature, so their scores give the threshold
/// at `false_reject`. Without them the model keeps the threshold of its own label, if it has one.
///
/// # Errors
/// Where the file is no model of a known shape, or an image cannot be read or scored, or there are fewer than
/// [`teach::MIN_IMAGES`].
pub fn import(path: &Path, good: Option<&mut dyn Parts>, false_reject: f64) -> Result<Imported, Error> {
    teach::check_rate(false_reject)?;
    let skip = LoadOptions { golden: Check::Skip, ..LoadOptions::default() };
    let mut model = InspectionModel::load(path, &skip)?;
    let bytes = std::fs::read(path).map_err(|e| Error::io(path, "read", e))?;
    let mut message = onnx::decode(&path.display().to_string(), &bytes)?;
    let mut contract = Contract {
        method: Method::Imported,
        input: Some(Input { filter: "triangle".to_owned(), ..model.input().stated() }),
        provenance: Provenance { program: format!("jidoka {}", env!("CARGO_PKG_VERSION")), ..Provenance::default() },
        ..Contract::unknown()
    };
    let mut images = 0;
    if let Some(parts) = good {
        let (scores, pixels) = scores(&mut model, parts)?;
        images = scores.len();
        let (threshold, calibration) = calibrate_scores(&scores, pixels, false_reject);
        contract.threshold = Some(threshold);
        contract.calibration = Some(calibration);
        contract.provenance.images = images;
    }
    contract.golden = Some(model.make_golden(0)?);
    message.metadata_props.retain(|p| !p.key.starts_with("jidoka."));
    let entries = contract.to_metadata().into_iter().map(|(key, value)| StringStringEntryProto { key, value });
    message.metadata_props.extend(entries);
    Ok(Imported { onnx: onnx::encode(&message), contract, images })
}

/// Scores every part; also a sample of the pixels of the maps.
fn scores(model: &mut InspectionModel, parts: &mut dyn Parts) -> Result<(Vec<f64>, Vec<f64>), Error> {
    let mut preparation = Preparation::for_model(model, None)?;
    let (mut scores, mut pixels, mut skipped) = (Vec::new(), Vec::new(), Vec::new());
    for index in 0..parts.count() {
        let name = parts.name(index);
        let filled = parts.read(index).and_then(|image| preparation.fill(&name, &image, model));
        if let Err(error) = filled {
            skipped.push(error.to_string());
            continue;
        }
        let outcome = model.score().map_err(|error| Error::Run { name: name.clone(), error })?;
        if !outcome.score.is_finite() {
            let found = format!("{name} with {}", outcome.score);
            return Err(Error::Metric { metric: "a threshold", needs: "finite scores of good parts", found });
        }
        scores.push(f64::from(outcome.score));
        // One pixel in 67, a prime, so that no column is favoured.
        pixels.extend(outcome.map.iter().flat_map(|m| m.values.iter().step_by(67)).map(|&v| f64::from(v)));
    }
    if scores.len() < teach::MIN_IMAGES {
        let (usable, found) = (scores.len(), parts.count());
        return Err(Error::TooFewImages { usable, found, needed: teach::MIN_IMAGES, skipped });
    }
    Ok((scores, pixels))
}
