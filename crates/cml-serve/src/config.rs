//! What is served, and within which limits.

use crate::{ServeError, Tokens};
use bytes::Bytes;
use cml_ir::to_hex;
use cml_tfhe::{Circuit, ClientSpec, Interface as _, ParameterSets, Plan, ServedCircuit, artifact};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// What a service needs to start.
pub struct Config {
    /// Circuits.
    pub models: Vec<Model>,
    /// Folder of uploaded keys and accepted jobs; is made if it is not there.
    pub data: PathBuf,
    /// Who is let in.
    pub tokens: Tokens,
    /// Limits.
    pub limits: Limits,
}

/// A circuit to serve.
pub struct Model {
    pub(crate) circuit: ServedCircuit,
    /// What clients get of it.
    pub(crate) spec: Bytes,
    /// Seconds of one sample, before one was run.
    pub(crate) seconds: f64,
}

impl Model {
    /// A circuit; its kernels are timed for some seconds.
    ///
    /// # Errors
    /// If the circuit cannot be hashed.
    pub fn new(circuit: Circuit) -> Result<Self, ServeError> {
        // Tells what is answered at once from what becomes a job; what was run tells it better.
        let seconds = Plan::estimate_seconds(&circuit);
        Self::with_estimate(circuit, seconds)
    }

    /// As [`Model::new`], with the seconds of one sample known.
    ///
    /// # Errors
    /// If the circuit cannot be hashed.
    pub fn with_estimate(circuit: Circuit, seconds: f64) -> Result<Self, ServeError> {
        let spec = artifact::spec_to_bytes(&ClientSpec::of(&circuit)?)?;
        Ok(Self {
            circuit: ServedCircuit::new(Arc::new(circuit))?,
            spec: spec.into(),
            seconds,
        })
    }

    /// Name of the circuit.
    pub fn name(&self) -> &str {
        self.circuit.circuit().name()
    }

    /// SHA-256 of the circuit, as it stands in paths.
    pub fn hash(&self) -> String {
        to_hex(self.circuit.hash())
    }

    pub(crate) fn parameters(&self) -> &ParameterSets {
        self.circuit.circuit().parameters()
    }

    /// Bytes of a key file.
    pub(crate) fn key_file_bytes(&self) -> u64 {
        artifact::server_key_bytes(&self.circuit)
    }

    /// Bytes of a file of so many encrypted samples.
    pub(crate) fn input_file_bytes(&self, samples: u64) -> u64 {
        artifact::inputs_bytes(&self.circuit, samples as usize)
    }

    /// Bytes of a file with the results of so many samples.
    pub(crate) fn output_file_bytes(&self, samples: u64) -> u64 {
        artifact::outputs_bytes(&self.circuit, samples as usize)
    }

    /// Bytes that a job of so many samples has in memory: inputs, and then the answer beside them.
    pub(crate) fn job_bytes(&self, samples: u64) -> u64 {
        let inputs = self
            .input_file_bytes(samples)
            .saturating_add(samples.saturating_mul(SAMPLE));
        // Results are rounded to fewer bytes a word only in the file.
        let count = self.circuit.output_count() as u64;
        let results = self.parameters().ciphertext_bytes().saturating_mul(count);
        results.saturating_mul(samples).saturating_add(inputs)
    }
}

/// What a sample takes in memory beside its bytes, about.
const SAMPLE: u64 = 64;

/// Limits. What is over one is refused with the status in brackets.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections at a time; more wait to be accepted.
    pub connections: usize,
    /// Time for the head of a request, for the TLS handshake and for an idle connection.
    pub header_time: Duration,
    /// Longest silence within a body, and how far behind the least rate it may fall (408).
    pub body_time: Duration,
    /// Least bytes of a body in a second (408).
    pub body_rate: u64,
    /// Longest time in which nothing of an answer can be sent; the connection ends.
    pub send_time: Duration,
    /// Bytes of inputs that are being received (429).
    pub receiving_bytes: u64,
    /// Samples of one request (413).
    pub samples: u32,
    /// Jobs that wait (429).
    pub waiting: usize,
    /// Jobs of one caller: waiting, running, and finished with an answer that is kept (429).
    pub caller_jobs: usize,
    /// Bytes of jobs: inputs that wait and answers, those that are expected included (429); in memory, and
    /// again on disk. One caller may have a quarter.
    pub job_bytes: u64,
    /// How long the answer of a finished job is kept (410).
    pub answer_time: Duration,
    /// A request that takes longer becomes a job to ask for later.
    pub wait: Duration,
    /// Keys on disk (507).
    pub keys: usize,
    /// Keys of one caller (403).
    pub caller_keys: usize,
    /// Bytes of the keys on disk, those that are being received included (507).
    pub disk_bytes: u64,
    /// Bytes of the expanded keys in memory; those that were not used for longest are dropped.
    pub memory_bytes: u64,
    /// At the end: time for answers to be fetched and for uploads to come in.
    pub linger: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 512,
            // Longer than common clients keep a connection that they do not use.
            header_time: Duration::from_secs(20),
            body_time: Duration::from_secs(10),
            body_rate: 16 << 10,
            send_time: Duration::from_secs(30),
            receiving_bytes: 256 << 20,
            samples: 1024,
            waiting: 1024,
            caller_jobs: 256,
            job_bytes: 1 << 30,
            answer_time: Duration::from_secs(600),
            wait: Duration::from_secs(10),
            keys: 10_000,
            caller_keys: 100,
            disk_bytes: 64 << 30,
            memory_bytes: 4 << 30,
            linger: Duration::from_secs(10),
        }
    }
}

impl Limits {
    /// Bytes of the jobs of one caller.
    pub(crate) fn caller_job_bytes(&self) -> u64 {
        self.job_bytes / 4
    }
}
