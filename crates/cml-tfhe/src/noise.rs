//! Noise model: how often a lookup goes wrong.
//!
//! [`Variances`] holds what each step of a lookup adds to the noise with one parameter set, for the
//! execution order linear, keyswitch, centred modulus switch, blind rotation. A [`Requirement`] holds what the rows of a
//! circuit make of it. [`Variances::variance`] is the one function of the two on which the search, the tuning, the
//! validation of files and every report rest; this page adds margins and tails.
//!
//! All variances are relative to the torus of length 1.
//!
//! # What is read off one blind rotation
//!
//! A reading is a polynomial `W` of integer weights: one at each coefficient at which one of its tables changes. Its error is
//! `W` times the noise polynomial of the rotation, and that has two parts.
//!
//! - **Independent.** Noise of the key, times digits; what decompositions round off (centred, see `product.rs` of `cml-exec`);
//!   half of the errors of the Fourier transforms. A coefficient is as good as independent of the next one, so a reading has
//!   the sum of squared weights of it: [`Requirement::nu2`].
//! - **Alike.** Errors of the transforms on the mask, `e`, meet the binary key `S = (J + Z) / 2`, where `J` is the polynomial of
//!   ones and `Z` has coefficients of 1 and -1. `e Z / 2` is the half above; `e J / 2` is half of the sum of all of `e` with
//!   the signs of a negacyclic product, so two of its coefficients at a distance `d` have `N - 2d` terms of `N` in common: their
//!   correlation is `1 - 2d / N`, negative beyond `N / 2`. Each is half of all that the transforms add, since the
//!   mean square of a bit is 1/2 and the square of its mean 1/4.
//!
//! For a row that reads the changes `v` at `t` of one rotation, with values `c / 2P` of the torus apart, the alike part grows by
//! the sum over all pairs of changes, in both orders and each with itself, of `v w (1 - 2c |t - u| / P)`. With
//! `F` the table of the row (all that it reads off the rotation, with its weights), `F(0)` and `F(R)` its ends, that sum is
//! the mean over the half period of `(2F - F(0) - F(R))^2`: `W J` is just `2F - F(0) - F(R)`, shifted.
//!
//! A table of several interleaved polynomials (Lee and Yoon, "Discretization error reduction for high precision torus FHE",
//! PKC 2023) is rotated as so many ciphertexts under one key, whose transforms err independently. A rotation moves whole
//! polynomials, so coefficients of two of them are independent in the alike part too, and those of one
//! have the correlation above. Hence changes are grouped by the polynomial that they fall into.
//!
//! # Which keys a promise holds for
//!
//! Keys are drawn once, and what a key has of its own is in every lookup. So variances are taken for an unlucky key: their
//! mean over keys and [`KEY_DEVIATIONS`] standard deviations, which all but [`KEY_SHARE_LOG2`] of keys stay below, for each
//! row. With `h` the weight of the small key of `n` bits and `S` the big one of `kN` bits, both uniform:
//!
//! - What blind rotations round off is on the `h` steps whose bit is set: relative deviation `1 / sqrt(n)`.
//! - The centred switches and roundings meet `Z`, whose squares are 1: nothing depends on the key.
//! - The keyswitch rounds each element of the mask, and meets the bits of the big key: `1 / sqrt(kN)`. Its noise
//!   is drawn once, `kN l` errors of which the sum of squares counts: `sqrt(0.8 / (kN l))`, since the square of a
//!   uniform error has the variance 4/5 of its squared mean.
//! - The noise of the bootstrapping key is drawn once too, but all `n (k + 1) l N` errors are in each coefficient: below 0.1%.
//! - A reading has `||W S||^2 = (||W J||^2 + 2 <W J, W Z> + ||W Z||^2) / 4` of the errors on a mask. The first term is the
//!   alike part; the second is linear in `Z` and has the deviation `||W* W J||`, at most `sqrt(m a kN)` for `||W J||^2 = a kN`,
//!   where `m`, the square of the sum of all `|w|`, bounds the spectrum `|W|^2`: relative to the first `2 sqrt(m / (a kN))`.
//!   For a single coefficient that is the deviation of the key's weight.
//! - The third has the mean `nu2 kN`; off the diagonal it is the sum over `0 < d < N / 2` of twice the product of the
//!   autocorrelations of `W` and `Z` at `d`, those of `W` at most `nu2` and together at most half of the sum over pairs of `|v w|`.
//!   So its deviation is at most `sqrt(2 nu2 (m - nu2) / kN) kN`. What decompositions round off a mask meets `Z` in the same way.
//!
//! [`Requirement::pairs`] is `m - nu2`, summed over rotations: the key is the same for all, so bounds add up.
//!
//! Errors of the transforms vary a little with the instructions of the machine; [`FOURIER_ALLOWANCE`] covers it.
//!
//! # Sources
//!
//! Chillotti, Gama, Georgieva, Izabachène, "TFHE: fast fully homomorphic encryption over the torus", J. Cryptology 2020,
//! sections 3.3 and 4 (external products, blind rotation, keyswitch); Bergerat et al., "Parameter optimization and larger precision
//! for (T)FHE", J. Cryptology 2023, section 2 (the same for binary keys, modulus switch, Fourier transforms); Carpov, Izabachène,
//! Mollimard, CT-RSA 2019, section 4 (several tables of one rotation).

