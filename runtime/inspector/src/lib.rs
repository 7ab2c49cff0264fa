//! The inspector: camera in, verdict, reject pulse out.
//!
//! What lives here: the `jidoka` command line, the station's configuration, the loop, the actuator thread, the allocator
//! seal, and the report.
//!
//! What must not: reading ONNX (`jidoka-engine`), what a score means (`jidoka-models`), which part a verdict belongs to
//! and when the ejector fires (`jidoka-line`), and anything that talks to a network (`jidoka-gateway`).
//!
//! What it relies on: a monotonic clock that is also the camera driver's, and a kernel that gives its lines back.
//!
//! Architecture invariant: between the first and the last steady-state frame the loop's threads do not allocate; the
//! release binary counts it when they do ([`alloc`]).
//!
//! Architecture invariant: whatever ends the process, short of SIGKILL, drives the outputs safe first.

mod alloc;
mod cli;
mod config;
mod demo;
mod error;
mod exit;
mod os;
mod report;
mod scorer;
mod station;
mod stats;

/// Checks a configuration's text as `jidoka check --text-only` does: opens nothing.
///
/// # Errors
/// The refusal, in words.
pub fn check_config(file: &str, text: &str) -> Result<(), String> {
    config::Config::parse(file, text).map(|_| ()).map_err(|refused| refused.to_string())
}

/// The `jidoka` program: parses the arguments, does what they ask, and says how it ended.
pub fn main() -> std::process::ExitCode {
    cli::main()
}
