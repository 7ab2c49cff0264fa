//! What a session is made of, for people and for `bench`.

use std::fmt;

/// A plan as data: its steps, and what falls back.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// The steps in the order in which they run.
    pub steps: Vec<StepReport>,
    /// Nodes without a static step, each as `op node-name`: they run through tract and allocate.
    pub fallbacks: Vec<String>,
    /// Bytes of the arena.
    pub arena_bytes: usize,
    /// The kernel family.
    pub isa: String,
}

/// One step of a plan.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StepReport {
    /// The node it was made from.
    pub name: String,
    /// What it does: `conv`, `depthwise`, `pool`, `chain`, `matmul`, `nearest`, `copy`, `border`, ...
    pub kind: String,
    /// Which kernel, and how the work is cut.
    pub detail: String,
    /// Multiply-accumulates of one run.
    pub macs: u64,
}

impl Report {
    /// Multiply-accumulates of one run.
    #[must_use]
    pub fn macs(&self) -> u64 {
        self.steps.iter().map(|s| s.macs).sum()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in &self.steps {
            let macs = step.macs as f64 / 1e6;
            writeln!(f, "{:10} {:40} {macs:10.2} MMAC  {}", step.kind, step.name, step.detail)?;
        }
        for node in &self.fallbacks {
            writeln!(f, "falls back: {node}")?;
        }
        let (kib, macs) = (self.arena_bytes.div_ceil(1024), self.macs() as f64 / 1e6);
        write!(f, "{} steps, {macs:.1} MMAC, arena {kib} KiB, {}", self.steps.len(), self.isa)
    }
}
