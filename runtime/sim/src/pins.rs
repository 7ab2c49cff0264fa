//! Pins that share one board, so that the world sees what the line's outputs really do.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use embedded_hal::digital::{ErrorType, OutputPin};
use jidoka_line::{Outputs, Polarity, Signal, Wire};

/// What all pins show, and the edges since somebody last looked.
#[derive(Default)]
pub(crate) struct Board {
    levels: Cell<u16>,
    edges: RefCell<Vec<(Signal, bool)>>,
}

impl Board {
    /// Whether a signal is on.
    pub(crate) fn has(&self, signal: Signal) -> bool {
        self.levels.get() & (1 << signal as u16) != 0
    }

    /// Whether nothing is on.
    pub(crate) fn is_dark(&self) -> bool {
        self.levels.get() == 0
    }

    /// What the kernel does with the lines of a process that is gone, and what is left of them without power.
    pub(crate) fn release(&self) {
        self.levels.set(0);
    }

    /// Moves the edges since the last call into `edges`.
    pub(crate) fn take(&self, edges: &mut Vec<(Signal, bool)>) {
        edges.append(&mut self.edges.borrow_mut());
    }
}

/// One pin of the board.
pub(crate) struct Pin {
    signal: Signal,
    board: Rc<Board>,
}

impl ErrorType for Pin {
    type Error = core::convert::Infallible;
}

impl Pin {
    fn set(&mut self, on: bool) {
        if self.board.has(self.signal) != on {
            self.board.levels.set(self.board.levels.get() ^ (1 << self.signal as u16));
            self.board.edges.borrow_mut().push((self.signal, on));
        }
    }
}

impl OutputPin for Pin {
    fn set_low(&mut self) -> Result<(), Self::Error> {
        self.set(false);
        Ok(())
    }

    fn set_high(&mut self) -> Result<(), Self::Error> {
        self.set(true);
        Ok(())
    }
}

/// Every signal wired to the board, active high.
pub(crate) fn wire(board: &Rc<Board>) -> Outputs<Pin> {
    Signal::ALL.into_iter().fold(Outputs::new(), |outputs, signal| {
        outputs.wire(signal, Wire::new(Pin { signal, board: Rc::clone(board) }, Polarity::ActiveHigh))
    })
}
