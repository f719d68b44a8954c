//! A job as the one who asked for it sees it: its [`State`], and what has to happen when that changes.

use crate::desk::Permit;
use crate::life::{Cause, End, Event, Failure, State};
use crate::spool::{Draft, Files};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::sync::Notify;

/// Id of a job: random, so that nobody else names it.
pub(crate) type JobId = [u8; 16];

/// A job as the one who asked for it sees it; its place within the caller's limits.
pub(crate) struct Ticket {
    pub(crate) id: JobId,
    pub(crate) permit: Permit,
    life: Mutex<Life>,
    /// Those of a job to ask for later; held while its end is written.
    files: Mutex<Option<Files>>,
    changed: Notify,
}

struct Life {
    state: State,
    /// Since when there is an answer.
    ended: Option<Instant>,
}

impl Ticket {
    /// A job that is accepted.
    pub(crate) fn new(id: JobId, permit: Permit) -> Self {
        Self {
            id,
            permit,
            life: Mutex::new(Life {
                state: State::Accepted,
                ended: None,
            }),
            files: Mutex::default(),
            changed: Notify::new(),
        }
    }

    /// A job that was accepted before the process started, and has its files.
    pub(crate) fn accepted_before(permit: Permit, files: Files) -> Self {
        let ticket = Self::new(files.name.id, permit);
        *ticket.files() = Some(files);
        ticket
    }

    /// A job that ended before the process started.
    pub(crate) fn ended_before(permit: Permit, files: Files, end: End, ended: Instant) -> Self {
        let ticket = Self::accepted_before(permit, files);
        *ticket.life() = Life {
            state: match end {
                Ok(results) => State::Done(results),
                Err(failure) => State::Failed(failure),
            },
            ended: Some(ended),
        };
        ticket
    }

    /// Where it is in its life.
    pub(crate) fn state(&self) -> State {
        self.life().state.clone()
    }

    /// Whether there will be an answer, but is none yet.
    pub(crate) fn is_open(&self) -> bool {
        self.life().state.is_open()
    }

    /// Whether nobody can have an answer any more: there is no need to start.
    pub(crate) fn is_expired(&self) -> bool {
        matches!(self.life().state, State::Expired)
    }

    /// Whether the answer was handed out once.
    pub(crate) fn is_delivered(&self) -> bool {
        matches!(self.life().state, State::Delivered(_))
    }

    /// Whether it runs, or waits for one more turn.
    pub(crate) fn is_running(&self) -> bool {
        matches!(self.life().state, State::Running)
    }

    /// Since when there is an answer.
    pub(crate) fn ended_at(&self) -> Option<Instant> {
        self.life().ended
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

    /// Its turn has come; whether it is worth one. The first turn is noted on disk too, if it is there. Not for the
    /// threads of connections.
    pub(crate) fn begin(&self) -> bool {
        let mut files = self.files();
        let is_first = !self.is_running();
        let begins = self.change(Event::Begin);
        if begins
            && is_first
            && let Some(files) = &mut *files
            && let Err(error) = files.count_start()
        {
            tracing::error!(%error, "storage: rename a job");
        }
        begins
    }

    /// Ends the job: on disk first, if it is there. Not for the threads of connections.
    pub(crate) fn end(&self, end: End) {
        let files = self.files();
        if let Some(files) = &*files {
            files.end(&end);
        }
        self.change(Event::Finish(end));
    }

    /// Ends a job that has been lost, in memory: its inputs may still be on disk.
    pub(crate) fn lose(&self) {
        if self.is_open() {
            let lost = Failure::new(Cause::Internal, "the job was lost");
            self.change(Event::Finish(Err(lost)));
        }
    }

    /// The answer was handed out to its end.
    pub(crate) fn deliver(&self) {
        self.change(Event::Deliver);
    }

    /// The caller went away, or was told that the job is not accepted after all.
    pub(crate) fn abandon(&self) {
        self.change(Event::Abandon);
        self.discard();
    }

    /// The answer is no longer kept.
    pub(crate) fn expire(&self) {
        self.change(Event::Expire);
        self.discard();
    }

    /// Waits for the end; none if nobody can know it any more.
    pub(crate) async fn ended(&self) -> Option<End> {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // From here on no end is missed.
            changed.as_mut().enable();
            let state = self.state();
            if !state.is_open() {
                return state.end();
            }
            changed.await;
        }
    }

    /// Goes on with its life; whether it does. An event that the state does not have is a defect of the service, and
    /// changes nothing.
    fn change(&self, event: Event) -> bool {
        let is_end = matches!(event, Event::Finish(_));
        let mut life = self.life();
        match life.state.after(event) {
            Ok(state) => {
                life.state = state;
                if is_end && life.ended.is_none() {
                    life.ended = Some(Instant::now());
                }
                drop(life);
                self.changed.notify_waiters();
                true
            }
            Err(illegal) => {
                // Who went away just before the turn came is no defect.
                if !matches!(life.state, State::Expired) {
                    tracing::error!(error = %illegal, "job");
                }
                false
            }
        }
    }

    fn discard(&self) {
        if let Some(files) = self.files().take() {
            files.discard();
        }
    }

    fn life(&self) -> MutexGuard<'_, Life> {
        self.life.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn files(&self) -> MutexGuard<'_, Option<Files>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
