//! Any bytes handed to the image reader give pixels that fill their geometry, or an error; never a panic.
#![no_main]

use jidoka_capture::images;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(image) = images::decode_bytes(bytes) {
        let row_bytes = image.data.len() / image.height.max(1) as usize;
        assert_eq!(row_bytes * image.height as usize, image.data.len(), "whole rows");
        assert!(row_bytes >= image.width as usize, "a row holds its pixels");
    }
});
