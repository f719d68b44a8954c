//! Files: circuits, their clients' part, keys and ciphertexts, each bound to the
//! circuit that it belongs to. The only file here that knows bincode.

#[cfg(feature = "server")]
mod arriving;
#[cfg(feature = "server")]
mod circuit;
#[cfg(feature = "client")]
mod client_key;
#[cfg(feature = "client")]
mod locked_key;
mod spec;

use crate::interface::Interface;
use crate::keys::{self, Ciphertext, KeyError, SeededCiphertexts, ServerKeys};
use crate::params::{MAX_EVALUATION_KEY_BYTES, Parameters};
use crate::spec::SpecError;
#[cfg(feature = "server")]
use crate::validate::CircuitError;
use cml_ir::container::{self, Access, Kind};
use cml_ir::{IrError, short_hex};
use serde::{Serialize, de::DeserializeOwned};
use std::fmt;
use std::path::Path;
use zeroize::Zeroizing;

#[cfg(feature = "server")]
pub use arriving::{ArrivingKey, KeyHead, peek_server_key};
#[cfg(feature = "server")]
pub use circuit::{circuit_from_bytes, circuit_hash, circuit_to_bytes, read_circuit, write_circuit};
#[cfg(feature = "client")]
pub use client_key::{read_client_key, write_client_key};
#[cfg(feature = "client")]
pub use locked_key::{read_locked_client_key, write_locked_client_key};
pub use spec::{read_spec, spec_from_bytes, spec_to_bytes, write_spec};

const MAX_CIRCUIT: usize = 1 << 29;
/// Most samples of a ciphertext file.
pub const MAX_SAMPLES: u32 = 1 << 20;

/// `*.cmlc`.
pub const CIRCUIT: Kind = Kind {
    tag: *b"CIRC",
    name: "circuit",
    version: 5,
    max_payload: MAX_CIRCUIT as u64,
};
/// `*.cmls`.
pub const SPEC: Kind = Kind {
    tag: *b"SPEC",
    name: "client spec",
    version: 3,
    max_payload: 1 << 26,
};
/// `client.key`.
pub const CLIENT_KEY: Kind = Kind {
    tag: *b"CKEY",
    name: "client key",
    version: 1,
    max_payload: 1 << 20,
};
/// `client.key` under a passphrase.
pub const LOCKED_CLIENT_KEY: Kind = Kind {
    tag: *b"CKPW",
    name: "client key under a passphrase",
    version: 1,
    max_payload: 1 << 20,
};
/// `server.key`.
pub const SERVER_KEY: Kind = Kind {
    tag: *b"SKEY",
    name: "server key",
    version: 3,
    max_payload: MAX_EVALUATION_KEY_BYTES,
};
/// `*.ct` as the client writes it.
pub const INPUTS: Kind = Kind {
    tag: *b"CTIN",
    name: "encrypted input",
    version: 1,
    max_payload: 1 << 34,
};
/// `*.ct` as the server writes it.
pub const OUTPUTS: Kind = Kind {
    tag: *b"CTOU",
    name: "encrypted output",
    version: 2,
    max_payload: 1 << 34,
};

/// What ties keys and ciphertexts together: a circuit and one key pair for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Binding {
    /// SHA-256 of the circuit.
    pub circuit: [u8; 32],
    /// Drawn at key generation.
    pub keys: [u8; 16],
}

impl fmt::Display for Binding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "circuit {} keys {}",
            short_hex(&self.circuit),
            short_hex(&self.keys)
        )
    }
}

