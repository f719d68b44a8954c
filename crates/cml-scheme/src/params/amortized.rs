//! Parameters of amortized blind rotation: many lookups in one bootstrap.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{ParameterError, Ring, SEED_BYTES, check_range};
use crate::security;

/// Parameters of amortized blind rotation (Guimarães and Pereira, "Fast amortized bootstrapping with small keys and
/// polynomial noise overhead", CCS 2025).
///
/// `M` ciphertexts under the big key are packed into one RLWE ciphertext, which a keyswitch brings to a sparse binary
/// key of weight `h` in a ring of `M` coefficients. The gaps between the exponents of that key, all below `2^beta`, are
/// encrypted digit by digit; `M` accumulators change places by them. So a lookup takes `(h + 1) steps` steps
/// rather than one for each bit of a small key.
///
/// The security of the sparse key is that of RLWE with sparse binary secrets: only the sets of
/// [`security::SPARSE_SETS`] are accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Amortized {
    /// `N` and the noise of the big key; `k` is 1.
    pub ring: Ring,
    /// `M`, coefficients of the ring of the sparse key and lookups of one bootstrap: a power of two, at least `N`.
    pub slots: u32,
    /// `h`, exponents of the sparse key.
    pub weight: u32,
    /// `beta`: gaps between exponents are below `2^beta`.
    pub gap_bits: u32,
    /// log2 of the TUniform bound under the sparse key, in units of 2^-32 of the torus.
    pub sparse_noise_bound: u32,
    /// Digits of a gap, as equal in size as they can be: see [`Amortized::digits`].
    pub gap_digits: u32,
    /// log2 of the base in which accumulators' masks are decomposed.
    pub pbs_base_log: u32,
    /// Levels of the decomposition of masks.
    pub pbs_level: u32,
    /// log2 of the base in which accumulators' bodies are decomposed.
    pub pbs_body_base_log: u32,
    /// Levels of the decomposition of bodies.
    pub pbs_body_level: u32,
    /// log2 of the decomposition base of automorphisms.
    pub automorphism_base_log: u32,
    /// Levels of the decomposition of automorphisms.
    pub automorphism_level: u32,
    /// log2 of the decomposition base of the keyswitch to the sparse key.
    pub sparse_base_log: u32,
    /// Levels of the decomposition of the keyswitch to the sparse key.
    pub sparse_level: u32,
}

/// A digit of a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GapDigit {
    /// log2 of its weight.
    pub shift: u32,
    /// Its bits: it has `2^bits` values.
    pub bits: u32,
}

impl Amortized {
    /// Checks ranges and security. Everything that builds or reads keys calls it.
    ///
    /// # Errors
    ///
    /// The first [`ParameterError`] found.
    pub fn validate(&self) -> Result<(), ParameterError> {
        self.ring.validate()?;
        let size = self.ring.polynomial_size;
        let ranges = [
            ("glwe_dimension", self.ring.glwe_dimension, 1, 1),
            ("slots", self.slots, size, security::MOST_SLOTS.max(size)),
            (
                "gap_digits",
                self.gap_digits,
                self.gap_bits.div_ceil(MOST_DIGIT_BITS),
                self.gap_bits.max(1),
            ),
            ("pbs_base_log", self.pbs_base_log, 1, 31),
            ("pbs_level", self.pbs_level, 1, 8),
            ("pbs_body_base_log", self.pbs_body_base_log, 1, 31),
            ("pbs_body_level", self.pbs_body_level, 1, 8),
            ("automorphism_base_log", self.automorphism_base_log, 1, 31),
            ("automorphism_level", self.automorphism_level, 1, 16),
            ("sparse_base_log", self.sparse_base_log, 1, 16),
            ("sparse_level", self.sparse_level, 1, 32),
        ];
        for (field, value, low, high) in ranges {
            check_range(field, value, low, high)?;
        }
        if !security::SPARSE_SETS.iter().any(|set| set.covers(self)) {
            return Err(ParameterError::Sparse {
                slots: self.slots,
                weight: self.weight,
                gap_bits: self.gap_bits,
                noise_bound: self.sparse_noise_bound,
            });
        }
        // Accumulators are kept in 32 bits, and what is rounded off takes one.
        let accumulator = ACCUMULATOR_BITS - 1;
        for (what, base_log, level, limit) in [
            ("bootstrap", self.pbs_base_log, self.pbs_level, accumulator),
            (
                "bootstrap body",
                self.pbs_body_base_log,
                self.pbs_body_level,
                accumulator,
            ),
            (
                "automorphism",
                self.automorphism_base_log,
                self.automorphism_level,
                security::GLWE_MODULUS_LOG - 1,
            ),
            (
                "sparse keyswitch",
                self.sparse_base_log,
                self.sparse_level,
                security::LWE_MODULUS_LOG,
            ),
        ] {
            let bits = base_log * level;
            if bits > limit {
                return Err(ParameterError::DecompositionTooFine { what, bits, limit });
            }
        }
        Ok(())
    }

