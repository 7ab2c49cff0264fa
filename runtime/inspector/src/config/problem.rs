//! One thing that is wrong with a configuration, and the text that says so.

use std::fmt;

/// One refusal. Its text names the file, the line and the key, what was expected, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The line in the file, from 1; `None` where the fault is that something is absent.
    pub line: Option<usize>,
    /// What is wrong, beginning with the key: `[reject] pulse_ms = 180 reaches the next part`.
    pub what: String,
    /// The arithmetic or the circumstances, a line each.
    pub because: Vec<String>,
    /// What would have been accepted.
    pub expected: String,
    /// A way out, where there is an obvious one.
    pub hint: Option<String>,
}

impl Problem {
    /// A problem with what is wrong and what was expected; the rest is added by the other methods.
    pub fn new(line: Option<usize>, what: impl Into<String>, expected: impl Into<String>) -> Self {
        Problem { line, what: what.into(), because: Vec::new(), expected: expected.into(), hint: None }
    }

    /// Adds the way out.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// A configuration that was refused: every problem found in one reading, in the order of the file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Refused {
    /// The file as the user named it.
    pub file: String,
    /// At least one.
    pub problems: Vec<Problem>,
}

impl fmt::Display for Refused {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                write!(out, "\nerror: ")?;
            }
            match problem.line {
                Some(line) => write!(out, "{}:{line}: {}", self.file, problem.what)?,
                None => write!(out, "{}: {}", self.file, problem.what)?,
            }
            for reason in &problem.because {
                write!(out, "\n  {reason}")?;
            }
            write!(out, "\n  expected: {}", problem.expected)?;
            if let Some(hint) = &problem.hint {
                write!(out, "\n  try: {hint}")?;
            }
        }
        Ok(())
    }
}
