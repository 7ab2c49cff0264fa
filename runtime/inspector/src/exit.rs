//! What the program says to the shell when it ends. Scripts and service managers branch on these.

/// How a command ended, as an exit code. The list is in `jidoka help` and in the README, so a number never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Ok = 0,
    /// The work failed in a way that no other code names.
    Failed = 1,
    /// Bad usage: a wrong argument, or a configuration that was refused. Nothing was opened or energised.
    Usage = 2,
    /// The model was refused: not an ONNX model, not of the contract, or not giving its golden check's score.
    Model = 3,
    /// A device or file is missing, busy or unfit: camera, GPIO, a model that is not there, an image that cannot be read.
    Device = 4,
    /// The station was running and had to stop by itself; outputs were driven safe.
    FailSafe = 5,
}

/// The table for `--help`.
pub const HELP: &str = "\
Exit codes:
  0  done
  1  failed
  2  bad usage, or a configuration that was refused (nothing was energised)
  3  the model was refused
  4  a device or file is missing, busy or unfit
  5  the station stopped by itself; its outputs were driven safe";

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        std::process::ExitCode::from(exit as u8)
    }
}
