//! The program as a whole: what it does with good input, and what it says to bad.

mod camera;
mod common;
mod flow;
mod line;
mod models;
mod refusals;
mod sim;
mod stumbles;
mod views;
