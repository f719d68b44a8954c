//! Any payload is a circuit or a clear error; one that is accepted can be printed, and its client spec read.
//! `cargo fuzz run circuit -- -max_len=65536 -rss_limit_mb=4096`.

#![no_main]

mod tiny;

use cml_ir::container;
use cml_tfhe::ClientSpec;
use cml_tfhe::artifact::{self, CIRCUIT};
use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};

fuzz_target!(|payload: &[u8]| {
    // The frame has a checksum, which no fuzzer finds.
    let file = container::encode(CIRCUIT, payload);
    let Ok(circuit) = artifact::circuit_from_bytes("fuzz", &file) else {
        return;
    };
    assert!(!circuit.to_string().is_empty());
    let spec = ClientSpec::of(&circuit).expect("of a valid circuit");
    let bytes = artifact::spec_to_bytes(&spec).expect("of a valid spec");
    assert_eq!(
        artifact::spec_from_bytes("fuzz", &bytes).expect("own bytes"),
        spec
    );
});

// Starts from a real one.
fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, _seed: u32| {
    let mut size = size;
    if size < 8 {
        let file = artifact::circuit_to_bytes(tiny::circuit()).expect("a small circuit");
        let payload = container::decode(CIRCUIT, "tiny", &file).expect("own bytes");
        size = payload.len().min(max_size);
        data[..size].copy_from_slice(&payload[..size]);
    }
    fuzzer_mutate(data, size, max_size)
});
