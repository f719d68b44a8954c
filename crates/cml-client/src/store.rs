//! Keys on disk: a folder for each circuit.

use crate::error::RemoteError;
use crate::private::{Guard, check_file, check_folder, check_store};
use cml_file::{Artifact, FileError, peek_tag, read_start, short_hex, to_hex};
use cml_keys::artifact::{LOCKED_CLIENT_KEY, LockedClientKeys};
use cml_keys::random::System;
use cml_keys::{BoundClientKeys, Client};
use cml_scheme::artifact::{ArrivingKey, KeyHead};
use cml_scheme::{ArtifactError, ClientSpec, Progress};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use zeroize::Zeroizing;

const SPEC_FILE: &str = "net.cmls";
const CLIENT_FILE: &str = "client.key";
const SERVER_FILE: &str = "server.key";
/// Bytes of a file that are read at a time.
const PIECE: usize = 1 << 20;
/// Start of the names of folders whose keys are being drawn.
const NEW: &str = ".new-";
/// Shared by those who draw keys; who has it alone knows that nobody does.
const LOCK_FILE: &str = ".lock";

/// A folder of keys, for its owner only (mode 0700).
///
/// For each circuit it holds a folder named by the circuit's hash, with
/// `net.cmls`, `client.key` and `server.key`. A folder appears at once, with all
/// three. What a process that was killed had drawn is removed when the store is
/// opened the next time.
///
/// Folders and files have to belong to the user of the process or to root, and others must not be able to write to
/// them; links inside are refused.
pub struct KeyStore {
    folder: PathBuf,
    passphrase: Option<Zeroizing<String>>,
}

/// The keys of one circuit.
pub struct Keys {
    /// The client, with the secret key.
    pub client: Client,
    /// File of the evaluation keys.
    pub server_key: PathBuf,
    /// Whether they were drawn just now.
    pub new: bool,
}

impl Keys {
    /// Whether all bytes of the evaluation keys are those of the secret key's pair: the id is a hash of them.
    pub(crate) fn check(&self) -> Result<(), RemoteError> {
        let path = &self.server_key;
        let mut key = ArrivingKey::new(&path.display().to_string());
        let mut file = File::open(path).map_err(|e| store(path, e))?;
        let mut piece = vec![0; PIECE];
        let head = loop {
            match file.read(&mut piece).map_err(|e| store(path, e))? {
                0 => break key.finish()?,
                bytes => key.update(&piece[..bytes])?,
            }
        };
        if head.binding != self.client.key().binding {
            let path = path.clone();
            return Err(RemoteError::KeyPair { path });
        }
        Ok(())
    }
}

impl KeyStore {
    /// Opens a folder, and makes it if it is not there.
    ///
    /// # Errors
    /// If it cannot be made, or belongs to another user, or others may write to it.
    pub fn open(folder: &Path) -> Result<Self, RemoteError> {
        make_private(folder).map_err(|e| store(folder, e))?;
        check_store(folder)?;
        // Keys can be read from a folder where nothing can be removed.
        let _ = remove_stale(folder);
        Ok(Self {
            folder: folder.to_owned(),
            passphrase: None,
        })
    }

    /// Secret keys are drawn under this passphrase, and those under one are read with it.
    pub fn with_passphrase(self, passphrase: Zeroizing<String>) -> Self {
        Self {
            passphrase: Some(passphrase),
            ..self
        }
    }

    /// Folder of the keys of a circuit, whether it is there or not.
    pub fn folder_of(&self, circuit: &[u8; 32]) -> PathBuf {
        self.folder.join(to_hex(circuit))
    }

    /// File of the secret key of a circuit, whether it is there or not.
    pub fn secret_key_of(&self, circuit: &[u8; 32]) -> PathBuf {
        self.folder_of(circuit).join(CLIENT_FILE)
    }

    /// Whether the secret key of a circuit is under a passphrase; nothing if there is no key.
    ///
    /// # Errors
    /// If its file cannot be read, or is not one's own.
    pub fn is_locked(&self, circuit: &[u8; 32]) -> Result<Option<bool>, RemoteError> {
        let folder = self.folder_of(circuit);
        if !folder.exists() {
            return Ok(None);
        }
        check_folder(&folder)?;
        let file = self.secret_key_of(circuit);
        check_file(&file, Guard::Write)?;
        let tag = peek_tag(&file).map_err(ArtifactError::from)?;
        Ok(Some(tag == LOCKED_CLIENT_KEY.tag))
    }

    /// The keys of a circuit: those that are there, or new ones. `report` is called as
    /// drawing goes on.
    ///
    /// # Errors
    /// If the folder holds no good keys, they were drawn for another description of the
    /// circuit, or new ones cannot be drawn or written.
    pub fn keys(&self, spec: ClientSpec, report: &mut dyn FnMut(Progress)) -> Result<Keys, RemoteError> {
        let folder = self.folder_of(spec.circuit());
        if !folder.exists() {
            let drawn = self.draw(spec.clone(), report)?;
            match fs::rename(drawn.folder.path(), &folder) {
                Ok(()) => {
                    // Its folder is another one now: nothing is left to remove.
                    let _ = drawn.folder.keep();
                    return self.read(&folder, &spec, true);
                }
                // Another process was faster: its keys are as good.
                Err(_) if folder.exists() => {}
                Err(error) => return Err(store(&folder, error)),
            }
        }
        self.read(&folder, &spec, false)
    }

