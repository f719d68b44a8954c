//! Times the parts of a lookup on this host, for the cost model and for plans.

use rayon::prelude::*;
use std::time::{Duration, Instant};
use tfhe::core_crypto::prelude::LweCiphertextOwned;

use super::batch::{Scratch, most_lanes};
use super::keyswitch::keyswitch_batch;
use super::schedule::Schedule;
use super::{Evaluator, Job};
use crate::key::EvaluationKey;
use cml_scheme::raw::{Dimensions, modulus32};
use cml_scheme::{Ciphertext, LweKey, Parameters};
use cml_tfhe::cost::LookupCost;
use cml_tfhe::table::Reading;

/// Elements of the bootstrapping key that are timed, and bytes of them at least: more than a cache close
/// to a core holds.
const ELEMENTS: (usize, usize) = (8, 8 << 20);
/// The same, of a rotation on several threads: as good as all of the key, since what the threads take to
/// begin with is not to be scaled up.
const SPLIT_ELEMENTS: (usize, usize) = (8, 256 << 20);
/// Words that no cache holds: 64 MiB.
const OTHER: usize = 8 << 20;
/// Each part is timed so often, and the fastest run counts: other work can only slow a run down.
const REPETITIONS: usize = 4;

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
/// Takes no keys: an executor of ones with a few elements of the bootstrapping key runs, and its time
/// is scaled up to all of them. The parameters must be valid.
pub fn measure(parameters: &Parameters, load: &Load) -> LookupCost {
    let subject = Subject::of(parameters, load.extension, ELEMENTS);
    let evaluator = &subject.evaluator;
    let threads = rayon::current_num_threads();
    let total = load.rotations.max(1);
    let schedule = Schedule::of(&vec![subject.extension(); total], threads, most_lanes(parameters));
    // Threads that have work, the most that one of them has, and its batches.
    let busy = threads.min(total);
    let most = total.div_ceil(busy);
    let batch = schedule.batches.iter().map(Vec::len).max().unwrap_or(1);
    let rounds = most as f64 / batch as f64;
    let jobs = vec![subject.job(); batch];
    let run = |_| {
        let mut scratch = subject.scratch(&jobs);
        let size = evaluator.dimensions.lwe.to_lwe_size();
        let mut outputs = vec![LweCiphertextOwned::new(0, size, modulus32()); batch];
        let mut least = (Duration::MAX, Duration::MAX);
        for _ in 0..REPETITIONS {
            forget(&subject.other);
            let start = Instant::now();
            let inputs = jobs.iter().map(|job| job.input);
            keyswitch_batch(evaluator.key.keyswitch(), inputs, &mut outputs);
            let middle = Instant::now();
            evaluator.turn(&jobs, &mut scratch);
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
        blind_rotation_ns: slowest(|t| t.1) * subject.scale,
    }
}

/// Nanoseconds of one blind rotation whose polynomials are shared out to all threads; measured like
/// [`measure`].
pub(crate) fn measure_split(parameters: &Parameters, extension: u32) -> f64 {
    let subject = Subject::of(parameters, extension, SPLIT_ELEMENTS);
    let mut scratch = subject.scratch(&[subject.job()]);
    let threads = rayon::current_num_threads();
    let mut least = Duration::MAX;
    for _ in 0..REPETITIONS {
        forget(&subject.other);
        let start = Instant::now();
        subject
            .evaluator
            .turn_split(subject.extension(), threads, &mut scratch);
        least = least.min(start.elapsed());
    }
    least.as_nanos() as f64 * subject.scale
}

/// An executor of ones, and something for it to rotate.
struct Subject {
    evaluator: Evaluator,
    input: Ciphertext,
    polynomial: Vec<u64>,
    readings: Vec<Reading>,
    /// Elements of the whole bootstrapping key for each one that there is.
    scale: f64,
    /// To fill the caches with.
    other: Vec<u64>,
}

/// Fills the caches with something else: an executor at work comes back to a key when it is gone from them.
fn forget(other: &[u64]) {
    std::hint::black_box(other.iter().fold(0, |sum: u64, &word| sum.wrapping_add(word)));
}

impl Subject {
    fn of(parameters: &Parameters, extension: u32, (least, bytes): (usize, usize)) -> Self {
        let n = parameters.lwe_dimension as usize;
        let element = parameters.evaluation_key_bytes() as usize / n;
        let elements = (bytes / element.max(1)).clamp(least, n);
        // An arbitrary mask: a zero one would let the rotation skip its steps.
        let word = |i: u64| (i + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let words = (0..=Dimensions::of(parameters).big.0 as u64).map(word).collect();
        Self {
            evaluator: Evaluator::new(EvaluationKey::for_timing(parameters, elements)),
            input: Ciphertext::from_words(LweKey::Big, words),
            polynomial: (0..parameters.table_size(extension)).map(word).collect(),
            readings: vec![Reading {
                terms: vec![(0, 1)],
                constant: 0,
            }],
            scale: n as f64 / elements as f64,
            other: vec![1; OTHER],
        }
    }

    fn extension(&self) -> usize {
        self.polynomial.len() / self.evaluator.dimensions.polynomial.0
    }

    fn job(&self) -> Job<'_> {
        Job {
            input: &self.input,
            polynomial: &self.polynomial,
            extension: self.extension(),
            readings: &self.readings,
        }
    }

    /// Ready to turn.
    fn scratch(&self, jobs: &[Job<'_>]) -> Scratch {
        let mut scratch = self.evaluator.batch_scratch();
        self.evaluator.start(jobs, &mut scratch);
        scratch.turn_anyhow(self.polynomial.len());
        scratch
    }
}
