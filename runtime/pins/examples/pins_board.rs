//! Drives real GPIO drivers and fails loudly when a promise of this crate does not hold there.
//!
//! Run on a machine (or emulated board) whose GPIO lines may be driven at will:
//!
//! ```text
//! pins_board sim v2|sysfs LABEL SYSFS_DIR   gpio-sim lines SIM0..SIM7 of chip LABEL; SYSFS_DIR has sim_gpioN/{value,pull}
//! pins_board plain v1|v2|sysfs LABEL OFFSET any chip: sets and reads back LABEL:OFFSET and OFFSET+1, LABEL:OFFSET must be free
//! pins_board watch v1|v2|sysfs LINE         waits for somebody to pulse LINE: both edges, their times
//! pins_board hold LINE                      drives LINE high and waits to be killed
//! pins_board list [v1|v2|sysfs]             what is there
//! ```
//!
//! Prints a line for each thing checked and ends with status 1 at the first that fails.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use embedded_hal::digital::{InputPin, OutputPin, PinState};
use jidoka_pins::{Backend, Bias, Edge, EdgeEvent, Edges, Error, Gpio, InputSpec, Options, Output, OutputSpec, Trip};
use jidoka_test_support::{Counting, allocations};

/// "Setting a line allocates nothing" is checked on real drivers.
#[global_allocator]
static ALLOCATOR: Counting = Counting;

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info")).init();
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let outcome = match args.as_slice() {
        ["sim", backend, label, dir] => sim(backend, label, Path::new(dir)),
        ["plain", backend, label, offset] => plain(backend, label, offset),
        ["watch", backend, line] => watch(backend, line),
        ["hold", line] => hold(line),
        ["list", backend @ ..] => list(backend.first().copied()),
        _ => Err("usage: pins_board sim|plain|hold|list ... (the source's first lines explain)".into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("FAILED: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Print what held, or end with what did not.
fn expect(held: bool, what: &str) -> Outcome {
    if held {
        println!("ok: {what}");
        return Ok(());
    }
    Err(what.into())
}

fn open(backend: &str) -> Result<Gpio, Box<dyn std::error::Error>> {
    let forced: Backend = backend.parse()?;
    Ok(Gpio::open(&Options { backend: Some(forced), ..Options::default() })?)
}

fn list(backend: Option<&str>) -> Outcome {
    let gpio = match backend {
        Some(backend) => open(backend)?,
        None => Gpio::open(&Options::default())?,
    };
    println!("back end: {}", gpio.backend());
    for chip in gpio.chips() {
        println!("{}", chip.describe());
        for (offset, line) in chip.lines.iter().enumerate() {
            println!("  {offset}: \"{}\" {}", line.name, line.consumer.as_deref().unwrap_or("free"));
        }
    }
    Ok(())
}

fn hold(line: &str) -> Outcome {
    let gpio = Gpio::open(&Options { consumer: "holder".into(), ..Options::default() })?;
    let mut output = gpio.output(&OutputSpec::new(line))?;
    output.set_high()?;
    println!("holding");
    std::io::stdout().flush()?;
    std::thread::sleep(Duration::from_secs(600));
    Err("nobody killed me".into())
}

/// gpio-sim's side of the lines.
struct Bench {
    dir: PathBuf,
}

impl Bench {
    fn level(&self, line: usize) -> Result<bool, std::io::Error> {
        Ok(fs::read_to_string(self.dir.join(format!("sim_gpio{line}/value")))?.trim() == "1")
    }

    fn pull(&self, line: usize, up: bool) -> Result<(), std::io::Error> {
        fs::write(self.dir.join(format!("sim_gpio{line}/pull")), if up { "pull-up" } else { "pull-down" })
    }
}

fn sim(backend: &str, label: &str, dir: &Path) -> Outcome {
    let bench = Bench { dir: dir.into() };
    let gpio = open(backend)?;
    outputs(&gpio, label, &bench)?;
    edges(&gpio, label, &bench)?;
    levels(&gpio, label, &bench)?;
    refusals(&gpio, label)?;
    if gpio.backend() == Backend::V2 {
        taken_and_killed(&gpio, label, &bench)?;
        bias(&gpio, label)?;
        missing_v1()?;
    }
    println!("all held: {backend}");
    Ok(())
}

fn outputs(gpio: &Gpio, label: &str, bench: &Bench) -> Outcome {
    let normal = OutputSpec::new(&format!("{label}/SIM0"));
    let inverted = OutputSpec { active_low: true, ..OutputSpec::new("SIM1") };
    let safe_high = OutputSpec { safe: PinState::High, ..OutputSpec::new(&format!("{label}:2")) };
    let mut outputs = gpio.outputs(&[normal, inverted, safe_high])?;
    let levels = || -> Result<[bool; 3], std::io::Error> { Ok([bench.level(0)?, bench.level(1)?, bench.level(2)?]) };
    expect(levels()? == [false, true, true], "three lines by name, by bare name and by offset start safe")?;
    for round in 0..3 {
        outputs[0].set_high()?;
        outputs[1].set_high()?;
        outputs[2].set_low()?;
        expect(levels()? == [true, false, false], &format!("pulse {round} rises, active-low included"))?;
        expect(outputs[1].read_back()? == PinState::High, "reads back logically")?;
        outputs[0].set_low()?;
        outputs[1].set_low()?;
        outputs[2].set_high()?;
        expect(levels()? == [false, true, true], &format!("pulse {round} falls"))?;
    }
    allocation_free(&mut outputs[0])?;
    let trip = Trip::over(&outputs);
    outputs[0].set_high()?;
    outputs[1].set_high()?;
    expect(trip.fire() == 0 && levels()? == [false, true, true], "a trip makes all safe at once")?;
    expect(outputs[0].set_high().is_err() && !bench.level(0)?, "and keeps them so")?;
    drop((outputs, trip));

    let mut outputs = gpio.outputs(&[OutputSpec::new("SIM0")])?;
    outputs[0].set_high()?;
    drop(outputs);
    expect(!bench.level(0)?, "a dropped output is safe, and its line can be had again")
}

fn allocation_free(output: &mut Output) -> Outcome {
    let before = allocations();
    for _ in 0..100 {
        output.set_high()?;
        output.set_low()?;
    }
    expect(allocations() == before, "setting a line 200 times allocates nothing")
}

fn edges(gpio: &Gpio, label: &str, bench: &Bench) -> Outcome {
    for line in [3, 4] {
        bench.pull(line, false)?;
    }
    let specs = [InputSpec::new(&format!("{label}/SIM3")), InputSpec { active_low: true, ..InputSpec::new("SIM4") }];
    let mut input = gpio.edges(&specs, Edges::Both)?;
    expect(input.wait(Duration::ZERO)?.is_none(), "no edge before anything moved")?;
    expect(!input.is_active(0)? && input.is_active(1)?, "levels of edge lines, active-low included")?;
    let before = monotonic();
    for (line, up) in [(3, true), (4, true), (3, false)] {
        bench.pull(line, up)?;
        let event = input.wait(Duration::from_secs(10))?.ok_or("no edge came")?;
        let expected = if line == 3 { (0, if up { Edge::Rising } else { Edge::Falling }) } else { (1, Edge::Falling) };
        expect((event.line, event.edge) == expected, &format!("edge of SIM{line}: {:?}", event.edge))?;
        expect(
            event.lost == 0 && event.at >= before && event.at <= monotonic(),
            "stamped on CLOCK_MONOTONIC, none lost",
        )?;
    }
    drop(input);
    if gpio.backend() == Backend::V2 {
        queued_edges(gpio, bench)?;
    }
    let mut rising = gpio.edges(&[InputSpec::new("SIM3")], Edges::Rising)?;
    bench.pull(3, true)?;
    let first = rising.wait(Duration::from_secs(10))?.ok_or("no edge came")?;
    bench.pull(3, false)?;
    let second = rising.wait(Duration::from_millis(200))?;
    expect(first.edge == Edge::Rising && second.is_none(), "only the asked-for edges")
}

/// Edges that the kernel queues while nobody waits are all there, and their time stamps tell the order over all lines.
/// (`gpiocdev` 0.8's own `read_edge_event` throws away all but the first of what is queued; `v2::EventBuffer` does not.)
fn queued_edges(gpio: &Gpio, bench: &Bench) -> Outcome {
    let specs: Vec<InputSpec> = ["SIM3", "SIM4", "SIM5"].map(InputSpec::new).to_vec();
    [3, 4, 5].iter().try_for_each(|line| bench.pull(*line, false))?;
    let mut input = gpio.edges(&specs, Edges::Rising)?;
    for line in [4, 3, 5] {
        bench.pull(line, true)?;
    }
    let mut seen = Vec::new();
    while seen.len() < 3 {
        seen.push(input.wait(Duration::from_secs(10))?.ok_or("a queued edge is missing")?);
    }
    seen.sort_by_key(|event| event.at);
    expect(
        seen.iter().map(|event| event.line).eq([1, 0, 2]),
        "no queued edge is lost, and time stamps tell their order",
    )?;
    expect(seen.iter().all(|event| event.lost == 0), "none counted as lost")?;
    drop(input);
    [3, 4, 5].iter().try_for_each(|line| bench.pull(*line, false)).map_err(Into::into)
}

fn levels(gpio: &Gpio, label: &str, bench: &Bench) -> Outcome {
    let mut input = gpio.input(&InputSpec::new(&format!("{label}/SIM5")))?;
    let mut inverted = gpio.input(&InputSpec { active_low: true, ..InputSpec::new("SIM6") })?;
    for up in [true, false] {
        bench.pull(5, up)?;
        bench.pull(6, up)?;
        expect(input.is_high()? == up && inverted.is_low()? == up, &format!("inputs follow the pull ({up})"))?;
    }
    Ok(())
}

fn refusals(gpio: &Gpio, label: &str) -> Outcome {
    let refused = |line: &str, expected: &str| -> Outcome {
        let error = gpio.output(&OutputSpec::new(line)).map(|_| ()).err().ok_or("it was not refused")?;
        println!("{error}");
        expect(error.to_string().contains(expected), &format!("\"{line}\" is refused: {expected}"))
    };
    refused(&format!("{label}/SIM99"), "did you mean \"SIM9\"")?;
    refused("smi/SIM0", &format!("did you mean \"{label}\"?"))?;
    refused(&format!("{label}:99"), "no line \"99\"")?;
    let twice = gpio.outputs(&[OutputSpec::new("SIM0"), OutputSpec::new(&format!("{label}:0"))]);
    expect(matches!(twice, Err(Error::Twice { .. })), "one line under two addresses is refused")
}

fn start_holder(line: &str) -> Result<Child, Box<dyn std::error::Error>> {
    let mut child = Command::new(std::env::current_exe()?).args(["hold", line]).stdout(Stdio::piped()).spawn()?;
    let mut word = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.take().ok_or("no pipe")?), &mut word)?;
    if word.trim() == "holding" { Ok(child) } else { Err("the holder did not start".into()) }
}

fn taken_and_killed(gpio: &Gpio, label: &str, bench: &Bench) -> Outcome {
    let line = format!("{label}/SIM7");
    let mut holder = start_holder(&line)?;
    let error = gpio.output(&OutputSpec::new(&line)).map(|_| ()).err().ok_or("a taken line was given out")?;
    println!("{error}");
    expect(error.to_string().contains("in use by \"holder\""), "a taken line names who has it")?;
    expect(bench.level(7)?, "the holder drives it")?;
    // SIGKILL: the holder runs no code any more.
    holder.kill()?;
    holder.wait()?;
    println!(
        "after the kill and before anyone takes it again the line is {} (gpio-sim's choice)",
        u8::from(bench.level(7)?)
    );
    let deadline = Instant::now() + Duration::from_secs(10);
    while gpio.output(&OutputSpec::new(&line)).is_err() && Instant::now() < deadline {
        std::thread::yield_now();
    }
    let output = gpio.output(&OutputSpec::new(&line))?;
    expect(
        output.read_back()? == PinState::Low,
        "a killed holder's line is released by the kernel and can be made safe",
    )
}

fn bias(gpio: &Gpio, label: &str) -> Outcome {
    let line = format!("{label}/SIM6");
    for (bias, up) in [(Bias::PullUp, true), (Bias::PullDown, false)] {
        let mut input = gpio.input(&InputSpec { bias, ..InputSpec::new(&line) })?;
        expect(input.is_high()? == up, &format!("{bias:?} pulls"))?;
    }
    Ok(())
}

/// The lab's kernel has no v1 ABI: forcing it has to say so. On a kernel that has it, it has to work.
fn missing_v1() -> Outcome {
    match open("v1") {
        Ok(gpio) => expect(gpio.backend() == Backend::V1, "v1 is there and can be forced"),
        Err(error) => {
            println!("{error}");
            expect(error.to_string().contains("available: v2"), "v1 is missing, and what there is instead is said")
        }
    }
}

/// A chip without a test bench: what is written can be read back.
fn plain(backend: &str, label: &str, offset: &str) -> Outcome {
    let gpio = open(backend)?;
    let offset: u32 = offset.parse()?;
    let first = OutputSpec::new(&format!("{label}:{offset}"));
    let second = OutputSpec { active_low: true, ..OutputSpec::new(&format!("{label}:{}", offset + 1)) };
    let mut outputs = gpio.outputs(&[first.clone(), second])?;
    for round in 0..3 {
        for state in [PinState::High, PinState::Low] {
            for output in &mut outputs {
                output.set(state)?;
                expect(output.read_back()? == state, &format!("{} is {state:?} (round {round})", output.line()))?;
            }
        }
    }
    allocation_free(&mut outputs[0])?;
    if backend != "sysfs" {
        let error = gpio.output(&first).map(|_| ()).err().ok_or("a taken line was given out")?;
        println!("{error}");
        expect(error.to_string().contains("in use by \"jidoka\""), "a taken line names who has it")?;
    }
    outputs[0].set_high()?;
    drop(outputs);
    let mut input = gpio.input(&InputSpec::new(&first.line))?;
    let _level = input.is_high()?;
    drop(input);
    if backend != "v2" {
        let pulled = gpio.input(&InputSpec { bias: Bias::PullUp, ..InputSpec::new(&first.line) });
        let text = pulled.map(|_| String::new()).unwrap_or_else(|error| error.to_string());
        println!("{text}");
        expect(text.contains("cannot set a pull resistor"), "what the back end cannot do is refused")?;
    }
    let mut events = gpio.edges(&[InputSpec::new(&first.line)], Edges::Both)?;
    expect(events.wait(Duration::from_millis(50))?.is_none(), "edges can be watched; none comes from nothing")?;
    println!("all held: {backend}");
    Ok(())
}

/// Edges that come from outside. On QEMU's `virt` machine the monitor command `system_powerdown` pulses line 3 of the PL061
/// chip for 100 ms, which makes it the one chip whose edges can be tested on kernels without gpio-sim.
fn watch(backend: &str, line: &str) -> Outcome {
    let gpio = open(backend)?;
    let mut input = gpio.edges(&[InputSpec::new(line)], Edges::Both)?;
    let started = monotonic();
    println!("watching");
    let mut next = || input.wait(Duration::from_secs(60))?.ok_or_else(|| "no edge in 60 s".into());
    let (rising, falling): (EdgeEvent, EdgeEvent) = match (next(), next()) {
        (Ok(rising), Ok(falling)) => (rising, falling),
        (Err(error), _) | (_, Err(error)) => return Err::<(), Box<dyn std::error::Error>>(error),
    };
    expect((rising.edge, falling.edge) == (Edge::Rising, Edge::Falling), "a pulse is a rising and a falling edge")?;
    expect(started <= rising.at && rising.at < falling.at && falling.at <= monotonic(), "stamped on CLOCK_MONOTONIC")?;
    println!("pulse of {} ms", (falling.at - rising.at).as_millis());
    Ok(())
}

fn monotonic() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    Duration::new(now.tv_sec.max(0) as u64, now.tv_nsec as u32)
}
