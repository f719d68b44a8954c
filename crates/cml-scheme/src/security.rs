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
/// Two estimates stand behind each row.
///
/// - **LWE.** What the lattice estimator (Albrecht, Player, Scott, "On the concrete hardness of learning with errors", J.
///   Math. Cryptology 2015; commit 27a581bb) gives for a uniform binary secret of the weight [`SparseSet::estimated`], Gaussian
///   noise of that deviation and the modulus 2^32, in the MATZOV cost model: the least of the primal attacks, their
///   hybrids with guessing and meet-in-the-middle, and dual attacks as far as they come near.
/// - **The ring.** The estimator does not know that `Y^i` times a sample is a sample of the same lattice with a turned secret. So one
///   reduced basis serves as many targets as there are slots, and so may one list of guesses, if memory costs nothing. The
///   same hybrid attack with both (a computation of our own that agrees with the estimator to 0.1 bit without them) is
///   what the keys that are drawn are held against: they have the larger weight [`SparseSet::weight`].
///
/// From both the bits are taken that a key loses because its gaps are below `2^gap_bits`, as if all of that helped an
/// attacker.
pub const SPARSE_SETS: &[SparseSet] = &[
    SparseSet::new(2048, 44, (8, -13), (40, 1332, 3), 1345),
    SparseSet::new(2048, 47, (8, -15), (43, 1337, 2), 1341),
    SparseSet::new(2048, 53, (8, -19), (48, 1322, 1), 1325),
    SparseSet::new(2048, 57, (8, -21), (52, 1332, 1), 1327),
    SparseSet::new(2048, 61, (8, -23), (55, 1326, 1), 1325),
    SparseSet::new(4096, 34, (9, -13), (31, 1336, 9), 1347),
    SparseSet::new(4096, 35, (9, -15), (32, 1328, 8), 1333),
    SparseSet::new(4096, 38, (9, -19), (35, 1338, 6), 1334),
    SparseSet::new(4096, 39, (9, -21), (36, 1331, 5), 1322),
    SparseSet::new(8192, 28, (10, -13), (26, 1351, 16), 1346),
    SparseSet::new(8192, 29, (10, -17), (27, 1337, 14), 1320),
    SparseSet::new(8192, 30, (10, -19), (28, 1348, 13), 1329),
    SparseSet::new(8192, 32, (10, -23), (29, 1337, 11), 1342),
];

/// A sparse key whose security was estimated.
#[derive(Clone, Copy, Debug)]
pub struct SparseSet {
    /// Coefficients of the ring.
    pub slots: u32,
    /// Weight of the keys that are drawn.
    pub weight: u32,
    /// Gaps are below two to this.
    pub gap_bits: u32,
    /// log2 of the deviation of the noise, relative to the modulus.
    pub deviation_log2: i32,
    /// Weight for which the estimate of LWE is.
    pub estimated: u32,
    /// Ten times the bits that the estimator gives a uniform key.
    pub decibits: u32,
    /// Ten times the bits that its gaps cost, rounded up.
    pub lost_decibits: u32,
    /// Ten times the bits of the keys that are drawn against an attacker who uses the ring, less what gaps cost.
    pub ring_decibits: u32,
}

impl SparseSet {
    const fn new(
        slots: u32,
        weight: u32,
        (gap_bits, deviation_log2): (u32, i32),
        (estimated, decibits, lost_decibits): (u32, u32, u32),
        ring_decibits: u32,
    ) -> Self {
        Self {
            slots,
            weight,
            gap_bits,
            deviation_log2,
            estimated,
            decibits,
            lost_decibits,
            ring_decibits,
        }
    }

    /// log2 of the TUniform bound whose deviation, `2^bound / sqrt(3)`, is no smaller than the estimated one.
    pub const fn noise_bound(&self) -> u32 {
        (LWE_MODULUS_LOG as i32 + self.deviation_log2 + 1) as u32
    }

    /// Whether these parameters are of this set: its ring, weight and noise.
    pub fn covers(&self, parameters: &crate::params::Amortized) -> bool {
        parameters.slots == self.slots
            && parameters.weight == self.weight
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
            assert!(set.ring_decibits >= 1320 && set.weight > set.estimated, "{set:?}");
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
            let lost = -log2_chance(set.slots, set.weight, set.gap_bits);
            assert!(
                lost <= f64::from(set.lost_decibits) / 10.0 + 0.1,
                "{set:?}: {lost}"
            );
            assert!(lost > 0.0, "{set:?}: {lost}");
        }
    }
}
