//! Rotations in batches: each element of the bootstrapping key is read once for all of a batch.
//!
//! One rotation alone streams the whole key (tens of MB to GB) from memory. Here the loop over key
//! elements is the outer one, so an element stays in the cache while every accumulator of the batch
//! is multiplied by it. The arithmetic on each accumulator is that of the reference, so results are
//! the same bit for bit.
//!
//! A table of `L = e N` coefficients is kept as `e` polynomials of size `N`, its lanes: with `X = Y^e`,
//! lane `j` holds the coefficients of `Y^(e i + j)`, so a rotation by `Y^a` permutes the lanes and
//! rotates each by a power of `X`, and the key of size `N` serves all of them (extended bootstrapping:
//! Lee and Yoon, "Discretization error reduction for high precision torus FHE", PKC 2023).

use pulp::Arch;
use rayon::prelude::*;
use tfhe::core_crypto::prelude::{
    Container, GlweCiphertext, LweCiphertextOwned, MonomialDegree, extract_lwe_sample_from_glwe_ciphertext,
};

use super::keyswitch::keyswitch_batch;
use super::product::{Digits, Products, Roundings};
use super::switch::Rotations;
use super::{Evaluator, ExecError, Job};
use crate::aligned::{self, Aligned};
use crate::transform::Transform;
use cml_scheme::raw::{modulus32, modulus64};
use cml_scheme::{Ciphertext, LweKey, Parameters};
use cml_tfhe::table::Reading;

/// Most lanes of a batch: beyond that the key is no longer what takes the time.
const MOST: usize = 32;
/// Memory for the lanes of a batch, in bytes.
const MOST_BYTES: usize = 1 << 20;

/// One polynomial of each of the accumulator's.
pub(super) type Lane = GlweCiphertext<Aligned<u64>>;

/// Buffers of one thread.
pub(super) struct Scratch {
    /// Inputs under the small key, by job.
    small: Vec<LweCiphertextOwned<u32>>,
    /// Lanes of the accumulators, job by job.
    lanes: Vec<Lane>,
    rotations: Vec<Rotations>,
    /// Of one accumulator: its lanes, rotated, less what they were, in digits.
    digits: Vec<Digits>,
    roundings: Roundings,
    products: Products,
    table: Vec<u64>,
    sample: LweCiphertextOwned<u64>,
}

/// Most lanes in one batch.
pub(crate) fn most_lanes(parameters: &Parameters) -> usize {
    let polynomials = parameters.glwe_dimension as usize + 1;
    let bytes = 8 * parameters.polynomial_size as usize * polynomials;
    (MOST_BYTES / bytes.max(1)).clamp(1, MOST)
}

impl Evaluator {
    pub(super) fn batch_scratch(&self) -> Scratch {
        Scratch {
            small: Vec::new(),
            lanes: Vec::new(),
            rotations: Vec::new(),
            digits: Vec::new(),
            roundings: Roundings::new(&self.dimensions),
            products: Products::new(&self.dimensions),
            table: Vec::new(),
            sample: LweCiphertextOwned::new(0, self.dimensions.big.to_lwe_size(), modulus64()),
        }
    }

