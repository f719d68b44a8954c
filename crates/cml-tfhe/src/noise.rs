//! Noise model: how often a lookup goes wrong.
//!
//! Variances come from the formulas of the `tfhe` crate (132-bit security,
//! TUniform noise, binary keys); this module puts them together for the
//! execution order linear, keyswitch, centred modulus switch, blind rotation
//! (of `extension` interleaved polynomials, whose noise is that of one),
//! and adds what the crate lacks: the failure probability.
//!
//! All variances are relative to the torus of length 1.

use serde::{Deserialize, Serialize};
use tfhe::core_crypto::commons::noise_formulas::centered_mean_shifted_modulus_switch::centered_binary_shifted_modulus_switch_additive_variance;
use tfhe::core_crypto::commons::noise_formulas::lwe_keyswitch::keyswitch_additive_variance_132_bits_security_tuniform;
use tfhe::core_crypto::commons::noise_formulas::lwe_programmable_bootstrap::pbs_variance_132_bits_security_tuniform_fft_mul;
use tfhe::core_crypto::prelude::{
    DecompositionBaseLog, DecompositionLevelCount, GlweDimension, LweDimension, PolynomialSize, TUniform,
};

use cml_scheme::Parameters;
use cml_scheme::security::{GLWE_MODULUS_LOG, LWE_MODULUS_LOG};

/// Significant bits of the floating point numbers in the Fourier transform.
const FFT_MANTISSA_BITS: f64 = 53.0;
/// Where the values of a linear combination come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Source {
    /// Encrypted by the client under the big key.
    Fresh,
    /// Encrypted by the client under the small key: a lookup needs no keyswitch.
    FreshSmall,
    /// Put out by a lookup.
    Lookup,
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
    /// What coefficients of one blind rotation add to it as far as their noises are alike
    /// ([`alike_share`]): over pairs of changes at `t` and `u` that are read with weights `v` and `w`,
    /// the sum of `2 |v w| (1 - 2 |t - u| / P)`, where that is positive. Largest among the combinations.
    pub alike: u64,
    /// Where the combined values come from; `Lookup` if from both, since its noise is the larger.
    pub source: Source,
    /// What reads the combination.
    pub reader: Reader,
    /// Values by which a change of a table may move: 0 for exact results.
    ///
    /// With a slack of no more than the narrowest plateau, a result is off by one
    /// plateau at most.
    pub slack: u64,
}

/// Variance of a fresh encryption under the big key.
pub fn fresh_variance(parameters: &Parameters) -> f64 {
    TUniform::<u64>::new(parameters.glwe_noise_bound)
        .variance(modulus(GLWE_MODULUS_LOG))
        .0
}

/// Variance of a fresh encryption under the small key: of its noise, and of the value rounded to 32 bits.
pub fn fresh_small_variance(parameters: &Parameters) -> f64 {
    let noise = TUniform::<u32>::new(parameters.lwe_noise_bound).variance(modulus(LWE_MODULUS_LOG));
    noise.0 + (-2.0 * f64::from(LWE_MODULUS_LOG)).exp2() / 12.0
}

/// Variance of what a blind rotation puts out; that of its input does not enter.
///
/// An average over keys and over transforms. The Fourier part is a published fit:
/// measured on fixed keys and ciphertexts it moved with the plan that the
/// transform chooses by timing, from 0.91 to 1.06 times the fit where nothing
/// else counts (`N` 4096), and whole variances from 0.98 to 1.08 (`N` 2048, two
/// levels of 2^18). [`variance`] makes an allowance for that; this is the fit.
pub fn lookup_variance(parameters: &Parameters) -> f64 {
    let (mask, body) = (
        Decomposition::of_mask(parameters),
        Decomposition::of_body(parameters),
    );
    let amplified = split(parameters, |decomposition| {
        published_variance(parameters, decomposition, FFT_MANTISSA_BITS)
            - decomposition.rounding_variance(parameters, f64::from(parameters.big_dimension()) / 2.0 + 1.0)
    });
    amplified
        + mask.rounding_variance(parameters, f64::from(parameters.big_dimension()) / 4.0)
        + body.rounding_variance(parameters, 1.0)
        + rounded_key_variance(parameters)
}

