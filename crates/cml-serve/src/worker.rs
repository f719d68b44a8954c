//! The one thread that runs jobs; the executor spreads each batch over all cores.

use crate::cache::Cache;
use crate::life::{Cause, Failure};
use crate::queue::Job;
use crate::shared::Shared;
use crate::store::{Entry, KeyId};
use bytes::Bytes;
use cml_exec::Server;
use cml_file::{Artifact, FileError};
use cml_scheme::artifact::EncryptedOutputs;
use cml_scheme::{ArtifactError, Binding, Bound, Ciphertext, SeededCiphertexts, ServerKeys};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::Handle;

/// Share of the time of a batch for which the next one waits for those who were in this one.
const GRACE: f64 = 0.02;
/// Seconds after which the next key has its turn, if samples are short enough.
const TURN: f64 = 5.0;
const LONGEST_GRACE: Duration = Duration::from_millis(10);
/// How often a key is read that cannot be read now, as when there are too many open files, and the pause before
/// the next time.
const MOST_TRIES: u32 = 20;
const TRY_PAUSE: Duration = Duration::from_millis(500);

/// Why a batch has no results.
enum Stop {
    /// There will be none.
    Failed(Failure),
    /// The key cannot be read, or has just changed: its jobs wait for another turn.
    Again,
}

impl Stop {
    fn failed(cause: Cause, text: impl Into<String>) -> Self {
        Self::Failed(Failure::new(cause, text))
    }
}

/// Runs jobs until the queue is closed and empty.
pub(crate) fn work(shared: &Arc<Shared>, runtime: &Handle) {
    let mut cache = Cache::new(shared.limits.memory_bytes);
    let together = |model: usize| {
        let served = &shared.models[model];
        let in_time = (TURN / served.seconds()).ceil().max(1.0) as usize;
        // Fewer would leave packs empty, and take as long.
        let packed = served.model.circuit.circuit().samples_at_once() as usize;
        served.model.circuit.samples_together().min(in_time.max(packed))
    };
    let (mut last, mut grace) = (0, Duration::ZERO);
    while let Some(mut jobs) = shared.queue.take(together, last, grace) {
        cache.retain(|key, entry| shared.store.find(key).as_ref() == Some(entry));
        shared.metrics.memory_bytes.set(cache.bytes() as i64);
        // Callers may have gone away just now.
        jobs.retain(|job| job.ticket.begin());
        let Some(first) = jobs.first() else { continue };
        let (model, key) = (first.model, first.key);
        // Those of the last job that are too many wait for the next turn.
        let samples = batch(&jobs, together(model));
        let (count, start) = (samples.len(), Instant::now());
        // A panic is a defect of the executor: it costs these jobs, not the service.
        let result = catch_unwind(AssertUnwindSafe(|| run(shared, &mut cache, model, &key, samples)));
        let result = result.unwrap_or_else(|_| {
            cache.retain(|other, _| *other != key);
            tracing::error!("the executor panicked");
            Err(Stop::failed(Cause::Internal, "the run failed"))
        });
        shared.metrics.memory_bytes.set(cache.bytes() as i64);
        // Who waits already could run with those who come back.
        last = jobs.len() + shared.queue.waiting();
        grace = start.elapsed().mul_f64(GRACE).min(LONGEST_GRACE);
        match result {
            Ok(results) => {
                tracing::debug!(jobs = jobs.len(), samples = count, "batch");
                hand_out(shared, runtime, jobs, results);
            }
            Err(Stop::Failed(failure)) => fail(shared, runtime, jobs, failure),
            Err(Stop::Again) => {
                try_again(shared, runtime, jobs);
                std::thread::sleep(TRY_PAUSE);
            }
        }
    }
}

/// Ends jobs without results.
fn fail(shared: &Shared, runtime: &Handle, jobs: Vec<Job>, failure: Failure) {
    let Failure { cause, text } = &failure;
    tracing::warn!(jobs = jobs.len(), code = cause.word(), text, "batch failed");
    shared.metrics.failed_jobs.inc_by(jobs.len() as u64);
    // Written elsewhere: the next batch starts now.
    runtime.spawn_blocking(move || {
        for job in jobs {
            job.ticket.end(Err(failure.clone()));
        }
    });
}

/// Jobs wait for another turn, in the order in which they were, but not for ever.
fn try_again(shared: &Shared, runtime: &Handle, jobs: Vec<Job>) {
    let (left, over): (Vec<_>, _) = jobs.into_iter().partition(|job| job.tries < MOST_TRIES);
    for mut job in left.into_iter().rev() {
        job.tries += 1;
        shared.queue.put_back(job);
    }
    if !over.is_empty() {
        let failure = Failure::new(Cause::Internal, "the server cannot read a key");
        fail(shared, runtime, over, failure);
    }
}

