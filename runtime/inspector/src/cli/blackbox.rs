//! `jidoka blackbox`: what a station did last, read from the memory that it leaves behind.

use std::path::PathBuf;

use jidoka_line::alarm::Alarm;
use jidoka_line::blackbox::{self, Entry, Kind};
use jidoka_line::{Signal, Why};
use serde_json::json;

use super::ui::{self, Table};
use crate::error::Error;
use crate::station::verdict_log::why_word;

/// The last events of a station, also after a crash.
///
/// Reads the file that [station] blackbox names. It can be read while the station runs. A record that a crash tore is left out.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  jidoka blackbox /run/jidoka/capper.blackbox
  jidoka blackbox capper.blackbox --last 20 --json")]
pub struct Args {
    /// The black box
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Only so many, the newest
    #[arg(long, value_name = "N")]
    last: Option<usize>,
    /// One JSON object an event
    #[arg(long)]
    json: bool,
}

/// Reads and tells.
pub fn run(args: &Args) -> Result<(), Error> {
    let bytes = std::fs::read(&args.file).map_err(|error| Error::file(&args.file, "read", error))?;
    let mut entries: Vec<Entry> = blackbox::read(&bytes).collect();
    if entries.is_empty() {
        return Err(Error::Usage(format!(
            "{}: not a black box, or an empty one\n  expected: the file that [station] blackbox names",
            args.file.display()
        )));
    }
    entries.sort_by_key(|entry| entry.number);
    let skipped = args.last.map_or(0, |last| entries.len().saturating_sub(last));
    let entries = &entries[skipped..];
    if args.json {
        entries.iter().for_each(|entry| {
            let (event, what) = describe(entry);
            ui::say_json(&json!({
                "number": entry.number, "at_us": entry.at.as_u64(), "event": event, "what": what,
            }));
        });
        return Ok(());
    }
    let mut table = Table::default();
    for entry in entries {
        let (event, what) = describe(entry);
        table.row([format!("{:.6} s", entry.at.as_u64() as f64 / 1e6), event.into(), what]);
    }
    ui::say(table.render_left().trim_end());
    Ok(())
}

/// An event's word, and what it says besides.
fn describe(entry: &Entry) -> (&'static str, String) {
    let part = || format!("part {}, frame {}, {}", entry.value, entry.extra, why(entry.detail));
    match entry.kind {
        Kind::Start => ("start", format!("process {}", entry.value)),
        Kind::PulseOn => ("pulse_on", format!("ejector {}, part {}, {} late", entry.detail, entry.value, entry.extra)),
        Kind::PulseOff => {
            ("pulse_off", format!("ejector {}, pulse {}, {} late", entry.detail, entry.value, entry.extra))
        }
        Kind::Passed => ("pass", part()),
        Kind::Rejected => ("reject", part()),
        Kind::Missed => ("missed", part()),
        Kind::Lost => ("lost", format!("{} parts from {} on", entry.extra, entry.value)),
        Kind::Raised => ("alarm", name(Alarm::ALL.iter().find(|a| **a as u8 == entry.detail).map(|a| a.name()))),
        Kind::Acknowledged => ("acknowledged", String::new()),
        Kind::Mode => {
            let modes = ["starting", "running", "holding", "stopped"];
            ("mode", name(modes.get(usize::from(entry.detail)).copied()))
        }
        Kind::Recipe => ("recipe", format!("number {}", entry.value)),
        Kind::PinFailed => {
            ("pin_failed", name(Signal::ALL.iter().find(|s| **s as u8 == entry.detail).map(|s| s.name())))
        }
    }
}

fn why(detail: u8) -> String {
    name(Why::ALL.iter().find(|why| **why as u8 == detail).map(|why| why_word(*why)))
}

/// A black box of a newer version may hold what this one has no name for.
fn name(known: Option<&str>) -> String {
    known.unwrap_or("unknown").to_owned()
}
