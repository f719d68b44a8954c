//! The server: runs a circuit on ciphertexts. Nothing here can name a secret key.

use crate::backend::{Backend, LevelWork, Task};
use crate::evaluator::ExecError;
use crate::processor::Processor;
use crate::rows::ScaledRow;
use cml_scheme::artifact::{EncryptedInputs, EncryptedOutputs};
use cml_scheme::{
    Binding, Bound, Ciphertext, Interface, LweKey, ParameterSets, Progress, SeededCiphertexts, ServerKeys,
};
use cml_tfhe::Circuit;
use cml_tfhe::circuit::{Prepared, Rotation, WIRE_BYTES};
use cml_tfhe::optimizer::Unsupported;
use rayon::prelude::*;
use std::sync::Arc;

/// Most samples that run together, if the circuit was not compiled for more.
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
    /// A circuit that the backend cannot run.
    #[error(transparent)]
    Unsupported(#[from] Unsupported),
    /// Ciphertexts of other parameters.
    #[error(transparent)]
    Exec(#[from] ExecError),
}

/// A circuit with what every server of it needs: its tables as polynomials, its rows times their scales.
///
/// Servers of many clients share one: only the evaluation keys are a client's own.
#[derive(Debug)]
pub struct ServedCircuit<B: Backend = Processor> {
    inner: Arc<Served<B>>,
}

/// What servers share.
#[derive(Debug)]
struct Served<B> {
    backend: B,
    circuit: Arc<Circuit>,
    prepared: Prepared,
    /// For each rotation, in order.
    rotations: Vec<ScaledRow>,
    /// For each element of each output.
    outputs: Vec<ScaledRow>,
}

impl<B: Backend> Clone for ServedCircuit<B> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
        }
    }
}

impl ServedCircuit {
    /// Prepares a circuit for this machine's processor.
    ///
    /// # Errors
    /// None in fact: it runs every circuit that there is.
    pub fn new(circuit: Arc<Circuit>) -> Result<Self, ServerError> {
        Self::on(Processor, circuit)
    }
}

