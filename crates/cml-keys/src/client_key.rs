//! The secret key.

use std::fmt;

use cml_scheme::raw::{compression_seed, modulus32, modulus64};
use cml_scheme::{Ciphertext, KeyError, LweKey, Parameters, Ring, SeededCiphertexts, nearest_value};
use tfhe::core_crypto::commons::math::random::TUniform;
use tfhe::core_crypto::prelude::{
    GlweSecretKey, LweDimension, LweSecretKey, PlaintextList, PolynomialSize, SeededLweCiphertextList,
    decrypt_lwe_ciphertext, par_encrypt_seeded_lwe_ciphertext_list,
};
use zeroize::Zeroizing;

use crate::bits;
use crate::random::{Randomness, Seeds};

/// The client's secret: the big (GLWE) key and, for single rotations, the small (LWE) key, both binary.
///
/// Zeroed when dropped. Neither printable nor comparable.
pub struct ClientKey {
    ring: Ring,
    /// Those of the small key, if there is one.
    parameters: Option<Parameters>,
    big: Zeroizing<Vec<u64>>,
    small: Zeroizing<Vec<u32>>,
}

impl ClientKey {
    /// Draws each bit of a key.
    ///
    /// # Errors
    ///
    /// [`KeyError::Parameters`] for parameters that [`Parameters::validate`] refuses,
    /// [`KeyError::Randomness`] if there is none.
    pub fn generate(parameters: &Parameters, random: &mut dyn Randomness) -> Result<Self, KeyError> {
        parameters.validate()?;
        let mut key = Self::zero(parameters);
        draw_bits(&mut key.big, random)?;
        draw_bits(&mut key.small, random)?;
        Ok(key)
    }

    /// Draws a big key, without a small one.
    ///
    /// # Errors
    ///
    /// [`KeyError::Parameters`] for a ring that [`Ring::validate`] refuses, [`KeyError::Randomness`] if there is none.
    pub fn of_ring(ring: &Ring, random: &mut dyn Randomness) -> Result<Self, KeyError> {
        ring.validate()?;
        let mut key = Self::zero_of_ring(ring);
        draw_bits(&mut key.big, random)?;
        Ok(key)
    }

    pub(crate) fn zero(parameters: &Parameters) -> Self {
        Self {
            parameters: Some(*parameters),
            small: Zeroizing::new(vec![0; parameters.lwe_dimension as usize]),
            ..Self::zero_of_ring(&parameters.ring())
        }
    }

    pub(crate) fn zero_of_ring(ring: &Ring) -> Self {
        Self {
            ring: *ring,
            parameters: None,
            big: Zeroizing::new(vec![0; ring.big_dimension() as usize]),
            small: Zeroizing::default(),
        }
    }

    /// A key of another set of the same ring, with the same big key and a small key of its own.
    pub(crate) fn beside(
        &self,
        parameters: &Parameters,
        random: &mut dyn Randomness,
    ) -> Result<Self, KeyError> {
        let mut key = Self::generate(parameters, random)?;
        key.big.clone_from(&self.big);
        Ok(key)
    }

    /// The ring of the big key.
    pub fn ring(&self) -> &Ring {
        &self.ring
    }

    /// Parameters of the small key, if there is one.
    pub fn parameters(&self) -> Option<&Parameters> {
        self.parameters.as_ref()
    }

    /// Encrypts `(value, step)` pairs under one of the keys: each value at its step of the torus modulo 2^64, under the
    /// small key rounded to a multiple of 2^32.
    ///
    /// The product wraps, so a negative value is the negative of its torus point.
    ///
    /// # Errors
    ///
    /// [`KeyError::Randomness`] if there is none.
    pub fn encrypt(
        &self,
        key: LweKey,
        values: &[(i64, u64)],
        random: &mut dyn Randomness,
    ) -> Result<SeededCiphertexts, KeyError> {
        let mut seeds = Seeds::of(random);
        let seed = seeds.draw();
        let messages = values
            .iter()
            .map(|&(value, step)| (value as u64).wrapping_mul(step));
        let messages = Zeroizing::new(messages.collect::<Vec<_>>());
        let bodies = match key {
            _ if values.is_empty() => Vec::new(),
            LweKey::Big => self.encrypt_big(&messages, seed, &mut seeds),
            LweKey::Small => self.encrypt_small(&messages, seed, &mut seeds)?,
        };
        seeds.finish()?;
        Ok(SeededCiphertexts::from_parts(key, seed, bodies))
    }

