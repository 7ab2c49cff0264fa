//! Whole-system tests: what holds only when the crates, the scripts and the documents are looked at together.
//!
//! Lives here: the house rules as a program ([`tidy`]), the virtual board's driver ([`board`]), the programs that
//! play the operator inside it (`board-agent`, `board-camera`), pulling cameras ([`unplug`]), and textbook pixels to compare with
//! ([`reference`]). Must not live here: tests of one crate (they stand beside its code).
//! Relies on: a git checkout, and for the virtual board on `tests/board/boot` and a cross-built release binary.

pub mod board;
pub mod reference;
pub mod tidy;
pub mod unplug;
pub mod watch;
