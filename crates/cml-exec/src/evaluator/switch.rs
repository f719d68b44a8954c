//! The centred modulus switch to `2L`, for any table size `L`.
//!
//! For powers of two it is the switch of the `tfhe` crate (`centered_binary` in
//! `core_crypto::algorithms::modulus_switch`): the mean of the rounding errors of the
//! mask, half their sum for a binary key, goes to the body, and half a coefficient
//! is taken off it, so that coefficient `j` serves the phases in `[j, j + 1)`.

/// A ciphertext modulo `2L`: how far a blind rotation turns.
#[derive(Default)]
pub(super) struct Rotations {
    /// For each bit of the key, below `2L`.
    pub(super) mask: Vec<usize>,
    /// Below `2L`.
    pub(super) body: usize,
}

impl Rotations {
    /// Switches a ciphertext modulo 2^32: mask, then body. `size` is `L`.
    pub(super) fn switch(&mut self, words: &[u32], size: usize) {
        let modulus = 2 * size as u64;
        self.mask.clear();
        let Some((&body, mask)) = words.split_last() else {
            return;
        };
        // In units of 2^-32 of a coefficient.
        let mut errors = 0_i64;
        for &word in mask {
            let exact = u64::from(word) * modulus;
            let rounded = (exact + (1 << 31)) >> 32;
            errors += (rounded << 32) as i64 - exact as i64;
            self.mask.push((rounded % modulus) as usize);
        }
        // Rounding takes half a coefficient up, centring takes it down again.
        let doubled = 2 * (u64::from(body) * modulus) as i64 + errors;
        self.body = (doubled >> 33).rem_euclid(modulus as i64) as usize;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cml_scheme::raw::modulus32;
    use tfhe::core_crypto::prelude::{
        CiphertextModulusLog, LweCiphertextOwned, ModulusSwitchedLweCiphertext,
        lwe_ciphertext_centered_binary_modulus_switch,
    };

    #[test]
    fn powers_of_two_switch_as_in_the_library() {
        let mut rotations = Rotations::default();
        for seed in 0..200_u32 {
            let word = |i: u32| {
                (i + 1 + 1000 * seed)
                    .wrapping_mul(0x9e37_79b9)
                    .rotate_left(seed % 32)
            };
            let words: Vec<u32> = (0..801).map(|i| word(i) ^ word(i * i)).collect();
            for log in [9, 12, 16] {
                rotations.switch(&words, 1 << (log - 1));
                let ciphertext = LweCiphertextOwned::from_container(words.clone(), modulus32());
                let library = lwe_ciphertext_centered_binary_modulus_switch::<u32, usize, _>(
                    ciphertext.as_view(),
                    CiphertextModulusLog(log),
                );
                assert!(library.mask().eq(rotations.mask.iter().copied()));
                assert_eq!(library.body() % (1 << log), rotations.body, "seed {seed}");
            }
        }
    }

    #[test]
    fn any_size_keeps_the_phase() {
        // Under the key of ones the phase is the body less the sum of the mask.
        let words: Vec<u32> = (0..601_u32)
            .map(|i| (i * i + 7).wrapping_mul(0x9e37_79b9))
            .collect();
        let sum = words[..600].iter().fold(0_u32, |s, &w| s.wrapping_add(w));
        let phase = f64::from(words[600].wrapping_sub(sum)) / 32_f64.exp2();
        for size in [640, 1536, 5 * 1024] {
            let mut rotations = Rotations::default();
            rotations.switch(&words, size);
            let sum: usize = rotations.mask.iter().sum();
            let switched = (rotations.body as i64 - sum as i64).rem_euclid(2 * size as i64) as f64;
            let distance = (switched / (2 * size) as f64 - phase).rem_euclid(1.0);
            let distance = distance.min(1.0 - distance) * (2 * size) as f64;
            assert!(distance < 30.0, "{size}: {distance} coefficients");
        }
    }
}
