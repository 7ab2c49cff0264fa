//! What a session may be told.

use crate::Error;
pub use crate::kernels::Isa;

/// How a [`Session`](crate::Session) is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Worker threads that share each step, at least 1. The results do not depend on it.
    pub threads: usize,
    /// Refuse a model that has a node without a static step, since such a node allocates while it runs.
    pub strict: bool,
    /// The instruction set to use; `None` takes the best there is, or what `JIDOKA_ISA` names.
    pub isa: Option<Isa>,
}

impl Default for Options {
    fn default() -> Self {
        Options { threads: 1, strict: false, isa: None }
    }
}

impl Options {
    /// The instruction set that a session with these options uses.
    ///
    /// # Errors
    /// [`Error::Isa`] where this CPU lacks it or `JIDOKA_ISA` names none.
    pub fn resolve_isa(&self) -> Result<Isa, Error> {
        match self.isa {
            Some(isa) => Ok(isa.checked()?),
            None => Ok(Isa::from_environment()?),
        }
    }
}
