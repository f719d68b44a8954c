//! Ciphertexts: seeded as the client sends them, plain everywhere else.

use tfhe::core_crypto::prelude::{LweCiphertextOwned, LweDimension, SeededLweCiphertextList};

use serde::{Deserialize, Serialize};

use crate::error::KeyError;
use crate::params::{Ring, SEED_BYTES};
use crate::raw::{self, compression_seed, modulus32, modulus64};
use std::fmt;

/// Which of the two secret keys a ciphertext is under.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum LweKey {
    /// That of the ring, `k N` bits: what blind rotations put out.
    Big,
    /// That of the bootstrapping key's bits, `n` of them: what turns a blind rotation.
    Small,
}

impl LweKey {
    /// Bytes of a freshly encrypted value's mask elements and body: all that is masked, and nothing else.
    pub fn word_bytes(self) -> u32 {
        match self {
            Self::Big => 8,
            Self::Small => 4,
        }
    }

    /// Bytes of `count` freshly encrypted values: one seed, one body each.
    ///
    /// Saturates for a `count` that no memory holds.
    pub fn seeded_bytes(self, count: u64) -> u64 {
        let bodies = count.saturating_mul(u64::from(self.word_bytes()));
        bodies.saturating_add(SEED_BYTES)
    }
}

impl fmt::Display for LweKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Big => "big",
            Self::Small => "small",
        })
    }
}

/// One encrypted value: an LWE ciphertext on the torus modulo 2^64.
///
/// Freshly encrypted under the small key, mask and body have 32 bits, the upper halves of their words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ciphertext {
    lwe: LweCiphertextOwned<u64>,
    key: LweKey,
    /// Bytes of each word, from the highest on, beyond which all are zero.
    word_bytes: u32,
}

impl Ciphertext {
    /// `dimension` mask elements of zero and the message as it is: no secret, no noise.
    pub fn trivial(key: LweKey, dimension: usize, message: u64) -> Self {
        let mut words = vec![0; dimension + 1];
        words[dimension] = message;
        Self::from_words(key, words)
    }

    /// Mask, then body.
    pub fn from_words(key: LweKey, words: Vec<u64>) -> Self {
        Self {
            lwe: LweCiphertextOwned::from_container(words, modulus64()),
            key,
            word_bytes: 8,
        }
    }

    /// In the type of the `tfhe` crate.
    pub fn inner(&self) -> &LweCiphertextOwned<u64> {
        &self.lwe
    }

    /// Mask, then body.
    pub fn words(&self) -> &[u64] {
        self.lwe.as_ref()
    }

    /// The same, to be changed.
    pub fn words_mut(&mut self) -> &mut [u64] {
        self.lwe.as_mut()
    }

    /// Rounded to so many bytes a word, 1 to 8; centred, like the modulus switch: half of what the mask
    /// is rounded by, which is what a binary key makes of it in the mean, is taken off the body.
    pub fn rounded(mut self, word_bytes: u32) -> Self {
        if word_bytes >= 8 {
            return self;
        }
        let bits = 64 - 8 * word_bytes.max(1);
        let nearest = |word: u64| word.wrapping_add(1 << (bits - 1)) >> bits << bits;
        let mut errors = 0_i128;
        let words = self.words_mut();
        if let Some((body, mask)) = words.split_last_mut() {
            for word in mask {
                let rounded = nearest(*word);
                errors += i128::from(rounded.wrapping_sub(*word) as i64);
                *word = rounded;
            }
            *body = nearest(body.wrapping_add((errors >> 1) as u64));
        }
        self.word_bytes = word_bytes.max(1);
        self
    }

    /// Which key it is under.
    pub fn key(&self) -> LweKey {
        self.key
    }

    /// The upper halves of the words, the body rounded: a ciphertext modulo 2^32.
    pub fn halves(&self) -> impl Iterator<Item = u32> + '_ {
        let last = self.dimension();
        let half = move |(i, &word): (usize, &u64)| {
            let rounding = if i == last { 1 << 31 } else { 0 };
            (word.wrapping_add(rounding) >> 32) as u32
        };
        self.words().iter().enumerate().map(half)
    }

    /// Adds `weight` times the words of another one of the same dimension.
    pub fn add_multiple(&mut self, words: &[u64], weight: i64) {
        self.word_bytes = 8;
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
    key: LweKey,
    seed: u128,
    /// Words of which the highest [`LweKey::word_bytes`] can be other than zero.
    bodies: Vec<u64>,
}

impl SeededCiphertexts {
    /// A seed and bodies; of a body the highest [`LweKey::word_bytes`] count, and the rest is zero.
    pub fn from_parts(key: LweKey, seed: u128, bodies: Vec<u64>) -> Self {
        Self { key, seed, bodies }
    }

