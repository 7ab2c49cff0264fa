//! The kernel's watchdog device (`Documentation/watchdog/watchdog-api.rst` in the kernel's sources).

use std::ffi::c_int;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::ioctl::{Updater, ioctl, opcode};

use crate::Error;

/// An open, armed watchdog.
#[derive(Debug)]
pub(crate) struct Device {
    path: PathBuf,
    file: File,
    timeout: Duration,
}

impl Device {
    /// Open it, which arms it, and set its time-out; the driver may round that.
    pub(crate) fn open(path: &Path, timeout_s: u32) -> Result<Self, Error> {
        let path = path.to_path_buf();
        let mut file = match OpenOptions::new().write(true).open(&path) {
            Ok(file) => file,
            Err(error) => {
                return Err(match (error.kind(), error.raw_os_error()) {
                    (ErrorKind::NotFound, _) => Error::Absent { path },
                    (ErrorKind::PermissionDenied, _) => Error::Permission { path },
                    (_, Some(errno)) if errno == rustix::io::Errno::BUSY.raw_os_error() => Error::Taken { path },
                    _ => Error::Open { path, cause: error },
                });
            }
        };
        match set_timeout(&file, timeout_s) {
            Ok(timeout) => Ok(Device { path, file, timeout }),
            Err(errno) => {
                // It is armed already: a refused config must not reset the board. If this fails too, nothing is left to try.
                let _ = file.write_all(b"V");
                Err(Error::Timeout { path, timeout_s, cause: errno.to_string() })
            }
        }
    }

    /// A plain file in place of a device.
    pub(crate) fn recording(path: &Path, timeout: Duration) -> std::io::Result<Self> {
        Ok(Device { path: path.into(), file: File::create(path)?, timeout })
    }

    /// The time-out that the driver took.
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Start its time over.
    pub(crate) fn feed(&mut self) -> std::io::Result<()> {
        self.file.write_all(b"\0")
    }

    /// The magic close: without this letter the device stays armed when it is closed.
    pub(crate) fn disarm(&mut self) -> std::io::Result<()> {
        self.file.write_all(b"V")
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} resets the board after {} s", self.path.display(), self.timeout.as_secs())
    }
}

/// `WDIOC_SETTIMEOUT`. Gives back what the driver made of it.
fn set_timeout(file: &File, timeout_s: u32) -> Result<Duration, rustix::io::Errno> {
    const SET_TIMEOUT: rustix::ioctl::Opcode = opcode::read_write::<c_int>(b'W', 6);
    let mut seconds = c_int::try_from(timeout_s).map_err(|_| rustix::io::Errno::INVAL)?;
    // SAFETY: WDIOC_SETTIMEOUT reads and writes one `int`, which is what it is given; other drivers answer ENOTTY.
    unsafe { ioctl(file, Updater::<SET_TIMEOUT, c_int>::new(&mut seconds))? };
    Ok(Duration::from_secs(u64::try_from(seconds).unwrap_or_default()))
}
