//! What a model file says about itself: the `jidoka.*` keys of ONNX `metadata_props`.
//!
//! | key | value |
//! |---|---|
//! | `jidoka.version` | the version of this table, an integer; a reader refuses a newer one |
//! | `jidoka.kind` | `inspection` (a whole model) or `backbone` |
//! | `jidoka.method` | `patchcore-lite`, `padim`, `mahalanobis`, `teacher-student` or `imported` |
//! | `jidoka.input` | [`Input`] as JSON |
//! | `jidoka.roi` | [`Region`] as JSON: the part of each image that was taught |
//! | `jidoka.corrections` | [`Carried`] as JSON: what was put right in each image, with the pictures that it takes |
//! | `jidoka.threshold` | [`Threshold`] as JSON |
//! | `jidoka.calibration` | [`Calibration`] as JSON |
//! | `jidoka.provenance` | [`Provenance`] as JSON |
//! | `jidoka.golden` | [`Golden`] as JSON |
//!
//! A JSON object may gain members within a version; a reader ignores those that it does not know.

use std::collections::BTreeMap;

use jidoka_prepare::{Corrections, Roi};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::corrections::Carried;
use crate::golden::Golden;

/// The newest version of the metadata that this program reads, and the one that it writes.
pub const VERSION: u32 = 1;

/// How a model judges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// Distance to the nearest feature in a memory bank (after Roth et al. 2022, PatchCore).
    PatchcoreLite,
    /// Distance from a Gaussian for each position (after Defard et al. 2021, PaDiM).
    Padim,
    /// The same with the whole covariance of each position, as Defard et al. have it.
    PadimFull,
    /// Distance from one Gaussian for all positions.
    Mahalanobis,
    /// Where a student fails to predict its teacher (after Bergmann et al. 2020, Uninformed Students).
    TeacherStudent,
    /// A model that was made elsewhere.
    Imported,
}

impl Method {
    /// The methods that can be taught.
    pub const TAUGHT: [Method; 5] =
        [Method::PatchcoreLite, Method::Padim, Method::PadimFull, Method::Mahalanobis, Method::TeacherStudent];

    /// Those that `auto` tries, the cheapest to run first: they share their features and are taught in seconds.
    pub const COMPARED: [Method; 4] = [Method::Padim, Method::Mahalanobis, Method::PatchcoreLite, Method::PadimFull];

    /// The name in files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Method::PatchcoreLite => "patchcore-lite",
            Method::Padim => "padim",
            Method::PadimFull => "padim-full",
            Method::Mahalanobis => "mahalanobis",
            Method::TeacherStudent => "teacher-student",
            Method::Imported => "imported",
        }
    }
}

impl std::fmt::Display for Method {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// How an image has to be prepared for the model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// 3 (RGB) or 1 (grey).
    pub channels: u32,
    /// How a region of another aspect ratio was made to fit when the model was taught: `stretch`, `crop`, `pad`.
    pub fit: String,
    /// The resize filter when the model was taught: `area` or `triangle`.
    pub filter: String,
}

/// The part of each image that a model was taught from. A model that is shown another one sees parts at another scale, or things
/// that it has never seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Region {
    /// All of it.
    Whole,
    /// A rectangle, in pixels of the image.
    Rectangle {
        /// Left edge.
        x: u32,
        /// Top edge.
        y: u32,
        /// Width.
        width: u32,
        /// Height.
        height: u32,
    },
}

impl Region {
    /// The rectangle; `None` for the whole image.
    pub fn roi(self) -> Option<Roi> {
        match self {
            Region::Whole => None,
            Region::Rectangle { x, y, width, height } => Some(Roi { x, y, width, height }),
        }
    }
}

impl From<Option<Roi>> for Region {
    fn from(roi: Option<Roi>) -> Region {
        match roi {
            None => Region::Whole,
            Some(Roi { x, y, width, height }) => Region::Rectangle { x, y, width, height },
        }
    }
}

/// Above which score a part is rejected, and why that one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Threshold {
    /// A part is rejected where its score is greater than this.
    pub score: f64,
    /// A pixel is marked where its anomaly map is greater than this.
    pub pixel: f64,
    /// The rate of good parts that may be rejected, as asked for (0.005 is 0.5 %).
    pub false_reject: f64,
    /// How the threshold was found, in words.
    pub basis: String,
    /// Held-out good parts that were scored.
    pub held_out: usize,
    /// How many of them lie above the threshold.
    pub above: usize,
    /// Upper end of the one-sided 95 % confidence interval for the false-reject rate, from the counts alone and without
    /// assuming a shape (Clopper and Pearson 1934).
    pub bound_95: f64,
}

