//! Ciphertexts under the big key: seeded as the client sends them, plain everywhere else.

use tfhe::core_crypto::prelude::{LweCiphertextOwned, SeededLweCiphertextList};

use super::{Dimensions, KeyError, bytes, compression_seed, modulus64};
use crate::params::Parameters;

/// One encrypted value: an LWE ciphertext under the big key, on the torus modulo 2^64.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ciphertext(LweCiphertextOwned<u64>);

impl Ciphertext {
    /// `dimension` mask elements of zero and the message as it is: no secret, no noise.
    pub(crate) fn trivial(dimension: usize, message: u64) -> Self {
        let mut words = vec![0; dimension + 1];
        words[dimension] = message;
        Self::from_words(words)
    }

    /// Mask, then body.
    pub(crate) fn from_words(words: Vec<u64>) -> Self {
        Self(LweCiphertextOwned::from_container(words, modulus64()))
    }

    pub(crate) fn inner(&self) -> &LweCiphertextOwned<u64> {
        &self.0
    }

    pub(crate) fn words(&self) -> &[u64] {
        self.0.as_ref()
    }

    pub(crate) fn words_mut(&mut self) -> &mut [u64] {
        self.0.as_mut()
    }

    /// Adds `weight` times the words of another one of the same dimension.
    pub(crate) fn add_multiple(&mut self, words: &[u64], weight: i64) {
        for (sum, word) in self.words_mut().iter_mut().zip(words) {
            *sum = sum.wrapping_add(word.wrapping_mul(weight as u64));
        }
    }

    /// Number of mask elements: `k * N` of its parameters.
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

    /// Computes the masks: `8 (k N + 1)` bytes for each value.
    ///
    /// Any seed and bodies are ciphertexts under some key of any parameters, so
    /// nothing can be wrong here; a wrong one decrypts to noise.
    pub fn expand(&self, parameters: &Parameters) -> Vec<Ciphertext> {
        if self.is_empty() {
            return Vec::new();
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
            .map(|words| Ciphertext::from_words(words.to_vec()))
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
        .map(|words| Ciphertext::from_words(bytes::get_u64(words)))
        .collect())
}
