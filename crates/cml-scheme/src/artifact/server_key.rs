//! Files of the server's keys.

use super::{ArtifactError, Bound, KeyId, PREFIX, SERVER_KEY, check_id, key_error, prefix, split};
use crate::interface::Interface;
use crate::server_keys::ServerKeys;
use cml_file::{Artifact, HEADER, Kind};

impl Artifact for Bound<ServerKeys> {
    const KIND: Kind = SERVER_KEY;
    type Context<'c> = &'c dyn Interface;
    type Error = ArtifactError;

    fn encode(&self) -> Result<Vec<u8>, ArtifactError> {
        Ok([&prefix(&self.binding)[..], &self.value.to_bytes()].concat())
    }

    /// The circuit's own parameters bound what is read, not the file's header.
    fn max_payload(circuit: &dyn Interface) -> u64 {
        circuit.parameters().server_key_bytes() + PREFIX as u64
    }

    /// That is why it is too long, if it is so.
    fn too_large(name: &str, start: &[u8], circuit: &dyn Interface) -> Option<ArtifactError> {
        split(name, SERVER_KEY, circuit, start).err()
    }

    fn decode(name: &str, payload: &[u8], circuit: &dyn Interface) -> Result<Self, ArtifactError> {
        let (binding, rest) = split(name, SERVER_KEY, circuit, payload)?;
        let value = ServerKeys::from_bytes(rest, circuit.parameters()).map_err(|e| key_error(name, e))?;
        let mut id = KeyId::of_circuit(&binding.circuit);
        id.update(rest);
        check_id(name, &binding, id)?;
        Ok(Self { binding, value })
    }
}

/// Bytes of a file of the server's keys.
pub fn server_key_bytes(circuit: &dyn Interface) -> u64 {
    let start = (HEADER + PREFIX) as u64;
    circuit.parameters().server_key_bytes().saturating_add(start)
}
