//! Files of client specifications.

use super::{ArtifactError, SPEC, from_payload, to_payload};
use crate::spec::ClientSpec;
use cml_ir::container::{self, Access};
use std::path::Path;

/// A client specification as the bytes of a `.cmls` file.
///
/// # Errors
/// If it is larger than its file format allows.
pub fn spec_to_bytes(spec: &ClientSpec) -> Result<Vec<u8>, ArtifactError> {
    Ok(container::encode(SPEC, &to_payload(SPEC, spec.name(), spec)?))
}

/// Writes a `.cmls` file, at once.
///
/// # Errors
/// If the file cannot be written.
pub fn write_spec(path: &Path, spec: &ClientSpec) -> Result<(), ArtifactError> {
    let payload = to_payload(SPEC, spec.name(), spec)?;
    Ok(container::write_file(SPEC, path, &payload, Access::Shared)?)
}

/// Reads a `.cmls` file and validates what it says.
///
/// # Errors
/// If the file is missing, damaged or of another kind, or
/// [`ClientSpec::validate`] refuses it.
pub fn read_spec(path: &Path) -> Result<ClientSpec, ArtifactError> {
    spec_from_payload(&path.display().to_string(), &container::read_file(SPEC, path)?)
}

/// The client specification in the bytes of a `.cmls` file; `name` says in
/// errors which.
///
/// # Errors
/// As [`read_spec`].
pub fn spec_from_bytes(name: &str, bytes: &[u8]) -> Result<ClientSpec, ArtifactError> {
    spec_from_payload(name, container::decode(SPEC, name, bytes)?)
}

fn spec_from_payload(name: &str, payload: &[u8]) -> Result<ClientSpec, ArtifactError> {
    let spec: ClientSpec = from_payload(SPEC, name, payload)?;
    spec.validate().map_err(|source| ArtifactError::Spec {
        name: name.to_owned(),
        source,
    })?;
    Ok(spec)
}
