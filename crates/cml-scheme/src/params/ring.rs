//! The ring of the big key.

use serde::{Deserialize, Serialize};

use super::{ParameterError, check_range};
use crate::security;

/// The big key: `k` polynomials of `N` binary coefficients, and the noise of what is encrypted under it.
///
/// Ciphertexts between lookups are under this key, read as an LWE key of `k N` bits, on the torus modulo 2^64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ring {
    /// `k`.
    pub glwe_dimension: u32,
    /// `N`, a power of two.
    pub polynomial_size: u32,
    /// log2 of the TUniform bound of everything under the key, in units of 2^-64 of the torus.
    pub noise_bound: u32,
}

impl Ring {
    /// A ring with the smallest noise that 132-bit security allows.
    ///
    /// # Errors
    ///
    /// As [`Ring::validate`].
    pub fn new(glwe_dimension: u32, polynomial_size: u32) -> Result<Self, ParameterError> {
        let big = glwe_dimension.saturating_mul(polynomial_size);
        let ring = Self {
            glwe_dimension,
            polynomial_size,
            noise_bound: security::minimal_noise_bound(big, security::GLWE_MODULUS_LOG),
        };
        ring.validate().map(|()| ring)
    }

    /// Checks ranges and security. The noise bound must *equal* the 132-bit minimum: below is insecure, and above it the
    /// noise formulas of the `tfhe` crate no longer hold.
    ///
    /// # Errors
    ///
    /// The first [`ParameterError`] found.
    pub fn validate(&self) -> Result<(), ParameterError> {
        check_range("glwe_dimension", self.glwe_dimension, 1, 8)?;
        check_range("polynomial_size", self.polynomial_size, 256, 1 << 17)?;
        if !self.polynomial_size.is_power_of_two() {
            return Err(ParameterError::NotAPowerOfTwo {
                value: self.polynomial_size,
            });
        }
        check_range(
            "glwe_dimension * polynomial_size",
            self.big_dimension(),
            768,
            1 << 17,
        )?;
        let needed = security::minimal_noise_bound(self.big_dimension(), security::GLWE_MODULUS_LOG);
        if self.noise_bound != needed {
            return Err(ParameterError::NoiseBound {
                what: "glwe",
                value: self.noise_bound,
                needed,
            });
        }
        Ok(())
    }

    /// `k N`: bits of the big key, mask elements of a ciphertext.
    pub fn big_dimension(&self) -> u32 {
        self.glwe_dimension * self.polynomial_size
    }

    /// `L = extension * N`: coefficients of a table.
    pub fn table_size(&self, extension: u32) -> u64 {
        u64::from(self.polynomial_size) * u64::from(extension)
    }

    /// Low bits of each body of an evaluation key that are rounded off: whole bytes, and less than the noise has.
    ///
    /// They say nothing; the noise of that is counted by the noise model.
    pub fn dropped_bits(&self) -> u32 {
        self.noise_bound.saturating_sub(1) / 8 * 8
    }

    /// Bytes of each body of an evaluation key as shipped.
    pub fn body_bytes(&self) -> u64 {
        8 - u64::from(self.dropped_bits() / 8)
    }

    /// Bytes of the big key as stored: one bit for each key bit, padded to bytes.
    pub fn big_key_bytes(&self) -> u64 {
        u64::from(self.big_dimension().div_ceil(8))
    }

    /// Bytes of one ciphertext under the big key: mask and body.
    pub fn ciphertext_bytes(&self) -> u64 {
        8 * (u64::from(self.big_dimension()) + 1)
    }

    /// Bytes of one ciphertext under the big key, rounded to so many bytes a word.
    pub fn rounded_ciphertext_bytes(&self, word_bytes: u32) -> u64 {
        u64::from(word_bytes) * (u64::from(self.big_dimension()) + 1)
    }
}
