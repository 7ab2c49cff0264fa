//! Simulates hours of every line with faults on, and says what came of it. Exits with 1 where a promise was broken.
//!
//! `cargo run --release -p jidoka-sim --example hours -- [HOURS=1000] [SEED=1] [LINE]`: the hours are shared by the lines, or all
//! of one. Add `--features mutants` for nothing here: bugs are planted by the example `bugs`.

use std::process::ExitCode;
use std::time::Instant;

use jidoka_sim::{Failure, lines, run};

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let hours: f64 = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(1000.0);
    let seed: u64 = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(1);
    let only = arguments.next();
    let mut lines = lines();
    lines.retain(|(name, _)| only.as_deref().is_none_or(|only| only == *name));
    let share = hours / lines.len().max(1) as f64;
    let (began, mut simulated, mut parts, mut faults, mut broken) = (Instant::now(), 0.0, 0, 0, 0);
    println!(
        "{:<20} {:>7} {:>10} {:>8} {:>7} {:>11} {:>10}",
        "line", "hours", "parts", "faults", "escapes", "wrong parts", "violations"
    );
    for (index, (name, config)) in lines.into_iter().enumerate() {
        let stats = match run(&config, share, seed + index as u64) {
            Ok(stats) => stats,
            Err(errors) => {
                println!("{name}: {errors}");
                return ExitCode::FAILURE;
            }
        };
        println!(
            "{name:<20} {:>7.1} {:>10} {:>8} {:>7} {:>11} {:>10}",
            stats.hours, stats.parts, stats.faults, stats.escapes, stats.wrong_parts, stats.violations
        );
        (simulated, parts, faults) = (simulated + stats.hours, parts + stats.parts, faults + stats.faults);
        broken += stats.escapes + stats.wrong_parts + stats.violations;
        if let Some(failure) = &stats.failure {
            tell(failure);
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    println!("{simulated:.1} line-hours, {parts} parts, {faults} faults, {broken} promises broken; {seconds:.0} s");
    if broken == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn tell(failure: &Failure) {
    println!("{:?}: {}", failure.violation, failure.what);
    println!("seed {}, shift {}, the first {} parts:", failure.seed, failure.shift, failure.parts);
    failure.story.iter().for_each(|line| println!("{line}"));
}
