//! Writing files so that a power cut leaves the old one or the new one, never half of one.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::Error;

/// Writes `bytes` to `path`: into a temporary file beside it, fsync, rename over the target, fsync of the folder.
///
/// # Errors
/// [`Error::Io`] naming the file. The target is then what it was before, and no temporary file stays behind.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let Some(name) = path.file_name() else {
        let error = std::io::Error::new(std::io::ErrorKind::InvalidInput, "the path names no file");
        return Err(Error::io(path, "write", error));
    };
    // The process id keeps two writers of one target apart; the rename decides who was last.
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name);
    hidden.push(format!(".{}.tmp", std::process::id()));
    let temporary: PathBuf = folder.join(hidden);
    let written = write_and_rename(&temporary, path, folder, bytes);
    if written.is_err() {
        // Best effort: the error that counts is the one that is returned.
        let _ = fs::remove_file(&temporary);
    }
    written.map_err(|error| Error::io(path, "write", error))
}

fn write_and_rename(temporary: &Path, path: &Path, folder: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = File::create(temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    drop(file);
    fs::rename(temporary, path)?;
    File::open(folder)?.sync_all()
}

/// Writes a new file that only its owner may read; one that is there already is left alone.
///
/// # Errors
/// [`Error::Io`] naming the file.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    use std::os::unix::fs::OpenOptionsExt;
    let written = || -> std::io::Result<()> {
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    written().map_err(|error| Error::io(path, "write", error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn replaces_the_file_and_leaves_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.onnx");
        write_atomic(&path, b"old").unwrap();
        write_atomic(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(names(folder.path()), ["model.onnx"]);
    }

    #[test]
    fn a_failed_write_keeps_the_old_file_and_names_the_path() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("taken");
        fs::create_dir(&path).unwrap();
        let text = write_atomic(&path, b"x").unwrap_err().to_string();
        assert!(text.contains("taken"), "{text}");
        assert_eq!(names(folder.path()), ["taken"]);
        let absent = folder.path().join("absent").join("model.onnx");
        assert!(write_atomic(&absent, b"x").is_err());
    }
}
