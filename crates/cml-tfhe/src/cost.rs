//! Cost model: nanoseconds of one thread for one lookup, with all threads at work.
//!
//! Built-in constants make circuits that do not depend on the machine that compiles
//! them; an executor can take those of a host.

use serde::{Deserialize, Serialize};

use crate::circuit::{Circuit, Demand, Level};
use crate::noise::{Requirement, Source};
use crate::optimizer::packed_ns;
use cml_scheme::{Amortized, Parameters, Set};

/// log2 of the polynomial sizes of the model: `2^8` to `2^17`.
pub const SIZES: std::ops::RangeInclusive<u32> = 8..=17;

/// Constants of the cost model, in nanoseconds of one thread.
///
/// For each of the `n` steps and each polynomial of its table, a blind rotation takes
/// a forward transform for each row of the key ([`Parameters::bootstrap_key_rows`]) and `k + 1` backward ones, of size
/// `N` (with the decomposition and the rotation around them), and multiplies each of the former by `k + 1`
/// polynomials of the key. A keyswitch multiplies `k * N * level` rows of `n + 1`
/// words by a digit each. What is linear in the ciphertext size alone is left out:
/// under 1%.
///
/// An amortized rotation takes so many steps of the same kind, each with transforms of its digits and of two sums, and a product with
/// each value of the gap's digit.
///
/// [`CostModel::default`] was measured on one core of an AMD EPYC (Zen 4, AVX-512); amortized rotations on one of an Intel
/// Xeon (AVX-512), where the others take about the same.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CostModel {
    /// One transform of a polynomial, for each coefficient; entry `i` for `N = 2^(8 + i)`.
    pub transform_ns: [f64; 10],
    /// One multiplication by a key polynomial, for each coefficient; entry `i` for `N = 2^(8 + i)`.
    pub multiply_ns: [f64; 10],
    /// One word of a keyswitch: multiply, subtract, read the key.
    pub keyswitch_ns: f64,
    /// One transform of a polynomial of an amortized rotation, for each coefficient; entry `i` for `N = 2^(8 + i)`.
    pub amortized_transform_ns: [f64; 10],
    /// One multiplication by a polynomial of a selector, for each coefficient; entry `i` for `N = 2^(8 + i)`.
    pub amortized_multiply_ns: [f64; 10],
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
            transform_ns: [1.25, 1.25, 1.25, 1.25, 1.30, 1.35, 1.60, 1.75, 1.85, 1.95],
            multiply_ns: [0.16, 0.17, 0.20, 0.28, 0.35, 0.42, 0.52, 0.55, 0.60, 0.60],
            keyswitch_ns: 0.065,
            amortized_transform_ns: [1.0, 1.0, 1.0, 1.0, 1.15, 1.4, 1.7, 1.9, 2.1, 2.3],
            amortized_multiply_ns: [0.14, 0.14, 0.14, 0.14, 0.15, 0.16, 0.18, 0.2, 0.2, 0.2],
        }
    }
}

impl CostModel {
    /// Predicted time of one lookup with a table of `extension` polynomials.
    pub fn lookup(&self, parameters: &Parameters, extension: u32) -> LookupCost {
        let n = f64::from(parameters.lwe_dimension);
        let coefficients = parameters.table_size(extension) as f64;
        let polynomials = f64::from(parameters.glwe_dimension + 1);
        let rows = parameters.bootstrap_key_rows() as f64;
        let log = parameters.polynomial_size.max(1).ilog2();
        let size = (log.clamp(*SIZES.start(), *SIZES.end()) - SIZES.start()) as usize;
        let step =
            (rows + polynomials) * self.transform_ns[size] + rows * polynomials * self.multiply_ns[size];
        LookupCost {
            keyswitch_ns: parameters.keyswitch_key_bodies() as f64 * (n + 1.0) * self.keyswitch_ns,
            blind_rotation_ns: n * coefficients * step,
        }
    }

    /// Predicted time of one amortized lookup, of as many as there are slots: packing, and its steps.
    pub fn amortized(&self, parameters: &Amortized, extension: u32) -> LookupCost {
        let size = f64::from(parameters.ring.polynomial_size);
        let log = parameters.ring.polynomial_size.max(1).ilog2();
        let at = (log.clamp(*SIZES.start(), *SIZES.end()) - SIZES.start()) as usize;
        let (transform, multiply) = (self.amortized_transform_ns[at], self.amortized_multiply_ns[at]);
        let rows = f64::from(parameters.selector_rows());
        let gaps = f64::from(parameters.weight + 1);
        let steps = f64::from(parameters.steps()) * (rows + 2.0) * transform;
        let products = gaps * f64::from(parameters.selectors_of_gap()) * rows * 2.0 * multiply;
        let levels = f64::from(parameters.automorphism_level);
        LookupCost {
            keyswitch_ns: size * ((levels + 2.0) * transform + 2.0 * levels * multiply),
            blind_rotation_ns: f64::from(extension) * size * (steps + products),
        }
    }

    /// Predicted time of one rotation that is asked for: of inputs under the small key without a keyswitch.
    pub fn rotation<'a>(
        &self,
        set: impl Into<Set<'a>>,
        extension: u32,
        requirement: &Requirement,
    ) -> LookupCost {
        let mut cost = match set.into() {
            Set::Single(parameters) => self.lookup(parameters, extension),
            Set::Amortized(parameters) => self.amortized(parameters, extension),
        };
        if requirement.source == Source::FreshSmall {
            cost.keyswitch_ns = 0.0;
        }
        cost
    }
}

impl Circuit {
    /// Predicted work of one inference, in nanoseconds of one thread.
    pub fn predicted_ns(&self, cost: &CostModel) -> f64 {
        let demands = self.demands();
        // In order of execution: those of each level are together.
        let mut rest = demands.as_slice();
        let level = |(number, level): (usize, &Level)| {
            let other = |d: &Demand| d.rotations.first().is_none_or(|place| place.0 != number);
            let (own, after) = rest.split_at(rest.iter().position(other).unwrap_or(rest.len()));
            rest = after;
            let own = own.iter();
            match self.set(level.set) {
                None => 0.0,
                Some(Set::Amortized(set)) => {
                    let extension = own.map(|d| d.extension).max().unwrap_or(1);
                    let samples = f64::from(self.samples_at_once());
                    let lookups = level.rotations.len() as f64 * samples;
                    packed_ns(cost, set, extension, lookups) / samples
                }
                Some(set) => own
                    .map(|d| {
                        d.rotations.len() as f64 * cost.rotation(set, d.extension, &d.requirement).total_ns()
                    })
                    .sum(),
            }
        };
        // A sum of nothing is -0.0.
        self.levels().iter().enumerate().map(level).sum::<f64>() + 0.0
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
    fn tables_of_several_polynomials_cost_in_proportion() {
        let parameters = Parameters::new(800, (1, 2048), (22, 1), (4, 4)).expect("valid set");
        let model = CostModel::default();
        let (one, five) = (model.lookup(&parameters, 1), model.lookup(&parameters, 5));
        assert!((five.blind_rotation_ns / one.blind_rotation_ns - 5.0).abs() < 1e-9);
        assert_eq!(five.keyswitch_ns, one.keyswitch_ns);
    }
}