/// Samples of the jobs that run now: all but those of the last job that are too many.
fn batch(jobs: &[Job], together: usize) -> Vec<SeededCiphertexts> {
    let left = jobs.iter().flat_map(|job| &job.inputs.value[job.results.len()..]);
    left.take(together).cloned().collect()
}

fn run(
    shared: &Shared,
    cache: &mut Cache,
    model: usize,
    key: &KeyId,
    samples: Vec<SeededCiphertexts>,
) -> Result<Vec<Vec<Ciphertext>>, Stop> {
    let served = &shared.models[model];
    let circuit = &served.model.circuit;
    let unknown = || Stop::failed(Cause::UnknownKey, "the key is no longer there");
    let (stored, path) = shared.store.file(key).ok_or_else(unknown)?;
    let bytes = served.model.parameters().evaluation_key_bytes();
    let server = cache.get(key, stored, bytes, || load(shared, model, key, &stored, &path))?;
    let (start, count) = (Instant::now(), samples.len());
    let inputs = Bound {
        binding: Binding {
            circuit: *circuit.hash(),
            keys: *key,
        },
        value: samples,
    };
    let outputs = server.run(&inputs, &mut |_| {});
    let outputs = outputs.map_err(|e| Stop::failed(Cause::Internal, e.to_string()))?;
    let seconds = start.elapsed().as_secs_f64();
    served.measured(seconds / count as f64);
    let metrics = &shared.metrics;
    metrics.run_seconds.observe(seconds);
    metrics.batches.inc();
    metrics.batch_samples.observe(count as f64);
    metrics.samples.inc_by(count as u64);
    Ok(outputs.value)
}

/// Reads and expands a key.
fn load(shared: &Shared, model: usize, key: &KeyId, stored: &Entry, path: &Path) -> Result<Server, Stop> {
    let (circuit, start) = (&shared.models[model].model.circuit, Instant::now());
    let read = Bound::<ServerKeys>::read(path, circuit);
    if shared.store.find(key).as_ref() != Some(stored) {
        // It was removed, or stored anew, while it was read: the next turn finds out.
        return Err(Stop::Again);
    }
    let bound = read.map_err(|error| match error {
        ArtifactError::File(FileError::Io { source, .. }) if source.kind() != io::ErrorKind::NotFound => {
            shared.metrics.key_load_errors.inc();
            tracing::error!(error = %source, "storage: read a key");
            Stop::Again
        }
        error => {
            // Its path has the key's id, and the log has none.
            let text = error.to_string();
            let why = text
                .strip_prefix(&*path.to_string_lossy())
                .unwrap_or("not readable");
            tracing::error!(why = why.trim_start_matches(": "), "a damaged key is removed");
            shared.store.discard(key, stored);
            Stop::failed(Cause::UnknownKey, "the key is no longer there")
        }
    })?;
    let server = circuit.server(&bound, &mut |_| {});
    let server = server.map_err(|e| Stop::failed(Cause::Internal, e.to_string()))?;
    shared.metrics.key_loads.inc();
    shared
        .metrics
        .key_load_seconds
        .observe(start.elapsed().as_secs_f64());
    Ok(server)
}

/// Gives each job its results; those that are not finished wait for their next turn.
fn hand_out(shared: &Arc<Shared>, runtime: &Handle, jobs: Vec<Job>, results: Vec<Vec<Ciphertext>>) {
    let mut results = results.into_iter();
    for mut job in jobs {
        let left = job.left();
        job.results.extend(results.by_ref().take(left));
        if job.left() > 0 {
            shared.queue.put_back(job);
            continue;
        }
        let shared = Arc::clone(shared);
        // Written elsewhere: the next batch starts now.
        runtime.spawn_blocking(move || {
            let binding = job.inputs.binding;
            let results: EncryptedOutputs = Bound {
                binding,
                value: std::mem::take(&mut job.results),
            };
            let end = match results.to_bytes() {
                Ok(mut file) => Ok(Bytes::from(std::mem::take(&mut *file))),
                Err(error) => Err(Failure::new(Cause::Internal, error.to_string())),
            };
            let seconds = job.since.elapsed().as_secs_f64();
            shared.metrics.job_seconds.observe(seconds);
            job.ticket.end(end);
        });
    }
}
