//! Boards: what is known about each, as data; which one this is; and whether it is fit for the job.
//!
//! What lives here: one TOML file a board (beside `src/`), embedded; the code that reads them ([`all`], [`by_name`]),
//! recognises the board ([`detect`]) and checks it ([`check`]).
//!
//! What must not live here: opening a camera or a GPIO line (`jidoka-capture`, `jidoka-pins`), and decisions. This crate
//! says what it sees and what to do about it; whether to start all the same is up to the caller.
//!
//! Relies on: `/proc`, `/sys` and `/dev` below a root that the caller gives, so that tests can fake a board.
//!
//! A board that no file describes is `generic`; adding one means adding a file and its line in `BOARDS`.

mod board;
mod check;
mod detect;

pub use board::{Board, Camera, Cpu, Detect, Error, Gpio, Header, HeaderPin, Recommend, Wiring, all, by_name, parse};
pub use check::{Finding, Level, Machine, check};
pub use detect::{Detected, detect};
