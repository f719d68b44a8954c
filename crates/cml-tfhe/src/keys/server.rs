//! The server key as shipped: seeded, in the standard domain.

use tfhe::core_crypto::commons::math::random::{Seeder, TUniform};
use tfhe::core_crypto::prelude::{
    ChunkSize, LweSecretKey, SeededLweBootstrapKeyChunkGenerator, SeededLweKeyswitchKey,
    generate_seeded_lwe_keyswitch_key, new_seeder,
};

use super::{ClientKey, Dimensions, KeyError, bytes, compression_seed, modulus32, modulus64};
use crate::params::{Parameters, SEED_BYTES};

/// Parts of the bootstrapping key between two reports of progress.
const PARTS: usize = 32;

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
    /// Encrypts the client key under itself, on all threads; calls `report` as it goes.
    ///
    /// # Panics
    ///
    /// On a machine that offers no source of randomness.
    pub fn generate(client: &ClientKey, report: &mut dyn FnMut(Progress)) -> Self {
        Self::generate_from(client, new_seeder().as_mut(), report)
    }

    pub(super) fn generate_from(
        client: &ClientKey,
        seeder: &mut dyn Seeder,
        report: &mut dyn FnMut(Progress),
    ) -> Self {
        let parameters = *client.parameters();
        let dimensions = Dimensions::of(&parameters);

        let (stage, total) = (Stage::Keyswitch, dimensions.big.0);
        report(Progress {
            stage,
            done: 0,
            total,
        });
        let keyswitch_seed = seeder.seed().0;
        let mut keyswitch = SeededLweKeyswitchKey::new(
            0_u32,
            dimensions.ks.0,
            dimensions.ks.1,
            dimensions.big,
            dimensions.lwe,
            compression_seed(keyswitch_seed),
            modulus32(),
        );
        generate_seeded_lwe_keyswitch_key(
            &client.big_lwe(),
            &client.small_lwe(),
            &mut keyswitch,
            TUniform::<u32>::new(parameters.lwe_noise_bound),
            seeder,
        );
        report(Progress {
            stage,
            done: total,
            total,
        });

        let (stage, total) = (Stage::Bootstrap, dimensions.lwe.0);
        report(Progress {
            stage,
            done: 0,
            total,
        });
        let bootstrap_seed = seeder.seed().0;
        let small = client.small_in_u64();
        let (small, glwe) = (LweSecretKey::from_container(small.as_slice()), client.glwe());
        let parts = SeededLweBootstrapKeyChunkGenerator::new(
            ChunkSize(total.div_ceil(PARTS)),
            dimensions.lwe,
            dimensions.glwe_size(),
            dimensions.polynomial,
            dimensions.pbs.0,
            dimensions.pbs.1,
            modulus64(),
            &small,
            &glwe,
            TUniform::<u64>::new(parameters.glwe_noise_bound),
            compression_seed(bootstrap_seed),
            seeder,
            true,
        );
        let dropped = parameters.dropped_bits();
        let mut bootstrap_bodies = Vec::with_capacity(parameters.bootstrap_key_bodies() as usize);
        let mut done = 0;
        for part in parts {
            bootstrap_bodies.extend(part.as_ref().iter().map(|&body| round_off(body, dropped)));
            done += part.chunk_size().0;
            report(Progress { stage, done, total });
        }
        Self {
            parameters,
            bootstrap_seed,
            bootstrap_bodies,
            keyswitch_seed,
            keyswitch_bodies: keyswitch.into_container(),
        }
    }

    /// Parameters of the key.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// Writes both keys: seeds and bodies.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.parameters.server_key_bytes() as usize);
        out.extend(self.bootstrap_seed.to_le_bytes());
        let size = self.parameters.bootstrap_body_bytes() as usize;
        bytes::put_high_bytes(&mut out, &self.bootstrap_bodies, size);
        out.extend(self.keyswitch_seed.to_le_bytes());
        bytes::put_u32(&mut out, &self.keyswitch_bodies);
        out
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

/// The nearest multiple of `2^bits`, on the torus.
fn round_off(word: u64, bits: u32) -> u64 {
    if bits == 0 {
        return word;
    }
    word.wrapping_add(1 << (bits - 1)) >> bits << bits
}

#[cfg(test)]
impl ServerKey {
    /// The server key of a client key, with masks and noise that anyone can draw again.
    pub(crate) fn insecure_from_seed(client: &ClientKey, seed: u128) -> Self {
        Self::generate_from(client, &mut super::tests::seeder(seed), &mut |_| {})
    }
}
