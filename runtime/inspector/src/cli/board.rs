//! `jidoka board`: which board this is, what is known of it, and whether it is fit for the job.

use std::path::Path;

use clap::Subcommand;
use jidoka_boards::{Board, Level, Machine};
use jidoka_pins::{Gpio, Options};
use serde_json::json;

use super::ui::{self, Table};
use crate::error::Error;

/// Boards: what is known of each, which one this is, and whether it is fit for the job.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  jidoka board list
  jidoka board show                      the board that this is
  jidoka board show raspberry-pi-5       its header, with each pin's address for [outputs]
  jidoka board check                     is this machine fit for the job?")]
pub struct Args {
    #[command(subcommand)]
    command: Command,
    /// JSON instead of a table
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum Command {
    /// The boards that are known
    List,
    /// One board: its header, its chips, what to start with
    Show {
        /// Which [default: the board that this is]
        name: Option<String>,
    },
    /// Look at this machine and say what an inspection would miss
    Check,
}

/// Does what was asked.
pub fn run(args: &Args) -> Result<(), Error> {
    match &args.command {
        Command::List => list(args.json),
        Command::Show { name } => show(name.as_deref(), args.json),
        Command::Check => check(args.json),
    }
}

fn list(json: bool) -> Result<(), Error> {
    let here = jidoka_boards::detect(Path::new("/"))?;
    let boards = jidoka_boards::all()?;
    if json {
        let names: Vec<_> = boards.iter().map(|board| json!({ "name": board.name, "title": board.title })).collect();
        ui::say_json(&json!({ "boards": names, "here": here.board.name }));
        return Ok(());
    }
    let mut table = Table::new(["name", "board", "processor", ""]);
    for board in &boards {
        let mark = if board.name == here.board.name { "this one" } else { "" };
        let cpu = format!("{} x {}", board.cpu.cores, board.cpu.core);
        table.row([board.name.clone(), board.title.clone(), cpu, mark.into()]);
    }
    ui::say(table.render_left().trim_end());
    ui::say(format!("\n  {}", here.how));
    Ok(())
}

fn show(name: Option<&str>, json: bool) -> Result<(), Error> {
    let board = match name {
        Some(name) => jidoka_boards::by_name(name)?,
        None => jidoka_boards::detect(Path::new("/"))?.board,
    };
    if json {
        ui::say_json(&board);
    } else {
        say_board(&board);
    }
    Ok(())
}

fn say_board(board: &Board) {
    let mut facts = Table::default();
    facts.row(["board".into(), board.title.clone()]);
    facts.row(["processor".into(), format!("{} x {} ({})", board.cpu.cores, board.cpu.core, board.cpu.arch)]);
    facts.row(["GPIO chips".into(), board.gpio.chips.join(", ")]);
    if let Some(level_v) = board.gpio.level_v {
        facts.row(["GPIO level".into(), format!("{level_v} V")]);
    }
    facts.row(["threads".into(), format!("{} for inference", board.recommend.threads)]);
    ui::say(facts.render_left().trim_end());
    if !board.header.pins.is_empty() {
        let mut pins = Table::new(["pin", "name", "address for [outputs]", "also"]);
        for pin in &board.header.pins {
            pins.row([pin.pin.to_string(), pin.name.clone(), format!("\"{}\"", pin.line), pin.usage.clone()]);
        }
        ui::say(format!("\n{}", pins.render_left().trim_end()));
    }
    for note in board.camera.notes.iter().chain(&board.wiring.notes) {
        ui::say(format!("\n  {note}"));
    }
}

fn check(json: bool) -> Result<(), Error> {
    let here = jidoka_boards::detect(Path::new("/"))?;
    let gpio = Gpio::open(&Options::default());
    let (labels, problem) = match &gpio {
        Ok(gpio) => (gpio.chips().iter().map(|chip| chip.label.clone()).collect(), None),
        Err(error) => (vec![], Some(error.to_string())),
    };
    let machine = Machine { root: Path::new("/"), gpio_labels: &labels, gpio_problem: problem.as_deref() };
    let findings = jidoka_boards::check(&here.board, &machine);
    let problems = findings.iter().filter(|finding| finding.level == Level::Problem).count();
    if json {
        ui::say_json(&json!({ "board": here.board.name, "how": here.how, "findings": findings }));
    } else {
        ui::say(format!("  {}: {}\n", here.board.title, here.how));
        for finding in &findings {
            let mark = match finding.level {
                Level::Ok => "ok     ",
                Level::Warning => "could  ",
                Level::Problem => "MISSING",
            };
            ui::say(format!("  {mark}  {}: {}", finding.subject, finding.found));
            if !finding.advice.is_empty() {
                ui::say(format!("           {}", finding.advice.replace('\n', "\n           ")));
            }
        }
    }
    if problems > 0 {
        return Err(Error::Unfit { problems });
    }
    Ok(())
}
