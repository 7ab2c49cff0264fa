//! `[health]`, `[raw]`, `[flat_field]`, `[align]`: whether the camera still sees, and what is put right in what it sees.

use std::path::{Path, PathBuf};

use jidoka_capture::health::Limits;
use jidoka_capture::{PixelFormat, SourceConfig, Watching};
use jidoka_prepare::RawTuning;

use super::Camera;
use super::problem::Problem;
use super::reader::Reader;

/// What is put right between camera and model. What counts as a bad picture goes with the camera.
#[derive(Clone, Debug)]
pub struct Seeing {
    /// Corrections of a raw sensor image.
    pub raw: RawTuning,
    /// A frame of an evenly white target.
    pub white: Option<PathBuf>,
    /// How parts are brought to where they were taught.
    pub align: Option<AlignChoice>,
}

/// `[align]`.
#[derive(Clone, Debug, PartialEq)]
pub struct AlignChoice {
    /// A frame with the part where it should lie.
    pub template: PathBuf,
    /// How far a part may lie off.
    pub max_shift_px: u32,
    /// How far it may be turned.
    pub max_degrees: f64,
    /// How well a frame must match.
    pub least_match: f64,
}

/// Reads the four tables. Only a camera is watched: files and rendered parts do not freeze, and may be dark on purpose.
pub fn read(folder: &Path, reader: &mut Reader<'_>, camera: &mut Camera) -> Seeing {
    let watching = Watching { roi: camera.roi, ..health(reader) };
    if let SourceConfig::V4l2(camera) = &mut camera.source {
        camera.watching = Some(watching);
    }
    let raw = raw(reader, &camera.source);
    let mut table = reader.section("flat_field");
    let help = "a frame of an evenly white target (`jidoka camera white`): every frame is divided by it";
    let white = table.text("white", help).map(|path| folder.join(path));
    drop(table);
    Seeing { raw, white, align: align(folder, reader) }
}

fn health(reader: &mut Reader<'_>) -> Watching {
    let mut table = reader.section("health");
    let help =
        "v4l2: frames in a row, equal to the bit, that count as a frozen stream; 0: never, nor does one repeat another";
    let frozen_frames = table.count("frozen_frames", 0..=10_000, Some(5), help);
    let help = "v4l2: mean brightness (0 to 255) below which a frame is dark; 0: never";
    let dark = table.number("dark_mean", 0.0..=255.0, Some(3.0), help);
    let help = "v4l2: share of white pixels above which a frame is saturated; 100: never";
    let saturated = table.number("saturated_percent", 0.0..=100.0, Some(95.0), help);
    let help = "v4l2: sharpness, in percent of that of the first frames, below which a frame is blurred; 0: never";
    let blurred = table.number("blurred_percent", 0.0..=100.0, Some(10.0), help);
    let actions = [("reject", true), ("count", false)];
    let help = "v4l2: what becomes of the part in a dark, saturated or blurred frame, or one equal to that before";
    let withhold = table.choice("on_trouble", &actions, Some("reject"), help);
    let limits = Limits {
        frozen_frames,
        darkest_mean: dark as f32,
        saturated_share: (saturated / 100.0) as f32,
        sharpness_share: (blurred / 100.0) as f32,
    };
    Watching { limits, withhold, roi: None }
}

fn raw(reader: &mut Reader<'_>, source: &SourceConfig) -> RawTuning {
    let mut table = reader.section("raw");
    let present = table.is_present();
    let help = "raw formats: the code that the sensor gives in the dark, in the format's own bits";
    let black_level = table.count("black_level", 0..=32_767, Some(0), help) as u16;
    let keys = ["red_gain", "green_gain", "blue_gain"];
    let gains = keys.map(|key| table.number(key, 0.01..=3.9, Some(1.0), "Bayer formats: white balance") as f32);
    drop(table);
    let format = match source {
        SourceConfig::V4l2(camera) => camera.format,
        // Images have no black level; a recording's format is in its file.
        SourceConfig::Synthetic(_) => Some(PixelFormat::Grey),
        SourceConfig::Replay(_) => None,
    };
    let is_raw = |format: PixelFormat| matches!(format, PixelFormat::Bayer(..)) || format.bits() > 8;
    if present && format.is_some_and(|format| !is_raw(format)) {
        let what = "[raw] corrects raw sensor formats, and this is none";
        let at = ["black_level", "red_gain", "green_gain", "blue_gain"].iter().find_map(|key| reader.line("raw", key));
        reader.refuse(Problem::new(
            at,
            what,
            "a Bayer format or more than 8 bits of grey; [camera] controls have the rest",
        ));
    }
    RawTuning { black_level, gains }
}

fn align(folder: &Path, reader: &mut Reader<'_>) -> Option<AlignChoice> {
    let mut table = reader.section("align");
    let present = table.is_present();
    let help = "a frame with a part where it should lie (`jidoka camera snapshot`): parts are brought to there";
    let template = table.text("template", help);
    let help = "how far a part may lie off, in pixels of the camera";
    let max_shift_px = table.count("max_shift_px", 0..=16_384, Some(20), help);
    let help = "how far a part may be turned either way; 0: parts do not turn";
    let max_degrees = table.number("max_degrees", 0.0..=45.0, Some(0.0), help);
    let help = "how well a frame must match the template (1: is the template), or no part was found and it is rejected";
    let least_match = table.number("least_match", 0.0..=1.0, Some(0.3), help);
    drop(table);
    if present && template.is_none() {
        let what = "[align] template is missing: there is nothing to align by";
        let problem = Problem::new(None, what, "a picture of the camera's size with a well-placed part");
        reader.refuse(
            problem.hint("template = \"place.png\", from: jidoka camera snapshot --config FILE --out place.png"),
        );
    }
    template.map(|path| AlignChoice { template: folder.join(path), max_shift_px, max_degrees, least_match })
}
