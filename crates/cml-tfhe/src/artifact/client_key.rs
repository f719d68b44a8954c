//! Files of secret keys.

use super::{ArtifactError, Bound, CLIENT_KEY, key_error, prefix, split};
use crate::interface::Interface;
use crate::keys::ClientKeys;
use cml_ir::container::{self, Access};
use std::path::Path;
use zeroize::Zeroizing;

/// Writes a secret key, readable by its owner only.
///
/// # Errors
/// If the file cannot be written.
pub fn write_client_key(path: &Path, key: &Bound<ClientKeys>) -> Result<(), ArtifactError> {
    let payload = payload(key);
    Ok(container::write_file(
        CLIENT_KEY,
        path,
        &payload,
        Access::Private,
    )?)
}

/// A secret key as the bytes of a `client.key` file.
pub fn client_key_to_bytes(key: &Bound<ClientKeys>) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(container::encode(CLIENT_KEY, &payload(key)))
}

fn payload(key: &Bound<ClientKeys>) -> Zeroizing<Vec<u8>> {
    Zeroizing::new([&prefix(&key.binding)[..], &key.value.to_bytes()].concat())
}

/// Reads the secret key of a circuit.
///
/// # Errors
/// If the file is missing, damaged, of another kind or of another circuit.
pub fn read_client_key(path: &Path, circuit: &impl Interface) -> Result<Bound<ClientKeys>, ArtifactError> {
    let payload = Zeroizing::new(container::read_file(CLIENT_KEY, path)?);
    from_payload(&path.display().to_string(), &payload, circuit)
}

/// The secret key of a circuit in the bytes of a `client.key` file; `name` says in errors which.
///
/// # Errors
/// If the bytes are damaged, of another kind or of another circuit.
pub fn client_key_from_bytes(
    name: &str,
    bytes: &[u8],
    circuit: &impl Interface,
) -> Result<Bound<ClientKeys>, ArtifactError> {
    from_payload(name, container::decode(CLIENT_KEY, name, bytes)?, circuit)
}

fn from_payload(
    name: &str,
    payload: &[u8],
    circuit: &impl Interface,
) -> Result<Bound<ClientKeys>, ArtifactError> {
    let (binding, rest) = split(name, CLIENT_KEY, circuit, payload)?;
    let value = ClientKeys::from_bytes(rest, circuit.parameters()).map_err(|e| key_error(name, e))?;
    Ok(Bound { binding, value })
}
