//! Keys and ciphertexts in the types of the `tfhe` crate, for those who encrypt or execute; and byte layouts.
//!
//! **Byte layouts** hold no lengths and no dimensions: all are computed from the
//! [`Parameters`] of the circuit, given by the reader, and compared with the
//! length of the bytes before anything is allocated. Magic, version and
//! checksum belong to the file around them. Integers are little-endian.
//!
//! | type | bytes |
//! |---|---|
//! | client keys | big key, one bit each, padded to a byte; the small key of each set likewise; the exponents of the sparse key (u16 each, descending) |
//! | [`ServerKeys`](crate::ServerKeys) | the [`ServerKey`](crate::ServerKey) of each set, then the [`AmortizedKey`](crate::AmortizedKey) |
//! | [`AmortizedKey`](crate::AmortizedKey) | seed (16), bodies of selectors, seed (16), bodies of automorphisms (highest bytes of u64 each), seed (16), bodies of the key to the sparse key (u32 each) |
//! | [`ServerKey`](crate::ServerKey) | seed (16), bootstrap bodies (highest bytes of u64 each), seed (16), keyswitch bodies (u32 each) |
//! | [`SeededCiphertexts`](crate::SeededCiphertexts) | seed (16), bodies (u64 each, u32 under the small key) |
//! | list of [`Ciphertext`](crate::Ciphertext) | for each: mask and body (highest bytes of u64 each, as many as it was rounded to) |

use tfhe::core_crypto::commons::math::random::{CompressionSeed, Seed};
use tfhe::core_crypto::prelude::{
    CiphertextModulus, DecompositionBaseLog, DecompositionLevelCount, GlweDimension, GlweSize, LweDimension,
    PolynomialSize,
};

use crate::error::KeyError;
use crate::params::{Amortized, Parameters};

/// Parts of the bootstrapping key between two reports of progress.
pub const PARTS: usize = 32;

/// The dimensions of a parameter set in the types of the `tfhe` crate.
#[derive(Clone, Copy, Debug)]
pub struct Dimensions {
    /// `n`.
    pub lwe: LweDimension,
    /// `k`.
    pub glwe: GlweDimension,
    /// `N`.
    pub polynomial: PolynomialSize,
    /// `k N`.
    pub big: LweDimension,
    /// Decomposition of masks in the blind rotation.
    pub pbs: (DecompositionBaseLog, DecompositionLevelCount),
    /// Decomposition of bodies in the blind rotation.
    pub pbs_body: (DecompositionBaseLog, DecompositionLevelCount),
    /// Decomposition of the keyswitch.
    pub ks: (DecompositionBaseLog, DecompositionLevelCount),
}

impl Dimensions {
    /// Those of valid parameters.
    pub fn of(parameters: &Parameters) -> Self {
        Self {
            lwe: LweDimension(parameters.lwe_dimension as usize),
            glwe: GlweDimension(parameters.glwe_dimension as usize),
            polynomial: PolynomialSize(parameters.polynomial_size as usize),
            big: LweDimension(parameters.big_dimension() as usize),
            pbs: (
                DecompositionBaseLog(parameters.pbs_base_log as usize),
                DecompositionLevelCount(parameters.pbs_level as usize),
            ),
            pbs_body: (
                DecompositionBaseLog(parameters.pbs_body_base_log as usize),
                DecompositionLevelCount(parameters.pbs_body_level as usize),
            ),
            ks: (
                DecompositionBaseLog(parameters.ks_base_log as usize),
                DecompositionLevelCount(parameters.ks_level as usize),
            ),
        }
    }

