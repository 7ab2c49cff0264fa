//! The writer and the readers of a ring file.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use rustix::fs::{FlockOperation, flock, fstatfs};

use crate::layout::*;
use crate::{CameraRecord, Error, EventRecord, Record, Status, VerdictRecord, unix_us};

const KIND_STATUS: u64 = 0;
const KIND_VERDICT: u64 = 1;
const KIND_EVENT: u64 = 2;
const KIND_CAMERA: u64 = 3;

/// The one who writes. Made at start-up; writing then costs a few dozen stores and cannot fail.
pub struct Writer {
    region: Region,
    capacity: u64,
    head: u64,
    status_stamp: u64,
    camera_stamp: u64,
    memory_backed: bool,
    /// Locked for as long as this lives, so that a second inspector of the station is refused.
    _lock: File,
}

impl Writer {
    /// Go on with the ring at `path` if it is one of this layout and capacity, else put a new one there.
    pub fn open(path: &Path, capacity: usize) -> Result<Self, Error> {
        if !(16..=1 << 20).contains(&capacity) {
            return Err(Error::Capacity { capacity });
        }
        if let Some(dir) = path.parent() {
            std::fs::create_dir_all(dir).map_err(io("make the directory of", path))?;
        }
        let lock = lock(path)?;
        let (file, region) = match open_same(path, capacity)? {
            Some(found) => found,
            None => create(path, capacity)?,
        };
        let words = region.words();
        words[AT_PID].store(u64::from(std::process::id()), Ordering::Relaxed);
        words[AT_INSTANCE].store(unix_us(), Ordering::Release);
        let head = words[AT_HEAD].load(Ordering::Acquire);
        // An even stamp, even if the last writer died in the middle.
        let [status_stamp, camera_stamp] =
            [AT_STATUS, AT_CAMERA].map(|at| words[at].load(Ordering::Acquire).next_multiple_of(2));
        let memory_backed = is_memory_backed(&file);
        Ok(Writer { region, capacity: capacity as u64, head, status_stamp, camera_stamp, memory_backed, _lock: lock })
    }

    /// Is the file on a memory file system? If not, the kernel may write its pages to disk and fault them in again under
    /// the loop.
    pub fn is_memory_backed(&self) -> bool {
        self.memory_backed
    }

    /// Append a verdict. Never blocks, never allocates; the oldest record gives way.
    pub fn verdict(&mut self, record: &VerdictRecord) {
        self.append(KIND_VERDICT, record);
    }

    /// Append an event, likewise.
    pub fn event(&mut self, record: &EventRecord) {
        self.append(KIND_EVENT, record);
    }

    /// Replace the status.
    pub fn status(&mut self, status: &Status) {
        store(&self.region.words()[AT_STATUS..], self.status_stamp + 1, KIND_STATUS, status);
        self.status_stamp += 2;
    }

    /// Replace what is said of the camera.
    pub fn camera(&mut self, camera: &CameraRecord) {
        store(&self.region.words()[AT_CAMERA..], self.camera_stamp + 1, KIND_CAMERA, camera);
        self.camera_stamp += 2;
    }

    fn append<T: zerocopy::IntoBytes + zerocopy::Immutable>(&mut self, kind: u64, record: &T) {
        let words = self.region.words();
        store(slot(words, self.head, self.capacity), self.head * 2 + 1, kind, record);
        self.head += 1;
        words[AT_HEAD].store(self.head, Ordering::Release);
    }
}

fn slot(words: &[std::sync::atomic::AtomicU64], index: u64, capacity: u64) -> &[std::sync::atomic::AtomicU64] {
    let start = HEADER_WORDS + (index % capacity) as usize * SLOT_WORDS;
    &words[start..start + SLOT_WORDS]
}

fn io(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    let path = path.to_path_buf();
    move |source| Error::Io { doing, path, source }
}

