//! Buffers from a DMA heap (`/dev/dma_heap`), which the camera fills in place of its own.
//!
//! Many boards map a driver's own buffers uncached, so that every byte read costs a trip to memory; a heap's are cached,
//! and the kernel is told when the processor begins and ends to read them.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use super::sys::Mapping;

/// Where heaps are, the one that suits a camera without an IOMMU (contiguous memory) last.
const HEAPS: [&str; 3] = ["system", "linux,cma", "default_cma_region"];
const FOLDER: &str = "/dev/dma_heap";

/// `struct dma_heap_allocation_data`.
#[repr(C)]
struct Allocation {
    len: u64,
    fd: u32,
    fd_flags: u32,
    heap_flags: u64,
}

/// `_IOWR('H', 0, struct dma_heap_allocation_data)` and `_IOW('b', 0, struct dma_buf_sync)`.
const HEAP_ALLOC: libc::c_ulong = 3 << 30 | 24 << 16 | (b'H' as libc::c_ulong) << 8;
const BUF_SYNC: libc::c_ulong = 1 << 30 | 8 << 16 | (b'b' as libc::c_ulong) << 8;
const SYNC_READ: u64 = 1;
const SYNC_END: u64 = 4;

/// A buffer that driver and processor share.
pub(super) struct Shared {
    fd: OwnedFd,
    /// Its bytes.
    pub mapping: Mapping,
}

/// The first heap that this machine has, and may open; with the reason where there is none.
pub(super) fn open() -> Result<(File, PathBuf), String> {
    let mut reasons = Vec::new();
    for name in HEAPS {
        let path = Path::new(FOLDER).join(name);
        match File::open(&path) {
            Ok(file) => return Ok((file, path)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => reasons.push(format!("{}: {error}", path.display())),
        }
    }
    if reasons.is_empty() {
        return Err(format!("this kernel has no DMA heap in {FOLDER}"));
    }
    Err(reasons.join("; "))
}

impl Shared {
    /// Takes `len` bytes from a heap.
    pub fn new(heap: &File, len: usize) -> io::Result<Shared> {
        let flags = (libc::O_RDWR | libc::O_CLOEXEC) as u32;
        let mut wanted = Allocation { len: len as u64, fd: 0, fd_flags: flags, heap_flags: 0 };
        // SAFETY: the request reads and writes this structure, which is exclusively ours for the call.
        let result = unsafe { libc::ioctl(heap.as_raw_fd(), HEAP_ALLOC as _, &raw mut wanted) };
        if result < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel has just made this descriptor for us, and nobody else knows it.
        let fd = unsafe { OwnedFd::from_raw_fd(wanted.fd as libc::c_int) };
        let mapping = Mapping::of(&fd, 0, len)?;
        Ok(Shared { fd, mapping })
    }

    /// What the driver is given.
    pub fn fd(&self) -> libc::c_int {
        self.fd.as_raw_fd()
    }

    /// Tells the kernel that reading begins, or has ended.
    pub fn read(&self, begins: bool) -> io::Result<()> {
        let flags = if begins { SYNC_READ } else { SYNC_READ | SYNC_END };
        // SAFETY: the request reads eight bytes, which are there for the call.
        let result = unsafe { libc::ioctl(self.fd.as_raw_fd(), BUF_SYNC as _, &raw const flags) };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}
