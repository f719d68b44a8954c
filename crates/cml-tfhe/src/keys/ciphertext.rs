//! Ciphertexts: seeded as the client sends them, plain everywhere else.

use tfhe::core_crypto::prelude::{LweCiphertextOwned, SeededLweCiphertextList};

use serde::{Deserialize, Serialize};

use super::{Dimensions, KeyError, bytes, compression_seed, modulus32, modulus64};
use crate::params::Parameters;

/// Which of the two secret keys a ciphertext is under.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum LweKey {
    /// That of the ring, `k N` bits: what blind rotations put out.
    Big,
    /// That of the bootstrapping key's bits, `n` of them: what turns a blind rotation.
    Small,
}

/// One encrypted value: an LWE ciphertext on the torus modulo 2^64.
///
/// Under the small key the mask has 32 bits, the upper half of its words; the body has all 64.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ciphertext {
    lwe: LweCiphertextOwned<u64>,
    key: LweKey,
}

impl Ciphertext {
    /// `dimension` mask elements of zero and the message as it is: no secret, no noise.
    pub(crate) fn trivial(key: LweKey, dimension: usize, message: u64) -> Self {
        let mut words = vec![0; dimension + 1];
        words[dimension] = message;
        Self::from_words(key, words)
    }

    /// Mask, then body.
    pub(crate) fn from_words(key: LweKey, words: Vec<u64>) -> Self {
        Self {
            lwe: LweCiphertextOwned::from_container(words, modulus64()),
            key,
        }
    }

    pub(crate) fn inner(&self) -> &LweCiphertextOwned<u64> {
        &self.lwe
    }

    pub(crate) fn words(&self) -> &[u64] {
        self.lwe.as_ref()
    }

    pub(crate) fn words_mut(&mut self) -> &mut [u64] {
        self.lwe.as_mut()
    }

    /// Which key it is under.
    pub fn key(&self) -> LweKey {
        self.key
    }

    /// The upper halves of the words, the body rounded: a ciphertext modulo 2^32.
    pub(crate) fn halves(&self) -> impl Iterator<Item = u32> + '_ {
        let last = self.dimension();
        let half = move |(i, &word): (usize, &u64)| {
            let rounding = if i == last { 1 << 31 } else { 0 };
            (word.wrapping_add(rounding) >> 32) as u32
        };
        self.words().iter().enumerate().map(half)
    }

    /// Adds `weight` times the words of another one of the same dimension.
    pub(crate) fn add_multiple(&mut self, words: &[u64], weight: i64) {
        for (sum, word) in self.words_mut().iter_mut().zip(words) {
            *sum = sum.wrapping_add(word.wrapping_mul(weight as u64));
        }
    }

    /// Number of mask elements: `k * N` of its parameters, or `n` under the small key.
    pub fn dimension(&self) -> usize {
        self.words().len() - 1
    }
}

/// Freshly encrypted values: one seed for all masks and one body for each value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeededCiphertexts {
    pub(super) seed: u128,
    pub(super) bodies: Vec<u64>,
}

impl SeededCiphertexts {
    /// Number of encrypted values.
    pub fn len(&self) -> usize {
        self.bodies.len()
    }

    /// Whether it holds no value.
    pub fn is_empty(&self) -> bool {
        self.bodies.is_empty()
    }

    /// Writes seed and bodies.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(16 + 8 * self.len());
        out.extend(self.seed.to_le_bytes());
        bytes::put_u64(&mut out, &self.bodies);
        out
    }

    /// Reads exactly `count` values.
    ///
    /// # Errors
    ///
    /// [`KeyError::Length`] if the bytes do not hold a seed and `count` bodies.
    pub fn from_bytes(bytes: &[u8], count: usize) -> Result<Self, KeyError> {
        let what = "encrypted input";
        bytes::check_length(what, bytes, Parameters::seeded_ciphertext_bytes(count as u64))?;
        let (seed, bodies) = bytes::split_seed(what, bytes)?;
        Ok(Self {
            seed,
            bodies: bytes::get_u64(bodies),
        })
    }

    /// Computes the masks: `8 (k N + 1)` bytes for each value, `8 (n + 1)` under the small key.
    ///
    /// Any seed and bodies are ciphertexts under some key of any parameters, so
    /// nothing can be wrong here; a wrong one decrypts to noise.
    pub fn expand(&self, parameters: &Parameters, key: LweKey) -> Vec<Ciphertext> {
        if self.is_empty() {
            return Vec::new();
        }
        if key == LweKey::Small {
            return self.expand_small(parameters);
        }
        let size = Dimensions::of(parameters).big.to_lwe_size();
        let list = SeededLweCiphertextList::from_container(
            self.bodies.as_slice(),
            size,
            compression_seed(self.seed),
            modulus64(),
        );
        let expanded = list.par_decompress_into_lwe_ciphertext_list().into_container();
        expanded
            .chunks_exact(size.0)
            .map(|words| Ciphertext::from_words(key, words.to_vec()))
            .collect()
    }

    fn expand_small(&self, parameters: &Parameters) -> Vec<Ciphertext> {
        let size = Dimensions::of(parameters).lwe.to_lwe_size();
        let bodies = vec![0_u32; self.len()];
        let list = SeededLweCiphertextList::from_container(
            bodies.as_slice(),
            size,
            compression_seed(self.seed),
            modulus32(),
        );
        let expanded = list.par_decompress_into_lwe_ciphertext_list().into_container();
        let value = |(words, &body): (&[u32], &u64)| {
            let mask = words[..size.0 - 1].iter().map(|&word| u64::from(word) << 32);
            Ciphertext::from_words(LweKey::Small, mask.chain([body]).collect())
        };
        expanded
            .chunks_exact(size.0)
            .zip(&self.bodies)
            .map(value)
            .collect()
    }
}

/// Writes mask and body of each ciphertext.
pub fn ciphertexts_to_bytes(ciphertexts: &[Ciphertext]) -> Vec<u8> {
    let words: usize = ciphertexts
        .iter()
        .map(|ciphertext| ciphertext.words().len())
        .sum();
    let mut out = Vec::with_capacity(8 * words);
    for ciphertext in ciphertexts {
        bytes::put_u64(&mut out, ciphertext.words());
    }
    out
}

/// Reads exactly `count` ciphertexts of these parameters.
///
/// # Errors
///
/// [`KeyError::Parameters`] for parameters that are refused, [`KeyError::Length`]
/// if the bytes do not hold `count` ciphertexts of them.
pub fn ciphertexts_from_bytes(
    bytes: &[u8],
    parameters: &Parameters,
    count: usize,
) -> Result<Vec<Ciphertext>, KeyError> {
    parameters.validate()?;
    let each = parameters.ciphertext_bytes();
    bytes::check_length("encrypted output", bytes, each.saturating_mul(count as u64))?;
    let words = bytes.chunks_exact(each as usize);
    Ok(words
        .map(|words| Ciphertext::from_words(LweKey::Big, bytes::get_u64(words)))
        .collect())
}
