//! The server: runs a circuit on ciphertexts. Nothing here can name a secret key.

use crate::artifact::{ArtifactError, Binding, Bound, circuit_hash};
use crate::circuit::{Circuit, Row};
use crate::exec::{Evaluator, ExecError};
use crate::keys::{Ciphertext, EvaluationKey, Progress, SeededCiphertexts, ServerKey};
use rayon::prelude::*;

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
    /// A circuit that cannot be hashed.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// Ciphertexts of other parameters.
    #[error(transparent)]
    Exec(#[from] ExecError),
}

/// A circuit with the evaluation keys of one client.
pub struct Server<'c> {
    circuit: &'c Circuit,
    binding: Binding,
    evaluator: Evaluator,
    polynomials: (Vec<Vec<u64>>, Vec<usize>),
}

impl<'c> Server<'c> {
    /// Expands a client's keys for a circuit; `report` is called as it goes on.
    ///
    /// # Errors
    /// If the keys belong to another circuit.
    pub fn new(
        circuit: &'c Circuit,
        key: &Bound<ServerKey>,
        report: &mut dyn FnMut(Progress),
    ) -> Result<Self, ServerError> {
        let needs = circuit_hash(circuit)?;
        if key.binding.circuit != needs || key.value.parameters() != circuit.parameters() {
            let needs = Binding {
                circuit: needs,
                keys: key.binding.keys,
            }
            .to_string();
            return Err(ServerError::Foreign {
                what: "server key",
                has: key.binding.to_string(),
                needs,
            });
        }
        let evaluator = Evaluator::new(EvaluationKey::expand(&key.value, report));
        let polynomials = circuit.polynomials();
        Ok(Self {
            circuit,
            binding: key.binding,
            evaluator,
            polynomials,
        })
    }

    /// Runs the circuit on encrypted samples. `done` is called with the number
    /// of lookups just finished, out of [`Circuit::lookup_count`] for each
    /// sample.
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
        let results = inputs.value.iter().map(|sample| self.run_sample(sample, done));
        Ok(Bound {
            binding: self.binding,
            value: results.collect::<Result<_, _>>()?,
        })
    }

    fn run_sample(
        &self,
        sample: &SeededCiphertexts,
        done: &mut dyn FnMut(usize),
    ) -> Result<Vec<Ciphertext>, ServerError> {
        let mut wires = sample.expand(self.circuit.parameters());
        let mut polynomials = self
            .polynomials
            .1
            .iter()
            .map(|&number| self.polynomials.0[number].as_slice());
        // Small enough for frequent reports, large enough for full batches on all threads.
        let chunk = 16 * rayon::current_num_threads();
        for level in self.circuit.levels() {
            let mut results = Vec::with_capacity(level.lookups.len());
            for lookups in level.lookups.chunks(chunk) {
                let rows: Vec<&Row> = lookups.iter().map(|l| &l.row).collect();
                let accumulators = self.rows(&rows, &wires)?;
                let tables = polynomials.by_ref().take(lookups.len());
                let jobs: Vec<(&Ciphertext, &[u64])> = accumulators.iter().zip(tables).collect();
                results.extend(self.evaluator.lookup_many(&jobs)?);
                done(lookups.len());
            }
            wires.extend(results);
        }
        let rows: Vec<&Row> = self.circuit.outputs().iter().flat_map(|o| &o.rows).collect();
        self.rows(&rows, &wires)
    }

    fn rows(&self, rows: &[&Row], wires: &[Ciphertext]) -> Result<Vec<Ciphertext>, ServerError> {
        let row = |row: &&Row| {
            let terms: Vec<(usize, i64)> = row.terms.iter().map(|&(wire, w)| (wire as usize, w)).collect();
            let constant = (row.constant as u64).wrapping_mul(self.circuit.step(row.encoding));
            Ok(self.evaluator.linear(&terms, constant, wires)?)
        };
        rows.par_iter().map(row).collect()
    }
}
