//! `jidoka recipe` and `jidoka tell`: talking to a station that runs.

use std::path::{Path, PathBuf};

use std::time::Duration;

use serde_json::{Value, json};

use super::ui::{self, Table};
use crate::config::Config;
use crate::error::Error;
use crate::station::control;
use crate::stats::Times;

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
  jidoka recipe blue-cap --control capper
  jidoka recipe blue-cap red-cap --times 50 --config capper.toml      how long does a swap take here?")]
pub struct RecipeArgs {
    /// The recipe; of several, one after the other
    #[arg(value_name = "NAME", required = true, num_args = 1..)]
    names: Vec<String>,
    /// Go through the recipes so many times, and say how long the swaps took
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    times: u32,
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
    let path = args.station.path()?;
    if args.times > 1 {
        return swaps(args, &path);
    }
    for name in &args.names {
        let answer = control::ask(&path, &format!("recipe {name}"))?;
        let ms = |key: &str| answer[key].as_u64().unwrap_or(0) as f64 / 1000.0;
        let text = format!("recipe {name}: prepared in {} ms, swapped in {} ms", ms("prepare_us"), ms("swap_us"));
        args.station.say(&answer, &text);
    }
    Ok(())
}

/// Changes the recipe many times, and tells how long that took.
fn swaps(args: &RecipeArgs, path: &Path) -> Result<(), Error> {
    let (mut prepare, mut swap) = (Times::new(), Times::new());
    let bar = ui::progress(u64::from(args.times) * args.names.len() as u64, "changing recipes");
    for name in std::iter::repeat_n(&args.names, args.times as usize).flatten() {
        let answer = control::ask(path, &format!("recipe {name}"))?;
        let took = |key: &str| answer[key].as_u64().map(Duration::from_micros);
        // The recipe that is in use already is not swapped.
        if let (Some(prepared), Some(swapped)) = (took("prepare_us"), took("swap_us"))
            && !prepared.is_zero()
        {
            prepare.add(prepared);
            swap.add(swapped);
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    if args.station.json {
        ui::say_json(&json!({ "swaps": swap.count(), "prepare": prepare.summary(), "swap": swap.summary() }));
        return Ok(());
    }
    let mut table = Table::new(["ms", "p50", "p90", "p99", "max"]);
    for (name, times) in [("prepare, beside the line", &prepare), ("swap, between two frames", &swap)] {
        let it = times.summary();
        let [p50, p90, p99, max] = [it.p50_us, it.p90_us, it.p99_us, it.max_us].map(ui::ms);
        table.row([name.to_owned(), p50, p90, p99, max]);
    }
    ui::say(table.render().trim_end());
    ui::say(format!("\n  {} swaps", swap.count()));
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
