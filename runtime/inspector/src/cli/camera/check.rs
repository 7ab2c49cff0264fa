//! Is the camera steady? Rate, jitter, losses and exposure over some hundred frames.

use std::time::Duration;

use jidoka_capture::health::{self, Gauge};
use jidoka_capture::{FrameFault, Roi, SourceStats};
use serde::Serialize;

use super::super::ui::{self, Table};
use super::super::values;
use super::{Which, goes_on, interrupt, region};
use crate::error::Error;
use crate::os::clock;

/// Measure rate, jitter, losses and exposure
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    which: Which,
    /// Look at the exposure of this part alone, in pixels [default: the station's region, or all]
    #[arg(long, value_parser = values::roi, value_name = "X,Y,W,H")]
    roi: Option<Roi>,
    /// How many frames
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u64).range(2..=1_000_000))]
    frames: u64,
    /// Longest to wait for them, in seconds
    #[arg(long, value_name = "S", default_value_t = 60.0)]
    seconds: f64,
}

/// Classes of brightness.
const CLASSES: usize = health::HISTOGRAM;

/// What was measured.
#[derive(Debug, Serialize)]
struct Found {
    camera: String,
    loop_clean: bool,
    frames: u64,
    fps: f64,
    interval_ms: Interval,
    age_ms_p50: f64,
    timeouts: u64,
    lost: u64,
    starved: u64,
    skipped: u64,
    damaged: u64,
    restamped: u64,
    equal: u64,
    mean: f64,
    dark_percent: f64,
    saturated_percent: f64,
    sharpness: f64,
    histogram_percent: Vec<f64>,
}

/// Times from one exposure to the next.
#[derive(Debug, Default, PartialEq, Serialize)]
struct Interval {
    median: f64,
    least: f64,
    most: f64,
    /// Standard deviation.
    jitter: f64,
}

/// What is added up on the way.
#[derive(Default)]
struct Sums {
    times: Vec<Duration>,
    ages: Vec<f64>,
    mean: f64,
    dark: f64,
    saturated: f64,
    sharpness: f64,
    histogram: [u64; CLASSES],
    equal: u64,
    timeouts: u64,
}

/// Measures and says what was found.
pub fn run(args: &Args, as_json: bool) -> Result<(), Error> {
    let (mut source, config) = args.which.open()?;
    let name = source.describe();
    let mut gauge = Gauge::new(source.geometry(), region(args.roi, config.as_ref()))?;
    let interrupted = interrupt()?;
    let until = clock::now() + Duration::from_secs_f64(args.seconds.clamp(0.1, 1e6));
    let bar = ui::progress(args.frames, "taking frames");
    let (mut sums, mut last) = (Sums::default(), None);
    while goes_on(&interrupted, Some(until)) && (sums.times.len() as u64) < args.frames {
        match source.next(Duration::from_millis(500)) {
            Ok(lease) => {
                let bad = |error| Error::Usage(format!("{name}: {error}"));
                let reading = gauge.read(&lease.view()).map_err(bad)?;
                gauge.count(&lease.view(), &mut sums.histogram).map_err(bad)?;
                let captured_at = lease.meta().captured_at;
                sums.times.push(captured_at);
                sums.ages.push(clock::now().saturating_sub(captured_at).as_secs_f64() * 1e3);
                sums.mean += f64::from(reading.mean);
                sums.dark += f64::from(reading.dark);
                sums.saturated += f64::from(reading.saturated);
                sums.sharpness += f64::from(reading.sharpness);
                sums.equal += u64::from(last.replace(reading.digest) == Some(reading.digest));
                bar.inc(1);
            }
            Err(FrameFault::TimedOut { .. }) => sums.timeouts += 1,
            Err(FrameFault::EndOfStream) => break,
            Err(fault) if fault.is_passing() => {}
            Err(fault) => return Err(Error::Camera { name, fault }),
        }
    }
    bar.finish_and_clear();
    if sums.times.is_empty() {
        let fault = FrameFault::TimedOut { waited: Duration::from_secs_f64(args.seconds.clamp(0.1, 1e6)) };
        return Err(Error::Camera { name, fault });
    }
    let found = found(name, source.is_loop_clean(), &sums, &source.stats());
    if as_json {
        ui::say_json(&found);
    } else {
        say(&found);
    }
    Ok(())
}

fn found(camera: String, loop_clean: bool, sums: &Sums, stats: &SourceStats) -> Found {
    let interval = interval(&sums.times);
    let count = sums.times.len() as f64;
    let pixels = sums.histogram.iter().sum::<u64>().max(1) as f64;
    let span = sums
        .times
        .last()
        .zip(sums.times.first())
        .map_or(0.0, |(last, first)| last.saturating_sub(*first).as_secs_f64());
    Found {
        camera,
        loop_clean,
        frames: sums.times.len() as u64,
        fps: if span > 0.0 { (count - 1.0) / span } else { 0.0 },
        interval_ms: interval,
        age_ms_p50: median(sums.ages.clone()),
        timeouts: sums.timeouts,
        lost: stats.lost,
        starved: stats.starved,
        skipped: stats.skipped,
        damaged: stats.damaged,
        restamped: stats.restamped,
        equal: sums.equal,
        mean: sums.mean / count,
        dark_percent: sums.dark / count * 100.0,
        saturated_percent: sums.saturated / count * 100.0,
        sharpness: sums.sharpness / count,
        histogram_percent: sums.histogram.iter().map(|&pixel| pixel as f64 / pixels * 100.0).collect(),
    }
}

