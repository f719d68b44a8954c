//! `PUT` and `DELETE /v1/keys/{id}`: keys come and go.

use crate::body::Reader;
use crate::caller::Caller;
use crate::problem::{Code, Problem};
use crate::refusal::Refusal;
use crate::routes::Named;
use crate::shared::Shared;
use crate::store::{KeyId, Room, Store, Stored};
use axum::extract::{Extension, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use cml_file::{from_hex, to_hex};
use cml_scheme::artifact::ArrivingKey;
use serde_json::json;
use std::io;
use std::sync::Arc;
use tempfile::TempPath;
use tokio::fs::File;
use tokio::io::AsyncWriteExt;
use tokio::runtime::Handle;

/// Receives a key: to disk as it comes, checked as it comes, and under its name when it is whole.
pub(crate) async fn put(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Named(id): Named,
    request: Request,
) -> Result<Response, Problem> {
    let id = parse(&id).map_err(Problem::close)?;
    if shared.is_draining() {
        return Err(Problem::from(Refusal::ShuttingDown).close());
    }
    let upload = Arc::clone(&shared.uploads);
    let limit = shared.models.iter().map(|m| m.model.key_file_bytes()).max();
    let (head, body) = request.into_parts();
    let body = Reader::new(&head.headers, body, limit.unwrap_or(0), &shared)?;
    if shared.store.find(&id).is_none() {
        // Once more when its length is known; but who can be told before need not send it.
        let room = shared.store.room(caller, body.announced().unwrap_or(0));
        drop(room.map_err(|refusal| Problem::from(refusal).close())?);
    }
    let result = receive(&shared, caller, &id, body).await;
    drop(upload);
    // What is left of the body is not read.
    let stored = result.map_err(Problem::close)?;
    let (status, word) = match stored {
        Stored::New => (StatusCode::CREATED, "stored"),
        Stored::Same => (StatusCode::OK, "known"),
    };
    let answer = json!({ "key": to_hex(&id), "state": word });
    Ok((status, axum::Json(answer)).into_response())
}

async fn receive(
    shared: &Arc<Shared>,
    caller: Caller,
    id: &KeyId,
    mut body: Reader,
) -> Result<Stored, Problem> {
    let malformed = |error| Problem::artifact(&error);
    let mut key = ArrivingKey::new("server key");
    // What comes before it is known whose key it is: no more than a head and what came with it.
    let mut start = Vec::new();
    let head = loop {
        let Some(bytes) = body.next().await? else {
            // Says what is missing.
            let error = key.finish().err().map(malformed);
            return Err(error.unwrap_or_else(|| Problem::new(Code::Malformed, "the key is too short")));
        };
        key.update(&bytes).map_err(malformed)?;
        start.extend_from_slice(&bytes);
        if let Some(head) = key.head() {
            break head;
        }
    };
    if head.binding.keys != *id {
        let text = format!("the key's own id is {}", to_hex(&head.binding.keys));
        return Err(Problem::new(Code::Foreign, text));
    }
    let Some(model) = shared.model(&head.binding.circuit) else {
        let text = "the key belongs to a circuit that is not served here";
        return Err(Problem::new(Code::Foreign, text));
    };
    let needs = shared.models[model].model.key_file_bytes();
    if head.file_bytes != needs {
        let text = format!(
            "the key has {} bytes, the circuit's have {needs}",
            head.file_bytes
        );
        return Err(Problem::new(Code::Malformed, text));
    }
    if let Some(entry) = shared.store.find(id) {
        // Nothing to write; the checksum of the bytes that come tells whether they are the same.
        while let Some(bytes) = body.next().await? {
            key.update(&bytes).map_err(malformed)?;
        }
        let head = key.finish().map_err(malformed)?;
        if head.checksum == entry.checksum {
            return Ok(Stored::Same);
        }
        return Err(Refusal::OtherKey { id: to_hex(id) }.into());
    }
    let room = shared.store.room(caller, head.file_bytes)?;
    let failed = |e: io::Error| Problem::storage("store a key", &e);
    let (mut file, incoming) = Incoming::open(&shared.store, room).await.map_err(failed)?;
    let written = async {
        file.write_all(&start).await.map_err(failed)?;
        drop(start);
        while let Some(bytes) = body.next().await? {
            key.update(&bytes).map_err(malformed)?;
            file.write_all(&bytes).await.map_err(failed)?;
        }
        let head = key.finish().map_err(malformed)?;
        // Errors of the last write are told by this, and not by the flush to disk.
        file.flush().await.map_err(failed)?;
        file.sync_all().await.map_err(failed)?;
        Ok(head)
    };
    let written: Result<_, Problem> = written.await;
    drop(file);
    let store = Arc::clone(&shared.store);
    let keep = move |room, path| {
        let head = written?;
        Ok(store.keep(room, path, &head.binding, head.checksum)?)
    };
    incoming.end(keep).await
}

/// A file that is being received, and its room. Whatever becomes of it, no thread of a connection removes it, and
/// the room is given back after it.
struct Incoming(Option<(TempPath, Room)>);

impl Incoming {
    async fn open(store: &Arc<Store>, room: Room) -> io::Result<(File, Self)> {
        let store = Arc::clone(store);
        let opened = tokio::task::spawn_blocking(move || store.receive()).await;
        let (file, path) = opened.map_err(io::Error::other)??.into_parts();
        Ok((File::from_std(file), Self(Some((path, room)))))
    }

    /// Keeps the file, or drops it.
    async fn end<T, F>(mut self, end: F) -> Result<T, Problem>
    where
        T: Send + 'static,
        F: FnOnce(Room, TempPath) -> Result<T, Problem> + Send + 'static,
    {
        let held = self.0.take();
        let ended = tokio::task::spawn_blocking(move || held.map(|(path, room)| end(room, path)));
        let lost = || Err(Problem::new(Code::Internal, "the key was not stored"));
        ended.await.ok().flatten().unwrap_or_else(lost)
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        let held = self.0.take();
        // Without a runtime nobody waits for this thread.
        if let (Some(held), Ok(runtime)) = (held, Handle::try_current()) {
            runtime.spawn_blocking(move || drop(held));
        }
    }
}

/// Removes a key of the caller.
pub(crate) async fn delete(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Named(id): Named,
) -> Result<StatusCode, Problem> {
    let id = parse(&id)?;
    let store = Arc::clone(&shared.store);
    let removed = tokio::task::spawn_blocking(move || store.remove(&id, caller)).await;
    match removed.map_err(|_| Problem::new(Code::Internal, "the key was not removed"))?? {
        true => {
            // Its expanded form need not stay in memory until somebody has work.
            shared.queue.nudge();
            Ok(StatusCode::NO_CONTENT)
        }
        false => Err(Problem::new(Code::UnknownKey, "the caller has no such key")),
    }
}

fn parse(id: &str) -> Result<KeyId, Problem> {
    from_hex(id).ok_or_else(|| {
        let text = "the id of a key is 32 hexadecimal digits in lower case";
        Problem::new(Code::Malformed, text)
    })
}
