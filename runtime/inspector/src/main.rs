//! The `jidoka` program. All of it lives in the library beside it; here is only the door.

use std::process::ExitCode;

fn main() -> ExitCode {
    jidoka_inspector::main()
}