mod amortized;
mod transforms;
mod variances;

use serde::{Deserialize, Serialize};

pub use amortized::AmortizedParts;
use cml_scheme::Parameters;
pub use variances::{
    FOURIER_ALLOWANCE, KEY_DEVIATIONS, KEY_SHARE_LOG2, Variances, alike_share, fresh_small_variance,
    fresh_variance, keyswitch_variance, lookup_variance, modulus_switch_variance, rounding_variance,
    transforms_variance,
};

/// Where the values of a linear combination come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Source {
    /// Encrypted by the client under the big key.
    Fresh,
    /// Encrypted by the client under the small key: a lookup needs no keyswitch.
    FreshSmall,
    /// Put out by a lookup.
    Lookup,
    /// Put out by lookups, and encrypted by the client under the big key with weights of their own.
    Both {
        /// Sum of the squared weights of what the client encrypted.
        fresh: u64,
    },
}

/// What reads a linear combination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Reader {
    /// A lookup: keyswitch, modulus switch and the boxes of the table add to the error.
    Lookup,
    /// The client, who decrypts it rounded to so many bytes a word, 1 to 8.
    Client {
        /// Bytes a word.
        word_bytes: u32,
    },
}

/// What some linear combinations ask of the parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Requirement {
    /// `P`: steps are `1 / (2P)` of the torus. At least 1.
    pub half_period: u64,
    /// Steps from one value to the next: what the combination is multiplied by. At least 1.
    pub scale: u64,
    /// Largest sum of squared weights among the combinations.
    ///
    /// Weights of one wire, or of one coefficient of one blind rotation, are to be merged first.
    pub nu2: u64,
    /// What coefficients of one blind rotation add to it as far as their noises are alike: over pairs of
    /// changes at `t` and `u` that are read with weights `v` and `w`, the sum of `2 v w (1 - 2c |t - u| / P)`, from the
    /// definition of this module. At least `-nu2`; `nu2 + alike` is the largest among the combinations.
    pub alike: i64,
    /// The sum of `2 |v w|` over the same pairs, on which depends how far keys differ. Largest among the combinations.
    pub pairs: u64,
    /// Where the combined values come from. If from both, `nu2` is that of lookups alone.
    pub source: Source,
    /// What reads the combination.
    pub reader: Reader,
    /// Values by which a change of a table may move: 0 for exact results.
    ///
    /// With a slack of no more than the narrowest plateau, a result is off by one
    /// plateau at most.
    pub slack: u64,
}

