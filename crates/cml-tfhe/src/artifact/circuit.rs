//! Circuit files, and the hash that everything else is bound to.

use super::{ArtifactError, CIRCUIT, from_payload, to_payload};
use crate::circuit::Circuit;
use crate::interface::Interface;
use crate::keys::LweKey;
use crate::params::ParameterSets;
use cml_ir::container::{self, Access};
use sha2::{Digest, Sha256};
use std::path::Path;

fn circuit_payload(circuit: &Circuit) -> Result<Vec<u8>, ArtifactError> {
    to_payload(CIRCUIT, circuit.name(), circuit)
}

/// SHA-256 of a circuit: what keys and ciphertexts are bound to.
///
/// # Errors
/// If the circuit is larger than its file format allows.
pub fn circuit_hash(circuit: &Circuit) -> Result<[u8; 32], ArtifactError> {
    Ok(Sha256::digest(circuit_payload(circuit)?).into())
}

/// A circuit as the bytes of a `.cmlc` file.
///
/// # Errors
/// As [`circuit_hash`].
pub fn circuit_to_bytes(circuit: &Circuit) -> Result<Vec<u8>, ArtifactError> {
    Ok(container::encode(CIRCUIT, &circuit_payload(circuit)?))
}

/// Writes a `.cmlc` file, at once.
///
/// # Errors
/// If the file cannot be written.
pub fn write_circuit(path: &Path, circuit: &Circuit) -> Result<(), ArtifactError> {
    Ok(container::write_file(
        CIRCUIT,
        path,
        &circuit_payload(circuit)?,
        Access::Shared,
    )?)
}

/// Reads a `.cmlc` file and validates the circuit: references, ranges,
/// security of the parameters, failure budget.
///
/// # Errors
/// If the file is missing, damaged or of another kind, or the circuit is not
/// valid.
pub fn read_circuit(path: &Path) -> Result<Circuit, ArtifactError> {
    circuit_from_payload(&path.display().to_string(), &container::read_file(CIRCUIT, path)?)
}

/// The circuit in the bytes of a `.cmlc` file; `name` says in errors which.
///
/// # Errors
/// As [`read_circuit`].
pub fn circuit_from_bytes(name: &str, bytes: &[u8]) -> Result<Circuit, ArtifactError> {
    circuit_from_payload(name, container::decode(CIRCUIT, name, bytes)?)
}

fn circuit_from_payload(name: &str, payload: &[u8]) -> Result<Circuit, ArtifactError> {
    let circuit: Circuit = from_payload(CIRCUIT, name, payload)?;
    circuit.validate().map_err(|source| ArtifactError::Circuit {
        name: name.to_owned(),
        source,
    })?;
    Ok(circuit)
}

impl Interface for Circuit {
    fn circuit_hash(&self) -> Result<[u8; 32], ArtifactError> {
        circuit_hash(self)
    }

    fn parameters(&self) -> &ParameterSets {
        Circuit::parameters(self)
    }

    fn input_count(&self) -> usize {
        Circuit::input_count(self)
    }

    fn input_key(&self) -> LweKey {
        Circuit::input_key(self)
    }

    fn output_count(&self) -> usize {
        Circuit::output_count(self)
    }

    fn output_word_bytes(&self) -> u32 {
        Circuit::output_word_bytes(self)
    }
}
