//! `jidoka check`: everything that `run` would refuse, without energising anything.

use std::path::PathBuf;

use jidoka_prepare::Preparer;
use serde_json::json;

use super::ui::{self, Table};
use crate::config::Config;
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

/// Checks, and says what was found.
pub fn run(args: &Args) -> Result<(), Error> {
    let Some(file) = args.config.as_ref().filter(|_| !args.keys) else {
        say_keys(args.json);
        return Ok(());
    };
    let config = Config::read(file)?;
    let mut found = vec![("reject window", window(&config))];
    if !args.text_only {
        let model = open::model(&config.model)?;
        let threshold = open::threshold_of(&model, config.model.limit)?;
        open::judge(&model, config.model.limit)?;
        let (golden, sha256) = (model.contract().golden.is_some(), &model.sha256()[..16]);
        let golden = if golden { "golden check passed" } else { "no golden check" };
        let source = jidoka_capture::open(&config.camera.source)?;
        Preparer::new(&open::spec(&model, source.geometry(), config.camera.roi))?;
        found.push(("camera", source.describe()));
        found
            .push(("model", format!("{} ({sha256}), threshold {threshold:.4}, {golden}", config.model.path.display())));
        let (gpio, _) = open::gpio(&config)?;
        for wire in &config.outputs.wires {
            let line = gpio.find(&wire.address)?;
            let low = if wire.active_low { ", active low" } else { "" };
            found.push((wire.signal, format!("{line} ({}{low})", gpio.backend())));
        }
    }
    if args.json {
        let found: serde_json::Map<_, _> = found.into_iter().map(|(name, value)| (name.into(), json!(value))).collect();
        ui::say_json(&json!({ "config": config.file, "ok": true, "found": found }));
    } else {
        let mut table = Table::default();
        for (name, value) in found {
            table.row([name.into(), value]);
        }
        ui::say(table.render_left().trim_end());
        ui::say(format!("\n  {} would run", config.file));
    }
    Ok(())
}

fn window(config: &Config) -> String {
    let ms = |us: u64| us as f64 / 1000.0;
    let reject = &config.reject;
    format!(
        "{} ms after the exposure, {} ms long, parts {} ms apart",
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
