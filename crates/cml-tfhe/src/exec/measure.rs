//! Times the parts of a lookup on this host, for the cost model and for plans.

use rayon::prelude::*;
use std::time::{Duration, Instant};
use tfhe::core_crypto::prelude::LweCiphertextOwned;

use super::keyswitch::keyswitch_batch;
use super::{Evaluator, Job};
use crate::cost::LookupCost;
use crate::keys::{Ciphertext, Dimensions, EvaluationKey, LweKey, modulus32};
use crate::params::Parameters;
use crate::table::Reading;

/// Elements of the bootstrapping key that are timed, and bytes of them at least: more than a cache close
/// to a core holds.
const ELEMENTS: (usize, usize) = (8, 8 << 20);
/// Each part is timed so often, and the fastest run counts: other work can only slow a run down.
const REPETITIONS: usize = 5;

/// How many rotations run at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// Polynomials of a table.
    pub extension: u32,
    /// Rotations; all threads share them.
    pub rotations: usize,
}

impl Load {
    /// Full batches on all threads.
    pub fn full(extension: u32) -> Self {
        Self {
            extension,
            rotations: 16 * rayon::current_num_threads(),
        }
    }
}

/// Time that one thread spends on one lookup while all threads work on that load, part by part.
///
/// Takes no keys: an executor of zeros with a few elements of the bootstrapping key runs, and its time
/// is scaled up to all of them. The parameters must be valid.
pub fn measure(parameters: &Parameters, load: &Load) -> LookupCost {
    let n = parameters.lwe_dimension as usize;
    let element = parameters.evaluation_key_bytes() as usize / n;
    let elements = (ELEMENTS.1 / element.max(1)).clamp(ELEMENTS.0, n);
    let evaluator = Evaluator::new(EvaluationKey::for_timing(parameters, elements));
    let dimensions = Dimensions::of(parameters);
    // An arbitrary mask: a zero one would let the rotation skip its steps.
    let word = |i: u64| (i + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let input = Ciphertext::from_words(LweKey::Big, (0..=dimensions.big.0 as u64).map(word).collect());
    let polynomial: Vec<u64> = (0..parameters.table_size(load.extension)).map(word).collect();
    let readings = [Reading {
        terms: vec![(0, 1)],
        constant: 0,
    }];
    let job = Job {
        input: &input,
        polynomial: &polynomial,
        extension: load.extension as usize,
        readings: &readings,
    };
    let threads = rayon::current_num_threads();
    let total = load.rotations.max(1);
    // Threads that have work, the most that one of them has, and its batches.
    let busy = threads.min(total);
    let most = total.div_ceil(busy);
    let sizes = evaluator.batch_sizes(total, job.extension, threads);
    let batch = sizes.into_iter().max().unwrap_or(1);
    let rounds = most as f64 / batch as f64;
    let jobs = vec![job; batch];
    let run = |_| {
        let mut scratch = evaluator.batch_scratch();
        let size = dimensions.lwe.to_lwe_size();
        let mut outputs = vec![LweCiphertextOwned::new(0, size, modulus32()); batch];
        evaluator.start(&jobs, job.extension, &mut scratch);
        scratch.turn_anyhow(polynomial.len());
        let mut least = (Duration::MAX, Duration::MAX);
        for _ in 0..REPETITIONS {
            let start = Instant::now();
            let inputs = jobs.iter().map(|job| job.input);
            keyswitch_batch(evaluator.key.keyswitch(), inputs, &mut outputs);
            let middle = Instant::now();
            evaluator.turn(batch, job.extension, &mut scratch);
            least.0 = least.0.min(middle - start);
            least.1 = least.1.min(middle.elapsed());
        }
        least
    };
    let times: Vec<(Duration, Duration)> = (0..busy).into_par_iter().with_max_len(1).map(run).collect();
    let slowest = |part: fn(&(Duration, Duration)) -> Duration| {
        let time = times.iter().map(part).max().unwrap_or_default();
        time.as_nanos() as f64 * rounds / most as f64
    };
    LookupCost {
        keyswitch_ns: slowest(|t| t.0),
        blind_rotation_ns: slowest(|t| t.1) * n as f64 / elements as f64,
    }
}
