//! Server keys that arrive in pieces, and their heads.

use super::{ArtifactError, Binding, PREFIX, SERVER_KEY, split_binding};
use cml_file::{Arriving, HEADER};

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
            file_bytes: length.saturating_add(HEADER as u64),
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

impl KeyHead {
    /// Bytes at the start of a file that hold its head.
    pub const BYTES: usize = HEADER + PREFIX;

    /// The head in the first bytes of a file that has `file_bytes` in all, as it must say; `name` says in errors
    /// which. Damage behind the head is found when the file is read.
    ///
    /// # Errors
    /// If it is no server key, or longer or shorter than it says.
    pub fn of(name: &str, start: &[u8], file_bytes: u64) -> Result<Self, ArtifactError> {
        let mut key = ArrivingKey::new(name);
        key.update(&start[..start.len().min(Self::BYTES)])?;
        match key.head() {
            Some(head) if head.file_bytes == file_bytes => Ok(head),
            _ => Err(ArtifactError::Malformed {
                name: name.to_owned(),
                what: SERVER_KEY.name,
                why: format!("{file_bytes} bytes, not what its head says"),
            }),
        }
    }
}
