//! Which rotations run together, and where: the executor follows it, and plans count on it.

/// How rotations are shared out to threads; numbers are places in the list that was given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Schedule {
    /// Rotations whose lanes are shared out to all threads, one rotation after the other.
    pub(crate) split: Vec<usize>,
    /// The rest, the longest work first; a thread that is free takes the next batch.
    pub(crate) batches: Vec<Vec<usize>>,
}

impl Schedule {
    /// For rotations of these extensions, in batches of about `most_lanes`.
    ///
    /// Work is counted in lanes, the polynomials of a table. Where it cannot be shared out evenly, as many of the
    /// largest rotations are split as brings the end forward.
    pub(crate) fn of(extensions: &[usize], threads: usize, most_lanes: usize) -> Self {
        let threads = threads.max(1);
        let mut order: Vec<usize> = (0..extensions.len()).collect();
        order.sort_by_key(|&i| (std::cmp::Reverse(extensions[i]), i));
        let best = (0..threads.min(order.len() + 1)).min_by_key(|&count| {
            let (split, rest) = order.split_at(count);
            let together: usize = split.iter().map(|&i| extensions[i].div_ceil(threads)).sum();
            let alone = shares(rest, extensions, threads).into_iter().map(|s| s.0).max();
            together + alone.unwrap_or(0)
        });
        let rest = order.split_off(best.unwrap_or(0));
        let lanes: usize = rest.iter().map(|&i| extensions[i]).sum();
        let rounds = lanes.div_ceil(threads * most_lanes.max(1));
        let mut batches = shares(&rest, extensions, rounds * threads);
        batches.retain(|batch| !batch.1.is_empty());
        batches.sort_by_key(|batch| std::cmp::Reverse(batch.0));
        Self {
            split: order,
            batches: batches.into_iter().map(|batch| batch.1).collect(),
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

/// Rotations, the largest first, in so many shares that are as equal as that gets: lanes and places of each.
fn shares(order: &[usize], extensions: &[usize], count: usize) -> Vec<(usize, Vec<usize>)> {
    let mut shares = vec![(0, Vec::new()); count];
    for &i in order {
        if let Some(least) = shares.iter_mut().min_by_key(|share| share.0) {
            least.0 += extensions[i];
            least.1.push(i);
        }
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_equal() {
        for count in 0..100 {
            for threads in 1..5 {
                for most in [1, 3, 16] {
                    let schedule = Schedule::of(&vec![1; count], threads, most);
                    let sizes: Vec<usize> = schedule.batches.iter().map(Vec::len).collect();
                    assert_eq!(sizes.iter().sum::<usize>(), count);
                    assert!(sizes.iter().all(|&s| (1..=most).contains(&s)));
                    assert!(sizes.len().is_multiple_of(threads) || sizes.len() == count);
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
                let schedule = Schedule::of(&extensions, threads, 3);
                let mut all = schedule.split.clone();
                all.extend(schedule.batches.iter().flatten());
                all.sort_unstable();
                assert!(all.into_iter().eq(0..count), "{count} on {threads}");
                assert!(schedule.split.len() < threads);
            }
        }
    }

    #[test]
    fn what_would_leave_threads_idle_is_split() {
        let split = |extensions: &[usize], threads| Schedule::of(extensions, threads, 16).split;
        assert_eq!(split(&[2], 2), [0]);
        assert_eq!(split(&[1], 2), [0_usize; 0]);
        assert_eq!(split(&[2, 2], 2), [0_usize; 0]);
        assert_eq!(split(&[1, 6, 6], 2), [0_usize; 0]);
        assert_eq!(split(&[1, 8, 3], 2), [1]);
        assert_eq!(split(&[4, 4, 4], 4), [0, 1, 2]);
        assert_eq!(split(&[2], 1), [0_usize; 0]);
        let schedule = Schedule::of(&[4, 4, 4], 2, 16);
        assert_eq!(schedule.makespan(2, |_| 8.0, |_| 4.5), 12.5);
    }
}
