//! The lines of this machine (or of simulated chips): choose a back end, find lines, request them.

use std::time::Duration;

use embedded_hal::digital::PinState;
use serde::Deserialize;

use crate::edges::{EdgeInput, Edges, Input, MAX_SOURCES, Source, SourceKind};
use crate::inventory::{self, ChipInfo, LineId};
use crate::output::{Output, Wire};
use crate::probe::{self, Backend};
use crate::sim::{SimChip, SimEdges, SimLine};
use crate::sysfs::SysfsLine;
use crate::{Error, address, v1, v2};

/// How to open the machine's lines.
#[derive(Clone, Debug)]
pub struct Options {
    /// Take this back end and no other; `None` takes the best there is.
    pub backend: Option<Backend>,
    /// What the kernel shows as the lines' user (`gpioinfo`); at most 31 bytes are kept.
    pub consumer: String,
}

impl Default for Options {
    fn default() -> Self {
        Options { backend: None, consumer: "jidoka".into() }
    }
}

/// Pull resistor of a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bias {
    /// Leave it as the board set it.
    #[default]
    AsIs,
    /// Pull up.
    PullUp,
    /// Pull down.
    PullDown,
    /// None: the line floats unless driven.
    Disabled,
}

/// An output to request.
#[derive(Clone, Debug)]
pub struct OutputSpec {
    /// The line's address: `chip-label/LINE`, `LINE`, or `chip-label:offset`.
    pub line: String,
    /// Active means low on the wire.
    pub active_low: bool,
    /// Pull resistor.
    pub bias: Bias,
    /// The logical level to start with, and to return to on drop and on a [`crate::Trip`].
    pub safe: PinState,
}

impl OutputSpec {
    /// An active-high output that is safe when inactive.
    pub fn new(line: &str) -> Self {
        OutputSpec { line: line.into(), active_low: false, bias: Bias::AsIs, safe: PinState::Low }
    }
}

/// An input to request.
#[derive(Clone, Debug)]
pub struct InputSpec {
    /// The line's address.
    pub line: String,
    /// Active means low on the wire.
    pub active_low: bool,
    /// Pull resistor.
    pub bias: Bias,
    /// Ignore levels that last shorter than this; zero for none. v2 only.
    pub debounce: Duration,
}

impl InputSpec {
    /// An active-high input, no bias, no debounce.
    pub fn new(line: &str) -> Self {
        InputSpec { line: line.into(), active_low: false, bias: Bias::AsIs, debounce: Duration::ZERO }
    }
}

/// The lines that can be had, and the way to them.
#[derive(Debug)]
pub struct Gpio {
    backend: Backend,
    chips: Vec<ChipInfo>,
    no_names: Option<String>,
    consumer: String,
    simulated: Vec<SimChip>,
}

impl Gpio {
    /// Probe this machine, choose a back end, and say so in one log line.
    pub fn open(options: &Options) -> Result<Self, Error> {
        let chosen = probe::choose(options.backend)?;
        let forced = if options.backend.is_some() { ", forced" } else { "" };
        log::info!("gpio: {}{forced}; {}", chosen.backend, inventory::describe(&chosen.chips));
        Ok(Gpio {
            backend: chosen.backend,
            chips: chosen.chips,
            no_names: chosen.no_names,
            consumer: options.consumer.clone(),
            simulated: Vec::new(),
        })
    }

    /// Lines of simulated chips.
    pub fn simulated(chips: &[SimChip]) -> Self {
        Gpio {
            backend: Backend::Simulated,
            chips: chips.iter().map(SimChip::info).collect(),
            no_names: None,
            consumer: String::new(),
            simulated: chips.to_vec(),
        }
    }

    /// The back end in use.
    pub fn backend(&self) -> Backend {
        self.backend
    }

    /// The chips, as they were when this was opened.
    pub fn chips(&self) -> &[ChipInfo] {
        &self.chips
    }

    /// Find the one line that an address names, without touching it.
    pub fn find(&self, address: &str) -> Result<LineId, Error> {
        address::find(&self.chips, address, self.no_names.as_deref())
    }

