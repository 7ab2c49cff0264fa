//! Starts `jidoka-trainer`, hands it the job and takes what it learned.

use std::io::{BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use super::protocol::{self, Event, Job, Training};
use super::{Plan, Weights};
use crate::Error;

/// The program, beside this one or on the PATH.
const PROGRAM: &str = "jidoka-trainer";

/// A job with everything that goes with it.
pub(crate) struct Call<'a> {
    /// The program; none for [`PROGRAM`].
    pub program: Option<&'a Path>,
    /// What is to be trained.
    pub job: Job,
    /// The teacher as ONNX.
    pub teacher: &'a [u8],
    /// Gives picture `index` as the trainer takes it: those to train on first.
    pub picture: &'a mut dyn FnMut(usize) -> Result<Vec<u8>, Error>,
}

/// Trains; `progress` gets steps done, the loss and the seconds left.
///
/// # Errors
/// Where the program is not there, fails, is stopped, or says something that cannot be understood.
pub(crate) fn train(call: Call<'_>, progress: &mut dyn FnMut(usize, f64, f64)) -> Result<(Weights, Training), Error> {
    let [stem, tap8, tap16] = call.job.channels;
    let plan = Plan::new(stem, [tap8, tap16]);
    let mut trainer = Trainer::start(call.program)?;
    trainer.hand_over(call)?;
    loop {
        match trainer.event()? {
            Event::Step { step, loss, left_s } => progress(step, loss, left_s),
            Event::Failed(reason) => return Err(trainer.wrong(reason)),
            Event::Done { training, bytes } => {
                let mut weights = Vec::new();
                let read = trainer.output.by_ref().take(bytes as u64).read_to_end(&mut weights);
                read.map_err(|error| trainer.wrong(format!("its weights cannot be read: {error}")))?;
                let weights = Weights::from_bytes(plan, &weights);
                let weights = weights.ok_or_else(|| trainer.wrong("its weights are incomplete or no numbers"))?;
                return Ok((weights, training));
            }
        }
    }
}

/// The running program. Dropping it ends it.
struct Trainer {
    program: PathBuf,
    child: Child,
    // Held open: its end tells the trainer to stop.
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Trainer {
    fn start(program: Option<&Path>) -> Result<Trainer, Error> {
        let program = program.map_or_else(found, Path::to_owned);
        let started = Command::new(&program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = started.map_err(|error| Error::NoTrainer { program: program.clone(), error })?;
        match (child.stdin.take(), child.stdout.take()) {
            (Some(input), Some(output)) => Ok(Trainer { program, child, input, output: BufReader::new(output) }),
            _ => unreachable!("both were asked to be pipes"),
        }
    }

    fn hand_over(&mut self, call: Call<'_>) -> Result<(), Error> {
        let line = protocol::line(&call.job).map_err(|error| self.wrong(error))?;
        let mut written = self.input.write_all(line.as_bytes()).and_then(|()| self.input.write_all(call.teacher));
        for index in 0..call.job.train + call.job.held_out {
            if written.is_err() {
                break;
            }
            let picture = (call.picture)(index)?;
            written = self.input.write_all(&picture);
        }
        match written.and_then(|()| self.input.flush()) {
            Ok(()) => Ok(()),
            // It ended before it had everything; what it said then is worth more than "broken pipe".
            Err(error) => Err(match self.event() {
                Ok(Event::Failed(reason)) => self.wrong(reason),
                _ => self.wrong(format!("it took the job only in part: {error}")),
            }),
        }
    }

    fn event(&mut self) -> Result<Event, Error> {
        match protocol::read_line(&mut self.output) {
            Ok(Some(event)) => Ok(event),
            Ok(None) => {
                let status = self.child.wait().map_or_else(|error| error.to_string(), |status| status.to_string());
                Err(self.wrong(format!("it ended before it was done ({status})")))
            }
            Err(error) => Err(self.wrong(format!("its answer cannot be understood: {error}"))),
        }
    }

    fn wrong(&self, reason: impl ToString) -> Error {
        Error::Training { program: self.program.clone(), reason: reason.to_string() }
    }
}

impl Drop for Trainer {
    fn drop(&mut self) {
        // It may have ended by itself, and then there is nothing to kill; waiting leaves no zombie.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The program beside this one, if it is there; otherwise by its name, which the system looks up.
fn found() -> PathBuf {
    let beside = std::env::current_exe().map(|own| own.with_file_name(PROGRAM)).ok();
    beside.filter(|path| path.is_file()).unwrap_or_else(|| PROGRAM.into())
}
