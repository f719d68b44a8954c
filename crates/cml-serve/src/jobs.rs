//! `POST /v1/models/{hash}/infer` and `GET /v1/jobs/{id}`: work.

use crate::answer::Answer;
use crate::body::Reader;
use crate::caller::Caller;
use crate::desk::Found;
use crate::models::{self, OCTETS};
use crate::prefer::Preferences;
use crate::problem::{Code, Problem};
use crate::queue::{Job, Refused};
use crate::routes::Named;
use crate::shared::Shared;
use crate::spool::Draft;
use crate::ticket::{JobId, Outcome, Ticket};
use axum::Json;
use axum::extract::{Extension, Request, State};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, LOCATION, RETRY_AFTER};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use cml_file::{Artifact, from_hex, to_hex};
use cml_scheme::artifact::EncryptedInputs;
use rand::TryRngCore;
use rand::rngs::OsRng;
use serde_json::json;
use std::sync::Arc;
use std::time::Instant;
use tokio::time::timeout;

/// Longest time that a caller is told to wait, in seconds.
const LONGEST_RETRY: f64 = 60.0;

/// Tells the worker that the caller went away, unless the job is kept to be asked for.
struct Waiting(Option<Arc<Ticket>>);

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(ticket) = &self.0 {
            ticket.abandon();
        }
    }
}

/// Runs a model on encrypted samples; long work becomes a job.
pub(crate) async fn infer(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Named(hash): Named,
    request: Request,
) -> Result<Response, Problem> {
    let model = models::find(&shared, &hash).map_err(Problem::close)?;
    if shared.is_draining() {
        return Err(Problem::shutting_down().close());
    }
    let served = &shared.models[model];
    let refuse = |refused| match refused {
        Refused::Full(has) => {
            let seconds = (has as f64 * served.seconds()).clamp(1.0, LONGEST_RETRY);
            let text = format!("{has} jobs wait, limit {}", shared.limits.waiting);
            Problem::new(Code::QueueFull, text).retry_after(seconds as u64)
        }
        Refused::Closed => Problem::shutting_down(),
    };
    // Once more when the body is there; but who can be told before need not send it.
    (shared.queue.has_room()).map_err(|refused| refuse(refused).close())?;
    shared.desk.has_place(caller).map_err(Problem::close)?;
    let (head, body) = request.into_parts();
    let inputs = Arc::new(receive(&shared, model, &head.headers, body).await?);
    check_key(&shared, model, &inputs)?;

    let samples = inputs.value.len();
    let bytes = served.model.job_bytes(samples as u64);
    let mut id: JobId = [0; 16];
    OsRng
        .try_fill_bytes(&mut id)
        .map_err(|_| Problem::new(Code::Internal, "no randomness"))?;
    let ticket = Arc::new(Ticket::new(id, shared.desk.admit(caller, bytes)?));
    let job = Job {
        ticket: Arc::clone(&ticket),
        model,
        key: inputs.binding.keys,
        inputs: Arc::clone(&inputs),
        results: Vec::new(),
        since: Instant::now(),
        alone: false,
        tries: 0,
        _open: Arc::clone(&shared.open_jobs),
    };

    let preferences = Preferences::of(&head.headers);
    let longest = shared.limits.wait;
    let wait = preferences.wait.map_or(longest, |wait| wait.min(longest));
    let is_long = samples as f64 * served.seconds() > wait.as_secs_f64();
    if is_long || preferences.is_async {
        shared.queue.has_room().map_err(refuse)?;
        ticket.store(write(&shared, &ticket, &inputs).await?);
        if let Err(refused) = shared.queue.push(job) {
            ticket.discard();
            return Err(refuse(refused));
        }
    } else {
        let mut waiting = Waiting(Some(Arc::clone(&ticket)));
        shared.queue.push(job).map_err(refuse)?;
        if let Ok(outcome) = timeout(wait, ticket.ended()).await {
            return answer(&shared, &ticket, outcome, |code| code);
        }
        let draft = write(&shared, &ticket, &inputs).await?;
        if !ticket.store(draft) {
            // It has ended meanwhile.
            return answer(&shared, &ticket, ticket.outcome(), |code| code);
        }
        waiting.0 = None;
    }
    shared.desk.keep(&ticket, None);
    Ok(accepted(&shared, &ticket.id))
}

