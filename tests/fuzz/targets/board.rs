//! Any text handed to the reader of board descriptions gives a board or an error that names its file; never a panic.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Err(error) = jidoka_boards::parse("fuzzed.toml", text) {
        assert!(error.to_string().contains("fuzzed.toml"), "an error names its file: {error}");
    }
});
