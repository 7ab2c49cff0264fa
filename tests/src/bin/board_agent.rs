//! Plays the operator inside the virtual board.
fn main() {}