    /// The seed of all masks.
    pub fn seed(&self) -> u128 {
        self.seed
    }

    /// Number of encrypted values.
    pub fn len(&self) -> usize {
        self.bodies.len()
    }

    /// Whether it holds no value.
    pub fn is_empty(&self) -> bool {
        self.bodies.is_empty()
    }

    /// Which key they are under.
    pub fn key(&self) -> LweKey {
        self.key
    }

    /// Writes the seed, and of each body the [`LweKey::word_bytes`] that there are.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.key.seeded_bytes(self.len() as u64) as usize);
        out.extend(self.seed.to_le_bytes());
        raw::put_high_bytes(&mut out, &self.bodies, self.key.word_bytes() as usize);
        out
    }

    /// Reads exactly `count` values under one of the keys.
    ///
    /// # Errors
    ///
    /// [`KeyError::Length`] if the bytes do not hold a seed and `count` bodies.
    pub fn from_bytes(bytes: &[u8], key: LweKey, count: usize) -> Result<Self, KeyError> {
        let what = "encrypted input";
        raw::check_length(what, bytes, key.seeded_bytes(count as u64))?;
        let (seed, bodies) = raw::split_seed(what, bytes)?;
        let bodies = raw::get_high_bytes(bodies, key.word_bytes() as usize);
        Ok(Self { key, seed, bodies })
    }

    /// Computes the masks, of `dimension` elements: those of its key, see [`crate::ParameterSets::dimension`].
    /// Takes `8 (dimension + 1)` bytes for each value.
    ///
    /// Any seed and bodies are ciphertexts under some key of any parameters, so
    /// nothing can be wrong here; a wrong one decrypts to noise.
    pub fn expand(&self, dimension: usize) -> Vec<Ciphertext> {
        match self.key {
            _ if self.is_empty() => Vec::new(),
            LweKey::Big => self.expand_big(dimension),
            LweKey::Small => self.expand_small(dimension),
        }
    }

    fn expand_big(&self, dimension: usize) -> Vec<Ciphertext> {
        let size = LweDimension(dimension).to_lwe_size();
        let list = SeededLweCiphertextList::from_container(
            self.bodies.as_slice(),
            size,
            compression_seed(self.seed),
            modulus64(),
        );
        let expanded = list.par_decompress_into_lwe_ciphertext_list().into_container();
        expanded
            .chunks_exact(size.0)
            .map(|words| Ciphertext::from_words(LweKey::Big, words.to_vec()))
            .collect()
    }

    fn expand_small(&self, dimension: usize) -> Vec<Ciphertext> {
        let size = LweDimension(dimension).to_lwe_size();
        let bodies: Vec<u32> = self.bodies.iter().map(|body| (body >> 32) as u32).collect();
        let list = SeededLweCiphertextList::from_container(
            bodies.as_slice(),
            size,
            compression_seed(self.seed),
            modulus32(),
        );
        let expanded = list.par_decompress_into_lwe_ciphertext_list().into_container();
        let value = |words: &[u32]| {
            let words = words.iter().map(|&word| u64::from(word) << 32);
            Ciphertext::from_words(LweKey::Small, words.collect())
        };
        expanded.chunks_exact(size.0).map(value).collect()
    }
}

/// Writes mask and body of each ciphertext, of each word the bytes that there are.
pub fn ciphertexts_to_bytes(ciphertexts: &[Ciphertext]) -> Vec<u8> {
    let words: usize = ciphertexts
        .iter()
        .map(|ciphertext| ciphertext.words().len())
        .sum();
    let mut out = Vec::with_capacity(8 * words);
    for ciphertext in ciphertexts {
        raw::put_high_bytes(&mut out, ciphertext.words(), ciphertext.word_bytes as usize);
    }
    out
}

/// Reads exactly `count` ciphertexts under a key of that ring, with so many bytes a word, 1 to 8.
///
/// # Errors
///
/// [`KeyError::Parameters`] for parameters that are refused, [`KeyError::Length`]
/// if the bytes do not hold `count` ciphertexts of them.
pub fn ciphertexts_from_bytes(
    bytes: &[u8],
    ring: &Ring,
    word_bytes: u32,
    count: usize,
) -> Result<Vec<Ciphertext>, KeyError> {
    ring.validate()?;
    let word_bytes = word_bytes.clamp(1, 8);
    let each = ring.rounded_ciphertext_bytes(word_bytes);
    raw::check_length("encrypted output", bytes, each.saturating_mul(count as u64))?;
    let read = |words| {
        let words = raw::get_high_bytes(words, word_bytes as usize);
        let ciphertext = Ciphertext::from_words(LweKey::Big, words);
        Ciphertext {
            word_bytes,
            ..ciphertext
        }
    };
    Ok(bytes.chunks_exact(each as usize).map(read).collect())
}