/// The scores of held-out good parts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// How many parts were scored.
    pub held_out: usize,
    /// Mean of the logarithm of the scores; of the scores themselves where their median is not positive.
    pub log_mean: f64,
    /// Standard deviation of the same.
    pub log_sd: f64,
    /// Scores at the probabilities of [`Calibration::PROBABILITIES`].
    pub quantiles: Vec<f64>,
    /// Lower edge of the histogram.
    pub low: f64,
    /// Upper edge of the histogram.
    pub high: f64,
    /// Parts in each of the equally wide bins.
    pub counts: Vec<u32>,
}

impl Calibration {
    /// Where the quantiles are taken.
    pub const PROBABILITIES: [f64; 7] = [0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0];

    /// The median score of held-out good parts, if there is one.
    pub fn median(&self) -> Option<f64> {
        self.quantiles.get(3).copied()
    }
}

/// Where a model comes from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    /// Program and version that wrote the file.
    pub program: String,
    /// Backbone by name.
    pub backbone: String,
    /// sha256 of the backbone's file.
    pub backbone_sha256: String,
    /// Good images that were learned.
    pub images: usize,
    /// sha256 over the prepared images, in order.
    pub images_sha256: String,
    /// Seed of every random choice.
    pub seed: u64,
    /// Features in the memory bank, 0 where the method has none.
    pub bank: usize,
}

/// Everything that a model file says about itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Contract {
    /// How it judges.
    pub method: Method,
    /// How images are prepared, where it is stated.
    pub input: Option<Input>,
    /// What part of each image it was taught from, where it is stated.
    pub roi: Option<Region>,
    /// What was put right in each image that it was taught from, where it is stated.
    pub corrections: Option<Carried>,
    /// The threshold, where there is one.
    pub threshold: Option<Threshold>,
    /// The scores of held-out good parts, where there are some.
    pub calibration: Option<Calibration>,
    /// Where it comes from.
    pub provenance: Provenance,
    /// The golden check, where there is one.
    pub golden: Option<Golden>,
}

impl Contract {
    /// A model of which nothing is known but that it runs: no `jidoka.*` key.
    pub fn unknown() -> Contract {
        Contract {
            method: Method::Imported,
            input: None,
            roi: None,
            corrections: None,
            threshold: None,
            calibration: None,
            provenance: Provenance::default(),
            golden: None,
        }
    }

    /// Reads the `jidoka.*` keys of `metadata`; without any, the contract is [`Contract::unknown`]. `name` is what
    /// errors call the model.
    ///
    /// # Errors
    /// [`Error::NewerModel`], and [`Error::Metadata`] naming the key whose value does not parse or is out of range.
    pub fn parse(name: &str, metadata: &BTreeMap<String, String>) -> Result<Contract, Error> {
        let Some(version) = metadata.get("jidoka.version") else {
            return Ok(Contract::unknown());
        };
        let found: u32 = version.parse().map_err(|_| bad(name, "jidoka.version", version, "expected an integer"))?;
        if found > VERSION {
            return Err(Error::NewerModel { name: name.to_owned(), found, understood: VERSION });
        }
        if let Some(kind) = metadata.get("jidoka.kind")
            && kind != "inspection"
        {
            return Err(bad(name, "jidoka.kind", kind, "expected `inspection`; a backbone goes to `teach --backbone`"));
        }
        let method = match metadata.get("jidoka.method") {
            None => Method::Imported,
            Some(text) => serde_json::from_value(serde_json::Value::from(text.as_str())).map_err(|_| {
                bad(name, "jidoka.method", text, "expected patchcore-lite, padim, mahalanobis or imported")
            })?,
        };
        let contract = Contract {
            method,
            input: json(name, metadata, "jidoka.input")?,
            roi: json(name, metadata, "jidoka.roi")?,
            corrections: json(name, metadata, "jidoka.corrections")?,
            threshold: json(name, metadata, "jidoka.threshold")?,
            calibration: json(name, metadata, "jidoka.calibration")?,
            provenance: json(name, metadata, "jidoka.provenance")?.unwrap_or_default(),
            golden: json(name, metadata, "jidoka.golden")?,
        };
        contract.validate(name)?;
        Ok(contract)
    }

    /// The keys and values for `metadata_props`.
    pub fn to_metadata(&self) -> BTreeMap<String, String> {
        let mut metadata = BTreeMap::from([
            ("jidoka.version".to_owned(), VERSION.to_string()),
            ("jidoka.kind".to_owned(), "inspection".to_owned()),
            ("jidoka.method".to_owned(), self.method.name().to_owned()),
        ]);
        put(&mut metadata, "jidoka.input", self.input.as_ref());
        put(&mut metadata, "jidoka.roi", self.roi.as_ref());
        put(&mut metadata, "jidoka.corrections", self.corrections.as_ref());
        put(&mut metadata, "jidoka.threshold", self.threshold.as_ref());
        put(&mut metadata, "jidoka.calibration", self.calibration.as_ref());
        put(&mut metadata, "jidoka.provenance", Some(&self.provenance));
        put(&mut metadata, "jidoka.golden", self.golden.as_ref());
        metadata
    }

