//! Any bytes are ciphertexts of a circuit or a clear error: inputs and results, with a true or a false frame and binding.
//! `cargo fuzz run ciphertexts -- -max_len=65536`.

#![no_main]

mod tiny;

use cml_file::Artifact;
use cml_scheme::artifact::{EncryptedInputs, EncryptedOutputs, INPUTS, OUTPUTS};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let circuit = tiny::circuit();
    let Some((&how, bytes)) = bytes.split_first() else {
        return;
    };
    let bound = [&circuit.hash()[..], bytes].concat();
    let payload = if how & 1 == 0 { bytes } else { &bound };
    for kind in [INPUTS, OUTPUTS] {
        let file = if how & 2 == 0 {
            payload.to_vec()
        } else {
            cml_file::encode(kind, payload)
        };
        if let Ok(inputs) = EncryptedInputs::from_bytes("fuzz", &file, circuit) {
            for sample in &inputs.value {
                let _ = sample.expand(circuit.parameters().dimension(sample.key()));
            }
        }
        let _ = EncryptedOutputs::from_bytes("fuzz", &file, circuit);
    }
});
