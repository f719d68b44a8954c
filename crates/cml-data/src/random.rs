//! Reproducible randomness: independent ChaCha8 streams and one shuffle.
//!
//! `rand` may change its shuffles and integer ranges between minor versions,
//! so the few lines that decide which rows are test rows are kept here.

use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// What a stream of random numbers is for. One seed gives each use its own
/// stream: more noise does not move the split. The values are part of the
/// results, never renumber them.
#[derive(Clone, Copy)]
pub(crate) enum Purpose {
    /// Noise on the coordinates of generated points.
    Noise = 1,
    /// Which rows are test rows.
    Split = 2,
    /// Order of the rows in an epoch.
    Batches = 3,
    /// Which rows a sample holds.
    Sample = 4,
}

/// The stream for `purpose` under `seed`; `index` tells repetitions apart.
pub(crate) fn stream(seed: u64, purpose: Purpose, index: u64) -> ChaCha8Rng {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&(purpose as u64).to_le_bytes());
    key[16..24].copy_from_slice(&index.to_le_bytes());
    ChaCha8Rng::from_seed(key)
}

/// The indices `0..len` in uniformly random order (Fisher and Yates).
pub(crate) fn permutation(len: usize, rng: &mut impl RngCore) -> Vec<usize> {
    let mut order: Vec<usize> = (0..len).collect();
    for last in (1..len).rev() {
        order.swap(last, below(last as u64 + 1, rng) as usize);
    }
    order
}

/// A uniform integer of `0..bound`, without bias (Lemire, 2019). `bound` is
/// at least 1.
fn below(bound: u64, rng: &mut impl RngCore) -> u64 {
    let threshold = bound.wrapping_neg() % bound;
    loop {
        let product = u128::from(rng.next_u64()) * u128::from(bound);
        if product as u64 >= threshold {
            return (product >> 64) as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permutation_holds_every_index_once() {
        for len in [0, 1, 2, 3, 97] {
            let mut order = permutation(len, &mut stream(5, Purpose::Split, 0));
            order.sort_unstable();
            assert_eq!(order, (0..len).collect::<Vec<_>>());
        }
    }

    #[test]
    fn all_orders_of_three_are_equally_likely() {
        let mut counts = std::collections::BTreeMap::new();
        let mut rng = stream(5, Purpose::Split, 0);
        for _ in 0..6_000 {
            *counts.entry(permutation(3, &mut rng)).or_insert(0) += 1;
        }
        assert_eq!(counts.len(), 6);
        assert!(
            counts.values().all(|count| (900..1_100).contains(count)),
            "{counts:?}"
        );
    }

    #[test]
    fn the_order_is_pinned() {
        let order = permutation(8, &mut stream(1, Purpose::Batches, 2));
        assert_eq!(order, [0, 7, 5, 3, 2, 6, 4, 1]);
    }
}
