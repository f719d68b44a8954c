//! What can be wrong with a file.

use crate::ImportReport;
use std::path::PathBuf;

/// Errors of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OnnxError {
    /// A file that could not be read.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// File.
        path: PathBuf,
        /// Cause.
        source: std::io::Error,
    },
    /// Something larger than this crate reads.
    #[error("{what} has {has}, limit {limit}")]
    TooLarge {
        /// What it is.
        what: String,
        /// Its size.
        has: u64,
        /// Most that is read.
        limit: u64,
    },
    /// Bytes that are not an ONNX model.
    #[error("not a complete ONNX file: {0}")]
    Format(String),
    /// A tensor whose parts do not fit together.
    #[error("tensor {name}: {why}")]
    Tensor {
        /// Tensor.
        name: String,
        /// What is wrong.
        why: String,
    },
    /// Data in another file that may not or cannot be read.
    #[error("tensor {name}: external data {location:?} {why}")]
    External {
        /// Tensor.
        name: String,
        /// Place that the file names.
        location: String,
        /// What is wrong.
        why: String,
    },
    /// Nodes that read each other.
    #[error("the graph has a cycle through {0}")]
    Cycle(String),
    /// A value that two nodes provide.
    #[error("value {0:?} has two sources")]
    Twice(String),
    /// Everything that stands in the way of an import.
    #[error("{0}")]
    Obstacles(ImportReport),
}
