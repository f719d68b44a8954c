//! Files by path.

use crate::frame::{self, Access, FileError, FrameError, HEADER, Kind, bad, check, header, parse, truncated};
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use zeroize::Zeroizing;

/// Kind tag of a cml file, if it is one; for programs that take any artifact.
///
/// # Errors
/// If the file cannot be read or has no magic number.
pub fn peek_tag(path: &Path) -> Result<[u8; 4], FileError> {
    let mut start = Vec::new();
    File::open(path)
        .and_then(|f| f.take(12).read_to_end(&mut start))
        .map_err(|e| io(path, e))?;
    frame::tag_of(&start).ok_or_else(|| bad(&path.display().to_string(), FrameError::Magic))
}

/// Writes a file at once: temporary file, flush to disk, rename.
///
/// # Errors
/// If the disk is full, the folder is missing or not writable; the old file,
/// if any, is untouched then.
pub fn write_file(kind: Kind, path: &Path, payload: &[u8], access: Access) -> Result<(), FileError> {
    write_atomic(path, &[&header(kind, payload), payload], access)
}

/// Writes any file at once: temporary file, flush to disk, rename.
///
/// # Errors
/// As [`write_file`].
pub fn write_atomic(path: &Path, parts: &[&[u8]], access: Access) -> Result<(), FileError> {
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
/// As [`frame::decode`], and if the file cannot be read. Nothing beyond the limit of
/// the kind is read into memory.
pub fn read_file(kind: Kind, path: &Path) -> Result<Vec<u8>, FileError> {
    let fail = |e: std::io::Error| io(path, e);
    let name = path.display().to_string();
    let mut file = File::open(path).map_err(fail)?;
    if !file.metadata().map_err(fail)?.is_file() {
        return Err(fail(std::io::Error::other("not a regular file")));
    }
    let mut blob = Zeroizing::new(Vec::new());
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
    Ok(std::mem::take(&mut *blob))
}

/// The first bytes of a regular file, as many as asked for or as there are, and the length of the whole.
///
/// # Errors
/// If the file cannot be read.
pub fn read_start(path: &Path, bytes: usize) -> Result<(Vec<u8>, u64), FileError> {
    let fail = |e: std::io::Error| io(path, e);
    let (mut start, file) = (Vec::new(), File::open(path).map_err(fail)?);
    let length = file.metadata().map_err(fail)?.len();
    file.take(bytes as u64).read_to_end(&mut start).map_err(fail)?;
    Ok((start, length))
}

fn io(path: &Path, source: std::io::Error) -> FileError {
    FileError::Io {
        path: path.to_owned(),
        source,
    }
}
