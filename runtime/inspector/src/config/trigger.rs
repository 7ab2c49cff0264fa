//! `[inputs]`, `[encoder]`, `[trigger]`, `[strobe]`: what tells the station that a part is there, and when it is lit.

use jidoka_line::encoder::EncoderLimits;
use jidoka_line::{Axis, Span};
use jidoka_pins::Bias;

use super::problem::Problem;
use super::reader::Reader;
use super::timing::span;

/// The inputs that may be wired, with what they say. Recipe select lines are a list of their own.
pub const INPUTS: [(&str, &str); 5] = [
    ("sensor", "the part sensor: active while it sees a part"),
    ("encoder_a", "the belt encoder's channel A, or its only one"),
    ("encoder_b", "its channel B; absent: one channel, which counts forward only"),
    ("confirm", "the reject-confirmation sensor behind the ejector: active while it sees an ejected part"),
    ("acknowledge", "the operator's button: alarms no longer stand"),
];

/// The lines from the machine.
#[derive(Clone, Debug, Default)]
pub struct InputChoice {
    /// Each input's line.
    pub wires: Vec<InputWire>,
    /// The recipe select lines, lowest bit first.
    pub select: Vec<InputWire>,
    /// How long a level of confirmation, acknowledge and select must last to count.
    pub debounce: Span,
    /// Pull resistor of every input.
    pub bias: Bias,
}

/// One input and its line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputWire {
    /// The key under `[inputs]`.
    pub name: &'static str,
    /// `chip-label/LINE`, `LINE` or `chip-label:offset`.
    pub address: String,
    /// Whether the line is low when the input is active.
    pub active_low: bool,
}

impl InputChoice {
    /// Whether the input has a line.
    pub fn has(&self, name: &str) -> bool {
        self.wires.iter().any(|wire| wire.name == name)
    }

    /// Every line, the select lines included.
    pub fn lines(&self) -> impl Iterator<Item = &InputWire> {
        self.wires.iter().chain(&self.select)
    }
}

/// What makes a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Every frame of a free-running camera.
    Frames,
    /// Every frame of a camera whose own trigger input is wired to the machine.
    Camera,
    /// The part sensor.
    Sensor,
    /// The belt, every so many millimetres.
    Encoder,
    /// A command through the control socket.
    Software,
}

impl Source {
    /// Whether a part is triggered outside the camera, so that its frame has to be found by time.
    pub fn is_outside(self) -> bool {
        matches!(self, Source::Sensor | Source::Encoder | Source::Software)
    }
}

/// How parts are triggered and their frames found.
#[derive(Clone, Copy, Debug)]
pub struct Trigger {
    /// What makes a part.
    pub source: Source,
    /// The sensor's debounce.
    pub debounce: Span,
    /// How long edges after a trigger belong to the same part.
    pub hold_off: Span,
    /// Two triggers nearer than this are both rejected.
    pub least_interval: Span,
    /// The longest that one part keeps the sensor active, in axis units.
    pub longest: Option<i64>,
    /// Encoder trigger: a part every so many micrometres.
    pub every_um: u64,
    /// From the trigger to the exposure, in axis units.
    pub delay: i64,
    /// From the exposure to the driver's timestamp.
    pub frame_offset: Span,
    /// By how much a frame's time may be off.
    pub frame_tolerance: Span,
    /// Longest from exposure to the loop having the frame.
    pub arrives_within: Span,
    /// Whether numbers of parts and frames must advance together.
    pub check_sequence: bool,
    /// Light and exposure, where the station drives them.
    pub strobe: Option<StrobeChoice>,
}

/// When the light goes on before the exposure, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct StrobeChoice {
    /// From the light to the camera's trigger.
    pub lead: Span,
    /// How long the light stays on.
    pub width: Span,
}