    /// The rectangle that the model was taught from; none for whole images, and where nothing is stated.
    pub fn region(&self) -> Option<Roi> {
        self.roi.and_then(Region::roi)
    }

    /// The corrections that the model was taught with; `None` where nothing is stated. `name` is what errors call the model.
    ///
    /// # Errors
    /// [`Error::Metadata`] where a picture is damaged.
    pub fn corrections(&self, name: &str) -> Result<Option<Corrections>, Error> {
        let carried = self.corrections.as_ref();
        carried.map(|carried| carried.unpack().map_err(|why| bad(name, "jidoka.corrections", "", &why))).transpose()
    }

    /// The score on a scale from 0 to 1 with 0.5 at the threshold and 0.1 at the median of the held-out good parts
    /// (a logistic curve over the logarithm of the score); strictly increasing. None without threshold and calibration.
    pub fn normalise(&self, score: f64) -> Option<f64> {
        let threshold = self.threshold.as_ref()?.score;
        let median = self.calibration.as_ref()?.median()?;
        if !(median > 0.0 && threshold > median) {
            return None;
        }
        // ln(1/9): the logit of 0.1.
        let slope = -(1.0f64 / 9.0).ln() / (threshold / median).ln();
        Some(1.0 / (1.0 + (threshold / score.max(f64::MIN_POSITIVE)).powf(slope)))
    }

    /// The score at which a model of this sensitivity rejects: 0.5 is the threshold as taught, towards 1 more is
    /// rejected, towards 0 less; `normalise(score_for(s)) == 1 - s`. None without threshold and calibration, or where
    /// `sensitivity` is not strictly between 0 and 1.
    pub fn score_for(&self, sensitivity: f64) -> Option<f64> {
        if !(sensitivity > 0.0 && sensitivity < 1.0) {
            return None;
        }
        let threshold = self.threshold.as_ref()?.score;
        let median = self.calibration.as_ref()?.median()?;
        if !(median > 0.0 && threshold > median) {
            return None;
        }
        let slope = -(1.0f64 / 9.0).ln() / (threshold / median).ln();
        Some(threshold * ((1.0 - sensitivity) / sensitivity).powf(1.0 / slope))
    }

    fn validate(&self, name: &str) -> Result<(), Error> {
        if let Some(t) = &self.threshold
            && !(t.score.is_finite() && t.pixel.is_finite())
        {
            return Err(bad(name, "jidoka.threshold", &t.score.to_string(), "expected finite scores"));
        }
        if let Some(g) = &self.golden {
            g.validate().map_err(|reason| bad(name, "jidoka.golden", &g.score.to_string(), reason))?;
        }
        Ok(())
    }
}

fn put<T: Serialize>(metadata: &mut BTreeMap<String, String>, key: &str, value: Option<&T>) {
    // Structs of numbers and strings cannot fail to serialise; a key that did would be absent, never wrong.
    if let Some(text) = value.and_then(|v| serde_json::to_string(v).ok()) {
        metadata.insert(key.to_owned(), text);
    }
}

fn json<T: DeserializeOwned>(name: &str, metadata: &BTreeMap<String, String>, key: &str) -> Result<Option<T>, Error> {
    metadata
        .get(key)
        .map(|text| serde_json::from_str(text).map_err(|e| bad(name, key, text, &e.to_string())))
        .transpose()
}

