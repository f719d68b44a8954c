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
    let payload = Zeroizing::new([&prefix(&key.binding)[..], &key.value.to_bytes()].concat());
    Ok(container::write_file(
        CLIENT_KEY,
        path,
        &payload,
        Access::Private,
    )?)
}

/// Reads the secret key of a circuit.
///
/// # Errors
/// If the file is missing, damaged, of another kind or of another circuit.
pub fn read_client_key(path: &Path, circuit: &impl Interface) -> Result<Bound<ClientKeys>, ArtifactError> {
    let payload = Zeroizing::new(container::read_file(CLIENT_KEY, path)?);
    let name = path.display().to_string();
    let (binding, rest) = split(&name, CLIENT_KEY, circuit, &payload)?;
    let value = ClientKeys::from_bytes(rest, circuit.parameters()).map_err(|e| key_error(&name, e))?;
    Ok(Bound { binding, value })
}