    /// The digits of a gap, the least significant first. The first ones have one bit more than the last ones, if their
    /// sizes cannot be equal.
    pub fn digits(&self) -> impl Iterator<Item = GapDigit> + Clone + use<> {
        let (bits, count) = (self.gap_bits, self.gap_digits.max(1));
        (0..count).scan(0, move |shift, number| {
            let digit = GapDigit {
                shift: *shift,
                bits: bits / count + u32::from(number < bits % count),
            };
            *shift += digit.bits;
            Some(digit)
        })
    }

    /// Selectors of one gap: one for each value of each digit.
    pub fn selectors_of_gap(&self) -> u32 {
        self.digits().map(|digit| 1 << digit.bits).sum()
    }

    /// Selectors in all: encrypted bits, each of which says whether a digit has a value.
    pub fn selectors(&self) -> u32 {
        (self.weight + 1) * self.selectors_of_gap()
    }

    /// Steps of a lookup: sums of products, one for each digit of each gap.
    pub fn steps(&self) -> u32 {
        (self.weight + 1) * self.gap_digits
    }

    /// GLWE ciphertexts in a selector, and digits of a coefficient of an accumulator.
    pub fn selector_rows(&self) -> u32 {
        self.pbs_level + self.pbs_body_level
    }

    /// Exponents `t` of the automorphisms `X -> X^t` that there are keys for: those of packing, in the order of
    /// growing packs, and `-1` modulo `2N`, which changes the sign of a rotation.
    pub fn automorphisms(&self) -> impl Iterator<Item = u32> + use<> {
        let size = self.ring.polynomial_size;
        let packing = (1..=size.ilog2()).map(|log| (1 << log) + 1);
        packing.chain([2 * size - 1])
    }

    /// `L = extension * N`: coefficients of the table of a lookup.
    pub fn table_size(&self, extension: u32) -> u64 {
        self.ring.table_size(extension)
    }

    /// Torus elements in the bodies of the selectors.
    pub fn selector_bodies(&self) -> u64 {
        u64::from(self.selectors()) * u64::from(self.selector_rows()) * u64::from(self.ring.polynomial_size)
    }

    /// Torus elements in the bodies of the keys of automorphisms.
    pub fn automorphism_bodies(&self) -> u64 {
        let keys = u64::from(self.ring.polynomial_size.ilog2() + 1);
        keys * u64::from(self.automorphism_level) * u64::from(self.ring.polynomial_size)
    }

    /// Torus elements, of 32 bits, in the bodies of the key that switches to the sparse one.
    pub fn sparse_bodies(&self) -> u64 {
        u64::from(self.sparse_level) * u64::from(self.slots)
    }

    /// Bytes of the seeded keys as shipped.
    pub fn server_key_bytes(&self) -> u64 {
        let bodies = self.selector_bodies() + self.automorphism_bodies();
        3 * SEED_BYTES + self.ring.body_bytes() * bodies + 4 * self.sparse_bodies()
    }

    /// Bytes of the seeded keys in memory: their bodies in whole words.
    pub fn server_key_words_bytes(&self) -> u64 {
        8 * (self.selector_bodies() + self.automorphism_bodies()) + 4 * self.sparse_bodies()
    }

    /// Bytes of the expanded keys in the server's memory.
    pub fn evaluation_key_bytes(&self) -> u64 {
        16 * (self.selector_bodies() + self.automorphism_bodies() + self.sparse_bodies())
    }

    /// Bytes of all accumulators, with tables of `extension` polynomials.
    pub fn accumulator_bytes(&self, extension: u32) -> u64 {
        let bytes = u64::from(ACCUMULATOR_BITS / 8);
        2 * bytes * self.table_size(extension) * u64::from(self.slots)
    }

    /// Bytes of the sparse key as stored: two for each exponent.
    pub fn sparse_key_bytes(&self) -> u64 {
        2 * u64::from(self.weight)
    }
}

/// Most bits of a digit of a gap: all its values are multiplied in one step.
const MOST_DIGIT_BITS: u32 = 5;
/// Bits of a coefficient of an accumulator.
pub const ACCUMULATOR_BITS: u32 = 32;

impl fmt::Display for Amortized {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "M={} h={} gaps=2^{}/{} N={} pbs=2^{}x{}/2^{}x{} pack=2^{}x{} sparse=2^{}x{} noise=2^{}/2^32,2^{}/2^64",
            self.slots,
            self.weight,
            self.gap_bits,
            self.gap_digits,
            self.ring.polynomial_size,
            self.pbs_base_log,
            self.pbs_level,
            self.pbs_body_base_log,
            self.pbs_body_level,
            self.automorphism_base_log,
            self.automorphism_level,
            self.sparse_base_log,
            self.sparse_level,
            self.sparse_noise_bound,
            self.ring.noise_bound,
        )
    }
}
