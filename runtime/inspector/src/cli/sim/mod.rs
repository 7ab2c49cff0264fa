//! `jidoka sim`: the station's own line in a simulated world, with every fault that it can meet.

mod world;

use std::path::{Path, PathBuf};

use jidoka_line::{Span, TimingErrors};
use jidoka_sim::{Failure, Fault, SimConfig, Stats};
use serde_json::json;

use super::ui::{self, Table};
use super::values::share;
use crate::config::Config;
use crate::error::Error;

/// Try a configuration on hours of simulated parts and faults, in seconds and without a camera.
///
/// A belt, parts, sensor, encoder, camera, inference, ejectors and an operator, driven by one seed, around the line that `run`
/// would start from this file: its timing, triggers, ejectors, policy and recipes. Neither model nor devices are opened. Faults
/// (lost, late and damaged frames, slow inference, bouncing sensors, slipping belts, crashes) happen to the parts. Afterwards no
/// bad part may have passed unnoticed, no good one may have been hit, and every part must be accounted for. A promise that is
/// broken is shown with the fewest parts that break it, and ends the command with exit code 1.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  jidoka sim capper.toml
  jidoka sim capper.toml --hours 100 --seed 7 --json
  jidoka sim capper.toml --hours 0 --picture minute.svg      one simulated minute as a picture")]
pub struct Args {
    /// The station's configuration
    #[arg(value_name = "CONFIG")]
    config: PathBuf,
    /// Hours of line time
    #[arg(long, value_name = "H", default_value_t = 1.0, value_parser = hours)]
    hours: f64,
    /// What decides the world: the same seed gives the same parts and faults
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// Share of the parts that meet a fault
    #[arg(long, value_name = "SHARE", default_value = "2%", value_parser = share)]
    faults: f64,
    /// Share of the parts that are bad
    #[arg(long, value_name = "SHARE", default_value = "5%", value_parser = share)]
    bad: f64,
    /// The usual time of one inference, in milliseconds; absent: half of what the line leaves for it
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u32).range(1..=600_000))]
    inference_ms: Option<u32>,
    /// Draw the first minute: parts, exposures, verdicts, windows and pulses
    #[arg(long, value_name = "FILE.svg")]
    picture: Option<PathBuf>,
    /// JSON instead of a table
    #[arg(long)]
    json: bool,
}

/// How much the picture shows.
const PICTURE_S: f64 = 60.0;

fn hours(text: &str) -> Result<f64, String> {
    match text.trim().parse::<f64>() {
        Ok(hours) if (0.0..=100_000.0).contains(&hours) => Ok(hours),
        _ => Err("expected hours from 0 to 100000, such as 0.5".into()),
    }
}

/// Simulates, and says what came of it.
pub fn run(args: &Args) -> Result<(), Error> {
    let config = Config::read(&args.config)?;
    let mut sim = SimConfig {
        fault_permille: (args.faults * 1000.0).round() as u32,
        bad_permille: (args.bad * 1000.0).round() as u32,
        ..world::of(&config)?
    };
    if let Some(ms) = args.inference_ms {
        sim.inference = Span::from_millis(u64::from(ms));
    }
    // The file's sums have been done; these are the same.
    let refused = |errors: Box<TimingErrors>| Error::Usage(format!("{}: {errors}", config.file));
    if let Some(file) = &args.picture {
        let svg = jidoka_sim::picture(&sim, args.seed, 0.0, PICTURE_S).map_err(refused)?;
        write(file, &svg)?;
    }
    let bar = ui::progress((args.hours * 60.0).ceil() as u64, "simulating");
    let tell = &mut |hours: f64| bar.set_position((hours * 60.0) as u64);
    let stats = jidoka_sim::run_telling(&sim, args.hours, args.seed, tell).map_err(refused)?;
    bar.finish_and_clear();
    let left_out = if sim.fault_permille == 0 { vec![] } else { sim.left_out() };
    if args.json {
        say_json(&stats, &left_out)
    } else {
        say(&stats, &left_out, args)
    }
    match stats.failure {
        Some(failure) => Err(broken(&failure)),
        None => Ok(()),
    }
}

fn write(file: &Path, svg: &str) -> Result<(), Error> {
    jidoka_models::write_atomic(file, svg.as_bytes())?;
    Ok(())
}

fn broken(failure: &Failure) -> Error {
    let Failure { violation, what, seed, shift, parts, .. } = failure;
    Error::Broken(format!(
        "the line broke a promise ({}): {what}\n  seed {seed}, shift {shift}, the first {parts} parts of it\n  expected: no bad \
         part that passes unnoticed, no good one that is hit, every part accounted for\n  try: a longer [reject] pitch or \
         tolerance_ms, if the configuration is at fault",
        word(violation)
    ))
}

/// A variant's name as in the JSON.
fn word(value: &impl serde::Serialize) -> String {
    json!(value).as_str().unwrap_or_default().to_owned()
}

fn say_json(stats: &Stats, left_out: &[(Fault, &str)]) {
    let mut value = json!(stats);
    let left_out: serde_json::Map<_, _> = left_out.iter().map(|(fault, why)| (word(fault), json!(why))).collect();
    value["left_out"] = left_out.into();
    ui::say_json(&value);
}

fn say(stats: &Stats, left_out: &[(Fault, &str)], args: &Args) {
    if let Some(file) = &args.picture {
        ui::say(format!("  {}: the first minute of seed {}", file.display(), args.seed));
    }
    if args.hours == 0.0 {
        return;
    }
    let mut table = Table::default();
    for (name, count) in [
        ("parts", stats.parts),
        ("bad parts", stats.bad),
        ("faults", stats.faults),
        ("passed", stats.passed),
        ("rejected", stats.rejected),
        ("missed, with an alarm", stats.missed),
        ("good parts rejected or missed", stats.false_rejects),
        ("in flight when the line was stopped or crashed", stats.stranded),
        ("escapes", stats.escapes),
        ("wrong parts", stats.wrong_parts),
        ("other promises broken", stats.violations),
    ] {
        table.row([name.to_owned(), count.to_string()]);
    }
    ui::say(format!("  {:.1} hours of {}, seed {}", stats.hours, args.config.display(), stats.seed));
    ui::say(table.render().trim_end());
    if !stats.faults_by_kind.is_empty() {
        let kinds = stats.faults_by_kind.iter().map(|(fault, count)| format!("{} {count}", word(fault)));
        ui::say(format!("\n  faults that happened: {}", kinds.collect::<Vec<_>>().join(", ")));
    }
    if !left_out.is_empty() {
        ui::say("\n  left out, because this line cannot meet them:");
        let mut table = Table::default();
        for (fault, why) in left_out {
            table.row([word(fault), (*why).to_owned()]);
        }
        ui::say(table.render_left().trim_end());
    }
    if let Some(failure) = &stats.failure {
        ui::say("\n  what happened last:");
        failure.story.iter().for_each(ui::say);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;

    #[test]
    fn a_broken_promise_fails_the_command_and_names_the_seed_and_the_fewest_parts() {
        let what = "part #17 passed and was hit".to_owned();
        let violation = jidoka_sim::Violation::WrongPart;
        let failure = Failure { violation, what, seed: 9, shift: 4, parts: 18, story: vec![] };
        let error = broken(&failure);
        assert_eq!(error.exit(), Exit::Failed);
        let text = error.to_string();
        for words in ["(wrong_part): part #17 passed and was hit", "seed 9, shift 4, the first 18 parts", "expected:"] {
            assert!(text.contains(words), "{words}: {text}");
        }
    }
}
