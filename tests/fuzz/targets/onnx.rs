//! Any bytes handed to the model loader give a model or an error, never a panic that gets out.
#![no_main]

use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

use jidoka_engine::Model;

/// libFuzzer's own hook ends the process at any panic; the loader turns those inside tract into errors, and only one that gets
/// out of it is a finding.
fn let_the_loader_catch() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| panic::set_hook(Box::new(|_| {})));
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let_the_loader_catch();
    let loaded = panic::catch_unwind(AssertUnwindSafe(|| Model::from_bytes("fuzzed.onnx", bytes)));
    match loaded {
        Ok(Ok(_)) => {}
        Ok(Err(error)) if error.to_string().contains("fuzzed.onnx") => {}
        Ok(Err(error)) => {
            eprintln!("an error names its file: {error}");
            std::process::abort();
        }
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
            eprintln!("a panic got out of the loader: {}", text.unwrap_or("no message"));
            std::process::abort();
        }
    }
});
