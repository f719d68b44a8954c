//! Files of what both sides know, each bound to the circuit that it belongs to.
//!
//! This is the one file of the crate that knows bincode.

mod arriving;
mod ciphertexts;
mod columns;
mod key_id;
mod server_key;
mod spec;

use crate::error::KeyError;
use crate::interface::Interface;
use crate::params::MAX_EVALUATION_KEY_BYTES;
use crate::spec::SpecError;
use cml_file::{FileError, Kind, short_hex};
use serde::{Serialize, de::DeserializeOwned};
use std::fmt;

use key_id::KeyId;

pub use arriving::{ArrivingKey, KeyHead};
pub use ciphertexts::{EncryptedInputs, EncryptedOutputs, inputs_bytes, outputs_bytes};
pub use columns::{from_payload_with_columns, to_payload_with_columns};
pub use server_key::server_key_bytes;

/// Longest payload that bincode reads.
const MAX_DECODED: usize = 1 << 29;
/// Most samples of a ciphertext file.
pub const MAX_SAMPLES: u32 = 1 << 20;

/// `*.cmls`.
pub const SPEC: Kind = Kind {
    tag: *b"SPEC",
    name: "client spec",
    version: 5,
    max_payload: 1 << 26,
};
/// `server.key`.
pub const SERVER_KEY: Kind = Kind {
    tag: *b"SKEY",
    name: "server key",
    version: 5,
    max_payload: MAX_EVALUATION_KEY_BYTES,
};
/// `*.ct` as the client writes it.
pub const INPUTS: Kind = Kind {
    tag: *b"CTIN",
    name: "encrypted input",
    version: 2,
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
    /// Id of the key pair: a hash of the server key, see [`Binding::of`].
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
    File(#[from] FileError),
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
    /// A value that does not hold together, in the words of the crate that owns it.
    #[error("{name}: {source}")]
    Invalid {
        /// File.
        name: String,
        /// Reason.
        source: Box<dyn std::error::Error + Send + Sync>,
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
    /// A server key under the id of another one.
    #[error("{name}: its id is not the hash of the key in it, which may be another one's")]
    KeyId {
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
        .with_limit::<MAX_DECODED>()
}

/// Payload of a file that holds one value; `name` says in errors which.
///
/// # Errors
/// If it is larger than 512 MiB.
pub fn to_payload<T: Serialize>(kind: Kind, name: &str, value: &T) -> Result<Vec<u8>, ArtifactError> {
    bincode::serde::encode_to_vec(value, config()).map_err(|e| malformed(kind, name, e.to_string()))
}

/// The value that fills a payload. Nobody has checked it.
///
/// # Errors
/// If the payload does not decode, or has bytes left over.
pub fn from_payload<T: DeserializeOwned>(kind: Kind, name: &str, payload: &[u8]) -> Result<T, ArtifactError> {
    match from_start(kind, name, payload)? {
        (value, []) => Ok(value),
        (_, rest) => Err(malformed(kind, name, format!("{} bytes left over", rest.len()))),
    }
}

/// The value that a payload begins with, and the bytes after it.
fn from_start<'p, T: DeserializeOwned>(
    kind: Kind,
    name: &str,
    payload: &'p [u8],
) -> Result<(T, &'p [u8]), ArtifactError> {
    let decoded = bincode::serde::decode_from_slice(payload, config());
    let (value, used) = decoded.map_err(|e| malformed(kind, name, in_words(e)))?;
    Ok((value, &payload[used..]))
}

fn malformed(kind: Kind, name: &str, why: String) -> ArtifactError {
    ArtifactError::Malformed {
        name: name.to_owned(),
        what: kind.name,
        why,
    }
}

/// What a check of a part said, or the decoder.
fn in_words(error: bincode::error::DecodeError) -> String {
    if let bincode::error::DecodeError::OtherString(words) = error {
        return words;
    }
    error.to_string()
}

/// Bytes of a [`Binding`] before the rest of a payload.
pub const PREFIX: usize = 48;

/// A binding as the start of a payload.
pub fn prefix(binding: &Binding) -> [u8; PREFIX] {
    let mut prefix = [0; PREFIX];
    prefix[..32].copy_from_slice(&binding.circuit);
    prefix[32..].copy_from_slice(&binding.keys);
    prefix
}

/// Binding and rest of a payload.
///
/// # Errors
/// If the payload is too short for a binding.
pub fn split_binding<'p>(
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
///
/// # Errors
/// As [`split_binding`]; [`ArtifactError::OtherCircuit`] if it does not.
pub fn split<'p>(
    name: &str,
    kind: Kind,
    circuit: &dyn Interface,
    payload: &'p [u8],
) -> Result<(Binding, &'p [u8]), ArtifactError> {
    let (binding, rest) = split_binding(name, kind, payload)?;
    belongs(name, &binding, circuit)?;
    Ok((binding, rest))
}

/// Whether a file is of this circuit.
fn belongs(name: &str, binding: &Binding, circuit: &dyn Interface) -> Result<(), ArtifactError> {
    let needs = circuit.circuit_hash();
    if binding.circuit == *needs {
        return Ok(());
    }
    Err(ArtifactError::OtherCircuit {
        name: name.to_owned(),
        has: short_hex(&binding.circuit),
        needs: short_hex(needs),
    })
}

/// Whether the id in a file is that of the key in it.
fn check_id(name: &str, binding: &Binding, id: KeyId) -> Result<(), ArtifactError> {
    if binding.keys == id.finish() {
        return Ok(());
    }
    let name = name.to_owned();
    Err(ArtifactError::KeyId { name })
}

/// A key or ciphertext that does not fit the parameters.
pub fn key_error(name: &str, source: KeyError) -> ArtifactError {
    ArtifactError::Key {
        name: name.to_owned(),
        source,
    }
}
