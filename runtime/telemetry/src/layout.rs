//! The file: a header page, then `capacity` slots. All of it is `u64` words, read and written as atomics.
//!
//! ```text
//! word 0      magic
//!      1      version << 32 | words a slot
//!      2      capacity in slots
//!      3      instance: changes with each inspector
//!      4      writer's pid
//!      5      head: records ever written
//!      6      retired: 1 once another file has taken this one's place
//!     16      status stamp, then the status
//!     48      camera stamp, then how the camera fares
//!    512      slot 0: stamp, kind, payload; slot 1; ...
//! ```
//!
//! Stamps make a seqlock (Boehm, "Can seqlocks get along with programming language memory models?", 2012): record `n` is
//! in the making while its slot's stamp is `2n + 1` and whole when it is `2n + 2`. The payload words are relaxed atomics,
//! so a reader that races with the writer reads stale words, never undefined ones, and the second look at the stamp tells.

use std::fs::File;
use std::sync::atomic::{AtomicU64, Ordering, fence};

use memmap2::{MmapOptions, MmapRaw};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// The layout's version. Readers refuse any other.
pub const VERSION: u32 = 4;

pub(crate) const MAGIC: u64 = u64::from_le_bytes(*b"JIDOKAtl");
pub(crate) const HEADER_WORDS: usize = 512;
pub(crate) const SLOT_WORDS: usize = 32;
/// Words of a slot that a record can use; the stamp and the kind take one each.
pub(crate) const PAYLOAD_WORDS: usize = SLOT_WORDS - 2;

pub(crate) const AT_MAGIC: usize = 0;
pub(crate) const AT_VERSION: usize = 1;
pub(crate) const AT_CAPACITY: usize = 2;
pub(crate) const AT_INSTANCE: usize = 3;
pub(crate) const AT_PID: usize = 4;
pub(crate) const AT_HEAD: usize = 5;
pub(crate) const AT_RETIRED: usize = 6;
pub(crate) const AT_STATUS: usize = 16;
pub(crate) const AT_CAMERA: usize = AT_STATUS + SLOT_WORDS;

/// The version word of this layout.
pub(crate) const VERSION_WORD: u64 = (VERSION as u64) << 32 | SLOT_WORDS as u64;

/// Bytes of a file for so many slots.
pub(crate) const fn file_bytes(capacity: usize) -> u64 {
    ((HEADER_WORDS + capacity * SLOT_WORDS) * 8) as u64
}

/// A mapped ring file.
pub(crate) struct Region {
    map: MmapRaw,
}

impl Region {
    /// Map the whole file for writing, with every page in memory.
    pub(crate) fn writable(file: &File) -> std::io::Result<Self> {
        Ok(Region { map: MmapOptions::new().populate().map_raw(file)? })
    }

    /// Map the whole file for reading only.
    pub(crate) fn readable(file: &File) -> std::io::Result<Self> {
        Ok(Region { map: MmapOptions::new().map_raw_read_only(file)? })
    }

    /// How many words there are.
    pub(crate) fn len(&self) -> usize {
        self.map.len() / 8
    }

    /// The file as words.
    pub(crate) fn words(&self) -> &[AtomicU64] {
        let words = self.map.as_mut_ptr().cast::<AtomicU64>();
        // SAFETY: the map is page-aligned, lives as long as `self`, and holds `len()` whole words, for which every bit
        // pattern is valid. Everyone who shares the file uses it through atomics only. In a read-only map the words are
        // only loaded (`Reader` stores nothing), which for 64-bit atomics is a plain load on the 64-bit targets we have.
        unsafe { std::slice::from_raw_parts(words, self.len()) }
    }
}

/// What lies under a stamp: a kind and the words of a record.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
pub(crate) struct Cell {
    pub kind: u64,
    pub payload: [u64; PAYLOAD_WORDS],
}

impl Cell {
    /// The payload read as a record.
    pub(crate) fn read<T: FromBytes>(&self) -> T {
        // A record is shorter than the payload (checked when it is written), so there is always a prefix.
        T::read_from_prefix(self.payload.as_bytes()).map_or_else(|_| T::new_zeroed(), |(record, _)| record)
    }
}

/// Write a record under the stamp at `words[0]`: `begin` (odd) while it is in the making, `begin + 1` when it is whole.
pub(crate) fn store<T: IntoBytes + Immutable>(words: &[AtomicU64], begin: u64, kind: u64, record: &T) {
    const {
        assert!(
            size_of::<T>().is_multiple_of(8) && size_of::<T>() <= PAYLOAD_WORDS * 8,
            "a record is whole words and fits"
        )
    };
    words[0].store(begin, Ordering::Relaxed);
    // Nobody may see a new word under the old stamp.
    fence(Ordering::Release);
    words[1].store(kind, Ordering::Relaxed);
    for (word, chunk) in words[2..].iter().zip(record.as_bytes().chunks_exact(8)) {
        // A chunk is 8 bytes long, so the conversion cannot fail.
        word.store(u64::from_ne_bytes(chunk.try_into().unwrap_or_default()), Ordering::Relaxed);
    }
    words[0].store(begin + 1, Ordering::Release);
}

/// Read what lies under the stamp at `words[0]`, and the stamp. `Err` with the stamp when it was in the making or was
/// overwritten meanwhile.
pub(crate) fn load(words: &[AtomicU64]) -> Result<(u64, Cell), u64> {
    let before = words[0].load(Ordering::Acquire);
    if before % 2 == 1 {
        return Err(before);
    }
    let mut cell = Cell { kind: words[1].load(Ordering::Relaxed), payload: [0; PAYLOAD_WORDS] };
    for (value, word) in cell.payload.iter_mut().zip(&words[2..]) {
        *value = word.load(Ordering::Relaxed);
    }
    // The second look at the stamp may not move up before the reads.
    fence(Ordering::Acquire);
    let after = words[0].load(Ordering::Relaxed);
    if after == before { Ok((before, cell)) } else { Err(after) }
}
