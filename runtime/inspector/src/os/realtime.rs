//! Asking the kernel for a thread that is not disturbed: locked memory, real-time priority, cores of its own.
//!
//! None of it is a condition: a laptop grants nothing, and the demo runs there too. What was granted and what was not
//! is said in one log line, with what to change.

use std::fmt;

use rustix::mm::{MlockAllFlags, mlockall};
use rustix::thread::{CpuSet, sched_setaffinity};

/// What a station wants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// Keep all memory resident.
    pub lock_memory: bool,
    /// `SCHED_FIFO` priority, 1 to 98; `None` for the ordinary scheduler.
    pub priority: Option<u8>,
    /// Cores that the thread may run on; empty for all.
    pub cores: Vec<u32>,
}

impl Wish {
    /// The same wish one priority higher; memory needs locking only once.
    pub fn more_urgent(&self) -> Wish {
        Wish { lock_memory: false, priority: self.priority.map(|priority| priority + 1), cores: self.cores.clone() }
    }
}

/// What became of one part of a wish.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    NotAsked,
    Granted(String),
    Refused(String),
}

/// What the kernel granted. Shows as one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Granted([Outcome; 3]);

impl fmt::Display for Granted {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = self.0.iter().filter_map(|outcome| match outcome {
            Outcome::NotAsked => None,
            Outcome::Granted(what) => Some(what.clone()),
            Outcome::Refused(why) => Some(format!("NOT {why}")),
        });
        let text = words.collect::<Vec<_>>().join("; ");
        out.write_str(if text.is_empty() { "nothing asked for" } else { &text })
    }
}

/// Applies `wish` to the calling thread (memory: to the process). Call it after start-up's memory has been taken.
pub fn apply(wish: &Wish) -> Granted {
    Granted([memory(wish.lock_memory), priority(wish.priority), cores(&wish.cores)])
}

fn memory(wanted: bool) -> Outcome {
    if !wanted {
        return Outcome::NotAsked;
    }
    match mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE) {
        Ok(()) => Outcome::Granted("memory locked".into()),
        Err(errno) => Outcome::Refused(format!(
            "memory locked ({errno}; needs CAP_IPC_LOCK or `LimitMEMLOCK=infinity` in the service)"
        )),
    }
}

fn priority(wanted: Option<u8>) -> Outcome {
    let Some(priority) = wanted else { return Outcome::NotAsked };
    // SAFETY: an all-zero `sched_param` is a valid value: it is made of integers.
    let mut parameters: libc::sched_param = unsafe { std::mem::zeroed() };
    parameters.sched_priority = i32::from(priority);
    // SAFETY: `parameters` is of the type that the call reads; pid 0 is the calling thread. RESET_ON_FORK keeps
    // threads that this one may start at the ordinary priority.
    let result = unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK, &parameters) };
    if result == 0 {
        return Outcome::Granted(format!("SCHED_FIFO {priority}"));
    }
    let error = std::io::Error::last_os_error();
    Outcome::Refused(format!("SCHED_FIFO {priority} ({error}; needs CAP_SYS_NICE or `LimitRTPRIO=` in the service)"))
}

fn cores(wanted: &[u32]) -> Outcome {
    if wanted.is_empty() {
        return Outcome::NotAsked;
    }
    let mut set = CpuSet::new();
    for core in wanted.iter().filter(|core| (**core as usize) < CpuSet::MAX_CPU) {
        set.set(*core as usize);
    }
    let list = wanted.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
    match sched_setaffinity(None, &set) {
        Ok(()) => Outcome::Granted(format!("cores {list}")),
        Err(errno) => Outcome::Refused(format!("on cores {list} ({errno}; this machine may not have them)")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(wish: Wish, expected: &str) {
        // On a thread of its own, so that the test runner's threads keep their cores.
        let line = std::thread::spawn(move || apply(&wish).to_string()).join().expect("no panic");
        assert!(line.contains(expected), "{line:?} does not say {expected:?}");
    }

    #[test]
    fn says_what_was_granted_and_what_was_not() {
        check(Wish::default(), "nothing asked for");
        check(Wish { cores: vec![0], ..Wish::default() }, "cores 0");
        check(Wish { cores: vec![1023], ..Wish::default() }, "NOT on cores 1023");
        check(Wish { priority: Some(1), ..Wish::default() }, "SCHED_FIFO 1");
    }
}