fn interval(times: &[Duration]) -> Interval {
    let steps: Vec<f64> = times.windows(2).map(|pair| pair[1].saturating_sub(pair[0]).as_secs_f64() * 1e3).collect();
    if steps.is_empty() {
        return Interval::default();
    }
    let mean = steps.iter().sum::<f64>() / steps.len() as f64;
    let variance = steps.iter().map(|step| (step - mean).powi(2)).sum::<f64>() / steps.len() as f64;
    Interval {
        least: steps.iter().copied().fold(f64::INFINITY, f64::min),
        most: steps.iter().copied().fold(0.0, f64::max),
        jitter: variance.sqrt(),
        median: median(steps),
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

fn say(found: &Found) {
    let mut table = Table::default();
    let mut fact = |name: &str, value: String| {
        table.row([format!("{name:<10}"), value]);
    };
    fact("camera", found.camera.clone());
    fact("rate", format!("{:.2} frames a second over {} frames", found.fps, found.frames));
    let Interval { median, least, most, jitter } = &found.interval_ms;
    fact(
        "intervals",
        format!("{median:.2} ms median, {least:.2} to {most:.2}, jitter {jitter:.2} (standard deviation)"),
    );
    fact("arrival", format!("{:.2} ms after the time of capture, median", found.age_ms_p50));
    fact("lost", losses(found));
    fact(
        "exposure",
        format!(
            "mean {:.0} of 255, {:.1} % black, {:.1} % white",
            found.mean, found.dark_percent, found.saturated_percent
        ),
    );
    fact("sharpness", format!("{:.1} (for comparing; `jidoka camera focus` shows it live)", found.sharpness));
    ui::say(table.render_left().trim_end());
    ui::say(format!("\n{}", chart(&found.histogram_percent)));
    for note in notes(found) {
        ui::say(format!("  note: {note}"));
    }
}

fn losses(found: &Found) -> String {
    let Found { lost, starved, skipped, damaged, timeouts, .. } = found;
    format!(
        "{lost} frames ({} by camera, cable or driver, {starved} for want of a buffer), {skipped} passed over, \
         {damaged} damaged, {timeouts} waits in vain",
        lost - starved
    )
}

/// A line a class of brightness.
fn chart(percent: &[f64]) -> String {
    let most = percent.iter().copied().fold(0.1, f64::max);
    let width = 256 / percent.len().max(1);
    let line = |(class, share): (usize, &f64)| {
        let bar = "#".repeat((share / most * 40.0).round() as usize);
        format!("  {:>3}-{:<3} {share:>5.1} %  {bar}", class * width, (class + 1) * width - 1)
    };
    percent.iter().enumerate().map(line).map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

/// What a person should do something about.
fn notes(found: &Found) -> Vec<String> {
    let mut notes = Vec::new();
    let mut note = |worth: bool, text: String| notes.extend(worth.then_some(text));
    note(
        !found.loop_clean,
        "its frames are decoded, which takes memory in the loop: choose an uncompressed format".into(),
    );
    note(found.starved > 0, "frames were lost for want of a buffer: raise buffers, or lower the rate".into());
    note(
        found.lost > found.starved,
        "frames were lost on the way: another cable or port, a lower rate or a smaller size".into(),
    );
    note(
        found.restamped > 0,
        format!("{} frames had no usable time of capture: they are timed by arrival, which is later", found.restamped),
    );
    note(found.saturated_percent > 2.0, "white areas hide defects: lower exposure, gain or light".into());
    note(found.mean < 30.0, "the picture is dark: raise exposure or light, gain last".into());
    note(
        found.equal * 2 > found.frames,
        "most frames equal the one before to the bit: no sensor does that; the stream may be frozen".into(),
    );
    let Interval { median, most, .. } = &found.interval_ms;
    note(*most > 2.0 * median && *median > 0.0, format!("one interval was {most:.1} ms where {median:.1} is usual"));
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(values: &[u64]) -> Vec<Duration> {
        values.iter().map(|&ms| Duration::from_millis(ms)).collect()
    }

    #[test]
    fn intervals_are_measured_from_exposure_to_exposure() {
        assert_eq!(interval(&ms(&[5])), Interval::default());
        let even = interval(&ms(&[0, 20, 40, 60]));
        assert_eq!(even, Interval { median: 20.0, least: 20.0, most: 20.0, jitter: 0.0 });
        let uneven = interval(&ms(&[0, 10, 40, 50]));
        assert_eq!((uneven.least, uneven.most, uneven.median), (10.0, 30.0, 10.0));
        assert!((uneven.jitter - 9.428).abs() < 0.001);
    }

    #[test]
    fn what_is_wrong_is_said_with_what_to_do() {
        let sums = Sums { times: ms(&[0, 20, 40, 160]), equal: 3, ..Sums::default() };
        let stats = SourceStats { frames: 4, lost: 5, starved: 2, restamped: 4, ..SourceStats::default() };
        let found = found("camera".into(), false, &sums, &stats);
        let text = notes(&found).join("\n");
        for words in ["uncompressed", "raise buffers", "another cable", "by arrival", "dark", "frozen", "120.0 ms"] {
            assert!(text.contains(words), "{text:?} does not say {words:?}");
        }
        assert!(losses(&found).starts_with("5 frames (3 by camera, cable or driver, 2 for want of a buffer)"));
        let lines = chart(&[0.0, 50.0, 50.0, 0.0]);
        assert_eq!(lines.lines().count(), 4);
        assert!(lines.contains(" 64-127  50.0 %  ########"), "{lines}");
    }
}
