//! Server keys that arrive in pieces, and the heads of those that lie on disk.

use super::{ArtifactError, Binding, PREFIX, SERVER_KEY, split_binding};
use cml_ir::IrError;
use cml_ir::container::Arriving;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// What the start of a server key's file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyHead {
    /// What it belongs to.
    pub binding: Binding,
    /// Checksum of the whole file, as declared.
    pub checksum: [u8; 32],
    /// Bytes of the whole file, as declared.
    pub file_bytes: u64,
}

/// A server key's file that arrives in pieces: checked as it comes, without being kept.
pub struct ArrivingKey {
    name: String,
    file: Arriving,
}

impl ArrivingKey {
    /// Nothing has come yet; `name` says in errors which file it is.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            file: Arriving::new(SERVER_KEY, name, PREFIX),
        }
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// As soon as it is no server key, or has more bytes than declared.
    pub fn update(&mut self, bytes: &[u8]) -> Result<(), ArtifactError> {
        Ok(self.file.update(bytes)?)
    }

    /// What the start says, once it has come. Nothing but damage is found by the end.
    pub fn head(&self) -> Option<KeyHead> {
        let (length, start) = (self.file.length()?, self.file.start()?);
        Some(KeyHead {
            binding: split_binding(&self.name, SERVER_KEY, start).ok()?.0,
            checksum: self.file.checksum()?,
            file_bytes: length.saturating_add(cml_ir::container::HEADER as u64),
        })
    }

    /// The head of a file that has come as a whole and is undamaged.
    ///
    /// # Errors
    /// If bytes are missing or differ.
    pub fn finish(self) -> Result<KeyHead, ArtifactError> {
        let (head, name) = (self.head(), self.name);
        self.file.finish()?;
        head.ok_or_else(|| ArtifactError::Malformed {
            name,
            what: SERVER_KEY.name,
            why: format!("fewer than {PREFIX} bytes"),
        })
    }
}

/// The head of a server key's file, which is as long as it says.
///
/// # Errors
/// If the file is missing, truncated or of another kind. Damage is found when it is read.
pub fn peek_server_key(path: &Path) -> Result<KeyHead, ArtifactError> {
    let name = path.display().to_string();
    let io = |source| IrError::Io {
        path: path.to_owned(),
        source,
    };
    let mut key = ArrivingKey::new(&name);
    let (mut start, file) = (Vec::new(), File::open(path).map_err(io)?);
    let has = file.metadata().map_err(io)?.len();
    let most = (cml_ir::container::HEADER + PREFIX) as u64;
    file.take(most).read_to_end(&mut start).map_err(io)?;
    key.update(&start)?;
    match key.head() {
        Some(head) if head.file_bytes == has => Ok(head),
        _ => Err(ArtifactError::Malformed {
            name,
            what: SERVER_KEY.name,
            why: format!("{has} bytes, not what its head says"),
        }),
    }
}
