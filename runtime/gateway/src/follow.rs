//! Following the ring: open it, read what is new, and open it again when the inspector came back as another.

use std::path::PathBuf;

use jidoka_telemetry::{Error, Next, Reader, ring_path, stations};

use crate::view::Shared;

/// Which ring to follow.
#[derive(Clone, Debug)]
pub enum Source {
    /// This station's in this directory.
    Station(PathBuf, String),
    /// The only one in this directory.
    Only(PathBuf),
}

impl Source {
    fn path(&self) -> Result<PathBuf, String> {
        match self {
            Source::Station(dir, station) => ring_path(dir, station).map_err(|error| error.to_string()),
            Source::Only(dir) => {
                let found = stations(dir).map_err(|error| error.to_string())?;
                match found.as_slice() {
                    [station] => ring_path(dir, station).map_err(|error| error.to_string()),
                    [] => Err(format!("no inspector has run yet: {} holds no ring", dir.display())),
                    several => Err(format!(
                        "several stations in {}: {}; start one gateway for each, with --station",
                        dir.display(),
                        several.join(", ")
                    )),
                }
            }
        }
    }
}

/// Reads the ring into a [`Shared`] view, a step at a time.
pub struct Follower {
    source: Source,
    shared: Shared,
    reader: Option<Reader>,
    /// The inspector that wrote what was read last.
    instance: Option<u64>,
    said: Option<String>,
}

impl Follower {
    /// Nothing opened yet.
    pub fn new(source: Source, shared: Shared) -> Self {
        Follower { source, shared, reader: None, instance: None, said: None }
    }

    /// Read everything that is new. Never waits; whatever is wrong is noted in the view and tried again next time.
    pub fn step(&mut self) {
        if self.reader.as_ref().is_some_and(Reader::is_stale) {
            // What the old ring still holds was written before the new one was made.
            self.read_new();
            self.reader = None;
        }
        if self.reader.is_none() {
            match self.open() {
                Ok(reader) => self.reader = Some(reader),
                Err(problem) => return self.note(Some(problem)),
            }
        }
        self.read_new();
    }

    fn open(&self) -> Result<Reader, String> {
        let path = self.source.path()?;
        let mut reader = Reader::open(&path).map_err(|error| match error {
            Error::Absent { path } => format!("no inspector has run yet: {} is not there", path.display()),
            other => other.to_string(),
        })?;
        log::info!("following {}", path.display());
        // A gateway that starts late shows what is still there, but no more than it keeps.
        reader.rewind(self.shared.lock().history() as u64);
        Ok(reader)
    }

    fn read_new(&mut self) {
        let Some(reader) = &mut self.reader else { return };
        let instance = reader.instance();
        let mut view = self.shared.lock();
        if self.instance.is_some_and(|last| last != instance) {
            view.restarts += 1;
            log::info!("the inspector restarted");
        }
        self.instance = Some(instance);
        // As many as the ring holds, so that a writer that never rests cannot keep this loop (and the lock) for ever.
        for _ in 0..=reader.capacity() {
            match reader.poll() {
                Next::Record(index, record) => view.take(index, &record),
                Next::Lost(count) => view.lost += count,
                Next::Idle => break,
            }
        }
        // A status that cannot be read (its writer died in the middle) leaves the last good one, which soon counts as silent.
        if let Some(status) = reader.status() {
            view.status = Some(status);
        }
        if let Some(camera) = reader.camera() {
            view.camera = Some(camera);
        }
        drop(view);
        self.note(None);
    }

    /// Keep the problem for the page, and say it once in the log.
    fn note(&mut self, problem: Option<String>) {
        if let Some(problem) = &problem
            && self.said.as_ref() != Some(problem)
        {
            log::warn!("{problem}");
        }
        self.said.clone_from(&problem);
        self.shared.lock().problem = problem;
    }
}

#[cfg(test)]
mod tests {
    use jidoka_telemetry::{State, Status, VerdictRecord, Writer};

    use super::*;

    /// The parts seen, the restarts, the records lost, and the problem: copied under one lock.
    fn seen(shared: &Shared) -> (Vec<u64>, u64, u64, String) {
        let view = shared.lock();
        let parts = view.verdicts.iter().map(|(_, verdict)| verdict.part).collect();
        (parts, view.restarts, view.lost, view.problem.clone().unwrap_or_default())
    }

    fn check(shared: &Shared, parts: std::ops::Range<u64>, restarts: u64, lost: u64, problem: &str) {
        let (seen, seen_restarts, seen_lost, seen_problem) = seen(shared);
        assert_eq!((seen, seen_restarts, seen_lost), (parts.collect(), restarts, lost));
        let as_expected = if problem.is_empty() { seen_problem.is_empty() } else { seen_problem.contains(problem) };
        assert!(as_expected, "{seen_problem:?} is not {problem:?}");
    }

    fn write(writer: &mut Writer, parts: std::ops::Range<u64>) {
        for part in parts {
            writer.verdict(&VerdictRecord { part, ..VerdictRecord::default() });
        }
        writer.status(&Status { state: State::Running.code(), ..Status::default() });
    }

    #[test]
    fn restarts_and_replacements_are_followed() {
        let dir = tempfile::tempdir().unwrap();
        let path = ring_path(dir.path(), "a").unwrap();
        let shared = Shared::new(32);
        let mut follower = Follower::new(Source::Only(dir.path().into()), shared.clone());
        follower.step();
        check(&shared, 0..0, 0, 0, "no inspector has run yet");

        let mut writer = Writer::open(&path, 16).unwrap();
        write(&mut writer, 0..3);
        follower.step();
        check(&shared, 0..3, 0, 0, "");

        // Restarted in place, then with another capacity, which is another file; the last records of the old are not lost.
        drop(writer);
        let mut writer = Writer::open(&path, 16).unwrap();
        write(&mut writer, 3..5);
        follower.step();
        check(&shared, 0..5, 1, 0, "");
        write(&mut writer, 5..6);
        drop(writer);
        let mut writer = Writer::open(&path, 32).unwrap();
        write(&mut writer, 6..8);
        follower.step();
        check(&shared, 0..8, 2, 0, "");

        // A ring of 32 holds 32 of 40.
        write(&mut writer, 8..48);
        follower.step();
        check(&shared, 16..48, 2, 8, "");

        std::fs::remove_file(&path).unwrap();
        follower.step();
        check(&shared, 16..48, 2, 8, "no inspector has run yet");
    }

    #[test]
    fn several_stations_have_to_be_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = Writer::open(&ring_path(dir.path(), "left").unwrap(), 16).unwrap();
        let _other = Writer::open(&ring_path(dir.path(), "right").unwrap(), 16).unwrap();
        write(&mut writer, 0..1);
        let shared = Shared::new(10);
        Follower::new(Source::Only(dir.path().into()), shared.clone()).step();
        check(&shared, 0..0, 0, 0, "left, right; start one gateway for each");
        Follower::new(Source::Station(dir.path().into(), "left".into()), shared.clone()).step();
        check(&shared, 0..1, 0, 0, "");
    }

    #[test]
    fn a_late_gateway_takes_no_more_than_it_keeps() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = Writer::open(&ring_path(dir.path(), "a").unwrap(), 64).unwrap();
        write(&mut writer, 0..50);
        let shared = Shared::new(5);
        Follower::new(Source::Only(dir.path().into()), shared.clone()).step();
        check(&shared, 45..50, 0, 0, "");
    }
}
