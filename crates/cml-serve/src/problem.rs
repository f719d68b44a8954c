//! What a request is refused with over HTTP: a status, a word for programs, a sentence for people.

use crate::life::{Cause, Failure};
use crate::refusal::{Refusal, is_full};
use axum::Json;
use axum::http::header::{CONNECTION, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use cml_scheme::ArtifactError;
use serde_json::json;
use std::io;

/// Seconds after which a caller over its limits may try again.
const LIMIT_RETRY: u64 = 2;
/// Seconds after which another server may be there, or this one again.
const START_RETRY: u64 = 5;

/// The word for programs. One status each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    Malformed,
    Unauthorized,
    KeyLimit,
    NotFound,
    UnknownModel,
    UnknownKey,
    UnknownJob,
    MethodNotAllowed,
    TooSlow,
    Foreign,
    KeyConflict,
    Failed,
    Expired,
    TooLarge,
    UnsupportedEncoding,
    QueueFull,
    CallerLimit,
    MemoryFull,
    Busy,
    Internal,
    ShuttingDown,
    StorageFull,
}

impl Code {
    /// As it stands in the answer.
    pub(crate) fn word(self) -> &'static str {
        self.entry().0
    }

    pub(crate) fn status(self) -> StatusCode {
        self.entry().1
    }

    fn entry(self) -> (&'static str, StatusCode) {
        match self {
            Code::Malformed => ("malformed", StatusCode::BAD_REQUEST),
            Code::Unauthorized => ("unauthorized", StatusCode::UNAUTHORIZED),
            Code::KeyLimit => ("key_limit", StatusCode::FORBIDDEN),
            Code::NotFound => ("not_found", StatusCode::NOT_FOUND),
            Code::UnknownModel => ("unknown_model", StatusCode::NOT_FOUND),
            Code::UnknownKey => ("unknown_key", StatusCode::NOT_FOUND),
            Code::UnknownJob => ("unknown_job", StatusCode::NOT_FOUND),
            Code::MethodNotAllowed => ("method_not_allowed", StatusCode::METHOD_NOT_ALLOWED),
            Code::TooSlow => ("too_slow", StatusCode::REQUEST_TIMEOUT),
            Code::Foreign => ("foreign", StatusCode::CONFLICT),
            Code::KeyConflict => ("key_conflict", StatusCode::CONFLICT),
            Code::Failed => ("failed", StatusCode::GONE),
            Code::Expired => ("expired", StatusCode::GONE),
            Code::TooLarge => ("too_large", StatusCode::PAYLOAD_TOO_LARGE),
            Code::UnsupportedEncoding => ("unsupported_encoding", StatusCode::UNSUPPORTED_MEDIA_TYPE),
            Code::QueueFull => ("queue_full", StatusCode::TOO_MANY_REQUESTS),
            Code::CallerLimit => ("caller_limit", StatusCode::TOO_MANY_REQUESTS),
            Code::MemoryFull => ("memory_full", StatusCode::TOO_MANY_REQUESTS),
            Code::Busy => ("busy", StatusCode::TOO_MANY_REQUESTS),
            Code::Internal => ("internal", StatusCode::INTERNAL_SERVER_ERROR),
            Code::ShuttingDown => ("shutting_down", StatusCode::SERVICE_UNAVAILABLE),
            Code::StorageFull => ("storage_full", StatusCode::INSUFFICIENT_STORAGE),
        }
    }
}

/// An answer that is an error.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    pub(crate) code: Code,
    pub(crate) text: String,
    /// Seconds after which trying again makes sense.
    pub(crate) retry_after: Option<u64>,
    /// Whether the rest of the request is not read.
    close: bool,
}

impl Problem {
    pub(crate) fn new(code: Code, text: impl Into<String>) -> Self {
        Self {
            code,
            text: text.into(),
            retry_after: None,
            close: false,
        }
    }

    /// Says when to try again.
    pub(crate) fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// Ends the connection: there is a body that nobody will read.
    pub(crate) fn close(mut self) -> Self {
        self.close = true;
        self
    }

    /// A file that came over the wire and is wrong.
    pub(crate) fn artifact(error: &ArtifactError) -> Self {
        let code = match error {
            ArtifactError::OtherCircuit { .. } => Code::Foreign,
            _ => Code::Malformed,
        };
        Self::new(code, error.to_string())
    }

    /// Storage that does not do its work. What the system says goes to the log, paths would to the caller.
    pub(crate) fn storage(doing: &str, error: &io::Error) -> Self {
        tracing::error!(%error, "storage: {doing}");
        if is_full(error) {
            Self::new(Code::StorageFull, "the server's disk is full")
        } else {
            Self::new(Code::Internal, format!("the server cannot {doing}"))
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let (code, retry) = match &refusal {
            Refusal::NoToken | Refusal::UnknownToken | Refusal::NoCounters => (Code::Unauthorized, None),
            Refusal::Samples { .. } | Refusal::JobBytes { .. } => (Code::TooLarge, None),
            Refusal::CallerJobs { .. } | Refusal::CallerJobBytes { .. } => {
                (Code::CallerLimit, Some(LIMIT_RETRY))
            }
            Refusal::Memory { .. } => (Code::MemoryFull, Some(LIMIT_RETRY)),
            Refusal::Queue { .. } => (Code::QueueFull, Some(LIMIT_RETRY)),
            Refusal::ShuttingDown => (Code::ShuttingDown, Some(START_RETRY)),
            Refusal::UnknownKey { .. } => (Code::UnknownKey, None),
            Refusal::ForeignKey => (Code::Foreign, None),
            Refusal::CallerKeys { .. } => (Code::KeyLimit, None),
            Refusal::Keys { .. } | Refusal::KeyBytes { .. } => (Code::StorageFull, None),
            Refusal::OtherKey { .. } => (Code::KeyConflict, None),
            Refusal::Randomness => (Code::Internal, None),
            Refusal::Storage { doing, source } => return Self::storage(doing, source),
        };
        Self {
            retry_after: retry,
            ..Self::new(code, refusal.to_string())
        }
    }
}

impl From<Failure> for Problem {
    /// Of a request that waited for its answer; that of a job is [`Code::Failed`].
    fn from(failure: Failure) -> Self {
        let code = match failure.cause {
            Cause::UnknownKey => Code::UnknownKey,
            Cause::Internal => Code::Internal,
            Cause::Earlier => Code::Failed,
        };
        Self::new(code, failure.text)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = json!({ "error": self.text, "code": self.code.word() });
        let mut response = (self.code.status(), Json(body)).into_response();
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        if self.close {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        if self.code == Code::Unauthorized {
            let scheme = HeaderValue::from_static("Bearer");
            headers.insert(axum::http::header::WWW_AUTHENTICATE, scheme);
        }
        response.extensions_mut().insert(self.code);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_from_a_broken_one() {
        let of = |kind| Problem::storage("store a key", &io::Error::new(kind, "/a/path"));
        for kind in [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded] {
            let problem = of(kind);
            assert_eq!(problem.code.status().as_u16(), 507);
            assert_eq!(problem.text, "the server's disk is full");
        }
        let problem = of(io::ErrorKind::PermissionDenied);
        assert_eq!(problem.code.status().as_u16(), 500);
        assert_eq!(problem.text, "the server cannot store a key");
    }
}
