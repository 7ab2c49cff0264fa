//! A fixed block of memory that begins on a cache line.

/// One cache line.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([u8; 64]);

/// Plain numbers: any bits are a value, and none needs dropping.
///
/// # Safety
/// Implemented only for types without padding or invalid bit patterns whose alignment is at most 64.
pub unsafe trait Number: Copy + Default {}
// SAFETY: integers and floats have neither padding nor invalid bits.
unsafe impl Number for f32 {}
// SAFETY: as above.
unsafe impl Number for i32 {}
// SAFETY: as above.
unsafe impl Number for i8 {}
// SAFETY: as above.
unsafe impl Number for u8 {}
// SAFETY: as above.
unsafe impl Number for u16 {}
// SAFETY: as above.
unsafe impl Number for i16 {}
// SAFETY: as above.
unsafe impl Number for u32 {}
// SAFETY: as above.
unsafe impl Number for i64 {}

/// The same memory as numbers of another type of the same size and alignment.
///
/// # Panics
/// When size or alignment differ.
pub(crate) fn recast<T: Number, U: Number>(values: &mut [T]) -> &mut [U] {
    assert!(size_of::<T>() == size_of::<U>() && align_of::<T>() == align_of::<U>());
    // SAFETY: as many elements of the same size and alignment; any bits are a `Number`.
    unsafe { std::slice::from_raw_parts_mut(values.as_mut_ptr().cast(), values.len()) }
}

/// Memory for packed weights: 64-byte aligned, zeroed, allocated once at plan time.
#[derive(Clone)]
pub struct Aligned<T> {
    lines: Vec<Line>,
    len: usize,
    of: std::marker::PhantomData<T>,
}

impl<T: Number> Aligned<T> {
    /// `len` zeros.
    #[must_use]
    pub fn zeroed(len: usize) -> Self {
        let lines = (len * size_of::<T>()).div_ceil(64);
        Aligned { lines: vec![Line([0; 64]); lines], len, of: std::marker::PhantomData }
    }

    /// A copy that begins on a cache line.
    #[must_use]
    pub fn copied(values: &[T]) -> Self {
        let mut block = Self::zeroed(values.len());
        block.copy_from_slice(values);
        block
    }
}

impl<T: Number> std::ops::Deref for Aligned<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: `lines` holds at least `len` values of a type that takes any bits and is aligned to at most 64.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.len) }
    }
}

impl<T: Number> std::ops::DerefMut for Aligned<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as in `deref`, and borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.len) }
    }
}

impl<T> std::fmt::Debug for Aligned<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Aligned({})", self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_begins_on_a_line_and_keeps_its_values() {
        for len in [0, 1, 15, 16, 17, 1000] {
            let values: Vec<f32> = (0..len).map(|i| i as f32).collect();
            let block = Aligned::copied(&values);
            assert_eq!(&*block, &values[..]);
            assert!(len == 0 || (block.as_ptr() as usize).is_multiple_of(64));
        }
    }
}
