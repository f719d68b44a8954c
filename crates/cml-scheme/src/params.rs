//! TFHE parameters of a circuit: one small LWE key, one GLWE key, two decompositions.

mod amortized;
mod ring;
mod sets;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::security;

pub use amortized::{ACCUMULATOR_BITS, Amortized, GapDigit};
pub use ring::Ring;
pub use sets::{MOST_SETS, ParameterSets, Set};

/// Bytes of a mask seed in a shipped key or ciphertext list.
pub const SEED_BYTES: u64 = 16;

/// Largest expanded evaluation key that is accepted, in bytes (16 GiB).
///
/// A parameter set read from a file decides how much a server allocates; the
/// largest set that the search of the compiler considers stays below this.
pub const MAX_EVALUATION_KEY_BYTES: u64 = 16 << 30;

/// One TFHE parameter set, in the reference execution order linear, keyswitch, blind rotation.
///
/// The blind rotation takes the mask and the body of its accumulator apart by decompositions of their own. What is
/// rounded off the mask meets a key of `k N` bits, what is rounded off the body meets none, so the body does with
/// fewer levels and smaller digits: fewer transforms, a smaller key and less noise.
///
/// Ciphertexts between lookups live under the big key: an LWE key of `k * N`
/// bits, read off the GLWE key, on the torus modulo 2^64. The keyswitch brings
/// them to the small key of `n` bits modulo 2^32, where the blind rotation
/// reads them. All keys are binary, all noise is TUniform at the smallest bound
/// that the 132-bit security curves of the `tfhe` crate allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameters {
    /// `n`, bits of the small LWE key.
    pub lwe_dimension: u32,
    /// `k`, polynomials in the GLWE key.
    pub glwe_dimension: u32,
    /// `N`, coefficients of a polynomial: a power of two.
    pub polynomial_size: u32,
    /// log2 of the base in which the blind rotation decomposes masks.
    pub pbs_base_log: u32,
    /// Levels of the decomposition of masks.
    pub pbs_level: u32,
    /// log2 of the base in which the blind rotation decomposes bodies.
    pub pbs_body_base_log: u32,
    /// Levels of the decomposition of bodies.
    pub pbs_body_level: u32,
    /// log2 of the decomposition base of the keyswitch.
    pub ks_base_log: u32,
    /// Levels of the decomposition of the keyswitch.
    pub ks_level: u32,
    /// log2 of the TUniform bound of the keyswitching key, in units of 2^-32 of the torus.
    pub lwe_noise_bound: u32,
    /// log2 of the TUniform bound of everything under the big key, in units of 2^-64 of the torus.
    pub glwe_noise_bound: u32,
}

/// Why a parameter set is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParameterError {
    /// A field lies outside the range that this crate supports.
    #[error("parameter {field} is {value}, supported are {low} to {high}")]
    OutOfRange {
        /// Name of the field.
        field: &'static str,
        /// What it holds.
        value: u64,
        /// Smallest supported value.
        low: u64,
        /// Largest supported value.
        high: u64,
    },
    /// The polynomial size is no power of two.
    #[error("polynomial size is {value}, a power of two is needed")]
    NotAPowerOfTwo {
        /// What it holds.
        value: u32,
    },
    /// A decomposition is finer than the torus it decomposes.
    #[error("{what} decomposition takes {bits} bits, the most are {limit}")]
    DecompositionTooFine {
        /// Which decomposition: `keyswitch`, `bootstrap` (of masks) or `bootstrap body`.
        what: &'static str,
        /// Base log times levels.
        bits: u32,
        /// The most: those of the torus, less one that the executor rounds off.
        limit: u32,
    },
    /// A noise bound is not the one that 132-bit security and the noise model ask for.
    #[error("{what} noise bound is 2^{value}, 132-bit security at this dimension takes 2^{needed}")]
    NoiseBound {
        /// Which key: `lwe` or `glwe`.
        what: &'static str,
        /// log2 of the bound held.
        value: u32,
        /// log2 of the bound needed.
        needed: u32,
    },
    /// More sets than supported.
    #[error("{has} parameter sets, the most are {limit}")]
    TooManySets {
        /// Sets.
        has: usize,
        /// The most.
        limit: usize,
    },
    /// A sparse key whose security is not known, or too low.
    #[error(
        "a sparse key of weight {weight} in {slots} coefficients, with gaps below 2^{gap_bits} and noise 2^{noise_bound}/2^32, is none of those known to have 132-bit security"
    )]
    Sparse {
        /// Coefficients of its ring.
        slots: u32,
        /// Exponents.
        weight: u32,
        /// Gaps are below two to this.
        gap_bits: u32,
        /// log2 of the bound of the noise.
        noise_bound: u32,
    },
    /// No set at all.
    #[error("there is no parameter set")]
    NoSet,
    /// Sets that share no big key.
    #[error("parameter set {set} has another ring")]
    OtherRing {
        /// Which set, from 0.
        set: usize,
    },
    /// The expanded keys would take too much memory.
    #[error("evaluation key takes {bytes} bytes, the limit is {limit}")]
    KeyTooLarge {
        /// Bytes of the expanded key.
        bytes: u64,
        /// Largest accepted.
        limit: u64,
    },
}