/// `DIR/.STATION.lock`, locked until it is closed; the kernel closes it if the process dies.
fn lock(path: &Path) -> Result<File, Error> {
    let lock_path = beside(path, "lock");
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true).mode(0o644);
    let file = options.open(&lock_path).map_err(io("open", &lock_path))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => {
            let pid = Reader::open(path).map_or(0, |reader| reader.writer_pid());
            Err(Error::Busy { path: path.into(), pid })
        }
        Err(errno) => Err(io("lock", &lock_path)(errno.into())),
    }
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{stem}.{ending}"))
}

/// The ring that is there, if it has this layout and capacity; one of another is marked as retired.
fn open_same(path: &Path, capacity: usize) -> Result<Option<(File, Region)>, Error> {
    let file = match OpenOptions::new().read(true).write(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io("open", path)(error)),
    };
    let bytes = file.metadata().map_err(io("look at", path))?.len();
    if bytes < file_bytes(1) || !bytes.is_multiple_of(8) {
        return Ok(None);
    }
    let region = Region::writable(&file).map_err(io("map", path))?;
    let words = region.words();
    let word = |at: usize| words[at].load(Ordering::Acquire);
    if word(AT_MAGIC) != MAGIC {
        return Ok(None);
    }
    let same = word(AT_VERSION) == VERSION_WORD
        && word(AT_CAPACITY) == capacity as u64
        && bytes == file_bytes(capacity)
        && word(AT_RETIRED) == 0;
    if !same {
        words[AT_RETIRED].store(1, Ordering::Release);
        return Ok(None);
    }
    Ok(Some((file, region)))
}

/// A new ring, whole before it appears under its name.
fn create(path: &Path, capacity: usize) -> Result<(File, Region), Error> {
    let fresh = beside(path, "new");
    let mut options = OpenOptions::new();
    options.create(true).truncate(true).read(true).write(true).mode(0o644);
    let file = options.open(&fresh).map_err(io("make", &fresh))?;
    let allocated = rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, file_bytes(capacity));
    // Not every file system can reserve space; a hole is filled when the pages are touched below.
    if allocated.is_err() {
        file.set_len(file_bytes(capacity)).map_err(io("size", &fresh))?;
    }
    let region = Region::writable(&file).map_err(io("map", &fresh))?;
    let words = region.words();
    words.iter().for_each(|word| word.store(0, Ordering::Relaxed));
    words[AT_CAPACITY].store(capacity as u64, Ordering::Relaxed);
    words[AT_VERSION].store(VERSION_WORD, Ordering::Relaxed);
    words[AT_MAGIC].store(MAGIC, Ordering::Release);
    std::fs::rename(&fresh, path).map_err(io("put in place", path))?;
    Ok((file, region))
}

fn is_memory_backed(file: &File) -> bool {
    const TMPFS_MAGIC: i64 = 0x0102_1994;
    const RAMFS_MAGIC: i64 = 0x8584_58f6;
    fstatfs(file).is_ok_and(|fs| matches!(fs.f_type, TMPFS_MAGIC | RAMFS_MAGIC))
}

/// What a reader finds next.
#[allow(clippy::large_enum_variant, reason = "taken apart where it is made; a box would allocate for every record")]
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Next {
    /// A record and its number since the ring was made.
    Record(u64, Record),
    /// So many records were overwritten before they could be read.
    Lost(u64),
    /// Nothing new.
    Idle,
}

/// One who reads. Any number of them, in any process; the writer does not know.
pub struct Reader {
    path: PathBuf,
    region: Region,
    capacity: u64,
    inode: u64,
    cursor: u64,
}

