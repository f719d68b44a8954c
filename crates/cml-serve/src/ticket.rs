//! A job as the one who asked for it sees it.

use crate::desk::Permit;
use crate::problem::Code;
use bytes::Bytes;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
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
    changed: Notify,
    abandoned: AtomicBool,
    delivered: AtomicBool,
}

impl Ticket {
    pub(crate) fn new(id: JobId, permit: Permit) -> Self {
        Self {
            id,
            permit,
            outcome: Mutex::new(Outcome::Open),
            changed: Notify::new(),
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

    /// Ends the job.
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
