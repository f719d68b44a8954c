//! Jobs that were accepted before the process started: run, or their answers kept.

use crate::life::{Cause, End, Failure};
use crate::queue::Job;
use crate::shared::Shared;
use crate::spool::Files;
use crate::ticket::Ticket;
use cml_file::Artifact;
use cml_scheme::ArtifactError;
use cml_scheme::artifact::{self, EncryptedInputs};
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Processes that may go down while they run a job. One that ends the process each time would keep all others
/// from being run.
const MOST_STARTS: u32 = 5;

/// Takes up a job. One whose files are damaged is removed: its caller is told that it is not known, and sends
/// it again. What cannot be read is left alone.
pub(crate) fn take_up(shared: &Shared, files: Files) {
    let caller = files.name.caller;
    let taken = match answer(&files) {
        Ok(Some((end, age))) => {
            keep(shared, files, end, age);
            Ok(())
        }
        Ok(None) => run(shared, files),
        Err(error) => Err((files, error)),
    };
    match taken {
        Ok(()) => {}
        Err((files, error)) if error.kind() == io::ErrorKind::InvalidData => {
            tracing::warn!(%caller, %error, "a damaged job is removed");
            files.discard();
        }
        Err((_, error)) => tracing::error!(%caller, %error, "storage: read a job"),
    }
}

/// The answer of a job that has ended, and how long it has been there. A damaged one does not count.
fn answer(files: &Files) -> io::Result<Option<(End, Duration)>> {
    let Some((ended, age)) = files.ended()? else {
        return Ok(None);
    };
    if let Ok(bytes) = &ended
        && let Err(error) = cml_file::decode(artifact::OUTPUTS, "results of a job", bytes)
    {
        tracing::warn!(caller = %files.name.caller, %error, "damaged results are made again");
        return Ok(None);
    }
    Ok(Some((ended, age)))
}

/// Keeps an answer for what is left of its time.
fn keep(shared: &Shared, files: Files, end: End, age: Duration) {
    if age >= shared.limits.answer_time {
        shared.desk.forget(files.name.id);
        files.discard();
        return;
    }
    files.discard_inputs();
    let bytes = end.as_ref().map_or(0, |results| results.len() as u64);
    // The machine may have started after it.
    let ended = Instant::now().checked_sub(age).unwrap_or_else(Instant::now);
    let permit = shared.desk.take_up(files.name.caller, bytes);
    let ticket = Ticket::ended_before(permit, files, end, ended);
    shared.desk.keep(&Arc::new(ticket));
}

/// Puts a job that has not ended at the end of its line.
fn run(shared: &Shared, files: Files) -> Result<(), (Files, io::Error)> {
    let found = match files.inputs() {
        Ok(bytes) => find(shared, &bytes),
        // Its results are damaged, and its inputs were removed.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(damaged(error)),
        Err(error) => Err(error),
    };
    let found = match found {
        Ok(found) => found,
        Err(error) => return Err((files, error)),
    };
    let Some((model, inputs)) = found else {
        fail(shared, files, "the model is no longer served");
        return Ok(());
    };
    if files.name.starts >= MOST_STARTS {
        let text = format!("the server went down {MOST_STARTS} times while the job ran");
        fail(shared, files, &text);
        return Ok(());
    }
    let alone = files.name.starts > 0;
    let bytes = shared.models[model].model.job_bytes(inputs.value.len() as u64);
    let age = files.name.age();
    let ticket = ticket(shared, files, bytes);
    shared.desk.keep(&ticket);
    shared.queue.take_up(Job {
        ticket,
        model,
        key: inputs.binding.keys,
        inputs: Arc::new(inputs),
        results: Vec::new(),
        since: Instant::now().checked_sub(age).unwrap_or_else(Instant::now),
        alone,
        tries: 0,
        _open: Arc::clone(&shared.open_jobs),
    });
    Ok(())
}

/// Inputs with the number of their model, if it is served.
fn find(shared: &Shared, bytes: &[u8]) -> io::Result<Option<(usize, EncryptedInputs)>> {
    for (number, served) in shared.models.iter().enumerate() {
        match EncryptedInputs::from_bytes("inputs of a job", bytes, &served.model.circuit) {
            Ok(inputs) => return Ok(Some((number, inputs))),
            Err(ArtifactError::OtherCircuit { .. }) => {}
            Err(error) => return Err(damaged(error)),
        }
    }
    Ok(None)
}

fn fail(shared: &Shared, files: Files, why: &str) {
    shared.metrics.failed_jobs.inc();
    let ticket = ticket(shared, files, 0);
    ticket.end(Err(Failure::new(Cause::Earlier, why)));
    shared.desk.keep(&ticket);
}

fn ticket(shared: &Shared, files: Files, bytes: u64) -> Arc<Ticket> {
    let permit = shared.desk.take_up(files.name.caller, bytes);
    Arc::new(Ticket::accepted_before(permit, files))
}

fn damaged(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