/// What is wrong with an artifact.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArtifactError {
    /// The file or its frame.
    #[error(transparent)]
    File(#[from] IrError),
    /// A payload that does not decode.
    #[error("{name}: malformed {what}: {why}")]
    Malformed {
        /// File.
        name: String,
        /// Kind.
        what: &'static str,
        /// Reason.
        why: String,
    },
    /// A circuit that does not hold together.
    #[cfg(feature = "server")]
    #[error("{name}: {source}")]
    Circuit {
        /// File.
        name: String,
        /// Reason.
        source: CircuitError,
    },
    /// A client specification that does not hold together.
    #[error("{name}: {source}")]
    Spec {
        /// File.
        name: String,
        /// Reason.
        source: SpecError,
    },
    /// Keys or ciphertexts that do not fit the parameters.
    #[error("{name}: {source}")]
    Key {
        /// File.
        name: String,
        /// Reason.
        source: KeyError,
    },
    /// A passphrase that does not open a key.
    #[error("{name}: the passphrase is wrong, or the file was altered")]
    Passphrase {
        /// File.
        name: String,
    },
    /// A key or ciphertext of another circuit.
    #[error("{name} belongs to another circuit: made for {has}, given {needs}")]
    OtherCircuit {
        /// File.
        name: String,
        /// Start of the hash in the file.
        has: String,
        /// Start of the hash of the circuit.
        needs: String,
    },
}

/// A value with the circuit and keys that it belongs to.
#[derive(Clone, Debug)]
pub struct Bound<T> {
    /// What it belongs to.
    pub binding: Binding,
    /// The value.
    pub value: T,
}

fn config() -> impl bincode::config::Config {
    bincode::config::standard()
        .with_little_endian()
        .with_fixed_int_encoding()
        .with_limit::<MAX_CIRCUIT>()
}

/// Payload of a file that holds one value; `name` says in errors which.
fn to_payload<T: Serialize>(kind: Kind, name: &str, value: &T) -> Result<Vec<u8>, ArtifactError> {
    bincode::serde::encode_to_vec(value, config()).map_err(|e| ArtifactError::Malformed {
        name: name.to_owned(),
        what: kind.name,
        why: e.to_string(),
    })
}

/// The value that fills a payload. Nobody has checked it.
fn from_payload<T: DeserializeOwned>(kind: Kind, name: &str, payload: &[u8]) -> Result<T, ArtifactError> {
    let malformed = |why| ArtifactError::Malformed {
        name: name.to_owned(),
        what: kind.name,
        why,
    };
    let (value, used): (T, usize) =
        bincode::serde::decode_from_slice(payload, config()).map_err(|e| malformed(e.to_string()))?;
    if used != payload.len() {
        return Err(malformed(format!("{} bytes left over", payload.len() - used)));
    }
    Ok(value)
}

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
pub fn read_server_key(path: &Path, circuit: &impl Interface) -> Result<Bound<ServerKeys>, ArtifactError> {
    // The circuit's own parameters bound what is read, not the file's header.
    let kind = Kind {
        max_payload: circuit.parameters().server_key_bytes() + PREFIX as u64,
        ..SERVER_KEY
    };
    let payload = container::read_file(kind, path)?;
    let name = path.display().to_string();
    let (binding, rest) = split(&name, SERVER_KEY, circuit, &payload)?;
    let value = ServerKeys::from_bytes(rest, circuit.parameters()).map_err(|e| key_error(&name, e))?;
    Ok(Bound { binding, value })
}

/// Writes encrypted samples.
///
/// # Errors
/// If the file cannot be written.
pub fn write_inputs(path: &Path, inputs: &Bound<Vec<SeededCiphertexts>>) -> Result<(), ArtifactError> {
    let payload = inputs_payload(inputs);
    Ok(container::write_file(INPUTS, path, &payload, Access::Shared)?)
}

/// Encrypted samples as the bytes of a `.ct` file.
pub fn inputs_to_bytes(inputs: &Bound<Vec<SeededCiphertexts>>) -> Vec<u8> {
    container::encode(INPUTS, &inputs_payload(inputs))
}

fn inputs_payload(inputs: &Bound<Vec<SeededCiphertexts>>) -> Vec<u8> {
    let mut payload = prefix(&inputs.binding).to_vec();
    payload.extend((inputs.value.len() as u32).to_le_bytes());
    inputs
        .value
        .iter()
        .for_each(|sample| payload.extend(sample.to_bytes()));
    payload
}

/// Reads encrypted samples for a circuit.
///
/// # Errors
/// If the file is missing, damaged, of another kind or of another circuit.
pub fn read_inputs(
    path: &Path,
    circuit: &impl Interface,
) -> Result<Bound<Vec<SeededCiphertexts>>, ArtifactError> {
    let payload = container::read_file(INPUTS, path)?;
    inputs_from_payload(&path.display().to_string(), &payload, circuit)
}

