//! `jidoka recipe` and `jidoka tell`: talking to a station that runs.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::ui;
use crate::config::Config;
use crate::error::Error;
use crate::station::control;

/// Where the station answers.
#[derive(clap::Args)]
pub struct Where {
    /// The station's configuration, whose [station] control names the socket
    #[arg(long, value_name = "FILE", conflicts_with = "control")]
    config: Option<PathBuf>,
    /// The socket's name or path
    #[arg(long, value_name = "SOCKET")]
    control: Option<String>,
    /// JSON instead of a sentence
    #[arg(long)]
    json: bool,
}

/// Change the recipe of a station that runs, between two frames.
///
/// The station loads and checks the recipe's model while it goes on inspecting, then swaps. Parts that were triggered before are
/// still judged and rejected by the old recipe.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  jidoka recipe blue-cap --config capper.toml
  jidoka recipe blue-cap --control capper")]
pub struct RecipeArgs {
    /// The recipe
    #[arg(value_name = "NAME")]
    name: String,
    #[command(flatten)]
    station: Where,
}

/// What may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum What {
    /// A part is there now, where [trigger] source = "software"
    Trigger,
    /// The alarms have been seen
    Acknowledge,
    /// Take the next good part out
    Sample,
    /// A shift begins: golden samples must be seen again
    Shift,
    /// Which recipe is in use
    Status,
}

/// Ask something of a station that runs.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  jidoka tell acknowledge --config capper.toml
  jidoka tell trigger --control /run/jidoka/capper.sock")]
pub struct TellArgs {
    /// What
    #[arg(value_enum, value_name = "WHAT")]
    what: What,
    #[command(flatten)]
    station: Where,
}

/// Changes the recipe.
pub fn recipe(args: &RecipeArgs) -> Result<(), Error> {
    let answer = control::ask(&args.station.path()?, &format!("recipe {}", args.name))?;
    let ms = |key: &str| answer[key].as_u64().unwrap_or(0) as f64 / 1000.0;
    let text = format!("recipe {}: prepared in {} ms, swapped in {} ms", args.name, ms("prepare_us"), ms("swap_us"));
    args.station.say(&answer, &text);
    Ok(())
}

/// Asks the rest.
pub fn tell(args: &TellArgs) -> Result<(), Error> {
    let word = match args.what {
        What::Trigger => "trigger",
        What::Acknowledge => "acknowledge",
        What::Sample => "sample",
        What::Shift => "shift",
        What::Status => "status",
    };
    let answer = control::ask(&args.station.path()?, word)?;
    let text = match answer["recipe"].as_str() {
        Some(recipe) => format!("recipe {recipe}"),
        None => "done".to_owned(),
    };
    args.station.say(&answer, &text);
    Ok(())
}

impl Where {
    fn path(&self) -> Result<PathBuf, Error> {
        if let Some(name) = &self.control {
            return control::path_of(name);
        }
        let Some(file) = &self.config else {
            let what = "which station?\n  expected: --config FILE or --control SOCKET\n  try: --config capper.toml";
            return Err(Error::Usage(what.into()));
        };
        let config = Config::read(Path::new(file))?;
        let name = config.station.control.ok_or_else(|| {
            Error::Usage(format!(
                "{}: this station has no control socket\n  expected: [station] control\n  try: control = \"{}\"",
                file.display(),
                config.station.name
            ))
        })?;
        control::path_of(&name)
    }

    fn say(&self, answer: &Value, text: &str) {
        if self.json { ui::say_json(answer) } else { ui::say(text) }
    }
}