    fn encrypt_big(&self, messages: &[u64], seed: u128, seeds: &mut Seeds<'_>) -> Vec<u64> {
        let mut bodies = vec![0_u64; messages.len()];
        par_encrypt_seeded_lwe_ciphertext_list(
            &self.big_lwe(),
            &mut SeededLweCiphertextList::from_container(
                bodies.as_mut_slice(),
                LweDimension(self.big.len()).to_lwe_size(),
                compression_seed(seed),
                modulus64(),
            ),
            &PlaintextList::from_container(messages),
            TUniform::<u64>::new(self.ring.noise_bound),
            seeds,
        );
        bodies
    }

    /// The small key's masks and noise have 32 bits: messages are rounded to as many, since whatever lay below would
    /// be in clear.
    fn encrypt_small(
        &self,
        messages: &[u64],
        seed: u128,
        seeds: &mut Seeds<'_>,
    ) -> Result<Vec<u64>, KeyError> {
        let parameters = self.parameters.ok_or(KeyError::Sets)?;
        let mut bodies = vec![0_u32; messages.len()];
        let rounded = messages
            .iter()
            .map(|message| (message.wrapping_add(1 << 31) >> 32) as u32);
        let rounded = Zeroizing::new(rounded.collect::<Vec<_>>());
        par_encrypt_seeded_lwe_ciphertext_list(
            &self.small_lwe(),
            &mut SeededLweCiphertextList::from_container(
                bodies.as_mut_slice(),
                LweDimension(self.small.len()).to_lwe_size(),
                compression_seed(seed),
                modulus32(),
            ),
            &PlaintextList::from_container(rounded.as_slice()),
            TUniform::<u32>::new(parameters.lwe_noise_bound),
            seeds,
        );
        Ok(bodies.into_iter().map(|body| u64::from(body) << 32).collect())
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

    /// Message plus noise, on the torus modulo 2^64.
    ///
    /// # Errors
    ///
    /// [`KeyError::Dimension`] for a ciphertext of other parameters.
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
        let size = PolynomialSize(self.ring.polynomial_size as usize);
        GlweSecretKey::from_container(self.big.as_slice(), size)
    }

    pub(crate) fn small_lwe(&self) -> LweSecretKey<&[u32]> {
        LweSecretKey::from_container(self.small.as_slice())
    }

    #[cfg(any(test, feature = "insecure"))]
    pub(crate) fn bits_mut(&mut self) -> (&mut [u64], &mut [u32]) {
        (&mut self.big, &mut self.small)
    }

    /// The small key in the words of the bootstrapping key.
    pub(crate) fn small_in_u64(&self) -> Zeroizing<Vec<u64>> {
        Zeroizing::new(self.small.iter().map(|&bit| u64::from(bit)).collect())
    }

    /// Writes the big key, one bit for each key bit.
    pub(crate) fn put_big(&self, out: &mut Vec<u8>) {
        bits::put_bits(out, self.big.iter().map(|&bit| bit == 1));
    }

    /// Writes the small key, one bit for each key bit.
    pub(crate) fn put_small(&self, out: &mut Vec<u8>) {
        bits::put_bits(out, self.small.iter().map(|&bit| bit == 1));
    }

    /// Reads a big key of a valid ring, of bytes of the right length.
    pub(crate) fn from_big(big: &[u8], ring: &Ring) -> Result<Self, KeyError> {
        let mut key = Self::zero_of_ring(ring);
        let big = bits::get_bits("big key", big, ring.big_dimension())?;
        key.big
            .iter_mut()
            .zip(big)
            .for_each(|(to, bit)| *to = u64::from(bit));
        Ok(key)
    }

    /// The same big key with a small one of valid parameters of its ring, of bytes of the right length.
    pub(crate) fn with_small(&self, small: &[u8], parameters: &Parameters) -> Result<Self, KeyError> {
        let mut key = Self::zero(parameters);
        key.big.clone_from(&self.big);
        let small = bits::get_bits("small key", small, parameters.lwe_dimension)?;
        key.small
            .iter_mut()
            .zip(small)
            .for_each(|(to, bit)| *to = u32::from(bit));
        Ok(key)
    }
}

/// Random bits, each a word of 0 or 1.
fn draw_bits<T: From<u8>>(bits: &mut [T], random: &mut dyn Randomness) -> Result<(), KeyError> {
    let mut bytes = Zeroizing::new(vec![0_u8; bits.len().div_ceil(8)]);
    random.fill(&mut bytes)?;
    for (index, bit) in bits.iter_mut().enumerate() {
        *bit = T::from(bytes[index / 8] >> (index % 8) & 1);
    }
    Ok(())
}

/// Prints the parameters only.
impl fmt::Debug for ClientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientKey")
            .field("ring", &self.ring)
            .field("parameters", &self.parameters)
            .finish_non_exhaustive()
    }
}
