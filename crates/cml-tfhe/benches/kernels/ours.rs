//! Our kernels, through the public interface.

use cml_tfhe::exec::Evaluator;
use cml_tfhe::keys::{Ciphertext, ClientKey, EvaluationKey, ServerKey};
use cml_tfhe::noise::{Reader, Requirement, Source};
use cml_tfhe::{Parameters, optimizer};
use std::time::{Duration, Instant};

/// Failure budget of a lookup, log2.
const BUDGET_LOG2: f64 = -40.0;
/// Squared weights of the row before a lookup: norm 8, as tfhe's sets for these precisions are made for 5 to 17.
const SQUARED_WEIGHTS: u64 = 64;

/// What the search takes for lookups of so many bits.
pub(crate) fn parameters(bits: u32) -> Parameters {
    let wanted = Requirement {
        values: 1 << bits,
        nu2: SQUARED_WEIGHTS,
        source: Source::Lookup,
        reader: Reader::Lookup,
    };
    let choice = optimizer::search(&[wanted], 1, BUDGET_LOG2);
    choice.expect("every precision here can be served")
}

/// Keys, ciphertexts and a table.
pub(crate) struct Kit {
    evaluator: Evaluator,
    inputs: Vec<Ciphertext>,
    table: Vec<u64>,
}

impl Kit {
    pub(crate) fn new(parameters: &Parameters) -> Self {
        let client = ClientKey::generate(parameters).expect("valid parameters");
        let server = ServerKey::generate(&client, &mut |_| {});
        let evaluator = Evaluator::new(EvaluationKey::expand(&server, &mut |_| {}));
        let values: Vec<(i64, u64)> = (0..32).map(|v| (v % 4, 1 << 60)).collect();
        Self {
            evaluator,
            inputs: client.encrypt(&values).expand(parameters),
            table: vec![1 << 60; parameters.polynomial_size as usize],
        }
    }

    /// Time of `times` keyswitches and of `times` blind rotations: the fastest, since other work on
    /// the host can only slow a run down.
    pub(crate) fn parts(&self, times: u64) -> (Duration, Duration) {
        let cost = self.evaluator.measure(2);
        let all = |ns: f64| Duration::from_nanos((ns * times as f64) as u64);
        (all(cost.keyswitch_ns), all(cost.blind_rotation_ns))
    }

    pub(crate) fn lookup(&self) -> Ciphertext {
        let result = self.evaluator.lookup(&self.inputs[0], &self.table);
        result.expect("operands of these parameters")
    }

    pub(crate) fn lookup_many(&self, count: usize) -> Vec<Ciphertext> {
        let jobs = self.inputs.iter().cycle().take(count);
        let jobs: Vec<(&Ciphertext, &[u64])> = jobs.map(|input| (input, &self.table[..])).collect();
        let results = self.evaluator.lookup_many(&jobs);
        results.expect("operands of these parameters")
    }

    pub(crate) fn linear(&self, terms: usize) -> Ciphertext {
        let terms: Vec<(usize, i64)> = (0..terms).map(|i| (i % self.inputs.len(), 3)).collect();
        let sum = self.evaluator.linear(&terms, 1, &self.inputs);
        sum.expect("operands of these parameters")
    }

    /// The least times that were seen on one thread, as JSON.
    pub(crate) fn single(&self) -> serde_json::Value {
        let cost = self.evaluator.measure(8);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build();
        let batched = pool.expect("a pool of one thread").install(|| {
            let best = |size: usize| {
                let one = |_| {
                    let start = Instant::now();
                    std::hint::black_box(self.lookup_many(size));
                    start.elapsed().as_nanos() as f64 / size as f64
                };
                (0..4).map(one).fold(f64::INFINITY, f64::min)
            };
            [1, 4, 8, 16].map(best).into_iter().fold(f64::INFINITY, f64::min)
        });
        serde_json::json!({
            "keyswitch_ns": cost.keyswitch_ns,
            "blind_rotation_ns": cost.blind_rotation_ns,
            "lookup_in_batch_ns": batched,
        })
    }
}
