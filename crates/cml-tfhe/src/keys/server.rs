//! The server key as shipped: seeded, in the standard domain.

use super::{KeyError, bytes};
use crate::params::{Parameters, SEED_BYTES};

/// Everything a server needs to compute on ciphertexts, and nothing to read them.
///
/// Masks are replaced by their seeds: `k + 1` times smaller than expanded for
/// the bootstrapping key, `n + 1` times for the keyswitching key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerKey {
    pub(super) parameters: Parameters,
    pub(super) bootstrap_seed: u128,
    pub(super) bootstrap_bodies: Vec<u64>,
    pub(super) keyswitch_seed: u128,
    pub(super) keyswitch_bodies: Vec<u32>,
}

/// What a long operation on keys is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The keyswitching key.
    Keyswitch,
    /// The bootstrapping key.
    Bootstrap,
}

/// How far a long operation on keys has come in its stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The stage.
    pub stage: Stage,
    /// Key bits done.
    pub done: usize,
    /// Key bits in all.
    pub total: usize,
}

impl ServerKey {
    /// Parameters of the key.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// Writes both keys: seeds and bodies.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.parameters.server_key_bytes() as usize);
        self.put(&mut out);
        out
    }

    pub(super) fn put(&self, out: &mut Vec<u8>) {
        out.extend(self.bootstrap_seed.to_le_bytes());
        let size = self.parameters.bootstrap_body_bytes() as usize;
        bytes::put_high_bytes(out, &self.bootstrap_bodies, size);
        out.extend(self.keyswitch_seed.to_le_bytes());
        bytes::put_u32(out, &self.keyswitch_bodies);
    }

    /// Reads a key of exactly these parameters.
    ///
    /// Any bytes of the right length are a key; one that was not made by the
    /// owner of the ciphertexts makes noise of them.
    ///
    /// # Errors
    ///
    /// [`KeyError::Parameters`] for parameters that are refused,
    /// [`KeyError::Length`] for bytes of another length.
    pub fn from_bytes(bytes: &[u8], parameters: &Parameters) -> Result<Self, KeyError> {
        parameters.validate()?;
        let what = "server key";
        bytes::check_length(what, bytes, parameters.server_key_bytes())?;
        let size = parameters.bootstrap_body_bytes();
        let bootstrap_bytes = SEED_BYTES + size * parameters.bootstrap_key_bodies();
        let (bootstrap, keyswitch) = bytes.split_at(bootstrap_bytes as usize);
        let (bootstrap_seed, bootstrap) = bytes::split_seed(what, bootstrap)?;
        let (keyswitch_seed, keyswitch) = bytes::split_seed(what, keyswitch)?;
        Ok(Self {
            parameters: *parameters,
            bootstrap_seed,
            bootstrap_bodies: bytes::get_high_bytes(bootstrap, size as usize),
            keyswitch_seed,
            keyswitch_bodies: bytes::get_u32(keyswitch),
        })
    }
}
