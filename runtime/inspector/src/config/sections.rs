//! Each table of the file, key by key. A key's name, range, default and meaning stand in one place: here.

use std::path::{Path, PathBuf};
use std::time::Duration;

use jidoka_capture::{Keep, Memory, PixelFormat, ReplayConfig, Roi, SourceConfig, SyntheticConfig, V4l2Config};
use jidoka_models::PublicKey;

use super::problem::Problem;
use super::reader::{Reader, Section};
use super::trigger::{self, Surroundings};
use super::{
    Backend, Camera, Config, Limit, ModelChoice, Station, outputs, policy, recipes, seeing, timing, together, views,
};
use crate::os::realtime::Wish;

/// The signals that may be wired, with what they say.
pub const SIGNALS: [(&str, &str); 14] = [
    ("reject", "the ejector: on for the reject window of a part"),
    ("ready", "the station inspects; off means: stop feeding parts"),
    ("busy", "a part waits for its verdict"),
    ("result_valid", "pass or fail show a new result"),
    ("pass", "the last result was good"),
    ("fail", "the last result was not good"),
    ("missed", "a part was missed"),
    ("alarm", "a person is needed"),
    ("heartbeat", "changes with every completed inspection, and with nothing else"),
    ("line_stop", "the line must stop"),
    ("eject1", "the second ejector, such as rework; see [eject1]"),
    ("eject2", "the third ejector, such as sample; see [eject2]"),
    ("strobe", "the light, for one exposure of a triggered part"),
    ("camera_trigger", "exposes the camera, for one exposure of a triggered part"),
];

/// Reads every table. Refusals are in the reader; where there are any, the values are only fit to be thrown away.
pub fn read(file: &str, text: &str, reader: &mut Reader<'_>) -> Config {
    let folder = Path::new(file).parent().map(Path::to_owned).unwrap_or_default();
    let station = station(&folder, reader);
    let outputs = outputs::read(reader);
    let inputs = trigger::inputs(reader, outputs.backend == Backend::Sim);
    let encoder = trigger::encoder(reader, &inputs);
    let fastest_um_per_s = encoder.map(|encoder| encoder.fastest_um_per_s);
    let mut camera = camera(&folder, reader);
    let seeing = seeing::read(&folder, reader, &mut camera);
    let (policy, line_policy) = policy::policy(reader);
    let model = model(&folder, reader);
    let base = recipes::RecipeChoice {
        name: station.recipe.clone(),
        select: station.select,
        views: views::read(&folder, reader, &model),
        model,
        roi: camera.roi,
        reject: timing::read(reader, fastest_um_per_s),
        others: ["eject1", "eject2"].map(|section| timing::read_other(reader, section, fastest_um_per_s)),
        policy,
        controls: controls(&camera.source),
    };
    let given = |signal| reader.line("outputs", signal).is_some();
    let around = Surroundings {
        inputs: &inputs,
        pitch_us: base.reject.pitch_us,
        axis: base.reject.slot.axis(),
        lit: given("strobe") || given("camera_trigger"),
        exposes: given("camera_trigger"),
    };
    let trigger = trigger::trigger(reader, &around);
    let config = Config {
        file: file.to_owned(),
        camera,
        seeing,
        model: base.model.clone(),
        reject: base.reject.clone(),
        alarms: policy::alarms(reader),
        deadlines: policy::deadlines(reader),
        watchdog: watchdog(reader),
        line_policy,
        encoder,
        trigger,
        recipes: recipes::read(file, text, reader, base, inputs.select.len(), fastest_um_per_s),
        station,
        outputs,
        inputs,
    };
    together::check(&config, reader);
    config
}

fn watchdog(reader: &mut Reader<'_>) -> Option<(PathBuf, u32)> {
    let mut table = reader.section("watchdog");
    let help = "the kernel's watchdog, such as /dev/watchdog; absent: none but systemd's WatchdogSec=";
    let device = table.text("device", help);
    let timeout_s = table.count("timeout_s", 2..=600, Some(15), "without an inspection for so long, the board resets");
    device.map(|device| (PathBuf::from(device), timeout_s))
}

