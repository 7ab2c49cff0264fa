//! The arena: one block of memory, and slots in it that the plan hands out.

use crate::kernels::Number;
use crate::layout::ALIGN_BYTES;

/// A range of the arena; begins at a multiple of [`ALIGN_BYTES`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Slot {
    pub offset: usize,
    pub bytes: usize,
}

impl Slot {
    fn end(self) -> usize {
        self.offset + self.bytes
    }

    fn meets(self, other: Slot) -> bool {
        self.offset < other.end() && other.offset < self.end()
    }
}

#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([u8; ALIGN_BYTES]);

/// The arena. Allocated once, never grown.
pub(crate) struct Memory {
    lines: Box<[Line]>,
}

impl Memory {
    /// Zeroed memory of at least `bytes`.
    pub fn new(bytes: usize) -> Memory {
        Memory { lines: vec![Line([0; ALIGN_BYTES]); bytes.div_ceil(ALIGN_BYTES)].into_boxed_slice() }
    }

    pub fn bytes(&self) -> usize {
        self.lines.len() * ALIGN_BYTES
    }

    /// What a slot holds.
    pub fn read<T: Number>(&self, slot: Slot) -> &[T] {
        self.check::<T>(slot);
        // SAFETY: the slot was checked to lie inside the block and to be aligned; any bits are a `T`.
        unsafe { std::slice::from_raw_parts(self.base().add(slot.offset).cast(), slot.bytes / size_of::<T>()) }
    }

    /// A slot to write to.
    pub fn write<T: Number>(&mut self, slot: Slot) -> &mut [T] {
        self.check::<T>(slot);
        // SAFETY: as in `read`, and the whole arena is borrowed mutably.
        unsafe { slice_mut(self.base().cast_mut(), slot) }
    }

    /// A slot to write to, and what may be read meanwhile: everything else.
    pub fn split<T: Number>(&mut self, out: Slot) -> (Rest<'_>, &mut [T]) {
        let (rest, out, _) = self.split_with::<T, u8>(out, Slot::default());
        (rest, out)
    }

    /// As [`Memory::split`], with a second slot to write to.
    ///
    /// # Panics
    /// When the slots overlap, which a plan never has.
    pub fn split_with<T: Number, S: Number>(&mut self, out: Slot, scratch: Slot) -> (Rest<'_>, &mut [T], &mut [S]) {
        self.check::<T>(out);
        self.check::<S>(scratch);
        assert!(!out.meets(scratch), "scratch overlaps the output");
        let base = self.base().cast_mut();
        // SAFETY: both slots were checked to lie inside and apart; `Rest` reads neither; all three borrow the arena.
        unsafe { (Rest { memory: self, taken: [out, scratch] }, slice_mut(base, out), slice_mut(base, scratch)) }
    }

    fn check<T>(&self, slot: Slot) {
        assert!(
            slot.end() <= self.bytes() && slot.offset.is_multiple_of(ALIGN_BYTES) && align_of::<T>() <= ALIGN_BYTES
        );
    }

    fn base(&self) -> *const u8 {
        self.lines.as_ptr().cast()
    }
}

/// # Safety
/// The slot lies inside the block at `base`, nobody else uses it during `'a`, and it is aligned for `T`.
unsafe fn slice_mut<'a, T: Number>(base: *mut u8, slot: Slot) -> &'a mut [T] {
    // SAFETY: the caller's promise.
    unsafe { std::slice::from_raw_parts_mut(base.add(slot.offset).cast(), slot.bytes / size_of::<T>()) }
}

/// The arena without what is being written.
#[derive(Clone, Copy)]
pub(crate) struct Rest<'a> {
    memory: &'a Memory,
    taken: [Slot; 2],
}

impl<'a> Rest<'a> {
    /// What a slot holds.
    ///
    /// # Panics
    /// When the slot is being written, which a plan never asks for.
    pub fn read<T: Number>(&self, slot: Slot) -> &'a [T] {
        assert!(!self.taken.iter().any(|t| t.meets(slot)), "a step reads what it writes");
        self.memory.read(slot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "a step reads what it writes")]
    fn reading_what_is_written_is_refused() {
        let mut memory = Memory::new(256);
        let (rest, _) = memory.split::<f32>(Slot { offset: 64, bytes: 64 });
        rest.read::<f32>(Slot { offset: 0, bytes: 128 });
    }

    #[test]
    fn slots_are_apart() {
        let mut memory = Memory::new(256);
        memory.write::<f32>(Slot { offset: 0, bytes: 16 }).fill(2.0);
        let (rest, out) = memory.split::<f32>(Slot { offset: 64, bytes: 16 });
        out.copy_from_slice(rest.read(Slot { offset: 0, bytes: 16 }));
        assert_eq!(memory.read::<f32>(Slot { offset: 64, bytes: 16 }), [2.0; 4]);
    }
}
