//! The key of amortized rotations made of the secret ones.

use cml_scheme::raw::{Dimensions, compression_seed, modulus32, modulus64};
use cml_scheme::{AmortizedKey, KeyError, Progress};
use tfhe::core_crypto::commons::math::random::TUniform;
use tfhe::core_crypto::prelude::{
    GlweSecretKey, GlweSize, PlaintextList, PolynomialSize, SeededGlweCiphertextList,
    encrypt_seeded_glwe_ciphertext_list,
};
use zeroize::Zeroizing;

use crate::client_key::ClientKey;
use crate::random::{Randomness, Seeds};
use crate::server_key::{element_bodies, round_off};
use crate::sparse_key::SparseKey;

impl ClientKey {
    /// Encrypts the sparse key under the big one and the big one under the sparse one, on all threads; calls `report` as
    /// it goes.
    ///
    /// # Errors
    ///
    /// [`KeyError::Randomness`] if there is none, [`KeyError::Sets`] for a sparse key of another ring.
    pub fn amortized_key(
        &self,
        sparse: &SparseKey,
        random: &mut dyn Randomness,
        report: &mut dyn FnMut(Progress),
    ) -> Result<AmortizedKey, KeyError> {
        let parameters = *sparse.parameters();
        if parameters.ring != *self.ring() {
            return Err(KeyError::Sets);
        }
        let mut seeds = Seeds::of(random);
        let ring = parameters.ring;
        let size = PolynomialSize(ring.polynomial_size as usize);
        let big = self.glwe();

        let seed = seeds.draw();
        let dimensions = Dimensions::of_amortized(&parameters);
        let bodies = element_bodies(self, &dimensions, &sparse.selectors(), seed, &mut seeds, report);
        let selectors = (seed, bodies);

        let levels = levels(
            parameters.automorphism_base_log,
            parameters.automorphism_level,
            64,
        );
        let mut plain = Zeroizing::new(Vec::with_capacity(parameters.automorphism_bodies() as usize));
        for exponent in parameters.automorphisms() {
            let turned = automorphism(big.as_ref(), exponent as usize);
            for shift in levels.clone() {
                plain.extend(turned.iter().map(|&s| (s << shift).wrapping_neg()));
            }
        }
        let seed = seeds.draw();
        let mut list = SeededGlweCiphertextList::from_container(
            vec![0; plain.len()],
            GlweSize(2),
            size,
            compression_seed(seed),
            modulus64(),
        );
        let plain = PlaintextList::from_container(plain.as_slice());
        let noise = TUniform::<u64>::new(ring.noise_bound);
        encrypt_seeded_glwe_ciphertext_list(&big, &mut list, &plain, noise, &mut seeds);
        let dropped = ring.dropped_bits();
        let bodies = list
            .into_container()
            .into_iter()
            .map(|body| round_off(body, dropped));
        let automorphisms = (seed, bodies.collect());

        let slots = parameters.slots as usize;
        let apart = slots / size.0;
        let mut plain = Zeroizing::new(vec![0_u32; parameters.sparse_bodies() as usize]);
        let levels = self::levels(parameters.sparse_base_log, parameters.sparse_level, 32);
        for (row, shift) in plain.chunks_exact_mut(slots).zip(levels) {
            for (to, &s) in row.iter_mut().step_by(apart).zip(big.as_ref()) {
                *to = ((s as u32) << shift).wrapping_neg();
            }
        }
        let seed = seeds.draw();
        let mut list = SeededGlweCiphertextList::from_container(
            vec![0_u32; plain.len()],
            GlweSize(2),
            PolynomialSize(slots),
            compression_seed(seed),
            modulus32(),
        );
        let coefficients = sparse.coefficients();
        let key = GlweSecretKey::from_container(coefficients.as_slice(), PolynomialSize(slots));
        let plain = PlaintextList::from_container(plain.as_slice());
        let noise = TUniform::<u32>::new(parameters.sparse_noise_bound);
        encrypt_seeded_glwe_ciphertext_list(&key, &mut list, &plain, noise, &mut seeds);
        seeds.finish()?;
        AmortizedKey::from_parts(
            &parameters,
            selectors,
            automorphisms,
            (seed, list.into_container()),
        )
    }
}

/// By how many bits each level shifts what it encrypts, the least significant level first.
fn levels(base_log: u32, levels: u32, word: u32) -> impl Iterator<Item = u32> + Clone {
    (1..=levels).rev().map(move |level| word - base_log * level)
}

/// The polynomial with `X^exponent` for `X`, modulo `X^N + 1`, for odd exponents below `2N`.
fn automorphism(polynomial: &[u64], exponent: usize) -> Zeroizing<Vec<u64>> {
    let n = polynomial.len();
    let mut turned = Zeroizing::new(vec![0; n]);
    for (i, &coefficient) in polynomial.iter().enumerate() {
        let place = i * exponent % (2 * n);
        turned[place % n] = if place < n {
            coefficient
        } else {
            coefficient.wrapping_neg()
        };
    }
    turned
}
