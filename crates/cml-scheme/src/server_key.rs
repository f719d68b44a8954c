//! The server key as shipped: seeded, in the standard domain.

use crate::error::KeyError;
use crate::params::{Parameters, SEED_BYTES};
use crate::raw;

/// Everything a server needs to compute on ciphertexts, and nothing to read them.
///
/// Masks are replaced by their seeds: `k + 1` times smaller than expanded for
/// the bootstrapping key, `n + 1` times for the keyswitching key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerKey {
    parameters: Parameters,
    bootstrap_seed: u128,
    bootstrap_bodies: Vec<u64>,
    keyswitch_seed: u128,
    keyswitch_bodies: Vec<u32>,
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
    /// A key of its parts: for each of the two keys a seed of the masks, and the bodies.
    ///
    /// # Errors
    ///
    /// [`KeyError::Parameters`] for parameters that are refused, [`KeyError::Length`] if a key does not have as
    /// many bodies as they ask for.
    pub fn from_parts(
        parameters: &Parameters,
        (bootstrap_seed, bootstrap_bodies): (u128, Vec<u64>),
        (keyswitch_seed, keyswitch_bodies): (u128, Vec<u32>),
    ) -> Result<Self, KeyError> {
        parameters.validate()?;
        let lengths = [
            (
                8 * bootstrap_bodies.len() as u64,
                8 * parameters.bootstrap_key_bodies(),
            ),
            (
                4 * keyswitch_bodies.len() as u64,
                4 * parameters.keyswitch_key_bodies(),
            ),
        ];
        for ((has, needs), what) in lengths.into_iter().zip(["bootstrapping key", "keyswitching key"]) {
            if has != needs {
                return Err(KeyError::Length { what, has, needs });
            }
        }
        Ok(Self {
            parameters: *parameters,
            bootstrap_seed,
            bootstrap_bodies,
            keyswitch_seed,
            keyswitch_bodies,
        })
    }

    /// Parameters of the key.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// Seed of the masks of the bootstrapping key, and its bodies, in the order of [`raw::Dimensions::rows`].
    pub fn bootstrap(&self) -> (u128, &[u64]) {
        (self.bootstrap_seed, &self.bootstrap_bodies)
    }

    /// Seed of the masks of the keyswitching key, and its bodies.
    pub fn keyswitch(&self) -> (u128, &[u32]) {
        (self.keyswitch_seed, &self.keyswitch_bodies)
    }

    /// Writes both keys: seeds and bodies.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.parameters.server_key_bytes() as usize);
        self.put(&mut out);
        out
    }

    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        out.extend(self.bootstrap_seed.to_le_bytes());
        let size = self.parameters.bootstrap_body_bytes() as usize;
        raw::put_high_bytes(out, &self.bootstrap_bodies, size);
        out.extend(self.keyswitch_seed.to_le_bytes());
        raw::put_u32(out, &self.keyswitch_bodies);
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
        raw::check_length(what, bytes, parameters.server_key_bytes())?;
        let size = parameters.bootstrap_body_bytes();
        let bootstrap_bytes = SEED_BYTES + size * parameters.bootstrap_key_bodies();
        let (bootstrap, keyswitch) = bytes.split_at(bootstrap_bytes as usize);
        let (bootstrap_seed, bootstrap) = raw::split_seed(what, bootstrap)?;
        let (keyswitch_seed, keyswitch) = raw::split_seed(what, keyswitch)?;
        Ok(Self {
            parameters: *parameters,
            bootstrap_seed,
            bootstrap_bodies: raw::get_high_bytes(bootstrap, size as usize),
            keyswitch_seed,
            keyswitch_bodies: raw::get_u32(keyswitch),
        })
    }
}