/// Reads `[inputs]`. `simulated`: on the chip in memory every input has a line by its own name where none is given.
pub fn inputs(reader: &mut Reader<'_>, simulated: bool) -> InputChoice {
    let mut table = reader.section("inputs");
    let addresses = INPUTS.map(|(name, help)| (name, table.text(name, help)));
    let help = "lines whose levels, lowest bit first, are the number of the recipe";
    let select = table.texts("recipe_select", help);
    let low = table.texts("active_low", "inputs whose line is low when they are active, such as [\"sensor\"]");
    let help = "how long a level of confirm, acknowledge and recipe_select must last to count";
    let debounce_ms = table.number("debounce_ms", 0.0..=1_000.0, Some(5.0), help);
    let biases = [("as-is", Bias::AsIs), ("up", Bias::PullUp), ("down", Bias::PullDown), ("off", Bias::Disabled)];
    let bias = table.choice("pull", &biases, Some("as-is"), "pull resistor of every input, where the board has one");
    drop(table);
    let known = || INPUTS.iter().map(|(name, _)| *name).chain(["recipe_select"]);
    for word in low.iter().filter(|word| !known().any(|name| name == *word)) {
        let what = format!("[inputs] active_low names \"{word}\", which is no input");
        let expected = format!("some of {}", known().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", "));
        reader.refuse(Problem::new(reader.line("inputs", "active_low"), what, expected));
    }
    if select.len() > 8 {
        let what = format!("[inputs] recipe_select has {} lines", select.len());
        reader.refuse(Problem::new(reader.line("inputs", "recipe_select"), what, "at most 8"));
    }
    let is_low = |name: &str| low.iter().any(|word| word == name);
    let wires = addresses.into_iter().filter_map(|(name, address)| {
        let address = address.or_else(|| (simulated && name == "acknowledge").then(|| name.to_owned()))?;
        Some(InputWire { name, address, active_low: is_low(name) })
    });
    let wires = wires.collect::<Vec<_>>();
    if wires.iter().any(|wire| wire.name == "encoder_b") && !wires.iter().any(|wire| wire.name == "encoder_a") {
        let what = "[inputs] encoder_b is wired and encoder_a is not";
        let problem = Problem::new(reader.line("inputs", "encoder_b"), what, "both channels, or encoder_a alone");
        reader.refuse(problem);
    }
    let name = "recipe_select";
    let select = select.into_iter().map(|address| InputWire { name, address, active_low: is_low(name) }).collect();
    InputChoice { wires, select, debounce: span(debounce_ms), bias }
}

/// Reads `[encoder]`; `None` where no encoder is wired.
pub fn encoder(reader: &mut Reader<'_>, inputs: &InputChoice) -> Option<EncoderLimits> {
    let mut table = reader.section("encoder");
    let present = table.is_present();
    let help = "belt travel a count; a quadrature encoder gives four counts a cycle";
    let per_count = table.optional_number("mm_per_count", 0.000_01..=1_000.0, help);
    let help = "the fastest that the belt runs; faster counting is noise or slip";
    let fastest = table.optional_number("fastest_mm_per_s", 0.1..=100_000.0, help);
    let help = "how far the belt may run back without an alarm";
    let reversal_mm = table.number("reversal_mm", 0.0..=10_000.0, Some(5.0), help);
    let help = "two triggers nearer than this although time for it has gone by: the encoder slips";
    let least_mm = table.number("least_pitch_mm", 0.0..=100_000.0, Some(0.0), help);
    let stall_ms = table.number("stall_ms", 1.0..=60_000.0, Some(200.0), "no count for this long: the belt stands");
    drop(table);
    if !inputs.has("encoder_a") {
        if present {
            let what = "[encoder] describes an encoder that is not wired";
            reader.refuse(Problem::new(reader.line("encoder", "mm_per_count"), what, "[inputs] encoder_a"));
        }
        return None;
    }
    for (key, value) in [("mm_per_count", per_count), ("fastest_mm_per_s", fastest)] {
        if value.is_none() {
            let what = format!("[encoder] {key} is missing: [inputs] encoder_a is wired");
            reader.refuse(Problem::new(None, what, format!("{key} = a number")));
        }
    }
    Some(EncoderLimits {
        // In nanometres a count, so that a fine encoder does not drift by rounding.
        um: (per_count.unwrap_or(1.0) * 1_000_000.0).round() as u32,
        per_counts: 1_000,
        fastest_um_per_s: (fastest.unwrap_or(1.0) * 1_000.0).round() as u64,
        reversal_um: (reversal_mm * 1_000.0).round() as u64,
        least_pitch_um: (least_mm * 1_000.0).round() as u64,
        stall: span(stall_ms),
    })
}

