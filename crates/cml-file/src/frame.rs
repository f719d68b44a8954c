//! Header, length, checksum: a frame round a payload.

mod arriving;
mod kinds;

pub use arriving::Arriving;
pub use kinds::describe;

use sha2::{Digest, Sha256};
use std::path::PathBuf;

const MAGIC: &[u8; 8] = b"\x89CML\r\n\x1a\n";
/// Bytes before the payload.
pub const HEADER: usize = 56;

/// Kind and format version of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// Four ASCII characters.
    pub tag: [u8; 4],
    /// What people call it.
    pub name: &'static str,
    /// Version that is written, and the only one read so far.
    pub version: u32,
    /// Longest payload that is read, in bytes.
    pub max_payload: u64,
}

/// Who may read a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// As the user's umask says.
    Shared,
    /// The owner only (mode 0600).
    Private,
}

/// What is wrong with a file: which one, and why.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// A file that could not be read or written.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// File.
        path: PathBuf,
        /// Cause.
        source: std::io::Error,
    },
    /// A file or blob that is not what it should be.
    #[error("{name}: {source}")]
    Frame {
        /// File or blob.
        name: String,
        /// Cause.
        source: FrameError,
    },
}

impl FileError {
    /// Whether a payload is longer than was to be read.
    pub fn is_too_large(&self) -> bool {
        let Self::Frame { source, .. } = self else {
            return false;
        };
        matches!(source, FrameError::TooLarge { .. })
    }
}

/// What is wrong with a frame.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// No magic number.
    #[error("not a cml file")]
    Magic,
    /// A cml file of another kind.
    #[error("is {}, needs {}", describe(*.found), describe(*.expected))]
    Kind {
        /// Tag found.
        found: [u8; 4],
        /// Tag of the kind that is needed.
        expected: [u8; 4],
    },
    /// Another format version.
    #[error("{kind} format version {found}, this program reads {supported}")]
    Version {
        /// Kind.
        kind: &'static str,
        /// Version found.
        found: u32,
        /// Version supported.
        supported: u32,
    },
    /// Fewer bytes than declared.
    #[error("truncated: has {has} bytes, needs {needs}")]
    Truncated {
        /// Bytes that the whole file needs, its header included.
        needs: u64,
        /// Bytes that there are, the header included.
        has: u64,
    },
    /// More bytes than declared.
    #[error("has {extra} bytes more than its header says")]
    Trailing {
        /// Bytes too many.
        extra: u64,
    },
    /// A payload beyond the limit of its kind.
    #[error("{kind} of {has} bytes, limit {limit}")]
    TooLarge {
        /// Kind.
        kind: &'static str,
        /// Declared length.
        has: u64,
        /// Limit.
        limit: u64,
    },
    /// Damage.
    #[error("checksum mismatch: the file is damaged")]
    Checksum,
}

/// Kind tag of a cml file's bytes, if it is one.
pub fn tag_of(bytes: &[u8]) -> Option<[u8; 4]> {
    bytes.strip_prefix(MAGIC)?.first_chunk().copied()
}

/// Header and payload as one blob.
pub fn encode(kind: Kind, payload: &[u8]) -> Vec<u8> {
    let mut blob = Vec::with_capacity(HEADER + payload.len());
    blob.extend_from_slice(&header(kind, payload));
    blob.extend_from_slice(payload);
    blob
}

/// Payload of a blob; `name` says in errors what the blob is.
///
/// # Errors
/// If magic, kind, version, length or checksum are not right.
pub fn decode<'a>(kind: Kind, name: &str, blob: &'a [u8]) -> Result<&'a [u8], FileError> {
    check(kind, blob).map_err(|source| bad(name, source))
}

pub(crate) fn bad(name: &str, source: FrameError) -> FileError {
    FileError::Frame {
        name: name.to_owned(),
        source,
    }
}

/// Of a payload that should have `length` bytes.
pub(crate) fn truncated(length: u64, has: u64) -> FrameError {
    let whole = |payload: u64| payload.saturating_add(HEADER as u64);
    FrameError::Truncated {
        needs: whole(length),
        has: whole(has),
    }
}

pub(crate) fn header(kind: Kind, payload: &[u8]) -> Vec<u8> {
    let mut header = Vec::with_capacity(HEADER);
    header.extend_from_slice(MAGIC);
    header.extend_from_slice(&kind.tag);
    header.extend_from_slice(&kind.version.to_le_bytes());
    header.extend_from_slice(&(payload.len() as u64).to_le_bytes());
    let digest = digest(&header[8..24], payload);
    header.extend_from_slice(&digest);
    header
}

fn digest(fields: &[u8], payload: &[u8]) -> [u8; 32] {
    Sha256::new()
        .chain_update(fields)
        .chain_update(payload)
        .finalize()
        .into()
}

/// Checks everything but the payload; returns its declared length.
pub(crate) fn parse(kind: Kind, header: &[u8]) -> Result<u64, FrameError> {
    let rest = header.strip_prefix(MAGIC).ok_or(FrameError::Magic)?;
    if header.len() < HEADER {
        return Err(FrameError::Truncated {
            needs: HEADER as u64,
            has: header.len() as u64,
        });
    }
    if rest[..4] != kind.tag {
        return Err(FrameError::Kind {
            found: [rest[0], rest[1], rest[2], rest[3]],
            expected: kind.tag,
        });
    }
    let version = rest[4..8].iter().rev().fold(0u32, |v, &b| v << 8 | u32::from(b));
    if version != kind.version {
        return Err(FrameError::Version {
            kind: kind.name,
            found: version,
            supported: kind.version,
        });
    }
    let length = rest[8..16].iter().rev().fold(0u64, |v, &b| v << 8 | u64::from(b));
    if length > kind.max_payload {
        return Err(FrameError::TooLarge {
            kind: kind.name,
            has: length,
            limit: kind.max_payload,
        });
    }
    Ok(length)
}

pub(crate) fn check(kind: Kind, blob: &[u8]) -> Result<&[u8], FrameError> {
    let length = parse(kind, blob)?;
    let payload = &blob[HEADER..];
    let has = payload.len() as u64;
    if has < length {
        return Err(truncated(length, has));
    }
    if has > length {
        return Err(FrameError::Trailing { extra: has - length });
    }
    if digest(&blob[8..24], payload) != blob[24..HEADER] {
        return Err(FrameError::Checksum);
    }
    Ok(payload)
}