fn bad(name: &str, key: &str, value: &str, reason: &str) -> Error {
    let mut value: String = value.chars().take(60).collect();
    if value.len() >= 60 {
        value.push('…');
    }
    Error::Metadata { name: name.to_owned(), key: key.to_owned(), value, reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Contract {
        let threshold = Threshold {
            score: 3.3,
            pixel: 2.5,
            false_reject: 0.005,
            basis: "a test".to_owned(),
            held_out: 20,
            above: 0,
            bound_95: 0.139,
        };
        let calibration = Calibration {
            held_out: 20,
            log_mean: 0.7,
            log_sd: 0.1,
            quantiles: vec![1.5, 1.6, 1.9, 2.1, 2.2, 2.5, 2.6],
            low: 1.5,
            high: 3.3,
            counts: vec![12, 8],
        };
        let golden = Golden { seed: 1, score: 0.1 + 0.2, map: vec![1.0 / 3.0; 64], tolerance: 1e-3 };
        Contract {
            method: Method::Padim,
            input: Some(Input { width: 256, height: 128, channels: 3, fit: "pad".into(), filter: "area".into() }),
            roi: Some(Region::Rectangle { x: 8, y: 0, width: 512, height: 256 }),
            corrections: Some(Carried::default()),
            threshold: Some(threshold),
            calibration: Some(calibration),
            provenance: Provenance { program: "jidoka".into(), images: 20, ..Provenance::default() },
            golden: Some(golden),
        }
    }

    #[test]
    fn what_is_written_is_what_is_read() {
        let read = Contract::parse("m.onnx", &example().to_metadata()).unwrap();
        assert_eq!(read, example());
        let whole = Contract { roi: Some(Region::Whole), ..example() };
        assert_eq!(Contract::parse("m.onnx", &whole.to_metadata()).unwrap(), whole);
        assert_eq!(Contract::parse("m.onnx", &BTreeMap::new()).unwrap(), Contract::unknown());
    }

    /// One changed key, and the words that the error has to hold.
    fn check(key: &str, value: &str, words: &[&str]) {
        let mut metadata = example().to_metadata();
        metadata.insert(key.to_owned(), value.to_owned());
        let text = Contract::parse("m.onnx", &metadata).unwrap_err().to_string();
        for word in words.iter().chain(&["m.onnx"]) {
            assert!(text.contains(word), "{key} = {value}: `{word}` is not in: {text}");
        }
    }

    #[test]
    fn each_bad_key_is_named_with_what_was_expected() {
        check("jidoka.version", "2", &["metadata version 2", "up to 1", "update jidoka"]);
        check("jidoka.version", "one", &["jidoka.version", "integer"]);
        check("jidoka.kind", "backbone", &["jidoka.kind", "--backbone"]);
        check("jidoka.method", "magic", &["jidoka.method", "patchcore-lite"]);
        check("jidoka.threshold", "{", &["jidoka.threshold"]);
        check("jidoka.threshold", "{}", &["jidoka.threshold", "score"]);
        check("jidoka.roi", "{\"rectangle\":{\"x\":1}}", &["jidoka.roi", "y"]);
        check("jidoka.corrections", "{\"align\":{}}", &["jidoka.corrections", "template"]);
        check("jidoka.calibration", "[]", &["jidoka.calibration"]);
        check("jidoka.golden", r#"{"seed":1,"score":1,"map":[1],"tolerance":0.001}"#, &["64 map cells"]);
        check("jidoka.golden", r#"{"seed":1,"score":1,"map":[],"tolerance":9}"#, &["tolerance"]);
        check("jidoka.input", &"x".repeat(500), &["jidoka.input", "…"]);
    }

    #[test]
    fn a_member_that_a_later_program_added_is_ignored() {
        let mut metadata = example().to_metadata();
        let input = r#"{"width":256,"height":128,"channels":3,"fit":"pad","filter":"area","tiles":4}"#;
        metadata.insert("jidoka.input".to_owned(), input.to_owned());
        assert_eq!(Contract::parse("m.onnx", &metadata).unwrap(), example());
    }

    #[test]
    fn the_normalised_score_is_a_half_at_the_threshold_and_a_tenth_at_the_median() {
        let contract = example();
        for (score, expected) in [(3.3, 0.5), (2.1, 0.1), (0.0, 0.0), (1e9, 1.0)] {
            let found = contract.normalise(score).unwrap();
            assert!((found - expected).abs() < 1e-6, "{score}: {found}");
        }
        let mut last = -1.0;
        for step in 0..200 {
            let found = contract.normalise(f64::from(step) * 0.05).unwrap();
            assert!(found > last || found < 1e-12, "not increasing at step {step}");
            last = found;
        }
        assert_eq!(Contract::unknown().normalise(1.0), None);
    }

    #[test]
    fn sensitivity_turns_the_threshold_the_right_way() {
        let contract = example();
        assert!((contract.score_for(0.5).unwrap() - 3.3).abs() < 1e-9);
        for sensitivity in [0.05, 0.3, 0.5, 0.7, 0.95] {
            let score = contract.score_for(sensitivity).unwrap();
            assert!((contract.normalise(score).unwrap() - (1.0 - sensitivity)).abs() < 1e-9);
        }
        assert!(contract.score_for(0.7).unwrap() < contract.score_for(0.3).unwrap(), "more sensitive is lower");
        assert_eq!(
            (contract.score_for(0.0), contract.score_for(1.0), contract.score_for(f64::NAN)),
            (None, None, None)
        );
    }
}