impl Reader {
    /// Open the ring at `path`, at its oldest record.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(Error::Absent { path: path.into() });
            }
            Err(error) => return Err(io("open", path)(error)),
        };
        let metadata = file.metadata().map_err(io("look at", path))?;
        let damaged = |problem: String| Error::Damaged { path: path.into(), problem };
        if metadata.len() < file_bytes(1) {
            return Err(damaged(format!("{} bytes are too few", metadata.len())));
        }
        let region = Region::readable(&file).map_err(io("map", path))?;
        let word = |at: usize| region.words()[at].load(Ordering::Acquire);
        if word(AT_MAGIC) != MAGIC {
            return Err(damaged("it does not begin with the ring's magic".into()));
        }
        if word(AT_VERSION) != VERSION_WORD {
            let found = (word(AT_VERSION) >> 32) as u32;
            return Err(Error::Version { path: path.into(), found, expected: VERSION });
        }
        let capacity = word(AT_CAPACITY);
        if capacity == 0 || capacity > 1 << 20 || file_bytes(capacity as usize) != metadata.len() {
            return Err(damaged(format!("{capacity} records do not make {} bytes", metadata.len())));
        }
        let mut reader = Reader { path: path.into(), region, capacity, inode: metadata.ino(), cursor: 0 };
        reader.rewind(u64::MAX);
        Ok(reader)
    }

    /// Go back so that the last `count` records (or as many as there are) come next.
    pub fn rewind(&mut self, count: u64) {
        let head = self.head();
        self.cursor = head - count.min(head).min(self.capacity);
    }

    /// The next record. Does not wait.
    pub fn poll(&mut self) -> Next {
        let head = self.head();
        if self.cursor >= head {
            return Next::Idle;
        }
        let oldest = head.saturating_sub(self.capacity);
        if self.cursor < oldest {
            return self.skip_to(oldest);
        }
        match load(slot(self.region.words(), self.cursor, self.capacity)) {
            Ok((stamp, cell)) if stamp == self.cursor * 2 + 2 => {
                self.cursor += 1;
                Next::Record(self.cursor - 1, decode(&cell))
            }
            // Overwritten while we looked: this record is gone.
            _ => self.skip_to(self.cursor + 1),
        }
    }

    fn skip_to(&mut self, cursor: u64) -> Next {
        let lost = cursor - self.cursor;
        self.cursor = cursor;
        Next::Lost(lost)
    }

    /// The status as last written; `None` before the first, or if the writer died while it wrote one.
    pub fn status(&self) -> Option<Status> {
        self.beside(AT_STATUS)
    }

    /// What was last said of the camera; `None` likewise.
    pub fn camera(&self) -> Option<CameraRecord> {
        self.beside(AT_CAMERA)
    }

    fn beside<T: zerocopy::FromBytes>(&self, at: usize) -> Option<T> {
        // A record takes the writer well under a microsecond; this many looks that all met one in the making mean that
        // the writer died in the middle.
        (0..1000).find_map(|_| match load(&self.region.words()[at..at + SLOT_WORDS]) {
            Ok((0, _)) => Some(None),
            Ok((_, cell)) => Some(Some(cell.read::<T>())),
            Err(_) => {
                std::hint::spin_loop();
                None
            }
        })?
    }

    /// Records written since the ring was made.
    pub fn head(&self) -> u64 {
        self.region.words()[AT_HEAD].load(Ordering::Acquire)
    }

    /// How many records the ring holds.
    pub fn capacity(&self) -> u64 {
        self.capacity
    }

    /// A number that changes each time an inspector starts on this ring.
    pub fn instance(&self) -> u64 {
        self.region.words()[AT_INSTANCE].load(Ordering::Acquire)
    }

    /// The inspector's process.
    pub fn writer_pid(&self) -> u64 {
        self.region.words()[AT_PID].load(Ordering::Relaxed)
    }

    /// Has another file taken this one's place (an inspector with another capacity or version), or was it removed? Then
    /// open it anew. Costs a `stat`.
    pub fn is_stale(&self) -> bool {
        let replaced = || std::fs::metadata(&self.path).map_or(true, |metadata| metadata.ino() != self.inode);
        self.region.words()[AT_RETIRED].load(Ordering::Acquire) != 0 || replaced()
    }
}

fn decode(cell: &Cell) -> Record {
    match cell.kind {
        KIND_VERDICT => Record::Verdict(cell.read()),
        KIND_EVENT => Record::Event(cell.read()),
        other => Record::Unknown(other as u32),
    }
}

#[cfg(test)]
#[path = "ring_tests.rs"]
mod tests;
