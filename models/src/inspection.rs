//! A model at work: an image in, a score and an anomaly map out.

use std::path::Path;

use jidoka_engine::{DType, Model, Session, TensorInfo, View};
use sha2::{Digest, Sha256};

use crate::Error;
use crate::contract::{Contract, Input};
use crate::golden::{self, Golden};
use crate::signature::{self, PublicKey};

/// What to do about the golden check at load.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Check {
    /// Run it where the model holds one; a model without one is accepted.
    #[default]
    IfPresent,
    /// Run it; refuse a model without one.
    Required,
    /// Do not run it. For the tools that write it.
    Skip,
}

/// How a model is loaded.
#[derive(Clone, Debug, Default)]
pub struct LoadOptions {
    /// Threads, strictness and kernels of the engine.
    pub engine: jidoka_engine::Options,
    /// The golden check.
    pub golden: Check,
    /// Where there is one, a model that this key did not sign is refused. It has to be whole in one file.
    pub public_key: Option<PublicKey>,
}

/// How the image input lies in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// f32 planes, red first, 0..=1.
    F32Planes,
    /// u8 pixels of interleaved channels, 0..=255.
    U8Pixels,
}

/// The image that a model takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageInput {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// 3 (RGB) or 1 (grey).
    pub channels: u32,
    /// Memory layout and type.
    pub layout: Layout,
}

/// A look at the anomaly map of the last run.
#[derive(Clone, Copy, Debug)]
pub struct MapView<'a> {
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// Values, row by row; greater is more anomalous.
    pub values: &'a [f32],
}

/// What a model says about one image.
#[derive(Clone, Copy, Debug)]
pub struct Outcome<'a> {
    /// The score, raw: greater is more anomalous. Not a number where the model computed none.
    pub score: f32,
    /// The anomaly map, where the model has one.
    pub map: Option<MapView<'a>>,
    /// The model's own verdict (`pred_label`: true is anomalous), where it has that output.
    pub label: Option<bool>,
}

/// A loaded model. One thread at a time; [`InspectionModel::score`] allocates nothing where the engine's plan is static.
pub struct InspectionModel {
    name: String,
    session: Session,
    contract: Contract,
    input: ImageInput,
    places: Places,
    sha256: String,
}

/// Where the known outputs are, by index, and the size of the map.
#[derive(Clone, Copy, Debug, Default)]
struct Places {
    score: Option<usize>,
    map: Option<(usize, usize, usize)>,
    label: Option<usize>,
}

impl InspectionModel {
    /// Reads a model file, plans it and verifies its golden check.
    ///
    /// # Errors
    /// [`Error`] naming the file: unreadable or truncated, dynamic or wrong input, no known output, metadata that does
    /// not parse or is newer, a golden check that fails, a signature that is asked for and does not hold.
    pub fn load(path: &Path, options: &LoadOptions) -> Result<InspectionModel, Error> {
        let bytes = std::fs::read(path).map_err(|e| Error::io(path, "read", e))?;
        let model = match &options.public_key {
            Some(key) => {
                let comment = signature::verify(path, &bytes, key)?;
                log::info!("{}: signed: {comment}", path.display());
                // The bytes that were verified, and nothing beside them.
                Model::from_bytes(&path.display().to_string(), &bytes)?
            }
            // By path, so that the engine finds tensor data beside the file.
            None => Model::read(path)?,
        };
        InspectionModel::plan(&model, &bytes, options)
    }

    /// As [`InspectionModel::load`], from memory. `name` is what errors call the model.
    ///
    /// # Errors
    /// As [`InspectionModel::load`].
    pub fn from_bytes(name: &str, bytes: &[u8], options: &LoadOptions) -> Result<InspectionModel, Error> {
        let model = Model::from_bytes(name, bytes)?;
        InspectionModel::plan(&model, bytes, options)
    }