/// What of the rest of the file decides how a trigger is read.
pub struct Surroundings<'a> {
    /// The inputs.
    pub inputs: &'a InputChoice,
    /// The smallest time between two parts, as the reject window has it.
    pub pitch_us: u64,
    /// What the reject window is scheduled on.
    pub axis: Axis,
    /// Whether the strobe or the camera's trigger has a line of its own.
    pub lit: bool,
    /// Whether the camera's trigger has.
    pub exposes: bool,
}

/// The values of `[trigger]` and `[strobe]` before it is known which of them matter.
struct Raw {
    source: Source,
    debounce_ms: f64,
    hold_off_ms: f64,
    least_ms: f64,
    longest_ms: Option<f64>,
    longest_mm: Option<f64>,
    every_mm: Option<f64>,
    delay_ms: Option<f64>,
    delay_mm: Option<f64>,
    offset_ms: f64,
    tolerance_ms: Option<f64>,
    arrives_ms: Option<f64>,
    lead_ms: f64,
    width_ms: f64,
}

/// Reads `[trigger]` and `[strobe]`.
pub fn trigger(reader: &mut Reader<'_>, around: &Surroundings<'_>) -> Trigger {
    let raw = keys(reader);
    let tolerance = raw.tolerance_ms.map_or(Span::from_micros(around.pitch_us * 2 / 5), span);
    refuse_what_does_not_fit(reader, &raw, around);
    if raw.source.is_outside() && 2 * tolerance.as_micros() >= around.pitch_us {
        let (tolerance, pitch) = (tolerance.as_micros() as f64 / 1e3, around.pitch_us as f64 / 1e3);
        let what = format!("[trigger] frame_tolerance_ms = {tolerance} could match a frame to two parts");
        let mut problem = Problem::new(reader.line("trigger", "frame_tolerance_ms"), what, "less than half the pitch");
        problem.because.push(format!("2 x {tolerance} ms >= {pitch} ms from part to part"));
        reader.refuse(problem);
    }
    if around.lit && raw.width_ms <= raw.lead_ms {
        let Raw { lead_ms, width_ms, .. } = raw;
        let what = format!("[strobe] width_ms = {width_ms} is over before the exposure begins, {lead_ms} ms later");
        reader.refuse(Problem::new(reader.line("strobe", "width_ms"), what, format!("more than {lead_ms}")));
    }
    let units = |ms: Option<f64>, mm: Option<f64>| mm.or(ms).map(|value| (value * 1_000.0).round() as i64);
    let by_distance = around.axis == Axis::Distance && raw.delay_mm.is_some();
    let strobe = StrobeChoice { lead: span(raw.lead_ms), width: span(raw.width_ms) };
    Trigger {
        source: raw.source,
        debounce: span(raw.debounce_ms),
        hold_off: span(raw.hold_off_ms),
        least_interval: span(raw.least_ms),
        longest: units(raw.longest_ms, raw.longest_mm),
        every_um: raw.every_mm.map_or(0, |mm| (mm * 1_000.0).round() as u64),
        delay: units(raw.delay_ms, raw.delay_mm).unwrap_or(0),
        frame_offset: span(raw.offset_ms),
        frame_tolerance: tolerance,
        arrives_within: raw.arrives_ms.map_or(Span::MAX, span),
        check_sequence: around.exposes,
        strobe: (around.lit || by_distance).then_some(strobe),
    }
}

