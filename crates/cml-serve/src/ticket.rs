//! A job as the one who asked for it sees it.

use crate::desk::Permit;
use crate::problem::Code;
use crate::spool::{Draft, Files};
use bytes::Bytes;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Id of a job: random, so that nobody else names it.
pub(crate) type JobId = [u8; 16];

/// What has become of a job.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    /// Waiting or running.
    Open,
    /// The file with the results.
    Done(Bytes),
    /// Why there is none.
    Failed(Code, String),
}

/// A job as the one who asked for it sees it; its place within the caller's limits.
pub(crate) struct Ticket {
    pub(crate) id: JobId,
    pub(crate) permit: Permit,
    outcome: Mutex<Outcome>,
    /// Those of a job to ask for later; held while its end is written.
    files: Mutex<Option<Files>>,
    changed: Notify,
    begun: AtomicBool,
    abandoned: AtomicBool,
    delivered: AtomicBool,
}

impl Ticket {
    pub(crate) fn new(id: JobId, permit: Permit) -> Self {
        Self {
            id,
            permit,
            outcome: Mutex::new(Outcome::Open),
            files: Mutex::default(),
            changed: Notify::new(),
            begun: AtomicBool::new(false),
            abandoned: AtomicBool::new(false),
            delivered: AtomicBool::new(false),
        }
    }

    pub(crate) fn outcome(&self) -> Outcome {
        let outcome = self.outcome.lock().unwrap_or_else(PoisonError::into_inner);
        outcome.clone()
    }

    pub(crate) fn is_open(&self) -> bool {
        matches!(self.outcome(), Outcome::Open)
    }

    /// Gives an unfinished job its files; whether it was one.
    pub(crate) fn store(&self, draft: Draft) -> bool {
        let mut files = self.files();
        let is_open = self.is_open();
        if is_open {
            *files = draft.accept();
        }
        is_open
    }

    /// Takes up files that are there.
    pub(crate) fn take_up(&self, files: Files) {
        *self.files() = Some(files);
    }

    /// Notes, on disk too if it is there, that the job begins to run in this process. Not for the threads of
    /// connections.
    pub(crate) fn begin(&self) {
        let mut files = self.files();
        if !self.begun.swap(true, Ordering::Relaxed)
            && let Some(files) = &mut *files
            && let Err(error) = files.count_start()
        {
            tracing::error!(%error, "storage: rename a job");
        }
    }

    pub(crate) fn has_begun(&self) -> bool {
        self.begun.load(Ordering::Relaxed)
    }

    /// Removes the job's files, if it has any.
    pub(crate) fn discard(&self) {
        if let Some(files) = self.files().take() {
            files.discard();
        }
    }

    /// Ends the job: on disk first, if it is there. Not for the threads of connections.
    pub(crate) fn end(&self, outcome: Outcome) {
        let files = self.files();
        if let Some(files) = &*files {
            files.end(&outcome);
        }
        self.finish(outcome);
    }

    fn files(&self) -> MutexGuard<'_, Option<Files>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the job in memory.
    pub(crate) fn finish(&self, outcome: Outcome) {
        *self.outcome.lock().unwrap_or_else(PoisonError::into_inner) = outcome;
        self.changed.notify_waiters();
    }

    /// Waits for the end.
    pub(crate) async fn ended(&self) -> Outcome {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // From here on no end is missed.
            changed.as_mut().enable();
            match self.outcome() {
                Outcome::Open => changed.await,
                outcome => return outcome,
            }
        }
    }

    /// Nobody waits any longer: there is no need to start.
    pub(crate) fn abandon(&self) {
        self.abandoned.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_abandoned(&self) -> bool {
        self.abandoned.load(Ordering::Relaxed)
    }

    /// The answer was handed out once.
    pub(crate) fn deliver(&self) {
        self.delivered.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_delivered(&self) -> bool {
        self.delivered.load(Ordering::Relaxed)
    }
}
