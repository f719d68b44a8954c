//! A key's file as it arrives, in pieces: any bytes with a true or a false frame are a key's head or a clear error.
//! `cargo fuzz run server_key -- -max_len=65536`.

#![no_main]

mod tiny;

use cml_scheme::ServerKeys;
use cml_scheme::artifact::{ArrivingKey, SERVER_KEY};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let circuit = tiny::circuit();
    let Some((&how, bytes)) = bytes.split_first() else {
        return;
    };
    let file = match how % 3 {
        0 => bytes.to_vec(),
        1 => cml_file::encode(SERVER_KEY, bytes),
        _ => cml_file::encode(SERVER_KEY, &[&circuit.hash()[..], bytes].concat()),
    };
    let mut key = ArrivingKey::new("fuzz");
    for piece in file.chunks(usize::from(how) + 1) {
        if key.update(piece).is_err() {
            return;
        }
        let _ = key.head();
    }
    let _ = key.finish();
    let _ = ServerKeys::from_bytes(bytes, circuit.parameters());
});
