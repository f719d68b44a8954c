//! What is served, and within which limits.

use crate::{ServeError, Tokens};
use bytes::Bytes;
use cml_exec::{ServedCircuit, estimate_seconds};
use cml_file::{Artifact, to_hex};
use cml_scheme::{ArtifactError, Interface as _, ParameterSets, artifact};
use cml_tfhe::{Circuit, client_spec};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// What a service needs to start.
pub struct Config {
    /// Circuits.
    pub models: Vec<Model>,
    /// Folder of uploaded keys and accepted jobs; is made if it is not there.
    pub data: PathBuf,
    /// Who is let in.
    pub tokens: Tokens,
    /// Who may read the counters, which tell about all callers: with [`Tokens::none`] nobody.
    pub metrics_tokens: Tokens,
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
        let seconds = estimate_seconds(&circuit);
        Self::with_estimate(circuit, seconds)
    }

    /// As [`Model::new`], with the seconds of one sample known.
    ///
    /// # Errors
    /// If the circuit cannot be hashed.
    pub fn with_estimate(circuit: Circuit, seconds: f64) -> Result<Self, ServeError> {
        let spec = client_spec(&circuit).map_err(|source| ArtifactError::Spec {
            name: circuit.name().to_owned(),
            source,
        })?;
        let spec = spec.to_bytes()?.to_vec();
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

    /// Most samples of one request: inputs of more could never be received, or never kept beside their results.
    pub(crate) fn most_samples(&self, limits: &Limits) -> u64 {
        let fit = |bytes: fn(&Self, u64) -> u64, limit: u64| {
            let none = bytes(self, 0);
            let one = bytes(self, 1) - none;
            let left = limit.saturating_sub(none);
            left.checked_div(one).unwrap_or(u64::MAX)
        };
        let received = fit(Self::input_file_bytes, limits.receiving_kib() << 10);
        let kept = fit(Self::job_bytes, limits.caller_job_bytes());
        received.min(kept).min(limits.samples.into())
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

/// Limits: on connections and what comes over them, on jobs, on keys.
///
/// What is over one of the first kind ends a connection or a request, what is over one of the others is refused.
/// `docs/deploy.md` and [`OPENAPI`](crate::OPENAPI) say with which status.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections at a time; more wait to be accepted.
    pub connections: usize,
    /// Whether something in front makes all connections, so that their addresses say nothing. Otherwise an
    /// address may have a quarter of the connections, and those over it end at once; loopback has no limit.
    pub behind_proxy: bool,
    /// Time for the head of a request, for the TLS handshake and for an idle connection.
    pub header_time: Duration,
    /// Longest silence within a body, and how far behind the least rate it may fall.
    pub body_time: Duration,
    /// Least bytes of a body in a second.
    pub body_rate: u64,
    /// Longest time in which nothing of an answer can be sent; the connection ends.
    pub send_time: Duration,
    /// Least bytes of an answer in a second; the connection ends when it is behind them by `send_time`.
    pub send_rate: u64,
    /// Bytes of inputs that are being received.
    pub receiving_bytes: u64,
    /// Samples of one request.
    pub samples: u32,
    /// Jobs that wait.
    pub waiting: usize,
    /// Jobs of one caller: waiting, running, and finished with an answer that is kept.
    pub caller_jobs: usize,
    /// Bytes of jobs: inputs that wait and answers, those that are expected included; in memory, and
    /// again on disk. One caller may have a quarter.
    pub job_bytes: u64,
    /// How long the answer of a finished job is kept.
    pub answer_time: Duration,
    /// A request that takes longer becomes a job to ask for later.
    pub wait: Duration,
    /// Keys on disk.
    pub keys: usize,
    /// Keys of one caller.
    pub caller_keys: usize,
    /// Bytes of the keys on disk, those that are being received included.
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
            behind_proxy: false,
            // Longer than common clients keep a connection that they do not use.
            header_time: Duration::from_secs(20),
            body_time: Duration::from_secs(10),
            body_rate: 16 << 10,
            send_time: Duration::from_secs(30),
            send_rate: 16 << 10,
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

    /// Room for inputs that are being received; what is counted in KiB fits a semaphore.
    pub(crate) fn receiving_kib(&self) -> u64 {
        (self.receiving_bytes >> 10).min(Semaphore::MAX_PERMITS as u64)
    }

    /// Connections of one address.
    pub(crate) fn address_connections(&self) -> usize {
        if self.behind_proxy {
            self.connections
        } else {
            self.connections.div_ceil(4)
        }
    }
}