/// Base and levels of one of the two decompositions of a blind rotation.
#[derive(Clone, Copy)]
struct Decomposition {
    base_log: u32,
    level: u32,
}

impl Decomposition {
    fn of_mask(parameters: &Parameters) -> Self {
        Self {
            base_log: parameters.pbs_base_log,
            level: parameters.pbs_level,
        }
    }

    fn of_body(parameters: &Parameters) -> Self {
        Self {
            base_log: parameters.pbs_body_base_log,
            level: parameters.pbs_body_level,
        }
    }

    /// Variance of what is rounded off: for each of the `n / 2` key bits that are set, so many roundings of variance `B^-2l / 12`.
    ///
    /// Uncentred, `k N` roundings of the mask meet the mean square of a binary key, 1/2, as the published formula has it;
    /// centred they meet its variance, 1/4. That of the body meets no key.
    fn rounding_variance(self, parameters: &Parameters, roundings: f64) -> f64 {
        let rounding = modulus(2 * self.base_log * self.level).recip() / 12.0;
        f64::from(parameters.lwe_dimension) / 2.0 * roundings * rounding
    }

    /// Variance of its digits, in all rows that meet one polynomial: from `-B/2` to `B/2`, both with half the weight.
    fn digits_variance(self) -> f64 {
        f64::from(self.level) * (modulus(2 * self.base_log) + 2.0) / 12.0
    }
}

/// What grows with the digits, summed over the rows of the key: `k` of `k + 1` polynomials have the digits of masks, one has those
/// of bodies. `all` gives it for all with one decomposition.
fn split(parameters: &Parameters, all: impl Fn(Decomposition) -> f64) -> f64 {
    let k = f64::from(parameters.glwe_dimension);
    let (mask, body) = (
        Decomposition::of_mask(parameters),
        Decomposition::of_body(parameters),
    );
    (k * all(mask) + all(body)) / (k + 1.0)
}

/// Variance of a blind rotation as published: one decomposition, which is not centred, and a key of which no bits are dropped.
fn published_variance(parameters: &Parameters, decomposition: Decomposition, mantissa_bits: f64) -> f64 {
    pbs_variance_132_bits_security_tuniform_fft_mul(
        LweDimension(parameters.lwe_dimension as usize),
        GlweDimension(parameters.glwe_dimension as usize),
        PolynomialSize(parameters.polynomial_size as usize),
        DecompositionBaseLog(decomposition.base_log as usize),
        DecompositionLevelCount(decomposition.level as usize),
        mantissa_bits,
        modulus(GLWE_MODULUS_LOG),
    )
    .0
}

/// Share of the variance of a blind rotation in which its coefficients are alike.
///
/// Errors of the Fourier transforms are on all polynomials of the accumulator, and those on the mask
/// meet a binary key, whose mean is 1/2: its part of the error is half their sum, with the signs of a negacyclic
/// product, so that coefficients at a distance `d` have the correlation `1 - 2 d / N` in it. It is half of the
/// mean square of the key, so half of all that the transforms add. (What the decomposition
/// rounds off meets the key too, but is centred.)
pub fn alike_share(parameters: &Parameters) -> f64 {
    // With numbers as wide as the torus, next to nothing is left of the errors of the transforms.
    let fourier = split(parameters, |decomposition| {
        published_variance(parameters, decomposition, FFT_MANTISSA_BITS)
            - published_variance(parameters, decomposition, f64::from(GLWE_MODULUS_LOG))
    });
    (0.5 * fourier / lookup_variance(parameters)).clamp(0.0, 1.0)
}

