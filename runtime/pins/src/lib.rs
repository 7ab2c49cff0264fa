//! GPIO lines by name: outputs, inputs and edges with kernel timestamps, over whatever ABI this kernel has.
//!
//! What lives here: finding a line ([`Gpio::find`]), requesting it, driving it, and putting it back to its safe state.
//! Three back ends reach real chips: the v2 character-device ABI (`gpiocdev`), the v1 ABI and sysfs
//! (`linux-embedded-hal`, for older kernels). A fourth, [`SimChip`], is a chip in this process for tests and the demo.
//! [`Gpio::open`] probes v2, then v1, then sysfs, and says in one log line which one it took.
//!
//! What must not live here: what a line *means* (reject, ready, strobe: `jidoka-line`), which header pin it is
//! (`jidoka-boards`), and timing of pulses. This crate knows lines, levels and edges.
//!
//! Relies on: the kernel's GPIO character device or sysfs; `embedded_hal::digital` for the traits that the line core takes.
//!
//! Levels are *logical* everywhere: `High` is active, and `active_low` is undone here, by the kernel where it can.
//!
//! Architecture invariant: an [`Output`] is at its safe state from the moment it is requested until it is first set,
//! and again when it is dropped or when a [`Trip`] fires. Held by `sim::tests::dropped_output_returns_to_its_safe_state`,
//! `output::tests::tripped_output_stays_safe`, and on real drivers by `examples/pins_board.rs`.
//! A process that dies by SIGKILL runs no code: the kernel releases its lines, but what a released line does is up to
//! the chip's driver. That case belongs to the wiring (energise to pass) and the watchdog.
//!
//! Architecture invariant: setting an output allocates nothing and takes no lock, on every back end.
//! Held by `tests/no_allocation.rs` and, on real drivers, by `examples/pins_board.rs`.

mod address;
mod edges;
mod error;
mod gpio;
mod inventory;
mod output;
mod probe;
mod sim;
mod sysfs;
mod v1;
mod v2;

pub use edges::{Edge, EdgeEvent, EdgeInput, Edges, Input};
pub use embedded_hal::digital::PinState;
pub use error::{Cause, Error, PinError};
pub use gpio::{Bias, Gpio, InputSpec, Options, OutputSpec};
pub use inventory::{ChipInfo, LineId, LineInfo};
pub use output::{Output, Trip};
pub use probe::Backend;
pub use rustix::event::PollFlags;
pub use sim::{SimChip, SimEdge};
