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
    lines().into_iter().find_map(|(line, config)| {
        // More bad parts and more faults than usual, so that a bug has every chance to do harm.
        let config = SimConfig { bad_permille: 200, fault_permille: 60, ..config };
        let stats = run_with_bug(&config, 0.3, seed, Some(bug)).ok()?;
        stats.failure.map(|failure| Found { line, failure })
    })
}
