//! Access to keys: owners and modes of the folders and files of a [`KeyStore`](crate::KeyStore).
//!
//! - Folders and files belong to the user of the process or to root. Root can read and replace everything anyway, so a
//!   folder that root has set up is as good as one's own. For a process of root only root's own will do: whoever else
//!   has the folder could replace the keys that root works with.
//! - Nobody else may write to them, and nobody else may read a secret key in the clear. What others cannot get at, in a
//!   folder that they cannot enter, they cannot write to.
//! - The folder of the store may be a link, to wherever its owner wants to have it. What is inside is no link: where
//!   one leads can change after it was looked at.

use crate::error::RemoteError;
use std::path::Path;

/// What is asked of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Guard {
    /// Nobody else can write to it.
    Write,
    /// Nobody else reads it either.
    ReadWrite,
}

/// Checks the folder of a store, at the end of links.
pub(crate) fn check_store(folder: &Path) -> Result<(), RemoteError> {
    system::check_store(folder)
}

/// Checks the folder of a circuit within a store.
pub(crate) fn check_folder(folder: &Path) -> Result<(), RemoteError> {
    system::check_folder(folder)
}

/// Checks a file within the folder of a circuit.
pub(crate) fn check_file(file: &Path, guard: Guard) -> Result<(), RemoteError> {
    system::check_file(file, guard)
}

#[cfg(unix)]
mod system {
    use super::Guard;
    use crate::error::RemoteError;
    use std::fs::{self, Metadata};
    use std::io;
    use std::os::unix::fs::MetadataExt;
    use std::path::Path;

    pub(super) fn check_store(folder: &Path) -> Result<(), RemoteError> {
        folder_of(folder, fs::metadata(folder))
    }

    pub(super) fn check_folder(folder: &Path) -> Result<(), RemoteError> {
        folder_of(folder, fs::symlink_metadata(folder))
    }

    fn folder_of(folder: &Path, metadata: io::Result<Metadata>) -> Result<(), RemoteError> {
        let metadata = read(folder, metadata)?;
        let path = folder.to_owned();
        if !metadata.is_dir() {
            let needs = "folder";
            return Err(RemoteError::Kind { path, needs });
        }
        check_owner(folder, &metadata)?;
        match metadata.mode() & 0o777 {
            mode if mode & 0o022 != 0 => Err(RemoteError::Mode { path, mode }),
            _ => Ok(()),
        }
    }

    pub(super) fn check_file(file: &Path, guard: Guard) -> Result<(), RemoteError> {
        let metadata = read(file, fs::symlink_metadata(file))?;
        let path = file.to_owned();
        if !metadata.is_file() {
            let needs = "file";
            return Err(RemoteError::Kind { path, needs });
        }
        check_owner(file, &metadata)?;
        match (metadata.mode() & 0o777, guard) {
            (mode, Guard::ReadWrite) if mode & 0o077 != 0 => Err(RemoteError::SecretMode { path, mode }),
            (mode, Guard::Write) if mode & 0o022 != 0 && can_be_entered(file)? => {
                Err(RemoteError::FileMode { path, mode })
            }
            _ => Ok(()),
        }
    }

    /// Whether others than its owner can enter the folder of a file.
    fn can_be_entered(file: &Path) -> Result<bool, RemoteError> {
        let folder = file.parent().unwrap_or(file);
        let metadata = read(folder, fs::symlink_metadata(folder))?;
        Ok(metadata.mode() & 0o011 != 0)
    }

    fn read(path: &Path, metadata: io::Result<Metadata>) -> Result<Metadata, RemoteError> {
        metadata.map_err(|source| RemoteError::Store {
            path: path.to_owned(),
            source,
        })
    }

    fn check_owner(path: &Path, metadata: &Metadata) -> Result<(), RemoteError> {
        let user = rustix::process::geteuid().as_raw();
        match metadata.uid() {
            owner if is_trusted(owner, user) => Ok(()),
            owner => Err(RemoteError::Owner {
                path: path.to_owned(),
                owner,
                user,
            }),
        }
    }

    /// Whether a process of `user` may use what belongs to `owner`.
    fn is_trusted(owner: u32, user: u32) -> bool {
        const ROOT: u32 = 0;
        owner == user || owner == ROOT
    }

    #[cfg(test)]
    mod tests {
        use super::is_trusted;

        #[test]
        fn ones_own_and_what_root_has_set_up() {
            assert!(is_trusted(1000, 1000) && is_trusted(0, 1000) && is_trusted(0, 0));
            assert!(!is_trusted(1001, 1000) && !is_trusted(1000, 0));
        }
    }
}

/// Owners and modes are not known on this system.
#[cfg(not(unix))]
mod system {
    use super::Guard;
    use crate::error::RemoteError;
    use std::path::Path;

    pub(super) fn check_store(_: &Path) -> Result<(), RemoteError> {
        Ok(())
    }

    pub(super) fn check_folder(_: &Path) -> Result<(), RemoteError> {
        Ok(())
    }

    pub(super) fn check_file(_: &Path, _: Guard) -> Result<(), RemoteError> {
        Ok(())
    }
}
