//! Many shifts on every core, their counts, and the shortest failing prefix of the first that failed.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use jidoka_line::{Slot, TimingErrors};
use serde::Serialize;

use crate::audit::{Broken, Tally, Violation};
use crate::config::SimConfig;
use crate::fault::Fault;
use crate::rng::Rng;
use crate::svg;
use crate::trace::Trace;
use crate::world::{Bug, ShiftPlan, World};

/// What a simulation found. The first eight fields are what `jidoka sim --json` promises.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Stats {
    /// The seed.
    pub seed: u64,
    /// Hours of line time that were simulated.
    pub hours: f64,
    /// Parts that came.
    pub parts: u64,
    /// Faults that happened.
    pub faults: u64,
    /// Bad parts that went by without being counted as missed.
    pub escapes: u64,
    /// Parts that passed and were hit.
    pub wrong_parts: u64,
    /// Parts counted as missed, with an alarm.
    pub missed: u64,
    /// Good parts that were rejected or missed; faults cost these.
    pub false_rejects: u64,
    /// Other promises that were not kept.
    pub violations: u64,
    /// Parts that passed.
    pub passed: u64,
    /// Parts that were rejected.
    pub rejected: u64,
    /// Parts that were truly bad.
    pub bad: u64,
    /// Parts in flight when the process crashed or before they were triggered when the line was stopped; with the outputs safe
    /// the PLC holds the belt, and a person clears it.
    pub stranded: u64,
    /// Pulses of the ejector.
    pub pulses: u64,
    /// Shifts that were simulated.
    pub shifts: u64,
    /// Faults by kind.
    pub faults_by_kind: BTreeMap<Fault, u64>,
    /// The first failure, where there was one.
    pub failure: Option<Failure>,
}

/// A promise that was not kept, with the fewest parts that show it.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Failure {
    /// Which promise.
    pub violation: Violation,
    /// What happened.
    pub what: String,
    /// The seed of the whole simulation.
    pub seed: u64,
    /// The shift in which it happened.
    pub shift: u64,
    /// The first so many parts of that shift suffice.
    pub parts: u64,
    /// The last things that happened before it.
    pub story: Vec<String>,
}

/// What one shift came to.
struct ShiftResult {
    tally: Tally,
    broken: Option<Broken>,
    ran_us: u64,
}

/// Simulates at least `hours` of line time from `seed`, on every core.
///
/// Ends early at the first violation (the shifts that others had begun are finished).
///
/// # Errors
/// Everything that is wrong with the configured timing.
pub fn run(config: &SimConfig, hours: f64, seed: u64) -> Result<Stats, Box<TimingErrors>> {
    run_telling(config, hours, seed, &mut |_| {})
}

/// As [`run`], saying after each block of shifts how many hours have been simulated.
///
/// # Errors
/// Everything that is wrong with the configured timing.
pub fn run_telling(
    config: &SimConfig,
    hours: f64,
    seed: u64,
    tell: &mut dyn FnMut(f64),
) -> Result<Stats, Box<TimingErrors>> {
    run_planted(config, hours, seed, None, tell)
}

/// As [`run`], with a deliberate bug planted in the line (where they are compiled in).
///
/// # Errors
/// Everything that is wrong with the configured timing.
pub fn run_with_bug(config: &SimConfig, hours: f64, seed: u64, bug: Option<Bug>) -> Result<Stats, Box<TimingErrors>> {
    run_planted(config, hours, seed, bug, &mut |_| {})
}

fn run_planted(
    config: &SimConfig,
    hours: f64,
    seed: u64,
    bug: Option<Bug>,
    tell: &mut dyn FnMut(f64),
) -> Result<Stats, Box<TimingErrors>> {
    let slot = config.check()?;
    let whole = Simulation { config, slot, seed, bug };
    let target_us = (hours.max(0.0) * 3.6e9) as u64;
    // Shifts are counted in blocks of a fixed number, so that the sum does not depend on how many threads there are.
    let mut stats = Stats::new(seed);
    let mut ran_us = 0;
    let threads = thread::available_parallelism().map_or(1, usize::from);
    while ran_us < target_us && stats.failure.is_none() {
        let left = target_us - ran_us;
        let usual = u64::from(config.shift_parts) * config.pitch_us() * 5 / 4;
        let block = left.div_ceil(usual.max(1)).clamp(1, 64);
        for (shift, result) in whole.block(stats.shifts, block, threads) {
            ran_us += result.ran_us;
            stats.add(&result.tally);
            let Some(broken) = result.broken else { continue };
            stats.count(broken.violation);
            if stats.failure.is_none() {
                stats.failure = Some(whole.explain(shift, &broken));
            }
        }
        tell(ran_us as f64 / 3.6e9);
    }
    stats.hours = ran_us as f64 / 3.6e9;
    Ok(stats)
}

