//! What each step of a lookup adds to the noise.
//!
//! Variances come from the formulas of the `tfhe` crate (132-bit security, TUniform noise, binary keys), taken apart into
//! what depends on the key and what does not: see [`super`].

use tfhe::core_crypto::commons::noise_formulas::centered_mean_shifted_modulus_switch::centered_binary_shifted_modulus_switch_additive_variance;
use tfhe::core_crypto::commons::noise_formulas::lwe_keyswitch::keyswitch_additive_variance_132_bits_security_tuniform;
use tfhe::core_crypto::commons::noise_formulas::lwe_programmable_bootstrap::pbs_variance_132_bits_security_tuniform_fft_mul;
use tfhe::core_crypto::prelude::{
    DecompositionBaseLog, DecompositionLevelCount, GlweDimension, LweDimension, PolynomialSize, TUniform,
};

use super::transforms::transform_errors;
use super::{Reader, Requirement, Source, log2_tails, margin, modulus};
pub use cml_scheme::KEY_SHARE_LOG2;
use cml_scheme::security::{GLWE_MODULUS_LOG, LWE_MODULUS_LOG};
use cml_scheme::{Parameters, Ring, Set};

/// Standard deviations over keys by which a promise exceeds the mean.
pub const KEY_DEVIATIONS: f64 = 5.0;

/// The same of what is quadratic in the big key: a sum of squares, whose tail is the heaviest for its deviation if it is a
/// single pair of conjugate peaks of the spectrum. That is an exponential, of which 2^-20 lies beyond
/// `20 ln 2 - 1 = 12.9` deviations.
pub(super) const QUADRATIC_DEVIATIONS: f64 = 13.0;

/// Factor on what Fourier transforms add wherever a failure probability is promised.
///
/// Other instructions put the last levels of a transform in another order. With vectors and without, a test of `cml-exec` finds no
/// more than this.
pub const FOURIER_ALLOWANCE: f64 = 1.05;

/// Variances of one parameter set, computed once: every probability is a function of them and of a [`Requirement`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Variances {
    /// `N`.
    pub(super) polynomial_size: u32,
    /// Of a fresh encryption under the big key.
    pub(super) fresh: f64,
    /// Of a fresh encryption under the small key.
    pub(super) fresh_small: f64,
    /// Of a coefficient of a blind rotation: the part in which it is independent of the others.
    pub(super) independent: f64,
    /// Of a coefficient of a blind rotation: the part in which coefficients are alike.
    pub(super) alike: f64,
    /// Of the keyswitch.
    pub(super) keyswitch: f64,
    /// Of the modulus switch: what rounding modulo 2^32 adds.
    pub(super) switch_words: f64,
    /// Of the modulus switch to a table of one polynomial, else.
    pub(super) switch_table: f64,
    /// Of rounding a result to a multiple of the whole torus: that to `w` bytes a word has `2^-16w` of it.
    pub(super) result: f64,
    pub(super) spread: Spread,
}

/// How far the variance of a row may lie above its mean over keys: so many standard deviations, by what is drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Spread {
    /// Weight of the small key of the wires, for each unit of `nu2`.
    pub(super) small_key: f64,
    /// What is linear in the big key, for each unit of `sqrt((nu2 + pairs)(nu2 + alike))`.
    pub(super) linear: f64,
    /// What is quadratic in the big key, for each unit of `sqrt(nu2 pairs)`.
    pub(super) quadratic: f64,
    /// Weight of the big key in the keyswitch.
    pub(super) keyswitch: f64,
    /// Noise of the keyswitching key.
    pub(super) keyswitch_noise: f64,
}

