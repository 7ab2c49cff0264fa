//! Runs a model when told to, and says what it cost: the side of `scripts/bench-peers` that is ours (or tract's).
//!
//! `peer MODEL INPUT [--tract] [--threads N]`: INPUT is the raw content of the model's input. Then one command a line on
//! standard input, one answer a line on standard output:
//!
//! - `run`: runs once and answers with the nanoseconds of CPU time of this process;
//! - `dump FILE`: writes the raw content of the first output of the last run;
//! - `end of input`: ends.

use std::io::{BufRead, Write};
use std::path::PathBuf;
use std::sync::Arc;

use jidoka_engine::{DType, Data, Model, Options, Session};
use tract_onnx::prelude::*;

type Failure = Box<dyn std::error::Error>;

/// CPU time of this process, all its threads, in nanoseconds.
fn cpu_ns() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is a valid timespec to write to.
    let status = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut now) };
    assert_eq!(status, 0, "clock_gettime");
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// One way to run the model.
trait Runner {
    fn run(&mut self) -> Result<(), Failure>;
    /// The first output of the last run, raw.
    fn output(&self) -> Result<Vec<u8>, Failure>;
}

struct Ours(Session);

impl Ours {
    fn new(path: &str, input: &[u8], threads: usize) -> Result<Ours, Failure> {
        let model = Model::read(std::path::Path::new(path))?;
        let mut session = Session::new(&model, &Options { threads, strict: false, isa: None })?;
        if !session.fallbacks().is_empty() {
            eprintln!("{path}: runs through tract: {}", session.fallbacks().join(", "));
        }
        if session.input_info().dtype == DType::U8 {
            session.input_u8().ok_or("an input of bytes")?.copy_from_slice(input);
        } else {
            let floats = session.input_f32().ok_or("an input of floats")?;
            for (to, from) in floats.iter_mut().zip(input.chunks_exact(4)) {
                *to = f32::from_le_bytes([from[0], from[1], from[2], from[3]]);
            }
        }
        Ok(Ours(session))
    }
}

impl Runner for Ours {
    fn run(&mut self) -> Result<(), Failure> {
        Ok(self.0.run()?)
    }

    fn output(&self) -> Result<Vec<u8>, Failure> {
        match self.0.output(0).data {
            Data::F32(values) => Ok(values.iter().flat_map(|v| v.to_le_bytes()).collect()),
            _ => Err("an output of floats".into()),
        }
    }
}

/// tract's own run of its own optimised graph.
struct Tract {
    plan: Arc<TypedRunnableModel>,
    input: Tensor,
    outputs: TVec<TValue>,
}

impl Tract {
    fn new(path: &str, input: &[u8]) -> Result<Tract, Failure> {
        let model = tract_onnx::onnx().model_for_path(path)?.into_optimized()?;
        let fact = model.input_fact(0)?.clone();
        let shape = fact.shape.as_concrete().ok_or("a fixed shape")?.to_vec();
        // SAFETY: any bytes are numbers.
        let input = unsafe { Tensor::from_raw_dt(fact.datum_type, &shape, input)? };
        Ok(Tract { plan: model.into_runnable()?, input, outputs: tvec![] })
    }
}

impl Runner for Tract {
    fn run(&mut self) -> Result<(), Failure> {
        self.outputs = self.plan.run(tvec!(self.input.clone().into()))?;
        Ok(())
    }

    fn output(&self) -> Result<Vec<u8>, Failure> {
        Ok(self.outputs[0].as_bytes().to_vec())
    }
}

fn main() -> Result<(), Failure> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let by_tract = arguments.iter().position(|a| a == "--tract").map(|at| arguments.remove(at)).is_some();
    let threads = match arguments.iter().position(|a| a == "--threads") {
        Some(at) => arguments.drain(at..at + 2).nth(1).ok_or("--threads N")?.parse()?,
        None => 1,
    };
    let [model, input] = &arguments[..] else { return Err("usage: peer MODEL INPUT [--tract] [--threads N]".into()) };
    let input = std::fs::read(PathBuf::from(input))?;
    let mut runner: Box<dyn Runner> = match by_tract {
        true => Box::new(Tract::new(model, &input)?),
        false => Box::new(Ours::new(model, &input, threads)?),
    };
    let mut out = std::io::stdout().lock();
    writeln!(out, "ready")?;
    out.flush()?;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        match line.split_once(' ') {
            None if line == "run" => {
                let began = cpu_ns();
                runner.run()?;
                writeln!(out, "{}", cpu_ns() - began)?;
            }
            Some(("dump", path)) => {
                std::fs::write(path, runner.output()?)?;
                writeln!(out, "dumped")?;
            }
            _ => return Err(format!("no such command: {line}").into()),
        }
        out.flush()?;
    }
    Ok(())
}
