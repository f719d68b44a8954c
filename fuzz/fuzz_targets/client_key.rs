//! Any bytes are a secret key of a circuit or a clear error: plain or under a passphrase, with a true or a false frame
//! and binding. `cargo fuzz run client_key -- -max_len=65536`.

#![no_main]

mod tiny;

use cml_file::Artifact;
use cml_keys::BoundClientKeys;
use cml_keys::artifact::{CLIENT_KEY, LOCKED_CLIENT_KEY, LockedClientKeys};
use libfuzzer_sys::fuzz_target;

/// Where the costs of the passphrase begin in a payload.
const COSTS: usize = 48;
/// The lowest costs: 8 KiB, one pass, one lane.
const CHEAP: [u8; 12] = [8, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0];

fuzz_target!(|bytes: &[u8]| {
    let circuit = tiny::circuit();
    let Some((&how, bytes)) = bytes.split_first() else {
        return;
    };
    let mut payload = bytes.to_vec();
    if how & 1 != 0 {
        payload.splice(..0, *circuit.hash());
    }
    let framed = how & 2 != 0;
    let file = |kind, payload: &[u8]| match framed {
        true => cml_file::encode(kind, payload),
        false => payload.to_vec(),
    };
    let plain = BoundClientKeys::from_bytes("fuzz", &file(CLIENT_KEY, &payload), circuit);
    if let Ok(key) = plain {
        let own = key.to_bytes().expect("own bytes");
        assert_eq!(*own, file(CLIENT_KEY, &payload));
    }
    // A passphrase may cost seconds: here it costs nothing, or more than is allowed.
    match payload.get_mut(COSTS..COSTS + CHEAP.len()) {
        Some(costs) if how & 4 != 0 => costs.copy_from_slice(&CHEAP),
        Some(costs) => costs[3] |= 0x80,
        None => {}
    }
    let file = file(LOCKED_CLIENT_KEY, &payload);
    if let Ok(locked) = LockedClientKeys::from_bytes("fuzz", &file, ()) {
        let _ = locked.open(circuit, b"fuzz");
    }
});