impl Variances {
    /// On average over keys and over plans of the transform: what is expected of measurements.
    pub fn expected<'a>(set: impl Into<Set<'a>>) -> Self {
        Self::of_set(set.into(), 1.0, (0.0, 0.0))
    }

    /// What may be promised: [`KEY_DEVIATIONS`] above the mean over keys, and with [`FOURIER_ALLOWANCE`].
    pub fn promised<'a>(set: impl Into<Set<'a>>) -> Self {
        let deviations = (KEY_DEVIATIONS, QUADRATIC_DEVIATIONS);
        Self::of_set(set.into(), FOURIER_ALLOWANCE, deviations)
    }

    fn of_set(set: Set<'_>, allowance: f64, deviations: (f64, f64)) -> Self {
        match set {
            Set::Single(parameters) => Self::of(parameters, allowance, deviations),
            Set::Amortized(parameters) => Self::of_amortized(parameters, allowance, deviations),
        }
    }

    /// With a key of which so many bits are set, big and small: what is expected of measurements with it. On average over
    /// keys of that weight; over plans of the transform, too.
    pub fn of_weights(parameters: &Parameters, (big, small): (usize, usize)) -> Self {
        let expected = Self::expected(parameters);
        let parts = BlindRotation::of(parameters);
        // 1 for half of the bits.
        let big = 2.0 * big as f64 / f64::from(parameters.big_dimension());
        let small = 2.0 * small as f64 / f64::from(parameters.lwe_dimension);
        // Of the mean square of the bits, the square of their mean.
        let alike = parts.alike() * big * big;
        Self {
            independent: parts.key_noise
                + small * (parts.mask_rounding + parts.body_rounding)
                + (parts.transforms * big - alike),
            alike,
            keyswitch: expected.keyswitch + (big - 1.0) * keyswitch_rounding_variance(parameters),
            ..expected
        }
    }

    /// So many deviations above the mean over keys; the second number is for what is quadratic in the big key.
    fn of(parameters: &Parameters, allowance: f64, (deviations, quadratic): (f64, f64)) -> Self {
        let rotation = BlindRotation::of(parameters);
        let alike = allowance * rotation.alike();
        let small = f64::from(parameters.lwe_dimension);
        let big = f64::from(parameters.big_dimension());
        let rounded = keyswitch_rounding_variance(parameters);
        let keyswitch = keyswitch_variance(parameters);
        let switch = |extension| modulus_switch_variance(parameters, extension);
        // Linear in `1 / extension^2`: the part that is left of a table as large as can be, and the rest.
        let switch_table = (switch(1) - switch(2)) / 0.75;
        Self {
            polynomial_size: parameters.polynomial_size,
            fresh: fresh_variance(parameters),
            fresh_small: fresh_small_variance(parameters),
            independent: rotation.without_transforms() + alike,
            alike,
            keyswitch,
            switch_words: (switch(1) - switch_table).max(0.0),
            switch_table,
            result: (big / 4.0 + 1.0) / 12.0,
            spread: Spread {
                small_key: deviations * (rotation.mask_rounding + rotation.body_rounding) / small.sqrt(),
                linear: deviations * 2.0 * alike / big.sqrt(),
                quadratic: quadratic * (rotation.mask_rounding + alike) * (2.0 / big).sqrt(),
                keyswitch: deviations * rounded / big.sqrt(),
                keyswitch_noise: deviations
                    * (keyswitch - rounded).max(0.0)
                    * (0.8 / (big * f64::from(parameters.ks_level))).sqrt(),
            },
        }
    }

    /// The worse of each part of two sets, for rows that combine what was looked up with either.
    pub(crate) fn worse(&self, other: &Self) -> Self {
        let spread = |part: fn(&Spread) -> f64| part(&self.spread).max(part(&other.spread));
        Self {
            independent: self.independent.max(other.independent),
            alike: self.alike.max(other.alike),
            spread: Spread {
                small_key: spread(|s| s.small_key),
                linear: spread(|s| s.linear),
                quadratic: spread(|s| s.quadratic),
                ..self.spread
            },
            ..*self
        }
    }

    /// Of a fresh encryption under the big key.
    pub fn fresh(&self) -> f64 {
        self.fresh
    }

    /// Of a fresh encryption under the small key: of its noise, and of the value rounded to 32 bits.
    pub fn fresh_small(&self) -> f64 {
        self.fresh_small
    }

    /// Of the keyswitch.
    pub fn keyswitch(&self) -> f64 {
        self.keyswitch
    }

    /// Of a coefficient of a blind rotation: the part in which it is independent of the others.
    pub fn independent(&self) -> f64 {
        self.independent
    }

    /// Of a coefficient of a blind rotation: the part in which those of one polynomial are alike.
    pub fn alike(&self) -> f64 {
        self.alike
    }

    /// Of a coefficient of a blind rotation, both parts.
    pub fn lookup(&self) -> f64 {
        self.independent + self.alike
    }

    /// Of the modulus switch to a table of so many polynomials.
    pub fn switch(&self, extension: u32) -> f64 {
        self.switch_words + self.switch_table / f64::from(extension).powi(2)
    }

    /// No fewer polynomials have a table with which the modulus switch adds no more than `left`, which is positive.
    pub(crate) fn least_extension(&self, left: f64) -> f64 {
        (self.switch_table / left).sqrt().ceil().max(1.0)
    }

    /// Variance of the error with which the reader of a combination sees it. `extension` is that of the reader, `wires` the
    /// variances with which the combined values were looked up, of the same ring.
    pub fn variance(&self, wires: &Self, extension: u32, requirement: &Requirement) -> f64 {
        let switch = match requirement.reader {
            Reader::Lookup => self.switch(extension),
            Reader::Client { .. } => 0.0,
        };
        self.before_switch(wires, requirement) + switch
    }

    /// [`Variances::variance`] without the modulus switch, on which alone the size of the table bears.
    pub(crate) fn before_switch(&self, wires: &Self, requirement: &Requirement) -> f64 {
        let (nu2, pairs) = (requirement.nu2 as f64, requirement.pairs as f64);
        let alike = (nu2 + requirement.alike as f64).max(0.0);
        let scale = (requirement.scale as f64).powi(2);
        let none = Spread::default();
        let of_lookups = || nu2 * wires.independent + alike * wires.alike;
        let (wire, of_wires) = match requirement.source {
            Source::Fresh => (nu2 * self.fresh, &none),
            Source::FreshSmall => (nu2 * self.fresh_small, &none),
            Source::Lookup => (of_lookups(), &wires.spread),
            Source::Both { fresh } => (fresh as f64 * self.fresh + of_lookups(), &wires.spread),
        };
        let (added, of_keyswitch) = match requirement.reader {
            Reader::Client { word_bytes } => (self.rounding(word_bytes), &none),
            Reader::Lookup if requirement.source == Source::FreshSmall => (0.0, &none),
            Reader::Lookup => (self.keyswitch, &self.spread),
        };
        // The big key is one: what is linear in it adds up. All else is drawn independently.
        let linear = scale * of_wires.linear * ((nu2 + pairs) * alike).sqrt() + of_keyswitch.keyswitch;
        let others = [
            scale * of_wires.small_key * nu2,
            scale * of_wires.quadratic * (nu2 * pairs).sqrt(),
            of_keyswitch.keyswitch_noise,
        ];
        let spread = others
            .iter()
            .fold(linear.powi(2), |sum, s| sum + s.powi(2))
            .sqrt();
        scale * wire + added + spread
    }

    /// Of rounding a result to so many bytes a word, centred: each of the `k N` elements of the mask meets the variance of a
    /// binary key, 1/4, and the body itself. 0 for 8 bytes.
    pub fn rounding(&self, word_bytes: u32) -> f64 {
        if word_bytes >= 8 {
            return 0.0;
        }
        self.result / modulus(16 * word_bytes)
    }

    /// Whether so many standard deviations fit in the margin.
    pub(crate) fn reads(
        &self,
        wires: &Self,
        extension: u32,
        requirement: &Requirement,
        deviations: f64,
    ) -> bool {
        let margin = margin(self.table_size(extension), requirement);
        margin > deviations * self.variance(wires, extension, requirement).sqrt() * (1.0 + 1e-6)
    }

    /// log2 of the probability that one reading of a combination gives a wrong value.
    ///
    /// Gaussian tails beyond the smallest margin on both sides: `erfc(margin / sqrt(2 variance))`, at most twice the true
    /// value for the worst of the values. Zero, that is certain failure, when the table has no room for that many values.
    pub fn log2_p_fail(&self, wires: &Self, extension: u32, requirement: &Requirement) -> f64 {
        let margin = margin(self.table_size(extension), requirement);
        log2_tails(margin, self.variance(wires, extension, requirement))
    }

    fn table_size(&self, extension: u32) -> u64 {
        u64::from(self.polynomial_size) * u64::from(extension)
    }
}

