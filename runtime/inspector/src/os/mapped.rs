//! A file as memory: what is written stays when the process dies, because the kernel has it.

use std::fs::OpenOptions;
use std::io;
use std::path::Path;
use std::ptr::NonNull;

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

/// A file of fixed size, mapped for writing.
#[derive(Debug)]
pub struct MappedFile {
    memory: NonNull<u8>,
    bytes: usize,
}

// SAFETY: the mapping is plain memory that only this value refers to in this process.
unsafe impl Send for MappedFile {}

impl MappedFile {
    /// Opens or makes the file, gives it this size, and maps it. Every page is touched, so that none is missing later.
    pub fn open(path: &Path, bytes: usize) -> io::Result<MappedFile> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        file.set_len(bytes as u64)?;
        let (access, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED | MapFlags::POPULATE);
        // SAFETY: a new mapping at an address of the kernel's choice; the file is as long as the mapping.
        let memory = unsafe { mmap(std::ptr::null_mut(), bytes, access, flags, &file, 0) }?;
        let memory = NonNull::new(memory.cast::<u8>()).ok_or(io::ErrorKind::InvalidData)?;
        Ok(MappedFile { memory, bytes })
    }

    /// The file's bytes.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        // SAFETY: the mapping is that long, readable and writable, and lives as long as `self`. Another process that wrote to
        // the file would change bytes under the reference; the records in it are checked by sum for that reason.
        unsafe { std::slice::from_raw_parts_mut(self.memory.as_ptr(), self.bytes) }
    }
}

impl Drop for MappedFile {
    fn drop(&mut self) {
        // SAFETY: made by `mmap` with this size; no reference outlives `self`.
        let _ = unsafe { munmap(self.memory.as_ptr().cast(), self.bytes) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_in_the_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("box");
        let mut map = MappedFile::open(&path, 100).expect("maps");
        map.as_mut_slice()[99] = 7;
        let bytes = std::fs::read(&path).expect("reads");
        assert_eq!((bytes.len(), bytes[99], bytes[0]), (100, 7, 0));
        drop(map);
        assert_eq!(MappedFile::open(&path, 100).expect("maps again").as_mut_slice()[99], 7);
    }
}