/// Whether a field lies in the range that is supported.
fn check_range(field: &'static str, value: u32, low: u32, high: u32) -> Result<(), ParameterError> {
    if (low..=high).contains(&value) {
        return Ok(());
    }
    let [value, low, high] = [value, low, high].map(u64::from);
    Err(ParameterError::OutOfRange {
        field,
        value,
        low,
        high,
    })
}

impl Parameters {
    /// Builds a set with the smallest noise bounds that 132-bit security allows, which decomposes bodies as masks:
    /// see [`Parameters::with_body`].
    ///
    /// # Errors
    ///
    /// As [`Parameters::validate`].
    pub fn new(
        lwe_dimension: u32,
        (glwe_dimension, polynomial_size): (u32, u32),
        (pbs_base_log, pbs_level): (u32, u32),
        (ks_base_log, ks_level): (u32, u32),
    ) -> Result<Self, ParameterError> {
        let parameters = Self {
            lwe_dimension,
            glwe_dimension,
            polynomial_size,
            pbs_base_log,
            pbs_level,
            pbs_body_base_log: pbs_base_log,
            pbs_body_level: pbs_level,
            ks_base_log,
            ks_level,
            lwe_noise_bound: security::minimal_noise_bound(lwe_dimension, security::LWE_MODULUS_LOG),
            glwe_noise_bound: security::minimal_noise_bound(
                glwe_dimension.saturating_mul(polynomial_size),
                security::GLWE_MODULUS_LOG,
            ),
        };
        parameters.validate().map(|()| parameters)
    }

    /// The same set with another decomposition of bodies.
    ///
    /// # Errors
    ///
    /// As [`Parameters::validate`].
    pub fn with_body(self, (base_log, level): (u32, u32)) -> Result<Self, ParameterError> {
        let parameters = Self {
            pbs_body_base_log: base_log,
            pbs_body_level: level,
            ..self
        };
        parameters.validate().map(|()| parameters)
    }

    /// Checks ranges, security and memory. Everything that builds or reads keys calls it.
    ///
    /// The noise bounds must *equal* the 132-bit minimum: below is insecure,
    /// and above it the noise formulas of the `tfhe` crate no longer hold.
    ///
    /// # Errors
    ///
    /// The first [`ParameterError`] found, in the order of its variants.
    pub fn validate(&self) -> Result<(), ParameterError> {
        let ranges = [
            ("lwe_dimension", self.lwe_dimension, 512, 2048),
            ("glwe_dimension", self.glwe_dimension, 1, 8),
            ("polynomial_size", self.polynomial_size, 256, 1 << 17),
            ("pbs_base_log", self.pbs_base_log, 1, 63),
            ("pbs_level", self.pbs_level, 1, 16),
            ("pbs_body_base_log", self.pbs_body_base_log, 1, 63),
            ("pbs_body_level", self.pbs_body_level, 1, 16),
            ("ks_base_log", self.ks_base_log, 1, 31),
            ("ks_level", self.ks_level, 1, 31),
        ];
        for (field, value, low, high) in ranges {
            check_range(field, value, low, high)?;
        }
        if !self.polynomial_size.is_power_of_two() {
            return Err(ParameterError::NotAPowerOfTwo {
                value: self.polynomial_size,
            });
        }
        let big = self.big_dimension();
        check_range("glwe_dimension * polynomial_size", big, 768, 1 << 17)?;
        for (what, base_log, level, limit) in [
            (
                "bootstrap",
                self.pbs_base_log,
                self.pbs_level,
                // The executor rounds: a bit at least is left out.
                security::GLWE_MODULUS_LOG - 1,
            ),
            (
                "bootstrap body",
                self.pbs_body_base_log,
                self.pbs_body_level,
                security::GLWE_MODULUS_LOG - 1,
            ),
            (
                "keyswitch",
                self.ks_base_log,
                self.ks_level,
                security::LWE_MODULUS_LOG,
            ),
        ] {
            let bits = base_log * level;
            if bits > limit {
                return Err(ParameterError::DecompositionTooFine { what, bits, limit });
            }
        }
        for (what, value, dimension, modulus_log) in [
            (
                "lwe",
                self.lwe_noise_bound,
                self.lwe_dimension,
                security::LWE_MODULUS_LOG,
            ),
            ("glwe", self.glwe_noise_bound, big, security::GLWE_MODULUS_LOG),
        ] {
            let needed = security::minimal_noise_bound(dimension, modulus_log);
            if value != needed {
                return Err(ParameterError::NoiseBound { what, value, needed });
            }
        }
        let bytes = self.evaluation_key_bytes();
        let limit = MAX_EVALUATION_KEY_BYTES;
        if bytes > limit {
            return Err(ParameterError::KeyTooLarge { bytes, limit });
        }
        Ok(())
    }