/// Parts of the variance of a coefficient of a blind rotation, on average.
pub(super) struct BlindRotation {
    /// Noise of the key, with what is dropped of it, times digits.
    pub(super) key_noise: f64,
    /// What the decomposition of masks rounds off.
    pub(super) mask_rounding: f64,
    /// What the decomposition of bodies rounds off.
    pub(super) body_rounding: f64,
    /// Errors of the transforms.
    pub(super) transforms: f64,
}

impl BlindRotation {
    pub(super) fn of(parameters: &Parameters) -> Self {
        let (mask, body) = (
            Decomposition::of_mask(parameters),
            Decomposition::of_body(parameters),
        );
        let big = f64::from(parameters.big_dimension());
        // With numbers as wide as the torus, next to nothing is left of the errors of the transforms.
        let exact = split(parameters, |decomposition| {
            published_variance(parameters, decomposition, f64::from(GLWE_MODULUS_LOG))
                - decomposition.rounding_variance(parameters, big / 2.0 + 1.0)
        });
        let k = f64::from(parameters.glwe_dimension);
        let errors = transform_errors(
            parameters.polynomial_size,
            k * mask.digits_variance() + body.digits_variance(),
            k * f64::from(mask.level) + f64::from(body.level),
        );
        Self {
            key_noise: exact + rounded_key_variance(parameters),
            mask_rounding: mask.rounding_variance(parameters, big / 4.0),
            body_rounding: body.rounding_variance(parameters, 1.0),
            transforms: f64::from(parameters.lwe_dimension) * errors * (1.0 + big / 2.0),
        }
    }

