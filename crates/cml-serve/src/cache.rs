//! Expanded keys in memory: those used last, within a number of bytes.

use crate::store::{Entry, KeyId};
use cml_exec::Server;

/// Of a number of bytes; only the worker has one, so what it drops is gone at once.
pub(crate) struct Cache {
    most_bytes: u64,
    bytes: u64,
    /// Used last at the end.
    servers: Vec<Expanded>,
}

struct Expanded {
    key: KeyId,
    /// What it was made of: another key may have its id by now.
    stored: Entry,
    server: Server,
    bytes: u64,
}

impl Cache {
    pub(crate) fn new(most_bytes: u64) -> Self {
        Self {
            most_bytes,
            bytes: 0,
            servers: Vec::new(),
        }
    }

    /// Bytes of the keys in memory.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The server with that key, as it is stored: one that is there, or a new one for which room is made
    /// *before* it is loaded.
    pub(crate) fn get<E>(
        &mut self,
        key: &KeyId,
        stored: Entry,
        bytes: u64,
        load: impl FnOnce() -> Result<Server, E>,
    ) -> Result<&Server, E> {
        self.retain(|other, entry| other != key || *entry == stored);
        let expanded = match self.servers.iter().position(|e| e.key == *key) {
            Some(at) => self.servers.remove(at),
            None => {
                while self.bytes.saturating_add(bytes) > self.most_bytes && !self.servers.is_empty() {
                    let oldest = self.servers.remove(0);
                    self.bytes -= oldest.bytes;
                }
                let server = load()?;
                self.bytes += bytes;
                Expanded {
                    key: *key,
                    stored,
                    server,
                    bytes,
                }
            }
        };
        self.servers.push(expanded);
        Ok(&self.servers[self.servers.len() - 1].server)
    }

    /// Drops keys that are not to be kept.
    pub(crate) fn retain(&mut self, keep: impl Fn(&KeyId, &Entry) -> bool) {
        self.servers
            .retain(|expanded| keep(&expanded.key, &expanded.stored));
        self.bytes = self.servers.iter().map(|expanded| expanded.bytes).sum();
    }
}