/// The encrypted samples in the bytes of a `.ct` file; `name` says in errors which.
///
/// # Errors
/// If the bytes are damaged, of another kind or of another circuit.
pub fn inputs_from_bytes(
    name: &str,
    bytes: &[u8],
    circuit: &impl Interface,
) -> Result<Bound<Vec<SeededCiphertexts>>, ArtifactError> {
    inputs_from_payload(name, container::decode(INPUTS, name, bytes)?, circuit)
}

fn inputs_from_payload(
    name: &str,
    payload: &[u8],
    circuit: &impl Interface,
) -> Result<Bound<Vec<SeededCiphertexts>>, ArtifactError> {
    let (binding, rest) = split(name, INPUTS, circuit, payload)?;
    let count = circuit.input_count();
    let each = Parameters::seeded_ciphertext_bytes(count as u64) as usize;
    let samples =
        samples(name, INPUTS, rest, each)?.map(|sample| SeededCiphertexts::from_bytes(sample, count));
    Ok(Bound {
        binding,
        value: samples
            .collect::<Result<_, _>>()
            .map_err(|e| key_error(name, e))?,
    })
}

/// Writes encrypted results: for each sample, each element of each output.
///
/// # Errors
/// If the file cannot be written.
pub fn write_outputs(path: &Path, outputs: &Bound<Vec<Vec<Ciphertext>>>) -> Result<(), ArtifactError> {
    let payload = outputs_payload(outputs);
    Ok(container::write_file(OUTPUTS, path, &payload, Access::Shared)?)
}

/// Encrypted results as the bytes of a `.ct` file.
pub fn outputs_to_bytes(outputs: &Bound<Vec<Vec<Ciphertext>>>) -> Vec<u8> {
    container::encode(OUTPUTS, &outputs_payload(outputs))
}

fn outputs_payload(outputs: &Bound<Vec<Vec<Ciphertext>>>) -> Vec<u8> {
    let mut payload = prefix(&outputs.binding).to_vec();
    payload.extend((outputs.value.len() as u32).to_le_bytes());
    outputs
        .value
        .iter()
        .for_each(|sample| payload.extend(keys::ciphertexts_to_bytes(sample)));
    payload
}

/// Reads encrypted results of a circuit.
///
/// # Errors
/// If the file is missing, damaged, of another kind or of another circuit.
pub fn read_outputs(
    path: &Path,
    circuit: &impl Interface,
) -> Result<Bound<Vec<Vec<Ciphertext>>>, ArtifactError> {
    let payload = container::read_file(OUTPUTS, path)?;
    outputs_from_payload(&path.display().to_string(), &payload, circuit)
}

/// The encrypted results of a circuit in the bytes of a `.ct` file; `name` says
/// in errors which.
///
/// # Errors
/// If the bytes are damaged, of another kind or of another circuit.
pub fn outputs_from_bytes(
    name: &str,
    bytes: &[u8],
    circuit: &impl Interface,
) -> Result<Bound<Vec<Vec<Ciphertext>>>, ArtifactError> {
    outputs_from_payload(name, container::decode(OUTPUTS, name, bytes)?, circuit)
}

fn outputs_from_payload(
    name: &str,
    payload: &[u8],
    circuit: &impl Interface,
) -> Result<Bound<Vec<Vec<Ciphertext>>>, ArtifactError> {
    let (binding, rest) = split(name, OUTPUTS, circuit, payload)?;
    let count = circuit.output_count();
    let each = circuit.output_bytes() as usize;
    let word_bytes = circuit.output_word_bytes();
    let read = |sample| keys::ciphertexts_from_bytes(sample, circuit.parameters().first(), word_bytes, count);
    let samples = samples(name, OUTPUTS, rest, each)?.map(read);
    Ok(Bound {
        binding,
        value: samples
            .collect::<Result<_, _>>()
            .map_err(|e| key_error(name, e))?,
    })
}

