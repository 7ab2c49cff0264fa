//! `jidoka demo`: see it work, with nothing at hand.

use std::path::PathBuf;

use indicatif::ProgressBar;
use jidoka_models::teach::Progress;
use serde_json::json;

use super::output;
use super::teach::Bars;
use super::ui::{self, Table, ms};
use super::values;
use crate::demo::{self, Audience, Run, Show, page, truth};
use crate::error::Error;
use crate::station::stop::Reason;

/// See it work: teaches itself, inspects parts on a rendered conveyor, ejects the bad ones, and says how it did.
///
/// Needs no camera, no GPIO, no network and no files. The parts are rendered and the GPIO chip is in memory; teaching,
/// engine, loop, line and actuator are those that run on a real line. Writes a report that opens in any browser.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  jidoka demo
  jidoka demo --seed 7 --parts 2000 --report /tmp/seven.html
  jidoka demo --json | jq .escapes")]
pub struct Args {
    /// Seed of the parts and of teaching: the same seed shows the same parts
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many parts to inspect
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    parts: u32,
    /// How many good parts to teach from
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(5..=1000))]
    good: u32,
    /// Share of the inspected parts that are defective
    #[arg(long, value_parser = values::share, default_value = "10%")]
    defective: f64,
    /// Share of good parts that may be rejected
    #[arg(long, value_parser = values::rate, default_value = "1%")]
    false_reject: f64,
    /// Where to write the report
    #[arg(long, value_name = "FILE", default_value = "jidoka-demo.html")]
    report: PathBuf,
    /// Threads of the engine
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// One JSON object instead of a table
    #[arg(long)]
    json: bool,
}

/// Runs the demo. Fails where a bad part escaped, or more good ones were rejected than chance explains.
pub fn run(args: &Args) -> Result<(), Error> {
    output::writable("--report", &args.report)?;
    let show = Show {
        seed: args.seed,
        good: args.good,
        parts: args.parts,
        defect_rate: args.defective,
        false_reject: args.false_reject,
        threads: args.threads,
    };
    let mut bars = Screen { teaching: Bars::default(), inspecting: None, parts: u64::from(args.parts) };
    let run = demo::run(show, &mut bars)?;
    bars.end();
    if !matches!(run.ended.reason, Reason::Done | Reason::Signal) {
        return Err(Error::FailSafe(run.ended.reason.describe().into()));
    }
    let tally = truth::tally(&run);
    let html = page::html(&run, &tally)?;
    jidoka_models::write_atomic(&args.report, html.as_bytes())?;
    if args.json {
        say_json(args, &run, &tally)
    } else {
        say(args, &run, &tally)
    }
    if tally.escapes > 0 {
        return Err(Error::Escapes { escapes: tally.escapes, defective: tally.defective });
    }
    let good = tally.parts - tally.defective;
    let plausible = truth::plausible_false_rejects(good, args.false_reject);
    if tally.false_rejects > plausible {
        let asked = format!("{:.2} %", args.false_reject * 100.0);
        return Err(Error::FalseRejects { found: tally.false_rejects, good, asked, plausible });
    }
    Ok(())
}

fn say_json(args: &Args, run: &Run, tally: &truth::Tally) {
    let total = run.ended.inspected.as_ref().map(|inspected| inspected.total.summary()).unwrap_or_default();
    let stages: serde_json::Map<String, serde_json::Value> =
        page::stages(run).into_iter().map(|(name, summary)| (name.into(), json!(summary))).collect();
    let page_faults = run.ended.inspected.as_ref().map_or(0, |inspected| inspected.page_faults);
    ui::say_json(&json!({
        "parts": tally.parts,
        "defective": tally.defective,
        "rejects": tally.rejects,
        "false_rejects": tally.false_rejects,
        "escapes": tally.escapes,
        "missed": tally.missed,
        "cut_short": run.ended.reason != Reason::Done,
        "cut_off": tally.cut_off,
        "disagreements": tally.disagreements,
        "reasons": truth::reasons(run),
        "p50_us": total.p50_us,
        "p99_us": total.p99_us,
        "max_us": total.max_us,
        "allocs_per_frame": page::allocations_per_frame(run),
        "page_faults": page_faults,
        "threshold": run.threshold,
        "false_reject_asked": run.show.false_reject,
        "teach_seconds": run.teach_seconds,
        "seconds": run.seconds,
        "interval_us": run.rhythm.interval.as_micros() as u64,
        "isa": run.isa,
        "seed": run.show.seed,
        "stages": stages,
        "report": args.report,
    }));
}

fn say(args: &Args, run: &Run, tally: &truth::Tally) {
    let good = tally.parts - tally.defective;
    ui::say(format!(
        "taught from {} good parts in {:.1} s; inspected {} parts in {:.1} s, one every {:.0} ms\n",
        run.taught.report.images,
        run.teach_seconds,
        tally.parts,
        run.seconds,
        run.rhythm.interval.as_secs_f64() * 1e3
    ));
    if let Some(cut) = page::cut_short(run, tally) {
        ui::say(format!("  CUT SHORT: {cut}\n"));
    }
    let mut table = Table::default();
    let mut fact = |name: &str, value: usize, remark: String| {
        table.row([name.into(), value.to_string(), remark]);
    };
    fact("parts", tally.parts, format!("{} of them defective", tally.defective));
    fact("rejects", tally.rejects, "ejected, by the edges of the chip".into());
    let share = tally.false_rejects as f64 / good.max(1) as f64 * 100.0;
    fact(
        "false rejects",
        tally.false_rejects,
        format!("{share:.2} % of good parts; asked for {:.2} %", run.show.false_reject * 100.0),
    );
    fact("escapes", tally.escapes, "defective parts that were not ejected".into());
    if tally.missed > 0 {
        fact("missed", tally.missed, "parts without a verdict in time".into());
    }
    ui::say(table.render_left().trim_end());
    let odd = truth::reasons(run).into_iter().filter(|(why, _)| !matches!(*why, "good" | "score"));
    let odd: Vec<String> = odd.map(|(why, parts)| format!("{parts} {}", why.replace('_', " "))).collect();
    if !odd.is_empty() {
        ui::say(format!("  not judged by their score: {}", odd.join(", ")));
    }
    let mut table = Table::new(["ms", "p50", "p99", "max"]);
    for (name, times) in page::stages(run) {
        table.row([name.into(), ms(times.p50_us), ms(times.p99_us), ms(times.max_us)]);
    }
    ui::say(format!("\n{}", table.render()));
    let allocations = page::allocations_per_frame(run);
    let where_from = run.ended.allocations.describe().map_or(String::new(), |stages| format!(" ({stages})"));
    ui::say(format!("  {allocations:.2} allocations a frame in the sealed loop{where_from}"));
    ui::say(format!("  report: {}", args.report.display()));
}

/// Two bars, one after the other.
struct Screen {
    teaching: Bars,
    inspecting: Option<ProgressBar>,
    parts: u64,
}

impl Screen {
    fn end(&mut self) {
        self.teaching.end();
        if let Some(bar) = self.inspecting.take() {
            bar.finish_and_clear();
        }
    }
}

impl Audience for Screen {
    fn teaching(&mut self, progress: Progress<'_>) {
        self.teaching.show(progress);
    }

    fn inspected(&mut self, parts: u64) {
        self.teaching.end();
        self.inspecting.get_or_insert_with(|| ui::progress(self.parts, "inspecting")).set_position(parts);
    }
}
