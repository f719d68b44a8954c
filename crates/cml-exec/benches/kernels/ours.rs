//! Our kernels, through the public interface.

use cml_exec::{EvaluationKey, Evaluator, Job, Load, measure};
use cml_keys::ClientKey;
use cml_keys::random::System;
use cml_scheme::{Ciphertext, LweKey, Parameters};
use cml_tfhe::noise::{Reader, Requirement, Source};
use cml_tfhe::optimizer::{Goal, search};
use cml_tfhe::table::Reading;
use std::time::Duration;

/// Squared weights of the row before a lookup: norm 8, as tfhe's sets for these precisions are made for 5 to 17.
const SQUARED_WEIGHTS: u64 = 64;

/// What the search takes for lookups of so many bits, each value with a level of its own: parameters, and
/// polynomials of a table.
pub(crate) fn parameters(bits: u32) -> (Parameters, u32) {
    let wanted = Requirement {
        half_period: 1 << bits,
        scale: 1,
        nu2: SQUARED_WEIGHTS,
        alike: 0,
        pairs: 0,
        source: Source::Lookup,
        reader: Reader::Lookup,
        slack: 0,
    };
    let choice = search(&Goal::default(), &[(wanted, 1)]).expect("every precision here can be served");
    (choice.parameters, choice.extensions[0])
}

/// Keys, ciphertexts and a table.
pub(crate) struct Kit {
    parameters: Parameters,
    extension: u32,
    evaluator: Evaluator,
    inputs: Vec<Ciphertext>,
    table: Vec<u64>,
    readings: Vec<Reading>,
}

impl Kit {
    pub(crate) fn new(parameters: &Parameters, extension: u32) -> Self {
        let mut random = System::new();
        let client = ClientKey::generate(parameters, &mut random).expect("valid parameters");
        let server = client.server_key(&mut random, &mut |_| {}).expect("randomness");
        let evaluator = Evaluator::new(EvaluationKey::expand(&server, &mut |_| {}));
        let values: Vec<(i64, u64)> = (0..32).map(|v| (v % 4, 1 << 60)).collect();
        Self {
            parameters: *parameters,
            extension,
            evaluator,
            inputs: client
                .encrypt(LweKey::Big, &values, &mut random)
                .expect("randomness")
                .expand(parameters.big_dimension() as usize),
            table: vec![1 << 60; parameters.table_size(extension) as usize],
            readings: vec![Reading {
                terms: vec![(0, 1)],
                constant: 0,
            }],
        }
    }

    /// Time of `times` keyswitches and of `times` blind rotations, each alone: the fastest, since other
    /// work on the host can only slow a run down.
    pub(crate) fn parts(&self, times: u64) -> (Duration, Duration) {
        let load = Load {
            extension: self.extension,
            rotations: 1,
        };
        let cost = measure(&self.parameters, &load);
        let all = |ns: f64| Duration::from_nanos((ns * times as f64) as u64);
        (all(cost.keyswitch_ns), all(cost.blind_rotation_ns))
    }

    fn job<'a>(&'a self, input: &'a Ciphertext) -> Job<'a> {
        Job {
            input,
            polynomial: &self.table,
            extension: self.extension as usize,
            readings: &self.readings,
        }
    }

    /// The reference, one at a time.
    pub(crate) fn lookup(&self) -> Vec<Ciphertext> {
        let result = self.evaluator.rotate(&self.job(&self.inputs[0]));
        result.expect("operands of these parameters")
    }

    pub(crate) fn lookup_many(&self, count: usize) -> Vec<Vec<Ciphertext>> {
        let jobs: Vec<Job<'_>> = self
            .inputs
            .iter()
            .cycle()
            .take(count)
            .map(|i| self.job(i))
            .collect();
        let results = self.evaluator.rotate_many(&jobs);
        results.expect("operands of these parameters")
    }

    pub(crate) fn linear(&self, terms: usize) -> Ciphertext {
        let terms: Vec<(usize, i64)> = (0..terms).map(|i| (i % self.inputs.len(), 3)).collect();
        let sum = self.evaluator.linear(&terms, 1, &self.inputs);
        sum.expect("operands of these parameters")
    }
}
