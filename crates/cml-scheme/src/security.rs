//! Security: how much noise a key needs.

use tfhe::core_crypto::commons::noise_formulas::secure_noise::minimal_lwe_bound_for_132_bits_security_tuniform;
use tfhe::core_crypto::prelude::LweDimension;

/// log2 of the modulus of the small key.
pub const LWE_MODULUS_LOG: u32 = 32;
/// log2 of the modulus of the big key.
pub const GLWE_MODULUS_LOG: u32 = 64;
/// Smallest TUniform bound (log2) that the published sets use, however large the key.
const SMALLEST_NOISE_BOUND: u32 = 3;

/// log2 of the smallest TUniform bound with 132-bit security, in units of `2^-modulus_log` of the torus.
///
/// Never below 2^3, the bound of the published sets with large keys.
pub fn minimal_noise_bound(lwe_dimension: u32, modulus_log: u32) -> u32 {
    minimal_lwe_bound_for_132_bits_security_tuniform(
        LweDimension(lwe_dimension as usize),
        f64::from(modulus_log).exp2(),
    )
    .max(SMALLEST_NOISE_BOUND)
}

/// Most coefficients of the ring of a sparse key.
pub const MOST_SLOTS: u32 = 8192;

/// Sparse binary keys of RLWE with at least 132 bits of security.
///
/// Each row is what the lattice estimator (Albrecht, Player, Scott, "On the concrete hardness of learning with errors", J. Math.
/// Cryptology 2015; commit 27a581bb) gives for a uniform binary secret of that weight, Gaussian noise of that
/// deviation and the modulus 2^32, in the MATZOV cost model: the least of the primal attacks, their hybrids with
/// guessing and meet-in-the-middle, and dual attacks as far as they come near. From it the bits are taken that a key loses
/// because its gaps are below `2^gap_bits`, as if all of that helped an attacker. What it does not know of is the
/// ring; so the weight that is used is larger by [`SPARSE_MARGIN`].
pub const SPARSE_SETS: &[SparseSet] = &[
    SparseSet::new(2048, 40, 8, -13, 1332, 3),
    SparseSet::new(2048, 43, 8, -15, 1337, 2),
    SparseSet::new(2048, 48, 8, -19, 1322, 1),
    SparseSet::new(2048, 52, 8, -21, 1332, 1),
    SparseSet::new(2048, 55, 8, -23, 1326, 1),
    SparseSet::new(4096, 31, 9, -13, 1336, 9),
    SparseSet::new(4096, 32, 9, -15, 1328, 8),
    SparseSet::new(4096, 35, 9, -19, 1338, 6),
    SparseSet::new(4096, 36, 9, -21, 1331, 5),
    SparseSet::new(8192, 26, 10, -13, 1351, 16),
    SparseSet::new(8192, 27, 10, -17, 1337, 14),
    SparseSet::new(8192, 28, 10, -19, 1348, 13),
    SparseSet::new(8192, 29, 10, -23, 1337, 11),
];

/// Exponents that a sparse key has beyond those of its row in [`SPARSE_SETS`]: each adds about a bit.
pub const SPARSE_MARGIN: u32 = 1;

/// A sparse key whose security was estimated.
#[derive(Clone, Copy, Debug)]
pub struct SparseSet {
    /// Coefficients of the ring.
    pub slots: u32,
    /// Weight for which the estimate is.
    pub weight: u32,
    /// Gaps are below two to this.
    pub gap_bits: u32,
    /// log2 of the deviation of the noise, relative to the modulus.
    pub deviation_log2: i32,
    /// Ten times the bits of a uniform key.
    pub decibits: u32,
    /// Ten times the bits that its gaps cost, rounded up.
    pub lost_decibits: u32,
}

impl SparseSet {
    const fn new(
        slots: u32,
        weight: u32,
        gap_bits: u32,
        deviation_log2: i32,
        decibits: u32,
        lost_decibits: u32,
    ) -> Self {
        Self {
            slots,
            weight,
            gap_bits,
            deviation_log2,
            decibits,
            lost_decibits,
        }
    }

    /// Weight of the keys that are drawn.
    pub const fn used_weight(&self) -> u32 {
        self.weight + SPARSE_MARGIN
    }

    /// log2 of the TUniform bound whose deviation, `2^bound / sqrt(3)`, is no smaller than the estimated one.
    pub const fn noise_bound(&self) -> u32 {
        (LWE_MODULUS_LOG as i32 + self.deviation_log2 + 1) as u32
    }

    /// Whether these parameters are of this set: its ring, weight and noise.
    pub fn covers(&self, parameters: &crate::params::Amortized) -> bool {
        parameters.slots == self.slots
            && parameters.weight == self.used_weight()
            && parameters.gap_bits == self.gap_bits
            && parameters.sparse_noise_bound == self.noise_bound()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sparse_set_has_132_bits() {
        for set in SPARSE_SETS {
            assert!(set.decibits - set.lost_decibits >= 1320, "{set:?}");
            let deviation = f64::from(set.noise_bound()).exp2() / 3_f64.sqrt();
            let estimated = f64::from(LWE_MODULUS_LOG as i32 + set.deviation_log2).exp2();
            assert!(deviation >= estimated, "{set:?}");
        }
    }

    /// Chance that the gaps of a uniform key are below `2^bits`, by inclusion and exclusion, as log2.
    fn log2_chance(slots: u32, weight: u32, bits: u32) -> f64 {
        // Non-negative last gap and positive others that sum up to the slots: `h + 1` gaps, of which one may be 0.
        let ways = |n: f64, k: u32| {
            (0..k).fold(0.0, |sum, i| {
                sum + (n - f64::from(i)).log2() - f64::from(i + 1).log2()
            })
        };
        let all = ways(f64::from(slots), weight);
        let limit = f64::from(1_u32 << bits) - 1.0;
        let mut sum = 0.0;
        for over in 0..=weight {
            let rest = f64::from(slots) - limit * f64::from(over);
            if rest < f64::from(weight) {
                break;
            }
            let term = (ways(f64::from(weight + 1), over) + ways(rest, weight) - all).exp2();
            sum += if over % 2 == 0 { term } else { -term };
        }
        sum.log2()
    }

    #[test]
    fn gaps_cost_no_more_than_is_counted() {
        for set in SPARSE_SETS {
            let lost = -log2_chance(set.slots, set.used_weight(), set.gap_bits);
            assert!(
                lost <= f64::from(set.lost_decibits) / 10.0 + 0.1,
                "{set:?}: {lost}"
            );
            assert!(lost > 0.0, "{set:?}: {lost}");
        }
    }
}
