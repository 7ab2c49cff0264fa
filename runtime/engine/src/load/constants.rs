//! The numbers that a constant of the ONNX message holds; none where it has another type or lies in another file.

use crate::onnx::TensorProto;
use crate::onnx::tensor_proto::DataType;

pub(super) fn floats(tensor: &TensorProto) -> Option<Vec<f32>> {
    held(tensor, DataType::Float, &tensor.float_data, f32::from_le_bytes)
}

pub(super) fn int32s(tensor: &TensorProto) -> Option<Vec<i32>> {
    held(tensor, DataType::Int32, &tensor.int32_data, i32::from_le_bytes)
}

pub(super) fn int64s(tensor: &TensorProto) -> Option<Vec<i64>> {
    held(tensor, DataType::Int64, &tensor.int64_data, i64::from_le_bytes)
}

fn held<T: Copy, const N: usize>(
    tensor: &TensorProto,
    kind: DataType,
    listed: &[T],
    read: fn([u8; N]) -> T,
) -> Option<Vec<T>> {
    let raw = || tensor.raw_data.as_chunks().0.iter().map(|bytes| read(*bytes)).collect();
    (tensor.data_type == kind as i32 && tensor.data_location != Some(1))
        .then(|| if tensor.raw_data.is_empty() { listed.to_vec() } else { raw() })
}
