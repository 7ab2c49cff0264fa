//! What teaching and `jidoka-trainer` say to each other, over the trainer's standard input and output; no file lies in between, so
//! that whatever ends either of them leaves nothing behind.
//!
//! ```text
//! to the trainer      a line of JSON: Job, then the teacher's ONNX, then the pictures, u8 [3,H,W] each
//! from the trainer    lines of JSON: Event; after Event::Done the weights (Weights::to_bytes)
//! ```
//!
//! The trainer reads on: when its input ends it stops, since nobody is there any more to use what it learns.

use std::io::{self, BufRead, Read};

use serde::{Deserialize, Serialize};
use serde_json::Error as JsonError;

/// The version of this conversation; both sides have to have the same.
pub const VERSION: u32 = 1;
/// Bytes of a teacher beyond which it cannot be one.
const LARGEST_TEACHER: usize = 1 << 30;

/// What is to be trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// [`VERSION`].
    pub version: u32,
    /// Width of the pictures in pixels.
    pub width: usize,
    /// Height of the pictures in pixels.
    pub height: usize,
    /// Channels of the teacher's outputs `stem`, `tap8` and `tap16`, which it has in this order.
    pub channels: [usize; 3],
    /// Bytes of the teacher's ONNX.
    pub teacher_bytes: usize,
    /// Pictures to train on; they come first.
    pub train: usize,
    /// Pictures to look at only, to know when to stop.
    pub held_out: usize,
    /// Most steps.
    pub steps: usize,
    /// Pictures a step.
    pub batch: usize,
    /// Seed of every random choice.
    pub seed: u64,
}

impl Job {
    /// What is wrong with it, if anything is.
    pub fn problem(&self) -> Option<String> {
        let side = |v: usize| (32..=4096).contains(&v) && v.is_multiple_of(16);
        if self.version != VERSION {
            return Some(format!("the job is of version {}, and this program speaks version {VERSION}", self.version));
        }
        if !(side(self.width) && side(self.height)) {
            return Some(format!(
                "pictures of {}x{}; expected multiples of 16 from 32 to 4096",
                self.width, self.height
            ));
        }
        if self.channels.iter().any(|c| !(1..=4096).contains(c)) || self.teacher_bytes > LARGEST_TEACHER {
            return Some(format!("a teacher of {:?} channels and {} bytes", self.channels, self.teacher_bytes));
        }
        if self.train < 2 || self.held_out < 1 || self.train.max(self.held_out) > 100_000 {
            return Some(format!("{} pictures to train on and {} held out", self.train, self.held_out));
        }
        if self.steps == 0 || !(2..=256).contains(&self.batch) {
            return Some(format!("{} steps of {} pictures; expected 1 or more of 2 to 256", self.steps, self.batch));
        }
        None
    }

    /// Bytes of one picture.
    pub fn picture_bytes(&self) -> usize {
        3 * self.width * self.height
    }
}

/// Why training ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// All steps were done.
    Steps,
    /// Held-out parts were predicted no better for a while.
    NoGain,
    /// The loss grew beyond all bounds; the best student so far was kept.
    Diverged,
}

/// How training went.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Training {
    /// Steps that were done.
    pub steps: usize,
    /// The step whose student was kept: the one with the least error on held-out parts.
    pub best_step: usize,
    /// Its mean squared error on them, in units of the taps' variance: 1 is no better than the mean.
    pub held_out_error: f64,
    /// Why it ended.
    pub end: End,
    /// Seconds that it took.
    pub seconds: f64,
}

/// What the trainer says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// It is at work.
    Step {
        /// Steps done.
        step: usize,
        /// Its loss.
        loss: f64,
        /// Seconds that are left, if all steps are done.
        left_s: f64,
    },
    /// It is done, and so many bytes of weights follow.
    Done {
        /// How it went.
        training: Training,
        /// Bytes that follow.
        bytes: usize,
    },
    /// It cannot do it; the text says what, where and what to do.
    Failed(String),
}

/// A value as one line of JSON.
///
/// # Errors
/// Never, for the values of this module.
pub fn line(value: &impl Serialize) -> Result<String, JsonError> {
    Ok(serde_json::to_string(value)? + "\n")
}

/// Reads one line of JSON; none where the input has ended.
///
/// # Errors
/// Where it cannot be read, is longer than a megabyte or is no such value.
pub fn read_line<T: for<'a> Deserialize<'a>>(input: &mut impl BufRead) -> io::Result<Option<T>> {
    let mut text = String::new();
    input.by_ref().take(1 << 20).read_line(&mut text)?;
    if text.is_empty() {
        return Ok(None);
    }
    Ok(Some(serde_json::from_str(&text)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const JOB: Job = Job {
        version: VERSION,
        width: 64,
        height: 32,
        channels: [16, 32, 64],
        teacher_bytes: 10,
        train: 8,
        held_out: 2,
        steps: 5,
        batch: 4,
        seed: 1,
    };

    #[test]
    fn what_is_said_is_what_is_heard() {
        let training = Training { steps: 5, best_step: 4, held_out_error: 0.25, end: End::NoGain, seconds: 1.5 };
        let text = line(&JOB).unwrap() + &line(&Event::Done { training: training.clone(), bytes: 3 }).unwrap() + "abc";
        let mut input = text.as_bytes();
        assert_eq!(read_line::<Job>(&mut input).unwrap(), Some(JOB));
        assert_eq!(read_line::<Event>(&mut input).unwrap(), Some(Event::Done { training, bytes: 3 }));
        assert_eq!(input, b"abc");
        assert!(read_line::<Event>(&mut input).is_err());
        assert_eq!(read_line::<Event>(&mut input).unwrap(), None);
    }

    #[test]
    fn jobs_that_make_no_sense_are_refused() {
        assert_eq!(JOB.problem(), None);
        for (job, said) in [
            (Job { version: 2, ..JOB }, "version 2"),
            (Job { width: 40, ..JOB }, "40x32"),
            (Job { channels: [0, 1, 1], ..JOB }, "channels"),
            (Job { train: 1, ..JOB }, "1 pictures"),
            (Job { steps: 0, ..JOB }, "0 steps"),
            (Job { batch: 1, ..JOB }, "of 1 pictures"),
        ] {
            let problem = job.problem().unwrap();
            assert!(problem.contains(said), "{problem}");
        }
    }
}