/// Bytes of a file of the server's keys.
pub fn server_key_bytes(circuit: &impl Interface) -> u64 {
    let start = (container::HEADER + PREFIX) as u64;
    circuit.parameters().server_key_bytes().saturating_add(start)
}

/// Bytes of a file of so many encrypted samples.
pub fn inputs_bytes(circuit: &impl Interface, samples: usize) -> u64 {
    let each = Parameters::seeded_ciphertext_bytes(circuit.input_count() as u64);
    samples_bytes(each, samples)
}

/// Bytes of a file of encrypted results of so many samples.
pub fn outputs_bytes(circuit: &impl Interface, samples: usize) -> u64 {
    samples_bytes(circuit.output_bytes(), samples)
}

fn samples_bytes(each: u64, samples: usize) -> u64 {
    let start = (container::HEADER + PREFIX + 4) as u64;
    each.saturating_mul(samples as u64).saturating_add(start)
}

const PREFIX: usize = 48;

fn prefix(binding: &Binding) -> [u8; PREFIX] {
    let mut prefix = [0; PREFIX];
    prefix[..32].copy_from_slice(&binding.circuit);
    prefix[32..].copy_from_slice(&binding.keys);
    prefix
}

/// Binding and rest of a payload.
fn split_binding<'p>(
    name: &str,
    kind: Kind,
    payload: &'p [u8],
) -> Result<(Binding, &'p [u8]), ArtifactError> {
    let Some((prefix, rest)) = payload.split_at_checked(PREFIX) else {
        let why = format!("{} bytes, needs {PREFIX} or more", payload.len());
        return Err(ArtifactError::Malformed {
            name: name.to_owned(),
            what: kind.name,
            why,
        });
    };
    let mut binding = Binding {
        circuit: [0; 32],
        keys: [0; 16],
    };
    binding.circuit.copy_from_slice(&prefix[..32]);
    binding.keys.copy_from_slice(&prefix[32..]);
    Ok((binding, rest))
}

/// Binding and rest of a payload, if it belongs to the circuit.
fn split<'p>(
    name: &str,
    kind: Kind,
    circuit: &impl Interface,
    payload: &'p [u8],
) -> Result<(Binding, &'p [u8]), ArtifactError> {
    let (binding, rest) = split_binding(name, kind, payload)?;
    let needs = circuit.circuit_hash()?;
    if binding.circuit != needs {
        return Err(ArtifactError::OtherCircuit {
            name: name.to_owned(),
            has: short_hex(&binding.circuit),
            needs: short_hex(&needs),
        });
    }
    Ok((binding, rest))
}

/// The samples of a ciphertext payload, each of exactly `each` bytes.
fn samples<'p>(
    name: &str,
    kind: Kind,
    rest: &'p [u8],
    each: usize,
) -> Result<std::slice::ChunksExact<'p, u8>, ArtifactError> {
    let fail = |why| ArtifactError::Malformed {
        name: name.to_owned(),
        what: kind.name,
        why,
    };
    let Some((count, rest)) = rest.split_at_checked(4) else {
        return Err(fail("no number of samples".to_owned()));
    };
    let count = u32::from_le_bytes([count[0], count[1], count[2], count[3]]);
    if count == 0 || count > MAX_SAMPLES {
        return Err(fail(format!("{count} samples, needs 1 to {MAX_SAMPLES}")));
    }
    let needs = u128::from(count) * each as u128;
    if rest.len() as u128 != needs {
        return Err(fail(format!(
            "{count} samples take {needs} bytes, has {}",
            rest.len()
        )));
    }
    Ok(rest.chunks_exact(each.max(1)))
}

fn key_error(name: &str, source: KeyError) -> ArtifactError {
    ArtifactError::Key {
        name: name.to_owned(),
        source,
    }
}

/// What a key or ciphertext file is bound to, without the circuit.
///
/// # Errors
/// If the file is missing, damaged or of another kind.
pub fn read_binding(path: &Path, kind: Kind) -> Result<Binding, ArtifactError> {
    let payload = Zeroizing::new(container::read_file(kind, path)?);
    Ok(split_binding(&path.display().to_string(), kind, &payload)?.0)
}
