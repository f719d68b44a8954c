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
