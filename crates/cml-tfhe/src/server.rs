//! The server: runs a circuit on ciphertexts. Nothing here can name a secret key.

use crate::artifact::{ArtifactError, Binding, Bound, circuit_hash};
use crate::circuit::{Circuit, Prepared, Row};
use crate::exec::{Evaluator, ExecError, Job};
use crate::interface::Interface;
use crate::keys::{Ciphertext, EvaluationKey, LweKey, Progress, SeededCiphertexts, ServerKeys};
use crate::params::ParameterSets;
use rayon::prelude::*;
use std::sync::Arc;

/// Memory for the wires of the samples that run together, in bytes.
const WIRE_BYTES: u64 = 512 << 20;
/// Most samples that run together.
const MOST_SAMPLES: u64 = 64;

/// Why the server refuses work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// Inputs or keys of another circuit or client.
    #[error("{what} belongs to {has}, the server runs {needs}")]
    Foreign {
        /// What was given.
        what: &'static str,
        /// Its binding.
        has: String,
        /// What it must be.
        needs: String,
    },
    /// A sample with the wrong number of values.
    #[error("sample {sample} has {has} encrypted values, the circuit takes {needs}")]
    Count {
        /// Number of the sample, from 0.
        sample: usize,
        /// Values found.
        has: usize,
        /// Values needed.
        needs: usize,
    },
    /// A sample under the other one of the two keys.
    #[error("sample {sample} is encrypted under the {has} key, the circuit takes the {needs} key")]
    InputKey {
        /// Number of the sample, from 0.
        sample: usize,
        /// Key found.
        has: LweKey,
        /// Key needed.
        needs: LweKey,
    },
    /// A circuit that cannot be hashed.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// Ciphertexts of other parameters.
    #[error(transparent)]
    Exec(#[from] ExecError),
}

/// A circuit with what every server of it needs: its hash and its tables as polynomials.
///
/// Servers of many clients share one: only the evaluation keys are a client's own.
#[derive(Clone, Debug)]
pub struct ServedCircuit {
    circuit: Arc<Circuit>,
    hash: [u8; 32],
    prepared: Arc<Prepared>,
}

impl ServedCircuit {
    /// Hashes a circuit and computes its polynomials.
    ///
    /// # Errors
    /// If the circuit cannot be hashed.
    pub fn new(circuit: Arc<Circuit>) -> Result<Self, ServerError> {
        Ok(Self {
            hash: circuit_hash(&circuit)?,
            prepared: Arc::new(circuit.prepare()),
            circuit,
        })
    }

    /// The circuit.
    pub fn circuit(&self) -> &Circuit {
        &self.circuit
    }

    /// SHA-256 of the circuit, computed once.
    pub fn hash(&self) -> &[u8; 32] {
        &self.hash
    }

    /// Expands a client's keys; `report` is called as it goes on.
    ///
    /// # Errors
    /// If the keys belong to another circuit.
    pub fn server(
        &self,
        key: &Bound<ServerKeys>,
        report: &mut dyn FnMut(Progress),
    ) -> Result<Server, ServerError> {
        let needs = Binding {
            circuit: self.hash,
            keys: key.binding.keys,
        };
        if key.binding != needs || key.value.parameters() != self.circuit.parameters() {
            return Err(ServerError::Foreign {
                what: "server key",
                has: key.binding.to_string(),
                needs: needs.to_string(),
            });
        }
        Ok(Server {
            circuit: Arc::clone(&self.circuit),
            binding: key.binding,
            evaluators: key
                .value
                .sets()
                .iter()
                .map(|key| Evaluator::new(EvaluationKey::expand(key, report)))
                .collect(),
            prepared: Arc::clone(&self.prepared),
        })
    }

    /// Samples whose wires are in memory at once: what [`Server::run`] takes at a time.
    pub fn samples_together(&self) -> usize {
        samples_together(&self.circuit)
    }
}

impl Interface for ServedCircuit {
    fn circuit_hash(&self) -> Result<[u8; 32], ArtifactError> {
        Ok(self.hash)
    }

    fn parameters(&self) -> &ParameterSets {
        self.circuit.parameters()
    }

    fn input_count(&self) -> usize {
        self.circuit.input_count()
    }

    fn input_key(&self) -> LweKey {
        self.circuit.input_key()
    }

    fn output_count(&self) -> usize {
        self.circuit.output_count()
    }

    fn output_word_bytes(&self) -> u32 {
        self.circuit.output_word_bytes()
    }
}

/// A circuit with the evaluation keys of one client.
pub struct Server {
    circuit: Arc<Circuit>,
    binding: Binding,
    /// One for each parameter set.
    evaluators: Vec<Evaluator>,
    prepared: Arc<Prepared>,
}

impl Server {
    /// Expands a client's keys for a circuit, of which it keeps a copy; `report` is called as it
    /// goes on. For several clients see [`ServedCircuit`].
    ///
    /// # Errors
    /// If the keys belong to another circuit.
    pub fn new(
        circuit: &Circuit,
        key: &Bound<ServerKeys>,
        report: &mut dyn FnMut(Progress),
    ) -> Result<Self, ServerError> {
        ServedCircuit::new(Arc::new(circuit.clone()))?.server(key, report)
    }