    fn without_transforms(&self) -> f64 {
        self.key_noise + self.mask_rounding + self.body_rounding
    }

    /// Half of what the transforms add, see [`super`].
    fn alike(&self) -> f64 {
        0.5 * self.transforms
    }
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

/// Variance of what a blind rotation puts out, on average; that of its input does not enter.
pub fn lookup_variance(parameters: &Parameters) -> f64 {
    let parts = BlindRotation::of(parameters);
    parts.without_transforms() + parts.transforms
}

/// Part of [`lookup_variance`] that errors of the transforms add.
pub fn transforms_variance(parameters: &Parameters) -> f64 {
    BlindRotation::of(parameters).transforms
}

/// Share of [`lookup_variance`] in which the coefficients of one polynomial are alike.
pub fn alike_share(parameters: &Parameters) -> f64 {
    (BlindRotation::of(parameters).alike() / lookup_variance(parameters)).clamp(0.0, 1.0)
}

/// Variance of a fresh encryption under the big key.
pub fn fresh_variance(parameters: &Parameters) -> f64 {
    fresh_of_ring(parameters.ring())
}

/// Variance of the digits of a coefficient, over all levels.
pub(super) fn digits_variance(base_log: u32, level: u32) -> f64 {
    Decomposition { base_log, level }.digits_variance()
}

/// Variance of a fresh encryption under a big key of that ring.
pub(super) fn fresh_of_ring(ring: Ring) -> f64 {
    TUniform::<u64>::new(ring.noise_bound)
        .variance(modulus(GLWE_MODULUS_LOG))
        .0
}

/// Variance of a fresh encryption under the small key: of its noise, and of the value rounded to 32 bits.
pub fn fresh_small_variance(parameters: &Parameters) -> f64 {
    let noise = TUniform::<u64>::new(parameters.lwe_noise_bound).variance(modulus(LWE_MODULUS_LOG));
    noise.0 + (-2.0 * f64::from(LWE_MODULUS_LOG)).exp2() / 12.0
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

/// Variance added by rounding a ciphertext under the big key: see [`Variances::rounding`].
pub fn rounding_variance(parameters: &Parameters, word_bytes: u32) -> f64 {
    Variances::expected(parameters).rounding(word_bytes)
}

/// Variance added by the keyswitch from the big key modulo 2^64 to the small one modulo 2^32.
pub fn keyswitch_variance(parameters: &Parameters) -> f64 {
    keyswitch_variance_to(parameters, LWE_MODULUS_LOG)
}

/// The part of [`keyswitch_variance`] that the decomposition rounds off: each of the `k N` elements of the mask by
/// `B^-2l / 12`, which meets the mean square of a bit, 1/2.
fn keyswitch_rounding_variance(parameters: &Parameters) -> f64 {
    f64::from(parameters.big_dimension()) / 24.0 / modulus(2 * parameters.ks_base_log * parameters.ks_level)
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

#[cfg(test)]
mod tests;

#[cfg(test)]
pub(super) mod published;
