//! Limits on jobs and the answers that are kept.
//!
//! A job takes its place, and room for its inputs and its answer, before it is accepted: what was accepted can always
//! be finished and kept. Both are given back when the last one lets go of the ticket.

use crate::caller::Caller;
use crate::config::Limits;
use crate::refusal::Refusal;
use crate::ticket::{JobId, Ticket};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

/// Ids of answers that were dropped, so that asking for one says so.
const REMEMBERED: usize = 10_000;

/// Jobs and answers of all callers.
pub(crate) struct Desk {
    caller_jobs: usize,
    caller_bytes: u64,
    most_bytes: u64,
    keep: Duration,
    taken: Mutex<Taken>,
    kept: Mutex<Kept>,
}

/// What jobs take of the limits.
#[derive(Default)]
struct Taken {
    /// Jobs and their bytes.
    of_caller: BTreeMap<Caller, (usize, u64)>,
    bytes: u64,
}

#[derive(Default)]
struct Kept {
    /// Jobs to ask for.
    jobs: BTreeMap<JobId, Arc<Ticket>>,
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
        let mut taken = desk.taken();
        taken.bytes -= self.bytes;
        if let Some((jobs, bytes)) = taken.of_caller.get_mut(&self.caller) {
            *jobs -= 1;
            *bytes -= self.bytes;
            if *jobs == 0 {
                taken.of_caller.remove(&self.caller);
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
            taken: Mutex::default(),
            kept: Mutex::default(),
        })
    }

    /// A place for a job with inputs and an answer of so many bytes.
    pub(crate) fn admit(self: &Arc<Self>, caller: Caller, bytes: u64) -> Result<Permit, Refusal> {
        if bytes > self.caller_bytes {
            return Err(Refusal::JobBytes {
                needs: bytes,
                limit: self.caller_bytes,
            });
        }
        self.making_way(caller, || self.try_admit(caller, bytes))
    }

    /// Whether a caller has a place for one more job, as it is now.
    pub(crate) fn has_place(&self, caller: Caller) -> Result<(), Refusal> {
        self.making_way(caller, || self.check_jobs(&self.taken(), caller).map(drop))
    }

    /// Answers that were fetched make way for new ones: the caller's own, and those of others only where the
    /// room of all is full without them.
    fn making_way<T>(&self, caller: Caller, admit: impl Fn() -> Result<T, Refusal>) -> Result<T, Refusal> {
        let is_full = |result: &Result<T, Refusal>| matches!(result, Err(Refusal::Memory { .. }));
        let mut result = admit();
        if result.is_err() {
            self.drop_answers(|ticket| ticket.is_delivered() && ticket.permit.caller == caller);
            result = admit();
        }
        if is_full(&result) {
            self.drop_answers(Ticket::is_delivered);
            result = admit();
        }
        result
    }

    /// Bytes of the caller's jobs.
    fn check_jobs(&self, taken: &Taken, caller: Caller) -> Result<u64, Refusal> {
        let (has, bytes) = taken.of_caller.get(&caller).copied().unwrap_or_default();
        let limit = self.caller_jobs;
        if has >= limit {
            return Err(Refusal::CallerJobs { has, limit });
        }
        Ok(bytes)
    }

    fn try_admit(self: &Arc<Self>, caller: Caller, bytes: u64) -> Result<Permit, Refusal> {
        let mut taken = self.taken();
        let has = self.check_jobs(&taken, caller)?;
        if has + bytes > self.caller_bytes {
            return Err(Refusal::CallerJobBytes {
                has,
                more: bytes,
                limit: self.caller_bytes,
            });
        }
        if taken.bytes + bytes > self.most_bytes {
            return Err(Refusal::Memory { needs: bytes });
        }
        Ok(self.permit(&mut taken, caller, bytes))
    }

    /// A place for a job that was accepted before the process started: limits do not count, but it counts
    /// for them.
    pub(crate) fn take_up(self: &Arc<Self>, caller: Caller, bytes: u64) -> Permit {
        self.permit(&mut self.taken(), caller, bytes)
    }

    fn permit(self: &Arc<Self>, taken: &mut Taken, caller: Caller, bytes: u64) -> Permit {
        taken.bytes += bytes;
        let (jobs, kept) = taken.of_caller.entry(caller).or_default();
        *jobs += 1;
        *kept += bytes;
        Permit {
            desk: Arc::downgrade(self),
            caller,
            bytes,
        }
    }

    /// Keeps a job to be asked for.
    pub(crate) fn keep(&self, ticket: &Arc<Ticket>) {
        self.kept().jobs.insert(ticket.id, Arc::clone(ticket));
    }

    /// Notes that the answer of a job was kept for its time.
    pub(crate) fn forget(&self, id: JobId) {
        self.kept().forget(id);
    }

    /// The job of that id, if it is the caller's.
    pub(crate) fn find(&self, id: &JobId, caller: Caller) -> Found {
        let kept = self.kept();
        match kept.jobs.get(id) {
            Some(ticket) if ticket.permit.caller == caller => Found::Job(Arc::clone(ticket)),
            None if kept.dropped.contains(id) => Found::Dropped,
            _ => Found::Nothing,
        }
    }

    /// Jobs whose answers nobody has fetched, unfinished ones included.
    pub(crate) fn unfetched(&self) -> usize {
        let kept = self.kept();
        kept.jobs.values().filter(|ticket| !ticket.is_delivered()).count()
    }

    /// Bytes of jobs: inputs, answers, and answers that are expected.
    pub(crate) fn bytes(&self) -> u64 {
        self.taken().bytes
    }

    /// Drops answers that were kept for their time. Looks at all of them: for who does so now and then.
    pub(crate) fn expire(&self) {
        let now = Instant::now();
        let is_over = |since: Instant| now.saturating_duration_since(since) >= self.keep;
        self.drop_answers(|ticket| ticket.ended_at().is_some_and(is_over));
    }

    fn drop_answers(&self, is_over: impl Fn(&Ticket) -> bool) {
        // Tickets give back their places when they are dropped: after the lock.
        let mut kept = self.kept();
        let over: Vec<_> = (kept.jobs).extract_if(.., |_, ticket| is_over(ticket)).collect();
        for (id, ticket) in &over {
            ticket.expire();
            kept.forget(*id);
        }
        drop(kept);
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Tokens;
    use bytes::Bytes;

    fn caller(last: u8) -> Caller {
        let address = [10, 0, 0, last].into();
        Tokens::none().caller(None, address).unwrap()
    }

    fn desk(answer_time: Duration) -> Arc<Desk> {
        Desk::new(&Limits {
            caller_jobs: 2,
            job_bytes: 400,
            answer_time,
            ..Limits::default()
        })
    }

    fn refusal(result: Result<Permit, Refusal>) -> Refusal {
        result.err().unwrap()
    }

    /// A job that is done, and kept to be asked for.
    fn done(desk: &Arc<Desk>, id: u8, of: Caller, bytes: u64) -> Arc<Ticket> {
        let ticket = Arc::new(Ticket::new([id; 16], desk.admit(of, bytes).unwrap()));
        desk.keep(&ticket);
        assert!(ticket.begin());
        ticket.end(Ok(Bytes::new()));
        ticket
    }

    #[test]
    fn places_are_limited_and_given_back() {
        let desk = desk(Duration::from_secs(60));
        let too_large = refusal(desk.admit(caller(1), 101));
        assert!(matches!(
            too_large,
            Refusal::JobBytes {
                needs: 101,
                limit: 100
            }
        ));
        let one = desk.admit(caller(1), 60).unwrap();
        let bytes = refusal(desk.admit(caller(1), 60));
        assert!(matches!(
            bytes,
            Refusal::CallerJobBytes {
                has: 60,
                more: 60,
                limit: 100
            }
        ));
        let two = desk.admit(caller(1), 40).unwrap();
        let jobs = refusal(desk.admit(caller(1), 0));
        assert!(matches!(jobs, Refusal::CallerJobs { has: 2, limit: 2 }));
        let others: Vec<_> = (2..5).map(|c| desk.admit(caller(c), 100).unwrap()).collect();
        assert!(matches!(
            refusal(desk.admit(caller(5), 1)),
            Refusal::Memory { needs: 1 }
        ));
        drop((one, two, others));
        assert_eq!(desk.bytes(), 0);
        desk.admit(caller(5), 1).unwrap();
    }

    #[test]
    fn answers_are_kept_for_their_time() {
        let desk = desk(Duration::ZERO);
        let ticket = Arc::new(Ticket::new([7; 16], desk.admit(caller(1), 1).unwrap()));
        desk.keep(&ticket);
        assert!(matches!(desk.find(&[7; 16], caller(2)), Found::Nothing));
        desk.expire();
        assert!(matches!(desk.find(&[7; 16], caller(1)), Found::Job(_)));
        assert!(ticket.begin());
        ticket.end(Ok(Bytes::new()));
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
            let ticket = done(&desk, id, caller(1), 50);
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
        let answer = |id: u8, of: Caller, bytes| done(&desk, id, of, bytes).deliver();
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
