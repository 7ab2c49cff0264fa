//! The virtual board, from the host's side: whether it can be had here, and running `board-agent` on it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::tidy::root;

/// Why the virtual board is not used in this run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unavailable(pub String);

/// The programs for the board, cross-built by `scripts/test`.
#[derive(Debug, Clone)]
pub struct Programs {
    /// The product: `jidoka`.
    pub inspector: PathBuf,
    /// The operator inside the board: `board-agent`.
    pub agent: PathBuf,
    /// Who tries the camera: `board-camera`.
    pub camera: PathBuf,
}

/// What one boot left behind.
#[derive(Debug, Clone)]
pub struct Boot {
    /// Exit code of the agent; 124 when the time limit passed, 125 when the guest died.
    pub code: i32,
    /// Everything that the agent printed.
    pub output: String,
}

impl Programs {
    /// Finds the cross-built programs in the folder that `JIDOKA_BOARD_BIN` names.
    ///
    /// # Errors
    /// [`Unavailable`] with the reason, for a test to print before it skips.
    pub fn find() -> Result<Programs, Unavailable> {
        let Some(folder) = std::env::var_os("JIDOKA_BOARD_BIN").map(PathBuf::from) else {
            let how = "JIDOKA_BOARD_BIN is not set: `scripts/test` builds the board's programs and sets it";
            return Err(Unavailable(how.to_owned()));
        };
        let place = |name: &str| folder.join(name);
        let programs =
            Programs { inspector: place("jidoka"), agent: place("board-agent"), camera: place("board-camera") };
        for program in [&programs.inspector, &programs.agent, &programs.camera] {
            if !program.is_file() {
                return Err(Unavailable(format!("{} does not exist", program.display())));
            }
        }
        Ok(programs)
    }

    /// Like [`Programs::find`], but says why a test is skipped; in continuous integration nothing may be skipped.
    ///
    /// # Panics
    /// When `CI` is set and the board cannot be had.
    #[must_use]
    pub fn find_or_skip(test: &str) -> Option<Programs> {
        match Programs::find() {
            Ok(programs) => Some(programs),
            Err(Unavailable(reason)) => {
                assert!(std::env::var_os("CI").is_none(), "{test} may not be skipped in CI: {reason}");
                eprintln!("{test}: skipped: {reason}");
                None
            }
        }
    }

    /// Boots the emulated ARM board, runs `board-agent SCENARIO` there and waits for it. `share` appears as `/share`.
    ///
    /// # Errors
    /// When `tests/board/boot` cannot be started.
    pub fn boot(&self, scenario: &str, share: &Path, limit_s: u32) -> std::io::Result<Boot> {
        let output = Command::new(root().join("tests/board/boot"))
            .args(["-t", &limit_s.to_string()])
            .arg("-f")
            .arg(&self.inspector)
            .arg("-s")
            .arg(share)
            .args(["-n", "2", "-m", "1G", "aarch64"])
            .arg(&self.agent)
            .arg(scenario)
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()?;
        Ok(ended(&output))
    }

    /// Boots a board with other cameras (`vivid`: the driver's parameters), runs `board-camera` there and waits for it.
    ///
    /// # Errors
    /// When `tests/board/boot` cannot be started.
    pub fn boot_camera(&self, arguments: &[&str], vivid: &str, share: &Path, limit_s: u32) -> std::io::Result<Boot> {
        let output = Command::new(root().join("tests/board/boot"))
            .args(["-t", &limit_s.to_string(), "-n", "2", "-m", "1G", "-V", vivid, "-f"])
            .arg(&self.inspector)
            .arg("-s")
            .arg(share)
            .arg("aarch64")
            .arg(&self.camera)
            .args(arguments)
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()?;
        Ok(ended(&output))
    }
}

/// The example `pins_board` of `jidoka-pins` for the board: every way to a GPIO line, tried on real drivers.
///
/// # Errors
/// [`Unavailable`] with the reason.
pub fn pins_program() -> Result<PathBuf, Unavailable> {
    let folder = Programs::find()?.inspector;
    let program = folder.with_file_name("examples").join("pins_board");
    if program.is_file() { Ok(program) } else { Err(Unavailable(format!("{} does not exist", program.display()))) }
}

/// Boots `board` (see `tests/board/boot`) and runs a shell script there with `program` in its path.
///
/// # Errors
/// When `tests/board/boot` cannot be started.
pub fn boot_script(board: &str, program: &Path, script: &str, limit_s: u32) -> std::io::Result<Boot> {
    let output = Command::new(root().join("tests/board/boot"))
        .args(["-t", &limit_s.to_string(), "-f"])
        .arg(program)
        .args([board, "sh", "-c", script])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()?;
    Ok(Boot { code: output.status.code().unwrap_or(-1), output: String::from_utf8_lossy(&output.stdout).into_owned() })
}

fn ended(output: &std::process::Output) -> Boot {
    Boot { code: output.status.code().unwrap_or(-1), output: String::from_utf8_lossy(&output.stdout).into_owned() }
}
