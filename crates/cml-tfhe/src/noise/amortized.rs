//! What each step of an amortized lookup adds to the noise.
//!
//! The order is linear, packing, keyswitch to the sparse key, modulus switch, steps. With `M` slots, `h` exponents and a
//! big key of `N` bits:
//!
//! - **Packing** merges `N` ciphertexts in `log2 N` levels (Chen, Dai, Kim, Song, "Efficient homomorphic conversion
//!   between (ring) LWE ciphertexts", ACNS 2021, algorithm 2). A merge doubles what is in a slot and adds the noise of one
//!   automorphism, of variance `V`. Slots of the second half cancel in those of the first. So a slot ends with
//!   `V (1 + 4 + .. + N^2 / 4) = V (N^2 - 1) / 3`. What goes in is divided by `N` first, by leaving out
//!   bits, so that the sum is what was packed.
//! - **The keyswitch to the sparse key** takes `l` digits of `M` coefficients, which meet its noise. Its roundings meet the `N`
//!   bits of the big key.
//! - **The modulus switch** to `2L` rounds the mask: `h` roundings of variance `1/12` meet an exponent each. The body is
//!   rounded down, which is how tables are read.
//! - **Steps**: there are `(h + 1)` for each digit. A step is a sum of as many products as the digit has values. All of
//!   them bring the noise of their selector, but only the one that is selected brings its roundings. Those of masks are
//!   not centred, so half of them are alike, as half of the errors of the transforms are. Every accumulator goes round exactly once: one automorphism.
//! - Accumulators have words of 32 bits. Each step rounds its sum to them. Words that lie between two digits go to the even
//!   one: of words with `g` values for each digit the roundings have `1 + 2 / g^2` times the variance of a uniform error.
//!
//! All slots have the same noise. Turning `X` to `X^-1` keeps the correlation of two coefficients at a distance.

use super::modulus;
use super::transforms::transform_errors;
use super::variances::{BlindRotation, Spread, Variances, digits_variance, fresh_of_ring};
use cml_scheme::security::{GLWE_MODULUS_LOG, LWE_MODULUS_LOG};
use cml_scheme::{ACCUMULATOR_BITS, Amortized, Parameters};

/// Parts of the variance of an amortized lookup.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AmortizedParts {
    /// Packing: noise of the keys of automorphisms, with what is dropped of it and errors of the transforms.
    pub packing_noise: f64,
    /// Packing: what its decompositions round off.
    pub packing_rounding: f64,
    /// Keyswitch to the sparse key: its noise.
    pub sparse_noise: f64,
    /// Keyswitch to the sparse key: what its decomposition rounds off.
    pub sparse_rounding: f64,
    /// Modulus switch to a table of one polynomial.
    pub switch: f64,
    /// Steps: noise of selectors.
    pub selector_noise: f64,
    /// Steps: what decompositions of masks, and their words of 32 bits, round off.
    pub mask_rounding: f64,
    /// Steps: what decompositions of bodies, and their words of 32 bits, round off.
    pub body_rounding: f64,
    /// Steps: errors of the transforms.
    pub transforms: f64,
    /// The automorphism of what goes round.
    pub turn: f64,
}

