//! One rotation on several threads: each has some of the polynomials of its table.
//!
//! In every step each polynomial is replaced by itself plus a product of another one, so threads meet twice a
//! step: when all have read, and when all have written. A step takes some ten microseconds, which is why they
//! spin at the meeting and do not sleep.

use std::sync::RwLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use pulp::Arch;

use super::batch::{Lane, Scratch};
use super::product::Digits;
use super::{Evaluator, Job};
use cml_scheme::Ciphertext;

/// Turns of the loop at a meeting before a thread lets others run.
const SPINS: usize = 1 << 12;

/// Where threads wait for each other.
struct Meeting {
    threads: usize,
    arrived: AtomicUsize,
    number: AtomicUsize,
    /// A thread panicked: nobody waits for it.
    broken: AtomicBool,
}

/// A thread's promise to come to every meeting.
struct Promise<'a>(&'a Meeting);

impl Drop for Promise<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.broken.store(true, Ordering::Release);
        }
    }
}

impl Meeting {
    fn of(threads: usize) -> Self {
        Self {
            threads,
            arrived: AtomicUsize::new(0),
            number: AtomicUsize::new(0),
            broken: AtomicBool::new(false),
        }
    }

    fn wait(&self) {
        let number = self.number.load(Ordering::Acquire);
        if self.arrived.fetch_add(1, Ordering::AcqRel) + 1 == self.threads {
            self.arrived.store(0, Ordering::Release);
            self.number.store(number.wrapping_add(1), Ordering::Release);
            return;
        }
        let mut spins = 0;
        while self.number.load(Ordering::Acquire) == number && !self.broken.load(Ordering::Acquire) {
            if spins < SPINS {
                spins += 1;
                std::hint::spin_loop();
            } else {
                std::thread::yield_now();
            }
        }
    }
}

impl Evaluator {
    /// What a job reads, by so many threads; operands were checked.
    pub(super) fn rotate_split(&self, job: &Job<'_>, threads: usize) -> Vec<Ciphertext> {
        let mut scratch = self.batch_scratch();
        self.start(std::slice::from_ref(job), &mut scratch);
        self.turn_split(job.extension, threads, &mut scratch);
        scratch.read_first(self, job)
    }

    /// The blind rotation of the first accumulator, by so many threads.
    pub(super) fn turn_split(&self, extension: usize, threads: usize, scratch: &mut Scratch) {
        let threads = threads.clamp(1, extension);
        let (lanes, mask) = scratch.take_first(extension);
        let lanes: Vec<RwLock<Lane>> = lanes.into_iter().map(RwLock::new).collect();
        let meeting = Meeting::of(threads);
        std::thread::scope(|scope| {
            for share in 1..threads {
                let (lanes, mask, meeting) = (&lanes, &mask, &meeting);
                scope.spawn(move || self.turn_share(lanes, mask, share, threads, meeting));
            }
            self.turn_share(&lanes, &mask, 0, threads, &meeting);
        });
        // A thread that panicked takes this one with it, at the end of the scope.
        let lanes = lanes
            .into_iter()
            .map(|lane| lane.into_inner().unwrap_or_else(|e| e.into_inner()));
        scratch.put_first(lanes.collect());
    }

    /// One thread's work: every `threads`th polynomial, from `share` on.
    fn turn_share(
        &self,
        lanes: &[RwLock<Lane>],
        mask: &[usize],
        share: usize,
        threads: usize,
        meeting: &Meeting,
    ) {
        let _promise = Promise(meeting);
        let (n, extension, arch) = (self.dimensions.polynomial.0, lanes.len(), Arch::new());
        let own: Vec<usize> = (share..extension).step_by(threads).collect();
        let mut digits: Vec<Digits> = own.iter().map(|_| Digits::new(&self.dimensions)).collect();
        let mut scratch = self.batch_scratch();
        let read = |lane: usize| lanes[lane].read().unwrap_or_else(|e| e.into_inner());
        for (&degree, element) in mask.iter().zip(self.key.bootstrap().elements()) {
            if degree == 0 {
                continue;
            }
            for (&to, digits) in own.iter().zip(&mut digits) {
                // Lane `from`, turned by the degree, comes to be lane `to`.
                let from = (to + extension - degree % extension) % extension;
                let power = (from + degree) / extension % (2 * n);
                scratch.decompose(arch, digits, read(from).as_ref(), read(to).as_ref(), power);
            }
            meeting.wait();
            for (&to, digits) in own.iter().zip(&mut digits) {
                let mut lane = lanes[to].write().unwrap_or_else(|e| e.into_inner());
                scratch.add(arch, lane.as_mut(), digits, element, self.key.transform());
            }
            meeting.wait();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    #[test]
    fn nobody_waits_for_a_thread_that_panicked() {
        let meeting = Meeting::of(2);
        let met = catch_unwind(AssertUnwindSafe(|| {
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    let _promise = Promise(&meeting);
                    panic!("as expected");
                });
                let _promise = Promise(&meeting);
                meeting.wait();
            });
        }));
        assert!(met.is_err());
    }
}
