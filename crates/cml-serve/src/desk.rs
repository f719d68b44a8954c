//! Limits on jobs and the answers that are kept.
//!
//! A job takes its place, and room for its inputs and its answer, before it is accepted: what was accepted can always
//! be finished and kept. Both are given back when the last one lets go of the ticket.

use crate::caller::Caller;
use crate::config::Limits;
use crate::problem::{Code, Problem};
use crate::ticket::{JobId, Ticket};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

/// Ids of answers that were dropped, so that asking for one says so.
const REMEMBERED: usize = 10_000;
/// Seconds after which a caller over its limits may try again.
const RETRY_SECONDS: u64 = 2;

/// Jobs and answers of all callers.
pub(crate) struct Desk {
    caller_jobs: usize,
    caller_bytes: u64,
    most_bytes: u64,
    keep: Duration,
    shares: Mutex<Shares>,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Shares {
    /// Jobs and their bytes.
    of_caller: BTreeMap<Caller, (usize, u64)>,
    bytes: u64,
}

#[derive(Default)]
struct Kept {
    /// Jobs to ask for, and since when their answers wait.
    jobs: BTreeMap<JobId, (Arc<Ticket>, Option<Instant>)>,
    /// Those whose answers were kept for their time.
    dropped: BTreeSet<JobId>,
    /// The same, oldest first.
    oldest: VecDeque<JobId>,
}

impl Kept {
    fn forget(&mut self, id: JobId) {
        if self.dropped.insert(id) {
            self.oldest.push_back(id);
        }
        if self.oldest.len() > REMEMBERED
            && let Some(id) = self.oldest.pop_front()
        {
            self.dropped.remove(&id);
        }
    }
}

/// What asking for a job finds.
pub(crate) enum Found {
    /// It is there.
    Job(Arc<Ticket>),
    /// It was there.
    Dropped,
    /// No such job.
    Nothing,
}

/// A job's place within the limits.
pub(crate) struct Permit {
    /// The desk keeps tickets, and they have this: weak, so that they end with it.
    desk: Weak<Desk>,
    pub(crate) caller: Caller,
    bytes: u64,
}

impl Drop for Permit {
    fn drop(&mut self) {
        let Some(desk) = self.desk.upgrade() else {
            return;
        };
        let mut shares = desk.shares();
        shares.bytes -= self.bytes;
        if let Some((jobs, bytes)) = shares.of_caller.get_mut(&self.caller) {
            *jobs -= 1;
            *bytes -= self.bytes;
            if *jobs == 0 {
                shares.of_caller.remove(&self.caller);
            }
        }
    }
}

impl Desk {
    pub(crate) fn new(limits: &Limits) -> Arc<Self> {
        Arc::new(Self {
            caller_jobs: limits.caller_jobs,
            caller_bytes: limits.caller_job_bytes(),
            most_bytes: limits.job_bytes,
            keep: limits.answer_time,
            shares: Mutex::default(),
            kept: Mutex::default(),
        })
    }

    /// A place for a job with inputs and an answer of so many bytes.
    pub(crate) fn admit(self: &Arc<Self>, caller: Caller, bytes: u64) -> Result<Permit, Problem> {
        if bytes > self.caller_bytes {
            let text = format!(
                "inputs and answer take {bytes} bytes, limit {}",
                self.caller_bytes
            );
            return Err(Problem::new(Code::TooLarge, text));
        }
        self.making_way(caller, || self.try_admit(caller, bytes))
    }

    /// Whether a caller has a place for one more job, as it is now.
    pub(crate) fn has_place(&self, caller: Caller) -> Result<(), Problem> {
        self.making_way(caller, || self.check_jobs(&self.shares(), caller).map(drop))
    }

    /// Answers that were fetched make way for new ones: the caller's own, and those of others only where the
    /// room of all is full without them.
    fn making_way<T>(&self, caller: Caller, admit: impl Fn() -> Result<T, Problem>) -> Result<T, Problem> {
        let is_full = |result: &Result<T, Problem>| matches!(result, Err(p) if p.code == Code::MemoryFull);
        let mut result = admit();
        if result.is_err() {
            self.drop_answers(|ticket, _| ticket.is_delivered() && ticket.permit.caller == caller);
            result = admit();
        }
        if is_full(&result) {
            self.drop_answers(|ticket, _| ticket.is_delivered());
            result = admit();
        }
        result
    }

