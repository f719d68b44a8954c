//! The data folder: of one server at a time, with files that are on disk as a whole or not at all.
//!
//! A file is received in `incoming`, flushed, given its name in another folder, and that folder is flushed:
//! a crash at any moment leaves the whole file or nothing. Nothing here is for the threads of connections.

use crate::ServeError;
use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use tempfile::{NamedTempFile, TempPath};

/// A data folder, locked.
pub(crate) struct DataFolder {
    path: PathBuf,
    /// Held as long as the process lives: no other server uses the folder.
    _lock: File,
}

impl DataFolder {
    /// Opens a folder, makes it if it is not there, and removes what was half received.
    ///
    /// # Errors
    /// If the folder cannot be made or locked.
    pub(crate) fn open(path: &Path) -> Result<Self, ServeError> {
        make_private(path).map_err(|e| failed(path, e))?;
        let lock = File::create(path.join("lock")).map_err(|e| failed(path, e))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(ServeError::InUse {
                    path: path.to_owned(),
                });
            }
            Err(TryLockError::Error(e)) => return Err(failed(path, e)),
        }
        let folder = Self {
            path: path.to_owned(),
            _lock: lock,
        };
        let incoming = folder.incoming();
        if incoming.exists() {
            fs::remove_dir_all(&incoming).map_err(|e| failed(&incoming, e))?;
        }
        make_private(&incoming).map_err(|e| failed(&incoming, e))?;
        Ok(folder)
    }

    /// A folder within it, for one kind of files.
    ///
    /// # Errors
    /// If it cannot be made.
    pub(crate) fn subfolder(&self, name: &str) -> Result<PathBuf, ServeError> {
        let path = self.path.join(name);
        make_private(&path).map_err(|e| failed(&path, e))?;
        Ok(path)
    }

    /// A file to receive into; it is removed when dropped.
    pub(crate) fn receive(&self) -> io::Result<NamedTempFile> {
        NamedTempFile::new_in(self.incoming())
    }

    /// Writes a file.
    pub(crate) fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut file = self.receive()?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        keep(file.into_temp_path(), path)
    }

    fn incoming(&self) -> PathBuf {
        self.path.join("incoming")
    }
}

/// Gives a file that was received and flushed its name. After an error it is not there.
pub(crate) fn keep(file: TempPath, path: &Path) -> io::Result<()> {
    file.persist(path).map_err(|e| e.error)?;
    flush_names(path).inspect_err(|_| drop(fs::remove_file(path)))
}

/// Removes a file, if it is there, for good.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => flush_names(path),
    }
}

/// A name is on disk when its folder is.
fn flush_names(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

/// A folder that only the server's user can read. Those that were missing are on disk then.
fn make_private(folder: &Path) -> io::Result<()> {
    let is_missing = |path: &&Path| !path.as_os_str().is_empty() && !path.exists();
    let missing: Vec<&Path> = folder.ancestors().take_while(is_missing).collect();
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(folder)?;
    missing.into_iter().try_for_each(flush_names)
}

/// The error of a folder that cannot be used.
pub(crate) fn failed(path: &Path, source: io::Error) -> ServeError {
    ServeError::Io {
        path: path.to_owned(),
        source,
    }
}