    /// New keys.
    fn draw(&self, spec: ClientSpec, report: &mut dyn FnMut(Progress)) -> Result<Drawn, RemoteError> {
        let failed = |e| store(&self.folder, e);
        let lock = lock_file(&self.folder).map_err(failed)?;
        // Without locks on this disk nothing is ever removed.
        let _ = lock.lock_shared();
        let mut builder = tempfile::Builder::new();
        builder.prefix(NEW);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            builder.permissions(fs::Permissions::from_mode(0o700));
        }
        let temporary = builder.tempdir_in(&self.folder).map_err(failed)?;
        let path = |name: &str| temporary.path().join(name);
        let (client, server) = Client::generate(spec, report)?;
        let file = path(CLIENT_FILE);
        let lock_key = |passphrase: &str| {
            let name = file.display().to_string();
            LockedClientKeys::seal(&name, client.key(), passphrase.as_bytes(), &mut System::new())
        };
        client
            .spec()
            .write(&path(SPEC_FILE))
            .and_then(|()| server.write(&path(SERVER_FILE)))
            .and_then(|()| match &self.passphrase {
                Some(passphrase) => lock_key(passphrase)?.write(&file),
                None => client.key().write(&file),
            })
            .map_err(|error| match error {
                // A file that nobody will ever see again does not tell where the disk is full.
                ArtifactError::File(FileError::Io { source, .. }) => failed(source),
                error => error.into(),
            })?;
        Ok(Drawn {
            folder: temporary,
            _lock: lock,
        })
    }

    /// The keys in a folder, for a circuit that is described as it was when they were drawn.
    fn read(&self, folder: &Path, spec: &ClientSpec, new: bool) -> Result<Keys, RemoteError> {
        check_folder(folder)?;
        for name in [SPEC_FILE, CLIENT_FILE, SERVER_FILE] {
            check_file(&folder.join(name), Guard::Write)?;
        }
        let kept = ClientSpec::read(&folder.join(SPEC_FILE), ())?;
        if !kept.agrees_with(spec) {
            return Err(RemoteError::SpecChanged {
                circuit: short_hex(spec.circuit()),
                folder: folder.to_owned(),
            });
        }
        let file = folder.join(CLIENT_FILE);
        let locked = peek_tag(&file).map_err(ArtifactError::from)? == LOCKED_CLIENT_KEY.tag;
        if !locked {
            check_file(&file, Guard::ReadWrite)?;
        }
        let key = match &self.passphrase {
            Some(passphrase) if locked => {
                LockedClientKeys::read(&file, ())?.open(&kept, passphrase.as_bytes())?
            }
            // Who gives one believes that the key is guarded by it.
            Some(_) => return Err(RemoteError::NoPassphrase { path: file }),
            None if locked => return Err(RemoteError::Passphrase { path: file }),
            None => BoundClientKeys::read(&file, &kept)?,
        };
        let server_key = folder.join(SERVER_FILE);
        let (start, length) = read_start(&server_key, KeyHead::BYTES).map_err(ArtifactError::from)?;
        let head = KeyHead::of(&server_key.display().to_string(), &start, length)?;
        if head.binding != key.binding {
            return Err(RemoteError::KeyPair { path: server_key });
        }
        Ok(Keys {
            client: Client::new(kept, key)?,
            server_key,
            new,
        })
    }
}

/// New keys in a folder that goes away unless it is kept.
struct Drawn {
    folder: TempDir,
    /// Let go of when the folder has its name, or is gone.
    _lock: File,
}

/// Removes what processes that were killed while they drew keys have left.
fn remove_stale(folder: &Path) -> io::Result<()> {
    let mut stale = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry
            .file_name()
            .to_str()
            .is_some_and(|name| name.starts_with(NEW))
            && entry.file_type()?.is_dir()
        {
            stale.push(entry.path());
        }
    }
    if stale.is_empty() {
        return Ok(());
    }
    let lock = lock_file(folder)?;
    // Who still draws has it, and who wants to draw waits.
    if lock.try_lock().is_ok() {
        for path in stale {
            match fs::remove_dir_all(path) {
                // It got its name in the meantime.
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                _ => {}
            }
        }
    }
    Ok(())
}

fn lock_file(folder: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.write(true).create(true).truncate(false);
    options.open(folder.join(LOCK_FILE))
}

fn store(path: &Path, source: io::Error) -> RemoteError {
    RemoteError::Store {
        path: path.to_owned(),
        source,
    }
}

/// Makes a folder, and those above it, that only the owner can enter.
fn make_private(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}
