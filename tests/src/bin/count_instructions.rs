//! Counts the user-mode instructions of one inference, step by step, and prints one JSON object a model.
//!
//! `count-instructions MODEL.onnx...`. What `scripts/bench-arm` runs on the virtual board, where the emulated counter is
//! exact; on a real board it counts what that CPU retires. The input is seeded noise.

use std::error::Error;
use std::io;
use std::path::Path;

use jidoka_engine::{Model, Options, Session};
use serde_json::{Value, json};

/// Retired user-mode instructions of this thread.
struct Counter(libc::c_int);

/// `struct perf_event_attr` up to its first published size; the rest of it is younger and may be left out.
#[repr(C)]
#[derive(Default)]
struct EventAttributes {
    kind: u32,
    size_bytes: u32,
    config: u64,
    sample_period: u64,
    sample_type: u64,
    read_format: u64,
    flags: u64,
    wakeup_events: u32,
    breakpoint_kind: u32,
    breakpoint_address: u64,
}

/// `PERF_COUNT_HW_INSTRUCTIONS` of `PERF_TYPE_HARDWARE`.
const INSTRUCTIONS: u64 = 1;
/// `exclude_kernel` and `exclude_hv`.
const USER_MODE_ONLY: u64 = 1 << 5 | 1 << 6;

impl Counter {
    fn open() -> io::Result<Counter> {
        let attributes = EventAttributes {
            size_bytes: size_of::<EventAttributes>() as u32,
            config: INSTRUCTIONS,
            flags: USER_MODE_ONLY,
            ..EventAttributes::default()
        };
        // SAFETY: the kernel reads `size_bytes` bytes of the attributes; the rest are plain numbers: this thread, any CPU.
        let file = unsafe { libc::syscall(libc::SYS_perf_event_open, &raw const attributes, 0, -1, -1, 0) };
        if file < 0 { Err(io::Error::last_os_error()) } else { Ok(Counter(file as libc::c_int)) }
    }

    fn read(&self) -> io::Result<u64> {
        let mut count = 0u64;
        // SAFETY: the kernel writes eight bytes into `count`.
        let got = unsafe { libc::read(self.0, (&raw mut count).cast(), size_of::<u64>()) };
        if got == size_of::<u64>() as isize { Ok(count) } else { Err(io::Error::last_os_error()) }
    }
}

/// Numbers in -1.7..1.7, always the same.
fn fill(input: &mut [f32]) {
    let mut state = 12345u32;
    for value in input {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        *value = ((state >> 8) as f32 / (1u32 << 24) as f32 - 0.5) * 3.4;
    }
}

/// A number that changes when any output does.
fn checksum(session: &Session) -> f64 {
    let values = (0..session.outputs().len()).filter_map(|index| session.output(index).as_f32().map(<[f32]>::to_vec));
    values.flatten().enumerate().map(|(i, v)| f64::from(v) * ((i % 7) as f64 + 1.0)).sum()
}

fn count(counter: &Counter, path: &Path, options: &Options) -> Result<Value, Box<dyn Error>> {
    // Making the session runs it once: what is counted is not the first run.
    let mut session = Session::new(&Model::read(path)?, options)?;
    fill(session.input_f32().ok_or("the input does not take floats")?);
    let report = session.report();
    let mut marks = vec![0u64; report.steps.len()];
    // Reading the counter costs some instructions itself.
    let reading = counter.read()?;
    let before = counter.read()?;
    let reading = before - reading;
    session.run_with(|step| marks[step] = counter.read().unwrap_or(0))?;
    let mut last = before;
    let mut whole = 0;
    let mut steps = Vec::new();
    for (step, mark) in report.steps.iter().zip(marks) {
        let instructions = mark.saturating_sub(last + reading);
        (last, whole) = (mark, whole + instructions);
        steps.push(json!({
            "kind": step.kind, "name": step.name, "detail": step.detail, "macs": step.macs, "instructions": instructions,
        }));
    }
    Ok(json!({
        "graph": path.file_stem().unwrap_or_default().to_string_lossy(),
        "isa": report.isa,
        "instructions": whole,
        "macs": report.macs(),
        "arena_bytes": report.arena_bytes,
        "checksum": checksum(&session),
        "fallbacks": report.fallbacks,
        "steps": steps,
    }))
}

fn main() -> Result<(), Box<dyn Error>> {
    let counter = Counter::open().map_err(|e| {
        format!("this kernel gives no instruction counter to user programs ({e}); see perf_event_paranoid")
    })?;
    for path in std::env::args().skip(1) {
        let counted = count(&counter, Path::new(&path), &Options::default()).map_err(|e| format!("{path}: {e}"))?;
        println!("{counted}");
    }
    Ok(())
}