impl<B: Backend> ServedCircuit<B> {
    /// Prepares a circuit for a backend.
    ///
    /// # Errors
    /// [`ServerError::Unsupported`] if the backend cannot run it.
    pub fn on(backend: B, circuit: Arc<Circuit>) -> Result<Self, ServerError> {
        backend.capabilities().check(&circuit)?;
        let rotations = circuit.rotations();
        let outputs = circuit.outputs().iter().flat_map(|o| &o.rows);
        let inner = Served {
            rotations: rotations
                .map(|r| ScaledRow::of(&circuit, &r.row, r.scale))
                .collect(),
            outputs: outputs.map(|row| ScaledRow::of(&circuit, row, 1)).collect(),
            prepared: circuit.prepare(),
            backend,
            circuit,
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// The circuit.
    pub fn circuit(&self) -> &Circuit {
        &self.inner.circuit
    }

    /// SHA-256 of the circuit.
    pub fn hash(&self) -> &[u8; 32] {
        self.circuit().hash()
    }

    /// Expands a client's keys; `report` is called as it goes on.
    ///
    /// # Errors
    /// If the keys belong to another circuit, or the backend cannot hold them.
    pub fn server(
        &self,
        key: &Bound<ServerKeys>,
        report: &mut dyn FnMut(Progress),
    ) -> Result<Server<B>, ServerError> {
        let needs = Binding {
            circuit: *self.hash(),
            keys: key.binding.keys,
        };
        if key.binding != needs || key.value.parameters() != self.circuit().parameters() {
            return Err(ServerError::Foreign {
                what: "server key",
                has: key.binding.to_string(),
                needs: needs.to_string(),
            });
        }
        Ok(Server {
            keys: self.inner.backend.expand(&key.value, report)?,
            binding: key.binding,
            served: self.clone(),
        })
    }

    /// Samples whose wires are in memory at once: what [`Server::run`] takes at a time.
    pub fn samples_together(&self) -> usize {
        samples_together(self.circuit())
    }
}

impl<B: Backend> Interface for ServedCircuit<B> {
    fn circuit_hash(&self) -> &[u8; 32] {
        self.hash()
    }

    fn parameters(&self) -> &ParameterSets {
        self.circuit().parameters()
    }

    fn input_count(&self) -> usize {
        self.circuit().input_count()
    }

    fn input_key(&self) -> LweKey {
        self.circuit().input_key()
    }

    fn output_count(&self) -> usize {
        self.circuit().output_count()
    }

    fn output_word_bytes(&self) -> u32 {
        self.circuit().output_word_bytes()
    }
}

/// A circuit with the evaluation keys of one client.
pub struct Server<B: Backend = Processor> {
    served: ServedCircuit<B>,
    binding: Binding,
    keys: B::Keys,
}

impl Server {
    /// Expands a client's keys for a circuit, of which it keeps a copy, on this machine's processor; `report` is
    /// called as it goes on. For several clients, or another backend, see [`ServedCircuit`].
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
}

impl<B: Backend> Server<B> {
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
        inputs: &EncryptedInputs,
        done: &mut dyn FnMut(usize),
    ) -> Result<EncryptedOutputs, ServerError> {
        if inputs.binding != self.binding {
            let (has, needs) = (inputs.binding.to_string(), self.binding.to_string());
            return Err(ServerError::Foreign {
                what: "encrypted input",
                has,
                needs,
            });
        }
        let needs = self.served.input_count();
        if let Some(sample) = inputs.value.iter().position(|s| s.len() != needs) {
            return Err(ServerError::Count {
                sample,
                has: inputs.value[sample].len(),
                needs,
            });
        }
        let needs = self.served.input_key();
        if let Some(sample) = inputs.value.iter().position(|s| s.key() != needs) {
            let has = inputs.value[sample].key();
            return Err(ServerError::InputKey { sample, has, needs });
        }
        let mut value = Vec::with_capacity(inputs.value.len());
        for samples in inputs.value.chunks(self.served.samples_together()) {
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
        let Served {
            backend,
            circuit,
            prepared,
            rotations,
            outputs,
        } = self.served.inner.as_ref();
        let parameters = circuit.parameters();
        let expand = |s: &SeededCiphertexts| s.expand(parameters.dimension(s.key()));
        let mut wires: Vec<Vec<Ciphertext>> = samples.iter().map(expand).collect();
        let mut first = 0;
        for level in circuit.levels() {
            let places = first..first + level.rotations.len();
            first = places.end;
            let task = |wires, (rotation, place): (&Rotation, usize)| {
                let (polynomial, readings) = &prepared.rotations[place];
                Task {
                    wires,
                    row: &rotations[place],
                    polynomial: &prepared.polynomials[*polynomial],
                    extension: rotation.extension,
                    readings,
                }
            };
            let of_sample = |wires| {
                level
                    .rotations
                    .iter()
                    .zip(places.clone())
                    .map(move |r| task(wires, r))
            };
            let tasks: Vec<Task<'_>> = wires
                .iter()
                .flat_map(|wires| of_sample(wires.as_slice()))
                .collect();
            let work = LevelWork {
                set: level.set as usize,
                tasks: &tasks,
            };
            let results = backend.run_level(&self.keys, &work, done)?;
            check_results(&tasks, &results)?;
            let mut results = results.into_iter();
            for wires in &mut wires {
                wires.extend(results.by_ref().take(level.rotations.len()).flatten());
            }
        }
        let word_bytes = circuit.output_word_bytes();
        let outputs = |wires: &Vec<Ciphertext>| {
            let rows = outputs.par_iter().map(|row| row.add_up(wires));
            let rows = rows.map(|row| row.map(|result| result.rounded(word_bytes)));
            Ok(rows.collect::<Result<Vec<Ciphertext>, ExecError>>()?)
        };
        wires.iter().map(outputs).collect()
    }
}

/// A backend may be anybody's: one result too many, and every later row would read wrong wires.
fn check_results(tasks: &[Task<'_>], results: &[Vec<Ciphertext>]) -> Result<(), ExecError> {
    let needs = tasks.iter().map(|task| task.readings.len());
    let has = results.iter().map(Vec::len);
    if needs.clone().eq(has) {
        return Ok(());
    }
    Err(ExecError::Results {
        has: results.iter().map(Vec::len).sum(),
        needs: needs.sum(),
    })
}

fn samples_together(circuit: &Circuit) -> usize {
    let most = MOST_SAMPLES.max(circuit.samples_at_once().into());
    (WIRE_BYTES / circuit.wire_bytes().max(1)).clamp(1, most) as usize
}
