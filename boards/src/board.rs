//! A board's file: its layout, and the ones that are built in.

use serde::{Deserialize, Serialize};

/// The built-in files. The last one describes any machine.
const BOARDS: [(&str, &str); 7] = [
    ("raspberry-pi-4.toml", include_str!("../raspberry-pi-4.toml")),
    ("raspberry-pi-5.toml", include_str!("../raspberry-pi-5.toml")),
    ("jetson-orin-nano.toml", include_str!("../jetson-orin-nano.toml")),
    ("jetson-agx-orin.toml", include_str!("../jetson-agx-orin.toml")),
    ("jetson-nano.toml", include_str!("../jetson-nano.toml")),
    ("virtual.toml", include_str!("../virtual.toml")),
    ("generic.toml", include_str!("../generic.toml")),
];

/// A board's file could not be used, or there is no such board.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file does not parse.
    #[error("{file}: {message}")]
    Parse {
        /// The file.
        file: String,
        /// What the parser says, with line and column.
        message: String,
    },

    /// The file contradicts itself.
    #[error("{file}: [header] pin {pin}: {problem}")]
    Header {
        /// The file.
        file: String,
        /// The pin.
        pin: u8,
        /// What is wrong with it.
        problem: String,
    },

    /// No board has that name.
    #[error("no board \"{name}\"{}\n  expected: {}", .nearest.as_ref().map(|n| format!("; did you mean \"{n}\"?")).unwrap_or_default(), .known.join(", "))]
    Unknown {
        /// The name as given.
        name: String,
        /// The nearest known name.
        nearest: Option<String>,
        /// All known names.
        known: Vec<String>,
    },
}

/// One board.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Board {
    /// The name that `jidoka board show` takes.
    pub name: String,
    /// The name that people use.
    pub title: String,
    /// How to recognise it.
    pub detect: Detect,
    /// Its processor.
    pub cpu: Cpu,
    /// What to start with in a config.
    pub recommend: Recommend,
    /// Its GPIO chips.
    pub gpio: Gpio,
    /// Its pin header.
    #[serde(default)]
    pub header: Header,
    /// About cameras on it.
    pub camera: Camera,
    /// About wiring it.
    pub wiring: Wiring,
}

/// How to recognise a board from its device tree.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Detect {
    /// Entries of `/proc/device-tree/compatible`; one is enough.
    pub compatible: Vec<String>,
    /// Beginnings of `/proc/device-tree/model`; one is enough.
    pub models: Vec<String>,
}

/// A board's processor.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Cpu {
    /// Architecture as `uname -m` says, or `any`.
    pub arch: String,
    /// The core's name.
    pub core: String,
    /// The fewest cores that a variant of the board has.
    pub cores: usize,
    /// Features it must have, as `/proc/cpuinfo` spells them.
    pub features: Vec<String>,
}

/// What to start with in a config.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Recommend {
    /// Threads for inference. One core is left to the camera, the actuator and the rest of the system.
    pub threads: usize,
    /// The CPU to pin the loop to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loop_cpu: Option<usize>,
}

/// A board's GPIO chips.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Gpio {
    /// Labels of the chips whose lines come out at connectors.
    pub chips: Vec<String>,
    /// Level of an active-high line, in volts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level_v: Option<f64>,
}

/// A 40-pin header.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// Pins that supply 3.3 V.
    #[serde(default)]
    pub power_3v3: Vec<u8>,
    /// Pins that supply 5 V.
    #[serde(default)]
    pub power_5v: Vec<u8>,
    /// Ground pins.
    #[serde(default)]
    pub ground: Vec<u8>,
    /// Pins that are GPIO lines.
    #[serde(default)]
    pub pins: Vec<HeaderPin>,
}

/// A header pin that is a GPIO line.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct HeaderPin {
    /// Number of the pin on the header.
    pub pin: u8,
    /// What people call it.
    pub name: String,
    /// The address for a config: `label/LINE` or `label:offset`.
    pub line: String,
    /// What else it is used for; empty when it is free.
    #[serde(default, rename = "use", skip_serializing_if = "String::is_empty")]
    pub usage: String,
}

/// About cameras on a board.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Camera {
    /// Sentences for the reader.
    pub notes: Vec<String>,
}

/// About wiring a board.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Wiring {
    /// Sentences for the reader.
    pub notes: Vec<String>,
}

impl Board {
    /// The header pin with that number, if it is a GPIO line.
    pub fn pin(&self, number: u8) -> Option<&HeaderPin> {
        self.header.pins.iter().find(|pin| pin.pin == number)
    }

