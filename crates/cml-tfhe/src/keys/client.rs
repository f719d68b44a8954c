//! The secret key.

use std::fmt;

use rand::TryRngCore;
use rand::rngs::OsRng;
use tfhe::core_crypto::commons::math::random::{Seeder, TUniform};
use tfhe::core_crypto::prelude::{
    GlweSecretKey, LweSecretKey, PlaintextList, SeededLweCiphertextList, decrypt_lwe_ciphertext, new_seeder,
    par_encrypt_seeded_lwe_ciphertext_list,
};
use zeroize::Zeroizing;

use super::{
    Ciphertext, Dimensions, KeyError, LweKey, SeededCiphertexts, bytes, compression_seed, modulus32,
    modulus64,
};
use crate::params::Parameters;
use crate::table::nearest_value;

/// The client's secret: the big (GLWE) key and the small (LWE) key, both binary.
///
/// Zeroed when dropped. Neither printable nor comparable.
pub struct ClientKey {
    parameters: Parameters,
    big: Zeroizing<Vec<u64>>,
    small: Zeroizing<Vec<u32>>,
}

impl ClientKey {
    /// Draws each bit of a key from the randomness of the operating system.
    ///
    /// # Errors
    ///
    /// [`KeyError::Parameters`] for parameters that [`Parameters::validate`] refuses,
    /// [`KeyError::Randomness`] on a machine that offers none.
    pub fn generate(parameters: &Parameters) -> Result<Self, KeyError> {
        parameters.validate()?;
        let mut key = Self::zero(parameters);
        draw_bits(&mut key.big)?;
        draw_bits(&mut key.small)?;
        Ok(key)
    }

    fn zero(parameters: &Parameters) -> Self {
        let dimensions = Dimensions::of(parameters);
        Self {
            parameters: *parameters,
            big: Zeroizing::new(vec![0; dimensions.big.0]),
            small: Zeroizing::new(vec![0; dimensions.lwe.0]),
        }
    }

    /// A key of another set of the same ring, with the same big key and a small key of its own.
    pub(super) fn beside(&self, parameters: &Parameters) -> Result<Self, KeyError> {
        let mut key = Self::generate(parameters)?;
        key.big.clone_from(&self.big);
        Ok(key)
    }

    /// Parameters of the key.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// Encrypts `(value, step)` pairs under one of the keys: each value at its step of the torus modulo 2^64, under the
    /// small key rounded to a multiple of 2^32.
    ///
    /// The product wraps, so a negative value is the negative of its torus point.
    ///
    /// # Panics
    ///
    /// On a machine that offers no source of randomness.
    pub fn encrypt(&self, key: LweKey, values: &[(i64, u64)]) -> SeededCiphertexts {
        self.encrypt_from(key, values, new_seeder().as_mut())
    }

    pub(super) fn encrypt_from(
        &self,
        key: LweKey,
        values: &[(i64, u64)],
        seeder: &mut dyn Seeder,
    ) -> SeededCiphertexts {
        let seed = seeder.seed().0;
        let messages = values
            .iter()
            .map(|&(value, step)| (value as u64).wrapping_mul(step));
        let messages = Zeroizing::new(messages.collect::<Vec<_>>());
        let bodies = match key {
            _ if values.is_empty() => Vec::new(),
            LweKey::Big => self.encrypt_big(&messages, seed, seeder),
            LweKey::Small => self.encrypt_small(&messages, seed, seeder),
        };
        SeededCiphertexts { key, seed, bodies }
    }

    fn encrypt_big(&self, messages: &[u64], seed: u128, seeder: &mut dyn Seeder) -> Vec<u64> {
        let mut bodies = vec![0_u64; messages.len()];
        par_encrypt_seeded_lwe_ciphertext_list(
            &self.big_lwe(),
            &mut SeededLweCiphertextList::from_container(
                bodies.as_mut_slice(),
                Dimensions::of(&self.parameters).big.to_lwe_size(),
                compression_seed(seed),
                modulus64(),
            ),
            &PlaintextList::from_container(messages),
            TUniform::<u64>::new(self.parameters.glwe_noise_bound),
            seeder,
        );
        bodies
    }

