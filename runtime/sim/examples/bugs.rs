//! Plants each deliberate bug in the line and shows which promise the simulation finds broken: the table in docs/SIMULATION.md.
//!
//! `cargo run --release -p jidoka-sim --features mutants --example bugs -- [SEEDS=0]`: the table for one seed, and then the bugs
//! that each of so many other seeds does not find. Exits with 1 where a bug is not found.

use std::process::ExitCode;

use jidoka_sim::hunt;

fn main() -> ExitCode {
    let seeds: u64 = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(0);
    let mut overlooked = 0;
    println!("| deliberate bug | found on the line | by the promise | in the first parts | what was seen |");
    println!("|---|---|---|---|---|");
    for (bug, found) in hunt(7) {
        match found {
            Some(found) => {
                let failure = &found.failure;
                // The account of all counters that some failures give is for whoever hunts one down.
                let seen = failure.what.split("Counters {").next().unwrap_or_default();
                println!(
                    "| `{bug:?}` | {} | `{:?}` | {} | {} |",
                    found.line,
                    failure.violation,
                    failure.parts,
                    seen.trim_end_matches("the line says ").trim_end_matches("; ")
                );
            }
            None => {
                overlooked += 1;
                println!("| `{bug:?}` | **not found** | | | |");
            }
        }
    }
    for seed in 1_001..=1_000 + seeds {
        let missed: Vec<_> = hunt(seed).into_iter().filter(|(_, found)| found.is_none()).map(|(bug, _)| bug).collect();
        println!("seed {seed}: {missed:?} not found");
        overlooked += missed.len();
    }
    if overlooked == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
