//! Cost model: nanoseconds of one thread for one lookup.
//!
//! The reference executor takes one ciphertext at a time, so every lookup
//! streams both keys from memory; the constants include that.

use serde::{Deserialize, Serialize};

use crate::params::Parameters;

/// Constants of the cost model, in nanoseconds on one thread.
///
/// For each of the `n` steps, a blind rotation takes `(k + 1) * level` forward
/// and `k + 1` backward transforms of size `N` (with the decomposition and the
/// rotation around them) and multiplies by `level * (k + 1)^2` polynomials of
/// the key. A keyswitch multiplies `k * N * level` rows of `n + 1` words by a
/// digit each. What is linear in the ciphertext size alone is left out: under 1%.
///
/// [`CostModel::default`] was fitted on one core of an AMD EPYC (Zen 4, AVX-512)
/// shared with other work; [`CostModel::scaled`] adapts it to a host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CostModel {
    /// One transform of a polynomial, for each coefficient; entry `i` for `N = 2^(8 + i)`.
    pub transform_ns: [f64; 10],
    /// One multiplication by a key polynomial, for each coefficient, with reading the key.
    pub multiply_ns: f64,
    /// One word of a keyswitch: multiply, subtract, read the key.
    pub keyswitch_ns: f64,
}

/// Predicted time of the parts of one lookup, in nanoseconds of one thread.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LookupCost {
    /// Keyswitch from the big to the small key.
    pub keyswitch_ns: f64,
    /// Blind rotation, modulus switch and sample extraction.
    pub blind_rotation_ns: f64,
}

impl LookupCost {
    /// Both parts together.
    pub fn total_ns(&self) -> f64 {
        self.keyswitch_ns + self.blind_rotation_ns
    }
}

impl Default for CostModel {
    fn default() -> Self {
        Self {
            transform_ns: [1.10, 1.20, 1.50, 1.55, 1.55, 1.60, 1.65, 1.70, 1.80, 1.90],
            multiply_ns: 0.78,
            keyswitch_ns: 0.24,
        }
    }
}

impl CostModel {
    /// Predicted time of one lookup with a table of `extension` polynomials.
    pub fn lookup(&self, parameters: &Parameters, extension: u32) -> LookupCost {
        let n = f64::from(parameters.lwe_dimension);
        let coefficients = f64::from(parameters.polynomial_size);
        let polynomials = f64::from(parameters.glwe_dimension + 1);
        let level = f64::from(parameters.pbs_level);
        let size = parameters.polynomial_size.max(1).ilog2() as usize;
        let transform = self.transform_ns[size.saturating_sub(8).min(self.transform_ns.len() - 1)];
        let step =
            polynomials * (level + 1.0) * transform + level * polynomials * polynomials * self.multiply_ns;
        LookupCost {
            keyswitch_ns: parameters.keyswitch_key_bodies() as f64 * (n + 1.0) * self.keyswitch_ns,
            blind_rotation_ns: n * f64::from(extension) * coefficients * step,
        }
    }

    /// The model of a host that takes `keyswitch` and `blind_rotation` times as long for the two parts.
    ///
    /// Both ratios are measured over predicted time for one parameter set.
    #[must_use]
    pub fn scaled(&self, keyswitch: f64, blind_rotation: f64) -> Self {
        Self {
            transform_ns: self.transform_ns.map(|ns| ns * blind_rotation),
            multiply_ns: self.multiply_ns * blind_rotation,
            keyswitch_ns: self.keyswitch_ns * keyswitch,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cost_grows_with_every_dimension() {
        let model = CostModel::default();
        let set = |n, ring, pbs, ks| {
            model
                .lookup(&Parameters::new(n, ring, pbs, ks).expect("valid set"), 1)
                .total_ns()
        };
        let base = set(800, (1, 2048), (22, 1), (4, 4));
        assert!(set(840, (1, 2048), (22, 1), (4, 4)) > base);
        assert!(set(800, (2, 2048), (22, 1), (4, 4)) > base);
        assert!(set(800, (1, 4096), (22, 1), (4, 4)) > base);
        assert!(set(800, (1, 2048), (15, 2), (4, 4)) > base);
        assert!(set(800, (1, 2048), (22, 1), (3, 5)) > base);
    }

    #[test]
    fn scaling_scales_the_parts() {
        let parameters = Parameters::new(800, (1, 2048), (22, 1), (4, 4)).expect("valid set");
        let model = CostModel::default();
        let (before, after) = (
            model.lookup(&parameters, 1),
            model.scaled(2.0, 3.0).lookup(&parameters, 1),
        );
        assert!((after.keyswitch_ns / before.keyswitch_ns - 2.0).abs() < 1e-9);
        assert!((after.blind_rotation_ns / before.blind_rotation_ns - 3.0).abs() < 1e-9);
    }
}
