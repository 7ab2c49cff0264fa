//! The backbones that come with the program.

/// Name and bytes of the backbone that teaching uses where none is named.
pub(crate) const DEFAULT: (&str, &[u8]) =
    ("models/zoo/edge-s.onnx", include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/zoo/edge-s.onnx")));

/// The same backbone in int8.
pub(crate) const DEFAULT_INT8: (&str, &[u8]) =
    ("models/zoo/edge-s.int8.onnx", include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/zoo/edge-s.int8.onnx")));
