//! `[outputs]`: the lines to the machine, and how the handshake with it goes.

use jidoka_line::{Span, Wiring};

use super::problem::Problem;
use super::reader::Reader;
use super::sections::SIGNALS;
use super::timing::span;

/// The lines to the machine.
#[derive(Clone, Debug)]
pub struct OutputChoice {
    /// Real lines, or a chip in memory.
    pub backend: Backend,
    /// Each signal's line, by the kernel's name for it.
    pub wires: Vec<WireChoice>,
    /// How the reject ejector is wired.
    pub wiring: Wiring,
    /// How long result_valid, pass, fail and missed stay on for one part.
    pub result_hold: Span,
}

/// What the outputs are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// The kernel's GPIO lines.
    Gpio,
    /// A chip in this process's memory.
    Sim,
}

/// One signal and its line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WireChoice {
    /// The key under `[outputs]`.
    pub signal: &'static str,
    /// `chip-label/LINE`, `LINE` or `chip-label:offset`.
    pub address: String,
    /// Whether the line is low when the signal is active.
    pub active_low: bool,
    /// Whether the signal is on before start, after stop, and after a crash.
    pub safe_on: bool,
}

/// Reads `[outputs]`.
pub fn read(reader: &mut Reader<'_>) -> OutputChoice {
    let mut table = reader.section("outputs");
    let backends = [("gpio", Backend::Gpio), ("sim", Backend::Sim)];
    let backend = table.choice("backend", &backends, Some("gpio"), "the kernel's GPIO lines, or a chip in memory");
    let addresses = SIGNALS.map(|(signal, help)| (signal, table.text(signal, help)));
    let low = table.texts("active_low", "signals whose line is low when they are active, such as [\"reject\"]");
    let safe_on =
        table.texts("safe_on", "signals that are on while nothing inspects, such as [\"line_stop\", \"alarm\"]");
    let wirings = [("energise-to-reject", Wiring::EnergiseToReject), ("energise-to-pass", Wiring::EnergiseToPass)];
    let help = "what the reject line does: ejects while it is on, or lets a good part through while it is on";
    let wiring = table.choice("wiring", &wirings, Some("energise-to-reject"), help);
    let help = "how long result_valid, pass, fail and missed stay on for one part";
    let hold_ms = table.number("result_hold_ms", 1.0..=10_000.0, Some(20.0), help);
    drop(table);
    for (key, words) in [("active_low", &low), ("safe_on", &safe_on)] {
        for word in words.iter().filter(|word| !SIGNALS.iter().any(|(signal, _)| signal == word)) {
            let known = SIGNALS.map(|(signal, _)| format!("\"{signal}\"")).join(", ");
            let what = format!("[outputs] {key} names \"{word}\", which is no signal");
            reader.refuse(Problem::new(reader.line("outputs", key), what, format!("some of {known}")));
        }
    }
    // What acts on parts or says that all is well must be off when nobody inspects.
    const NEVER_SAFE_ON: [&str; 8] =
        ["reject", "eject1", "eject2", "ready", "pass", "result_valid", "strobe", "camera_trigger"];
    for word in safe_on.iter().filter(|word| NEVER_SAFE_ON.contains(&word.as_str())) {
        let what = format!("[outputs] safe_on names \"{word}\", which must be off while nothing inspects");
        let problem =
            Problem::new(reader.line("outputs", "safe_on"), what, "\"line_stop\", \"alarm\", \"missed\" or \"fail\"");
        reader.refuse(problem.hint("wiring = \"energise-to-pass\" where no power must mean that nothing passes"));
    }
    if addresses[0].1.is_none() && backend == Backend::Gpio {
        let what = "[outputs] reject is missing: without it no part can be ejected";
        let problem = Problem::new(None, what, "a line: \"chip-label/LINE\", \"LINE\" or \"chip-label:offset\"");
        reader.refuse(problem.hint("reject = \"pinctrl-rp1/GPIO17\", or backend = \"sim\" to try without wires"));
    }
    for (index, (signal, address)) in addresses.iter().enumerate() {
        let twin = addresses[..index].iter().find(|(_, other)| address.is_some() && other == address);
        if let Some((other, _)) = twin {
            let line = address.as_deref().unwrap_or_default();
            let what = format!("[outputs] {signal} and {other} are both \"{line}\"");
            reader.refuse(Problem::new(reader.line("outputs", signal), what, "a line of its own for each signal"));
        }
    }
    let named = |words: &[String], signal: &str| words.iter().any(|word| word == signal);
    let wires = addresses.into_iter().filter_map(|(signal, address)| {
        // On the simulated chip every signal is wired, by its own name where none is given.
        let address = address.or((backend == Backend::Sim).then(|| signal.to_owned()))?;
        Some(WireChoice { signal, address, active_low: named(&low, signal), safe_on: named(&safe_on, signal) })
    });
    OutputChoice { backend, wires: wires.collect(), wiring, result_hold: span(hold_ms) }
}
