//! Files that a command will write: looked at before the work, so that nothing is taught or inspected for nothing.

use std::fs::{self, File};
use std::path::Path;

use jidoka_engine::onnx;

use crate::error::Error;

/// Whether a file can be written at `path`, by writing and removing an empty one beside it. What is at `path` is not touched.
///
/// # Errors
/// [`Error::Output`] naming what stands in the way.
pub fn writable(flag: &'static str, path: &Path) -> Result<(), Error> {
    let refuse = |reason: String, hint: &str| {
        Err(Error::Output { flag, path: path.to_owned(), reason, hint: format!("try: {hint}") })
    };
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let Some(name) = path.file_name().filter(|_| !path.is_dir()) else {
        return refuse("is a folder".into(), "the name of a file in it");
    };
    if !folder.is_dir() {
        let hint = format!("mkdir -p {}, or another place", folder.display());
        return refuse(format!("there is no folder {}", folder.display()), &hint);
    }
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name);
    hidden.push(format!(".{}.tmp", std::process::id()));
    let probe = folder.join(hidden);
    if let Err(error) = File::create(&probe) {
        return refuse(error.to_string(), "another place, or look at the folder's owner and the disk");
    }
    // A probe that cannot be taken away again is in nobody's way.
    let _ = fs::remove_file(probe);
    Ok(())
}

/// As [`writable`], for a model: what is there already must be one, so that no station file or photograph is lost to a slip
/// of the hand.
///
/// # Errors
/// [`Error::Output`], and [`Error::Usage`] where something else than a model is there.
pub fn writable_model(flag: &'static str, path: &Path) -> Result<(), Error> {
    writable(flag, path)?;
    if !path.exists() {
        return Ok(());
    }
    let bytes = fs::read(path).map_err(|error| Error::file(path, "read", error))?;
    // An empty file holds nothing that could be lost: `mktemp` makes such ones.
    if bytes.is_empty() || onnx::decode(&path.display().to_string(), &bytes).is_ok() {
        return Ok(());
    }
    Err(Error::Usage(format!(
        "{flag} {}: there is a file already, and it is no model; it stays as it is\n  expected: a new file, or a model to \
         replace\n  try: {flag} {}",
        path.display(),
        path.with_extension("onnx").display()
    )))
}
