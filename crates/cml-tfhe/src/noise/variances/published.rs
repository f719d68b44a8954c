//! How this model differs from that of published parameter sets, for tests that compare the two.

use super::super::transforms::MANTISSA_BITS;
use super::*;

/// What [`lookup_variance`] has beyond that of the published sets: their keys are not rounded, their decomposition is not
/// centred, and their transforms are those of the library.
pub(in crate::noise) fn beyond_published(parameters: &Parameters) -> f64 {
    let spared = f64::from(parameters.big_dimension()) / 4.0;
    let centred = Decomposition::of_mask(parameters).rounding_variance(parameters, spared);
    let published = |bits: u32| {
        split(parameters, |decomposition| {
            published_variance(parameters, decomposition, f64::from(bits))
        })
    };
    let transforms = published(MANTISSA_BITS) - published(GLWE_MODULUS_LOG);
    rounded_key_variance(parameters) - centred + BlindRotation::of(parameters).transforms - transforms
}

/// What a keyswitch to that modulus, and the switch from it to a table of one polynomial, add beyond what those of 32 bits do:
/// published sets keyswitch modulo 2^64.
pub(in crate::noise) fn beyond_32_bits(parameters: &Parameters, modulus_log: u32) -> f64 {
    let added =
        |log| keyswitch_variance_to(parameters, log) + modulus_switch_variance_from(parameters, 1, log);
    added(modulus_log) - added(LWE_MODULUS_LOG)
}
