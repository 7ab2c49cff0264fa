//! Any bytes handed to the model loader give a model or an error, never a panic.
#![no_main]

use jidoka_engine::Model;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Err(error) = Model::from_bytes("fuzzed.onnx", bytes) {
        assert!(error.to_string().contains("fuzzed.onnx"), "an error names its file: {error}");
    }
});