    /// What the jobs of one batch read, in order; operands were checked.
    pub(super) fn rotate_batch(
        &self,
        jobs: &[Job<'_>],
        scratch: &mut Scratch,
    ) -> Result<Vec<Vec<Ciphertext>>, ExecError> {
        self.start(jobs, scratch);
        self.turn(jobs, scratch);
        let mut results = Vec::with_capacity(jobs.len());
        let mut first = 0;
        for job in jobs {
            let lanes = &scratch.lanes[first..first + job.extension];
            let read = |reading| read(reading, lanes, &mut scratch.sample, self.dimensions.big.0);
            results.push(job.readings.iter().map(read).collect());
            first += job.extension;
        }
        Ok(results)
    }

    /// The blind rotations of the accumulators of these jobs.
    pub(super) fn turn(&self, jobs: &[Job<'_>], scratch: &mut Scratch) {
        let (n, arch) = (self.dimensions.polynomial.0, Arch::new());
        for (bit, element) in self.key.bootstrap().elements().enumerate() {
            let mut rest = scratch.lanes.as_mut_slice();
            for (job, rotations) in jobs.iter().zip(&scratch.rotations) {
                let extension = job.extension;
                let (lanes, after) = rest.split_at_mut(extension);
                rest = after;
                let degree = rotations.mask[bit];
                if degree == 0 {
                    continue;
                }
                // All differences are taken before any lane changes.
                for (lane, from) in lanes.iter().enumerate() {
                    let place = lane + degree;
                    let (to, power) = (place % extension, place / extension % (2 * n));
                    let less = lanes[to].as_ref();
                    let (digits, roundings) = (&mut scratch.digits[to], &mut scratch.roundings);
                    digits.decompose_difference(arch, from.as_ref(), less, power, roundings);
                }
                for (lane, digits) in lanes.iter_mut().zip(&mut scratch.digits) {
                    scratch
                        .products
                        .add(arch, lane.as_mut(), digits, element, self.key.transform());
                }
            }
        }
    }

    /// Keyswitches and modulus switches each job, and puts its table, rotated by the body, into its
    /// accumulator.
    pub(super) fn start(&self, jobs: &[Job<'_>], scratch: &mut Scratch) {
        let (glwe_size, polynomial) = (self.dimensions.glwe_size(), self.dimensions.polynomial);
        let words = glwe_size.0 * polynomial.0;
        let empty = || GlweCiphertext::from_container(aligned::zeros(words), polynomial, modulus64());
        let lanes: usize = jobs.iter().map(|job| job.extension).sum();
        while scratch.lanes.len() < lanes {
            scratch.lanes.push(empty());
        }
        let most = jobs.iter().map(|job| job.extension).max();
        while scratch.digits.len() < most.unwrap_or(0) {
            scratch.digits.push(Digits::new(&self.dimensions));
        }
        while scratch.small.len() < jobs.len() {
            let size = self.dimensions.lwe.to_lwe_size();
            scratch.small.push(LweCiphertextOwned::new(0, size, modulus32()));
            scratch.rotations.push(Rotations::default());
        }
        let small = &mut scratch.small[..jobs.len()];
        if jobs.iter().all(|job| job.input.key() == LweKey::Big) {
            let inputs = jobs.iter().map(|job| job.input);
            keyswitch_batch(self.key.keyswitch(), inputs, small);
        } else {
            for (job, small) in jobs.iter().zip(small) {
                if job.input.key() == LweKey::Big {
                    let inputs = std::iter::once(job.input);
                    keyswitch_batch(self.key.keyswitch(), inputs, std::slice::from_mut(small));
                } else {
                    let halves = job.input.halves();
                    small
                        .as_mut()
                        .iter_mut()
                        .zip(halves)
                        .for_each(|(to, half)| *to = half);
                }
            }
        }
        let mut first = 0;
        for (i, job) in jobs.iter().enumerate() {
            let extension = job.extension;
            let size = extension * polynomial.0;
            scratch.table.resize(size, 0);
            let rotations = &mut scratch.rotations[i];
            rotations.switch(scratch.small[i].as_ref(), size);
            // Division by Y^body is multiplication by Y^(2L - body).
            let degree = (2 * size - rotations.body) % (2 * size);
            rotate(&mut scratch.table, job.polynomial, degree);
            let lanes = &mut scratch.lanes[first..first + extension];
            first += extension;
            for (j, lane) in lanes.iter_mut().enumerate() {
                lane.get_mut_mask().as_mut().fill(0);
                let coefficients = scratch.table.iter().skip(j).step_by(extension);
                let mut body = lane.get_mut_body();
                for (to, &from) in body.as_mut().iter_mut().zip(coefficients) {
                    *to = from;
                }
            }
        }
    }
}

/// Adds up the coefficients that a table is read from; a sample has `dimension` mask elements.
pub(crate) fn read<C: Container<Element = u64>>(
    reading: &Reading,
    lanes: &[GlweCiphertext<C>],
    sample: &mut LweCiphertextOwned<u64>,
    dimension: usize,
) -> Ciphertext {
    let mut sum = Ciphertext::trivial(LweKey::Big, dimension, reading.constant);
    for &(degree, weight) in &reading.terms {
        let (lane, degree) = (degree % lanes.len(), degree / lanes.len());
        extract_lwe_sample_from_glwe_ciphertext(&lanes[lane], sample, MonomialDegree(degree));
        sum.add_multiple(sample.as_ref(), weight);
    }
    sum
}

/// For one rotation on several threads, whose lanes are the first ones.
impl Scratch {
    /// Takes the lanes out, with the degrees that they are turned by.
    pub(super) fn take_first(&mut self, extension: usize) -> (Vec<Lane>, Vec<usize>) {
        let rest = self.lanes.split_off(extension.min(self.lanes.len()));
        let lanes = std::mem::replace(&mut self.lanes, rest);
        let mask = self.rotations.first().map(|r| r.mask.clone());
        (lanes, mask.unwrap_or_default())
    }

    /// Puts them back.
    pub(super) fn put_first(&mut self, mut lanes: Vec<Lane>) {
        lanes.append(&mut self.lanes);
        self.lanes = lanes;
    }

    /// What a job reads off them, on all threads.
    pub(super) fn read_first(&self, evaluator: &Evaluator, job: &Job<'_>) -> Vec<Ciphertext> {
        let (lanes, sample) = (&self.lanes[..job.extension], &self.sample);
        let read = |sample: &mut _, reading| read(reading, lanes, sample, evaluator.dimensions.big.0);
        let readings = job.readings.par_iter();
        readings.map_init(|| sample.clone(), read).collect()
    }

    pub(super) fn decompose(
        &mut self,
        arch: Arch,
        digits: &mut Digits,
        from: &[u64],
        less: &[u64],
        power: usize,
    ) {
        digits.decompose_difference(arch, from, less, power, &mut self.roundings);
    }

    pub(super) fn add(
        &mut self,
        arch: Arch,
        lane: &mut [u64],
        digits: &mut Digits,
        element: &[f64],
        transform: &Transform,
    ) {
        self.products.add(arch, lane, digits, element, transform);
    }
}

impl Scratch {
    /// Turns every accumulator, of tables of that size, by arbitrary amounts: a keyswitching key of ones would turn all alike.
    pub(super) fn turn_anyhow(&mut self, size: usize) {
        for (job, rotations) in self.rotations.iter_mut().enumerate() {
            for (bit, degree) in rotations.mask.iter_mut().enumerate() {
                *degree = 1 + (bit * 7919 + job * 104_729) % (2 * size - 1);
            }
        }
    }
}

/// `X^degree * polynomial`, modulo `X^N + 1`, with `degree < 2 N`.
pub(super) fn rotate(result: &mut [u64], polynomial: &[u64], degree: usize) {
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

#[cfg(test)]
mod tests {
    use super::*;

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