    fn plan(model: &Model, bytes: &[u8], options: &LoadOptions) -> Result<InspectionModel, Error> {
        let name = model.name().to_owned();
        let contract = Contract::parse(&name, model.metadata())?;
        let input = image_input(&name, &model.inputs()[0])?;
        let places = find_outputs(&name, model.outputs())?;
        let session = Session::new(model, &options.engine)?;
        let sha256 = sha256(bytes);
        let mut loaded = InspectionModel { name, session, contract, input, places, sha256 };
        loaded.check_golden(options.golden)?;
        Ok(loaded)
    }

    /// What errors call the model: its path, usually.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the file says about itself.
    pub fn contract(&self) -> &Contract {
        &self.contract
    }

    /// sha256 of the model file, in hexadecimal.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// The image that the model takes.
    pub fn input(&self) -> ImageInput {
        self.input
    }

    /// Size (width, height) of the anomaly map, where there is one.
    pub fn map_size(&self) -> Option<(usize, usize)> {
        self.places.map.map(|(_, height, width)| (width, height))
    }

    /// The engine's session, for those who measure it.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// The score above which a part is rejected, where the model states one: as taught, or 0.5 where the model was
    /// exported with its own label (`pred_label`), whose scores anomalib normalises to that.
    pub fn threshold(&self) -> Option<f64> {
        match &self.contract.threshold {
            Some(threshold) => Some(threshold.score),
            None => self.places.label.map(|_| 0.5),
        }
    }

    /// The image input as f32 planes in 0..=1 ([`Layout::F32Planes`]), to be filled before [`InspectionModel::score`].
    pub fn input_f32(&mut self) -> Option<&mut [f32]> {
        self.session.input_f32()
    }

    /// The image input as u8 pixels ([`Layout::U8Pixels`]), to be filled before [`InspectionModel::score`].
    pub fn input_u8(&mut self) -> Option<&mut [u8]> {
        self.session.input_u8()
    }

    /// Runs the model on what its input holds.
    ///
    /// # Errors
    /// The engine's [`jidoka_engine::RunError`]; treat the part as not inspected. A score that is not a number is not an
    /// error here: no comparison with it holds, so judge by `score <= threshold`, never by `!(score > threshold)`.
    pub fn score(&mut self) -> Result<Outcome<'_>, jidoka_engine::RunError> {
        self.session.run()?;
        let map = self.places.map.and_then(|(index, height, width)| {
            self.session.output(index).as_f32().map(|values| MapView { width, height, values })
        });
        let score = match self.places.score {
            Some(index) => self.session.output(index).as_f32().and_then(|v| v.first().copied()).unwrap_or(f32::NAN),
            None => map.map_or(f32::NAN, |m| maximum(m.values)),
        };
        let label = self.places.label.and_then(|index| truth(&self.session.output(index)));
        Ok(Outcome { score, map, label })
    }

    /// Runs the model on what its input holds, and calls `finished` with its number after each step of the engine's plan.
    ///
    /// # Errors
    /// As [`InspectionModel::score`].
    pub fn run_with(&mut self, finished: impl FnMut(usize)) -> Result<(), jidoka_engine::RunError> {
        self.session.run_with(finished)
    }

    /// Scores the test image of `seed` and returns what a golden check has to expect.
    ///
    /// # Errors
    /// [`Error::Run`].
    pub fn make_golden(&mut self, seed: u64) -> Result<Golden, Error> {
        let (score, map) = self.score_test_image(seed)?;
        Ok(Golden { seed, score, map, tolerance: Golden::TOLERANCE })
    }

    fn check_golden(&mut self, check: Check) -> Result<(), Error> {
        let golden = match (check, &self.contract.golden) {
            (Check::Skip, _) | (Check::IfPresent, None) => return Ok(()),
            (Check::Required, None) => return Err(Error::NoGoldenCheck { name: self.name.clone() }),
            (_, Some(golden)) => golden.clone(),
        };
        let (score, map) = self.score_test_image(golden.seed)?;
        golden.compare(score, &map).map_err(|d| Error::GoldenCheck {
            name: self.name.clone(),
            what: d.what,
            found: d.found,
            expected: d.expected,
            tolerance: d.tolerance,
        })
    }

    fn score_test_image(&mut self, seed: u64) -> Result<(f64, Vec<f64>), Error> {
        let (height, width) = (self.input.height as usize, self.input.width as usize);
        let channels = self.input.channels as usize;
        let image = golden::test_image(seed, height, width);
        if let Some(input) = self.session.input_f32() {
            for (i, value) in input.iter_mut().enumerate() {
                let (channel, pixel) = (i / (height * width), i % (height * width));
                *value = f32::from(image[pixel * 3 + channel]) / 255.0;
            }
        } else if let Some(input) = self.session.input_u8() {
            for (i, value) in input.iter_mut().enumerate() {
                *value = image[i / channels * 3 + i % channels];
            }
        }
        let name = self.name.clone();
        let outcome = self.score().map_err(|error| Error::Run { name, error })?;
        let map = outcome.map.map_or_else(Vec::new, |m| golden::coarse(m.values, m.height, m.width));
        Ok((f64::from(outcome.score), map))
    }
}

