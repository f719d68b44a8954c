//! Lookups in batches: each element of the bootstrapping key is read once for all of a batch.
//!
//! One lookup alone streams the whole key (tens of MB to GB) from memory. Here the loop over key
//! elements is the outer one, so an element stays in the cache while every accumulator of the batch
//! is multiplied by it. The arithmetic on each accumulator is that of the reference, so results are
//! the same bit for bit.

use tfhe::core_crypto::prelude::{
    ComputationBuffers, GlweCiphertextOwned, LweCiphertextOwned, ModulusSwitchedLweCiphertext,
    MonomialDegree, add_external_product_assign_mem_optimized,
    add_external_product_assign_mem_optimized_requirement, extract_lwe_sample_from_glwe_ciphertext,
    lwe_ciphertext_centered_binary_modulus_switch,
};

use super::keyswitch::keyswitch_batch;
use super::{Evaluator, ExecError};
use crate::keys::{Ciphertext, modulus32, modulus64};

/// Most lookups of a batch: beyond that the accumulators themselves crowd the cache.
const MOST: usize = 16;
/// Memory for the accumulators of a batch, in bytes.
const MOST_BYTES: usize = 4 << 20;

/// One lookup: ciphertext and table.
pub(super) type Job<'a> = (&'a Ciphertext, &'a [u64]);

/// Buffers of one thread.
pub(super) struct Scratch {
    /// Inputs under the small key, by job.
    small: Vec<LweCiphertextOwned<u32>>,
    accumulators: Vec<GlweCiphertextOwned<u64>>,
    /// Rotations of the accumulators, by job: one for each bit of the small key.
    masks: Vec<Vec<usize>>,
    rotated: GlweCiphertextOwned<u64>,
    buffers: ComputationBuffers,
}

impl Evaluator {
    /// Sizes of batches for so many jobs on so many threads: as equal as can be, and as many that no
    /// thread waits for another longer than for one batch.
    pub(super) fn batch_sizes(&self, jobs: usize, threads: usize) -> Vec<usize> {
        let bytes = 8 * self.dimensions.glwe_size().0 * self.dimensions.polynomial.0;
        sizes(jobs, threads, (MOST_BYTES / bytes).clamp(1, MOST))
    }

    pub(super) fn batch_scratch(&self) -> Scratch {
        let (glwe_size, polynomial) = (self.dimensions.glwe_size(), self.dimensions.polynomial);
        let mut buffers = ComputationBuffers::new();
        let fft = self.key.fft();
        let needed = add_external_product_assign_mem_optimized_requirement::<u64>(glwe_size, polynomial, fft);
        buffers.resize(needed.unaligned_bytes_required());
        Scratch {
            small: Vec::new(),
            accumulators: Vec::new(),
            masks: Vec::new(),
            rotated: GlweCiphertextOwned::new(0, glwe_size, polynomial, modulus64()),
            buffers,
        }
    }