/// Variance that a blind rotation gains from the rounded bodies of its key.
///
/// Of the bodies only: `n` products, in each of which `N` digits for each row of the key meet a
/// rounding error of variance `2^2d / 12`, for `d` dropped bits.
fn rounded_key_variance(parameters: &Parameters) -> f64 {
    let dropped = parameters.dropped_bits();
    if dropped == 0 {
        return 0.0;
    }
    let error = modulus(2 * dropped) / 12.0 / modulus(2 * GLWE_MODULUS_LOG);
    let polynomials = f64::from(parameters.glwe_dimension + 1);
    let digits = polynomials * split(parameters, Decomposition::digits_variance);
    f64::from(parameters.lwe_dimension) * f64::from(parameters.polynomial_size) * digits * error
}

/// Variance added by the keyswitch from the big key modulo 2^64 to the small one modulo 2^32.
pub fn keyswitch_variance(parameters: &Parameters) -> f64 {
    keyswitch_variance_to(parameters, LWE_MODULUS_LOG)
}

/// [`keyswitch_variance`] to any modulus: published sets keyswitch modulo 2^64 too.
fn keyswitch_variance_to(parameters: &Parameters, modulus_log: u32) -> f64 {
    keyswitch_additive_variance_132_bits_security_tuniform(
        LweDimension(parameters.big_dimension() as usize),
        LweDimension(parameters.lwe_dimension as usize),
        DecompositionBaseLog(parameters.ks_base_log as usize),
        DecompositionLevelCount(parameters.ks_level as usize),
        modulus(GLWE_MODULUS_LOG),
        modulus(modulus_log),
    )
    .0
}

/// Variance added by the centred modulus switch from 2^32 to `2L`, `L = extension * N`.
pub fn modulus_switch_variance(parameters: &Parameters, extension: u32) -> f64 {
    modulus_switch_variance_from(parameters, extension, LWE_MODULUS_LOG)
}

/// [`modulus_switch_variance`] from any modulus.
fn modulus_switch_variance_from(parameters: &Parameters, extension: u32, modulus_log: u32) -> f64 {
    centered_binary_shifted_modulus_switch_additive_variance(
        LweDimension(parameters.lwe_dimension as usize),
        modulus(modulus_log),
        2.0 * parameters.table_size(extension) as f64,
    )
    .0
}

/// Variance added by rounding a ciphertext under the big key to so many bytes a word, centred: each of the
/// `k N` elements of the mask meets the variance of a binary key, 1/4, and the body itself. 0 for 8 bytes.
pub fn rounding_variance(parameters: &Parameters, word_bytes: u32) -> f64 {
    if word_bytes >= 8 {
        return 0.0;
    }
    let step = modulus(16 * word_bytes).recip();
    step / 12.0 * (f64::from(parameters.big_dimension()) / 4.0 + 1.0)
}

/// Factor on the variance of a blind rotation wherever a failure probability
/// is promised: the Fourier plan and the weight of the key move the true
/// variance by up to this much (see [`lookup_variance`]).
pub const BLIND_ROTATION_ALLOWANCE: f64 = 1.1;

/// Variance of the error with which the reader of a combination sees it, with
/// [`BLIND_ROTATION_ALLOWANCE`]. `extension` is that of the reader, `wires` the set with which the combined values were looked
/// up, of the same ring.
pub fn variance(
    parameters: &Parameters,
    wires: &Parameters,
    extension: u32,
    requirement: &Requirement,
) -> f64 {
    let allowance = BLIND_ROTATION_ALLOWANCE;
    variance_through(
        parameters,
        wires,
        extension,
        requirement,
        LWE_MODULUS_LOG,
        allowance,
    )
}