impl ImageInput {
    /// As the contract states it, for a stretched, area-filtered image.
    pub fn stated(&self) -> Input {
        Input {
            width: self.width,
            height: self.height,
            channels: self.channels,
            fit: "stretch".to_owned(),
            filter: "area".to_owned(),
        }
    }
}

/// The sha256 of bytes, in hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// The largest value; not a number if any is, so that a broken map cannot look like a good part.
fn maximum(values: &[f32]) -> f32 {
    values.iter().fold(f32::NEG_INFINITY, |m, &v| if v.is_nan() || m.is_nan() { f32::NAN } else { m.max(v) })
}

fn truth(view: &View<'_>) -> Option<bool> {
    use jidoka_engine::Data;
    match view.data {
        Data::Bool(v) | Data::U8(v) => v.first().map(|&v| v != 0),
        Data::I64(v) => v.first().map(|&v| v != 0),
        Data::I32(v) => v.first().map(|&v| v != 0),
        Data::F32(v) => v.first().map(|&v| v > 0.5),
        _ => None,
    }
}

fn image_input(name: &str, info: &TensorInfo) -> Result<ImageInput, Error> {
    let wrong = || Error::WrongInput {
        name: name.to_owned(),
        input: info.name.clone(),
        found: format!("{:?} {:?}", info.dtype, info.shape),
    };
    let (layout, height, width, channels) = match (info.dtype, info.shape.as_slice()) {
        (DType::F32, &[1, c, h, w]) => (Layout::F32Planes, h, w, c),
        (DType::U8, &[1, h, w, c]) => (Layout::U8Pixels, h, w, c),
        _ => return Err(wrong()),
    };
    let side = |v: usize| u32::try_from(v).ok().filter(|v| (1..=jidoka_prepare::MAX_SIDE).contains(v));
    match (side(width), side(height), channels) {
        (Some(width), Some(height), 1 | 3) => Ok(ImageInput { width, height, channels: channels as u32, layout }),
        _ => Err(wrong()),
    }
}

fn find_outputs(name: &str, outputs: &[TensorInfo]) -> Result<Places, Error> {
    let find = |wanted: &str| outputs.iter().position(|o| o.name == wanted);
    let wrong = |index: usize, expected| Error::WrongOutput {
        name: name.to_owned(),
        output: outputs[index].name.clone(),
        found: format!("{:?} {:?}", outputs[index].dtype, outputs[index].shape),
        expected,
    };
    let mut places = Places { score: find("pred_score"), map: None, label: find("pred_label") };
    if let Some(index) = places.score
        && (outputs[index].dtype != DType::F32 || outputs[index].len() != 1)
    {
        return Err(wrong(index, "one f32"));
    }
    if let Some(index) = find("anomaly_map") {
        let info = &outputs[index];
        places.map = match (info.dtype, info.shape.as_slice()) {
            (DType::F32, &[1, 1, h, w] | &[1, h, w] | &[h, w]) if h > 0 && w > 0 => Some((index, h, w)),
            _ => return Err(wrong(index, "f32 [1,1,H,W]")),
        };
    }
    if places.score.is_none() && places.map.is_none() {
        let found = outputs.iter().map(|o| o.name.clone()).collect();
        return Err(Error::NoKnownOutput { name: name.to_owned(), found });
    }
    Ok(places)
}
