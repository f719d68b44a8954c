//! Any bytes are an ONNX file or a clear error. Start from the test files:
//! `cargo fuzz run import_onnx corpus crates/cml-onnx/tests/vectors -- -max_len=65536 -rss_limit_mb=4096`.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = cml_onnx::import_bytes(bytes, None, &cml_onnx::Options::default());
});
