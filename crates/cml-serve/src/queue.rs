//! Jobs that wait, in a line for each key pair; the lines take turns.

use crate::refusal::Refusal;
use crate::store::KeyId;
use crate::ticket::Ticket;
use cml_scheme::{Bound, Ciphertext, SeededCiphertexts};
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Samples of one caller, and the results so far.
pub(crate) struct Job {
    pub(crate) ticket: Arc<Ticket>,
    /// Number of the model.
    pub(crate) model: usize,
    pub(crate) key: KeyId,
    pub(crate) inputs: Arc<Bound<Vec<SeededCiphertexts>>>,
    pub(crate) results: Vec<Vec<Ciphertext>>,
    pub(crate) since: Instant,
    /// Whether a process went down while it ran: it may be why, and takes no other job with it.
    pub(crate) alone: bool,
    /// How often its key could not be read.
    pub(crate) tries: u32,
    /// Says that there is an unfinished job.
    pub(crate) _open: Arc<()>,
}

impl Job {
    /// Samples that are still to be run.
    pub(crate) fn left(&self) -> usize {
        self.inputs.value.len() - self.results.len()
    }
}

impl Drop for Job {
    /// Whatever becomes of a job, nobody waits for it in vain.
    fn drop(&mut self) {
        self.ticket.lose();
    }
}

/// Jobs that wait.
pub(crate) struct Queue {
    most: usize,
    inner: Mutex<Inner>,
    ready: Condvar,
}

#[derive(Default)]
struct Inner {
    /// The first one has the next turn.
    lines: VecDeque<Line>,
    waiting: usize,
    closed: bool,
    /// There is something to do other than jobs.
    nudged: bool,
}

/// Jobs of one circuit and key pair: they can run together.
struct Line {
    model: usize,
    key: KeyId,
    jobs: VecDeque<Job>,
}

impl Queue {
    pub(crate) fn new(most: usize) -> Self {
        Self {
            most,
            inner: Mutex::default(),
            ready: Condvar::new(),
        }
    }

    /// Puts a job at the end of its line.
    pub(crate) fn push(&self, job: Job) -> Result<(), Refusal> {
        let mut inner = self.inner();
        self.check(&mut inner)?;
        inner.push(job);
        self.ready.notify_one();
        Ok(())
    }

    /// Whether a job could wait here, as it is now.
    pub(crate) fn has_room(&self) -> Result<(), Refusal> {
        self.check(&mut self.inner())
    }

    fn check(&self, inner: &mut Inner) -> Result<(), Refusal> {
        if inner.closed {
            return Err(Refusal::ShuttingDown);
        }
        if inner.waiting >= self.most {
            // Those whose callers went away make room.
            inner.drop_expired();
        }
        let (waiting, limit) = (inner.waiting, self.most);
        if waiting >= limit {
            return Err(Refusal::Queue { waiting, limit });
        }
        Ok(())
    }

    /// As [`Queue::push`], for a job that was accepted before the process started: limits do not count.
    pub(crate) fn take_up(&self, job: Job) {
        self.inner().push(job);
        self.ready.notify_one();
    }

    /// Puts a job that has had its turn, but is not finished, first in its line: the line itself is the
    /// last one.
    pub(crate) fn put_back(&self, job: Job) {
        let mut inner = self.inner();
        inner.line(&job).jobs.push_front(job);
        inner.waiting += 1;
    }

    /// Waits for jobs, and takes those of one line that have `together(model)` samples at least between
    /// them, or all of it. None if the queue is closed and empty.
    ///
    /// Callers whose jobs just ran may come back at once: if fewer than `last` wait, it waits for the
    /// others, but not longer than `grace`. A request that is alone does not wait: `last` is 1 then.
    ///
    /// No jobs at all after [`Queue::nudge`].
    pub(crate) fn take(
        &self,
        together: impl Fn(usize) -> usize,
        last: usize,
        grace: Duration,
    ) -> Option<Vec<Job>> {
        let mut inner = self.inner();
        let until = Instant::now() + grace;
        loop {
            inner.drop_expired();
            let now = Instant::now();
            if inner.waiting > 0 && (inner.waiting >= last || now >= until || inner.closed) {
                break;
            }
            if inner.waiting == 0 && inner.closed {
                return None;
            }
            if inner.waiting == 0 && std::mem::take(&mut inner.nudged) {
                return Some(Vec::new());
            }
            inner = if now < until {
                let waited = self.ready.wait_timeout(inner, until - now);
                waited.unwrap_or_else(PoisonError::into_inner).0
            } else {
                let waited = self.ready.wait(inner);
                waited.unwrap_or_else(PoisonError::into_inner)
            };
        }
        let mut line = inner.lines.pop_front()?;
        let (mut jobs, mut samples) = (Vec::new(), 0);
        while samples < together(line.model)
            && let Some(job) = line.jobs.pop_front_if(|job| jobs.is_empty() || !job.alone)
        {
            let alone = job.alone;
            samples += job.left();
            jobs.push(job);
            if alone {
                break;
            }
        }
        inner.waiting -= jobs.len();
        if !line.jobs.is_empty() {
            inner.lines.push_back(line);
        }
        Some(jobs)
    }

    /// Wakes the worker, if it waits for jobs.
    pub(crate) fn nudge(&self) {
        self.inner().nudged = true;
        self.ready.notify_all();
    }

