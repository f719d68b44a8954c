//! Which rotations run together, and where: the executor follows it, and plans count on it.

/// How rotations are shared out to threads; numbers are places in the list that was given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Schedule {
    /// Rotations whose polynomials are shared out to all threads, one rotation after the other.
    pub(crate) split: Vec<usize>,
    /// Batches of one extension each, the longest work first; a thread that is free takes the next one.
    pub(crate) batches: Vec<Vec<usize>>,
}

impl Schedule {
    /// For rotations of these extensions. `most` is the largest batch of an extension.
    ///
    /// Where the number of rotations is no multiple of that of the threads, the largest ones are split, if
    /// that takes less time than threads would wait.
    pub(crate) fn of(extensions: &[usize], threads: usize, most: impl Fn(usize) -> usize) -> Self {
        let threads = threads.max(1);
        let mut order: Vec<usize> = (0..extensions.len()).collect();
        order.sort_by_key(|&i| (std::cmp::Reverse(extensions[i]), i));
        let left = extensions.len() % threads;
        let time: usize = order[..left]
            .iter()
            .map(|&i| extensions[i].div_ceil(threads))
            .sum();
        let split = order.first().is_some_and(|&i| time < extensions[i]);
        let rest = order.split_off(if split { left } else { 0 });
        let mut batches = Vec::new();
        for equal in rest.chunk_by(|&a, &b| extensions[a] == extensions[b]) {
            let mut equal = equal;
            for size in sizes(equal.len(), threads, most(extensions[equal[0]])) {
                let (batch, after) = equal.split_at(size);
                batches.push(batch.to_vec());
                equal = after;
            }
        }
        Self {
            split: order,
            batches,
        }
    }

    /// Time until the last thread is done, if each rotation takes what `time` says on one thread, and `split_time`
    /// on all of them.
    pub(crate) fn makespan(
        &self,
        threads: usize,
        time: impl Fn(usize) -> f64,
        split_time: impl FnMut(usize) -> f64,
    ) -> f64 {
        let split: f64 = self.split.iter().copied().map(split_time).sum();
        let mut busy = vec![0.0_f64; threads.max(1)];
        for batch in &self.batches {
            if let Some(first) = busy.iter_mut().min_by(|a, b| a.total_cmp(b)) {
                *first += batch.iter().map(|&i| time(i)).sum::<f64>();
            }
        }
        split + busy.into_iter().fold(0.0, f64::max)
    }
}

/// `jobs` in batches of at most `most`: a multiple of `threads` batches, of sizes that differ by one at
/// most, but none empty.
pub(super) fn sizes(jobs: usize, threads: usize, most: usize) -> Vec<usize> {
    if jobs == 0 {
        return Vec::new();
    }
    let threads = threads.max(1);
    let rounds = jobs.div_ceil(threads * most);
    let batches = (rounds * threads).min(jobs);
    (0..batches)
        .map(|i| jobs / batches + usize::from(i < jobs % batches))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_equal_and_complete() {
        for jobs in 0..100 {
            for threads in 1..5 {
                for most in [1, 3, 16] {
                    let sizes = sizes(jobs, threads, most);
                    assert_eq!(sizes.iter().sum::<usize>(), jobs);
                    assert!(sizes.iter().all(|&s| (1..=most).contains(&s)));
                    assert!(sizes.len().is_multiple_of(threads) || sizes.len() == jobs);
                    if let (Some(least), Some(largest)) = (sizes.iter().min(), sizes.iter().max()) {
                        assert!(largest - least <= 1);
                    }
                }
            }
        }
    }

    #[test]
    fn everything_is_scheduled_once() {
        for count in 0..40 {
            let extensions: Vec<usize> = (0..count).map(|i| 1 + i * 7 % 5).collect();
            for threads in 1..5 {
                let schedule = Schedule::of(&extensions, threads, |_| 3);
                let mut all = schedule.split.clone();
                all.extend(schedule.batches.iter().flatten());
                all.sort_unstable();
                assert!(all.into_iter().eq(0..count), "{count} on {threads}");
                for batch in &schedule.batches {
                    assert!(batch.iter().all(|&i| extensions[i] == extensions[batch[0]]));
                }
                assert!(schedule.split.len() < threads);
            }
        }
    }

    #[test]
    fn what_would_leave_threads_idle_is_split() {
        let split = |extensions: &[usize], threads| Schedule::of(extensions, threads, |_| 16).split;
        assert_eq!(split(&[2], 2), [0]);
        assert_eq!(split(&[1], 2), [0_usize; 0]);
        assert_eq!(split(&[2, 2], 2), [0_usize; 0]);
        assert_eq!(split(&[1, 6, 6], 2), [1]);
        assert_eq!(split(&[4, 4, 4], 4), [0, 1, 2]);
        assert_eq!(split(&[2], 1), [0_usize; 0]);
        let schedule = Schedule::of(&[4, 4, 4], 2, |_| 16);
        assert_eq!(schedule.makespan(2, |_| 8.0, |_| 4.5), 12.5);
    }
}