    /// The lookups of one batch, in order; operands were checked.
    pub(super) fn lookup_batch(
        &self,
        jobs: &[Job<'_>],
        scratch: &mut Scratch,
    ) -> Result<Vec<Ciphertext>, ExecError> {
        for (input, table) in jobs {
            self.check_job(input, table)?;
        }
        self.start(jobs, scratch);
        let count = jobs.len();
        for (bit, element) in self.key.bootstrap().as_view().into_ggsw_iter().enumerate() {
            let accumulators = scratch.accumulators.iter_mut().zip(&scratch.masks);
            for (accumulator, mask) in accumulators.take(count).filter(|(_, mask)| mask[bit] != 0) {
                rotate_and_subtract(
                    scratch.rotated.as_mut(),
                    accumulator.as_ref(),
                    self.dimensions.polynomial.0,
                    mask[bit],
                );
                add_external_product_assign_mem_optimized(
                    accumulator,
                    &element,
                    &scratch.rotated,
                    self.key.fft(),
                    scratch.buffers.stack(),
                );
            }
        }
        let size = self.dimensions.big.to_lwe_size();
        let results = scratch.accumulators[..count].iter().map(|accumulator| {
            let mut output = LweCiphertextOwned::new(0, size, modulus64());
            extract_lwe_sample_from_glwe_ciphertext(accumulator, &mut output, MonomialDegree(0));
            Ciphertext::new(output)
        });
        Ok(results.collect())
    }

    /// Keyswitches and modulus switches each job, and puts its table, rotated by the body, into its
    /// accumulator.
    fn start(&self, jobs: &[Job<'_>], scratch: &mut Scratch) {
        let (glwe_size, polynomial) = (self.dimensions.glwe_size(), self.dimensions.polynomial);
        let n = polynomial.0;
        while scratch.accumulators.len() < jobs.len() {
            let accumulator = GlweCiphertextOwned::new(0, glwe_size, polynomial, modulus64());
            scratch.accumulators.push(accumulator);
            scratch.masks.push(Vec::with_capacity(self.dimensions.lwe.0));
            let size = self.dimensions.lwe.to_lwe_size();
            scratch.small.push(LweCiphertextOwned::new(0, size, modulus32()));
        }
        let inputs = jobs.iter().map(|job| job.0);
        keyswitch_batch(self.key.keyswitch(), inputs, &mut scratch.small[..jobs.len()]);
        for (i, (_, table)) in jobs.iter().enumerate() {
            let switched = lwe_ciphertext_centered_binary_modulus_switch::<u32, usize, _>(
                scratch.small[i].as_view(),
                polynomial.to_blind_rotation_input_modulus_log(),
            );
            scratch.masks[i].clear();
            scratch.masks[i].extend(switched.mask());
            let accumulator = &mut scratch.accumulators[i];
            accumulator.get_mut_mask().as_mut().fill(0);
            // Division by X^body is multiplication by X^(2N - body).
            let body = (2 * n - switched.body() % (2 * n)) % (2 * n);
            rotate(accumulator.get_mut_body().as_mut(), table, body);
        }
    }
}

/// `X^degree * polynomial`, modulo `X^N + 1`, with `degree < 2 N`.
fn rotate(result: &mut [u64], polynomial: &[u64], degree: usize) {
    let n = polynomial.len();
    let (negative, shift) = (degree >= n, degree % n);
    let (stay, wrap) = polynomial.split_at(n - shift);
    let (low, high) = result.split_at_mut(shift);
    let write = |to: &mut [u64], from: &[u64], negative: bool| {
        for (to, &from) in to.iter_mut().zip(from) {
            *to = if negative { from.wrapping_neg() } else { from };
        }
    };
    write(high, stay, negative);
    write(low, wrap, !negative);
}

/// `X^degree * p - p` for each polynomial `p` of `n` coefficients.
fn rotate_and_subtract(results: &mut [u64], polynomials: &[u64], n: usize, degree: usize) {
    for (result, polynomial) in results.chunks_exact_mut(n).zip(polynomials.chunks_exact(n)) {
        rotate(result, polynomial, degree);
        for (result, &p) in result.iter_mut().zip(polynomial) {
            *result = result.wrapping_sub(p);
        }
    }
}

/// `jobs` in batches of at most `most`: a multiple of `threads` batches, of sizes that differ by one at
/// most, but none empty.
fn sizes(jobs: usize, threads: usize, most: usize) -> Vec<usize> {
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
    fn rotations_are_negacyclic() {
        let rotated = |degree| {
            let mut result = [0; 4];
            rotate(&mut result, &[1, 2, 3, 4], degree);
            result.map(|x| x as i64)
        };
        assert_eq!(rotated(0), [1, 2, 3, 4]);
        assert_eq!(rotated(1), [-4, 1, 2, 3]);
        assert_eq!(rotated(4), [-1, -2, -3, -4]);
        assert_eq!(rotated(7), [2, 3, 4, -1]);
    }
}
