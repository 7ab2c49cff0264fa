//! The test of the test: deliberate bugs, each of which the simulation has to find.

use crate::config::SimConfig;
use crate::lines::lines;
use crate::run::{Failure, run_with_bug};
use crate::world::Bug;

/// Where a bug was found, and by what.
#[derive(Clone, PartialEq, Debug)]
pub struct Found {
    /// The line that was simulated.
    pub line: &'static str,
    /// The promise that the bug breaks.
    pub failure: Failure,
}

/// Plants each bug in each line until one of them shows it.
pub fn hunt(seed: u64) -> Vec<(Bug, Option<Found>)> {
    Bug::ALL.into_iter().map(|bug| (bug, find(bug, seed))).collect()
}

fn find(bug: Bug, seed: u64) -> Option<Found> {
    // Most bugs show at once; one that needs two rare faults to meet gets more time.
    [0.3, 2.0].into_iter().find_map(|hours| lines().into_iter().find_map(|line| look(bug, line, hours, seed)))
}

fn look(bug: Bug, (line, config): (&'static str, SimConfig), hours: f64, seed: u64) -> Option<Found> {
    // More bad parts and more faults than usual, so that a bug has every chance to do harm.
    let config = SimConfig { bad_permille: 200, fault_permille: 60, ..config };
    let stats = run_with_bug(&config, hours, seed, Some(bug)).ok()?;
    stats.failure.map(|failure| Found { line, failure })
}