/// Writes the inputs of a job that the caller will be told to ask for.
async fn write(
    shared: &Arc<Shared>,
    ticket: &Arc<Ticket>,
    inputs: &Arc<EncryptedInputs>,
) -> Result<Draft, Problem> {
    let spool = Arc::clone(&shared.spool);
    let (ticket, inputs) = (Arc::clone(ticket), Arc::clone(inputs));
    let write = move || {
        // The bytes that were received: a file has one form.
        let bytes = inputs.to_bytes().map_err(std::io::Error::other)?;
        spool.write(ticket.id, ticket.permit.caller, ticket.has_begun(), &bytes)
    };
    let written = tokio::task::spawn_blocking(write).await;
    written
        .map_err(|_| Problem::new(Code::Internal, "the job was not stored"))?
        .map_err(|e| Problem::storage("store a job", &e))
}

/// The inputs of a request, checked against their model.
async fn receive(
    shared: &Arc<Shared>,
    model: usize,
    headers: &HeaderMap,
    body: axum::body::Body,
) -> Result<EncryptedInputs, Problem> {
    let served = &shared.models[model].model;
    let limit = served.input_file_bytes(served.most_samples(&shared.limits));
    let reader = Reader::new(headers, body, limit, shared)?;
    let kilobytes = reader.expected().div_ceil(1 << 10);
    let room = u32::try_from(kilobytes).ok();
    let room = room.and_then(|n| Arc::clone(&shared.receiving).try_acquire_many_owned(n).ok());
    let Some(room) = room else {
        let text = format!("no room to receive {kilobytes} KiB now");
        return Err(Problem::new(Code::Busy, text).retry_after(1).close());
    };
    let bytes = reader.collect().await?;
    let parsing = Arc::clone(shared);
    let parsed = tokio::task::spawn_blocking(move || {
        let circuit = &parsing.models[model].model.circuit;
        let inputs = EncryptedInputs::from_bytes("encrypted input", &bytes, circuit);
        drop(room);
        inputs
    });
    parsed
        .await
        .map_err(|_| Problem::new(Code::Internal, "the input was not read"))?
        .map_err(|e| Problem::artifact(&e))
}

/// The key has to be there, of this model.
fn check_key(shared: &Shared, model: usize, inputs: &EncryptedInputs) -> Result<(), Problem> {
    let (has, limit) = (inputs.value.len(), shared.limits.samples);
    if has > limit as usize {
        return Err(Problem::new(
            Code::TooLarge,
            format!("{has} samples, limit {limit}"),
        ));
    }
    match shared.store.find(&inputs.binding.keys) {
        None => {
            let text = format!("no key with the id {}", to_hex(&inputs.binding.keys));
            Err(Problem::new(Code::UnknownKey, text))
        }
        Some(entry) if entry.circuit != *shared.models[model].model.circuit.hash() => {
            let text = "the key of this id belongs to another circuit";
            Err(Problem::new(Code::Foreign, text))
        }
        Some(_) => Ok(()),
    }
}

/// What has become of a job.
pub(crate) async fn get(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Named(id): Named,
) -> Result<Response, Problem> {
    let found = from_hex(&id).map(|id| shared.desk.find(&id, caller));
    match found.unwrap_or(Found::Nothing) {
        Found::Nothing => Err(Problem::new(Code::UnknownJob, "the caller has no such job")),
        Found::Dropped => {
            let text = "the answer was kept for its time and is gone";
            Err(Problem::new(Code::Expired, text))
        }
        Found::Job(ticket) => match ticket.outcome() {
            Outcome::Open => Ok(accepted(&shared, &ticket.id)),
            outcome => answer(&shared, &ticket, outcome, |_| Code::Failed),
        },
    }
}

fn accepted(shared: &Shared, id: &JobId) -> Response {
    let id = to_hex(id);
    let headers = [
        (LOCATION, format!("/v1/jobs/{id}")),
        (
            RETRY_AFTER,
            if shared.is_draining() { "1" } else { "2" }.to_owned(),
        ),
    ];
    (StatusCode::ACCEPTED, headers, Json(json!({ "job": id }))).into_response()
}

/// The results; `code` is what a failure becomes.
fn answer(
    shared: &Shared,
    ticket: &Arc<Ticket>,
    outcome: Outcome,
    code: impl Fn(Code) -> Code,
) -> Result<Response, Problem> {
    match outcome {
        Outcome::Done(results) => {
            shared.metrics.sent_bytes.inc_by(results.len() as u64);
            let headers = [
                (CONTENT_TYPE, OCTETS.to_owned()),
                (CONTENT_LENGTH, results.len().to_string()),
            ];
            Ok((headers, Answer::new(ticket, results).body()).into_response())
        }
        Outcome::Failed(why, text) => {
            ticket.deliver();
            Err(Problem::new(code(why), text))
        }
        Outcome::Open => Err(Problem::new(Code::Internal, "the job has not ended")),
    }
}
