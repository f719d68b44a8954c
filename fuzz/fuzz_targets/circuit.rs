//! Any payload is a circuit or a clear error; one that is accepted can be printed, and its client spec read.
//! `cargo fuzz run circuit -- -max_len=65536 -rss_limit_mb=4096`.

#![no_main]

mod tiny;

use cml_file::Artifact;
use cml_scheme::ClientSpec;
use cml_tfhe::{Circuit, client_spec};
use cml_tfhe::artifact::CIRCUIT;
use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};

fuzz_target!(|payload: &[u8]| {
    // The frame has a checksum, which no fuzzer finds.
    let file = cml_file::encode(CIRCUIT, payload);
    let Ok(circuit) = Circuit::from_bytes("fuzz", &file, ()) else {
        return;
    };
    assert!(!circuit.to_string().is_empty());
    let spec = client_spec(&circuit).expect("of a valid circuit");
    let bytes = spec.to_bytes().expect("of a valid spec");
    assert_eq!(
        ClientSpec::from_bytes("fuzz", &bytes, ()).expect("own bytes"),
        spec
    );
});

// Starts from a real one.
fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, _seed: u32| {
    let mut size = size;
    if size < 8 {
        let file = tiny::circuit().to_bytes().expect("a small circuit");
        let payload = cml_file::decode(CIRCUIT, "tiny", &file).expect("own bytes");
        size = payload.len().min(max_size);
        data[..size].copy_from_slice(&payload[..size]);
    }
    fuzzer_mutate(data, size, max_size)
});
