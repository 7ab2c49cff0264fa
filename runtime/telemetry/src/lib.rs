//! Telemetry: what the inspector tells the rest of the machine, through a file that both have in memory.
//!
//! What lives here: the records ([`VerdictRecord`], [`EventRecord`], [`Status`]), their place in the file, one
//! [`Writer`] (the inspector) and any number of [`Reader`]s (the gateway, a person with a debugger after a crash).
//!
//! What must not live here: anything that decides, formats or sends. The inspector's loop calls [`Writer::verdict`] once
//! a part, so it is a few dozen stores: no allocation, no system call, no lock, no waiting for a reader.
//!
//! Relies on: a memory-backed directory (`/run/jidoka` or `$XDG_RUNTIME_DIR/jidoka`), so that the kernel never writes the
//! pages back and faults them in again; [`Writer::is_memory_backed`] tells.
//!
//! The ring is lossy and bounded: the newest `capacity` records are there, and a reader that falls behind is told how
//! many it lost. The file outlives the writer: after a crash it still holds the last records, and the next inspector
//! of that station goes on where it ended.
//!
//! Architecture invariant: a reader gets a record whole or not at all, whatever the writer does meanwhile.
//! Held by `ring::tests::readers_never_see_a_torn_record`.

mod camera;
mod clock;
mod error;
mod layout;
mod place;
mod records;
mod ring;

pub use camera::{CameraRecord, CameraState};
pub use clock::{monotonic_us, unix_us};
pub use error::Error;
pub use layout::VERSION;
pub use place::{default_dir, ring_path, stations};
pub use records::{
    EventKind, EventRecord, MAX_VIEWS, Name, Record, STAGES, StageTimes, State, Status, Verdict, VerdictRecord,
};
pub use ring::{Next, Reader, Writer};
