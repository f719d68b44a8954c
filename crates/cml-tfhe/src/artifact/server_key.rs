//! Files of the server's keys.

use super::{ArtifactError, Bound, PREFIX, SERVER_KEY, prefix};
#[cfg(feature = "server")]
use super::{belongs, key_error, peek_server_key, split};
use crate::interface::Interface;
use crate::keys::ServerKeys;
#[cfg(feature = "server")]
use cml_ir::IrError;
use cml_ir::container::{self, Access};
#[cfg(feature = "server")]
use cml_ir::container::{ContainerError, Kind};
use std::path::Path;

/// Writes the server's keys.
///
/// # Errors
/// If the file cannot be written.
pub fn write_server_key(path: &Path, key: &Bound<ServerKeys>) -> Result<(), ArtifactError> {
    let payload = [&prefix(&key.binding)[..], &key.value.to_bytes()].concat();
    Ok(container::write_file(SERVER_KEY, path, &payload, Access::Shared)?)
}

/// Reads the server's keys for a circuit.
///
/// # Errors
/// If the file is missing, damaged, of another kind or of another circuit.
#[cfg(feature = "server")]
pub fn read_server_key(path: &Path, circuit: &impl Interface) -> Result<Bound<ServerKeys>, ArtifactError> {
    // The circuit's own parameters bound what is read, not the file's header.
    let kind = Kind {
        max_payload: circuit.parameters().server_key_bytes() + PREFIX as u64,
        ..SERVER_KEY
    };
    let name = path.display().to_string();
    let payload = match container::read_file(kind, path) {
        // That is why it is too long, if it is so.
        Err(error) if is_too_large(&error) => {
            if let Ok(head) = peek_server_key(path) {
                belongs(&name, &head.binding, circuit)?;
            }
            return Err(error.into());
        }
        payload => payload?,
    };
    let (binding, rest) = split(&name, SERVER_KEY, circuit, &payload)?;
    let value = ServerKeys::from_bytes(rest, circuit.parameters()).map_err(|e| key_error(&name, e))?;
    Ok(Bound { binding, value })
}

#[cfg(feature = "server")]
fn is_too_large(error: &IrError) -> bool {
    let IrError::Container { source, .. } = error else {
        return false;
    };
    matches!(source, ContainerError::TooLarge { .. })
}

/// Bytes of a file of the server's keys.
pub fn server_key_bytes(circuit: &impl Interface) -> u64 {
    let start = (container::HEADER + PREFIX) as u64;
    circuit.parameters().server_key_bytes().saturating_add(start)
}
