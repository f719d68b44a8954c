//! Why the service does not take work or a key, whoever asks and however. `problem.rs` says it over HTTP.

use std::io;

/// Why something is not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    /// No token, where one is needed.
    #[error("a bearer token is needed")]
    NoToken,
    /// A token that is not one of those let in.
    #[error("the bearer token is not known")]
    UnknownToken,
    /// The counters of all callers, which are not for every caller.
    #[error("the counters need a token of their own")]
    NoCounters,
    /// More samples than a request may have.
    #[error("{has} samples, limit {limit}")]
    Samples { has: usize, limit: u32 },
    /// A job that no caller could ever have.
    #[error("inputs and answer take {needs} bytes, limit {limit}")]
    JobBytes { needs: u64, limit: u64 },
    /// The caller's jobs.
    #[error("the caller has {has} jobs, limit {limit}")]
    CallerJobs { has: usize, limit: usize },
    /// Their bytes.
    #[error("the caller's jobs take {has} bytes, {more} more are over the limit of {limit}")]
    CallerJobBytes { has: u64, more: u64, limit: u64 },
    /// The bytes of all jobs.
    #[error("no room for a job of {needs} bytes now")]
    Memory { needs: u64 },
    /// Jobs that wait.
    #[error("{waiting} jobs wait, limit {limit}")]
    Queue { waiting: usize, limit: usize },
    /// No new work: another server may take it, or this one when it is back.
    #[error("the server is shutting down")]
    ShuttingDown,
    /// Inputs under a key that is not there.
    #[error("no key with the id {id}")]
    UnknownKey { id: String },
    /// Inputs of one circuit under the key of another.
    #[error("the key of this id belongs to another circuit")]
    ForeignKey,
    /// The caller's keys.
    #[error("the caller has {has} keys, limit {limit}")]
    CallerKeys { has: usize, limit: usize },
    /// The keys of all callers.
    #[error("the server has {has} keys, limit {limit}")]
    Keys { has: usize, limit: usize },
    /// Their bytes.
    #[error("keys take {has} bytes of the server's disk, {more} more are over the limit of {limit}")]
    KeyBytes { has: u64, more: u64, limit: u64 },
    /// Another key has the id.
    #[error("another key is there under the id {id}")]
    OtherKey { id: String },
    /// The operating system gives no randomness.
    #[error("no randomness")]
    Randomness,
    /// Storage that does not do its work; what the system says is for the log, since paths have ids in them.
    #[error("{}", storage_text(doing, source))]
    Storage { doing: &'static str, source: io::Error },
}

impl Refusal {
    /// Storage that does not do its work.
    pub(crate) fn storage(doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Storage { doing, source }
    }
}

/// Whether a disk is full, and not broken.
pub(crate) fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded)
}

fn storage_text(doing: &str, error: &io::Error) -> String {
    if is_full(error) {
        "the server's disk is full".to_owned()
    } else {
        format!("the server cannot {doing}")
    }
}