    /// Those of valid parameters of amortized rotations, whose selectors are elements like those of a bootstrapping key: there
    /// are `lwe` of them, and no keyswitch.
    pub fn of_amortized(parameters: &Amortized) -> Self {
        Self {
            lwe: LweDimension(parameters.selectors() as usize),
            glwe: GlweDimension(1),
            polynomial: PolynomialSize(parameters.ring.polynomial_size as usize),
            big: LweDimension(parameters.ring.polynomial_size as usize),
            pbs: (
                DecompositionBaseLog(parameters.pbs_base_log as usize),
                DecompositionLevelCount(parameters.pbs_level as usize),
            ),
            pbs_body: (
                DecompositionBaseLog(parameters.pbs_body_base_log as usize),
                DecompositionLevelCount(parameters.pbs_body_level as usize),
            ),
            ks: (DecompositionBaseLog(0), DecompositionLevelCount(0)),
        }
    }

    /// `k + 1`.
    pub fn glwe_size(&self) -> GlweSize {
        self.glwe.to_glwe_size()
    }

    /// GLWE ciphertexts in an element of the bootstrapping key.
    ///
    /// First those that meet digits of masks, level by level and the least significant first, in each level by
    /// polynomial; then those that meet digits of bodies, the least significant first.
    pub fn rows(&self) -> usize {
        self.glwe.0 * self.pbs.1.0 + self.pbs_body.1.0
    }

    /// Levels of the GGSW ciphertext that is no smaller than an element: so much of the stream of masks is its own.
    pub fn stretch_level(&self) -> DecompositionLevelCount {
        DecompositionLevelCount(self.pbs.1.0.max(self.pbs_body.1.0))
    }
}

/// The modulus 2^64 of everything under the big key.
pub fn modulus64() -> CiphertextModulus<u64> {
    CiphertextModulus::new_native()
}

/// The modulus 2^32 of everything under the small key.
pub fn modulus32() -> CiphertextModulus<u32> {
    CiphertextModulus::new_native()
}

/// A seed in the type of the `tfhe` crate.
pub fn compression_seed(seed: u128) -> CompressionSeed {
    CompressionSeed::from(Seed(seed))
}

/// Compares a length with what the parameters ask for.
///
/// # Errors
///
/// [`KeyError::Length`] if they differ.
pub fn check_length(what: &'static str, bytes: &[u8], needs: u64) -> Result<(), KeyError> {
    let has = bytes.len() as u64;
    if has == needs {
        Ok(())
    } else {
        Err(KeyError::Length { what, has, needs })
    }
}

/// Appends the highest `size` bytes of 64-bit words.
pub fn put_high_bytes(out: &mut Vec<u8>, words: &[u64], size: usize) {
    for word in words {
        out.extend_from_slice(&word.to_le_bytes()[8 - size..]);
    }
}

/// Reads 64-bit words of which the highest `size` bytes, at least one, are there; the length is a multiple of it.
pub fn get_high_bytes(bytes: &[u8], size: usize) -> Vec<u64> {
    let word = |high: &[u8]| {
        let mut word = [0; 8];
        word[8 - size..].copy_from_slice(high);
        u64::from_le_bytes(word)
    };
    bytes.chunks_exact(size).map(word).collect()
}

/// Appends 32-bit words.
pub fn put_u32(out: &mut Vec<u8>, words: &[u32]) {
    out.extend(words.iter().flat_map(|word| word.to_le_bytes()));
}

/// Reads 32-bit words; the length is a multiple of 4.
pub fn get_u32(bytes: &[u8]) -> Vec<u32> {
    bytes
        .as_chunks()
        .0
        .iter()
        .map(|word| u32::from_le_bytes(*word))
        .collect()
}

/// Splits a seed off the front.
///
/// # Errors
///
/// [`KeyError::Length`] if there are fewer than 16 bytes.
pub fn split_seed<'a>(what: &'static str, bytes: &'a [u8]) -> Result<(u128, &'a [u8]), KeyError> {
    let Some((seed, rest)) = bytes.split_first_chunk() else {
        return Err(KeyError::Length {
            what,
            has: bytes.len() as u64,
            needs: 16,
        });
    };
    Ok((u128::from_le_bytes(*seed), rest))
}
