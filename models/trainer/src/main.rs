//! `jidoka-trainer`: learns a student from good parts, by gradient descent, as a program of its own.
//!
//! What lives here: the student's layers forwards and backwards, the loss, the optimiser, and the course of training. `jidoka teach
//! --method teacher-student` starts it, speaks to it over standard input and output
//! ([`jidoka_models::student::protocol`]), and makes a model of what it learned. What must not: files, thresholds, graphs.
//!
//! It relies on `jidoka-engine` for the teacher, on `jidoka-models` for the student's shape, what a line does to parts and the
//! conversation, and on `matrixmultiply` for the products of matrices.
//!
//! Why no framework: the student is one chain of seven depthwise-separable convolutions with two heads. Its 1x1 convolutions are
//! products of matrices, for which the tree has `matrixmultiply` already (tract brings it); 3x3 depthwise, batch norm with ReLU and the
//! loss are a few dozen lines each. candle (0.11, the leanest features) would have been 161 more crates and six minutes of CPU to build
//! for a graph recorder and kernels that this chain does not need, and its depthwise convolution and norm were too slow to be used as
//! they are. Every backward pass here is held to finite differences by its test.
//!
//! One thread disturbs parts and asks the teacher, the other trains, so two cores are busy; neither splits a sum, and the same parts,
//! seed and machine give the same weights to the bit.
//!
//! Architecture invariant: it leaves nothing behind. It writes no file, and ends when its input does.
//! Held by `tests/teach.rs::a_trainer_whose_caller_is_gone_stops`.

mod adam;
mod course;
mod depthwise;
mod line;
mod loss;
mod net;
mod norm;
mod pointwise;
#[cfg(test)]
mod slope;

use std::io::{BufRead, BufReader, Read, Write, stdin, stdout};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use jidoka_models::student::Weights;
use jidoka_models::student::protocol::{self, Event, Job, Training};

/// Why no student was trained.
#[derive(Debug, thiserror::Error)]
enum Error {
    /// The job cannot be read or makes no sense.
    #[error(
        "the job: {0}\n  expected: what `jidoka teach --method teacher-student` sends; this program is not started by hand\n  try: a \
         jidoka and a jidoka-trainer of the same version"
    )]
    Job(String),
    /// The teacher cannot be read.
    #[error(transparent)]
    Teacher(#[from] jidoka_engine::Error),
    /// The teacher failed at a picture.
    #[error("the teacher: {0}")]
    Run(#[from] jidoka_engine::RunError),
    /// The loss grew beyond all bounds before there was anything to keep.
    #[error(
        "the loss diverged at step {step}, and no student before it was worth keeping\n  try: another --seed, or more good parts"
    )]
    Diverged {
        /// The step.
        step: usize,
    },
    /// The finished student does not predict what the trained one does.
    #[error(
        "the finished student differs from the trained one by {off:.1e} of the greatest prediction (limit 1e-4); nothing was written\n  \
         try: another --seed; if it happens again, the engine or its arithmetic on this machine is at fault"
    )]
    Disagreement {
        /// Greatest difference, as a share of the greatest prediction.
        off: f32,
    },
    /// Whoever asked has gone.
    #[error("stopped: its caller has gone")]
    Stopped,
}

fn main() -> ExitCode {
    match train() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody may be there to hear it.
            let _ = say(&Event::Failed(error.to_string()), &[]);
            ExitCode::FAILURE
        }
    }
}

fn train() -> Result<(), Error> {
    let mut input = BufReader::new(stdin());
    let wrong = |error: std::io::Error| Error::Job(error.to_string());
    let job: Job = protocol::read_line(&mut input).map_err(wrong)?.ok_or_else(|| Error::Job("there is none".into()))?;
    if let Some(problem) = job.problem() {
        return Err(Error::Job(problem));
    }
    let teacher = take(&mut input, job.teacher_bytes, "the teacher")?;
    let pictures = take(&mut input, (job.train + job.held_out) * job.picture_bytes(), "the pictures")?;
    let stop = Arc::new(AtomicBool::new(false));
    watch(input, stop.clone());
    let mut report = |event: &Event| {
        if say(event, &[]).is_err() {
            stop.store(true, Ordering::Relaxed);
        }
    };
    let (weights, training): (Weights, Training) = course::run(&job, &teacher, &pictures, &stop, &mut report)?;
    let bytes = weights.to_bytes();
    say(&Event::Done { training, bytes: bytes.len() }, &bytes).map_err(|_| Error::Stopped)
}

fn take(input: &mut impl BufRead, count: usize, what: &str) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    let read = input.by_ref().take(count as u64).read_to_end(&mut bytes);
    match read {
        Ok(found) if found == count => Ok(bytes),
        Ok(found) => Err(Error::Job(format!("{what}: {found} bytes of {count}"))),
        Err(error) => Err(Error::Job(format!("{what}: {error}"))),
    }
}

/// Asks for a stop when the input ends.
fn watch(mut input: impl Read + Send + 'static, stop: Arc<AtomicBool>) {
    std::thread::spawn(move || {
        let mut unread = [0; 64];
        while matches!(input.read(&mut unread), Ok(count) if count > 0) {}
        stop.store(true, Ordering::Relaxed);
    });
}

fn say(event: &Event, bytes: &[u8]) -> std::io::Result<()> {
    let mut output = stdout().lock();
    output.write_all(protocol::line(event)?.as_bytes())?;
    output.write_all(bytes)?;
    output.flush()
}
