//! The id of a key pair: a hash of the server key, so that nobody can store another key under it.
//!
//! It is the first 16 bytes of the SHA-256 of a tag, the hash of the circuit and the bytes of the server key: seeds and
//! bodies of all parameter sets, as they stand in its file. To find another key with the id of a given one takes about
//! 2^128 tries. Two keys with one id take about 2^64, but both are then keys of whoever looked for them.

use super::Binding;
use crate::server_keys::ServerKeys;
use sha2::{Digest, Sha256};

const TAG: &[u8] = b"cml id of a server key\0";

/// Hashes a server key that comes in pieces.
pub(super) struct KeyId(Sha256);

impl KeyId {
    /// For a key of this circuit.
    pub(super) fn of_circuit(circuit: &[u8; 32]) -> Self {
        Self(Sha256::new().chain_update(TAG).chain_update(circuit))
    }

    /// Takes the next bytes of the key.
    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The id, once all bytes have come.
    pub(super) fn finish(self) -> [u8; 16] {
        let mut id = [0; 16];
        id.copy_from_slice(&self.0.finalize()[..16]);
        id
    }
}

impl Binding {
    /// What the keys of a circuit are bound to: its hash, and the id of the server key.
    pub fn of(circuit: [u8; 32], key: &ServerKeys) -> Self {
        let mut id = KeyId::of_circuit(&circuit);
        key.parts().for_each(|part| id.update(&part));
        Self {
            circuit,
            keys: id.finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ArrivingKey, ArtifactError, Bound};
    use super::*;
    use crate::params::{ParameterSets, Parameters};
    use cml_file::{Artifact, HEADER, encode};

    /// A key of some bytes: any of the right length are one.
    fn key() -> Bound<ServerKeys> {
        let parameters = Parameters::new(918, (1, 2048), (23, 1), (4, 4)).expect("published set");
        let parameters = ParameterSets::from(parameters);
        let bytes: Vec<u8> = (0..parameters.server_key_bytes())
            .map(|i| ((i * i) >> 7) as u8)
            .collect();
        let value = ServerKeys::from_bytes(&bytes, &parameters).unwrap();
        let binding = Binding::of([9; 32], &value);
        Bound { binding, value }
    }

    #[test]
    fn a_key_that_comes_in_pieces_has_the_same_id() {
        let key = key();
        let file = key.to_bytes().unwrap();
        let arrive = |file: &[u8], size: usize| {
            let mut arriving = ArrivingKey::new("x");
            for piece in file.chunks(size) {
                arriving.update(piece)?;
            }
            arriving.finish()
        };
        for size in [55, HEADER, 103, 104, 105, 1 << 20, file.len()] {
            assert_eq!(arrive(&file, size).unwrap().binding, key.binding, "{size}");
        }
        // A changed bit of the id, the circuit or the key, in a file without damage.
        let payload = &file[HEADER..];
        for at in [0, 31, 32, 47, 48, payload.len() - 1] {
            let mut other = payload.to_vec();
            other[at] ^= 1;
            let other = encode(Bound::<ServerKeys>::KIND, &other);
            let refused = arrive(&other, 1 << 20);
            assert!(
                matches!(refused, Err(ArtifactError::KeyId { .. })),
                "{at}: {refused:?}"
            );
        }
    }

    #[test]
    fn ids_depend_on_the_circuit_and_on_every_byte() {
        let key = key();
        assert_ne!(Binding::of([8; 32], &key.value).keys, key.binding.keys);
        let mut bytes = key.value.to_bytes();
        *bytes.last_mut().unwrap() ^= 1;
        let other = ServerKeys::from_bytes(&bytes, key.value.parameters()).unwrap();
        assert_ne!(Binding::of([9; 32], &other).keys, key.binding.keys);
    }
}
