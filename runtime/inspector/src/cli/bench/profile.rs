//! `jidoka bench --profile`: where the time of one inference goes, step by step, and how near each comes to what this core
//! can do at best.

use jidoka_engine::StepReport;
use jidoka_engine::kernels::{Isa, PEAK_ROUNDS, burn_f32, burn_int8};
use serde::Serialize;

use super::subject::Subject;
use crate::cli::ui::{self, Table};
use crate::error::Error;
use crate::os::clock;

/// Runs that are profiled at most: the median of so many does not move any more.
const MOST_RUNS: u32 = 1000;
/// How often the peak is tried; the best counts.
const PEAK_TRIES: usize = 30;

/// The steps of a model with their times.
#[derive(Serialize)]
pub struct Profile {
    /// Runs that the medians are of.
    runs: u32,
    /// Multiply-adds of f32 a second that this core reached in a loop of nothing else, in thousands of millions of
    /// operations (two a multiply-add); nothing where there is no such loop for the instruction set.
    peak_f32_gops: Option<f64>,
    /// The same for exact sums of products of bytes.
    peak_int8_gops: Option<f64>,
    steps: Vec<Step>,
}

#[derive(Serialize)]
struct Step {
    step: usize,
    node: String,
    kind: String,
    kernel: String,
    /// Median.
    p50_us: f64,
    /// Of the sum of all medians.
    percent: f64,
    macs: u64,
    bytes_moved: u64,
    /// Of the peak, counting a convolution as what it takes when done directly: Winograd's can exceed 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    percent_of_peak: Option<f64>,
}

/// Runs the model `frames` times, at most a thousand, and times each step.
pub fn measure(subject: &mut Subject, frames: u32, threads: usize) -> Result<Profile, Error> {
    let report = subject.session().report();
    let runs = frames.clamp(1, MOST_RUNS);
    let mut times_ns: Vec<Vec<u32>> = report.steps.iter().map(|_| Vec::with_capacity(runs as usize)).collect();
    for _ in 0..runs {
        let mut before = clock::now();
        let ran = subject.run_with(|step| {
            let now = clock::now();
            times_ns[step].push(u32::try_from((now - before).as_nanos()).unwrap_or(u32::MAX));
            before = now;
        });
        ran.map_err(|error| subject.failed(error))?;
    }
    let isa = subject.session().isa();
    let (peak_f32_gops, peak_int8_gops) = (peak_gops(isa, burn_f32), peak_gops(isa, burn_int8));
    let medians: Vec<f64> = times_ns.iter_mut().map(|times| median(times)).collect();
    let total: f64 = medians.iter().sum();
    let steps = report.steps.into_iter().zip(&medians).enumerate().map(|(number, (step, &ns))| {
        let peak = if step.kind.ends_with("int8") { peak_int8_gops } else { peak_f32_gops };
        let percent_of_peak = peak.and_then(|peak| share_of_peak(&step, ns, peak * threads as f64));
        Step {
            step: number,
            node: step.name,
            kind: step.kind,
            kernel: step.detail,
            p50_us: (ns / 10.0).round() / 100.0,
            percent: (1e4 * ns / total).round() / 100.0,
            macs: step.macs,
            bytes_moved: step.bytes_moved,
            percent_of_peak,
        }
    });
    Ok(Profile { runs, peak_f32_gops, peak_int8_gops, steps: steps.collect() })
}

/// In percent; nothing for a step that multiplies nothing.
fn share_of_peak(step: &StepReport, ns: f64, peak_gops: f64) -> Option<f64> {
    let operations = 2.0 * step.macs as f64;
    (step.macs > 0 && ns > 0.0).then(|| (1e4 * operations / ns / peak_gops).round() / 100.0)
}

fn peak_gops(isa: Isa, burn: fn(Isa, usize) -> Option<f64>) -> Option<f64> {
    let once = || {
        let began = clock::now();
        let operations = burn(isa, PEAK_ROUNDS)?;
        Some(operations / (clock::now() - began).as_nanos() as f64)
    };
    (0..PEAK_TRIES).filter_map(|_| once()).reduce(f64::max).map(|gops| (100.0 * gops).round() / 100.0)
}

fn median(times_ns: &mut [u32]) -> f64 {
    times_ns.sort_unstable();
    times_ns.get(times_ns.len() / 2).copied().map_or(0.0, f64::from)
}

/// Prints the steps, the dearest first.
pub fn say(profile: &Profile) {
    let mut steps: Vec<&Step> = profile.steps.iter().collect();
    steps.sort_by(|a, b| b.p50_us.total_cmp(&a.p50_us));
    let mut table = Table::new(["step", "us", "%", "MMAC", "% of peak", "kind", "node"]);
    for step in steps {
        table.row([
            step.step.to_string(),
            format!("{:.1}", step.p50_us),
            format!("{:.1}", step.percent),
            format!("{:.2}", step.macs as f64 / 1e6),
            step.percent_of_peak.map_or_else(String::new, |share| format!("{share:.0}")),
            step.kind.clone(),
            step.node.clone(),
        ]);
    }
    ui::say(table.render());
    let peak = |gops: Option<f64>| gops.map_or("unknown".into(), |gops| format!("{gops:.1} G operations/s"));
    ui::say(format!(
        "  medians of {} runs; peak of one core here: f32 {}, int8 {}",
        profile.runs,
        peak(profile.peak_f32_gops),
        peak(profile.peak_int8_gops)
    ));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_one_in_the_middle() {
        assert_eq!(median(&mut [9, 1, 5]), 5.0);
        assert_eq!(median(&mut []), 0.0);
    }

    #[test]
    fn a_step_at_half_the_peak_has_fifty_percent() {
        let step = StepReport { macs: 5_000, ..StepReport::default() };
        // 10,000 operations in 1,000 ns are 10 G operations a second.
        assert_eq!(share_of_peak(&step, 1000.0, 20.0), Some(50.0));
        assert_eq!(share_of_peak(&StepReport::default(), 1000.0, 20.0), None);
    }
}
