//! Any payload is a client spec or a clear error; one that is accepted can be printed and quantizes.
//! `cargo fuzz run client_spec -- -max_len=65536 -rss_limit_mb=4096`.

#![no_main]

mod tiny;

use cml_file::Artifact;
use cml_scheme::ClientSpec;
use cml_scheme::artifact::SPEC;
use cml_tfhe::client_spec;
use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};

fuzz_target!(|payload: &[u8]| {
    let file = cml_file::encode(SPEC, payload);
    let Ok(spec) = ClientSpec::from_bytes("fuzz", &file, ()) else {
        return;
    };
    assert!(!spec.to_string().is_empty());
    let sizes = spec.inputs().iter().map(|i| i.spec.sample_len(&i.shape));
    let floats: Vec<Vec<f32>> = sizes.map(|n| vec![0.5; n]).collect();
    let floats: Vec<&[f32]> = floats.iter().map(Vec::as_slice).collect();
    let _ = spec.quantize(&floats);
});

// Starts from a real one.
fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, _seed: u32| {
    let mut size = size;
    if size < 8 {
        let spec = client_spec(tiny::circuit()).expect("of a small circuit");
        let file = spec.to_bytes().expect("a small spec");
        let payload = cml_file::decode(SPEC, "tiny", &file).expect("own bytes");
        size = payload.len().min(max_size);
        data[..size].copy_from_slice(&payload[..size]);
    }
    fuzzer_mutate(data, size, max_size)
});