    /// Jobs that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.inner().waiting
    }

    /// No new jobs from now on.
    pub(crate) fn close(&self) {
        self.inner().closed = true;
        self.ready.notify_all();
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn push(&mut self, job: Job) {
        self.line(&job).jobs.push_back(job);
        self.waiting += 1;
    }

    fn line(&mut self, job: &Job) -> &mut Line {
        let same = |line: &Line| line.model == job.model && line.key == job.key;
        let at = self.lines.iter().position(same).unwrap_or_else(|| {
            self.lines.push_back(Line {
                model: job.model,
                key: job.key,
                jobs: VecDeque::new(),
            });
            self.lines.len() - 1
        });
        &mut self.lines[at]
    }

    /// Those whose callers went away.
    fn drop_expired(&mut self) {
        for line in &mut self.lines {
            let before = line.jobs.len();
            line.jobs.retain(|job| !job.ticket.is_expired());
            self.waiting -= before - line.jobs.len();
        }
        self.lines.retain(|line| !line.jobs.is_empty());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Tokens;
    use crate::config::Limits;
    use crate::desk::Desk;
    use cml_scheme::{Binding, LweKey};

    /// A job of a key with so many samples.
    fn job(key: u8, samples: usize) -> Job {
        let caller = Tokens::none().caller(None, [10, 0, 0, key].into());
        let permit = Desk::new(&Limits::default()).admit(caller.unwrap(), 1);
        let sample = SeededCiphertexts::from_bytes(&[0; 24], LweKey::Big, 1).unwrap();
        Job {
            ticket: Arc::new(Ticket::new([key; 16], permit.unwrap())),
            model: 0,
            key: [key; 16],
            inputs: Arc::new(Bound {
                binding: Binding {
                    circuit: [0; 32],
                    keys: [key; 16],
                },
                value: vec![sample; samples],
            }),
            results: Vec::new(),
            since: Instant::now(),
            alone: false,
            tries: 0,
            _open: Arc::default(),
        }
    }

    /// Key and numbers of samples of the next turn, four together.
    fn next(queue: &Queue) -> (u8, Vec<usize>) {
        let jobs = queue.take(|_| 4, 0, Duration::ZERO).unwrap();
        (jobs[0].key[0], jobs.iter().map(Job::left).collect())
    }

    #[test]
    fn lines_take_turns() {
        let queue = Queue::new(10);
        for (key, samples) in [(1, 1), (1, 2), (1, 3), (1, 1), (2, 1), (3, 9), (2, 1)] {
            queue.push(job(key, samples)).unwrap();
        }
        assert_eq!(next(&queue), (1, vec![1, 2, 3]));
        assert_eq!(next(&queue), (2, vec![1, 1]));
        let long = queue.take(|_| 4, 0, Duration::ZERO).unwrap().remove(0);
        assert_eq!((long.key[0], long.left()), (3, 9));
        // What is left of it comes after everybody else who waits.
        queue.push(job(4, 1)).unwrap();
        queue.put_back(long);
        queue.push(job(3, 1)).unwrap();
        assert_eq!(next(&queue), (1, vec![1]));
        assert_eq!(next(&queue), (4, vec![1]));
        assert_eq!(next(&queue), (3, vec![9]));
        assert_eq!(next(&queue), (3, vec![1]));
        assert_eq!(queue.waiting(), 0);
    }

    #[test]
    fn jobs_that_may_end_the_process_run_alone() {
        let queue = Queue::new(10);
        for (samples, alone) in [(1, true), (1, true), (1, false), (1, false), (2, true)] {
            let mut job = job(1, samples);
            job.alone = alone;
            queue.push(job).unwrap();
        }
        for turn in [vec![1], vec![1], vec![1, 1], vec![2]] {
            assert_eq!(next(&queue), (1, turn));
        }
    }

    #[test]
    fn who_waits_for_jobs_can_be_woken() {
        let queue = Queue::new(1);
        queue.nudge();
        assert!(queue.take(|_| 4, 0, Duration::ZERO).unwrap().is_empty());
        queue.nudge();
        queue.push(job(1, 1)).unwrap();
        assert_eq!(next(&queue), (1, vec![1]));
    }

    #[test]
    fn full_closed_and_given_up() {
        let queue = Queue::new(2);
        let (one, two) = (job(1, 1), job(1, 1));
        let ticket = Arc::clone(&one.ticket);
        queue.push(one).unwrap();
        queue.push(two).unwrap();
        let full = queue.push(job(1, 1));
        assert!(
            matches!(full, Err(Refusal::Queue { waiting: 2, limit: 2 })),
            "{full:?}"
        );
        ticket.abandon();
        queue.push(job(2, 1)).unwrap();
        queue.close();
        let closed = queue.push(job(2, 1));
        assert!(matches!(closed, Err(Refusal::ShuttingDown)), "{closed:?}");
        assert_eq!(next(&queue), (1, vec![1]));
        assert_eq!(next(&queue), (2, vec![1]));
        assert!(queue.take(|_| 4, 0, Duration::ZERO).is_none());
    }

    #[test]
    fn who_ran_together_is_waited_for_but_not_long() {
        let queue = Queue::new(2);
        queue.push(job(1, 1)).unwrap();
        let jobs = queue.take(|_| 4, 2, Duration::from_millis(5)).unwrap();
        assert_eq!(jobs.len(), 1);
    }
}
