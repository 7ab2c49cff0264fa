//! The line (being written).
#![no_std]