    /// Bytes of the caller's jobs.
    fn check_jobs(&self, shares: &Shares, caller: Caller) -> Result<u64, Problem> {
        let (jobs, kept) = shares.of_caller.get(&caller).copied().unwrap_or_default();
        if jobs >= self.caller_jobs {
            let text = format!("the caller has {jobs} jobs, limit {}", self.caller_jobs);
            return Err(Problem::new(Code::CallerLimit, text).retry_after(RETRY_SECONDS));
        }
        Ok(kept)
    }

    fn try_admit(self: &Arc<Self>, caller: Caller, bytes: u64) -> Result<Permit, Problem> {
        let refuse = |code, text| Err(Problem::new(code, text).retry_after(RETRY_SECONDS));
        let mut shares = self.shares();
        let kept = self.check_jobs(&shares, caller)?;
        if kept + bytes > self.caller_bytes {
            let text = format!(
                "the caller's jobs take {kept} bytes, {bytes} more are over the limit of {}",
                self.caller_bytes
            );
            return refuse(Code::CallerLimit, text);
        }
        if shares.bytes + bytes > self.most_bytes {
            let text = format!("no room for a job of {bytes} bytes now");
            return refuse(Code::MemoryFull, text);
        }
        Ok(self.permit(&mut shares, caller, bytes))
    }

    /// A place for a job that was accepted before the process started: limits do not count, but it counts
    /// for them.
    pub(crate) fn take_up(self: &Arc<Self>, caller: Caller, bytes: u64) -> Permit {
        self.permit(&mut self.shares(), caller, bytes)
    }

    fn permit(self: &Arc<Self>, shares: &mut Shares, caller: Caller, bytes: u64) -> Permit {
        shares.bytes += bytes;
        let (jobs, kept) = shares.of_caller.entry(caller).or_default();
        *jobs += 1;
        *kept += bytes;
        Permit {
            desk: Arc::downgrade(self),
            caller,
            bytes,
        }
    }

    /// Keeps a job to be asked for; an answer that is there waits `since` then.
    pub(crate) fn keep(&self, ticket: &Arc<Ticket>, since: Option<Instant>) {
        let job = (Arc::clone(ticket), since);
        self.kept().jobs.insert(ticket.id, job);
    }

    /// Notes that the answer of a job was kept for its time.
    pub(crate) fn forget(&self, id: JobId) {
        self.kept().forget(id);
    }

    /// The job of that id, if it is the caller's.
    pub(crate) fn find(&self, id: &JobId, caller: Caller) -> Found {
        let kept = self.kept();
        match kept.jobs.get(id) {
            Some((ticket, _)) if ticket.permit.caller == caller => Found::Job(Arc::clone(ticket)),
            None if kept.dropped.contains(id) => Found::Dropped,
            _ => Found::Nothing,
        }
    }

    /// Jobs whose answers nobody has fetched, unfinished ones included.
    pub(crate) fn unfetched(&self) -> usize {
        let kept = self.kept();
        let tickets = kept.jobs.values().map(|(ticket, _)| ticket);
        tickets.filter(|ticket| !ticket.is_delivered()).count()
    }

    /// Bytes of jobs: inputs, answers, and answers that are expected.
    pub(crate) fn bytes(&self) -> u64 {
        self.shares().bytes
    }

    /// Drops answers that were kept for their time. Looks at all of them: for who does so now and then.
    pub(crate) fn expire(&self) {
        let now = Instant::now();
        self.drop_answers(|ticket, since| match since {
            Some(since) => now.duration_since(*since) >= self.keep,
            None => {
                if !ticket.is_open() {
                    *since = Some(now);
                }
                false
            }
        });
    }

    fn drop_answers(&self, mut is_over: impl FnMut(&Ticket, &mut Option<Instant>) -> bool) {
        // Tickets give back their places when they are dropped: after the lock.
        let mut kept = self.kept();
        let over: Vec<_> = (kept.jobs)
            .extract_if(.., |_, (ticket, since)| is_over(ticket, since))
            .collect();
        for (id, (ticket, _)) in &over {
            ticket.discard();
            kept.forget(*id);
        }
        drop(kept);
    }

