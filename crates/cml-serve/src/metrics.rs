//! Counters for Prometheus.

use crate::shared::Shared;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use std::sync::atomic::AtomicU64;

/// Labels of a request: the route, never the path.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct RequestLabels {
    pub(crate) method: String,
    pub(crate) route: String,
    pub(crate) status: u16,
}

/// Why something was refused.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct RefusedLabels {
    pub(crate) code: &'static str,
}

/// What is counted as it happens, and what is looked up when somebody asks.
pub(crate) struct Metrics {
    registry: Registry,
    pub(crate) requests: Family<RequestLabels, Counter>,
    pub(crate) refused: Family<RefusedLabels, Counter>,
    pub(crate) samples: Counter,
    pub(crate) batches: Counter,
    pub(crate) batch_samples: Histogram,
    pub(crate) run_seconds: Histogram,
    pub(crate) job_seconds: Histogram,
    pub(crate) failed_jobs: Counter,
    pub(crate) key_loads: Counter,
    pub(crate) key_load_errors: Counter,
    pub(crate) key_load_seconds: Histogram,
    pub(crate) received_bytes: Counter,
    pub(crate) sent_bytes: Counter,
    pub(crate) connections: Gauge,
    pub(crate) refused_connections: Counter,
    pub(crate) memory_bytes: Gauge,
    waiting: Gauge,
    job_bytes: Gauge,
    keys: Gauge,
    disk_bytes: Gauge<u64, AtomicU64>,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix("cml");
        let seconds = || Histogram::new(exponential_buckets(0.001, 2.0, 20));
        let metrics = Self {
            requests: Family::default(),
            refused: Family::default(),
            samples: Counter::default(),
            batches: Counter::default(),
            batch_samples: Histogram::new(exponential_buckets(1.0, 2.0, 8)),
            run_seconds: seconds(),
            job_seconds: seconds(),
            failed_jobs: Counter::default(),
            key_loads: Counter::default(),
            key_load_errors: Counter::default(),
            key_load_seconds: seconds(),
            received_bytes: Counter::default(),
            sent_bytes: Counter::default(),
            connections: Gauge::default(),
            refused_connections: Counter::default(),
            memory_bytes: Gauge::default(),
            waiting: Gauge::default(),
            job_bytes: Gauge::default(),
            keys: Gauge::default(),
            disk_bytes: Gauge::default(),
            registry: Registry::default(),
        };
        let m = &metrics;
        registry.register("requests", "Requests answered", m.requests.clone());
        registry.register(
            "refused",
            "Requests refused, by the word of the error",
            m.refused.clone(),
        );
        registry.register("samples", "Samples run", m.samples.clone());
        registry.register("batches", "Batches run", m.batches.clone());
        registry.register("batch_samples", "Samples of a batch", m.batch_samples.clone());
        let mut time = |name, help, histogram: &Histogram| {
            registry.register_with_unit(name, help, Unit::Seconds, histogram.clone());
        };
        time("run", "Time of a batch", &m.run_seconds);
        time(
            "job",
            "Time from the acceptance of a job to its results",
            &m.job_seconds,
        );
        time(
            "key_load",
            "Time to read and expand a key from disk",
            &m.key_load_seconds,
        );
        registry.register(
            "jobs_failed",
            "Jobs that ended without results",
            m.failed_jobs.clone(),
        );
        registry.register("key_loads", "Keys expanded from disk", m.key_loads.clone());
        registry.register(
            "key_load_errors",
            "Keys that could not be read from disk, and were tried again",
            m.key_load_errors.clone(),
        );
        registry.register(
            "connections_refused",
            "Connections over the share of their address",
            m.refused_connections.clone(),
        );
        let bytes = || Unit::Bytes;
        registry.register_with_unit(
            "received",
            "Bytes of bodies received",
            bytes(),
            m.received_bytes.clone(),
        );
        registry.register_with_unit(
            "sent",
            "Bytes of answers with results",
            bytes(),
            m.sent_bytes.clone(),
        );
        registry.register_with_unit(
            "key_memory",
            "Expanded keys in memory",
            bytes(),
            m.memory_bytes.clone(),
        );
        registry.register_with_unit(
            "jobs",
            "Inputs that wait, answers kept and expected",
            bytes(),
            m.job_bytes.clone(),
        );
        registry.register_with_unit("key_disk", "Keys on disk", bytes(), m.disk_bytes.clone());
        registry.register("connections", "Open connections", m.connections.clone());
        registry.register("waiting", "Jobs that wait", m.waiting.clone());
        registry.register("keys", "Keys on disk", m.keys.clone());
        Self { registry, ..metrics }
    }

    /// The text of `GET /metrics`.
    pub(crate) fn text(&self, shared: &Shared) -> Result<String, std::fmt::Error> {
        let (keys, disk) = shared.store.size();
        self.keys.set(keys as i64);
        self.disk_bytes.set(disk);
        self.waiting.set(shared.queue.waiting() as i64);
        self.job_bytes.set(shared.desk.bytes() as i64);
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}