    /// The small key's masks and noise have 32 bits: messages are rounded to as many, since whatever lay below would
    /// be in clear.
    fn encrypt_small(&self, messages: &[u64], seed: u128, seeder: &mut dyn Seeder) -> Vec<u64> {
        let mut bodies = vec![0_u32; messages.len()];
        let rounded = messages
            .iter()
            .map(|message| (message.wrapping_add(1 << 31) >> 32) as u32);
        let rounded = Zeroizing::new(rounded.collect::<Vec<_>>());
        par_encrypt_seeded_lwe_ciphertext_list(
            &self.small_lwe(),
            &mut SeededLweCiphertextList::from_container(
                bodies.as_mut_slice(),
                Dimensions::of(&self.parameters).lwe.to_lwe_size(),
                compression_seed(seed),
                modulus32(),
            ),
            &PlaintextList::from_container(rounded.as_slice()),
            TUniform::<u32>::new(self.parameters.lwe_noise_bound),
            seeder,
        );
        bodies.into_iter().map(|body| u64::from(body) << 32).collect()
    }

    /// Decrypts to the nearest multiple of `step`, as a signed number of steps.
    ///
    /// The torus is read from -1/2 to 1/2: at `step = floor(2^64 / 2R)` the
    /// values from `1 - R` to `R - 1` come back. `R` and `-R` are one point, and
    /// noise decides between them.
    ///
    /// # Errors
    ///
    /// [`KeyError::Dimension`] for a ciphertext of other parameters,
    /// [`KeyError::ZeroStep`] for a step of 0.
    pub fn decrypt(&self, ciphertext: &Ciphertext, step: u64) -> Result<i64, KeyError> {
        if step == 0 {
            return Err(KeyError::ZeroStep);
        }
        Ok(nearest_value(self.phase(ciphertext)?, step))
    }

    /// Message plus noise.
    pub(crate) fn phase(&self, ciphertext: &Ciphertext) -> Result<u64, KeyError> {
        let small = self.small_in_u64();
        let key = match ciphertext.key() {
            LweKey::Big => self.big_lwe(),
            LweKey::Small => LweSecretKey::from_container(small.as_slice()),
        };
        let (has, needs) = (ciphertext.dimension(), key.lwe_dimension().0);
        if has != needs {
            return Err(KeyError::Dimension { has, needs });
        }
        Ok(decrypt_lwe_ciphertext(&key, ciphertext.inner()).0)
    }

    pub(crate) fn big_lwe(&self) -> LweSecretKey<&[u64]> {
        LweSecretKey::from_container(self.big.as_slice())
    }

    pub(crate) fn glwe(&self) -> GlweSecretKey<&[u64]> {
        let size = Dimensions::of(&self.parameters).polynomial;
        GlweSecretKey::from_container(self.big.as_slice(), size)
    }

    pub(crate) fn small_lwe(&self) -> LweSecretKey<&[u32]> {
        LweSecretKey::from_container(self.small.as_slice())
    }

    /// The small key in the words of the bootstrapping key.
    pub(super) fn small_in_u64(&self) -> Zeroizing<Vec<u64>> {
        Zeroizing::new(self.small.iter().map(|&bit| u64::from(bit)).collect())
    }

    /// Writes the big key, one bit for each key bit.
    pub(super) fn put_big(&self, out: &mut Vec<u8>) {
        bytes::put_bits(out, self.big.iter().map(|&bit| bit == 1));
    }

    /// Writes the small key, one bit for each key bit.
    pub(super) fn put_small(&self, out: &mut Vec<u8>) {
        bytes::put_bits(out, self.small.iter().map(|&bit| bit == 1));
    }

