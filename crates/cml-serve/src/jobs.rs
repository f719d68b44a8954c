//! `POST /v1/models/{hash}/infer` and `GET /v1/jobs/{id}`: work.

use crate::accept::Inputs;
use crate::answer::Answer;
use crate::body::Reader;
use crate::caller::Caller;
use crate::desk::Found;
use crate::life::{End, Failure, State};
use crate::models::{self, OCTETS};
use crate::prefer::Preferences;
use crate::problem::{Code, Problem};
use crate::refusal::Refusal;
use crate::routes::Named;
use crate::shared::Shared;
use crate::spool::Draft;
use crate::ticket::{JobId, Ticket};
use axum::Json;
use axum::extract::{Extension, Request, State as Has};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, LOCATION, RETRY_AFTER};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use cml_file::{Artifact, from_hex, to_hex};
use cml_scheme::artifact::EncryptedInputs;
use serde_json::json;
use std::sync::Arc;
use tokio::time::timeout;

/// Longest time that a caller is told to wait, in seconds.
const LONGEST_RETRY: f64 = 60.0;

/// Says that the caller went away, unless it has its answer or was told to ask for it.
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
    Has(shared): Has<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Named(hash): Named,
    request: Request,
) -> Result<Response, Problem> {
    let model = models::find(&shared, &hash).map_err(Problem::close)?;
    if shared.is_draining() {
        return Err(Problem::from(Refusal::ShuttingDown).close());
    }
    let served = &shared.models[model];
    let refuse = |refusal| match refusal {
        Refusal::Queue { waiting, .. } => {
            let seconds = (waiting as f64 * served.seconds()).clamp(1.0, LONGEST_RETRY);
            Problem::from(refusal).retry_after(seconds as u64)
        }
        refusal => refusal.into(),
    };
    // Once more when the body is there; but who can be told before need not send it.
    (shared.has_place(caller)).map_err(|refusal| refuse(refusal).close())?;
    let (head, body) = request.into_parts();
    let inputs: Inputs = Arc::new(receive(&shared, model, &head.headers, body).await?);
    let samples = inputs.value.len();
    let job = shared
        .accept(caller, model, Arc::clone(&inputs))
        .map_err(refuse)?;
    let ticket = Arc::clone(&job.ticket);

    let preferences = Preferences::of(&head.headers);
    let longest = shared.limits.wait;
    let wait = preferences.wait.map_or(longest, |wait| wait.min(longest));
    let is_long = samples as f64 * served.seconds() > wait.as_secs_f64();
    if is_long || preferences.is_async {
        shared.queue.has_room().map_err(refuse)?;
        ticket.store(write(&shared, &ticket, &inputs).await?);
        if let Err(refusal) = shared.queue.push(job) {
            ticket.abandon();
            return Err(refuse(refusal));
        }
    } else {
        let mut waiting = Waiting(Some(Arc::clone(&ticket)));
        shared.queue.push(job).map_err(refuse)?;
        if let Ok(end) = timeout(wait, ticket.ended()).await {
            waiting.0 = None;
            return answer(&shared, &ticket, end, Problem::from);
        }
        let draft = write(&shared, &ticket, &inputs).await?;
        let is_stored = ticket.store(draft);
        waiting.0 = None;
        if !is_stored {
            // It has ended meanwhile.
            return answer(&shared, &ticket, ticket.state().end(), Problem::from);
        }
    }
    shared.desk.keep(&ticket);
    Ok(accepted(&shared, &ticket.id))
}

/// Writes the inputs of a job that the caller will be told to ask for.
async fn write(shared: &Arc<Shared>, ticket: &Arc<Ticket>, inputs: &Inputs) -> Result<Draft, Problem> {
    let (shared, ticket, inputs) = (Arc::clone(shared), Arc::clone(ticket), Arc::clone(inputs));
    let written = tokio::task::spawn_blocking(move || shared.write(&ticket, &inputs)).await;
    Ok(written.map_err(|_| Problem::new(Code::Internal, "the job was not stored"))??)
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

/// What has become of a job.
pub(crate) async fn get(
    Has(shared): Has<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Named(id): Named,
) -> Result<Response, Problem> {
    let found = from_hex(&id).map(|id| shared.desk.find(&id, caller));
    match found.unwrap_or(Found::Nothing) {
        Found::Nothing => Err(Problem::new(Code::UnknownJob, "the caller has no such job")),
        Found::Dropped => Err(expired()),
        Found::Job(ticket) => match ticket.state() {
            State::Accepted | State::Running => Ok(accepted(&shared, &ticket.id)),
            // Just now.
            State::Expired => Err(expired()),
            state @ (State::Done(_) | State::Failed(_) | State::Delivered(_)) => {
                let failed = |failure: Failure| Problem::new(Code::Failed, failure.text);
                answer(&shared, &ticket, state.end(), failed)
            }
        },
    }
}

fn expired() -> Problem {
    Problem::new(Code::Expired, "the answer was kept for its time and is gone")
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

/// The results; `failed` is what a failure becomes.
fn answer(
    shared: &Shared,
    ticket: &Arc<Ticket>,
    end: Option<End>,
    failed: impl Fn(Failure) -> Problem,
) -> Result<Response, Problem> {
    match end {
        Some(Ok(results)) => {
            shared.metrics.sent_bytes.inc_by(results.len() as u64);
            let headers = [
                (CONTENT_TYPE, OCTETS.to_owned()),
                (CONTENT_LENGTH, results.len().to_string()),
            ];
            Ok((headers, Answer::new(ticket, results).body()).into_response())
        }
        Some(Err(failure)) => {
            ticket.deliver();
            Err(failed(failure))
        }
        None => Err(Problem::new(Code::Internal, "the job has no end")),
    }
}