    /// The ring of the big key.
    pub fn ring(&self) -> Ring {
        Ring {
            glwe_dimension: self.glwe_dimension,
            polynomial_size: self.polynomial_size,
            noise_bound: self.glwe_noise_bound,
        }
    }

    /// `k * N`: bits of the big LWE key, mask elements of a ciphertext.
    pub fn big_dimension(&self) -> u32 {
        self.ring().big_dimension()
    }

    /// `L = extension * N`: coefficients of the table of a lookup.
    pub fn table_size(&self, extension: u32) -> u64 {
        self.ring().table_size(extension)
    }

    /// GLWE ciphertexts in an element of the bootstrapping key, and digits of a coefficient of an accumulator: one for
    /// each level of each polynomial.
    pub fn bootstrap_key_rows(&self) -> u64 {
        u64::from(self.glwe_dimension) * u64::from(self.pbs_level) + u64::from(self.pbs_body_level)
    }

    /// Torus elements in the bodies of the seeded bootstrapping key: `n * rows * N`.
    pub fn bootstrap_key_bodies(&self) -> u64 {
        u64::from(self.lwe_dimension) * self.bootstrap_key_rows() * u64::from(self.polynomial_size)
    }

    /// Torus elements in the bodies of the seeded keyswitching key: `k * N * levels`.
    pub fn keyswitch_key_bodies(&self) -> u64 {
        u64::from(self.big_dimension()) * u64::from(self.ks_level)
    }

    /// Bytes of each body of the bootstrapping key as shipped.
    ///
    /// The bits below the noise say nothing: whole bytes of them are rounded off, and the
    /// noise of that is counted by the noise model.
    pub fn bootstrap_body_bytes(&self) -> u64 {
        self.ring().body_bytes()
    }

    /// Low bits of each body of the bootstrapping key that are rounded off: whole bytes, and less than the
    /// noise has.
    pub fn dropped_bits(&self) -> u32 {
        self.ring().dropped_bits()
    }

    /// Bytes of the big key as stored: one bit for each key bit, padded to bytes.
    pub fn big_key_bytes(&self) -> u64 {
        self.ring().big_key_bytes()
    }

    /// Bytes of the small key as stored: one bit for each key bit, padded to bytes.
    pub fn small_key_bytes(&self) -> u64 {
        u64::from(self.lwe_dimension.div_ceil(8))
    }

    /// Bytes of the seeded server key as shipped.
    pub fn server_key_bytes(&self) -> u64 {
        2 * SEED_BYTES
            + self.bootstrap_body_bytes() * self.bootstrap_key_bodies()
            + 4 * self.keyswitch_key_bodies()
    }

    /// Bytes of the seeded server key in memory: its bodies in whole words.
    pub fn server_key_words_bytes(&self) -> u64 {
        8 * self.bootstrap_key_bodies() + 4 * self.keyswitch_key_bodies()
    }

    /// Bytes of the expanded evaluation key in the server's memory.
    ///
    /// A Fourier polynomial holds `N / 2` complex numbers of 16 bytes, so the
    /// Fourier key has the size of the expanded standard one.
    pub fn evaluation_key_bytes(&self) -> u64 {
        8 * self.bootstrap_key_bodies() * u64::from(self.glwe_dimension + 1)
            + 4 * self.keyswitch_key_bodies() * u64::from(self.lwe_dimension + 1)
    }