    /// Request one output.
    pub fn output(&self, spec: &OutputSpec) -> Result<Output, Error> {
        let mut outputs = self.outputs(std::slice::from_ref(spec))?;
        Ok(outputs.swap_remove(0))
    }

    /// Request several outputs: all or none. With v2, lines of one chip become safe outputs in the same instant.
    pub fn outputs(&self, specs: &[OutputSpec]) -> Result<Vec<Output>, Error> {
        let ids = self.find_all(specs.iter().map(|spec| spec.line.as_str()))?;
        for (id, spec) in ids.iter().zip(specs) {
            self.supports(id, spec.bias, Duration::ZERO)?;
        }
        let mut wires: Vec<Option<Wire>> = specs.iter().map(|_| None).collect();
        if self.backend == Backend::V2 {
            for (chip, info) in self.chips.iter().enumerate() {
                let members: Vec<usize> = (0..ids.len()).filter(|i| ids[*i].chip == chip).collect();
                if members.is_empty() {
                    continue;
                }
                let lines: Vec<_> = members.iter().map(|&i| (ids[i].offset, &specs[i])).collect();
                let request = v2::outputs(info, &self.consumer, &lines)
                    .map_err(|error| self.refused(&ids, &members, "drive it", &error, v2::errno(&error)))?;
                for i in members {
                    wires[i] = Some(Wire::V2 { request: request.clone(), offset: ids[i].offset });
                }
            }
        } else {
            for (i, spec) in specs.iter().enumerate() {
                wires[i] = Some(self.output_wire(&ids[i], spec)?);
            }
        }
        let made = ids.into_iter().zip(wires).zip(specs);
        Ok(made.filter_map(|((id, wire), spec)| Some(Output::new(id.text, wire?, spec.safe))).collect())
    }

    /// Request one input.
    pub fn input(&self, spec: &InputSpec) -> Result<Input, Error> {
        let id = self.find(&spec.line)?;
        self.supports(&id, spec.bias, spec.debounce)?;
        let (chip, invert) = (&self.chips[id.chip], spec.active_low);
        let fail =
            |errno, what: &dyn std::fmt::Display| self.refused(std::slice::from_ref(&id), &[0], "read it", what, errno);
        let wire = match self.backend {
            Backend::V2 => {
                let request = v2::inputs(chip, &self.consumer, &[(id.offset, spec)], None)
                    .map_err(|error| fail(v2::errno(&error), &error))?;
                Wire::V2 { request: request.into(), offset: id.offset }
            }
            Backend::V1 => {
                let pin =
                    v1::input(chip, id.offset, &self.consumer).map_err(|error| fail(v1::last_errno(&error), &error))?;
                Wire::V1 { pin, invert }
            }
            Backend::Sysfs => {
                let pin = SysfsLine::input(chip, id.offset).map_err(|error| sysfs_refused(&error, &fail))?;
                Wire::Sysfs { pin, invert }
            }
            Backend::Simulated => Wire::Sim { line: self.take_simulated(&id)?, invert },
        };
        Ok(Input::new(id.text, wire))
    }

    /// Request lines whose edges are waited for together. An event's `line` is the index into `specs`.
    ///
    /// With v2 the lines of one chip share a request. With v1 and sysfs each line is its own descriptor, and at most 8 can
    /// be waited for.
    pub fn edges(&self, specs: &[InputSpec], edges: Edges) -> Result<EdgeInput, Error> {
        let ids = self.find_all(specs.iter().map(|spec| spec.line.as_str()))?;
        for (id, spec) in ids.iter().zip(specs) {
            self.supports(id, spec.bias, spec.debounce)?;
        }
        let sources = match self.backend {
            Backend::V2 => self.v2_edges(&ids, specs, edges)?,
            Backend::V1 | Backend::Sysfs => {
                let each = ids.iter().zip(specs).enumerate();
                each.map(|(i, (id, spec))| self.line_edges(i, id, spec, edges)).collect::<Result<_, _>>()?
            }
            Backend::Simulated => self.simulated_edges(&ids, specs, edges)?,
        };
        if sources.len() > MAX_SOURCES {
            return Err(Error::Unsupported {
                line: ids[MAX_SOURCES].clone(),
                backend: self.backend,
                what: "wait for edges of more than 8 descriptors at once",
                instead: "lines of one chip (v2 needs one descriptor a chip), or two sets",
            });
        }
        Ok(EdgeInput::new(ids.into_iter().map(|id| id.text).collect(), sources))
    }