impl AmortizedParts {
    /// Of valid parameters, on average over keys.
    pub fn of(parameters: &Amortized) -> Self {
        let size = parameters.ring.polynomial_size;
        let n = f64::from(size);
        let slots = f64::from(parameters.slots);
        let levels = |base_log: u32, level: u32| modulus(2 * base_log * level).recip() / 12.0;

        let (base_log, level) = (parameters.automorphism_base_log, parameters.automorphism_level);
        let noise = fresh_of_ring(parameters.ring) + dropped_variance(parameters);
        // For a mask of any words. Masks that are packed are small until the last merges, and so are their highest digits.
        let digits = digits_variance(base_log, level);
        let errors = transform_errors(size, digits, f64::from(level)) * (1.0 + n / 2.0);
        let automorphism = n * digits * noise + errors;
        let rounded = n / 2.0 * levels(base_log, level);
        let merges = (n * n - 1.0) / 3.0;

        let sparse = modulus(2 * parameters.sparse_noise_bound + 1) + 1.0;
        let sparse = sparse / 6.0 / modulus(2 * LWE_MODULUS_LOG);
        let (base_log, level) = (parameters.sparse_base_log, parameters.sparse_level);
        let sparse_noise = slots * digits_variance(base_log, level) * sparse;
        let sparse_rounding = n / 2.0 * levels(base_log, level);

        let one = BlindRotation::of(&one_product(parameters));
        let (products, steps) = (f64::from(parameters.selectors()), f64::from(parameters.steps()));
        // A single rotation has the roundings of half of its steps, and those of masks centred: half of them.
        let words = modulus(2 * ACCUMULATOR_BITS).recip() / 12.0;
        let ties = |base_log: u32, level: u32| 1.0 + 2.0 / modulus(2 * (ACCUMULATOR_BITS - base_log * level));
        let mask_ties = ties(parameters.pbs_base_log, parameters.pbs_level);
        let body_ties = ties(parameters.pbs_body_base_log, parameters.pbs_body_level);
        let digits = digits_variance(parameters.pbs_base_log, parameters.pbs_level)
            + digits_variance(parameters.pbs_body_base_log, parameters.pbs_body_level);
        let rows = f64::from(parameters.selector_rows());
        // All products of a step are one sum.
        let errors = parameters.digits().map(|digit| {
            let values = f64::from(1_u32 << digit.bits);
            transform_errors(size, values * digits, values * rows)
        });
        let errors: f64 = errors.sum();
        let gaps = f64::from(parameters.weight + 1);
        Self {
            packing_noise: merges * automorphism,
            packing_rounding: merges * rounded + n * n * n / 24.0 * modulus(2 * GLWE_MODULUS_LOG).recip(),
            sparse_noise,
            sparse_rounding,
            switch: f64::from(parameters.weight) / 12.0 / (4.0 * n * n),
            selector_noise: products * one.key_noise,
            mask_rounding: steps * (4.0 * mask_ties * one.mask_rounding + n / 2.0 * words),
            body_rounding: steps * (2.0 * body_ties * one.body_rounding + words),
            transforms: gaps * errors * (1.0 + n / 2.0),
            turn: automorphism + rounded,
        }
    }

    /// Of a coefficient of an accumulator at the end.
    pub fn lookup(&self) -> f64 {
        self.selector_noise + self.mask_rounding + self.body_rounding + self.transforms + self.turn
    }

    /// Of packing and the keyswitch to the sparse key.
    pub fn packed(&self) -> f64 {
        self.packing_noise + self.packing_rounding + self.sparse_noise + self.sparse_rounding
    }
}

impl Variances {
    /// So many deviations above the mean over keys; the second number is for what is quadratic in the big key.
    pub(super) fn of_amortized(
        parameters: &Amortized,
        allowance: f64,
        (deviations, quadratic): (f64, f64),
    ) -> Self {
        let parts = AmortizedParts::of(parameters);
        let big = f64::from(parameters.ring.polynomial_size);
        // Of what is rounded off masks, half meets the mean of the key.
        let alike = 0.5 * (allowance * parts.transforms + parts.mask_rounding);
        let drawn_once = |variance: f64, errors: f64| variance * (0.8 / errors).sqrt();
        let levels = f64::from(parameters.automorphism_level);
        let sparse_levels = f64::from(parameters.sparse_level);
        Self {
            polynomial_size: parameters.ring.polynomial_size,
            fresh: fresh_of_ring(parameters.ring),
            // Nothing is encrypted under a small key.
            fresh_small: f64::INFINITY,
            independent: parts.lookup() - parts.transforms - parts.mask_rounding + alike,
            alike,
            keyswitch: parts.packed(),
            switch_words: 0.0,
            switch_table: parts.switch,
            result: (big / 4.0 + 1.0) / 12.0,
            spread: Spread {
                // The weight of the sparse key is always the same.
                small_key: 0.0,
                linear: deviations * 2.0 * alike / big.sqrt(),
                quadratic: quadratic * alike * (2.0 / big).sqrt(),
                keyswitch: deviations * (parts.packing_rounding + parts.sparse_rounding) / big.sqrt(),
                keyswitch_noise: deviations
                    * (drawn_once(parts.packing_noise, levels * big)
                        + drawn_once(parts.sparse_noise, sparse_levels * f64::from(parameters.slots))),
            },
        }
    }
}

/// A single rotation of one product, with the same ring and decompositions.
fn one_product(parameters: &Amortized) -> Parameters {
    Parameters {
        lwe_dimension: 1,
        glwe_dimension: 1,
        polynomial_size: parameters.ring.polynomial_size,
        pbs_base_log: parameters.pbs_base_log,
        pbs_level: parameters.pbs_level,
        pbs_body_base_log: parameters.pbs_body_base_log,
        pbs_body_level: parameters.pbs_body_level,
        ks_base_log: 1,
        ks_level: 1,
        lwe_noise_bound: 0,
        glwe_noise_bound: parameters.ring.noise_bound,
    }
}

/// Of what is rounded off a body of a key.
fn dropped_variance(parameters: &Amortized) -> f64 {
    match parameters.ring.dropped_bits() {
        0 => 0.0,
        dropped => modulus(2 * dropped) / 12.0 / modulus(2 * GLWE_MODULUS_LOG),
    }
}
