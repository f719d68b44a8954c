//! Keys and ciphertexts that anybody can draw again from a seed: for tests and measurements only.

use crate::client_key::ClientKey;
use crate::random::Randomness;
use cml_scheme::raw::Dimensions;
use cml_scheme::{Ciphertext, KeyError, LweKey, Parameters, ServerKey};
use tfhe::core_crypto::commons::generators::DeterministicSeeder;
use tfhe::core_crypto::commons::math::random::{Seed, Seeder};
use tfhe::core_crypto::prelude::{
    DefaultRandomGenerator, GlweSecretKey, LweSecretKey, SecretRandomGenerator,
    generate_binary_glwe_secret_key, generate_binary_lwe_secret_key,
};

/// Bytes that follow from a seed.
pub struct Deterministic(DeterministicSeeder<DefaultRandomGenerator>);

impl Deterministic {
    /// The bytes of a seed.
    pub fn new(seed: u128) -> Self {
        Self(DeterministicSeeder::new(Seed(seed)))
    }
}

impl Randomness for Deterministic {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), KeyError> {
        for part in bytes.chunks_mut(16) {
            part.copy_from_slice(&self.0.seed().0.to_le_bytes()[..part.len()]);
        }
        Ok(())
    }
}

impl ClientKey {
    /// A key that anyone can draw again from the seed.
    ///
    /// # Panics
    ///
    /// On parameters that are not valid.
    pub fn insecure_from_seed(parameters: &Parameters, seed: u128) -> Self {
        parameters.validate().expect("valid parameters");
        let seed = DeterministicSeeder::<DefaultRandomGenerator>::new(Seed(seed)).seed();
        let mut generator = SecretRandomGenerator::<DefaultRandomGenerator>::new(seed);
        let mut key = Self::zero(parameters);
        let polynomial = Dimensions::of(parameters).polynomial;
        let (big, small) = key.bits_mut();
        generate_binary_glwe_secret_key(
            &mut GlweSecretKey::from_container(big, polynomial),
            &mut generator,
        );
        generate_binary_lwe_secret_key(&mut LweSecretKey::from_container(small), &mut generator);
        key
    }

    /// The same with so many bits set of the big and of the small key, at places that depend on the seed.
    ///
    /// # Panics
    ///
    /// On parameters that are not valid, and on more bits than there are.
    pub fn insecure_of_weights(parameters: &Parameters, seed: u128, (big, small): (usize, usize)) -> Self {
        let mut key = Self::insecure_from_seed(parameters, seed);
        let (big_bits, small_bits) = key.bits_mut();
        set_weight(big_bits, big);
        set_weight(small_bits, small);
        key
    }

    /// Ciphertexts under the big key that anyone can draw again from the seed.
    pub fn insecure_encrypt(&self, values: &[(i64, u64)], seed: u128) -> Vec<Ciphertext> {
        self.insecure_encrypt_under(LweKey::Big, values, seed)
    }

    /// Ciphertexts that anyone can draw again from the seed.
    pub fn insecure_encrypt_under(&self, key: LweKey, values: &[(i64, u64)], seed: u128) -> Vec<Ciphertext> {
        let sent = self.encrypt(key, values, &mut Deterministic::new(seed));
        let dimension = match key {
            LweKey::Big => self.big_lwe().lwe_dimension(),
            LweKey::Small => self.small_lwe().lwe_dimension(),
        };
        sent.expect("a seed never ends").expand(dimension.0)
    }

    /// The server key of this key, with masks and noise that anyone can draw again.
    pub fn insecure_server_key(&self, seed: u128) -> ServerKey {
        let key = self.server_key(&mut Deterministic::new(seed), &mut |_| {});
        key.expect("a seed never ends")
    }

    /// Message plus noise of a ciphertext, on the torus modulo 2^64.
    ///
    /// # Errors
    ///
    /// [`KeyError::Dimension`] for a ciphertext of other parameters.
    pub fn insecure_phase(&self, ciphertext: &Ciphertext) -> Result<u64, KeyError> {
        self.phase(ciphertext)
    }

    /// The bits of the big key.
    pub fn insecure_big(&self) -> LweSecretKey<&[u64]> {
        self.big_lwe()
    }

    /// The bits of the big key, as polynomials.
    pub fn insecure_glwe(&self) -> GlweSecretKey<&[u64]> {
        self.glwe()
    }

    /// The bits of the small key.
    pub fn insecure_small(&self) -> LweSecretKey<&[u32]> {
        self.small_lwe()
    }
}

impl crate::SparseKey {
    /// The gaps between the exponents.
    pub fn insecure_gaps(&self) -> Vec<u32> {
        self.gaps().to_vec()
    }
}

/// Turns as many bits as it takes, evenly spread.
fn set_weight<T: Copy + PartialEq + From<u8>>(bits: &mut [T], weight: usize) {
    let (zero, one) = (T::from(0), T::from(1));
    let has = bits.iter().filter(|&&bit| bit == one).count();
    let (from, to) = if has < weight { (zero, one) } else { (one, zero) };
    let wrong: Vec<usize> = (0..bits.len()).filter(|&place| bits[place] == from).collect();
    let turned = has.abs_diff(weight);
    (0..turned).for_each(|i| bits[wrong[i * wrong.len() / turned]] = to);
}