    /// Each pin is one thing, each line is at one pin, and each line is of a chip that the file names.
    fn verify(&self, file: &str) -> Result<(), Error> {
        let header = &self.header;
        let gpio = header.pins.iter().map(|pin| pin.pin);
        let mut all: Vec<u8> = header.power_3v3.iter().chain(&header.power_5v).chain(&header.ground).copied().collect();
        all.extend(gpio);
        let wrong = |pin, problem: String| Err(Error::Header { file: file.into(), pin, problem });
        for (index, &pin) in all.iter().enumerate() {
            if !(1..=40).contains(&pin) {
                return wrong(pin, "a 40-pin header has pins 1 to 40".into());
            }
            if all[..index].contains(&pin) {
                return wrong(pin, "it is listed twice".into());
            }
        }
        for (index, pin) in header.pins.iter().enumerate() {
            if let Some(other) = header.pins[..index].iter().find(|other| other.line == pin.line) {
                return wrong(pin.pin, format!("line {} is also at pin {}", pin.line, other.pin));
            }
            let chip = pin.line.split(['/', ':']).next().unwrap_or_default();
            if !self.gpio.chips.iter().any(|known| known == chip) {
                return wrong(pin.pin, format!("chip {chip} is not in gpio.chips"));
            }
        }
        Ok(())
    }
}

/// Read a board's file. `file` is its name, for errors.
pub fn parse(file: &str, text: &str) -> Result<Board, Error> {
    let board: Board = toml::from_str(text)
        .map_err(|error| Error::Parse { file: file.into(), message: error.to_string().trim_end().into() })?;
    board.verify(file)?;
    Ok(board)
}

/// Every built-in board; `generic` is the last.
pub fn all() -> Result<Vec<Board>, Error> {
    BOARDS.iter().map(|(file, text)| parse(file, text)).collect()
}

/// The built-in board of that name.
pub fn by_name(name: &str) -> Result<Board, Error> {
    let boards = all()?;
    let known: Vec<String> = boards.iter().map(|board| board.name.clone()).collect();
    if let Some(board) = boards.into_iter().find(|board| board.name == name) {
        return Ok(board);
    }
    let distance = |known: &&String| strsim::damerau_levenshtein(known, &name.to_lowercase());
    let nearest = known.iter().min_by_key(distance).filter(|best| distance(best) <= 5).cloned();
    Err(Error::Unknown { name: name.into(), nearest, known })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_file_reads_and_is_consistent() {
        let boards = all().unwrap();
        for (board, (file, _)) in boards.iter().zip(BOARDS) {
            assert_eq!(format!("{}.toml", board.name), file);
            assert!(board.recommend.threads <= board.cpu.cores, "{file}: more threads than cores");
            assert!(board.recommend.loop_cpu.is_none_or(|cpu| cpu < board.cpu.cores), "{file}: loop_cpu");
            assert_eq!(by_name(&board.name).unwrap(), *board);
        }
        let marks: Vec<&String> = boards.iter().flat_map(|b| b.detect.compatible.iter()).collect();
        for (index, mark) in marks.iter().enumerate() {
            assert!(!marks[..index].contains(mark), "{mark} would be two boards");
        }
        assert_eq!(boards.last().map(|board| board.name.as_str()), Some("generic"));
    }

    #[test]
    fn forty_pin_headers_are_whole_but_for_the_id_pins() {
        for name in ["raspberry-pi-4", "raspberry-pi-5"] {
            let board = by_name(name).unwrap();
            let header = &board.header;
            let count = header.power_3v3.len() + header.power_5v.len() + header.ground.len() + header.pins.len();
            assert_eq!(count, 38, "{name}: pins 27 and 28 are the HAT's EEPROM and stay out");
            assert_eq!(board.pin(11).map(|pin| pin.name.as_str()), Some("GPIO17"));
            assert_eq!(board.pin(27), None);
        }
        assert_eq!(by_name("raspberry-pi-5").unwrap().pin(40).unwrap().line, "pinctrl-rp1/GPIO21");
        assert_eq!(by_name("jetson-orin-nano").unwrap().pin(33).unwrap().line, "tegra234-gpio/PH.00");
    }

    fn check_error(from: &str, to: &str, expected: &str) {
        let (file, text) = BOARDS[1];
        assert!(text.contains(from), "{from:?} is not in {file}");
        let error = parse(file, &text.replacen(from, to, 1)).unwrap_err().to_string();
        assert!(error.contains(expected), "{error:?} does not say {expected:?}");
    }

    #[test]
    fn a_file_with_a_slip_is_refused_with_its_place() {
        check_error("cores = 4", "cores = \"four\"", "raspberry-pi-5.toml: TOML parse error at line");
        check_error("cores = 4", "corse = 4", "unknown field `corse`");
        check_error("pin = 5,", "pin = 3,", "[header] pin 3: it is listed twice");
        check_error("pin = 5,", "pin = 6,", "[header] pin 6: it is listed twice");
        check_error("pin = 5,", "pin = 41,", "pins 1 to 40");
        check_error("rp1/GPIO3\"", "rp1/GPIO2\"", "line pinctrl-rp1/GPIO2 is also at pin 3");
        check_error("\"pinctrl-rp1/GPIO3\"", "\"pinctrl-rp2/GPIO3\"", "chip pinctrl-rp2 is not in gpio.chips");
    }

    #[test]
    fn an_unknown_board_is_named_with_the_nearest() {
        let error = by_name("raspberrypi-5").unwrap_err().to_string();
        assert!(error.contains("no board \"raspberrypi-5\"; did you mean \"raspberry-pi-5\"?"), "{error}");
        assert!(error.contains("jetson-orin-nano"), "{error}");
        assert!(!by_name("toaster").unwrap_err().to_string().contains("did you mean"));
    }
}