    fn shares(&self) -> MutexGuard<'_, Shares> {
        self.shares.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Tokens;
    use crate::ticket::Outcome;
    use axum::http::HeaderMap;
    use bytes::Bytes;

    fn caller(last: u8) -> Caller {
        let address = [10, 0, 0, last].into();
        Tokens::none().caller(&HeaderMap::new(), address).unwrap()
    }

    fn desk(answer_time: Duration) -> Arc<Desk> {
        Desk::new(&Limits {
            caller_jobs: 2,
            job_bytes: 400,
            answer_time,
            ..Limits::default()
        })
    }

    fn code(result: Result<Permit, Problem>) -> Code {
        result.err().unwrap().code
    }

    #[test]
    fn places_are_limited_and_given_back() {
        let desk = desk(Duration::from_secs(60));
        assert_eq!(code(desk.admit(caller(1), 101)), Code::TooLarge);
        let one = desk.admit(caller(1), 60).unwrap();
        assert_eq!(code(desk.admit(caller(1), 60)), Code::CallerLimit);
        let two = desk.admit(caller(1), 40).unwrap();
        assert_eq!(code(desk.admit(caller(1), 0)), Code::CallerLimit);
        let others: Vec<_> = (2..5).map(|c| desk.admit(caller(c), 100).unwrap()).collect();
        assert_eq!(code(desk.admit(caller(5), 1)), Code::MemoryFull);
        drop((one, two, others));
        assert_eq!(desk.bytes(), 0);
        desk.admit(caller(5), 1).unwrap();
    }

    #[test]
    fn answers_are_kept_for_their_time() {
        let desk = desk(Duration::ZERO);
        let ticket = Arc::new(Ticket::new([7; 16], desk.admit(caller(1), 1).unwrap()));
        desk.keep(&ticket, None);
        assert!(matches!(desk.find(&[7; 16], caller(2)), Found::Nothing));
        assert!(matches!(desk.find(&[7; 16], caller(1)), Found::Job(_)));
        ticket.finish(Outcome::Done(Bytes::new()));
        desk.expire();
        desk.expire();
        assert!(matches!(desk.find(&[7; 16], caller(1)), Found::Dropped));
        assert!(matches!(desk.find(&[8; 16], caller(1)), Found::Nothing));
        drop(ticket);
        assert_eq!(desk.bytes(), 0);
    }

    #[test]
    fn fetched_answers_make_way() {
        let desk = desk(Duration::from_secs(60));
        for id in [1, 2] {
            let ticket = Arc::new(Ticket::new([id; 16], desk.admit(caller(1), 50).unwrap()));
            desk.keep(&ticket, None);
            ticket.finish(Outcome::Done(Bytes::new()));
            if id == 1 {
                ticket.deliver();
            }
        }
        assert_eq!(desk.unfetched(), 1);
        desk.admit(caller(1), 50).unwrap();
        assert!(matches!(desk.find(&[1; 16], caller(1)), Found::Dropped));
        assert!(matches!(desk.find(&[2; 16], caller(1)), Found::Job(_)));
    }

    #[test]
    fn answers_of_others_make_way_only_where_the_room_of_all_is_full() {
        let desk = desk(Duration::from_secs(60));
        let answer = |id: u8, of: Caller, bytes| {
            let ticket = Arc::new(Ticket::new([id; 16], desk.admit(of, bytes).unwrap()));
            desk.keep(&ticket, None);
            ticket.finish(Outcome::Done(Bytes::new()));
            ticket.deliver();
        };
        let is_there = |id: u8, of| matches!(desk.find(&[id; 16], of), Found::Job(_));
        answer(1, caller(1), 100);
        answer(2, caller(2), 90);
        // The second is over its own limits.
        answer(3, caller(2), 20);
        assert!(is_there(1, caller(1)) && !is_there(2, caller(2)));
        // There is no room for the third, but for what others have had.
        let held: Vec<_> = (4..6).map(|c| desk.admit(caller(c), 100).unwrap()).collect();
        answer(6, caller(3), 100);
        assert!(!is_there(1, caller(1)) && is_there(6, caller(3)));
        drop(held);
    }
}