fn keys(reader: &mut Reader<'_>) -> Raw {
    let sources = [
        ("frames", Source::Frames),
        ("camera", Source::Camera),
        ("sensor", Source::Sensor),
        ("encoder", Source::Encoder),
        ("software", Source::Software),
    ];
    let mut strobe = reader.section("strobe");
    let help = "how long light and camera trigger stay on, from the light going on";
    let width_ms = strobe.number("width_ms", 0.05..=1_000.0, Some(5.0), help);
    let help = "from the light going on to the camera's trigger";
    let lead_ms = strobe.number("lead_ms", 0.0..=1_000.0, Some(0.0), help);
    drop(strobe);
    let mut table = reader.section("trigger");
    let help = "what makes a part: every frame, every frame of a triggered camera, sensor, belt travel, a command";
    let source = table.choice("source", &sources, Some("frames"), help);
    let help = "sensor: edges so soon after a trigger belong to the same part";
    let hold_off_ms = table.number("hold_off_ms", 0.0..=60_000.0, Some(0.0), help);
    let help = "two triggers nearer than this cannot be told apart: both parts are rejected; 0: not checked";
    let least_ms = table.number("min_interval_ms", 0.0..=60_000.0, Some(0.0), help);
    let help = "sensor: longest that one part covers it; longer is two parts that touch, rejected whole";
    let longest_ms = table.optional_number("longest_ms", 0.1..=60_000.0, help);
    let help = "by how much a frame may be off its part's time; absent: 0.4 of the pitch";
    let tolerance_ms = table.optional_number("frame_tolerance_ms", 0.0..=60_000.0, help);
    let help = "a frame that arrives later than this after its timestamp has a wrong one; absent: not checked";
    let arrives_ms = table.optional_number("arrives_within_ms", 1.0..=60_000.0, help);
    let help = "sensor: a level must last this long to count";
    let debounce_ms = table.number("debounce_ms", 0.0..=1_000.0, Some(1.0), help);
    let help = "from the exposure to the driver's timestamp";
    let offset_ms = table.number("frame_offset_ms", 0.0..=10_000.0, Some(0.0), help);
    Raw {
        source,
        debounce_ms,
        hold_off_ms,
        least_ms,
        longest_ms,
        longest_mm: table.optional_number("longest_mm", 0.1..=100_000.0, "the same, tracked by encoder"),
        every_mm: table.optional_number("every_mm", 0.1..=100_000.0, "encoder: a part every so much travel"),
        delay_ms: table.optional_number("delay_ms", 0.0..=60_000.0, "from the trigger to the exposure; absent: 0"),
        delay_mm: table.optional_number("delay_mm", 0.0..=100_000.0, "the same, tracked by encoder"),
        offset_ms,
        tolerance_ms,
        arrives_ms,
        lead_ms,
        width_ms,
    }
}

/// Keys that mean nothing beside the source or the axis: they would be ignored, so they are refused.
fn refuse_what_does_not_fit(reader: &mut Reader<'_>, raw: &Raw, around: &Surroundings<'_>) {
    let (source, outside) = (raw.source, raw.source.is_outside());
    let (by_time, by_distance) = (around.axis == Axis::Time, around.axis == Axis::Distance);
    let (sensor, encoder) = (source == Source::Sensor, source == Source::Encoder);
    let has = |name| around.inputs.has(name);
    let odd = "does not go with this source";
    let both = "a trigger outside the camera, and [reject]";
    let rules: [(&'static str, bool, &str, &str); 10] = [
        ("source", sensor && !has("sensor"), "= \"sensor\" needs a sensor", "[inputs] sensor"),
        ("source", encoder && !has("encoder_a"), "= \"encoder\" needs an encoder", "[inputs] encoder_a and [encoder]"),
        ("every_mm", encoder && raw.every_mm.is_none(), "is missing", "every_mm = a distance: source = \"encoder\""),
        ("every_mm", !encoder && raw.every_mm.is_some(), odd, "source = \"encoder\""),
        ("delay_ms", raw.delay_ms.is_some() && !(outside && by_time), odd, &format!("{both} delay_ms")),
        ("delay_mm", raw.delay_mm.is_some() && !(outside && by_distance), odd, &format!("{both} delay_mm")),
        ("longest_ms", raw.longest_ms.is_some() && !(sensor && by_time), odd, "a sensor, and [reject] delay_ms"),
        ("longest_mm", raw.longest_mm.is_some() && !(sensor && by_distance), odd, "a sensor, and [reject] delay_mm"),
        (
            "source",
            by_distance && !outside,
            "is known only when the frame is there: nobody can say where on the belt its part was",
            "\"sensor\", \"encoder\" or \"software\"; or [reject] delay_ms",
        ),
        (
            "source",
            around.lit && !outside,
            "is known only when the frame is there: the station cannot light or expose it",
            "\"sensor\", \"encoder\" or \"software\"; or no [outputs] strobe and camera_trigger",
        ),
    ];
    for (key, wrong, what, expected) in rules {
        if wrong {
            let at = reader.line("trigger", key).or(reader.line("trigger", "source"));
            reader.refuse(Problem::new(at, format!("[trigger] {key} {what}"), expected));
        }
    }
}
