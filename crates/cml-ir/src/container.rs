//! The frame of every file: header, length, checksum.
//!
//! | bytes | content |
//! |---|---|
//! | 8 | magic `\x89CML\r\n\x1a\n` (catches text-mode copies) |
//! | 4 | kind, ASCII |
//! | 4 | format version, little endian |
//! | 8 | payload length, little endian |
//! | 32 | SHA-256 of kind, version, length and payload |
//! | n | payload |
//!
//! Writers go through a temporary file and a rename: a reader sees the old
//! file or the new one, never a part. The checksum finds damage, not forgery.

mod arriving;
mod kinds;

pub use arriving::Arriving;
pub use kinds::describe;

use crate::IrError;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

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

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
pub enum ContainerError {
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

/// Kind tag of a cml file, if it is one; for programs that take any artifact.
///
/// # Errors
/// If the file cannot be read or has no magic number.
pub fn peek_tag(path: &Path) -> Result<[u8; 4], IrError> {
    let mut start = Vec::new();
    File::open(path)
        .and_then(|f| f.take(12).read_to_end(&mut start))
        .map_err(|e| io(path, e))?;
    tag_of(&start).ok_or_else(|| bad(&path.display().to_string(), ContainerError::Magic))
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
pub fn decode<'a>(kind: Kind, name: &str, blob: &'a [u8]) -> Result<&'a [u8], IrError> {
    check(kind, blob).map_err(|source| bad(name, source))
}

/// Writes a file at once: temporary file, flush to disk, rename.
///
/// # Errors
/// If the disk is full, the folder is missing or not writable; the old file,
/// if any, is untouched then.
pub fn write_file(kind: Kind, path: &Path, payload: &[u8], access: Access) -> Result<(), IrError> {
    write_atomic(path, &[&header(kind, payload), payload], access)
}

/// Writes any file at once: temporary file, flush to disk, rename.
///
/// # Errors
/// As [`write_file`].
pub fn write_atomic(path: &Path, parts: &[&[u8]], access: Access) -> Result<(), IrError> {
    let fail = |e: std::io::Error| io(path, e);
    let folder = path
        .parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    builder.prefix(".cml-");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = if access == Access::Private { 0o600 } else { 0o666 };
        builder.permissions(std::fs::Permissions::from_mode(mode));
    }
    // Elsewhere a file has no mode.
    #[cfg(not(unix))]
    let _ = access;
    let mut file = builder.tempfile_in(folder).map_err(fail)?;
    parts
        .iter()
        .try_for_each(|part| file.write_all(part))
        .map_err(fail)?;
    file.as_file().sync_all().map_err(fail)?;
    file.persist(path).map_err(|e| fail(e.error))?;
    Ok(())
}

/// Reads a file and returns its payload.
///
/// # Errors
/// As [`decode`], and if the file cannot be read. Nothing beyond the limit of
/// the kind is read into memory.
pub fn read_file(kind: Kind, path: &Path) -> Result<Vec<u8>, IrError> {
    let fail = |e: std::io::Error| io(path, e);
    let name = path.display().to_string();
    let mut file = File::open(path).map_err(fail)?;
    if !file.metadata().map_err(fail)?.is_file() {
        return Err(fail(std::io::Error::other("not a regular file")));
    }
    let mut blob = Vec::new();
    (&mut file)
        .take(HEADER as u64)
        .read_to_end(&mut blob)
        .map_err(fail)?;
    let length = parse(kind, &blob).map_err(|source| bad(&name, source))?;
    let has = file.metadata().map_err(fail)?.len().saturating_sub(HEADER as u64);
    if has < length {
        return Err(bad(&name, truncated(length, has)));
    }
    // At once, so that no buffer that was outgrown keeps a part of a secret key.
    blob.reserve_exact(length as usize + 64);
    file.take(length + 1).read_to_end(&mut blob).map_err(fail)?;
    check(kind, &blob).map_err(|source| bad(&name, source))?;
    blob.drain(..HEADER);
    Ok(blob)
}

fn io(path: &Path, source: std::io::Error) -> IrError {
    IrError::Io {
        path: path.to_owned(),
        source,
    }
}

fn bad(name: &str, source: ContainerError) -> IrError {
    IrError::Container {
        name: name.to_owned(),
        source,
    }
}

/// Of a payload that should have `length` bytes.
fn truncated(length: u64, has: u64) -> ContainerError {
    let whole = |payload: u64| payload.saturating_add(HEADER as u64);
    ContainerError::Truncated {
        needs: whole(length),
        has: whole(has),
    }
}

fn header(kind: Kind, payload: &[u8]) -> Vec<u8> {
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
fn parse(kind: Kind, header: &[u8]) -> Result<u64, ContainerError> {
    let rest = header.strip_prefix(MAGIC).ok_or(ContainerError::Magic)?;
    if header.len() < HEADER {
        return Err(ContainerError::Truncated {
            needs: HEADER as u64,
            has: header.len() as u64,
        });
    }
    if rest[..4] != kind.tag {
        return Err(ContainerError::Kind {
            found: [rest[0], rest[1], rest[2], rest[3]],
            expected: kind.tag,
        });
    }
    let version = rest[4..8].iter().rev().fold(0u32, |v, &b| v << 8 | u32::from(b));
    if version != kind.version {
        return Err(ContainerError::Version {
            kind: kind.name,
            found: version,
            supported: kind.version,
        });
    }
    let length = rest[8..16].iter().rev().fold(0u64, |v, &b| v << 8 | u64::from(b));
    if length > kind.max_payload {
        return Err(ContainerError::TooLarge {
            kind: kind.name,
            has: length,
            limit: kind.max_payload,
        });
    }
    Ok(length)
}

fn check(kind: Kind, blob: &[u8]) -> Result<&[u8], ContainerError> {
    let length = parse(kind, blob)?;
    let payload = &blob[HEADER..];
    let has = payload.len() as u64;
    if has < length {
        return Err(truncated(length, has));
    }
    if has > length {
        return Err(ContainerError::Trailing { extra: has - length });
    }
    if digest(&blob[8..24], payload) != blob[24..HEADER] {
        return Err(ContainerError::Checksum);
    }
    Ok(payload)
}