/// A picture (SVG) of `seconds` seconds of one shift, from `from` seconds after it began: parts, exposures, verdicts, windows and
/// pulses.
///
/// # Errors
/// Everything that is wrong with the configured timing.
pub fn picture(config: &SimConfig, seed: u64, from: f64, seconds: f64) -> Result<String, Box<TimingErrors>> {
    let slot = config.check()?;
    let parts = ((from + seconds + 2.0) * 1e6 / config.pitch_us() as f64) as u64 + 2;
    let plan = ShiftPlan { config, slot, seed: shift_seed(seed, 0), parts, bug: None };
    let (_, trace, _) = World::new(&plan, Trace::keeping()).run();
    Ok(svg::draw(&trace, &config.timing, from, seconds))
}

fn shift_seed(seed: u64, shift: u64) -> u64 {
    Rng::new(seed ^ shift.wrapping_mul(0xD134_2543_DE82_EF95)).next()
}

struct Simulation<'a> {
    config: &'a SimConfig,
    slot: Slot,
    seed: u64,
    bug: Option<Bug>,
}

impl Simulation<'_> {
    fn plan(&self, shift: u64, parts: u64) -> ShiftPlan<'_> {
        let Simulation { config, slot, bug, .. } = *self;
        ShiftPlan { config, slot, seed: shift_seed(self.seed, shift), parts, bug }
    }

    fn shift(&self, shift: u64) -> ShiftResult {
        let parts = u64::from(self.config.shift_parts);
        let (audit, _, ran_us) = World::new(&self.plan(shift, parts), Trace::default()).run();
        ShiftResult { tally: audit.tally, broken: audit.broken, ran_us }
    }

    /// Runs `count` shifts from `first` on, on `threads` threads; in the order of their numbers.
    fn block(&self, first: u64, count: u64, threads: usize) -> Vec<(u64, ShiftResult)> {
        let next = AtomicU64::new(0);
        let work = || {
            let mut done = Vec::new();
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= count {
                    return done;
                }
                done.push((first + index, self.shift(first + index)));
            }
        };
        let mut results: Vec<_> = thread::scope(|scope| {
            let workers: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
            let mut results = work();
            for worker in workers {
                match worker.join() {
                    Ok(done) => results.extend(done),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
            results
        });
        results.sort_by_key(|(shift, _)| *shift);
        results
    }

    /// Finds the fewest parts that show the failure and tells what happened in them.
    fn explain(&self, shift: u64, broken: &Broken) -> Failure {
        let fails = |parts| World::new(&self.plan(shift, parts), Trace::keeping()).run();
        let (mut audit, mut trace, _) = fails(u64::from(self.config.shift_parts));
        let mut parts = audit.parts();
        // A shift of fewer parts is the same up to its last one. By large steps first: some promises are only broken by the end
        // of a shift, and then one part may do.
        let mut step = parts / 2;
        while step > 0 {
            let fewer = if step < parts { Some(fails(parts - step)) } else { None };
            match fewer {
                Some((found, told, _)) if found.broken.as_ref().is_some_and(|it| it.violation == broken.violation) => {
                    parts -= step;
                    (audit, trace) = (found, told);
                }
                _ => step /= 2,
            }
        }
        let found = audit.broken.unwrap_or_else(|| broken.clone());
        let mut story = trace.story(40);
        story.push(format!("{:>12.3} ms  VIOLATION: {}", found.at as f64 / 1_000.0, found.what));
        Failure { violation: found.violation, what: found.what, seed: self.seed, shift, parts, story }
    }
}

impl Stats {
    fn new(seed: u64) -> Stats {
        Stats {
            seed,
            hours: 0.0,
            parts: 0,
            faults: 0,
            escapes: 0,
            wrong_parts: 0,
            missed: 0,
            false_rejects: 0,
            violations: 0,
            passed: 0,
            rejected: 0,
            bad: 0,
            stranded: 0,
            pulses: 0,
            shifts: 0,
            faults_by_kind: BTreeMap::new(),
            failure: None,
        }
    }

    fn add(&mut self, tally: &Tally) {
        self.shifts += 1;
        self.parts += tally.parts;
        self.missed += tally.missed;
        self.false_rejects += tally.false_rejects;
        self.passed += tally.passed;
        self.rejected += tally.rejected;
        self.bad += tally.bad;
        self.stranded += tally.stranded;
        self.pulses += tally.pulses;
        for (fault, count) in Fault::ALL.into_iter().zip(tally.faults) {
            self.faults += count;
            if count > 0 {
                *self.faults_by_kind.entry(fault).or_default() += count;
            }
        }
    }

    fn count(&mut self, violation: Violation) {
        match violation {
            Violation::Escape => self.escapes += 1,
            Violation::WrongPart => self.wrong_parts += 1,
            _ => self.violations += 1,
        }
    }
}
