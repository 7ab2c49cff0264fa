//! Where rings lie: one file a station, in a directory that is memory.

use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

use crate::Error;

const SYSTEM_DIR: &str = "/run/jidoka";

/// `/run/jidoka` where this user may write (made if need be), else `$XDG_RUNTIME_DIR/jidoka`.
pub fn default_dir() -> Result<PathBuf, Error> {
    let system = Path::new(SYSTEM_DIR);
    let why = match writable(system) {
        Ok(()) => return Ok(system.into()),
        Err(error) => error,
    };
    let user = std::env::var_os("XDG_RUNTIME_DIR").filter(|dir| !dir.is_empty());
    match user.map(|dir| PathBuf::from(dir).join("jidoka")) {
        Some(dir) if writable(&dir).is_ok() => Ok(dir),
        _ => Err(Error::NoDirectory { why: why.to_string() }),
    }
}

fn writable(dir: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(dir)?;
    Ok(access(dir, Access::WRITE_OK | Access::EXEC_OK)?)
}

/// The ring file of a station: `DIR/STATION.ring`.
pub fn ring_path(dir: &Path, station: &str) -> Result<PathBuf, Error> {
    let problem = if station.is_empty() {
        "is empty"
    } else if station.len() > 31 {
        "is too long"
    } else if !station.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-') {
        "has a character that a file name should not have"
    } else {
        return Ok(dir.join(format!("{station}.ring")));
    };
    Err(Error::StationName { name: station.into(), problem })
}

/// The stations that have a ring in `dir`, sorted. An absent directory has none.
pub fn stations(dir: &Path) -> Result<Vec<String>, Error> {
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(Error::Io { doing: "list", path: dir.into(), source }),
    };
    let name = |path: PathBuf| match (path.extension(), path.file_stem()) {
        (Some(extension), Some(stem)) if extension == "ring" => Some(stem.to_string_lossy().into_owned()),
        _ => None,
    };
    let mut found: Vec<String> = entries.filter_map(|entry| entry.ok()).filter_map(|e| name(e.path())).collect();
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn station_names_are_file_names() {
        let long = "x".repeat(32);
        for (name, problem) in [
            ("capper", None),
            ("Line_2-b", None),
            ("", Some("is empty")),
            (long.as_str(), Some("too long")),
            ("../etc", Some("character")),
            ("a b", Some("character")),
            ("größe", Some("character")),
        ] {
            let path = ring_path(Path::new("/run/jidoka"), name);
            match (path, problem) {
                (Ok(path), None) => assert_eq!(path, Path::new("/run/jidoka").join(format!("{name}.ring"))),
                (Err(error), Some(problem)) => assert!(error.to_string().contains(problem), "{name}: {error}"),
                (other, _) => panic!("{name}: {other:?}"),
            }
        }
    }

    #[test]
    fn stations_are_the_ring_files() {
        let dir = tempfile::tempdir().unwrap();
        for file in ["b.ring", "a.ring", "c.txt", ".a.ring.new"] {
            std::fs::write(dir.path().join(file), "").unwrap();
        }
        assert_eq!(stations(dir.path()).unwrap(), ["a", "b"]);
        assert!(stations(&dir.path().join("absent")).unwrap().is_empty());
    }
}