    /// Reads a key of valid parameters, of bytes of the right lengths.
    pub(super) fn from_parts(big: &[u8], small: &[u8], parameters: &Parameters) -> Result<Self, KeyError> {
        let big = bytes::get_bits("big key", big, parameters.big_dimension())?;
        let small = bytes::get_bits("small key", small, parameters.lwe_dimension)?;
        let mut key = Self {
            parameters: *parameters,
            big: Zeroizing::new(Vec::with_capacity(parameters.big_dimension() as usize)),
            small: Zeroizing::new(Vec::with_capacity(parameters.lwe_dimension as usize)),
        };
        key.big.extend(big.map(u64::from));
        key.small.extend(small.map(u32::from));
        Ok(key)
    }
}

/// Random bits, each a word of 0 or 1.
fn draw_bits<T: From<u8>>(bits: &mut [T]) -> Result<(), KeyError> {
    let mut bytes = Zeroizing::new(vec![0_u8; bits.len().div_ceil(8)]);
    let drawn = OsRng.try_fill_bytes(&mut bytes);
    drawn.map_err(|e| KeyError::Randomness(e.to_string()))?;
    for (index, bit) in bits.iter_mut().enumerate() {
        *bit = T::from(bytes[index / 8] >> (index % 8) & 1);
    }
    Ok(())
}

/// Prints the parameters only.
impl fmt::Debug for ClientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientKey")
            .field("parameters", &self.parameters)
            .finish_non_exhaustive()
    }
}

/// Turns as many bits as it takes, evenly spread.
#[cfg(test)]
fn set_weight<T: Copy + PartialEq + From<u8>>(bits: &mut [T], weight: usize) {
    let (zero, one) = (T::from(0), T::from(1));
    let has = bits.iter().filter(|&&bit| bit == one).count();
    let (from, to) = if has < weight { (zero, one) } else { (one, zero) };
    let wrong: Vec<usize> = (0..bits.len()).filter(|&place| bits[place] == from).collect();
    let turned = has.abs_diff(weight);
    (0..turned).for_each(|i| bits[wrong[i * wrong.len() / turned]] = to);
}

#[cfg(test)]
impl ClientKey {
    /// A key that anyone can draw again from the seed.
    pub(crate) fn insecure_from_seed(parameters: &Parameters, seed: u128) -> Self {
        use tfhe::core_crypto::prelude::{
            DefaultRandomGenerator, SecretRandomGenerator, generate_binary_glwe_secret_key,
            generate_binary_lwe_secret_key,
        };
        parameters.validate().expect("valid parameters");
        let mut key = Self::zero(parameters);
        let seed = super::tests::seeder(seed).seed();
        let mut generator = SecretRandomGenerator::<DefaultRandomGenerator>::new(seed);
        let polynomial = Dimensions::of(parameters).polynomial;
        let mut big = GlweSecretKey::from_container(key.big.as_mut_slice(), polynomial);
        generate_binary_glwe_secret_key(&mut big, &mut generator);
        let mut small = LweSecretKey::from_container(key.small.as_mut_slice());
        generate_binary_lwe_secret_key(&mut small, &mut generator);
        key
    }

    /// The same with so many bits set of the big and of the small key, at places that depend on the seed.
    pub(crate) fn insecure_of_weights(
        parameters: &Parameters,
        seed: u128,
        (big, small): (usize, usize),
    ) -> Self {
        let mut key = Self::insecure_from_seed(parameters, seed);
        set_weight(&mut key.big, big);
        set_weight(&mut key.small, small);
        key
    }

    /// Ciphertexts that anyone can draw again from the seed.
    pub(crate) fn insecure_encrypt(&self, values: &[(i64, u64)], seed: u128) -> Vec<Ciphertext> {
        self.insecure_encrypt_under(LweKey::Big, values, seed)
    }

    pub(crate) fn insecure_encrypt_under(
        &self,
        key: LweKey,
        values: &[(i64, u64)],
        seed: u128,
    ) -> Vec<Ciphertext> {
        self.encrypt_from(key, values, &mut super::tests::seeder(seed))
            .expand(&self.parameters)
    }
}
