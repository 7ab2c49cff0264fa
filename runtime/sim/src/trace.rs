//! What happened in a shift, kept only when somebody wants to read or see it.

use jidoka_line::{Departure, Outcome};

use crate::fault::Fault;

/// Something that happened.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Happening {
    /// A part reached the camera.
    Part {
        /// Which.
        ordinal: u64,
        /// Whether it is bad.
        bad: bool,
    },
    /// A frame of it was taken.
    Exposure {
        /// Of which part.
        ordinal: u64,
    },
    /// Its verdict was there.
    Verdict {
        /// Of which part.
        ordinal: u64,
        /// Whether it was good.
        pass: bool,
    },
    /// An ejector's pin changed.
    Pulse {
        /// Of which ejector; 0 is the reject ejector.
        ejector: usize,
        /// To this.
        on: bool,
    },
    /// A part was hit by the ejector (or let through by the gate).
    Hit {
        /// Which.
        ordinal: u64,
    },
    /// A part left the line's table.
    Left {
        /// How.
        departure: Departure,
    },
    /// A fault began.
    Fault(Fault),
    /// An invariant did not hold.
    Violation,
}

/// The happenings of a shift with their moments, where they are kept.
#[derive(Clone, Default, Debug)]
pub struct Trace {
    kept: Option<Vec<(u64, Happening)>>,
}

impl Trace {
    /// A trace that keeps everything.
    pub fn keeping() -> Trace {
        Trace { kept: Some(Vec::new()) }
    }

    /// What was kept: microseconds on the shift's clock, and what happened.
    pub fn happenings(&self) -> &[(u64, Happening)] {
        self.kept.as_deref().unwrap_or_default()
    }

    pub(crate) fn add(&mut self, at: u64, happening: impl FnOnce() -> Happening) {
        if let Some(kept) = &mut self.kept {
            kept.push((at, happening()));
        }
    }

    /// The last happenings in words, one a line.
    pub fn story(&self, most: usize) -> Vec<String> {
        let all = self.happenings();
        let mut last = all[all.len().saturating_sub(most * 2)..].to_vec();
        last.sort_by_key(|(at, _)| *at);
        last[last.len().saturating_sub(most)..].iter().map(|(at, happening)| tell(*at, happening)).collect()
    }
}

fn tell(at: u64, happening: &Happening) -> String {
    let what = match happening {
        Happening::Part { ordinal, bad } => {
            format!("{} part #{ordinal} at the camera", if *bad { "bad" } else { "good" })
        }
        Happening::Exposure { ordinal } => format!("frame of #{ordinal} taken"),
        Happening::Verdict { ordinal, pass } => {
            format!("verdict on #{ordinal}: {}", if *pass { "pass" } else { "reject" })
        }
        Happening::Pulse { ejector, on } => format!("pin of ejector {ejector} {}", if *on { "on" } else { "off" }),
        Happening::Hit { ordinal } => format!("ejector acts on #{ordinal}"),
        Happening::Left { departure } => {
            let how = match departure.outcome {
                Outcome::Pass => "passed",
                Outcome::Reject { .. } => "was rejected",
                Outcome::Missed => "was missed",
            };
            format!("line: part {} {how} ({:?})", departure.part.id.0, departure.why)
        }
        Happening::Fault(fault) => format!("fault: {fault:?}"),
        Happening::Violation => String::from("VIOLATION"),
    };
    format!("{:>12.3} ms  {what}", at as f64 / 1_000.0)
}