/// Smallest distance, on the torus, from the exact point of a value to an error of the reader.
///
/// With scale `c` it is half of that many steps, `c / 4P`; with slack `W` it is `(2W + 1) c / 4P`. In a table of `L`
/// coefficients the change at the value `t` lies at the integer nearest to `(2t - 1) c L / 2P`, so it may come
/// nearer by up to half a coefficient: with `a / q` the reduced `c L / 2P`, these
/// fractions run through all multiples of `1/q` if `q` is odd, and through the odd
/// ones if it is even. The largest distance to an integer is `(q - 1) / 2q`, 1/2, or
/// `(q - 2) / 2q`, for `q` odd, even but no multiple of 4, or a multiple of 4.
/// Zero when the boxes are too narrow: `2P > (2W + 1) c L`. With slack several values may share a coefficient.
///
/// The centred modulus switch takes half a coefficient off the body, so that
/// coefficient `j` serves the phases in `[j, j + 1)`: changes at integers are exact,
/// and no other margin is lost.
pub fn margin(table_size: u64, requirement: &Requirement) -> f64 {
    let (period, scale) = (requirement.half_period, requirement.scale);
    let half_step = 0.25 * scale as f64 / period as f64;
    let scaled_size = u128::from(table_size) * u128::from(scale);
    let boxes = scaled_size * (2 * u128::from(requirement.slack) + 1);
    match requirement.reader {
        Reader::Client { .. } => (2 * requirement.slack + 1) as f64 * half_step,
        Reader::Lookup if period == 0 || 2 * u128::from(period) > boxes => 0.0,
        Reader::Lookup => {
            let period = 2 * u128::from(period);
            let q = period / gcd(scaled_size, period);
            let lost = match q % 4 {
                0 => (q - 2) as f64 / (2 * q) as f64,
                2 => 0.5,
                _ => (q - 1) as f64 / (2 * q) as f64,
            };
            (2 * requirement.slack + 1) as f64 * half_step - lost / (2.0 * table_size as f64)
        }
    }
}

/// Greatest common divisor.
fn gcd(mut a: u128, mut b: u128) -> u128 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// log2 of the probability that one reading of a combination gives a wrong value, as it may be promised: see
/// [`Variances::log2_p_fail`].
pub fn log2_p_fail(parameters: &Parameters, extension: u32, requirement: &Requirement) -> f64 {
    let promised = Variances::promised(parameters);
    promised.log2_p_fail(&promised, extension, requirement)
}

/// [`log2_p_fail`] on average over keys, without allowance: what is expected of measured failures.
pub fn expected_log2_p_fail(parameters: &Parameters, extension: u32, requirement: &Requirement) -> f64 {
    let expected = Variances::expected(parameters);
    expected.log2_p_fail(&expected, extension, requirement)
}

/// log2 of the probability that a centred Gaussian leaves `[-margin, margin]`.
fn log2_tails(margin: f64, variance: f64) -> f64 {
    if margin > 0.0 {
        log2_erfc(margin / (2.0 * variance).sqrt())
    } else {
        0.0
    }
}

/// Standard deviations that must fit in a margin for a failure probability of `2^budget_log2`.
///
/// The inverse of the Gaussian tails, rounded up: `budget_log2` below 0.
pub(crate) fn deviations(budget_log2: f64) -> f64 {
    let (mut low, mut high) = (0.0_f64, 1.0_f64);
    while log2_erfc(high) > budget_log2 && high < 1e6 {
        high *= 2.0;
    }
    for _ in 0..100 {
        let middle = 0.5 * (low + high);
        if log2_erfc(middle) > budget_log2 {
            low = middle;
        } else {
            high = middle;
        }
    }
    high * std::f64::consts::SQRT_2
}

/// log2 of the complementary error function, for any `x >= 0`.
///
/// From `x = 6` on by the asymptotic series of `erfc(x) x sqrt(pi) exp(x^2)`
/// (Abramowitz and Stegun, 7.1.23), whose terms there shrink below one unit in
/// the last place before they grow; `erfc` itself underflows at 27.
fn log2_erfc(x: f64) -> f64 {
    if x < 6.0 {
        return libm::erfc(x).log2();
    }
    let step = -0.5 / (x * x);
    let (mut term, mut sum) = (1.0, 1.0);
    for m in 0..18 {
        term *= f64::from(2 * m + 1) * step;
        sum += term;
    }
    let log = -x * x - (x * std::f64::consts::PI.sqrt()).ln() + sum.ln();
    log * std::f64::consts::LOG2_E
}

/// `2^log` as the formulas take it.
fn modulus(log: u32) -> f64 {
    f64::from(log).exp2()
}

#[cfg(test)]
mod tests;
