//! The evaluation keys made of the secret ones.

use cml_scheme::raw::{Dimensions, PARTS, compression_seed, modulus32, modulus64};
use cml_scheme::{KeyError, Progress, ServerKey, Stage};
use rayon::prelude::*;
use tfhe::core_crypto::commons::math::random::{TUniform, Uniform};
use tfhe::core_crypto::prelude::{
    DefaultRandomGenerator, EncryptionRandomGenerator, GgswCiphertextCount, PlaintextList,
    SeededGlweCiphertextList, SeededLweKeyswitchKey,
    encrypt_seeded_glwe_ciphertext_list_with_pre_seeded_generator, generate_seeded_lwe_keyswitch_key,
    ggsw_ciphertext_list_encryption_fork_config,
};
use zeroize::Zeroizing;

use crate::client_key::ClientKey;
use crate::random::{Randomness, Seeds};

impl ClientKey {
    /// Encrypts the key under itself, on all threads; calls `report` as it goes.
    ///
    /// # Errors
    ///
    /// [`KeyError::Randomness`] if there is none.
    pub fn server_key(
        &self,
        random: &mut dyn Randomness,
        report: &mut dyn FnMut(Progress),
    ) -> Result<ServerKey, KeyError> {
        let client = self;
        let parameters = *client.parameters().ok_or(KeyError::Sets)?;
        let mut seeds = Seeds::of(random);
        let seeder = &mut seeds;
        let dimensions = Dimensions::of(&parameters);

        let (stage, total) = (Stage::Keyswitch, dimensions.big.0);
        report(Progress {
            stage,
            done: 0,
            total,
        });
        let keyswitch_seed = seeder.draw();
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

        let bootstrap_seed = seeder.draw();
        let bits = client.small_in_u64();
        let bootstrap_bodies = element_bodies(client, &dimensions, &bits, bootstrap_seed, seeder, report);
        seeds.finish()?;
        ServerKey::from_parts(
            &parameters,
            (bootstrap_seed, bootstrap_bodies),
            (keyswitch_seed, keyswitch.into_container()),
        )
    }
}

/// Encrypts each bit under the big key, in the rows that [`Dimensions::rows`] describes.
pub(crate) fn element_bodies(
    client: &ClientKey,
    dimensions: &Dimensions,
    bits: &[u64],
    seed: u128,
    seeder: &mut Seeds<'_>,
    report: &mut dyn FnMut(Progress),
) -> Vec<u64> {
    let (glwe_size, polynomial) = (dimensions.glwe_size(), dimensions.polynomial);
    let noise = TUniform::<u64>::new(client.ring().noise_bound);
    let key = client.glwe();
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
    let dropped = client.ring().dropped_bits();
    let encrypt = |bodies: &mut [u64], bit: u64, mut generator| {
        let rows = rows(bit, key.as_ref(), dimensions);
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
pub(crate) fn round_off(word: u64, bits: u32) -> u64 {
    if bits == 0 {
        return word;
    }
    word.wrapping_add(1 << (bits - 1)) >> bits << bits
}
