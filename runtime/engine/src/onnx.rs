//! The ONNX protobuf messages, for crates that assemble or inspect graphs.
//!
//! The messages are those that tract reads, so what is built here is what the engine runs. Their fields are documented in
//! the ONNX specification, `onnx/onnx.proto`.

use crate::Error;
use prost::Message;
pub use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, StringStringEntryProto, TensorProto,
    TensorShapeProto, TypeProto, ValueInfoProto, attribute_proto, tensor_proto, tensor_shape_proto, type_proto,
};

/// Reads a model message. `name` is what errors call it (a path, usually).
///
/// # Errors
/// [`Error::NotOnnx`] when the bytes are not a whole protobuf message of this kind, or hold no graph.
pub fn decode(name: &str, bytes: &[u8]) -> Result<ModelProto, Error> {
    let fail = |detail: String| Error::NotOnnx { model: name.to_string(), bytes: bytes.len(), detail };
    if bytes.is_empty() {
        return Err(fail("it is empty".into()));
    }
    let proto = ModelProto::decode(bytes).map_err(|e| fail(e.to_string()))?;
    match &proto.graph {
        None => Err(fail("it holds no graph".into())),
        Some(graph) if graph.node.is_empty() && graph.output.is_empty() => Err(fail("its graph is empty".into())),
        Some(_) => Ok(proto),
    }
}

/// The bytes of a model message, as they go into an `.onnx` file.
#[must_use]
pub fn encode(model: &ModelProto) -> Vec<u8> {
    model.encode_to_vec()
}
