//! The order in which an epoch visits the rows.

use crate::random::{Purpose, permutation, stream};

/// The rows `0..len` in the random order of this epoch, cut into batches.
///
/// Each row is in exactly one batch; the last batch may be shorter. The result
/// depends on the four arguments alone, and each epoch has its own order. A
/// `batch` of 0 means one batch with every row; no rows give no batches.
pub fn shuffle_batches(len: usize, batch: usize, seed: u64, epoch: u64) -> Vec<Vec<usize>> {
    let order = permutation(len, &mut stream(seed, Purpose::Batches, epoch));
    let size = if batch == 0 { len.max(1) } else { batch };
    order.chunks(size).map(<[usize]>::to_vec).collect()
}
