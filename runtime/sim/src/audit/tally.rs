//! Counts over a shift.

use crate::fault::Fault;

#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Tally {
    pub(crate) parts: u64,
    pub(crate) bad: u64,
    pub(crate) faults: [u64; Fault::COUNT],
    pub(crate) passed: u64,
    pub(crate) rejected: u64,
    pub(crate) missed: u64,
    pub(crate) false_rejects: u64,
    pub(crate) stranded: u64,
    pub(crate) pulses: u64,
}
