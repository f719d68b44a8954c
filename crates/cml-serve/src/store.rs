//! The keys on disk: `keys/ID-OWNER.key` in the data folder, whole files only.
//!
//! A key counts once it is on disk under its name. The index is made of the files' names and heads at the
//! start.

use crate::ServeError;
use crate::caller::Caller;
use crate::config::Limits;
use crate::data::{self, DataFolder};
use crate::refusal::Refusal;
use cml_file::{from_hex, read_start, to_hex};
use cml_scheme::Binding;
use cml_scheme::artifact::KeyHead;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tempfile::{NamedTempFile, TempPath};

/// Id of a key pair.
pub(crate) type KeyId = [u8; 16];

/// A key on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Hash of its circuit.
    pub(crate) circuit: [u8; 32],
    /// Checksum of the file.
    pub(crate) checksum: [u8; 32],
    bytes: u64,
    /// Of this process: a key that is stored once more is another entry.
    number: u64,
}

/// What became of an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stored {
    /// It is there now.
    New,
    /// It was there already.
    Same,
}

/// Keys on disk.
pub(crate) struct Store {
    data: Arc<DataFolder>,
    folder: PathBuf,
    most_keys: usize,
    most_of_caller: usize,
    most_bytes: u64,
    index: Mutex<Index>,
    /// Held while a key gets its name, or loses it.
    naming: Mutex<()>,
}

#[derive(Default)]
struct Index {
    keys: BTreeMap<KeyId, (Caller, Entry)>,
    /// Entries that there ever were.
    numbers: u64,
    /// Keys of each caller, uploads included.
    of_caller: BTreeMap<Caller, usize>,
    /// Keys and uploads.
    count: usize,
    /// Their bytes.
    bytes: u64,
}

impl Index {
    fn insert(&mut self, owner: Caller, binding: &Binding, checksum: [u8; 32], bytes: u64) {
        self.numbers += 1;
        let entry = Entry {
            circuit: binding.circuit,
            checksum,
            bytes,
            number: self.numbers,
        };
        self.keys.insert(binding.keys, (owner, entry));
    }

    fn count(&mut self, caller: Caller, bytes: u64) {
        self.count += 1;
        self.bytes += bytes;
        *self.of_caller.entry(caller).or_default() += 1;
    }

    fn discount(&mut self, caller: Caller, bytes: u64) {
        self.count -= 1;
        self.bytes -= bytes;
        if let Some(count) = self.of_caller.get_mut(&caller) {
            *count -= 1;
            if *count == 0 {
                self.of_caller.remove(&caller);
            }
        }
    }
}

/// Room for an upload; given back unless the key is stored.
pub(crate) struct Room {
    store: Arc<Store>,
    caller: Caller,
    bytes: u64,
    used: bool,
}

impl Drop for Room {
    fn drop(&mut self) {
        if !self.used {
            self.store.index().discount(self.caller, self.bytes);
        }
    }
}

impl Store {
    /// Lists the keys of a data folder.
    ///
    /// # Errors
    /// If the folder of keys cannot be made or read.
    pub(crate) fn open(data: &Arc<DataFolder>, limits: &Limits) -> Result<Arc<Self>, ServeError> {
        let folder = data.subfolder("keys")?;
        let index = scan(&folder).map_err(|e| data::failed(&folder, e))?;
        Ok(Arc::new(Self {
            data: Arc::clone(data),
            folder,
            most_keys: limits.keys,
            most_of_caller: limits.caller_keys,
            most_bytes: limits.disk_bytes,
            index: Mutex::new(index),
            naming: Mutex::new(()),
        }))
    }

    /// The key of that id.
    pub(crate) fn find(&self, id: &KeyId) -> Option<Entry> {
        self.index().keys.get(id).map(|(_, entry)| *entry)
    }

    /// Number and bytes of the keys, uploads included.
    pub(crate) fn size(&self) -> (usize, u64) {
        let index = self.index();
        (index.count, index.bytes)
    }