/// The controls of a camera that has some.
pub fn controls(source: &SourceConfig) -> Vec<(String, i64)> {
    match source {
        SourceConfig::V4l2(camera) => camera.controls.clone(),
        SourceConfig::Replay(_) | SourceConfig::Synthetic(_) => vec![],
    }
}

fn station(folder: &Path, reader: &mut Reader<'_>) -> Station {
    let mut table = reader.section("station");
    let name = table.text("name", "its name in logs and as the consumer of GPIO lines (default: station)");
    let log = table.text("verdict_log", "file for one JSON line a part, appended to; absent: standard output");
    let telemetry = table.text("telemetry", "name of the shared-memory ring that jidoka-gateway reads; absent: none");
    let lock_memory = table.flag("lock_memory", true, "keep all memory resident, where the system permits it");
    let priority = table.optional_count("priority", 1..=98, "SCHED_FIFO priority of loop and actuator");
    let cores = table.counts("cores", 0..=1023, "cores that loop and actuator may run on; empty: all");
    let recipe =
        table.text("recipe", "the name of the file's own recipe, beside those of [recipe.NAME] (default: default)");
    let help = "the number on the recipe_select lines that asks for the file's own recipe";
    let select = table.optional_count("select", 0..=255, help);
    let control = table.text("control", "socket for `jidoka recipe` and its like: a name, or a path; absent: none");
    let help = "file that keeps the last events, readable after a crash with `jidoka blackbox`; absent: none";
    let blackbox = table.text("blackbox", help);
    let blackbox_records = table.count("blackbox_records", 64..=1_000_000, Some(4096), "how many events it keeps");
    let on_allocation = [("count", false), ("stop", true)];
    let help = "an allocation inside the sealed loop is counted, or stops the station with outputs safe";
    let stop_on_allocation = table.choice("on_allocation", &on_allocation, Some("count"), help);
    Station {
        name: name.unwrap_or_else(|| "station".into()),
        verdict_log: log.filter(|log| log != "-").map(|log| folder.join(log)),
        telemetry,
        realtime: Wish { lock_memory, priority: priority.map(|priority| priority as u8), cores },
        stop_on_allocation,
        recipe: recipe.unwrap_or_else(|| "default".into()),
        select,
        control,
        blackbox: blackbox.map(|path| folder.join(path)),
        blackbox_records,
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    V4l2,
    Replay,
    Synthetic,
}

/// The values of `[camera]` before it is known which of them matter.
struct Raw {
    kind: Kind,
    device: Option<String>,
    path: Option<String>,
    width: Option<u32>,
    height: Option<u32>,
    format: Option<PixelFormat>,
    fps: Option<f64>,
    buffers: u32,
    keep: Keep,
    crop: Option<Roi>,
    memory: Memory,
    as_recorded: bool,
    controls: Vec<(String, i64)>,
    filmstrip: Option<u32>,
    repeat: bool,
    memory_mib: u32,
    seed: u32,
    defect_percent: f64,
    parts: Option<u32>,
    first_part: u32,
    timeout_ms: Option<f64>,
}

pub fn camera(folder: &Path, reader: &mut Reader<'_>) -> Camera {
    let raw = camera_keys(reader);
    let line = |reader: &Reader<'_>, key| reader.line("camera", key).or(reader.line("camera", "source"));
    if raw.width.is_some() != raw.height.is_some() {
        let at = line(reader, "width").or(line(reader, "height"));
        let problem = Problem::new(at, "[camera] width and height belong together", "both, or neither");
        reader.refuse(problem.hint("width = 640 and height = 480"));
    }
    let size = raw.width.zip(raw.height);
    let source = match raw.kind {
        Kind::V4l2 => {
            // A source that is refused stands in for this one; what it lacks is unknown.
            if raw.device.is_none() && line(reader, "source").is_some() && reader.is_clean_at("camera", "source") {
                let what = "[camera] device is missing: source = \"v4l2\" needs it";
                let problem = Problem::new(line(reader, "device"), what, "a device node");
                reader.refuse(problem.hint("device = \"/dev/video0\""));
            }
            SourceConfig::V4l2(V4l2Config {
                size,
                format: raw.format,
                fps: raw.fps,
                buffers: raw.buffers,
                controls: raw.controls,
                keep: raw.keep,
                crop: raw.crop,
                memory: raw.memory,
                ..V4l2Config::new(raw.device.unwrap_or_default())
            })
        }
        Kind::Replay => {
            if raw.path.is_none() {
                let what = "[camera] path is missing: source = \"replay\" needs it";
                let problem = Problem::new(line(reader, "path"), what, "a folder of images, or one image");
                reader.refuse(problem.hint("path = \"recordings/today\""));
            }
            SourceConfig::Replay(ReplayConfig {
                filmstrip: raw.filmstrip,
                fps: raw.fps,
                as_recorded: raw.as_recorded,
                repeat: raw.repeat,
                memory_mib: raw.memory_mib as usize,
                ..ReplayConfig::new(folder.join(raw.path.unwrap_or_default()))
            })
        }
        Kind::Synthetic => SourceConfig::Synthetic(synthetic(&raw, size, line(reader, "format"), reader)),
    };
    let timeout = raw.timeout_ms.map(|ms| Duration::from_micros((ms * 1000.0) as u64));
    Camera { source, timeout, roi: roi(reader) }
}

fn synthetic(raw: &Raw, size: Option<(u32, u32)>, line: Option<usize>, reader: &mut Reader<'_>) -> SyntheticConfig {
    let usual = SyntheticConfig::default();
    let (width, height) = size.unwrap_or((usual.width, usual.height));
    let format = raw.format.unwrap_or(usual.format);
    if !matches!(format, PixelFormat::Grey | PixelFormat::Rgb24) {
        let what = format!("[camera] format = \"{format}\" is none that the synthetic source renders");
        reader.refuse(Problem::new(line, what, "\"GREY\" or \"RGB24\""));
    }
    SyntheticConfig {
        width,
        height,
        format,
        seed: u64::from(raw.seed),
        defect_rate: raw.defect_percent / 100.0,
        fps: raw.fps,
        parts: raw.parts,
        first_part: raw.first_part,
    }
}

fn camera_keys(reader: &mut Reader<'_>) -> Raw {
    let mut table = reader.section("camera");
    let kinds = [("v4l2", Kind::V4l2), ("replay", Kind::Replay), ("synthetic", Kind::Synthetic)];
    let formats: Vec<(&str, PixelFormat)> = PixelFormat::all().map(|format| (format.name(), format)).collect();
    let keeps = [("every", Keep::Every), ("latest", Keep::Latest)];
    let memories = [("driver", Memory::Driver), ("dma-heap", Memory::DmaHeap)];
    let crop = crop(&mut table);
    Raw {
        crop,
        memory: table.choice("memory", &memories, Some("driver"), "v4l2: whose buffers the camera fills"),
        as_recorded: table.flag("as_recorded", false, "replay: a recording plays in its own rhythm; without fps"),
        kind: table.choice("source", &kinds, None, "where frames come from"),
        timeout_ms: table.optional_number(
            "timeout_ms",
            10.0..=600_000.0,
            "silence after which the alarm is raised; absent: 1000, and none with [trigger] source = \"camera\"",
        ),
        device: table.text("device", "v4l2: the device node, best a link in /dev/v4l/by-id"),
        width: table.optional_count("width", 16..=16384, "pixels; absent: as the driver has it"),
        height: table.optional_count("height", 16..=16384, "pixels; absent: as the driver has it"),
        format: table.optional_choice("format", &formats, "pixel format; absent: the first that both sides know"),
        fps: table.optional_number("fps", 0.01..=10_000.0, "frames a second; absent: as the driver has it, or unpaced"),
        buffers: table.count("buffers", 2..=32, Some(4), "v4l2: buffers in the driver's queue"),
        keep: table.choice("keep", &keeps, Some("every"), "when frames wait: every one in order, or the latest only"),
        controls: table.integers("controls", "v4l2: controls by name, such as { exposure_time_absolute = 120 }"),
        path: table.text("path", "replay: a folder of images, one image, a recording, or a video"),
        filmstrip: table.optional_count("filmstrip", 1..=1_000_000, "replay: frames stacked in the one image"),
        repeat: table.flag("repeat", false, "replay: begin again after the last image"),
        memory_mib: table.count(
            "memory_mib",
            1..=65536,
            Some(1024),
            "replay: most memory that decoded frames may take",
        ),
        seed: table.count("seed", 0..=u32::MAX, Some(1), "synthetic: the same seed renders the same parts"),
        defect_percent: table.number("defect_percent", 0.0..=100.0, Some(10.0), "synthetic: share of defective parts"),
        parts: table.optional_count("parts", 1..=1_000_000_000, "synthetic: how many; absent: no end"),
        first_part: table.count("first_part", 0..=1_000_000_000, Some(0), "synthetic: number of the first part"),
    }
}

/// The part of the sensor that is read out, in the sensor's pixels.
fn crop(table: &mut Section<'_, '_>) -> Option<Roi> {
    let help = "v4l2: part of the sensor that is read out: [x, y, width, height]; absent: as the driver has it";
    let numbers = table.counts("crop", 0..=65_535, help);
    match numbers[..] {
        [] => None,
        [x, y, width, height] if width > 0 && height > 0 => Some(Roi { x, y, width, height }),
        _ => {
            table.refuse("crop", "is no rectangle", "four whole numbers: [x, y, width, height]");
            None
        }
    }
}

fn roi(reader: &mut Reader<'_>) -> Option<Roi> {
    let mut table = reader.section("roi");
    let present = table.is_present();
    let sides = 0..=16384;
    // Without the table its keys have defaults, so that none is missed; in it, width and height must be given.
    let needed = (!present).then_some(1);
    let roi = Roi {
        x: table.count("x", sides.clone(), Some(0), "left edge of the region that is inspected, in pixels"),
        y: table.count("y", sides, Some(0), "top edge, in pixels"),
        width: table.count("width", 1..=16384, needed, "its width, in pixels"),
        height: table.count("height", 1..=16384, needed, "its height, in pixels"),
    };
    present.then_some(roi)
}

pub fn model(folder: &Path, reader: &mut Reader<'_>) -> ModelChoice {
    let mut table = reader.section("model");
    let path = folder.join(PathBuf::from(table.required_text("path", "the .onnx file")));
    let score = table.optional_number("threshold", -1e9..=1e9, "instead of the model's own threshold");
    let sensitivity = table.optional_number(
        "sensitivity",
        0.01..=0.99,
        "0.5 is the model's own threshold, towards 1 more parts are rejected; instead of threshold",
    );
    let threads = table.count("threads", 1..=64, Some(1), "cores that one inference is split over") as usize;
    let strict = table.flag("strict", true, "refuse a model with operators that have no static step");
    let any_roi = table.flag("any_roi", false, "inspect another region of the frame than the model was taught from");
    let view =
        table.text("view", "what the log calls what it sees, where there is a [[view]] beside it (default: main)");
    let key = table.text("public_key", "refuse a model that this minisign key did not sign; absent: any model");
    drop(table);
    let public_key = key.and_then(|key| match PublicKey::parse(&key) {
        Ok(key) => Some(key),
        Err(_) => {
            let what = format!("[model] public_key = {key:?} is no minisign public key");
            let expected = "the line of a .pub file that begins with RW";
            let problem = Problem::new(reader.line("model", "public_key"), what, expected);
            reader.refuse(problem.hint("`jidoka model keys` makes a pair, `jidoka model sign` signs a model"));
            None
        }
    });
    if score.is_some() && sensitivity.is_some() {
        let what = "[model] threshold and sensitivity exclude each other";
        let problem = Problem::new(reader.line("model", "sensitivity"), what, "one of them, or neither");
        reader.refuse(problem.hint("sensitivity = 0.5 is the model's own threshold"));
    }
    let limit = Limit::of(score.map(|score| score as f32), sensitivity);
    ModelChoice { view: view.unwrap_or_else(|| "main".into()), path, limit, threads, strict, any_roi, public_key }
}