    /// What its keys are bound to.
    pub fn binding(&self) -> &Binding {
        &self.binding
    }

    /// Runs the circuit on encrypted samples. `done` is called with the number
    /// of blind rotations just finished, out of [`Circuit::rotation_count`] for each
    /// sample.
    ///
    /// Samples go through the levels together, so that all threads have work even
    /// where one sample has little.
    ///
    /// # Errors
    /// If the samples belong to another circuit or client.
    pub fn run(
        &self,
        inputs: &Bound<Vec<SeededCiphertexts>>,
        done: &mut dyn FnMut(usize),
    ) -> Result<Bound<Vec<Vec<Ciphertext>>>, ServerError> {
        if inputs.binding != self.binding {
            let (has, needs) = (inputs.binding.to_string(), self.binding.to_string());
            return Err(ServerError::Foreign {
                what: "encrypted input",
                has,
                needs,
            });
        }
        let needs = self.circuit.input_count();
        if let Some(sample) = inputs.value.iter().position(|s| s.len() != needs) {
            return Err(ServerError::Count {
                sample,
                has: inputs.value[sample].len(),
                needs,
            });
        }
        let needs = self.circuit.input_key();
        if let Some(sample) = inputs.value.iter().position(|s| s.key() != needs) {
            let has = inputs.value[sample].key();
            return Err(ServerError::InputKey { sample, has, needs });
        }
        let mut value = Vec::with_capacity(inputs.value.len());
        for samples in inputs.value.chunks(samples_together(&self.circuit)) {
            value.extend(self.run_together(samples, done)?);
        }
        Ok(Bound {
            binding: self.binding,
            value,
        })
    }

    fn run_together(
        &self,
        samples: &[SeededCiphertexts],
        done: &mut dyn FnMut(usize),
    ) -> Result<Vec<Vec<Ciphertext>>, ServerError> {
        let parameters = self.circuit.parameters().first();
        let mut wires: Vec<Vec<Ciphertext>> = samples.iter().map(|s| s.expand(parameters)).collect();
        // Small enough for frequent reports, large enough for full batches on all threads.
        let chunk = 16 * rayon::current_num_threads();
        let mut first = 0;
        for level in self.circuit.levels() {
            let count = level.rotations.len();
            let evaluator = &self.evaluators[level.set as usize];
            let rotations: Vec<_> = level
                .rotations
                .iter()
                .zip(&self.prepared.rotations[first..])
                .collect();
            let work: Vec<_> = (0..samples.len())
                .flat_map(|sample| rotations.iter().map(move |&(r, prepared)| (sample, r, prepared)))
                .collect();
            let mut results: Vec<Vec<Ciphertext>> = vec![Vec::new(); samples.len()];
            for work in work.chunks(chunk) {
                let rows: Vec<(&[Ciphertext], &Row, u64)> = work
                    .iter()
                    .map(|&(sample, r, _)| (wires[sample].as_slice(), &r.row, r.scale))
                    .collect();
                let accumulators = self.rows(&rows)?;
                let mut jobs = Vec::with_capacity(work.len());
                for (input, (_, r, prepared)) in accumulators.iter().zip(work) {
                    jobs.push(Job {
                        input,
                        polynomial: &self.prepared.polynomials[prepared.0],
                        extension: r.extension as usize,
                        readings: &prepared.1,
                    });
                }
                let read = evaluator.rotate_many(&jobs)?;
                for (&(sample, ..), read) in work.iter().zip(read) {
                    results[sample].extend(read);
                }
                done(work.len());
            }
            for (wires, results) in wires.iter_mut().zip(results) {
                wires.extend(results);
            }
            first += count;
        }
        let rows: Vec<&Row> = self.circuit.outputs().iter().flat_map(|o| &o.rows).collect();
        let word_bytes = self.circuit.output_word_bytes();
        let outputs = |wires: &Vec<Ciphertext>| {
            let rows: Vec<_> = rows.iter().map(|&row| (wires.as_slice(), row, 1)).collect();
            let results = self.rows(&rows)?.into_iter();
            Ok(results.map(|result| result.rounded(word_bytes)).collect())
        };
        wires.iter().map(outputs).collect()
    }

    /// Rows on their wires, each times its scale.
    fn rows(&self, rows: &[(&[Ciphertext], &Row, u64)]) -> Result<Vec<Ciphertext>, ServerError> {
        let row = |&(wires, row, scale): &(&[Ciphertext], &Row, u64)| {
            let scaled = |&(wire, w): &(u32, i64)| (wire as usize, w.wrapping_mul(scale as i64));
            let terms: Vec<(usize, i64)> = row.terms.iter().map(scaled).collect();
            let constant = (row.constant as u64).wrapping_mul(scale);
            let constant = constant.wrapping_mul(self.circuit.step(row.encoding));
            Ok(self.evaluators[0].linear(&terms, constant, wires)?)
        };
        rows.par_iter().map(row).collect()
    }
}

fn samples_together(circuit: &Circuit) -> usize {
    let wires = circuit.input_count() + circuit.lookup_count() + circuit.output_count();
    let bytes = circuit
        .parameters()
        .ciphertext_bytes()
        .saturating_mul(wires as u64);
    (WIRE_BYTES / bytes.max(1)).clamp(1, MOST_SAMPLES) as usize
}