    /// Bytes of one ciphertext under the big key: mask and body.
    pub fn ciphertext_bytes(&self) -> u64 {
        self.ring().ciphertext_bytes()
    }

    /// Bytes of one ciphertext under the big key, rounded to so many bytes a word.
    pub fn rounded_ciphertext_bytes(&self, word_bytes: u32) -> u64 {
        self.ring().rounded_ciphertext_bytes(word_bytes)
    }
}

impl fmt::Display for Parameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "n={} k={} N={} pbs=2^{}x{}/2^{}x{} ks=2^{}x{} noise=2^{}/2^32,2^{}/2^64",
            self.lwe_dimension,
            self.glwe_dimension,
            self.polynomial_size,
            self.pbs_base_log,
            self.pbs_level,
            self.pbs_body_base_log,
            self.pbs_body_level,
            self.ks_base_log,
            self.ks_level,
            self.lwe_noise_bound,
            self.glwe_noise_bound
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn published() -> Parameters {
        // V1_4_PARAM_MESSAGE_2_CARRY_2_KS32_PBS_TUNIFORM_2M128 of the tfhe crate.
        Parameters::new(918, (1, 2048), (23, 1), (4, 4)).expect("published set")
    }

    #[test]
    fn published_set_has_the_published_noise() {
        let parameters = published();
        assert_eq!(
            (parameters.lwe_noise_bound, parameters.glwe_noise_bound),
            (13, 17)
        );
        let line = "n=918 k=1 N=2048 pbs=2^23x1/2^23x1 ks=2^4x4 noise=2^13/2^32,2^17/2^64";
        assert_eq!(parameters.to_string(), line);
    }

    #[test]
    fn sizes_follow_the_shapes() {
        let parameters = published();
        assert_eq!(
            parameters.server_key_bytes(),
            32 + 6 * 918 * 2 * 2048 + 4 * 2048 * 4
        );
        assert_eq!(
            parameters.evaluation_key_bytes(),
            8 * 918 * 4 * 2048 + 4 * 2048 * 4 * 919
        );
        assert_eq!(parameters.ciphertext_bytes(), 8 * 2049);
        assert_eq!(
            (parameters.big_key_bytes(), parameters.small_key_bytes()),
            (256, 115)
        );
    }

    #[test]
    fn bad_sets_are_refused() {
        let check = |change: fn(&mut Parameters), message: &str| {
            let mut parameters = published();
            change(&mut parameters);
            let error = parameters.validate().expect_err("bad set");
            assert_eq!(error.to_string(), message);
        };
        check(
            |p| p.lwe_dimension = 511,
            "parameter lwe_dimension is 511, supported are 512 to 2048",
        );
        check(
            |p| p.polynomial_size = u32::MAX,
            "parameter polynomial_size is 4294967295, supported are 256 to 131072",
        );
        check(
            |p| p.polynomial_size = 2047,
            "polynomial size is 2047, a power of two is needed",
        );
        check(
            |p| p.polynomial_size = 512,
            "parameter glwe_dimension * polynomial_size is 512, supported are 768 to 131072",
        );
        check(
            |p| p.ks_level = 9,
            "keyswitch decomposition takes 36 bits, the most are 32",
        );
        check(
            |p| p.pbs_level = 3,
            "bootstrap decomposition takes 69 bits, the most are 63",
        );
        check(
            |p| p.pbs_body_level = 3,
            "bootstrap body decomposition takes 69 bits, the most are 63",
        );
        check(
            |p| p.lwe_dimension = 860,
            "lwe noise bound is 2^13, 132-bit security at this dimension takes 2^15",
        );
        check(
            |p| p.glwe_noise_bound = 3,
            "glwe noise bound is 2^3, 132-bit security at this dimension takes 2^17",
        );
        check(
            |p| {
                *p = Parameters {
                    polynomial_size: 1 << 17,
                    pbs_level: 16,
                    pbs_base_log: 3,
                    pbs_body_level: 16,
                    pbs_body_base_log: 3,
                    glwe_noise_bound: 3,
                    ..*p
                };
            },
            "evaluation key takes 63533219840 bytes, the limit is 17179869184",
        );
    }
}
