//! The server key made of the secret key.

use rayon::prelude::*;
use tfhe::core_crypto::commons::math::random::{Seeder, TUniform, Uniform};
use tfhe::core_crypto::prelude::{
    DefaultRandomGenerator, EncryptionRandomGenerator, GgswCiphertextCount, PlaintextList,
    SeededGlweCiphertextList, SeededLweKeyswitchKey,
    encrypt_seeded_glwe_ciphertext_list_with_pre_seeded_generator, generate_seeded_lwe_keyswitch_key,
    ggsw_ciphertext_list_encryption_fork_config, new_seeder,
};
use zeroize::Zeroizing;

use super::{
    ClientKey, Dimensions, PARTS, Progress, ServerKey, Stage, compression_seed, modulus32, modulus64,
};

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

        let bootstrap_seed = seeder.seed().0;
        Self {
            parameters,
            bootstrap_seed,
            bootstrap_bodies: bootstrap_bodies(client, bootstrap_seed, seeder, report),
            keyswitch_seed,
            keyswitch_bodies: keyswitch.into_container(),
        }
    }
}

/// Encrypts each bit of the small key under the big one, in the rows that [`Dimensions::rows`] describes.
fn bootstrap_bodies(
    client: &ClientKey,
    seed: u128,
    seeder: &mut dyn Seeder,
    report: &mut dyn FnMut(Progress),
) -> Vec<u64> {
    let parameters = client.parameters();
    let dimensions = Dimensions::of(parameters);
    let (glwe_size, polynomial) = (dimensions.glwe_size(), dimensions.polynomial);
    let noise = TUniform::<u64>::new(parameters.glwe_noise_bound);
    let (key, bits) = (client.glwe(), client.small_in_u64());
    let (stage, total) = (Stage::Bootstrap, bits.len());
    report(Progress {
        stage,
        done: 0,
        total,
    });
    // Each bit draws from a stretch of its own, so that nothing depends on how threads share the work.
    let stretches = ggsw_ciphertext_list_encryption_fork_config(
        GgswCiphertextCount(total),
        glwe_size,
        polynomial,
        dimensions.stretch_level(),
        Uniform,
        noise,
        modulus64(),
    );
    let generators: Vec<_> =
        EncryptionRandomGenerator::<DefaultRandomGenerator>::new(compression_seed(seed), seeder)
            .try_fork_from_config(stretches)
            .expect("a stream is longer than any key")
            .collect();

    let element = dimensions.rows() * polynomial.0;
    let dropped = parameters.dropped_bits();
    let encrypt = |bodies: &mut [u64], bit: u64, mut generator| {
        let rows = rows(bit, key.as_ref(), &dimensions);
        let plain = PlaintextList::from_container(rows.as_slice());
        let mut list = SeededGlweCiphertextList::from_container(
            &mut *bodies,
            glwe_size,
            polynomial,
            compression_seed(seed),
            modulus64(),
        );
        encrypt_seeded_glwe_ciphertext_list_with_pre_seeded_generator(
            &key,
            &mut list,
            &plain,
            noise,
            &mut generator,
        );
        bodies
            .iter_mut()
            .for_each(|body| *body = round_off(*body, dropped));
    };
    let mut bodies = vec![0; total * element];
    let part = total.div_ceil(PARTS);
    let mut done = 0;
    let mut generators = generators.into_iter();
    for (bodies, bits) in bodies.chunks_mut(part * element).zip(bits.chunks(part)) {
        let generators: Vec<_> = generators.by_ref().take(bits.len()).collect();
        bodies
            .par_chunks_exact_mut(element)
            .zip(bits)
            .zip(generators)
            .for_each(|((bodies, &bit), generator)| encrypt(bodies, bit, generator));
        done += bits.len();
        report(Progress { stage, done, total });
    }
    bodies
}

/// What the rows for a bit encrypt: at level `l`, of base `B`, `2^64 / B^l` times the bit; in the rows for
/// the masks times the polynomial of the key that masks meet, negated.
fn rows(bit: u64, key: &[u64], dimensions: &Dimensions) -> Zeroizing<Vec<u64>> {
    let n = dimensions.polynomial.0;
    let mut rows = Zeroizing::new(vec![0; dimensions.rows() * n]);
    let (mask, body) = rows.split_at_mut(dimensions.pbs.1.0 * key.len());
    let factor = |base_log: usize, level: usize| bit << (64 - base_log * level);
    let (base_log, levels) = (dimensions.pbs.0.0, dimensions.pbs.1.0);
    for (row, level) in mask.chunks_exact_mut(key.len()).zip((1..=levels).rev()) {
        let factor = factor(base_log, level).wrapping_neg();
        row.iter_mut()
            .zip(key)
            .for_each(|(to, &key)| *to = key.wrapping_mul(factor));
    }
    let (base_log, levels) = (dimensions.pbs_body.0.0, dimensions.pbs_body.1.0);
    for (row, level) in body.chunks_exact_mut(n).zip((1..=levels).rev()) {
        row[0] = factor(base_log, level);
    }
    rows
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
