//! Running the program and looking at what it said.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// The program with these arguments, in `folder`, without the caller's log settings.
pub fn jidoka(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_jidoka"));
    command.args(arguments).current_dir(folder).env_remove("RUST_LOG").stdin(Stdio::null());
    command
}

/// Runs it to its end; its exit code must be `code`.
pub fn check(folder: &Path, arguments: &[&str], code: i32) -> Output {
    let output = jidoka(folder, arguments).output().expect("the program starts");
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "jidoka {}\n{out}\n{err}", arguments.join(" "));
    output
}

/// Runs it to its end, which must be an error of this exit code whose message says all of `words`.
pub fn check_error(folder: &Path, arguments: &[&str], code: i32, words: &[&str]) {
    let err = text(&check(folder, arguments, code).stderr);
    for words in words {
        assert!(err.contains(words), "jidoka {} does not say {words:?}:\n{err}", arguments.join(" "));
    }
}

/// Bytes as text.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Each line of JSON.
pub fn json_lines(bytes: &[u8]) -> Vec<Value> {
    text(bytes).lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}"))).collect()
}
