//! Why the service does not start or cannot go on.

use cml_exec::ServerError;
use cml_scheme::ArtifactError;
use std::io;
use std::path::PathBuf;

/// Errors of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// A file or folder that cannot be read or written.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// File or folder.
        path: PathBuf,
        /// Cause.
        source: io::Error,
    },
    /// Another process uses the folder.
    #[error("{path} is used by another server", path = path.display())]
    InUse {
        /// Data folder.
        path: PathBuf,
    },
    /// A line of the token file.
    #[error("token of line {line} {why}")]
    Token {
        /// From 1.
        line: usize,
        /// What is wrong with it.
        why: String,
    },
    /// A token file without tokens.
    #[error("no token, needs one at least")]
    NoTokens,
    /// A token file that is too long.
    #[error("{has} tokens, limit {limit}")]
    TooManyTokens {
        /// Tokens found.
        has: usize,
        /// Limit.
        limit: usize,
    },
    /// A token of a caller that also reads the counters of all callers.
    #[error("a token of the callers is also one for the counters, which tell about all of them")]
    SharedToken,
    /// Certificate or private key.
    #[error("TLS: {0}")]
    Tls(String),
    /// Nothing to serve.
    #[error("no circuit, needs one at least")]
    NoModels,
    /// One circuit given twice.
    #[error("circuit {name} is given twice")]
    Twice {
        /// Name of the circuit.
        name: String,
    },
    /// Keys that could never be used.
    #[error("expanded keys of circuit {name} take {needs} bytes, limit {limit}")]
    Memory {
        /// Name of the circuit.
        name: String,
        /// Bytes of one client's expanded keys.
        needs: u64,
        /// Bytes for the keys of all clients.
        limit: u64,
    },
    /// Jobs for which there is never room.
    #[error("a job of circuit {name} with one sample takes {needs} bytes, limit for one caller {limit}")]
    Job {
        /// Name of the circuit.
        name: String,
        /// Bytes of inputs and answer.
        needs: u64,
        /// Bytes for one caller's jobs.
        limit: u64,
    },
    /// A circuit that cannot be hashed.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// A circuit that cannot be run.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// The system gives no thread.
    #[error("no thread for the work: {0}")]
    Thread(#[source] io::Error),
}
