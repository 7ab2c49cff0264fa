//! What a session is made of, for people and for `bench`.

use std::fmt;

/// A plan as data: its steps, and what falls back.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// The steps in the order in which they run.
    pub steps: Vec<StepReport>,
    /// Nodes without a static step, each as `op node-name`: they run through tract and allocate, within the session's pool if
    /// there is one.
    pub fallbacks: Vec<String>,
    /// Bytes of the arena.
    pub arena_bytes: usize,
    /// What lies where in the arena, and when.
    pub regions: Vec<Region>,
    /// Bytes set aside for nodes that run through tract.
    pub pool_bytes: usize,
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
    /// Bytes of its inputs, outputs and weights: what it would move if nothing of it were in a cache, and each once.
    pub bytes_moved: u64,
}

/// A value's place in the arena.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Region {
    /// The node that makes the value, or the input.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Bytes from the arena's start.
    pub offset_bytes: usize,
    /// Bytes with padding.
    pub size_bytes: usize,
    /// The first and the last step while which the bytes are its own, as numbers in [`Report::steps`].
    pub steps: [usize; 2],
}

impl Report {
    /// Multiply-accumulates of one run.
    #[must_use]
    pub fn macs(&self) -> u64 {
        self.steps.iter().map(|s| s.macs).sum()
    }

    /// Bytes that one run moves, as [`StepReport::bytes_moved`] estimates it.
    #[must_use]
    pub fn bytes_moved(&self) -> u64 {
        self.steps.iter().map(|s| s.bytes_moved).sum()
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
