//! `jidoka check`: everything that `run` would refuse, without energising anything.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use jidoka_line::{Axis, Wiring};
use serde_json::json;

use super::ui::{self, Table};
use crate::config::Config;
use crate::config::problem::Problem;
use crate::error::Error;
use crate::station::open;

/// Check a configuration and everything that it names, without energising anything.
///
/// Reads the file, does the arithmetic of the reject windows, loads the model and runs its golden check, opens the camera
/// and sees that its frames fit, and looks every GPIO line up by name. No line is requested and no output changes.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  jidoka check capper.toml
  jidoka check capper.toml --text-only      on a machine that has neither the camera nor the lines
  jidoka check --keys                       every key that a configuration may hold")]
pub struct Args {
    /// The station's configuration
    #[arg(value_name = "CONFIG", required_unless_present = "keys")]
    config: Option<PathBuf>,
    /// Check the file alone; open neither model, camera nor lines
    #[arg(long)]
    text_only: bool,
    /// List the keys of a configuration with range, default and meaning
    #[arg(long)]
    keys: bool,
    /// JSON instead of a table
    #[arg(long)]
    json: bool,
}

/// What was found, by name.
type Found = Vec<(Cow<'static, str>, String)>;

/// Checks, and says what was found.
pub fn run(args: &Args) -> Result<(), Error> {
    let Some(file) = args.config.as_ref().filter(|_| !args.keys) else {
        say_keys(args.json);
        return Ok(());
    };
    let looked = look(file, args.text_only);
    match &looked {
        Ok((config, found)) if args.json => {
            let found: serde_json::Map<_, _> =
                found.iter().map(|(name, value)| (name.clone().into_owned(), json!(value))).collect();
            ui::say_json(&json!({ "config": config.file, "ok": true, "text_only": args.text_only, "found": found }));
        }
        Ok((config, found)) => say(config, found, args.text_only),
        // The same goes to standard error as words; who asks for JSON reads standard output.
        Err(error) if args.json => {
            ui::say_json(
                &json!({ "config": file, "ok": false, "text_only": args.text_only, "problems": problems(error) }),
            );
        }
        Err(_) => {}
    }
    looked.map(|_| ())
}

/// Reads the file, and looks at all that it names unless the text alone is asked for.
fn look(file: &Path, text_only: bool) -> Result<(Config, Found), Error> {
    let config = Config::read(file)?;
    let mut found: Found = vec![("reject window".into(), window(&config))];
    if !text_only {
        let source = open::camera(&config)?;
        found.push(("camera".into(), source.describe()));
        if !source.is_loop_clean() {
            found.push(("loop".into(), "NOT free of allocations: the camera's frames are decoded".into()));
        }
        for (place, choice) in config.recipes.iter().enumerate() {
            let (active, known) = open::active(&config, place, source.geometry())?;
            let models = std::iter::once(&active.first).chain(&active.more);
            let paths = std::iter::once(&choice.model).chain(choice.views.iter().map(|view| &view.model));
            for (view, (known, path)) in models.zip(known.views.iter().zip(paths)) {
                let golden = view.model.contract().golden.is_some();
                let golden = if golden { "golden check passed" } else { "no golden check" };
                let mut name = if place == 0 { "model".to_owned() } else { format!("recipe {}", choice.name) };
                if !choice.views.is_empty() {
                    name += &format!(", view {}", known.name);
                }
                let (sha256, threshold, path) = (&known.sha256[..16], known.threshold, path.path.display());
                found.push((name.into(), format!("{path} ({sha256}), threshold {threshold:.4}, {golden}")));
            }
        }
        files(&config)?;
        let (gpio, _) = open::gpio(&config)?;
        found.extend(open::lines(&config, &gpio)?.into_iter().map(|(name, line)| (name.into(), line)));
    }
    Ok((config, found))
}

fn say(config: &Config, found: &Found, text_only: bool) {
    let mut table = Table::default();
    for (name, value) in found {
        table.row([name.clone().into_owned(), value.clone()]);
    }
    ui::say(table.render_left().trim_end());
    if text_only {
        ui::say(format!(
            "\n  {}: the text is in order; camera, model, inputs and outputs were not looked at\n  try: without --text-only, \
             where they are",
            config.file
        ));
    } else {
        ui::say(format!("\n  {} would run", config.file));
    }
}

/// Each problem as an object; those of the text have their line and key apart.
fn problems(error: &Error) -> Vec<serde_json::Value> {
    let Error::Config(refused) = error else { return vec![json!({ "problem": error.to_string() })] };
    let problem = |problem: &Problem| {
        json!({
            "line": problem.line, "problem": problem.what, "because": problem.because, "expected": problem.expected,
            "try": problem.hint,
        })
    };
    refused.problems.iter().map(problem).collect()
}

/// That what `run` writes to can be written to, without making anything.
fn files(config: &Config) -> Result<(), Error> {
    let kept = [("verdict_log", &config.station.verdict_log), ("blackbox", &config.station.blackbox)];
    for (key, path) in kept.into_iter().filter_map(|(key, path)| Some((key, path.as_ref()?))) {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let target = if path.exists() { path } else { folder };
        rustix::fs::access(target, rustix::fs::Access::WRITE_OK).map_err(|error| {
            let action = if key == "blackbox" { "write the black box" } else { "write the verdict log" };
            Error::file(path, action, error.into())
        })?;
    }
    if let Some((device, _)) = &config.watchdog {
        // Looked at and not opened: an open watchdog bites.
        std::fs::metadata(device).map_err(|error| Error::file(device, "find [watchdog] device", error))?;
    }
    Ok(())
}

fn window(config: &Config) -> String {
    let ms = |us: u64| us as f64 / 1000.0;
    let reject = &config.reject;
    let by = match reject.slot.axis() {
        Axis::Time => "",
        Axis::Distance => "tracked by encoder, at the belt's fastest: ",
    };
    let way = match config.outputs.wiring {
        Wiring::EnergiseToReject => "the ejector acts",
        Wiring::EnergiseToPass => "the gate lets a good part through",
    };
    format!(
        "{by}{way} {} ms after the trigger, for {} ms; parts {} ms apart",
        ms(reject.delay_us),
        ms(reject.pulse_us),
        ms(reject.pitch_us)
    )
}

/// The reference of keys.
pub fn say_keys(json: bool) {
    let keys = Config::keys();
    if json {
        keys.iter().for_each(ui::say_json);
        return;
    }
    let mut section = "";
    for key in &keys {
        if key.section != section {
            section = key.section;
            ui::say(format!("\n[{section}]"));
        }
        let default = key.default.as_ref().map_or(String::new(), |default| format!(", default {default}"));
        ui::say(format!("  {:<23} {}\n  {:<23} ({}{default})", key.key, key.help, "", key.accepts));
    }
}
