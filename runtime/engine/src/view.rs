//! Looking at an output.

use crate::model::{DType, TensorInfo};

/// One output of the last run: its name, its shape, and its values in row-major order. Nothing is copied.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// Name, shape and element type.
    pub info: &'a TensorInfo,
    /// The values.
    pub data: Data<'a>,
}

/// The values of a tensor.
#[derive(Clone, Copy, Debug)]
pub enum Data<'a> {
    /// 32-bit floats.
    F32(&'a [f32]),
    /// Unsigned bytes.
    U8(&'a [u8]),
    /// Signed bytes.
    I8(&'a [i8]),
    /// 32-bit integers.
    I32(&'a [i32]),
    /// 64-bit integers.
    I64(&'a [i64]),
    /// Truth values, one byte each, 0 or 1.
    Bool(&'a [u8]),
    /// Another element type, as bytes in native order.
    Bytes(&'a [u8]),
}

impl<'a> View<'a> {
    /// The output's name.
    #[must_use]
    pub fn name(&self) -> &'a str {
        &self.info.name
    }

    /// The output's shape.
    #[must_use]
    pub fn shape(&self) -> &'a [usize] {
        &self.info.shape
    }

    /// The values, if they are 32-bit floats.
    #[must_use]
    pub fn as_f32(&self) -> Option<&'a [f32]> {
        match self.data {
            Data::F32(values) => Some(values),
            _ => None,
        }
    }
}

impl<'a> Data<'a> {
    /// Reads bytes as elements. Falls back to [`Data::Bytes`] where they do not lie as the type needs.
    pub(crate) fn from_bytes(dtype: DType, bytes: &'a [u8]) -> Data<'a> {
        match dtype {
            DType::F32 => cast(bytes).map(Data::F32),
            DType::I32 => cast(bytes).map(Data::I32),
            DType::I64 => cast(bytes).map(Data::I64),
            DType::I8 => cast(bytes).map(Data::I8),
            DType::U8 => Some(Data::U8(bytes)),
            DType::Bool => Some(Data::Bool(bytes)),
            _ => None,
        }
        .unwrap_or(Data::Bytes(bytes))
    }
}

/// Integers and floats, for which every bit pattern is a value.
trait Plain {}
impl Plain for f32 {}
impl Plain for i32 {}
impl Plain for i64 {}
impl Plain for i8 {}

fn cast<T: Plain>(bytes: &[u8]) -> Option<&[T]> {
    // SAFETY: `Plain` types have no invalid bit pattern; `align_to` keeps to the slice.
    let (head, values, tail) = unsafe { bytes.align_to::<T>() };
    (head.is_empty() && tail.is_empty()).then_some(values)
}