    /// Makes room for an upload.
    pub(crate) fn room(self: &Arc<Self>, caller: Caller, bytes: u64) -> Result<Room, Refusal> {
        let mut index = self.index();
        let has = index.of_caller.get(&caller).copied().unwrap_or(0);
        if has >= self.most_of_caller {
            let limit = self.most_of_caller;
            return Err(Refusal::CallerKeys { has, limit });
        }
        if index.count >= self.most_keys {
            let (has, limit) = (index.count, self.most_keys);
            return Err(Refusal::Keys { has, limit });
        }
        if index.bytes.saturating_add(bytes) > self.most_bytes {
            return Err(Refusal::KeyBytes {
                has: index.bytes,
                more: bytes,
                limit: self.most_bytes,
            });
        }
        index.count(caller, bytes);
        Ok(Room {
            store: Arc::clone(self),
            caller,
            bytes,
            used: false,
        })
    }

    /// A file to receive into; it is removed when dropped.
    pub(crate) fn receive(&self) -> io::Result<NamedTempFile> {
        self.data.receive()
    }

    /// Gives a key that was received, checked and flushed its name.
    pub(crate) fn keep(
        &self,
        mut room: Room,
        file: TempPath,
        binding: &Binding,
        checksum: [u8; 32],
    ) -> Result<Stored, Refusal> {
        let _naming = self.naming.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = self.find(&binding.keys) {
            if entry.checksum == checksum {
                return Ok(Stored::Same);
            }
            let id = to_hex(&binding.keys);
            return Err(Refusal::OtherKey { id });
        }
        let path = self.path(&binding.keys, room.caller);
        data::keep(file, &path).map_err(Refusal::storage("store a key"))?;
        room.used = true;
        self.index().insert(room.caller, binding, checksum, room.bytes);
        Ok(Stored::New)
    }

    /// Removes a key of a caller; whether it was there.
    pub(crate) fn remove(&self, id: &KeyId, caller: Caller) -> Result<bool, Refusal> {
        let owned = |index: &Index| index.keys.get(id).is_some_and(|(owner, _)| *owner == caller);
        let _naming = self.naming.lock().unwrap_or_else(PoisonError::into_inner);
        if !owned(&self.index()) {
            return Ok(false);
        }
        self.forget(id).map_err(Refusal::storage("remove a key"))
    }

    /// Removes a key whose file turned out to be damaged, unless another one has taken its place.
    pub(crate) fn discard(&self, id: &KeyId, damaged: &Entry) {
        let _naming = self.naming.lock().unwrap_or_else(PoisonError::into_inner);
        if self.find(id) != Some(*damaged) {
            return;
        }
        if let Err(error) = self.forget(id) {
            tracing::error!(%error, "storage: remove a damaged key");
        }
    }

    fn forget(&self, id: &KeyId) -> io::Result<bool> {
        let found = self.index().keys.get(id).copied();
        let Some((owner, entry)) = found else {
            return Ok(false);
        };
        data::remove(&self.path(id, owner))?;
        let mut index = self.index();
        index.keys.remove(id);
        index.discount(owner, entry.bytes);
        Ok(true)
    }

    /// A key that is there, and its file.
    pub(crate) fn file(&self, id: &KeyId) -> Option<(Entry, PathBuf)> {
        let found = self.index().keys.get(id).copied();
        found.map(|(owner, entry)| (entry, self.path(id, owner)))
    }

    fn path(&self, id: &KeyId, owner: Caller) -> PathBuf {
        let name = format!("{}-{owner}.key", to_hex(id));
        self.folder.join(name)
    }

    fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lists the keys by the heads of their files; checksums are compared when a key is loaded.
fn scan(folder: &Path) -> io::Result<Index> {
    let (mut index, mut others) = (Index::default(), 0_u32);
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| parse(name.to_str()?));
        let head = read_start(&path, KeyHead::BYTES);
        let head = head.map(|(start, length)| KeyHead::of("a key", &start, length));
        match name.zip(head.ok().and_then(Result::ok)) {
            Some(((id, owner), found)) if found.binding.keys == id => {
                index.count(owner, found.file_bytes);
                index.insert(owner, &found.binding, found.checksum, found.file_bytes);
            }
            _ => others += 1,
        }
    }
    // Names of files have ids in them, and the log has none.
    if others > 0 {
        tracing::warn!(
            files = others,
            "in the folder of keys are files of no key, left alone"
        );
    }
    Ok(index)
}

/// Id and owner in the name of a key's file.
fn parse(name: &str) -> Option<(KeyId, Caller)> {
    let (id, owner) = name.strip_suffix(".key")?.split_once('-')?;
    Some((from_hex(id)?, Caller::parse(owner)?))
}