    fn find_all<'a>(&self, addresses: impl Iterator<Item = &'a str> + Clone) -> Result<Vec<LineId>, Error> {
        let ids: Vec<LineId> = addresses.clone().map(|address| self.find(address)).collect::<Result<_, _>>()?;
        let asked: Vec<&str> = addresses.collect();
        for (later, id) in ids.iter().enumerate() {
            if let Some(earlier) =
                ids[..later].iter().position(|other| other.chip == id.chip && other.offset == id.offset)
            {
                let (first, second) = (asked[earlier].into(), asked[later].into());
                return Err(Error::Twice { line: id.clone(), first, second });
            }
        }
        Ok(ids)
    }

    /// Refuse what the back end cannot do, rather than leave it out silently.
    fn supports(&self, id: &LineId, bias: Bias, debounce: Duration) -> Result<(), Error> {
        let no = |what, instead| Err(Error::Unsupported { line: id.clone(), backend: self.backend, what, instead });
        match self.backend {
            Backend::V1 | Backend::Sysfs if bias != Bias::AsIs => {
                no("set a pull resistor", "bias = \"as-is\" and a resistor on the wire, or Linux 5.10 or newer")
            }
            Backend::V1 | Backend::Sysfs | Backend::Simulated if !debounce.is_zero() => {
                no("debounce", "no debounce here: the line core debounces triggers itself")
            }
            _ => Ok(()),
        }
    }

    fn output_wire(&self, id: &LineId, spec: &OutputSpec) -> Result<Wire, Error> {
        let (chip, invert) = (&self.chips[id.chip], spec.active_low);
        let level = (spec.safe == PinState::High) ^ invert;
        let fail =
            |errno, what: &dyn std::fmt::Display| self.refused(std::slice::from_ref(id), &[0], "drive it", what, errno);
        Ok(match self.backend {
            Backend::V1 => {
                let pin = v1::output(chip, id.offset, &self.consumer, level)
                    .map_err(|error| fail(v1::last_errno(&error), &error))?;
                Wire::V1 { pin, invert }
            }
            Backend::Sysfs => {
                let pin = SysfsLine::output(chip, id.offset, level).map_err(|error| sysfs_refused(&error, &fail))?;
                Wire::Sysfs { pin, invert }
            }
            Backend::V2 | Backend::Simulated => {
                let line = self.take_simulated(id)?;
                line.chip.set(line.offset, level);
                Wire::Sim { line, invert }
            }
        })
    }

    fn v2_edges(&self, ids: &[LineId], specs: &[InputSpec], edges: Edges) -> Result<Vec<Source>, Error> {
        let mut sources = Vec::new();
        for (chip, info) in self.chips.iter().enumerate() {
            let members: Vec<usize> = (0..ids.len()).filter(|i| ids[*i].chip == chip).collect();
            if members.is_empty() {
                continue;
            }
            let lines: Vec<_> = members.iter().map(|&i| (ids[i].offset, &specs[i])).collect();
            let request = v2::inputs(info, &self.consumer, &lines, Some(edges))
                .map_err(|error| self.refused(ids, &members, "watch its edges", &error, v2::errno(&error)))?;
            let lines = members.iter().map(|&i| (ids[i].offset, i, 0)).collect();
            sources.push(Source::new(SourceKind::V2 { request, lines }));
        }
        Ok(sources)
    }

    fn line_edges(&self, index: usize, id: &LineId, spec: &InputSpec, edges: Edges) -> Result<Source, Error> {
        let (chip, invert) = (&self.chips[id.chip], spec.active_low);
        let fail = |errno, what: &dyn std::fmt::Display| {
            self.refused(std::slice::from_ref(id), &[0], "watch its edges", what, errno)
        };
        let kind = if self.backend == Backend::V1 {
            let handle = v1::events(chip, id.offset, &self.consumer, edges.on_wire(invert))
                .map_err(|error| fail(v1::last_errno(&error), &error))?;
            SourceKind::V1 { handle, index, invert }
        } else {
            let watch = || {
                let pin = SysfsLine::input(chip, id.offset)?;
                pin.detect(edges.on_wire(invert))?;
                let last = pin.level()? ^ invert;
                Ok((pin, last))
            };
            let (pin, last) = watch().map_err(|error| sysfs_refused(&error, &fail))?;
            SourceKind::Sysfs { pin, index, invert, edges, last }
        };
        Ok(Source::new(kind))
    }

    fn simulated_edges(&self, ids: &[LineId], specs: &[InputSpec], edges: Edges) -> Result<Vec<Source>, Error> {
        let Some(first) = ids.first() else { return Ok(Vec::new()) };
        if let Some(other) = ids.iter().find(|id| id.chip != first.chip) {
            return Err(Error::Unsupported {
                line: other.clone(),
                backend: self.backend,
                what: "wait for edges of two simulated chips at once",
                instead: "lines of one chip",
            });
        }
        let take = |(id, spec): (&LineId, &InputSpec)| Ok((self.take_simulated(id)?, spec.active_low));
        let lines = ids.iter().zip(specs).map(take).collect::<Result<_, Error>>()?;
        let source = SimEdges::new(self.simulated[first.chip].clone(), lines, edges)
            .map_err(|error| self.refused(ids, &[0], "watch its edges", &error, crate::output::errno(&error)))?;
        Ok(vec![Source::new(SourceKind::Sim(source))])
    }

    fn take_simulated(&self, id: &LineId) -> Result<SimLine, Error> {
        let taken = self.simulated[id.chip].take(id.offset as usize);
        taken.ok_or_else(|| Error::Taken { line: id.clone(), consumer: "this process".into() })
    }

    /// Turn the kernel's refusal of a request for `members` of `ids` into what the reader can act on.
    fn refused(
        &self,
        ids: &[LineId],
        members: &[usize],
        doing: &'static str,
        what: &dyn std::fmt::Display,
        errno: i32,
    ) -> Error {
        let first = &ids[members[0]];
        match rustix::io::Errno::from_raw_os_error(errno) {
            rustix::io::Errno::BUSY => {
                let (line, consumer) = self.whose(ids, members);
                Error::Taken { line, consumer }
            }
            rustix::io::Errno::ACCESS | rustix::io::Errno::PERM => {
                Error::Permission { path: self.chips[first.chip].path.clone() }
            }
            _ => Error::Request { line: first.clone(), doing, cause: what.to_string() },
        }
    }

    /// Ask the kernel again who has which line: things may have changed since this was opened.
    fn whose(&self, ids: &[LineId], members: &[usize]) -> (LineId, String) {
        let fresh = probe::choose(Some(self.backend)).map(|chosen| chosen.chips).unwrap_or_default();
        for &member in members {
            let id = &ids[member];
            let chip = fresh.iter().find(|chip| chip.path == self.chips[id.chip].path);
            let line = chip.and_then(|chip| chip.lines.get(id.offset as usize));
            if let Some(consumer) = line.and_then(|line| line.consumer.clone()) {
                return (id.clone(), consumer);
            }
        }
        (ids[members[0]].clone(), "a program that the kernel does not name".into())
    }
}

/// A sysfs failure, with the error number where there is one.
fn sysfs_refused(
    error: &linux_embedded_hal::sysfs_gpio::Error,
    fail: &dyn Fn(i32, &dyn std::fmt::Display) -> Error,
) -> Error {
    let errno = match error {
        linux_embedded_hal::sysfs_gpio::Error::Io(io) => crate::output::errno(io),
        _ => 0,
    };
    fail(errno, error)
}
