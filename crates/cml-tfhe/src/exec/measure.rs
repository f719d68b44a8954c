//! Times the parts of a lookup on this host, for the cost model.

use std::time::{Duration, Instant};

use super::Evaluator;
use crate::cost::LookupCost;
use crate::keys::Ciphertext;

impl Evaluator {
    /// The fastest of `repetitions` lookups on one thread, part by part.
    ///
    /// The fastest, since other work on the host can only slow a run down. Times
    /// do not depend on what the ciphertexts hold. At least one repetition is made.
    pub fn measure(&self, repetitions: usize) -> LookupCost {
        let dimension = self.dimensions.big.0 as u64;
        // An arbitrary mask: a zero one would let the rotation skip its steps.
        let word = |i: u64| (i + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let input = Ciphertext::from_words((0..=dimension).map(word).collect());
        let table: Vec<u64> = (0..self.dimensions.polynomial.0 as u64).map(word).collect();
        let mut scratch = self.scratch();
        let (mut keyswitch, mut rotation) = (Duration::MAX, Duration::MAX);
        for _ in 0..repetitions.max(1) {
            let start = Instant::now();
            self.keyswitch(&input, &mut scratch);
            let middle = Instant::now();
            self.blind_rotate(&table, 1, &mut scratch);
            keyswitch = keyswitch.min(middle - start);
            rotation = rotation.min(middle.elapsed());
        }
        LookupCost {
            keyswitch_ns: keyswitch.as_nanos() as f64,
            blind_rotation_ns: rotation.as_nanos() as f64,
        }
    }
}