/// [`variance`] with a keyswitch to any modulus and any allowance.
fn variance_through(
    parameters: &Parameters,
    wires: &Parameters,
    extension: u32,
    requirement: &Requirement,
    modulus_log: u32,
    allowance: f64,
) -> f64 {
    let wire = match requirement.source {
        Source::Fresh => fresh_variance(parameters),
        Source::FreshSmall => fresh_small_variance(parameters),
        Source::Lookup => allowance * lookup_variance(wires),
    };
    let alike = match requirement.source {
        Source::Lookup if requirement.alike > 0 => requirement.alike as f64 * alike_share(wires),
        _ => 0.0,
    };
    let linear = (requirement.nu2 as f64 + alike) * wire * (requirement.scale as f64).powi(2);
    match requirement.reader {
        Reader::Client { word_bytes } => linear + rounding_variance(parameters, word_bytes),
        Reader::Lookup => {
            let keyswitch = match requirement.source {
                Source::FreshSmall => 0.0,
                Source::Fresh | Source::Lookup => keyswitch_variance_to(parameters, modulus_log),
            };
            linear + keyswitch + modulus_switch_variance_from(parameters, extension, modulus_log)
        }
    }
}

/// Smallest distance, on the torus, from the exact point of a value to an error of the reader.
///
/// With scale `c` it is half of that many steps, `c / 4P`; with slack `W` it is `(2W + 1) c / 4P`. In a table of `L`
/// coefficients the change at the value `t` lies at the integer nearest to `(2t - 1) c L / 2P`, so it may come
/// nearer by up to half a coefficient: with `a / q` the reduced `c L / 2P`, these
/// fractions run through all multiples of `1/q` if `q` is odd, and through the odd
/// ones if it is even. The largest distance to an integer is `(q - 1) / 2q`, 1/2, or
/// `(q - 2) / 2q`, for `q` odd, even but no multiple of 4, or a multiple of 4.
/// Zero when the boxes are too narrow: `2P > c L`.
///
/// The centred modulus switch takes half a coefficient off the body, so that
/// coefficient `j` serves the phases in `[j, j + 1)`: changes at integers are exact,
/// and no other margin is lost.
pub fn margin(table_size: u64, requirement: &Requirement) -> f64 {
    let (period, scale) = (requirement.half_period, requirement.scale);
    let half_step = 0.25 * scale as f64 / period as f64;
    let scaled_size = u128::from(table_size) * u128::from(scale);
    match requirement.reader {
        Reader::Client { .. } => (2 * requirement.slack + 1) as f64 * half_step,
        Reader::Lookup if period == 0 || 2 * u128::from(period) > scaled_size => 0.0,
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

/// log2 of the probability that one reading of a combination gives a wrong value.
///
/// Gaussian tails beyond the smallest margin on both sides:
/// `erfc(margin / sqrt(2 variance))`, at most twice the true value for the
/// worst of the values. Zero, that is certain failure, when the table has no room
/// for that many values.
pub fn log2_p_fail(parameters: &Parameters, extension: u32, requirement: &Requirement) -> f64 {
    log2_p_fail_of(parameters, parameters, extension, requirement)
}

/// [`log2_p_fail`] of a combination of values that were looked up with another set, `wires`, of the same ring.
pub fn log2_p_fail_of(
    parameters: &Parameters,
    wires: &Parameters,
    extension: u32,
    requirement: &Requirement,
) -> f64 {
    let margin = margin(parameters.table_size(extension), requirement);
    log2_tails(margin, variance(parameters, wires, extension, requirement))
}

/// [`log2_p_fail`] as the noise model has it, without allowance: what is
/// expected of measured failures, not what may be promised.
pub fn expected_log2_p_fail(parameters: &Parameters, extension: u32, requirement: &Requirement) -> f64 {
    let margin = margin(parameters.table_size(extension), requirement);
    log2_tails(
        margin,
        variance_through(
            parameters,
            parameters,
            extension,
            requirement,
            LWE_MODULUS_LOG,
            1.0,
        ),
    )
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
