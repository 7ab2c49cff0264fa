//! The command line: what can be asked, and how each answer begins and ends.

mod bench;
mod bench_pins;
mod blackbox;
mod board;
mod camera;
mod check;
mod demo;
mod eval;
mod infer;
mod kept;
mod model;
mod output;
mod record;
mod run;
mod sim;
mod summary;
mod teach;
mod tell;
mod ui;
mod values;

use std::io::Write as _;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::error::Error;
use crate::exit::{self, Exit};

/// Looks at every part that passes the camera, and rejects the bad ones in time.
#[derive(Parser)]
#[command(name = "jidoka", version, about, after_help = after_help(), max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Say more (-v: what is opened, -vv: details). RUST_LOG overrides it
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
}

#[derive(Subcommand)]
enum Command {
    /// See it work, with no camera, wires or files
    Demo(demo::Args),
    /// Teach a model from good parts alone
    Teach(teach::Args),
    /// Score images with a model
    Infer(infer::Args),
    /// Measure a model or method on images whose defects are known
    Eval(eval::Args),
    /// Run a station: camera in, verdicts and pulses out
    Run(run::Args),
    /// Check a configuration and everything that it names, without energising anything
    Check(check::Args),
    /// Try a configuration on hours of simulated parts and faults
    Sim(sim::Args),
    /// Change the recipe of a station that runs
    Recipe(tell::RecipeArgs),
    /// Ask something of a station that runs: trigger, acknowledge, sample, shift, status
    Tell(tell::TellArgs),
    /// The last events of a station, also after a crash
    Blackbox(blackbox::Args),
    /// Measure a model on this machine
    Bench(bench::Args),
    /// What a model is, and whether it is what it was
    Model(model::Args),
    /// Cameras: what is there, is it sharp, is it steady?
    Camera(camera::Args),
    /// Record raw frames that play back bit for bit
    Record(record::Args),
    /// Boards: which one is this, and is it fit for the job?
    Board(board::Args),
}

fn after_help() -> String {
    format!(
        "Examples:\n  \
         jidoka demo                                         see it work\n  \
         jidoka teach --good photos/good --out capper.onnx   teach from 20 to 50 photographs of good parts\n  \
         jidoka infer capper.onnx photos/new/*.png           score more photographs\n  \
         jidoka check capper.toml                            would `run` accept this?\n  \
         jidoka sim capper.toml --hours 10                   what would go wrong?\n  \
         jidoka run capper.toml                              inspect\n\n{}",
        exit::HELP
    )
}

/// Parses the arguments, runs the command, and says what went wrong if something did.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no errors to clap's caller; everything else is bad usage.
            let exit = if error.use_stderr() { Exit::Usage } else { Exit::Ok };
            let _ = error.print();
            return exit.into();
        }
    };
    log_to_stderr(&cli);
    let result = match &cli.command {
        Command::Demo(args) => demo::run(args),
        Command::Teach(args) => teach::run(args),
        Command::Infer(args) => infer::run(args),
        Command::Run(args) => run::run(args),
        Command::Check(args) => check::run(args),
        Command::Sim(args) => sim::run(args),
        Command::Bench(args) => bench::run(args),
        Command::Recipe(args) => tell::recipe(args),
        Command::Tell(args) => tell::tell(args),
        Command::Blackbox(args) => blackbox::run(args),
        Command::Eval(args) => eval::run(args),
        Command::Model(args) => model::run(args),
        Command::Camera(args) => camera::run(args),
        Command::Record(args) => record::run(args),
        Command::Board(args) => board::run(args),
    };
    match result {
        Ok(()) => Exit::Ok.into(),
        Err(error) => {
            complain(&error);
            error.exit().into()
        }
    }
}

fn complain(error: &Error) {
    let _ = writeln!(std::io::stderr().lock(), "error: {error}");
}

fn log_to_stderr(cli: &Cli) {
    // A station runs unwatched, so what it opened and what befell it is worth a line; a tool is silent when all is well.
    let usual = match (cli.verbose, matches!(cli.command, Command::Run(_))) {
        (0, false) => "warn",
        (0, true) | (1, _) => "info",
        (2, _) => "debug",
        _ => "trace",
    };
    let quieter = format!("{usual},tract=warn,tract_core=warn,tract_onnx=warn,tract_linalg=warn");
    let environment = env_logger::Env::default().default_filter_or(quieter);
    // A second initialisation (tests in one process) changes nothing.
    let _ = env_logger::Builder::from_env(environment).format_target(false).try_init();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }
}
