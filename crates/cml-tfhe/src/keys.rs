//! Keys and ciphertexts, and their byte layouts.
//!
//! For each parameter set of a circuit the client holds a [`ClientKey`], all with the same big key; the server gets
//! a [`ServerKey`], which it expands to an [`EvaluationKey`]. Nothing but the client key can encrypt or
//! decrypt, and only `keys/client.rs` and `keys/generate.rs` can see its bits.
//!
//! **Byte layouts** hold no lengths and no dimensions: all are computed from the
//! [`Parameters`] of the circuit, given by the reader, and compared with the
//! length of the bytes before anything is allocated. Magic, version and
//! checksum belong to the file around them. Integers are little-endian.
//!
//! | type | bytes |
//! |---|---|
//! | [`ClientKeys`] | big key, one bit each, padded to a byte; the small key of each set likewise |
//! | [`ServerKeys`] | the [`ServerKey`] of each set |
//! | [`ServerKey`] | seed (16), bootstrap bodies (highest bytes of u64 each), seed (16), keyswitch bodies (u32 each) |
//! | [`SeededCiphertexts`] | seed (16), bodies (u64 each) |
//! | list of [`Ciphertext`] | for each: mask and body (highest bytes of u64 each, as many as it was rounded to) |

mod bytes;
mod ciphertext;
#[cfg(feature = "client")]
mod client;
#[cfg(feature = "server")]
mod evaluation;
#[cfg(feature = "client")]
mod generate;
mod server;
mod sets;

use tfhe::core_crypto::commons::math::random::{CompressionSeed, Seed};
use tfhe::core_crypto::prelude::{
    CiphertextModulus, DecompositionBaseLog, DecompositionLevelCount, GlweDimension, GlweSize, LweDimension,
    PolynomialSize,
};

use crate::params::{ParameterError, Parameters};

pub use ciphertext::{Ciphertext, LweKey, SeededCiphertexts, ciphertexts_from_bytes, ciphertexts_to_bytes};
#[cfg(feature = "client")]
pub use client::ClientKey;
#[cfg(feature = "server")]
pub use evaluation::EvaluationKey;
pub use server::{Progress, ServerKey, Stage};
#[cfg(feature = "client")]
pub use sets::ClientKeys;
pub use sets::ServerKeys;

/// Why a key or a ciphertext is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The parameters themselves are refused.
    #[error(transparent)]
    Parameters(#[from] ParameterError),
    /// Bytes do not have the length that the parameters ask for.
    #[error("{what} has {has} bytes, the parameters ask for {needs}")]
    Length {
        /// What was read.
        what: &'static str,
        /// Bytes found.
        has: u64,
        /// Bytes that the parameters ask for.
        needs: u64,
    },
    /// A padding bit of a packed secret key is set.
    #[error("{what} has bits beyond its {bits}")]
    Padding {
        /// Which key.
        what: &'static str,
        /// Bits of that key.
        bits: u32,
    },
    /// A ciphertext does not belong to keys of these parameters.
    #[error("ciphertext has dimension {has}, the key has {needs}")]
    Dimension {
        /// Mask elements of the ciphertext.
        has: usize,
        /// Bits of the big key.
        needs: usize,
    },
    /// The system has no randomness.
    #[error("no randomness from the operating system: {0}")]
    Randomness(String),
    /// A value cannot be read at a step of zero.
    #[error("step of an encoding is 0, at least 1 is needed")]
    ZeroStep,
}

/// Parts of the bootstrapping key between two reports of progress.
const PARTS: usize = 32;

/// The dimensions of a parameter set in the types of the `tfhe` crate.
#[derive(Clone, Copy)]
pub(crate) struct Dimensions {
    pub(crate) lwe: LweDimension,
    pub(crate) glwe: GlweDimension,
    pub(crate) polynomial: PolynomialSize,
    pub(crate) big: LweDimension,
    /// Of masks.
    pub(crate) pbs: (DecompositionBaseLog, DecompositionLevelCount),
    /// Of bodies.
    pub(crate) pbs_body: (DecompositionBaseLog, DecompositionLevelCount),
    pub(crate) ks: (DecompositionBaseLog, DecompositionLevelCount),
}

impl Dimensions {
    pub(crate) fn of(parameters: &Parameters) -> Self {
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

    pub(crate) fn glwe_size(&self) -> GlweSize {
        self.glwe.to_glwe_size()
    }

    /// GLWE ciphertexts in an element of the bootstrapping key.
    ///
    /// First those that meet digits of masks, level by level and the least significant first, in each level by
    /// polynomial; then those that meet digits of bodies, the least significant first.
    pub(crate) fn rows(&self) -> usize {
        self.glwe.0 * self.pbs.1.0 + self.pbs_body.1.0
    }

    /// Levels of the GGSW ciphertext that is no smaller than an element: so much of the stream of masks is its own.
    pub(crate) fn stretch_level(&self) -> DecompositionLevelCount {
        DecompositionLevelCount(self.pbs.1.0.max(self.pbs_body.1.0))
    }
}

/// The modulus 2^64 of everything under the big key.
pub(crate) fn modulus64() -> CiphertextModulus<u64> {
    CiphertextModulus::new_native()
}

/// The modulus 2^32 of everything under the small key.
pub(crate) fn modulus32() -> CiphertextModulus<u32> {
    CiphertextModulus::new_native()
}

fn compression_seed(seed: u128) -> CompressionSeed {
    CompressionSeed::from(Seed(seed))
}

#[cfg(all(test, feature = "client", feature = "server"))]
mod tests;
