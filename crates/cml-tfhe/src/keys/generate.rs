//! The server key made of the secret key.

use tfhe::core_crypto::commons::math::random::{Seeder, TUniform};
use tfhe::core_crypto::prelude::{
    ChunkSize, LweSecretKey, SeededLweBootstrapKeyChunkGenerator, SeededLweKeyswitchKey,
    generate_seeded_lwe_keyswitch_key, new_seeder,
};

use super::{ClientKey, Dimensions, Progress, ServerKey, Stage, compression_seed, modulus32, modulus64};

/// Parts of the bootstrapping key between two reports of progress.
const PARTS: usize = 32;

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
