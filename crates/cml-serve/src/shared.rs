//! What requests and worker share.

use crate::Tokens;
use crate::config::{Config, Limits, Model};
use crate::data::DataFolder;
use crate::desk::Desk;
use crate::error::ServeError;
use crate::metrics::Metrics;
use crate::queue::Queue;
use crate::spool::Spool;
use crate::store::Store;
use crate::{restore, worker};
use cml_file::to_hex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::sync::Semaphore;

/// What requests and worker share.
pub(crate) struct Shared {
    pub(crate) models: Vec<Served>,
    by_hash: BTreeMap<[u8; 32], usize>,
    pub(crate) tokens: Tokens,
    /// Of those who may read the counters.
    pub(crate) metrics_tokens: Tokens,
    pub(crate) limits: Limits,
    pub(crate) store: Arc<Store>,
    pub(crate) spool: Arc<Spool>,
    pub(crate) queue: Queue,
    pub(crate) desk: Arc<Desk>,
    pub(crate) metrics: Metrics,
    /// Room for inputs that are being received, in KiB.
    pub(crate) receiving: Arc<Semaphore>,
    /// Cloned for each job and each upload as long as it is not finished.
    pub(crate) open_jobs: Arc<()>,
    pub(crate) uploads: Arc<()>,
    draining: AtomicBool,
}

/// A model with its measured time.
pub(crate) struct Served {
    pub(crate) model: Model,
    pub(crate) hash: String,
    /// Bits of an `f64`.
    seconds: AtomicU64,
}

impl Served {
    /// Seconds of one sample, as last measured.
    pub(crate) fn seconds(&self) -> f64 {
        f64::from_bits(self.seconds.load(Ordering::Relaxed))
    }

    /// Takes a new measurement into account; only the worker does.
    pub(crate) fn measured(&self, seconds: f64) {
        let mean = 0.8 * self.seconds() + 0.2 * seconds;
        self.seconds.store(mean.to_bits(), Ordering::Relaxed);
    }
}

impl Shared {
    /// Checks the configuration, opens the data folder and takes up the jobs in it.
    pub(crate) fn open(config: Config) -> Result<Arc<Self>, ServeError> {
        let Config {
            models,
            data,
            tokens,
            metrics_tokens,
            limits,
        } = config;
        if tokens.share_one_with(&metrics_tokens) {
            return Err(ServeError::SharedToken);
        }
        if models.is_empty() {
            return Err(ServeError::NoModels);
        }
        let mut by_hash = BTreeMap::new();
        for (number, model) in models.iter().enumerate() {
            let name = || model.circuit.circuit().name().to_owned();
            if by_hash.insert(*model.circuit.hash(), number).is_some() {
                return Err(ServeError::Twice { name: name() });
            }
            let (needs, limit) = (model.parameters().evaluation_key_bytes(), limits.memory_bytes);
            if needs > limit {
                return Err(ServeError::Memory {
                    name: name(),
                    needs,
                    limit,
                });
            }
            let (needs, limit) = (model.job_bytes(1), limits.caller_job_bytes());
            if needs > limit {
                return Err(ServeError::Job {
                    name: name(),
                    needs,
                    limit,
                });
            }
        }
        let serve = |model: Model| Served {
            hash: to_hex(model.circuit.hash()),
            seconds: AtomicU64::new(model.seconds.to_bits()),
            model,
        };
        let data = Arc::new(DataFolder::open(&data)?);
        let store = Store::open(&data, &limits)?;
        let (spool, jobs) = Spool::open(&data)?;
        let shared = Arc::new(Self {
            models: models.into_iter().map(serve).collect(),
            by_hash,
            tokens,
            metrics_tokens,
            store,
            spool,
            queue: Queue::new(limits.waiting),
            desk: Desk::new(&limits),
            metrics: Metrics::new(),
            receiving: Arc::new(Semaphore::new(limits.receiving_kib() as usize)),
            open_jobs: Arc::default(),
            uploads: Arc::default(),
            draining: AtomicBool::new(false),
            limits,
        });
        for job in jobs {
            restore::take_up(&shared, job);
        }
        Ok(shared)
    }

    /// Number of the model with that hash.
    pub(crate) fn model(&self, hash: &[u8; 32]) -> Option<usize> {
        self.by_hash.get(hash).copied()
    }

    /// Whether new work is refused.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Refuses new work from now on.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
        self.queue.close();
    }

    /// Whether all accepted jobs have ended.
    pub(crate) fn is_idle(&self) -> bool {
        Arc::strong_count(&self.open_jobs) == 1
    }

    /// Whether an upload is on its way, or an answer not fetched.
    pub(crate) fn is_awaited(&self) -> bool {
        Arc::strong_count(&self.uploads) > 1 || self.desk.unfetched() > 0
    }

    /// Starts the worker.
    pub(crate) fn start_worker(self: &Arc<Self>) -> Result<std::thread::JoinHandle<()>, ServeError> {
        let (shared, runtime) = (Arc::clone(self), tokio::runtime::Handle::current());
        std::thread::Builder::new()
            .name("cml-worker".to_owned())
            .spawn(move || worker::work(&shared, &runtime))
            .map_err(ServeError::Thread)
    }
}
