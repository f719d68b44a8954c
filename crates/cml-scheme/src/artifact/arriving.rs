//! Server keys that arrive in pieces, and their heads.

use super::{ArtifactError, Binding, KeyId, PREFIX, SERVER_KEY, check_id, split_binding};
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
    /// Bytes before the key itself that have not come.
    before: usize,
    /// Of the bytes of the key, once the circuit is known.
    id: Option<KeyId>,
}

impl ArrivingKey {
    /// Nothing has come yet; `name` says in errors which file it is.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            file: Arriving::new(SERVER_KEY, name, PREFIX),
            before: HEADER + PREFIX,
            id: None,
        }
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// As soon as it is no server key, or has more bytes than declared.
    pub fn update(&mut self, bytes: &[u8]) -> Result<(), ArtifactError> {
        self.file.update(bytes)?;
        let (before, key) = bytes.split_at(bytes.len().min(self.before));
        self.before -= before.len();
        if self.before == 0 && self.id.is_none() {
            let head = self.head();
            self.id = head.map(|head| KeyId::of_circuit(&head.binding.circuit));
        }
        if let Some(id) = &mut self.id {
            id.update(key);
        }
        Ok(())
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

    /// The head of a file that has come as a whole and is undamaged, and whose id is that of the key.
    ///
    /// # Errors
    /// If bytes are missing or differ, or the id is another one.
    pub fn finish(self) -> Result<KeyHead, ArtifactError> {
        let (head, name) = (self.head(), self.name);
        self.file.finish()?;
        let (Some(head), Some(id)) = (head, self.id) else {
            return Err(ArtifactError::Malformed {
                name,
                what: SERVER_KEY.name,
                why: format!("fewer than {PREFIX} bytes"),
            });
        };
        check_id(&name, &head.binding, id)?;
        Ok(head)
    }
}

impl KeyHead {
    /// Bytes at the start of a file that hold its head.
    pub const BYTES: usize = HEADER + PREFIX;

    /// The head in the first bytes of a file that has `file_bytes` in all, as it must say; `name` says in errors
    /// which. Damage behind the head, and an id that is not the key's, are found when the file is read.
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
