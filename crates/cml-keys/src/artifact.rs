//! Files of secret keys.

mod client_key;
mod locked_key;

use cml_file::Kind;

pub use locked_key::LockedClientKeys;

/// `client.key`.
pub const CLIENT_KEY: Kind = Kind {
    tag: *b"CKEY",
    name: "client key",
    version: 3,
    max_payload: 1 << 20,
};
/// `client.key` under a passphrase.
pub const LOCKED_CLIENT_KEY: Kind = Kind {
    tag: *b"CKPW",
    name: "client key under a passphrase",
    version: 3,
    max_payload: 1 << 20,
};
