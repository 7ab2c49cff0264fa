//! Any text handed to the configuration reader gives a configuration or a refusal that names its file; never a panic.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Err(refused) = jidoka_inspector::check_config("fuzzed.toml", text) {
        assert!(refused.contains("fuzzed.toml"), "a refusal names its file: {refused}");
    }
});
